//! The `[[fault]]` blocks of a scenario.

use super::World;
use crate::diagnostics::Diagnostic;
use crate::kinds::{self, FieldValue, Hits, Kind};
use crate::section::{Section, unknown};
use crate::target::Target;
use crate::value::{self, Between};
use sim::duration_text;
use std::collections::BTreeMap;
use toml::Spanned;

/// The most times that one block can take place.
const TIMES_MAX: u64 = 1000;

/// A fault with choices still open.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSpec {
    /// Its name, unique in the scenario; all its choices are drawn from streams under it.
    pub name: String,
    /// Why it is there, where the file says.
    pub why: Option<String>,
    /// When it begins.
    pub at_ns: Between<u64>,
    /// How long it lasts.
    pub length_ns: Between<u64>,
    /// The chance that it takes place at all.
    pub chance: f64,
    /// How many times it takes place then, each time with choices of its own.
    pub times: Between<u64>,
    /// What goes wrong.
    pub injection: Injection,
}

/// What goes wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// The kind's word.
    pub kind: &'static str,
    /// What it hits.
    pub targets: Targets,
    /// Its fields, all of them.
    pub fields: Vec<(&'static str, FieldValue)>,
}

/// What a fault hits.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Nodes.
    On(Target),
    /// Links.
    Between {
        /// Nodes on one side.
        from: Vec<Target>,
        /// Nodes on the other.
        to: Vec<Target>,
    },
}

/// Reads all faults. `worlds` are the nodes of the scenario and of each variant: a target must be possible in all.
pub(super) fn read(root: &Section<'_>, duration_ns: Option<u64>, worlds: &[World]) -> Vec<FaultSpec> {
    let mut faults: Vec<FaultSpec> = Vec::new();
    let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
    for section in root.sections("fault", "a fault") {
        let name = section.get("name", value::text);
        let why = section.get("why", value::text);
        let at = section.need("at", "at = \"20s..40s\"", value::durations);
        let length = section.need("for", "for = \"10s\"", value::durations);
        let chance = section.get("chance", value::number(0.0, 1.0));
        let times = section.get("times", value::wholes(0, TIMES_MAX));
        if let (Some(at), Some(length), Some(duration_ns)) = (&at, &length, duration_ns) {
            check_times(&section, at, length, duration_ns);
        }
        let injection = inject(&section, worlds);
        section.finish();
        let Some(injection) = injection else { continue };
        let count = counts.entry(injection.kind).or_default();
        *count += 1;
        let given = name.as_ref().map(|name| name.get_ref().clone());
        let own = given.unwrap_or_else(|| format!("{}-{count}", injection.kind));
        if faults.iter().any(|fault| fault.name == own) {
            let place = name.as_ref().map(Spanned::span).or(section.place.clone()).unwrap_or_default();
            let title = format!("two faults are called `{own}`");
            let problem = Diagnostic::new(place, title, "taken by a fault above");
            section.log.push(problem.help("a fault's name says which chance is its own: choose another"));
        }
        if let (Some(at), Some(length)) = (at, length) {
            faults.push(FaultSpec {
                name: own,
                why: why.map(Spanned::into_inner),
                at_ns: at.into_inner(),
                length_ns: length.into_inner(),
                chance: chance.map_or(1.0, Spanned::into_inner),
                times: times.map_or(Between::exactly(1), Spanned::into_inner),
                injection,
            });
        }
    }
    faults
}

fn check_times(
    section: &Section<'_>,
    at: &Spanned<Between<u64>>,
    length: &Spanned<Between<u64>>,
    duration_ns: u64,
) {
    let end = duration_text::format(duration_ns);
    if at.get_ref().most >= duration_ns {
        let title = "the fault begins after the end of the run";
        let problem = Diagnostic::new(at.span(), title, format!("the run lasts {end}"));
        section.log.push(problem.help("begin it earlier, or raise `duration`"));
    } else if at.get_ref().least.saturating_add(length.get_ref().least) > duration_ns {
        let title = "the fault lasts past the end of the run";
        let at_ns = at.get_ref().least;
        let label = format!("it begins at {} or later, the run lasts {end}", duration_text::format(at_ns));
        let problem = Diagnostic::new(length.span(), title, label);
        section.log.push(problem.help("shorten it, or raise `duration`"));
    }
    if length.get_ref().most == 0 {
        section.log.push(Diagnostic::new(length.span(), "the fault has no length", "must be above 0s"));
    }
}

pub(super) fn inject(section: &Section<'_>, worlds: &[World]) -> Option<Injection> {
    const EXAMPLE: &str = "inject.power-loss = { domain = \"power=A\" }";
    if section.raw("inject").is_none() {
        section.missing("inject", EXAMPLE);
    }
    let inner = section.section("inject", "hogwash")?;
    let entries: Vec<_> = inner.entries().collect();
    let [(word, value)] = &entries[..] else {
        let place = inner.place.clone().unwrap_or_default();
        let title = "a fault injects one kind of harm";
        let problem = Diagnostic::new(place, title, format!("this has {}", entries.len()));
        section.log.push(problem.help(format!("write one `[[fault]]` each, as in `{EXAMPLE}`")));
        return None;
    };
    let Some(kind) = kinds::find(word.get_ref()) else {
        let problem = unknown(word.span(), "fault", word.get_ref(), "hogwash", kinds::words());
        section.log.push(problem);
        return None;
    };
    let table = inner.table_of(kind.word, value, &format!("`{}`", kind.word))?;
    let targets = targets(&table, kind, worlds);
    let fields = fields(&table, kind);
    table.finish();
    Some(Injection { kind: kind.word, targets: targets?, fields: fields? })
}

fn targets(table: &Section<'_>, kind: &Kind, worlds: &[World]) -> Option<Targets> {
    let plain = |targets: Vec<Spanned<Target>>| targets.into_iter().map(Spanned::into_inner).collect();
    match kind.hits {
        Hits::Nodes => {
            let target = Target::of_section(table)?;
            check(table, &target, worlds);
            Some(Targets::On(target.into_inner()))
        }
        Hits::Links => {
            let (from, to) = (Target::of_side(table, "from"), Target::of_side(table, "to"));
            from.iter().chain(&to).for_each(|target| check(table, target, worlds));
            let complete = !from.is_empty() && !to.is_empty();
            complete.then(|| Targets::Between { from: plain(from), to: plain(to) })
        }
    }
}

/// The first of `worlds` in which the target is impossible says why.
fn check(section: &Section<'_>, target: &Spanned<Target>, worlds: &[World]) {
    let wrong = worlds.iter().find_map(|world| {
        let (label, help) = target.get_ref().check(&world.nodes).err()?;
        let variant = world.variant.as_ref().map(|variant| format!(", in the variant `{variant}`"));
        Some((label + &variant.unwrap_or_default(), help))
    });
    if let Some((label, help)) = wrong {
        let problem = Diagnostic::new(target.span(), "the fault's target is impossible", label);
        section.log.push(problem.helps(help));
    }
}

fn fields(table: &Section<'_>, kind: &Kind) -> Option<Vec<(&'static str, FieldValue)>> {
    let read = kind.fields.iter().map(|field| {
        let value = match &field.default {
            Some(default) if table.raw(field.name).is_none() => Some(*default),
            _ => {
                table.need(field.name, field.example, |value| field.kind.read(value)).map(Spanned::into_inner)
            }
        };
        value.map(|value| (field.name, value))
    });
    // All of them are read before any is missed: each problem is shown.
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}
