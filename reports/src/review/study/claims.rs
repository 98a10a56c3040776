//! One claim: what the sum says, what the twin says, what the world as it is says, what production can prove.

use super::Study;
use crate::review::answer::{ClaimAnswer, Column, Figure};
use crate::review::batch::Runs;
use crate::review::compose::{self, Seen};
use crate::review::file::{Claim, Measure};
use crate::review::models::intervals::garwood;
use crate::review::models::lifetimes::exponential;
use crate::review::models::{HOURS_PER_YEAR, Interval, real, redundancy};
use crate::review::strata::NodeFailures;
use scenarios::ScenarioError;
use scenarios::scenario::Scenario;

impl Study<'_> {
    pub(super) fn claim(&self, claim: &Claim, runs: &Runs) -> Result<ClaimAnswer, ScenarioError> {
        let review = self.review;
        let [coincidences, of_private] = &self.overlaps[claim.role.as_str()];
        let mut twin = Seen::all(&self.private, runs);
        twin.extend(Seen::all(coincidences, runs));
        let mut correlated = Seen::all(&self.shared, runs);
        correlated.extend(Seen::all(of_private, runs));
        let nodes = self.nodes_of(claim, &review.topology)?;
        let column = |figure: Figure| Column { verdict: figure.against(claim.target), figure, replay: None };
        let simulated = |figure: Figure, seen: &[Seen<'_>]| Column {
            replay: super::heaviest(seen, &[claim.measure]),
            ..column(figure)
        };
        let as_it_is = self.weighed(claim.measure, &correlated);
        let down = |seen: &[Seen<'_>]| self.replicas_down(claim, seen);
        let by_formula = nodes.map_or_else(nothing_fails, |nodes| Figure::Computed {
            value: (claim.failures..=nodes.nodes).map(|down| nodes.share_with(down)).sum(),
        });
        Ok(ClaimAnswer {
            name: claim.name.clone(),
            source: claim.source.clone(),
            measure: claim.measure,
            role: claim.role.clone(),
            failures: claim.failures,
            target: claim.target,
            nodes,
            node_unavailability: nodes.map(|nodes| nodes.unavailability()),
            formula: column(self.formula(claim, &review.topology, claim.failures)?),
            twin: simulated(self.weighed(claim.measure, &twin), &twin),
            production: column(self.production(claim.measure)),
            replicas_down: [by_formula, down(&twin), down(&correlated)],
            effective_replicas: self.effective(claim, nodes, &as_it_is),
            correlated: simulated(as_it_is, &correlated),
            clean_hours_needed: self.clean_hours_needed(claim),
        })
    }

    /// What the sum says where `failures` nodes must fail together.
    pub(super) fn formula(
        &self,
        claim: &Claim,
        topology: &Scenario,
        failures: u32,
    ) -> Result<Figure, ScenarioError> {
        let Some(nodes) = self.nodes_of(claim, topology)? else { return Ok(nothing_fails()) };
        let figure = match claim.measure {
            Measure::Loss => compose::within(
                Figure::Computed { value: nodes.per_year_to(failures) },
                self.review.horizon_hours,
            ),
            Measure::Downtime => {
                let down = u64::from(nodes.nodes + 1 - failures);
                match redundancy::k_of_n_unavailability(
                    1.0 - nodes.unavailability(),
                    down,
                    nodes.nodes.into(),
                ) {
                    Ok(value) => Figure::Computed { value },
                    Err(error) => Figure::None { reason: error.to_string() },
                }
            }
        };
        Ok(figure)
    }

    /// How the nodes fail: by the events, with the claim's own P where it states one.
    fn nodes_of(&self, claim: &Claim, topology: &Scenario) -> Result<Option<NodeFailures>, ScenarioError> {
        let nodes = self.strata.node_failures(topology, &claim.role)?;
        Ok(nodes.map(|nodes| match claim.node_unavailability {
            Some(share) => {
                NodeFailures { per_year: share / (1.0 - share) * HOURS_PER_YEAR / nodes.hours, ..nodes }
            }
            None => nodes,
        }))
    }

    /// What strata make of a claim's measure within the horizon.
    pub(super) fn weighed(&self, measure: Measure, seen: &[Seen<'_>]) -> Figure {
        let a_year = self.a_year(measure, seen);
        match measure {
            Measure::Loss => compose::within(a_year, self.review.horizon_hours),
            Measure::Downtime => compose::share_of_time(a_year),
        }
    }

    /// The share of time that at least the claim's number of replicas were down at once.
    fn replicas_down(&self, claim: &Claim, seen: &[Seen<'_>]) -> Figure {
        let confidence = self.review.confidence;
        let hours = compose::replicas_down_hours(seen, confidence, &claim.role, claim.failures);
        compose::share_of_time(hours)
    }

    /// How many independent nodes would be down together as long, or be lost together as often.
    pub(super) fn effective(
        &self,
        claim: &Claim,
        nodes: Option<NodeFailures>,
        figure: &Figure,
    ) -> Option<f64> {
        let (nodes, value) = (nodes?, figure.value().filter(|value| *value > 0.0 && *value < 1.0)?);
        let together = match claim.measure {
            Measure::Downtime => value,
            // As often as this, each time for as long as all of them would be down: a share of time again.
            Measure::Loss => {
                let per_year = -(-value).ln_1p() * HOURS_PER_YEAR / self.review.horizon_hours;
                per_year * nodes.hours / f64::from(nodes.nodes) / HOURS_PER_YEAR
            }
        };
        redundancy::effective_replicas(together, nodes.unavailability()).ok()
    }

    /// What production has shown: how often, by its count of losses or outages, and for downtime how long besides.
    fn production(&self, measure: Measure) -> Figure {
        let Some(production) = &self.review.production else {
            return Figure::None { reason: "no hours of production are given".to_owned() };
        };
        let (years, confidence) = (production.hours / HOURS_PER_YEAR, self.review.confidence);
        match measure {
            Measure::Loss => {
                let per_year = seen_in("loss", production.losses, production.hours, confidence);
                compose::within(per_year, self.review.horizon_hours)
            }
            Measure::Downtime if production.outages == 0 => {
                let per_year = seen_in("outage", 0, production.hours, confidence);
                let mean = self.event_hours_mean();
                let as_long = |per_year| compose::share_of_time(Figure::map(per_year, |rate| rate * mean));
                match as_long(per_year) {
                    Figure::Below { below, seen, runs, reason } => {
                        let mean = crate::review::figures::rough(mean);
                        let reason = format!("{reason}, if one lasts {mean} h as the events do on the mean");
                        Figure::Below { below, seen, runs, reason }
                    }
                    other => other,
                }
            }
            Measure::Downtime => match production.down_hours {
                None => Figure::None {
                    reason: "how long its outages lasted is not given: `down-hours`".to_owned(),
                },
                Some(hours) => share_of_outages(production.outages, hours, years, confidence),
            },
        }
    }

    fn event_hours_mean(&self) -> f64 {
        let hours: f64 = self.shared.iter().map(|stratum| stratum.per_year * stratum.hours).sum();
        hours / self.shared.iter().map(|stratum| stratum.per_year).sum::<f64>()
    }

    /// How many hours without a failure would show the target, at the review's confidence.
    fn clean_hours_needed(&self, claim: &Claim) -> f64 {
        let nothing_seen = -(-self.review.confidence).ln_1p();
        match claim.measure {
            Measure::Loss => nothing_seen * self.review.horizon_hours / -(-claim.target).ln_1p(),
            // A share of time down: outages of the length that events have on the mean, as rare as the target asks.
            Measure::Downtime => nothing_seen * self.event_hours_mean() / claim.target,
        }
    }
}

/// How often a year, after so many of them in `hours`.
fn seen_in(what: &str, count: u64, hours: f64, confidence: f64) -> Figure {
    let years = hours / HOURS_PER_YEAR;
    match garwood(count, years, confidence) {
        Err(error) => Figure::None { reason: error.to_string() },
        Ok(interval) if count == 0 => Figure::Below {
            below: interval.high,
            seen: None,
            runs: 0,
            reason: format!("no {what} in {hours} h"),
        },
        Ok(interval) => Figure::Estimated {
            value: real(count) / years,
            interval,
            runs: 0,
            effective_sample_size: real(count),
        },
    }
}

/// The share of time down, of a number of outages in `years` and all of their hours: how many there are by the Poisson law, how long
/// one lasts by the exponential. Both ends hold at once, each at half of the doubt (Bonferroni).
fn share_of_outages(outages: u64, hours: f64, years: f64, confidence: f64) -> Figure {
    let each = f64::midpoint(1.0, confidence);
    let both = garwood(outages, years, each).and_then(|rate| Ok((rate, exponential(outages, hours, each)?)));
    match both {
        Err(error) => Figure::None { reason: error.to_string() },
        Ok((rate, length)) => {
            let interval = Interval {
                low: rate.low * length.interval.low,
                high: rate.high * length.interval.high,
                confidence,
            };
            let (value, effective_sample_size) = (hours / years, real(outages));
            compose::share_of_time(Figure::Estimated { value, interval, runs: 0, effective_sample_size })
        }
    }
}

fn nothing_fails() -> Figure {
    Figure::None { reason: "no event takes a node of this role".to_owned() }
}
