//! What a page draws: how many fail at once, what a year may bring, how an event goes, which input matters most.

use super::{Study, groups, name_of};
use crate::review::answer::{Curves, DownAtOnce, Served, Tornado, Year};
use crate::review::batch::Runs;
use crate::review::compose::{self, Seen};
use crate::review::models::{HOURS_PER_YEAR, real};
use crate::review::outcome::Outcome;
use scenarios::ScenarioError;
use sim::rng::Stream;
use std::collections::BTreeSet;

/// How many years are drawn.
const YEARS: usize = 20_000;
/// The most events of one stratum in a drawn year: what comes more often is no rare event.
const EVENTS_MAX: u32 = 100_000;

impl Study<'_> {
    pub(super) fn curves(
        &self,
        shared: &[Seen<'_>],
        all: &[Seen<'_>],
        runs: &Runs,
    ) -> Result<Curves, ScenarioError> {
        let run = &self.review.run;
        let acts = [run.at_ns, run.at_ns + run.fault_ns].map(compose::seconds);
        let served = groups(shared).into_iter().map(|seen| Served {
            event: name_of(&seen).to_owned(),
            acts,
            shares: mean_served(&seen),
        });
        Ok(Curves {
            down_at_once: self.down_at_once(runs)?,
            year: years(all, self.review.base),
            served: served.collect(),
            tornado: self.tornado(shared, all),
        })
    }

    fn down_at_once(&self, runs: &Runs) -> Result<Vec<DownAtOnce>, ScenarioError> {
        let roles: BTreeSet<&str> = self.review.claims.iter().map(|claim| claim.role.as_str()).collect();
        let mut curves = Vec::new();
        for role in roles {
            let Some(nodes) = self.strata.node_failures(&self.review.topology, role)? else { continue };
            let mut seen = Seen::all(&self.shared, runs);
            seen.extend(Seen::all(&self.overlaps[role][1], runs));
            let formula = |down: u32| (down..=nodes.nodes).map(|down| nodes.share_with(down)).sum();
            let correlated = |down: u32| {
                let hours =
                    |one: &Seen<'_>, outcome: &Outcome| outcome.share_down(role, down) * one.stratum.hours;
                compose::a_year(&seen, hours) / HOURS_PER_YEAR
            };
            curves.push(DownAtOnce {
                role: role.to_owned(),
                formula: (1..=nodes.nodes).map(formula).collect(),
                correlated: (1..=nodes.nodes).map(correlated).collect(),
            });
        }
        Ok(curves)
    }

    fn tornado(&self, shared: &[Seen<'_>], all: &[Seen<'_>]) -> Vec<Tornado> {
        let whole = compose::a_year(all, |one, outcome| one.down_hours(outcome));
        let mut bars: Vec<Tornado> = self
            .review
            .events
            .iter()
            .zip(groups(shared))
            .map(|(event, seen)| {
                let own = compose::a_year(&seen, |one, outcome| one.down_hours(outcome));
                let (low, high) = (event.rate.per_year_low, event.rate.per_year_high);
                let at = |rate: Option<f64>, otherwise: f64| {
                    let times = rate.map_or(otherwise, |rate| rate / event.rate.per_year);
                    whole + own * (times - 1.0)
                };
                let given = low.is_some() && high.is_some();
                Tornado { event: event.name.clone(), given, low: at(low, 0.5), high: at(high, 2.0) }
            })
            .collect();
        bars.sort_by(|one, other| (other.high - other.low).total_cmp(&(one.high - one.low)));
        bars
    }
}

fn mean_served(seen: &[Seen<'_>]) -> Vec<f64> {
    let known: Vec<&Outcome> = seen.iter().flat_map(Seen::known).collect();
    let seconds = known.iter().map(|outcome| outcome.served.len()).max().unwrap_or(0);
    (0..seconds)
        .map(|second| {
            let share = |outcome: &&Outcome| outcome.served.get(second).copied().unwrap_or(1.0);
            known.iter().map(share).sum::<f64>() / real(known.len() as u64)
        })
        .collect()
}

/// Years drawn from frequencies and outcomes: each event as often as chance has it, each time one of its runs.
fn years(seen: &[Seen<'_>], seed: u64) -> Option<Year> {
    let outcomes: Vec<(f64, Vec<f64>)> = seen
        .iter()
        .map(|one| (one.stratum.per_year, one.known().map(|outcome| one.down_hours(outcome)).collect()))
        .collect();
    if outcomes.iter().any(|(_, hours)| hours.is_empty()) {
        return None;
    }
    let mut stream = Stream::named(seed, "review/years");
    let mut drawn: Vec<f64> = (0..YEARS)
        .map(|_| {
            let hours = |(per_year, hours): &(f64, Vec<f64>)| {
                let times = times_in_a_year(*per_year, &mut stream);
                (0..times).filter_map(|_| stream.pick(hours)).sum::<f64>()
            };
            outcomes.iter().map(hours).sum::<f64>().min(HOURS_PER_YEAR)
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let whole = real(YEARS as u64);
    let any = real(drawn.iter().filter(|hours| **hours > 0.0).count() as u64) / whole;
    let shares = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
    let exceeded = |share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        let place = (whole * (1.0 - share)) as usize;
        (share, drawn[place.min(drawn.len() - 1)])
    };
    Some(Year { years: YEARS as u64, any, exceeded: shares.map(exceeded).to_vec() })
}

/// How often an event comes in one year: arrivals of a Poisson process, one by one.
fn times_in_a_year(per_year: f64, stream: &mut Stream) -> u32 {
    let (mut at, mut times) = (0.0, 0);
    while times < EVENTS_MAX {
        at -= sim::rng::ln(1.0 - stream.unit()) / per_year;
        if at > 1.0 {
            break;
        }
        times += 1;
    }
    times
}
