//! Bugs that a version may have: what sets them off, and what they do.

use crate::nanoseconds;
use serde::{Deserialize, Serialize};
use sim::stack::Deployment;
use sim::time::Instant;
use std::time::Duration;

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defect {
    trigger: Trigger,
    effect: Effect,
}

/// What sets it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Trigger {
    /// Any request.
    Always,
    /// Requests of one kind: those that want their picture cut to size.
    Input,
    /// Every second request.
    Half,
    /// The wall clock passes a date, in nanoseconds since 1970.
    Date(u64),
    /// The process has run it for so many nanoseconds.
    Age(u64),
    /// The process has seen so many requests.
    Count(u64),
    /// So many requests are under way at once.
    Load(u64),
    /// The process was started again, by whatever ended it before.
    Recovery,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Effect {
    /// The request fails.
    Refuse,
    /// The process ends.
    Crash,
    /// The request is never answered.
    Hang,
    /// The request takes a core for a long time.
    Slow,
    /// The answer is wrong.
    Wrong,
}

/// Where dates are counted from, on wall clocks: 2026-01-01, on which simulated worlds begin.
const DATES_FROM: Duration = Duration::from_secs(1_767_225_600);
/// How much of a core a slow request takes.
const SLOW: Duration = Duration::from_secs(10);

/// What a request is, and where it meets the defect, as far as triggers ask.
pub(crate) struct Work<'a> {
    /// The options of the request.
    pub(crate) options: &'a str,
}

/// What the process is like, as far as triggers ask.
pub(super) struct Circumstances {
    pub(super) adopted: Instant,
    pub(super) seen: u64,
    pub(super) under_way: u64,
    pub(super) incarnation: u32,
}

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    /// It goes on.
    Nothing,
    /// It fails.
    Failure,
    /// It goes on and its answer is spoilt.
    Spoilt,
}

impl Defect {
    pub(super) fn of(deployment: &Deployment) -> Self {
        let after_ns = nanoseconds(deployment.duration("push.after"));
        let threshold = deployment.number("push.threshold");
        let trigger = match deployment.setting("push.trigger") {
            "input" => Trigger::Input,
            "half" => Trigger::Half,
            "date" => Trigger::Date(nanoseconds(DATES_FROM).saturating_add(after_ns)),
            "age" => Trigger::Age(after_ns),
            "count" => Trigger::Count(threshold),
            "load" => Trigger::Load(threshold),
            "recovery" => Trigger::Recovery,
            _ => Trigger::Always,
        };
        let effect = match deployment.setting("push.effect") {
            "crash" => Effect::Crash,
            "hang" => Effect::Hang,
            "slow" => Effect::Slow,
            "wrong" => Effect::Wrong,
            _ => Effect::Refuse,
        };
        Self { trigger, effect }
    }

    /// Whether trying it once, on an input whose answer is known, tells.
    pub(super) fn shows_on_a_known_input(self) -> bool {
        self.trigger == Trigger::Always && self.effect == Effect::Wrong
    }

    fn is_set_off(self, work: &Work<'_>, process: &Circumstances) -> bool {
        match self.trigger {
            Trigger::Always => true,
            Trigger::Input => work.options.contains("cover"),
            Trigger::Half => process.seen.is_multiple_of(2),
            Trigger::Date(at_ns) => sim::time::wall_now().as_nanos() >= u128::from(at_ns),
            Trigger::Age(age_ns) => process.adopted.elapsed().as_nanos() >= u128::from(age_ns),
            Trigger::Count(count) => process.seen >= count,
            Trigger::Load(load) => process.under_way >= load,
            Trigger::Recovery => process.incarnation > 1,
        }
    }

    /// Does to a request, or to the process, what the defect does.
    pub(super) async fn meet(self, work: &Work<'_>, process: &Circumstances) -> Met {
        if !self.is_set_off(work, process) {
            return Met::Nothing;
        }
        match self.effect {
            Effect::Refuse => Met::Failure,
            Effect::Crash => {
                sim::node::abort();
                std::future::pending().await
            }
            Effect::Hang => std::future::pending().await,
            Effect::Slow => {
                sim::cpu::run(SLOW, || ()).await;
                Met::Nothing
            }
            Effect::Wrong => Met::Spoilt,
        }
    }
}
