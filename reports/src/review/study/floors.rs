//! The floor: a claim over the number of replicas, by the sum, in the twin, and in the world as it is.

use super::{Study, heaviest};
use crate::review::answer::{Floor, FloorStep, MitigationAnswer};
use crate::review::batch::Runs;
use crate::review::compose::Seen;
use crate::review::file::{Claim, Measure, Review};
use crate::review::strata::{Strata, Stratum};
use scenarios::ScenarioError;
use scenarios::scenario::Scenario;

/// One number of replicas: its world, the events in it, and any number of its replicas down, each for a cause of its own.
pub(super) struct Step {
    replicas: u32,
    topology: Scenario,
    pub(super) events: Vec<Stratum>,
    pub(super) twin: Vec<Stratum>,
}

/// Every number of replicas of every claim; none where the review asks for none.
pub(super) fn steps<'a>(strata: &Strata<'a>) -> Result<Vec<(&'a Claim, Vec<Step>)>, ScenarioError> {
    let review = strata.review;
    let Some(seeds) = review.floor_seeds else { return Ok(Vec::new()) };
    let mut floors = Vec::new();
    for claim in &review.claims {
        let mut steps = Vec::new();
        for replicas in 1..=review.floor_replicas {
            let mut topology = review.topology.clone();
            topology
                .nodes
                .iter_mut()
                .filter(|nodes| nodes.role == claim.role)
                .for_each(|nodes| nodes.count = replicas);
            let events = strata.shared(&topology, seeds)?;
            let twin = strata.overlaps(&topology, &claim.role, false, 1, seeds)?;
            steps.push(Step { replicas, topology, events, twin });
        }
        floors.push((claim, steps));
    }
    Ok(floors)
}

impl Study<'_> {
    pub(super) fn floor_answers(
        &self,
        runs: &Runs,
        mitigations: &[MitigationAnswer],
    ) -> Result<Vec<Floor>, ScenarioError> {
        let mut floors = Vec::new();
        for (claim, steps) in &self.floors {
            let mut answers: Vec<FloorStep> = Vec::new();
            for step in steps {
                let failures = failures_at(claim, self.review, step.replicas);
                let events = Seen::all(&step.events, runs);
                let twin = Seen::all(&step.twin, runs);
                let correlated = self.weighed(claim.measure, &events);
                let nodes = self.strata.node_failures(&step.topology, &claim.role)?;
                answers.push(FloorStep {
                    replicas: step.replicas,
                    failures,
                    formula: self.formula(claim, &step.topology, failures)?,
                    twin: self.weighed(claim.measure, &twin),
                    twin_replay: heaviest(&twin, &[claim.measure]),
                    effective_replicas: self.effective(claim, nodes, &correlated),
                    correlated,
                    replay: heaviest(&events, &[claim.measure]),
                });
            }
            let helps = |one: &&MitigationAnswer| {
                let change = if claim.measure == Measure::Loss { one.losses } else { one.down_hours };
                one.names.len() == 1 && change.interval.high < 0.0
            };
            floors.push(Floor {
                claim: claim.name.clone(),
                measure: claim.measure,
                stops_helping: stops_helping(&answers),
                would_help: mitigations.iter().filter(helps).flat_map(|one| one.names.clone()).collect(),
                steps: answers,
            });
        }
        Ok(floors)
    }
}

/// From how many replicas on no larger number of them improves by a tenth.
fn stops_helping(steps: &[FloorStep]) -> Option<u32> {
    let value = |step: &FloorStep| step.correlated.value();
    let stops = |place: usize| {
        let here = value(&steps[place])?;
        let more = &steps[place + 1..];
        // What has no number may have improved.
        let none_helps = more.iter().all(|step| value(step).is_some_and(|there| there >= here * 0.9));
        (none_helps && !more.is_empty()).then_some(steps[place].replicas)
    };
    (0..steps.len()).find_map(stops)
}

/// How many of `replicas` must fail together for the claim to break: all where it says all, a majority where it says that.
fn failures_at(claim: &Claim, review: &Review, replicas: u32) -> u32 {
    let now =
        review.topology.nodes.iter().find(|nodes| nodes.role == claim.role).map_or(0, |nodes| nodes.count);
    if claim.failures == now {
        replicas
    } else if claim.failures == now - now / 2 {
        replicas - replicas / 2
    } else {
        claim.failures.min(replicas)
    }
}
