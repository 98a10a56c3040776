//! What an incident log proves: how long things last and how long they are down, clean hours, whether failures come together.
//!
//! The log is a table of `start,end,component,cause`; an empty end is an incident that was still open. Rows that cannot be
//! read are all reported with their lines, and nothing is left out in silence: what had to be assumed is in
//! [`Evidence::assumptions`].

mod clusters;
mod initiating;
mod instant;
mod log;

pub use clusters::{Clusters, Share};
pub use initiating::InitiatingEvent;
pub use instant::format as format_instant;
pub use log::{Incident, RowError};

use super::models::intervals::{garwood, mean_hours_shown};
use super::models::lifetimes::{self, Exponential, Lognormal, Observation, Weibull};
use super::models::survival::{kaplan_meier, percentile};
use super::models::{Interval, ModelError, open_probability, positive, real};
use serde::Serialize;
use std::collections::BTreeMap;

/// How a log is to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// When watching began; the first incident's start where not given, which flatters nothing but wastes the time before.
    pub watched_from: Option<String>,
    /// When watching ended; the last instant of the log where not given.
    pub watched_until: Option<String>,
    /// How many components were watched, those that never failed included; those in the log where not given.
    pub components: Option<u64>,
    /// Incidents that start within so many seconds of each other belong together; 120 in Ford et al. 2010.
    pub burst_seconds: f64,
    /// The confidence of every interval.
    pub confidence: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            watched_from: None,
            watched_until: None,
            components: None,
            burst_seconds: 120.0,
            confidence: 0.95,
        }
    }
}

/// Why a log proves nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvidenceError {
    /// Its first line does not name the columns.
    #[error("{0}")]
    Header(String),
    /// Rows cannot be read, or contradict each other; all of them.
    #[error("{} of the log cannot be used:{}", rows(.0.len()), .0.iter().map(|row| format!("\n  {row}")).collect::<String>())]
    Rows(Vec<RowError>),
    /// It holds no incident.
    #[error(
        "the log holds no incident, so nothing can be fitted; `hogwash calc clean-hours hours=…` says what hours without \
         any incident prove"
    )]
    Empty,
    /// An option contradicts the log, or itself.
    #[error("{0}")]
    Option(String),
    /// A model refuses an option, such as a confidence of 1.
    #[error(transparent)]
    Model(#[from] ModelError),
}

fn rows(number: usize) -> String {
    if number == 1 { "one row".to_owned() } else { format!("{number} rows") }
}

/// What a log proves. Times are in hours unless a name says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// What the log is called.
    pub source: String,
    /// How many incidents it holds.
    pub incidents: u64,
    /// How many of them were still open.
    pub open: u64,
    /// How long was watched.
    pub watched_hours: f64,
    /// From when, in seconds since 1970.
    pub watched_from_seconds: i64,
    /// How many components.
    pub components: u64,
    /// How long a component lasts.
    pub time_to_failure: TimeToFailure,
    /// How long a component is down.
    pub time_to_repair: TimeToRepair,
    /// Hours without any incident, and what they prove.
    pub clean: Clean,
    /// Whether incidents come together.
    pub clusters: Clusters,
    /// The same by component.
    pub by_component: Vec<Group>,
    /// The causes, as initiating events.
    pub causes: Vec<InitiatingEvent>,
    /// What had to be assumed.
    pub assumptions: Vec<String>,
}

/// A fit, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit<T> {
    /// The fit.
    Fitted(T),
    /// Why there is none.
    NotFitted(String),
}

impl<T> From<Result<T, ModelError>> for Fit<T> {
    fn from(result: Result<T, ModelError>) -> Self {
        match result {
            Ok(fitted) => Self::Fitted(fitted),
            Err(error) => Self::NotFitted(error.to_string()),
        }
    }
}

/// How long a component lasts, in hours.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TimeToFailure {
    /// Failures seen.
    pub failures: u64,
    /// Hours up, all components together.
    pub exposure_hours: f64,
    /// At a constant rate.
    pub exponential: Exponential,
    /// With a rate that rises or falls from one repair to the next failure; times before a component's first failure are not part of it,
    /// as its age is not known.
    pub weibull: Fit<Weibull>,
}

/// How long a component is down, in hours. The mean alone says little, so it is not told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TimeToRepair {
    /// Repairs that ended.
    pub repairs: u64,
    /// Half of the incidents ended within; none where the log does not say.
    pub median_hours: Option<f64>,
    /// Nine of ten; none where the log does not say.
    pub p90_hours: Option<f64>,
    /// Ninety-nine of a hundred; none where the log does not say.
    pub p99_hours: Option<f64>,
    /// A lognormal law.
    pub lognormal: Fit<Lognormal>,
}

/// Hours in which no component was down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clean {
    /// All of them.
    pub total_hours: f64,
    /// The longest stretch.
    pub longest_hours: f64,
    /// The stretch that lasted at the end of the log; 0 where an incident was open.
    pub current_hours: f64,
    /// The mean time between incidents that the current stretch shows, at the stated confidence; none where it is 0.
    ///
    /// The current one, not the longest: the best of many stretches proves less than it seems to.
    pub mean_hours_shown: Option<f64>,
    /// The confidence of that.
    pub confidence: f64,
}

/// What the log says of one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// The component.
    pub name: String,
    /// Its incidents.
    pub incidents: u64,
    /// Hours up.
    pub exposure_hours: f64,
    /// Failures per hour up.
    pub rate_per_hour: Interval,
    /// Hours down.
    pub down_hours: f64,
}

/// Reads the log `text`, which is called `source`, and says what it proves.
pub fn evidence(text: &str, source: &str, options: &Options) -> Result<Evidence, EvidenceError> {
    open_probability("confidence", options.confidence)?;
    positive("burst_seconds", options.burst_seconds)?;
    let (incidents, mut assumptions) = log::read(text)?;
    let watch = Watch::of(&incidents, options, &mut assumptions)?;
    let lives = lives(&incidents, &watch);
    let components = population(lives.len() as u64, options, &mut assumptions)?;
    let mut exposure_hours = watch.hours() * real(components - lives.len() as u64);
    let mut between = Vec::new();
    let mut by_component = Vec::new();
    for (name, life) in &lives {
        exposure_hours += life.up_hours;
        between.extend_from_slice(&life.between);
        by_component.push(Group {
            name: (*name).to_owned(),
            incidents: life.incidents,
            exposure_hours: life.up_hours,
            rate_per_hour: rate(life.incidents, life.up_hours, options.confidence)?,
            down_hours: life.down_hours,
        });
    }
    let failures = incidents.len() as u64;
    if exposure_hours <= 0.0 {
        return Err(EvidenceError::Option("no component was up for any time that was watched".to_owned()));
    }
    let time_to_failure = TimeToFailure {
        failures,
        exposure_hours,
        exponential: lifetimes::exponential(failures, exposure_hours, options.confidence)?,
        weibull: lifetimes::weibull(&between, options.confidence).into(),
    };
    Ok(Evidence {
        source: source.to_owned(),
        incidents: failures,
        open: incidents.iter().filter(|incident| incident.end_seconds.is_none()).count() as u64,
        watched_hours: watch.hours(),
        watched_from_seconds: watch.from,
        components,
        time_to_failure,
        time_to_repair: time_to_repair(&incidents, &watch, options.confidence)?,
        clean: clean(&incidents, &watch, options.confidence)?,
        clusters: clusters::find(&incidents, components, watch.hours(), options)?,
        by_component,
        causes: initiating::events(&incidents, &watch, source, options)?,
        assumptions,
    })
}

impl Evidence {
    /// The causes as initiating events of a review file: TOML, each with its frequency, interval and source.
    pub fn initiating_events_toml(&self) -> String {
        initiating::toml(&self.causes)
    }
}

/// When the log was watched, in seconds since 1970.
struct Watch {
    from: i64,
    until: i64,
}

impl Watch {
    fn of(
        incidents: &[Incident],
        options: &Options,
        assumptions: &mut Vec<String>,
    ) -> Result<Self, EvidenceError> {
        let first = incidents.iter().map(|incident| incident.start_seconds).min().unwrap_or(0);
        let last =
            incidents.iter().map(|one| one.end_seconds.unwrap_or(one.start_seconds)).max().unwrap_or(0);
        let mut given = |name: &str, text: &Option<String>, otherwise: i64, what: &str| match text {
            Some(text) => instant::parse(text)
                .map_err(|error| EvidenceError::Option(format!("`{name}={text}`: {error}"))),
            None => {
                let instant = instant::format(otherwise);
                assumptions.push(format!("`{name}` was not given: {what}, {instant}, is taken"));
                Ok(otherwise)
            }
        };
        let from = given("watched-from", &options.watched_from, first, "the first incident's start")?;
        let until = given("watched-until", &options.watched_until, last, "the last instant of the log")?;
        let outside: Vec<RowError> = incidents
            .iter()
            .filter(|one| one.start_seconds < from || one.end_seconds.unwrap_or(one.start_seconds) > until)
            .map(|one| RowError {
                line: one.line,
                reason: format!(
                    "lies outside of what was watched, {} to {}",
                    instant::format(from),
                    instant::format(until)
                ),
            })
            .collect();
        if !outside.is_empty() {
            return Err(EvidenceError::Rows(outside));
        }
        if until <= from {
            return Err(EvidenceError::Option(format!(
                "watching ends at {}, which is not after its start: give `watched-from` and `watched-until`",
                instant::format(until)
            )));
        }
        Ok(Self { from, until })
    }

    fn hours(&self) -> f64 {
        hours(self.from, self.until)
    }
}

/// Hours between two instants.
fn hours(from: i64, until: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "instants of calendars are far below 2^53")]
    let seconds = (until - from) as f64;
    seconds / 3_600.0
}

fn population(in_log: u64, options: &Options, assumptions: &mut Vec<String>) -> Result<u64, EvidenceError> {
    match options.components {
        Some(components) if components < in_log => {
            Err(EvidenceError::Option(format!("`components={components}`: the log alone names {in_log}")))
        }
        Some(components) => Ok(components),
        None => {
            assumptions.push(format!(
                "`components` was not given: only the {in_log} that failed are counted, so mean times look shorter than they are"
            ));
            Ok(in_log)
        }
    }
}

/// One component's history.
#[derive(Default)]
struct Life {
    incidents: u64,
    up_hours: f64,
    down_hours: f64,
    /// From each repair to the next failure, or to the end of watching.
    between: Vec<Observation>,
}

fn lives<'a>(incidents: &'a [Incident], watch: &Watch) -> BTreeMap<&'a str, Life> {
    let mut lives: BTreeMap<&str, (Life, Option<i64>)> = BTreeMap::new();
    // In the order of their starts; incidents of one component do not overlap.
    for incident in incidents {
        let (life, mended) = lives.entry(incident.component.as_str()).or_default();
        let up = hours(mended.unwrap_or(watch.from), incident.start_seconds);
        if mended.is_some() && up > 0.0 {
            life.between.push(Observation::event(up));
        }
        life.up_hours += up;
        life.incidents += 1;
        let until = incident.end_seconds.unwrap_or(watch.until);
        life.down_hours += hours(incident.start_seconds, until);
        *mended = Some(until);
    }
    let finished = lives.into_iter().map(|(name, (mut life, mended))| {
        let up = mended.map_or(0.0, |mended| hours(mended, watch.until));
        life.up_hours += up;
        if up > 0.0 {
            life.between.push(Observation::censored(up));
        }
        (name, life)
    });
    finished.collect()
}

fn time_to_repair(
    incidents: &[Incident],
    watch: &Watch,
    confidence: f64,
) -> Result<TimeToRepair, EvidenceError> {
    let times: Vec<Observation> = incidents
        .iter()
        .map(|incident| match incident.end_seconds {
            Some(end) => Observation::event(hours(incident.start_seconds, end)),
            None => Observation::censored(hours(incident.start_seconds, watch.until)),
        })
        // One that started at the very end of watching says nothing about how long it lasts.
        .filter(|one| one.time > 0.0)
        .collect();
    let curve = if times.is_empty() { Vec::new() } else { kaplan_meier(&times, confidence)? };
    Ok(TimeToRepair {
        repairs: times.iter().filter(|one| one.ended).count() as u64,
        median_hours: percentile(&curve, 0.5),
        p90_hours: percentile(&curve, 0.9),
        p99_hours: percentile(&curve, 0.99),
        lognormal: lifetimes::lognormal(&times, confidence).into(),
    })
}

fn clean(incidents: &[Incident], watch: &Watch, confidence: f64) -> Result<Clean, ModelError> {
    let (mut total_hours, mut longest_hours) = (0.0, 0.0_f64);
    // Up to when everything so far was mended.
    let mut mended = watch.from;
    for incident in incidents {
        let stretch = hours(mended, incident.start_seconds).max(0.0);
        total_hours += stretch;
        longest_hours = longest_hours.max(stretch);
        mended = mended.max(incident.end_seconds.unwrap_or(watch.until));
    }
    let current_hours = hours(mended, watch.until);
    let mean_hours_shown =
        if current_hours > 0.0 { Some(mean_hours_shown(current_hours, confidence)?) } else { None };
    Ok(Clean {
        total_hours: total_hours + current_hours,
        longest_hours: longest_hours.max(current_hours),
        current_hours,
        mean_hours_shown,
        confidence,
    })
}

/// The rate of events, with a component that was never up known for nothing.
fn rate(events: u64, exposure_hours: f64, confidence: f64) -> Result<Interval, ModelError> {
    if exposure_hours <= 0.0 {
        return Ok(Interval { low: 0.0, high: f64::INFINITY, confidence });
    }
    garwood(events, exposure_hours, confidence)
}
