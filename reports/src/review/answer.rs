//! What a review answers: every number with its interval and how many runs it comes from.

use super::file::{Measure, Production};
use super::models::Interval;
use super::rare::{Estimate, RareError};
use super::strata::NodeFailures;
use serde::Serialize;
use std::collections::BTreeMap;

/// A number, or what keeps it from being one. Never a bare zero.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Figure {
    /// From a formula.
    Computed {
        /// The number.
        value: f64,
    },
    /// From runs.
    Estimated {
        /// The number.
        value: f64,
        /// Its interval.
        interval: Interval,
        /// How many runs it comes from.
        runs: u64,
        /// As many plain runs would say as much.
        effective_sample_size: f64,
    },
    /// Runs showed too little for a number.
    Below {
        /// What bounds it.
        below: f64,
        /// What was seen, which is not to be trusted; none where nothing was.
        seen: Option<f64>,
        /// How many runs were made.
        runs: u64,
        /// What is missing.
        reason: String,
    },
    /// There is none.
    None {
        /// Why.
        reason: String,
    },
}

impl Figure {
    /// The figure of an estimate, or of its refusal; `seen` is the raw mean over `runs`.
    pub fn of(result: Result<Estimate, RareError>, seen: f64, runs: u64) -> Self {
        match result {
            Ok(Estimate { value, interval, effective_sample_size, runs }) => {
                Self::Estimated { value, interval, runs, effective_sample_size }
            }
            Err(RareError::Untrusted { reason, below, .. }) => {
                Self::Below { below, seen: (seen > 0.0).then_some(seen), runs, reason }
            }
            Err(RareError::Argument(error)) => Self::None { reason: error.to_string() },
        }
    }

    /// The figure of another unit or scale; `convert` never falls where its argument rises.
    #[must_use]
    pub fn map(self, convert: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Computed { value } => Self::Computed { value: convert(value) },
            Self::Estimated { value, interval, runs, effective_sample_size } => {
                let Interval { low, high, confidence } = interval;
                let interval = Interval { low: convert(low), high: convert(high), confidence };
                Self::Estimated { value: convert(value), interval, runs, effective_sample_size }
            }
            Self::Below { below, seen, runs, reason } => {
                Self::Below { below: convert(below), seen: seen.map(convert), runs, reason }
            }
            none @ Self::None { .. } => none,
        }
    }

    /// The number itself, as far as there is one; what was only seen is one too.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Computed { value } | Self::Estimated { value, .. } => Some(*value),
            Self::Below { seen, .. } => *seen,
            Self::None { .. } => None,
        }
    }

    /// What bounds it from above.
    pub fn below(&self) -> Option<f64> {
        match self {
            Self::Computed { value } => Some(*value),
            Self::Estimated { interval, .. } => Some(interval.high),
            Self::Below { below, .. } => Some(*below),
            Self::None { .. } => None,
        }
    }

    /// Whether it is below `target`.
    pub fn against(&self, target: f64) -> Verdict {
        let (low, high) = match self {
            Self::Computed { value } => (*value, *value),
            Self::Estimated { interval, .. } => (interval.low, interval.high),
            Self::Below { below, .. } => (0.0, *below),
            Self::None { .. } => return Verdict::Open,
        };
        if high < target {
            Verdict::Met
        } else if low >= target {
            Verdict::Missed
        } else {
            Verdict::Open
        }
    }
}

/// What a figure says of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Below it, with all of its interval.
    Met,
    /// Not below it, with all of its interval.
    Missed,
    /// The interval does not tell.
    Open,
}

/// A review's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The review.
    pub review: String,
    /// What it is about.
    pub why: String,
    /// The horizon, in hours.
    pub horizon_hours: f64,
    /// The confidence of every interval.
    pub confidence: f64,
    /// The first seed, and how many of each event.
    pub first_seed: u64,
    /// Seeds of each event.
    pub seeds: u64,
    /// How many different runs were made.
    pub runs: u64,
    /// Runs that gave no outcome, and why.
    pub failed: Vec<String>,
    /// What is claimed and what came of it.
    pub claims: Vec<ClaimAnswer>,
    /// What each event does.
    pub events: Vec<EventAnswer>,
    /// What causes most, for loss and for downtime.
    pub contributors: Vec<Contributor>,
    /// The share of downtime that came after its trigger had ended.
    pub after_trigger: Option<f64>,
    /// The most that one event took.
    pub blast_radius: Option<BlastRadius>,
    /// How nodes fail together, by role, over all events and by mechanism.
    pub common_causes: Vec<CommonCause>,
    /// What mitigations change.
    pub mitigations: Vec<MitigationAnswer>,
    /// The floor.
    pub floors: Vec<Floor>,
    /// What is enough to take the service down or to lose requests.
    pub minimal_sets: Vec<MinimalSet>,
    /// What production has shown.
    pub production: Option<Production>,
    /// What a page draws.
    pub curves: Curves,
    /// Answers known from elsewhere that this build reproduces, or does not.
    pub known_answers: Vec<super::known::Known>,
    /// What is not in the figures.
    pub not_modelled: Vec<String>,
}

impl Answer {
    /// The plans that it names, wherever it does.
    pub fn replays_mut(&mut self) -> Vec<&mut String> {
        let claims =
            self.claims.iter_mut().flat_map(|one| [&mut one.twin.replay, &mut one.correlated.replay]);
        let floors = self.floors.iter_mut().flat_map(|one| &mut one.steps);
        let floors = floors.flat_map(|one| [&mut one.twin_replay, &mut one.replay]);
        claims
            .chain(floors)
            .chain(self.events.iter_mut().map(|one| &mut one.replay))
            .chain(self.contributors.iter_mut().map(|one| &mut one.replay))
            .chain(self.common_causes.iter_mut().map(|one| &mut one.replay))
            .chain(self.mitigations.iter_mut().map(|one| &mut one.replay))
            .chain(self.minimal_sets.iter_mut().map(|one| &mut one.replay))
            .flatten()
            .collect()
    }
}

/// What a page draws.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Curves {
    /// By role: the share of time with at least so many nodes down, from 1 on.
    pub down_at_once: Vec<DownAtOnce>,
    /// Hours of downtime of a year, drawn many times from the events' frequencies and outcomes.
    pub year: Option<Year>,
    /// By event: the share of requests served, second by second, on the mean.
    pub served: Vec<Served>,
    /// By event: hours of downtime a year of all events, where this one's frequency is at either end.
    pub tornado: Vec<Tornado>,
}

/// How many nodes of a role are down at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DownAtOnce {
    /// The role.
    pub role: String,
    /// If they failed independently.
    pub formula: Vec<f64>,
    /// As it is.
    pub correlated: Vec<f64>,
}

/// A year, drawn many times.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Year {
    /// How many years were drawn.
    pub years: u64,
    /// The share of years with any downtime.
    pub any: f64,
    /// Hours that a share of years exceeds: share and hours.
    pub exceeded: Vec<(f64, f64)>,
}

/// How an event goes, second by second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Served {
    /// The event.
    pub event: String,
    /// From when to when it acts, in seconds.
    pub acts: [f64; 2],
    /// The mean share of requests served.
    pub shares: Vec<f64>,
}

/// What an event's frequency makes of the year.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tornado {
    /// The event.
    pub event: String,
    /// Whether the ends are the input's own interval; else half and twice the frequency.
    pub given: bool,
    /// Hours at the lower end.
    pub low: f64,
    /// Hours at the upper end.
    pub high: f64,
}

/// One claim beside what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClaimAnswer {
    /// The claim.
    pub name: String,
    /// Who claims it.
    pub source: Option<String>,
    /// What it is about.
    pub measure: Measure,
    /// The replicas' role.
    pub role: String,
    /// How many of them must fail together.
    pub failures: u32,
    /// R.
    pub target: f64,
    /// How nodes fail, from the events; none where no event takes any.
    pub nodes: Option<NodeFailures>,
    /// P: the share of time that a node is down, as the claim states it or as the events have it.
    pub node_unavailability: Option<f64>,
    /// What the sum says.
    pub formula: Column,
    /// What the simulation says where every domain is private.
    pub twin: Column,
    /// What the simulation says of the world as it is.
    pub correlated: Column,
    /// What production hours can prove.
    pub production: Column,
    /// The share of time that as many replicas as it takes are down: by the formula, in the twin, and as it is.
    pub replicas_down: [Figure; 3],
    /// How many independent replicas would fail as rarely as these do together.
    pub effective_replicas: Option<f64>,
    /// Hours without a failure that would show the target.
    pub clean_hours_needed: f64,
}

/// One cell of a claim's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Column {
    /// The number.
    pub figure: Figure,
    /// Whether the target is met.
    pub verdict: Verdict,
    /// The plan of the run behind it that weighs most; none where no run is.
    pub replay: Option<String>,
}

/// What one event does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventAnswer {
    /// Its name.
    pub name: String,
    /// The places at which it strikes, where there are several.
    pub places: Vec<String>,
    /// What it injects.
    pub mechanism: &'static str,
    /// Times a year, all places together: an input.
    pub per_year: f64,
    /// The interval of that, where the input has one.
    pub per_year_interval: [Option<f64>; 2],
    /// How long it lasts on the mean, in hours: an input.
    pub hours: f64,
    /// Where these come from.
    pub source: String,
    /// How many runs there are.
    pub runs: u64,
    /// The chance that it loses acknowledged requests.
    pub loss: Figure,
    /// The most requests that one run lost.
    pub lost_most: u64,
    /// Hours of downtime each time.
    pub down_hours: Figure,
    /// The share of the event in which the service stays down, once it has settled.
    pub down_share: f64,
    /// Seconds from its end until the service was up for good: median, p90, p99; none where that lies past the load's end.
    pub recovery_seconds: [Option<f64>; 3],
    /// The plan of the run that lost most, or was down longest.
    pub replay: Option<String>,
}

/// What one event contributes to a year.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Contributor {
    /// What it contributes to.
    pub measure: Measure,
    /// The event or coincidence.
    pub name: String,
    /// Losses, or hours of downtime, a year: what was seen.
    pub per_year: f64,
    /// The same with its interval, where it can be trusted.
    pub figure: Figure,
    /// Whether it is told apart from all below it in rank: the intervals of their differences lie above 0. None for the last.
    pub apart: Option<bool>,
    /// Its share of all (Fussell–Vesely).
    pub share: f64,
    /// By how much all would shrink without it (risk reduction worth); none where nothing else was seen.
    pub reduction_worth: Option<f64>,
    /// The place of several from which more than half of it comes.
    pub mostly: Option<String>,
    /// The plan of the run behind it that weighs most.
    pub replay: Option<String>,
}

/// The most that a single event took.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlastRadius {
    /// The event.
    pub event: String,
    /// Nodes that were down at once.
    pub nodes: u32,
    /// Of so many.
    pub of: u32,
    /// The largest share of requests that were not served in one second.
    pub unserved: f64,
}

/// How nodes of a role fail together, as the histories show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CommonCause {
    /// The role.
    pub role: String,
    /// The mechanism; `all` for all of them.
    pub mechanism: String,
    /// β: the share of a node's failures that came with another's.
    pub beta: Figure,
    /// α_k: the share of events that took exactly k nodes, weighed by their frequencies; none where no run showed one.
    pub alphas: Vec<Option<f64>>,
    /// How many runs showed it.
    pub runs: u64,
    /// The plan of the run behind it that weighs most.
    pub replay: Option<String>,
}

/// What a mitigation, or two of them, change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MitigationAnswer {
    /// Their names.
    pub names: Vec<String>,
    /// Pairs of runs, of the same event and seed.
    pub pairs: u64,
    /// Losses a year, before.
    pub losses_before: Figure,
    /// Change of losses a year.
    pub losses: Change,
    /// Hours of downtime a year, before.
    pub down_hours_before: Figure,
    /// Change of hours of downtime a year.
    pub down_hours: Change,
    /// The plan of the run with it that weighs most.
    pub replay: Option<String>,
}

/// A difference of pairs, with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// After less before.
    pub value: f64,
    /// Its interval.
    pub interval: Interval,
}

/// A claim over the number of replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Floor {
    /// The claim.
    pub claim: String,
    /// What it is about.
    pub measure: Measure,
    /// For N = 1, 2, …
    pub steps: Vec<FloorStep>,
    /// From how many replicas on no more improve the world as it is by a tenth; none where it goes on.
    pub stops_helping: Option<u32>,
    /// The mitigations that do improve it, with all of their interval.
    pub would_help: Vec<String>,
}

/// One number of replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FloorStep {
    /// N.
    pub replicas: u32,
    /// How many must fail together.
    pub failures: u32,
    /// P^N.
    pub formula: Figure,
    /// The simulation where the replicas fail each by itself, and nothing else does.
    pub twin: Figure,
    /// The world as it is: its events, without coincidences.
    pub correlated: Figure,
    /// How many independent replicas that is.
    pub effective_replicas: Option<f64>,
    /// The plan of the twin's run that weighs most.
    pub twin_replay: Option<String>,
    /// The plan of the run of the world as it is that weighs most.
    pub replay: Option<String>,
}

/// A set of things that is enough, and no part of it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MinimalSet {
    /// Nodes or domains that lose power together.
    pub members: Vec<String>,
    /// Whether the service stays down while they are.
    pub down: bool,
    /// Whether acknowledged requests are lost.
    pub lost: bool,
    /// Runs that showed it, of those that were made.
    pub seen: BTreeMap<&'static str, u64>,
    /// How many runs were made.
    pub runs: u64,
    /// The plan of the first of them that showed it.
    pub replay: Option<String>,
}
