//! What sets a fault off: `after = { fault-end = "feed", delay = "1s..3s" }`.

use super::World;
use super::faults::FaultSpec;
use crate::diagnostics::{Diagnostic, nearest};
use crate::section::Section;
use crate::target::check_role;
use crate::value::{self, Between};
use sim::fault::{Cause, Load};
use std::ops::Range;
use toml::Spanned;

/// When a fault begins.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// At a time.
    At(Between<u64>),
    /// A while after the first event that sets it off.
    After {
        /// The event.
        event: Cause,
        /// How long after it.
        delay_ns: Between<u64>,
    },
}

const KEYS: [&str; 6] = ["fault-start", "fault-end", "lead", "exit", "boot", "load"];

/// Reads `after`, which is there.
pub(super) fn read(section: &Section<'_>, worlds: &[World]) -> Option<Spanned<When>> {
    let place = section.raw("after")?.span();
    let table = section.section("after", "what sets a fault off")?;
    let given: Vec<&str> = KEYS.into_iter().filter(|key| table.raw(key).is_some()).collect();
    let delay = table.get("delay", value::durations);
    let share = table.get("share", value::number(0.0, 1.0));
    let lasts = table.get("lasts", value::duration(0, super::DURATION_MAX_NS));
    let [key] = given[..] else {
        let label = format!("this names {}", given.len());
        let problem = Diagnostic::new(place, "one event sets a fault off", label);
        table
            .log
            .push(problem.help("name one, as in `after = { fault-end = \"feed\", delay = \"1s..3s\" }`"));
        table.finish();
        return None;
    };
    let name = table.get(key, value::text);
    for (other, span) in
        [("share", share.as_ref().map(Spanned::span)), ("lasts", lasts.as_ref().map(Spanned::span))]
    {
        if let (Some(span), true) = (span, key != "load") {
            let title = format!("`{other}` goes with `load`");
            table.log.push(Diagnostic::new(span, title, format!("the event is `{key}`")));
        }
    }
    table.finish();
    let name = name?;
    if !key.starts_with("fault") {
        check(&table, &name, worlds);
    }
    let name = name.into_inner();
    let event = match key {
        "fault-start" => Cause::FaultStart(name),
        "fault-end" => Cause::FaultEnd(name),
        "lead" => Cause::Lead(name),
        "exit" => Cause::Exit(name),
        "boot" => Cause::Boot(name),
        _ => Cause::Load(Load {
            role: name,
            share: share.map_or(1.0, Spanned::into_inner),
            lasts_ns: lasts.map_or(1_000_000_000, Spanned::into_inner),
        }),
    };
    let delay_ns = delay.map_or(Between::exactly(0), Spanned::into_inner);
    Some(Spanned::new(place, When::After { event, delay_ns }))
}

/// A role must have nodes in every world.
fn check(table: &Section<'_>, role: &Spanned<String>, worlds: &[World]) {
    if let Some((label, help)) =
        worlds.iter().find_map(|world| check_role(role.get_ref(), &world.nodes).err())
    {
        let problem = Diagnostic::new(role.span(), "this cannot set the fault off", label);
        table.log.push(problem.helps(help));
    }
}

/// The faults that set others off must be there; `places` are those of each fault's beginning.
pub(super) fn check_names(root: &Section<'_>, faults: &[FaultSpec], places: &[Range<usize>]) {
    for (fault, place) in faults.iter().zip(places) {
        let When::After { event: Cause::FaultStart(name) | Cause::FaultEnd(name), .. } = &fault.when else {
            continue;
        };
        if *name == fault.name {
            let label = format!("`{name}` is this fault");
            root.log.push(Diagnostic::new(place.clone(), "a fault cannot set itself off", label));
        } else if !faults.iter().any(|other| other.name == *name) {
            let near = nearest(name, faults.iter().map(|other| other.name.as_str()));
            let help: Vec<String> = near.map(|near| format!("did you mean `{near}`?")).into_iter().collect();
            let problem = Diagnostic::new(
                place.clone(),
                "nothing sets this fault off",
                format!("no fault is called `{name}`"),
            );
            root.log.push(problem.helps(help));
        }
    }
}
