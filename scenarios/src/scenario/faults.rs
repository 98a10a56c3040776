//! The `[[fault]]` blocks of a scenario.

use super::World;
use super::cause::{self, When};
use crate::diagnostics::Diagnostic;
use crate::kinds::{self, FieldValue, Group, Hits, KINDS, Kind};
use crate::section::{Section, unknown};
use crate::target::Target;
use crate::value::{self, Between, Wrong};
use sim::duration_text;
use sim::fault::WHERE_IT_HAPPENED;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::DeValue;

/// How a scenario leaves a choice open altogether.
pub(crate) const ANY: &str = "any";

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
    pub when: When,
    /// How long it lasts.
    pub length_ns: Between<u64>,
    /// The chance that it takes place at all.
    pub chance: f64,
    /// How many times it takes place then, each time with choices of its own.
    pub times: Between<u64>,
    /// What goes wrong.
    pub harm: Harm,
}

/// What goes wrong, with or without its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Harm {
    /// A fault of this kind.
    One(Injection),
    /// A fault of one of these kinds, hitting anything, as hard as it may: each seed switches some of them off altogether
    /// (swarm testing: Groce et al., ISSTA 2012), and draws the rest among the others.
    Open(Vec<&'static Kind>),
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

impl Injection {
    /// A fault of this kind with all else open.
    pub(crate) fn open(kind: &'static Kind) -> Self {
        let targets = match kind.hits {
            Hits::Nodes => Targets::On(Target::Open),
            Hits::Links => Targets::Between { from: vec![Target::Open], to: vec![Target::OpenPeers] },
        };
        let fields = kind.fields.iter().map(|field| (field.name, field.open)).collect();
        Self { kind: kind.word, targets, fields }
    }
}

impl Harm {
    /// The word of its kind, where that is not open.
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Self::One(injection) => Some(injection.kind),
            Self::Open(_) => None,
        }
    }

    /// The word that faults without a name are called by.
    fn word(&self) -> &'static str {
        match self {
            Self::One(injection) => injection.kind,
            Self::Open(_) => ANY,
        }
    }
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
    let mut causes = Vec::new();
    for section in root.sections("fault", "a fault") {
        let name = section.get("name", value::text);
        let why = section.get("why", value::text);
        let when = when(&section, duration_ns, worlds);
        let length = section.need("for", "for = \"10s\"", |value| open_or(value, lengths(duration_ns)));
        let chance = section.get("chance", value::number(0.0, 1.0));
        let times = section.get("times", value::wholes(0, TIMES_MAX));
        if let (Some(when), Some(length), Some(duration_ns)) = (&when, &length, duration_ns) {
            check_times(&section, when, length, duration_ns);
        }
        let harm = harm(&section, worlds);
        section.finish();
        let Some(harm) = harm else { continue };
        let word = harm.word();
        let count = counts.entry(word).or_default();
        *count += 1;
        let given = name.as_ref().map(|name| name.get_ref().clone());
        let own = given.unwrap_or_else(|| format!("{word}-{count}"));
        if faults.iter().any(|fault| fault.name == own) {
            let place = name.as_ref().map(Spanned::span).or(section.place.clone()).unwrap_or_default();
            let title = format!("two faults are called `{own}`");
            let problem = Diagnostic::new(place, title, "taken by a fault above");
            section.log.push(problem.help("a fault's name says which chance is its own: choose another"));
        }
        if let (Some(when), Some(length)) = (when, length) {
            check_place(&section, &harm, when.get_ref());
            causes.push(when.span());
            faults.push(FaultSpec {
                name: own,
                why: why.map(Spanned::into_inner),
                when: when.into_inner(),
                length_ns: length.into_inner(),
                chance: chance.map_or(1.0, Spanned::into_inner),
                times: times.map_or(Between::exactly(1), Spanned::into_inner),
                harm,
            });
        }
    }
    cause::check_names(root, &faults, &causes);
    faults
}

/// When the fault begins: at a time, or after what sets it off.
fn when(section: &Section<'_>, duration_ns: Option<u64>, worlds: &[World]) -> Option<Spanned<When>> {
    let after = section.raw("after").is_some();
    if !after {
        // The last tenth of the run is left to what began before.
        let all = Between { least: 0, most: duration_ns.unwrap_or(0) / 10 * 9 };
        let at = section.need("at", "at = \"20s..40s\"", |value| open_or(value, all));
        return at.map(|at| Spanned::new(at.span(), When::At(at.into_inner())));
    }
    if let Some(at) = section.raw("at") {
        let problem = Diagnostic::new(at.span(), "a fault has one beginning", "`after` is given too");
        section.log.push(problem.help("take one of the two away"));
    }
    cause::read(section, worlds)
}

/// What is drawn for a length that is left open: from a fifth of a second to a quarter of the run.
fn lengths(duration_ns: Option<u64>) -> Between<u64> {
    let most = (duration_ns.unwrap_or(0) / 4).max(1);
    Between { least: 200_000_000.min(most), most }
}

/// The durations that the file says, or `open` where it says `any`.
fn open_or(value: &DeValue<'_>, open: Between<u64>) -> Result<Between<u64>, Wrong> {
    if is_any(value) { Ok(open) } else { value::durations(value) }
}

fn is_any(value: &DeValue<'_>) -> bool {
    value.as_str() == Some(ANY)
}

/// Where it happened is somewhere only where something happened.
fn check_place(section: &Section<'_>, harm: &Harm, when: &When) {
    let Harm::One(injection) = harm else { return };
    let named = match &injection.targets {
        Targets::On(target) => target.is_where_it_happened(),
        Targets::Between { from, to } => from.iter().chain(to).any(Target::is_where_it_happened),
    };
    if named && matches!(when, When::At(_)) {
        let place = section.place.clone().unwrap_or_default();
        let title = format!("`{WHERE_IT_HAPPENED}` is nowhere");
        let problem = Diagnostic::new(place, title, "the fault begins at a time");
        section.log.push(
            problem.help("say what sets it off, as in `after = { exit = \"worker\", delay = \"1s\" }`"),
        );
    }
}

fn check_times(
    section: &Section<'_>,
    when: &Spanned<When>,
    length: &Spanned<Between<u64>>,
    duration_ns: u64,
) {
    if length.get_ref().most == 0 {
        section.log.push(Diagnostic::new(length.span(), "the fault has no length", "must be above 0s"));
    }
    let When::At(range) = when.get_ref() else { return };
    let at = Spanned::new(when.span(), *range);
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
}

/// What the fault injects: a kind, or an open choice among kinds.
fn harm(section: &Section<'_>, worlds: &[World]) -> Option<Harm> {
    let Some(value) = section.raw("inject") else {
        return inject(section, worlds).map(Harm::One);
    };
    let words: Vec<(Range<usize>, &str)> = match value.get_ref() {
        DeValue::String(word) => vec![(value.span(), word.as_ref())],
        DeValue::Array(items) => {
            items.iter().filter_map(|item| Some((item.span(), item.get_ref().as_str()?))).collect()
        }
        _ => return inject(section, worlds).map(Harm::One),
    };
    let mut open: Vec<&'static Kind> = Vec::new();
    let mut wrong = words.is_empty();
    for (span, word) in words {
        let found: Vec<&'static Kind> =
            KINDS.iter().filter(|kind| [ANY, kind.word, kind.group.word()].contains(&word)).collect();
        if found.is_empty() {
            let choices = kinds::words().chain(Group::ALL.map(Group::word)).chain([ANY]);
            section.log.push(unknown(span, "fault", word, "hogwash", choices));
            wrong = true;
        }
        open.extend(
            found
                .into_iter()
                .filter(|kind| !open.iter().any(|other| other.word == kind.word))
                .collect::<Vec<_>>(),
        );
    }
    if wrong || open.is_empty() {
        if value.get_ref().as_array().is_some_and(|items| items.is_empty()) {
            section.wrong("inject", value, Wrong::expected("kinds of fault, or `\"any\"`"));
        }
        return None;
    }
    Some(Harm::Open(open))
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
    if is_any(value.get_ref()) {
        return Some(Injection::open(kind));
    }
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
                let read = |value: &DeValue<'_>| {
                    if is_any(value) { Ok(field.open) } else { field.kind.read(value) }
                };
                table.need(field.name, field.example, read).map(Spanned::into_inner)
            }
        };
        value.map(|value| (field.name, value))
    });
    // All of them are read before any is missed: each problem is shown.
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}
