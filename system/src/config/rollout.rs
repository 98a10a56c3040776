//! Who runs which version: a rollout in stages, and when it goes on or back. Pure: time and reports come from outside.

use super::document::FIRST;
use serde::{Deserialize, Serialize};
use sim::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// The shares of the nodes that a version goes to, one after the other, in percent.
const STAGES: [u32; 4] = [1, 10, 50, 100];
/// A node on probation that says nothing for so long is not well.
const SILENCE_MAX: Duration = Duration::from_secs(6);
/// A node that takes so much longer than the soak to take the version up cannot, or will not say why.
const TAKE_UP_MAX: Duration = Duration::from_secs(30);
/// A node does badly where it fails this much more of its requests than nodes of the version before, in percent.
const APART_PERCENT: u64 = 25;
/// With fewer requests nobody is judged.
const REQUESTS_MIN: u64 = 3;

/// What a node says when it asks for its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// Who asks.
    pub(super) node: String,
    /// How often its process has started.
    pub(super) incarnation: u32,
    /// The version that it runs.
    pub(super) running: u64,
    /// The version that it would not run, or could not.
    pub(super) rejected: Option<u64>,
    /// How many requests it counts of its last with this version, and how many of them it failed.
    pub(super) requests: u64,
    pub(super) failed: u64,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Progress {
    /// The version waits to be pushed.
    Waiting,
    /// It is on a stage.
    Stage(usize),
    /// It is taken back.
    Condemned,
}

/// What a step of a rollout did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The version goes to so many percent.
    Opened(u32),
    /// The version is taken back, and why.
    Condemned(String),
}

/// The rules of a rollout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) soak: Duration,
    pub(super) gate: bool,
    pub(super) staged: bool,
}

/// The rollout of one version to the nodes of one role.
pub(super) struct Rollout {
    rules: Rules,
    /// In the order in which they get the version.
    nodes: Vec<String>,
    pub(super) progress: Progress,
    /// Since when the stage has been open.
    since: Instant,
    heard: BTreeMap<String, Heard>,
}

struct Heard {
    at: Instant,
    report: Report,
    /// When it was first heard to run the version, and in which incarnation.
    adopted: Option<(Instant, u32)>,
}

impl Rollout {
    pub(super) fn new(rules: Rules, nodes: Vec<String>, progress: Progress, now: Instant) -> Self {
        Self { rules, nodes, progress, since: now, heard: BTreeMap::new() }
    }

    /// Notes a report; the version that its node is to run. What no node of the role says is not noted.
    pub(super) fn hear(&mut self, report: Report, now: Instant) -> u64 {
        let node = report.node.clone();
        if !self.nodes.contains(&node) {
            return FIRST;
        }
        let before = self.heard.get(&node).and_then(|heard| heard.adopted);
        let adopted = before.or((report.running > FIRST).then_some((now, report.incarnation)));
        self.heard.insert(node.clone(), Heard { at: now, report, adopted });
        self.version_of(&node)
    }

    fn version_of(&self, node: &str) -> u64 {
        if self.on_stage().iter().any(|name| name == node) { FIRST + 1 } else { FIRST }
    }

    /// The nodes that are to run the version.
    fn on_stage(&self) -> &[String] {
        let Progress::Stage(stage) = self.progress else { return &[] };
        let nodes = self.nodes.len() * STAGES[stage] as usize;
        &self.nodes[..nodes.div_ceil(100)]
    }

    /// Begins the rollout.
    pub(super) fn push(&mut self, now: Instant) -> Step {
        self.open(if self.rules.staged { 0 } else { STAGES.len() - 1 }, now)
    }

    fn open(&mut self, stage: usize, now: Instant) -> Step {
        (self.progress, self.since) = (Progress::Stage(stage), now);
        Step::Opened(STAGES[stage])
    }

    /// Looks at how the stage does, and goes on or back.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        let Progress::Stage(stage) = self.progress else { return None };
        if self.rules.gate
            && let Some(why) = self.on_stage().iter().find_map(|node| self.why_not(node, now))
        {
            self.progress = Progress::Condemned;
            return Some(Step::Condemned(why));
        }
        (self.has_soaked(now) && stage + 1 < STAGES.len()).then(|| self.open(stage + 1, now))
    }

    /// Whether the stage has been open for long enough; with a gate, whether all of its nodes have run the version for so long: a
    /// node may take its time to take a version up, and says nothing of it before.
    fn has_soaked(&self, now: Instant) -> bool {
        let run_for = |node: &String| {
            let (adopted, _) = self.heard.get(node)?.adopted?;
            Some(now - adopted)
        };
        let soaked = |node: &String| run_for(node).is_some_and(|run_for| run_for >= self.rules.soak);
        now - self.since >= self.rules.soak && (!self.rules.gate || self.on_stage().iter().all(soaked))
    }

    /// What speaks against the version at `node`.
    fn why_not(&self, node: &str, now: Instant) -> Option<String> {
        let heard = self.heard.get(node);
        if now - heard.map_or(self.since, |heard| heard.at.max(self.since)) > SILENCE_MAX {
            return Some(format!("{node} is silent"));
        }
        let Heard { report, adopted, .. } = heard?;
        if report.rejected == Some(FIRST + 1) {
            return Some(format!("{node} will not run it"));
        }
        if adopted.is_none() && now - self.since >= self.rules.soak + TAKE_UP_MAX {
            return Some(format!("{node} does not take it up"));
        }
        if adopted.is_some_and(|(_, incarnation)| report.incarnation > incarnation) {
            return Some(format!("{node} was started again"));
        }
        let others = self.heard.values().filter(|heard| heard.report.running == FIRST);
        let (requests, failed) = others.fold((0_u64, 0_u64), |(requests, failed), heard| {
            (requests.saturating_add(heard.report.requests), failed.saturating_add(heard.report.failed))
        });
        let percent = |failed: u64, requests: u64| failed.saturating_mul(100) / requests.max(1);
        let bad = report.running > FIRST
            && report.requests >= REQUESTS_MIN
            && percent(report.failed, report.requests) >= percent(failed, requests) + APART_PERCENT;
        bad.then(|| format!("{node} failed {} of {} requests", report.failed, report.requests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn rollout(gate: bool, staged: bool) -> Rollout {
        let rules = Rules { soak: Duration::from_secs(10), gate, staged };
        let nodes = (1..=4).map(|number| format!("api-{number}")).collect();
        Rollout::new(rules, nodes, Progress::Waiting, at(0))
    }

    fn report(number: u32, running: u64) -> Report {
        Report { node: format!("api-{number}"), incarnation: 1, running, requests: 100, ..Report::default() }
    }

    /// All nodes say that they do what they are told, and are well.
    fn all_well(rollout: &mut Rollout, now: Instant) -> Vec<u64> {
        let versions: Vec<_> = (1..=4).map(|number| rollout.version_of(&format!("api-{number}"))).collect();
        (1..=4).map(|number| rollout.hear(report(number, versions[number as usize - 1]), now)).collect()
    }

    #[test]
    fn a_version_that_does_well_goes_to_one_then_half_then_all() {
        let mut rollout = rollout(true, true);
        assert_eq!(all_well(&mut rollout, at(1)), [1, 1, 1, 1]);
        assert_eq!(rollout.push(at(1)), Step::Opened(1));
        let mut opened = Vec::new();
        for second in 2..60 {
            all_well(&mut rollout, at(second));
            opened.extend(rollout.step(at(second)).map(|step| (second, step)));
        }
        assert_eq!(opened, [(12, Step::Opened(10)), (22, Step::Opened(50)), (33, Step::Opened(100))]);
        assert_eq!(all_well(&mut rollout, at(60)), [2, 2, 2, 2]);
    }

    #[test]
    fn no_stage_ends_before_all_of_its_nodes_have_run_the_version_for_the_soak() {
        let mut rollout = rollout(true, true);
        rollout.push(at(1));
        // The first node ends what it has under way before it takes the version up.
        for second in 2..20 {
            for number in 1..=4 {
                rollout.hear(report(number, FIRST), at(second));
            }
            assert_eq!(rollout.step(at(second)), None);
        }
        let restarted = Report { incarnation: 2, ..report(1, FIRST + 1) };
        for second in 20..30 {
            rollout.hear(restarted.clone(), at(second));
            assert_eq!(rollout.step(at(second)), None);
        }
        rollout.hear(restarted, at(30));
        assert_eq!(rollout.step(at(30)), Some(Step::Opened(10)));
    }

    #[test]
    fn a_version_that_does_badly_is_taken_back() {
        let bad: [(&str, Report); 3] = [
            ("will not run it", Report { rejected: Some(2), ..report(1, 1) }),
            ("failed 60 of 100", Report { failed: 60, ..report(1, 2) }),
            ("was started again", Report { incarnation: 2, ..report(1, 2) }),
        ];
        for (why, report) in bad {
            let mut rollout = rollout(true, true);
            rollout.push(at(1));
            all_well(&mut rollout, at(2));
            all_well(&mut rollout, at(3));
            assert_eq!(rollout.step(at(3)), None);
            rollout.hear(report, at(4));
            let step = rollout.step(at(4));
            assert!(matches!(&step, Some(Step::Condemned(told)) if told.contains(why)), "{why}: {step:?}");
            assert_eq!(rollout.version_of("api-1"), 1);
        }
    }

    #[test]
    fn what_no_node_of_the_role_says_changes_nothing() {
        let mut rollout = rollout(true, true);
        rollout.push(at(1));
        all_well(&mut rollout, at(2));
        // Nobody else could fail more: api-1 would look well beside these.
        let absurd = Report { requests: u64::MAX, failed: u64::MAX, ..Report::default() };
        for name in ["api-9", "nobody"] {
            assert_eq!(rollout.hear(Report { node: name.to_owned(), ..absurd.clone() }, at(3)), FIRST);
        }
        assert_eq!(rollout.heard.len(), 4);
        // And numbers that no node counts to are no reason to panic.
        for number in 2..=4 {
            rollout.hear(
                Report { running: FIRST, ..Report { node: format!("api-{number}"), ..absurd.clone() } },
                at(3),
            );
        }
        assert_eq!(rollout.step(at(3)), None);
    }

    #[test]
    fn a_node_that_falls_silent_speaks_against_its_version() {
        let mut rollout = rollout(true, true);
        rollout.push(at(1));
        all_well(&mut rollout, at(2));
        assert_eq!(rollout.step(at(8)), None);
        assert_eq!(rollout.step(at(9)), Some(Step::Condemned("api-1 is silent".to_owned())));
    }

    #[test]
    fn without_stages_and_gate_all_get_it_whatever_comes_of_it() {
        let mut rollout = rollout(false, false);
        assert_eq!(rollout.push(at(1)), Step::Opened(100));
        rollout.hear(Report { failed: 100, ..report(1, 2) }, at(2));
        assert_eq!(rollout.step(at(30)), None);
        assert_eq!(rollout.version_of("api-4"), 2);
    }
}
