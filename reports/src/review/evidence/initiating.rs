//! The causes of a log as initiating events of a review.

use super::{Incident, Options, Watch, clusters, hours, instant};
use crate::review::models::intervals::garwood;
use crate::review::models::lifetimes::Observation;
use crate::review::models::survival::{kaplan_meier, percentile};
use crate::review::models::{HOURS_PER_YEAR, Interval, ModelError, real};
use serde::Serialize;
use std::collections::BTreeMap;

/// One cause, as often as it struck: incidents of the same cause that start together are one event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InitiatingEvent {
    /// The cause, as the log calls it.
    pub name: String,
    /// Events a year.
    pub per_year: f64,
    /// The lower end of that, at the confidence below.
    pub per_year_low: f64,
    /// The upper end of that.
    pub per_year_high: f64,
    /// The confidence of the interval.
    pub confidence: f64,
    /// How many components an event took, on the mean.
    pub components_mean: f64,
    /// How many it took at most.
    pub components_max: u64,
    /// The median time down, in hours; absent where too few ended to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_hours_median: Option<f64>,
    /// The ninth of ten, in hours; absent where too few ended to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_hours_p90: Option<f64>,
    /// Where the figures come from.
    pub source: String,
}

pub(super) fn events(
    incidents: &[Incident],
    watch: &Watch,
    source: &str,
    options: &Options,
) -> Result<Vec<InitiatingEvent>, ModelError> {
    let mut causes: BTreeMap<&str, Vec<&Incident>> = BTreeMap::new();
    for incident in incidents {
        causes.entry(&incident.cause).or_default().push(incident);
    }
    causes.into_iter().map(|(name, incidents)| event(name, &incidents, watch, source, options)).collect()
}

fn event(
    name: &str,
    incidents: &[&Incident],
    watch: &Watch,
    source: &str,
    options: &Options,
) -> Result<InitiatingEvent, ModelError> {
    let events = clusters::events(incidents, options.burst_seconds);
    let years = watch.hours() / HOURS_PER_YEAR;
    let number = events.len() as u64;
    let Interval { low, high, confidence } = garwood(number, years, options.confidence)?;
    let sizes: Vec<u64> = events.iter().map(|event| clusters::components(event)).collect();
    let down: Vec<Observation> = incidents
        .iter()
        .map(|incident| Observation {
            time: hours(incident.start_seconds, incident.end_seconds.unwrap_or(watch.until)),
            ended: incident.end_seconds.is_some(),
        })
        .filter(|one| one.time > 0.0)
        .collect();
    let curve = if down.is_empty() { Vec::new() } else { kaplan_meier(&down, options.confidence)? };
    Ok(InitiatingEvent {
        name: name.to_owned(),
        per_year: real(number) / years,
        per_year_low: low,
        per_year_high: high,
        confidence,
        components_mean: real(sizes.iter().sum()) / real(number),
        components_max: sizes.iter().copied().max().unwrap_or(1),
        down_hours_median: percentile(&curve, 0.5),
        down_hours_p90: percentile(&curve, 0.9),
        source: format!(
            "{source}: {number} events, {} incidents, {} to {}",
            incidents.len(),
            instant::format(watch.from),
            instant::format(watch.until)
        ),
    })
}

/// A review file's `[[initiating-event]]` tables.
pub(super) fn toml(events: &[InitiatingEvent]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct File<'a> {
        initiating_event: &'a [InitiatingEvent],
    }
    toml::to_string(&File { initiating_event: events })
        .expect("strings and finite numbers can be written as TOML")
}
