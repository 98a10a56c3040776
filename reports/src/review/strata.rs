//! The ways in which a year can go wrong, each with a frequency and with runs of the real stack: shared events as they are, the
//! same events on one node at a time, and nodes that are down at once by coincidence.

use super::file::{Event, Place, Review};
use super::harm;
use super::models::{HOURS_PER_YEAR, binomial, real};
use scenarios::ScenarioError;
use scenarios::planner;
use scenarios::scenario::{FaultSpec, Harm, Scenario, Targets, When};
use scenarios::target::Target;
use scenarios::value::Between;
use sim::fault::Fault;
use sim::plan::Plan;
use sim::rng::Stream;
use sim::stack::Stack;
use std::collections::BTreeMap;

/// How many draws of an event say how often it takes a node.
const DRAWS: u64 = 256;

/// One way in which things go wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Stratum {
    /// Its name: the event's with its place, or how many nodes are down at once.
    pub name: String,
    /// The event; none for a coincidence.
    pub event: Option<String>,
    /// Where the event strikes, where it is drawn among several places.
    pub place: Option<String>,
    /// How often, a year.
    pub per_year: f64,
    /// How long, in hours, on the mean.
    pub hours: f64,
    /// The runs: one plan a seed.
    pub plans: Vec<Plan>,
}

/// How the nodes of one role fail, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeFailures {
    /// N.
    pub nodes: u32,
    /// Failures of one node in a year that it is up for.
    pub per_year: f64,
    /// How long one lasts, on the mean, in hours.
    pub hours: f64,
}

impl NodeFailures {
    /// P: the share of time that one node is down.
    pub fn unavailability(&self) -> f64 {
        let load = self.per_year / HOURS_PER_YEAR * self.hours;
        load / (1.0 + load)
    }

    /// The share of time that exactly `down` nodes are down, if they fail independently.
    pub fn share_with(&self, down: u32) -> f64 {
        let unavailability = self.unavailability();
        binomial::term(down.into(), self.nodes.into(), unavailability, 1.0 - unavailability)
    }

    /// How often a year the number of nodes down comes to be `down`, from one less, if they fail independently.
    pub fn per_year_to(&self, down: u32) -> f64 {
        let up = f64::from(self.nodes + 1 - down.min(self.nodes));
        if down == 0 || down > self.nodes { 0.0 } else { self.share_with(down - 1) * up * self.per_year }
    }
}

/// Makes the plans of a review.
pub struct Strata<'a> {
    /// The review.
    pub review: &'a Review,
    /// The stack.
    pub stack: &'a dyn Stack,
    /// What hangs on a place of an event in the world as it is, on the mean: see [`pull`].
    pull_mean: f64,
}

/// How strongly a place of an event pulls seeds: what may hide in n runs of it, 3/n of the hours a year that it takes, adds up to
/// least over all places, in squares, if n grows with these hours to the power of two thirds.
fn pull(per_year: f64, hours: f64) -> f64 {
    (per_year * hours).powf(2.0 / 3.0)
}

impl<'a> Strata<'a> {
    /// The plans of `review`, to be run on `stack`.
    pub fn new(review: &'a Review, stack: &'a dyn Stack) -> Self {
        let nodes = review.topology.plan_nodes();
        let mut pulls = Vec::new();
        for event in &review.events {
            let hours = event.lasting.hours_mean();
            pulls.extend(event.places(&nodes).iter().map(|place| pull(place.per_year, hours)));
        }
        let pull_mean = pulls.iter().sum::<f64>() / real(pulls.len().max(1) as u64);
        Self { review, stack, pull_mean }
    }

    /// How many seeds a place gets where all of them get `seeds` on the mean: more where more hangs on it.
    fn share(&self, per_year: f64, hours: f64, seeds: u64) -> u64 {
        let share = pull(per_year, hours) / self.pull_mean;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of seeds")]
        let share = (real(seeds) * share).round() as u64;
        share.clamp(self.few(seeds), seeds.saturating_mul(10))
    }

    /// The least number of seeds of anything: a quarter of the mean.
    fn few(&self, seeds: u64) -> u64 {
        seeds.div_ceil(4).max(2).min(seeds)
    }

    /// The events as they are, in the world `topology`, each at each of its places: `seeds` runs of each on the mean.
    ///
    /// Which of its places an event strikes decides most of what comes of it, and how likely each is is known: drawn by seeds,
    /// it would only be noise.
    pub fn shared(&self, topology: &Scenario, seeds: u64) -> Result<Vec<Stratum>, ScenarioError> {
        let nodes = topology.plan_nodes();
        let mut strata = Vec::new();
        for event in &self.review.events {
            for place in event.places(&nodes) {
                let plans = self
                    .seeds(self.share(place.per_year, event.lasting.hours_mean(), seeds))
                    .map(|seed| self.plan(topology, event, &place, seed))
                    .collect::<Result<_, _>>()?;
                let name = match &place.name {
                    Some(place) => format!("{}: {place}", event.name),
                    None => event.name.clone(),
                };
                strata.push(Stratum {
                    name,
                    event: Some(event.name.clone()),
                    place: place.name,
                    per_year: place.per_year,
                    hours: event.lasting.hours_mean(),
                    plans,
                });
            }
        }
        Ok(strata)
    }

    /// The events with every domain private: as many failures of every node, each by itself.
    pub fn private(&self, topology: &Scenario, seeds: u64) -> Result<Vec<Stratum>, ScenarioError> {
        let mut strata = Vec::new();
        for event in &self.review.events {
            let mut by_node: BTreeMap<String, (f64, Place)> = BTreeMap::new();
            for hits in self.hits(topology, event)? {
                for node in hits.draws.iter().flatten() {
                    let rate = hits.place.per_year / real(hits.draws.len() as u64);
                    by_node.entry(node.clone()).or_insert((0.0, hits.place.clone())).0 += rate;
                }
            }
            for (node, (per_year, place)) in by_node {
                let plans = self
                    .seeds(self.share(per_year, event.lasting.hours_mean(), seeds))
                    .map(|seed| self.alone(topology, event, &place, &node, seed))
                    .collect::<Result<_, _>>()?;
                strata.push(Stratum {
                    name: format!("{}: {node} alone", event.name),
                    event: Some(event.name.clone()),
                    place: Some(node),
                    per_year,
                    hours: event.lasting.hours_mean(),
                    plans,
                });
            }
        }
        Ok(strata)
    }

    /// `least` nodes and more of `role` down at once by coincidence, for each number of them: `only_private` counts just the
    /// events that take one of them at a time, as in a world in which the others are shared.
    pub fn overlaps(
        &self,
        topology: &Scenario,
        role: &str,
        only_private: bool,
        least: u32,
        seeds: u64,
    ) -> Result<Vec<Stratum>, ScenarioError> {
        let causes = self.causes(topology, role, only_private)?;
        let Some(failures) = NodeFailures::of(&causes, nodes_of(topology, role)) else {
            return Ok(Vec::new());
        };
        let strata = (least..=failures.nodes).map(|down| {
            let per_year = failures.per_year_to(down);
            let hours = failures.share_with(down) * HOURS_PER_YEAR / per_year;
            let plans = self
                .seeds(seeds)
                .map(|seed| self.coincidence(topology, role, &causes, down, seed))
                .collect::<Result<_, _>>()?;
            let name = format!("{down} of {} {role} nodes by coincidence", failures.nodes);
            Ok(Stratum { name, event: None, place: None, per_year, hours, plans })
        });
        strata.collect()
    }

    /// How the nodes of `role` fail, all events taken together; none where no event takes any.
    pub fn node_failures(
        &self,
        topology: &Scenario,
        role: &str,
    ) -> Result<Option<NodeFailures>, ScenarioError> {
        Ok(NodeFailures::of(&self.causes(topology, role, false)?, nodes_of(topology, role)))
    }

    /// The run in which just `nodes` lose power.
    pub fn without_power(
        &self,
        topology: &Scenario,
        nodes: &[String],
        seed: u64,
    ) -> Result<Plan, ScenarioError> {
        let run = &self.review.run;
        let mut plan = planner::plan(&self.world(topology), self.stack, None, seed, &[])?;
        let inject = sim::fault::Inject::PowerLoss(sim::fault::On { nodes: nodes.to_vec() });
        let (start_ns, end_ns) = (run.at_ns, run.at_ns + run.fault_ns);
        plan.faults =
            vec![Fault { name: "set".to_owned(), start_ns, end_ns, after: None, shared: None, inject }];
        Ok(plan)
    }

    fn seeds(&self, seeds: u64) -> impl Iterator<Item = u64> + use<> {
        let base = self.review.base;
        (0..seeds).map(move |place| base.wrapping_add(place))
    }

    /// The world of a run, without faults.
    fn world(&self, topology: &Scenario) -> Scenario {
        let run = &self.review.run;
        Scenario {
            name: format!("review/{}", self.review.name),
            why: self.review.why.clone(),
            duration_ns: run.duration_ns(),
            drain_ns: run.drain_ns,
            ..topology.clone()
        }
    }

    /// One event as it is, at one of its places.
    fn plan(
        &self,
        topology: &Scenario,
        event: &Event,
        place: &Place,
        seed: u64,
    ) -> Result<Plan, ScenarioError> {
        let run = &self.review.run;
        let mut scenario = self.world(topology);
        scenario.faults = vec![FaultSpec {
            name: event.name.clone(),
            why: None,
            when: When::At(Between::exactly(run.at_ns)),
            length_ns: Between::exactly(run.fault_ns),
            chance: 1.0,
            times: Between::exactly(1),
            harm: Harm::One(place.injection.clone()),
        }];
        planner::plan(&scenario, self.stack, None, seed, &[])
    }

    /// One event, on one of the nodes that it hits at `place`.
    fn alone(
        &self,
        topology: &Scenario,
        event: &Event,
        place: &Place,
        node: &String,
        seed: u64,
    ) -> Result<Plan, ScenarioError> {
        let mut plan = self.plan(topology, event, place, seed)?;
        for fault in &mut plan.faults {
            fault.inject = harm::only(&fault.inject, std::slice::from_ref(node));
            fault.shared = None;
            // Events that do the same to a node share their runs.
            "alone".clone_into(&mut fault.name);
        }
        Ok(plan)
    }

    /// `down` nodes of `role`, each for a cause of its own, one soon after the other; all come back together.
    fn coincidence(
        &self,
        topology: &Scenario,
        role: &str,
        causes: &[Cause<'_>],
        down: u32,
        seed: u64,
    ) -> Result<Plan, ScenarioError> {
        let run = &self.review.run;
        let stream = |what: &str| Stream::named(seed, &format!("review/{role}/{down}/{what}"));
        let mut plan = planner::plan(&self.world(topology), self.stack, None, seed, &[])?;
        let mut names: Vec<String> =
            plan.nodes.iter().filter(|node| node.role == role).map(|node| node.name.clone()).collect();
        stream("which").shuffle(&mut names);
        let mut chance = stream("cause");
        for (place, node) in (0..u64::from(down)).zip(&names) {
            let cause = pick(causes, chance.unit());
            let drawn = self.plan(topology, cause.event, &cause.place, seed)?;
            let Some(fault) = drawn.faults.first() else { continue };
            plan.faults.push(Fault {
                name: format!("coincidence-{}", place + 1),
                start_ns: run.at_ns + run.fault_ns / 4 * place / u64::from(down),
                end_ns: run.at_ns + run.fault_ns,
                after: None,
                shared: None,
                inject: harm::only(&fault.inject, std::slice::from_ref(node)),
            });
        }
        Ok(plan)
    }

    /// The events that take nodes of `role`, with how often one node is taken.
    fn causes(
        &self,
        topology: &Scenario,
        role: &str,
        only_private: bool,
    ) -> Result<Vec<Cause<'_>>, ScenarioError> {
        let nodes = topology.plan_nodes();
        let count = nodes_of(topology, role);
        let counts = |name: &&String| match name.strip_prefix(harm::LEADER_OF) {
            Some(leads) => leads == role,
            None => nodes.iter().any(|node| node.name == **name && node.role == role),
        };
        let mut causes = Vec::new();
        for event in self.review.events.iter().filter(|event| !harm::degrades(event.injection.kind)) {
            let (mut per_year, mut most, mut place) = (0.0, 0, None);
            for hits in self.hits(topology, event)? {
                let all = real(hits.draws.len() as u64);
                for draw in &hits.draws {
                    let hit = draw.iter().filter(counts).count() as u64;
                    most = most.max(hit);
                    per_year += hits.place.per_year * real(hit) / all;
                }
                if most > 0 {
                    place.get_or_insert(hits.place);
                }
            }
            if let Some(place) = place.filter(|_| !(only_private && most > 1)) {
                let (per_year, hours) = (per_year / f64::from(count), event.lasting.hours_mean());
                causes.push(Cause { event, place, per_year, hours });
            }
        }
        Ok(causes)
    }

    /// Which nodes an event hits at each of its places: one draw where that leaves nothing open.
    fn hits(&self, topology: &Scenario, event: &Event) -> Result<Vec<Hits>, ScenarioError> {
        let places = event.places(&topology.plan_nodes()).into_iter().map(|place| {
            let draws = if is_open(&place) { DRAWS } else { 1 };
            let draw = |seed| {
                let plan = self.plan(topology, event, &place, seed)?;
                Ok::<_, ScenarioError>(
                    plan.faults.iter().flat_map(|fault| harm::hit(&fault.inject)).collect(),
                )
            };
            Ok(Hits { draws: (0..draws).map(draw).collect::<Result<_, _>>()?, place })
        });
        places.collect()
    }
}

/// Which nodes an event hits at a place.
struct Hits {
    place: Place,
    draws: Vec<Vec<String>>,
}

/// Whether the nodes that are hit at `place` differ from seed to seed.
fn is_open(place: &Place) -> bool {
    let drawn = |target: &Target| match target {
        Target::Nodes(_) | Target::LeaderOf(_) | Target::All => false,
        Target::Domain { value, fraction, .. } => value.is_none() || fraction.is_some(),
        Target::Role { count, .. } => count.is_some(),
        Target::Any(_) | Target::Open | Target::OpenPeers => true,
    };
    match &place.injection.targets {
        Targets::On(target) => drawn(target),
        Targets::Between { from, .. } => from.iter().any(drawn),
    }
}

/// An event that takes nodes of a role.
struct Cause<'a> {
    event: &'a Event,
    /// One of the places at which it does.
    place: Place,
    /// Failures of one node a year.
    per_year: f64,
    hours: f64,
}

/// A cause, as likely as it is the one that a node is down for.
fn pick<'a>(causes: &'a [Cause<'a>], unit: f64) -> &'a Cause<'a> {
    let whole: f64 = causes.iter().map(|cause| cause.per_year * cause.hours).sum();
    let mut left = unit * whole;
    for cause in causes {
        left -= cause.per_year * cause.hours;
        if left < 0.0 {
            return cause;
        }
    }
    causes.last().expect("nothing coincides without causes")
}

fn nodes_of(topology: &Scenario, role: &str) -> u32 {
    topology.nodes.iter().find(|nodes| nodes.role == role).map_or(0, |nodes| nodes.count)
}

impl NodeFailures {
    fn of(causes: &[Cause<'_>], nodes: u32) -> Option<Self> {
        let per_year: f64 = causes.iter().map(|cause| cause.per_year).sum();
        let hours = causes.iter().map(|cause| cause.per_year * cause.hours).sum::<f64>() / per_year;
        (per_year > 0.0 && nodes > 0).then_some(Self { nodes, per_year, hours })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coincidences_take_as_long_together_as_the_binomial_law_says() {
        let failures = NodeFailures { nodes: 3, per_year: 4.0, hours: 2.0 };
        let share: f64 = (0..=3).map(|down| failures.share_with(down)).sum();
        assert!((share - 1.0).abs() < 1e-12);
        // What comes to be 2 leaves it again, by a third failure or a repair, as often.
        let repairs =
            |down: u32| failures.share_with(down) * f64::from(down) * HOURS_PER_YEAR / failures.hours;
        for down in 1..=3 {
            assert!((failures.per_year_to(down) / repairs(down) - 1.0).abs() < 1e-9);
        }
        assert_eq!(failures.per_year_to(4), 0.0);
    }
}
