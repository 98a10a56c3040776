//! Whether failures come together.

use super::{Incident, Options};
use crate::review::models::intervals::{bound_after_none, clopper_pearson};
use crate::review::models::{Interval, ModelError, real};
use serde::Serialize;
use std::collections::BTreeSet;

/// How far incidents come together.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clusters {
    /// Incidents that start within so many seconds of the one before belong to one event.
    pub window_seconds: f64,
    /// Events: bursts, and incidents by themselves.
    pub events: u64,
    /// How many events took exactly 1, 2, … components.
    pub events_by_size: Vec<u64>,
    /// The share of incidents in events of two or more (Ford et al. 2010: 37 % within 120 s).
    pub in_bursts: Share,
    /// What that share would be if incidents came at random, one by one, as often.
    pub in_bursts_if_independent: f64,
    /// β: the share of a component's failures that came with another component's.
    pub beta: Share,
    /// α_k: the share of events that took exactly k components.
    pub alphas: Vec<Share>,
}

/// A share; where none was seen, a bound instead of a bare zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// Seen.
    Seen {
        /// The estimate.
        value: f64,
        /// Its interval; events are what is counted, as incidents of one are not independent.
        interval: Interval,
    },
    /// None seen: the share is below this.
    Below(f64),
}

/// Cuts incidents into events: whatever starts within the window of the one before belongs to the same.
pub(super) fn events<'a>(incidents: &[&'a Incident], window_seconds: f64) -> Vec<Vec<&'a Incident>> {
    let mut events: Vec<Vec<&Incident>> = Vec::new();
    for incident in incidents {
        let joins = events.last().and_then(|event| event.last()).is_some_and(|before| {
            super::hours(before.start_seconds, incident.start_seconds) * 3_600.0 <= window_seconds
        });
        match events.last_mut() {
            Some(event) if joins => event.push(incident),
            _ => events.push(vec![incident]),
        }
    }
    events
}

/// How many different components an event took.
pub(super) fn components(event: &[&Incident]) -> u64 {
    event.iter().map(|incident| incident.component.as_str()).collect::<BTreeSet<_>>().len() as u64
}

pub(super) fn find(
    incidents: &[Incident],
    population: u64,
    watched_hours: f64,
    options: &Options,
) -> Result<Clusters, ModelError> {
    let window_seconds = options.burst_seconds;
    let all: Vec<&Incident> = incidents.iter().collect();
    let events = events(&all, window_seconds);
    let mut events_by_size: Vec<u64> = Vec::new();
    for event in &events {
        let size = usize::try_from(components(event)).expect("at most the incidents of a log");
        if events_by_size.len() < size {
            events_by_size.resize(size, 0);
        }
        events_by_size[size - 1] += 1;
    }
    let multiple = |event: &&Vec<&Incident>| event.len() > 1;
    let bursts = events.iter().filter(multiple).count() as u64;
    let burst_incidents = events.iter().filter(multiple).map(Vec::len).sum::<usize>() as u64;
    let several: u64 = events_by_size.iter().skip(1).sum();
    let failures_of_several: u64 =
        (2..).zip(events_by_size.iter().skip(1)).map(|(size, number)| size * number).sum();
    let number = events.len() as u64;
    let count = |of, failures, most| Counted { of, failures, events: number, most };
    let rate_per_second = real(all.len() as u64) / (watched_hours * 3_600.0);
    Ok(Clusters {
        window_seconds,
        events: number,
        in_bursts: count(bursts, burst_incidents, 2).share(options.confidence)?,
        in_bursts_if_independent: -(-2.0 * rate_per_second * window_seconds).exp_m1(),
        beta: count(several, failures_of_several, population.max(2)).share(options.confidence)?,
        alphas: events_by_size
            .iter()
            .map(|of| share_of_events(*of, number, options.confidence))
            .collect::<Result<_, _>>()?,
        events_by_size,
    })
}

fn share_of_events(of: u64, events: u64, confidence: f64) -> Result<Share, ModelError> {
    if of == 0 {
        return Ok(Share::Below(bound_after_none(events, confidence)?));
    }
    let interval = clopper_pearson(of, events, confidence)?;
    Ok(Share::Seen { value: real(of) / real(events), interval })
}

/// How many events were of some sort, and how many failures those hold.
struct Counted {
    of: u64,
    failures: u64,
    events: u64,
    /// The largest event that could have stayed unseen.
    most: u64,
}

impl Counted {
    /// The share of failures that lie in such events: q·s/((1−q) + q·s), with q the share of such events and s their mean size.
    ///
    /// The interval is the exact one of q carried through, at the mean size seen.
    fn share(&self, confidence: f64) -> Result<Share, ModelError> {
        let q = clopper_pearson(self.of, self.events, confidence)?;
        let size = if self.of == 0 { real(self.most) } else { real(self.failures) / real(self.of) };
        let carried = |q: f64| q * size / ((1.0 - q) + q * size);
        if self.of == 0 {
            return Ok(Share::Below(carried(q.high)));
        }
        let interval = Interval { low: carried(q.low), high: carried(q.high), confidence };
        Ok(Share::Seen { value: carried(real(self.of) / real(self.events)), interval })
    }
}
