//! The `[[initiating-event]]` tables of a review; those that `hogwash evidence` writes are read as they are, once each says
//! what it injects.

use scenarios::diagnostics::Diagnostic;
use scenarios::scenario::{Injection, Targets, events_injection};
use scenarios::section::Section;
use scenarios::target::Target;
use scenarios::value::{self, Between};
use serde::Serialize;
use sim::plan::NodePlan;
use std::collections::BTreeSet;
use toml::Spanned;

/// The most events of one sort in a year.
const PER_YEAR_MAX: f64 = 1e6;

/// Something that happens to the stack, how often, and what it is in the simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its name; also names its streams of chance.
    pub name: String,
    /// How often.
    pub rate: Rate,
    /// How long.
    pub lasting: Lasting,
    /// Where the figures come from.
    pub source: String,
    /// What it injects.
    pub injection: Injection,
}

/// How often an event happens: an input, not a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rate {
    /// Times a year.
    pub per_year: f64,
    /// The lower end of that, where it is known.
    pub per_year_low: Option<f64>,
    /// The upper end of that, where it is known.
    pub per_year_high: Option<f64>,
    /// Whether that is of each domain or node that could be drawn, rather than of all together.
    pub each: bool,
}

/// How long an event lasts: an input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lasting {
    /// Half of them are over by then, in hours.
    pub hours_median: f64,
    /// Nine of ten are, in hours.
    pub hours_p90: Option<f64>,
}

impl Lasting {
    /// The mean, in hours: of the lognormal law through both figures, or the median where it is all that is known.
    pub fn hours_mean(&self) -> f64 {
        // The ninth of ten of a standard normal law.
        const NINTH: f64 = 1.281_551_565_544_600_4;
        self.hours_p90.map_or(self.hours_median, |p90| {
            let sigma = (p90 / self.hours_median).ln().max(0.0) / NINTH;
            self.hours_median * (sigma * sigma / 2.0).exp()
        })
    }
}

impl Event {
    /// The places among `nodes` at which it can strike, each as likely as any other.
    pub fn places(&self, nodes: &[NodePlan]) -> Vec<Place> {
        let targets = drawn_among(&self.injection, nodes);
        if targets.is_empty() {
            let injection = self.injection.clone();
            return vec![Place { name: None, per_year: self.rate.per_year, injection }];
        }
        let per_year =
            if self.rate.each { self.rate.per_year } else { self.rate.per_year / real(targets.len()) };
        let place =
            |(name, target)| Place { name: Some(name), per_year, injection: at(&self.injection, target) };
        targets.into_iter().map(place).collect()
    }
}

/// One of the places at which an event can strike: a domain, or a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its name, as in `power=A`; none where the event is not drawn among several.
    pub name: Option<String>,
    /// How often it strikes there.
    pub per_year: f64,
    /// What it injects there.
    pub injection: Injection,
}

/// The hours of a number of nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "hours are told to few digits")]
pub(super) fn hours(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 3.6e12
}

#[expect(clippy::cast_precision_loss, reason = "a few nodes")]
fn real(count: usize) -> f64 {
    count as f64
}

/// The domains or nodes among which the target is drawn, as targets of their own; none where it is not drawn among several.
fn drawn_among(injection: &Injection, nodes: &[NodePlan]) -> Vec<(String, Target)> {
    let target = match &injection.targets {
        Targets::On(target) => Some(target),
        Targets::Between { from, .. } => from.first(),
    };
    let named = |pick: &dyn Fn(&&NodePlan) -> bool| {
        let node = |node: &NodePlan| (node.name.clone(), Target::Nodes(vec![node.name.clone()]));
        nodes.iter().filter(pick).map(node).collect()
    };
    match target {
        Some(Target::Domain { kind, value: None, fraction }) => {
            let values: BTreeSet<_> = nodes.iter().filter_map(|node| node.domains.get(kind)).collect();
            let domain = |value: &String| {
                let (kind, value) = (kind.clone(), Some(value.clone()));
                Target::Domain { kind, value, fraction: *fraction }
            };
            values.into_iter().map(|value| (format!("{kind}={value}"), domain(value))).collect()
        }
        Some(Target::Role { role, count: Some(Between { least: 1, most: 1 }) }) => {
            named(&|node| node.role == *role)
        }
        Some(Target::Any(Between { least: 1, most: 1 })) => named(&|node| !node.is_client()),
        _ => Vec::new(),
    }
}

/// The injection with `target` for what was left to be drawn.
fn at(injection: &Injection, target: Target) -> Injection {
    let mut injection = injection.clone();
    match &mut injection.targets {
        Targets::On(open) => *open = target,
        Targets::Between { from, .. } => from[0] = target,
    }
    injection
}

/// Reads all events; without `worlds`, the topology has problems of its own, and targets are not held against it.
pub(super) fn read(root: &Section<'_>, worlds: Option<&[(Option<String>, Vec<NodePlan>)]>) -> Vec<Event> {
    let sections = root.sections("initiating-event", "an initiating event");
    if sections.is_empty() && root.raw("initiating-event").is_none() {
        root.log.push(Diagnostic::of_file("a review needs at least one `[[initiating-event]]`").help(
            "`hogwash evidence incidents.csv --initiating-events FILE` writes them from a log; each needs `inject` besides",
        ));
    }
    let mut names = BTreeSet::new();
    let mut events = Vec::new();
    for section in sections {
        let Some(worlds) = worlds else { continue };
        let event = event(&section, worlds);
        section.finish();
        let Some(event) = event else { continue };
        if !names.insert(event.name.clone()) {
            let place = section.place.clone().unwrap_or_default();
            let title = format!("two initiating events are called `{}`", event.name);
            root.log.push(Diagnostic::new(place.start..place.start + 1, title, "taken by one above"));
        }
        events.push(event);
    }
    events
}

fn event(section: &Section<'_>, worlds: &[(Option<String>, Vec<NodePlan>)]) -> Option<Event> {
    let name = section.need("name", "name = \"feed lost\"", value::text);
    let source = section.need("source", "source = \"the provider's status page, 2019 to 2024\"", value::text);
    let injection = events_injection(section, worlds);
    let rate = rate(section, injection.as_ref(), &worlds.first()?.1);
    let lasting = lasting(section);
    // What a log says besides: told as inputs, not used.
    for key in ["confidence", "components-mean", "components-max"] {
        section.raw(key);
    }
    Some(Event {
        name: name?.into_inner(),
        rate: rate?,
        lasting: lasting?,
        source: source?.into_inner(),
        injection: injection?,
    })
}

fn rate(section: &Section<'_>, injection: Option<&Injection>, nodes: &[NodePlan]) -> Option<Rate> {
    let read = |key: &str| section.get(key, super::above_zero(PER_YEAR_MAX));
    let (all, each) = (read("per-year"), read("per-year-each"));
    let low = section.get("per-year-low", value::number(0.0, PER_YEAR_MAX)).map(Spanned::into_inner);
    let high = section.get("per-year-high", value::number(0.0, PER_YEAR_MAX)).map(Spanned::into_inner);
    let given = section.raw("per-year").is_some() || section.raw("per-year-each").is_some();
    if !given {
        section.missing("per-year", "per-year = 0.5");
    }
    if let (Some(_), Some(each)) = (&all, &each) {
        let problem = Diagnostic::new(each.span(), "an event has one rate", "`per-year` is given already");
        section.log.push(problem);
    }
    if let (Some(each), Some(injection)) = (&each, injection)
        && drawn_among(injection, nodes).is_empty()
    {
        let title = "`per-year-each` needs a target that is drawn among several";
        let problem = Diagnostic::new(each.span(), title, "of each of what?");
        section.log.push(
            problem
                .help("`domain = \"rack\"` draws one of the racks, `role = \"queue\", count = 1` one node"),
        );
    }
    let per_year = all.as_ref().or(each.as_ref())?;
    if low.is_some_and(|low| low > *per_year.get_ref()) || high.is_some_and(|high| high < *per_year.get_ref())
    {
        let title = "the rate lies outside of its own interval";
        section.log.push(Diagnostic::new(
            per_year.span(),
            title,
            "not between `per-year-low` and `per-year-high`",
        ));
    }
    let per_year = *per_year.get_ref();
    Some(Rate { per_year, per_year_low: low, per_year_high: high, each: all.is_none() })
}

fn lasting(section: &Section<'_>) -> Option<Lasting> {
    const HOURS_MAX: f64 = 8_766.0;
    let read = |key: &str| section.get(key, super::above_zero(HOURS_MAX));
    let median = section.need("down-hours-median", "down-hours-median = 0.5", super::above_zero(HOURS_MAX));
    let p90 = read("down-hours-p90");
    if let (Some(median), Some(p90)) = (&median, &p90)
        && p90.get_ref() < median.get_ref()
    {
        let problem =
            Diagnostic::new(p90.span(), "nine of ten are over before half of them are", "below the median");
        section.log.push(problem);
    }
    Some(Lasting { hours_median: median?.into_inner(), hours_p90: p90.map(Spanned::into_inner) })
}
