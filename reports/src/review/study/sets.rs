//! What is enough to take the service down or to lose requests: single nodes, pairs, and everything that shares a domain.

use crate::review::answer::MinimalSet;
use crate::review::batch::{Ran, Runs};
use crate::review::outcome::Outcome;
use crate::review::strata::Strata;
use scenarios::ScenarioError;
use sim::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// Down for more than this share of the time that a set has no power is down.
const DOWN_SHARE: f64 = 0.5;

/// A set of things that may be enough.
pub(super) struct Candidate {
    members: Vec<String>,
    pub(super) plans: Vec<Plan>,
}

/// Every node of the claims' roles, every pair of one role, every domain.
pub(super) fn candidates(strata: &Strata<'_>) -> Result<Vec<Candidate>, ScenarioError> {
    let review = strata.review;
    let Some(seeds) = review.set_seeds else { return Ok(Vec::new()) };
    let nodes = review.topology.plan_nodes();
    let roles: BTreeSet<&str> = review.claims.iter().map(|claim| claim.role.as_str()).collect();
    let mut sets: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for role in roles {
        let names: Vec<&String> =
            nodes.iter().filter(|node| node.role == role).map(|node| &node.name).collect();
        for (place, one) in names.iter().enumerate() {
            sets.push((vec![(*one).clone()], vec![(*one).clone()]));
            for other in &names[place + 1..] {
                let pair = vec![(*one).clone(), (*other).clone()];
                sets.push((pair.clone(), pair));
            }
        }
    }
    let mut domains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !node.is_client()) {
        for (kind, value) in &node.domains {
            domains.entry(format!("{kind}={value}")).or_default().push(node.name.clone());
        }
    }
    // A domain of one node is that node, and domains of the same nodes are one set with several names.
    let mut by_nodes: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for (domain, nodes) in domains.into_iter().filter(|(_, nodes)| nodes.len() > 1) {
        by_nodes.entry(nodes).or_default().push(domain);
    }
    sets.extend(by_nodes.into_iter().map(|(nodes, domains)| (vec![domains.join(", ")], nodes)));
    let candidate = |(members, nodes): (Vec<String>, Vec<String>)| {
        let seeds = (0..seeds).map(|place| review.base.wrapping_add(place));
        let plans = seeds
            .map(|seed| strata.without_power(&review.topology, &nodes, seed))
            .collect::<Result<_, _>>()?;
        Ok(Candidate { members, plans })
    };
    sets.into_iter().map(candidate).collect()
}

/// Those that were enough, and no part of which was.
pub(super) fn minimal(candidates: &[Candidate], runs: &Runs) -> Vec<MinimalSet> {
    let mut found: Vec<MinimalSet> = Vec::new();
    let mut ordered: Vec<&Candidate> = candidates.iter().collect();
    ordered.sort_by_key(|candidate| candidate.members.len());
    for candidate in ordered {
        let outcomes: Vec<_> = candidate.plans.iter().filter_map(|plan| runs.of(plan)?.outcome()).collect();
        let count =
            |is: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count() as u64;
        let is_down = |outcome: &Outcome| outcome.settled_share() > DOWN_SHARE;
        let seen = BTreeMap::from([("down", count(&is_down)), ("lost", count(&|outcome| outcome.lost > 0))]);
        let part_of = |one: &MinimalSet| one.members.iter().all(|member| candidate.members.contains(member));
        // A part that is enough for the same leaves nothing to say.
        let down = seen["down"] > 0 && !found.iter().any(|one| one.down && part_of(one));
        let lost = seen["lost"] > 0 && !found.iter().any(|one| one.lost && part_of(one));
        if down || lost {
            let members = candidate.members.clone();
            let showed = |outcome: &Outcome| (down && is_down(outcome)) || (lost && outcome.lost > 0);
            let showed = candidate.plans.iter().find(|plan| {
                let outcome = runs.of(plan).and_then(Ran::outcome);
                outcome.is_some_and(showed)
            });
            let replay = showed.map(super::plan_name);
            found.push(MinimalSet { members, down, lost, seen, runs: outcomes.len() as u64, replay });
        }
    }
    found
}
