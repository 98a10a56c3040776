//! The ways in which a year can go wrong, each with a frequency and with runs of the real stack: shared events as they are, the
//! same events on one node at a time, and nodes that are down at once by coincidence.

use super::file::{Event, Review};
use super::harm;
use super::models::{HOURS_PER_YEAR, binomial, real};
use scenarios::ScenarioError;
use scenarios::planner;
use scenarios::scenario::{FaultSpec, Scenario};
use scenarios::value::Between;
use sim::fault::Fault;
use sim::plan::{NodePlan, Plan};
use sim::rng::Stream;
use sim::stack::Stack;

/// How many draws of an event say how many nodes it takes on the mean.
const DRAWS: u64 = 256;

/// One way in which things go wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Stratum {
    /// Its name: the event's, or how many nodes are down at once.
    pub name: String,
    /// How many nodes of which role are down at once by coincidence; none for an event.
    pub overlap: Option<(String, u32)>,
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
}

impl Strata<'_> {
    /// The events as they are, in the world `topology`, `seeds` runs of each.
    pub fn shared(&self, topology: &Scenario, seeds: u64) -> Result<Vec<Stratum>, ScenarioError> {
        let nodes = topology.plan_nodes();
        let events = self.review.events.iter().map(|event| {
            let plans =
                self.seeds(seeds).map(|seed| self.plan(topology, event, seed)).collect::<Result<_, _>>()?;
            let (per_year, hours) = (event.per_year(&nodes), event.lasting.hours_mean());
            Ok(Stratum { name: event.name.clone(), overlap: None, per_year, hours, plans })
        });
        events.collect()
    }

    /// The events with every domain private: as many failures of every node, each by itself.
    pub fn private(&self, topology: &Scenario, seeds: u64) -> Result<Vec<Stratum>, ScenarioError> {
        let nodes = topology.plan_nodes();
        let events = self.review.events.iter().map(|event| {
            let plans =
                self.seeds(seeds).map(|seed| self.alone(topology, event, seed)).collect::<Result<_, _>>()?;
            let hit = self.hits(topology, event, |_| true)?.mean;
            let (per_year, hours) = (event.per_year(&nodes) * hit, event.lasting.hours_mean());
            Ok(Stratum { name: event.name.clone(), overlap: None, per_year, hours, plans })
        });
        events.collect()
    }

    /// Two nodes and more of `role` down at once by coincidence, for each number of them: `only_private` counts just the events
    /// that take one of them at a time, as in a world in which the others are shared.
    pub fn overlaps(
        &self,
        topology: &Scenario,
        role: &str,
        only_private: bool,
        seeds: u64,
    ) -> Result<Vec<Stratum>, ScenarioError> {
        let causes = self.causes(topology, role, only_private)?;
        let Some(failures) = NodeFailures::of(&causes, nodes_of(topology, role)) else {
            return Ok(Vec::new());
        };
        let strata = (2..=failures.nodes).map(|down| {
            let per_year = failures.per_year_to(down);
            let hours = failures.share_with(down) * HOURS_PER_YEAR / per_year;
            let plans = self
                .seeds(seeds)
                .map(|seed| self.coincidence(topology, role, &causes, down, seed))
                .collect::<Result<_, _>>()?;
            let name = format!("{down} of {} {role} nodes by coincidence", failures.nodes);
            Ok(Stratum { name, overlap: Some((role.to_owned(), down)), per_year, hours, plans })
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
        plan.faults = vec![Fault { name: "set".to_owned(), start_ns, end_ns, shared: None, inject }];
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

    /// One event as it is.
    fn plan(&self, topology: &Scenario, event: &Event, seed: u64) -> Result<Plan, ScenarioError> {
        let run = &self.review.run;
        let mut scenario = self.world(topology);
        scenario.faults = vec![FaultSpec {
            name: event.name.clone(),
            why: None,
            at_ns: Between::exactly(run.at_ns),
            length_ns: Between::exactly(run.fault_ns),
            chance: 1.0,
            times: Between::exactly(1),
            injection: event.injection.clone(),
        }];
        planner::plan(&scenario, self.stack, None, seed, &[])
    }

    /// One event, on one of the nodes that it would have hit.
    fn alone(&self, topology: &Scenario, event: &Event, seed: u64) -> Result<Plan, ScenarioError> {
        let mut plan = self.plan(topology, event, seed)?;
        for fault in &mut plan.faults {
            let hit = harm::hit(&fault.inject);
            let mut stream = Stream::named(seed, &format!("review/{}/alone", event.name));
            if let Some(node) = stream.pick(&hit) {
                fault.inject = harm::only(&fault.inject, std::slice::from_ref(node));
                fault.shared = None;
            }
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
            let drawn = self.plan(topology, cause.event, seed)?;
            let Some(fault) = drawn.faults.first() else { continue };
            plan.faults.push(Fault {
                name: format!("coincidence-{}", place + 1),
                start_ns: run.at_ns + run.fault_ns / 4 * place / u64::from(down),
                end_ns: run.at_ns + run.fault_ns,
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
        let count = real(nodes_of(topology, role).into());
        let mut causes = Vec::new();
        for event in self.review.events.iter().filter(|event| !harm::degrades(event.injection.kind)) {
            let hits = self.hits(topology, event, |node| node.role == role)?;
            if hits.mean > 0.0 && !(only_private && hits.most > 1) {
                let per_year = event.per_year(&nodes) * hits.mean / count;
                causes.push(Cause { event, per_year, hours: event.lasting.hours_mean() });
            }
        }
        Ok(causes)
    }

    /// How many nodes that `counts` counts an event hits.
    fn hits(
        &self,
        topology: &Scenario,
        event: &Event,
        counts: impl Fn(&NodePlan) -> bool,
    ) -> Result<Hits, ScenarioError> {
        let (mut sum, mut most) = (0, 0);
        for seed in 0..DRAWS {
            let plan = self.plan(topology, event, seed)?;
            let is_hit = |name: &String| match name.strip_prefix(harm::LEADER_OF) {
                Some(role) => plan.nodes.iter().find(|node| node.role == role).is_some_and(&counts),
                None => plan.nodes.iter().find(|node| node.name == *name).is_some_and(&counts),
            };
            let hit: u64 = plan
                .faults
                .iter()
                .map(|fault| harm::hit(&fault.inject).iter().filter(|name| is_hit(name)).count() as u64)
                .sum();
            (sum, most) = (sum + hit, most.max(hit));
        }
        Ok(Hits { mean: real(sum) / real(DRAWS), most })
    }
}

/// How many nodes an event hits.
struct Hits {
    mean: f64,
    most: u64,
}

/// An event that takes nodes of a role.
struct Cause<'a> {
    event: &'a Event,
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
