//! Which faults a batch really had: how often each kind hit each tier, and those that its scenarios promise and that
//! never came.

use crate::program::Program;
use crate::terminal::counted;
use scenarios::fuzz::Summary;
use scenarios::library;
use scenarios::store::Hits;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// How often a fault of each kind hit a node of each role, over all runs.
pub(crate) fn hits(summary: &Summary) -> Hits {
    let mut all = Hits::new();
    for hits in summary.faults.values() {
        for (kind, roles) in hits {
            for (role, times) in roles {
                *all.entry(kind.clone()).or_default().entry(role.clone()).or_default() += times;
            }
        }
    }
    all
}

/// Scenario and kind of each fault that a scenario has and that none of its runs had. An open choice promises no kind; nor
/// do scenarios in files of their own, or gone, promise what could be looked up.
pub(crate) fn never_fired(program: &Program, summary: &Summary) -> Vec<(String, &'static str)> {
    let mut never = Vec::new();
    for (name, hits) in &summary.faults {
        let Ok(scenario) = library::find(name, program.stack.as_ref()) else { continue };
        let named = scenario.faults.iter().filter_map(|fault| fault.harm.kind());
        let promised: BTreeSet<&'static str> = named.collect();
        never.extend(
            promised.into_iter().filter(|kind| !hits.contains_key(*kind)).map(|kind| (name.clone(), kind)),
        );
    }
    never
}

/// The table: a line a kind, a column a role. Empty where there were no faults.
pub(crate) fn table(hits: &Hits) -> String {
    let roles: BTreeSet<&str> = hits.values().flat_map(|roles| roles.keys()).map(String::as_str).collect();
    let first = hits.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    if hits.is_empty() {
        return text;
    }
    let head: String = roles.iter().map(|role| format!("  {role:>6}")).collect();
    let _ = writeln!(text, "  {:first$}{head}", "");
    for (kind, by_role) in hits {
        let cells = roles.iter().map(|role| {
            let width = role.len().max(6);
            match by_role.get(*role) {
                Some(times) => format!("  {times:>width$}"),
                None => format!("  {:>width$}", "."),
            }
        });
        let _ = writeln!(text, "  {kind:first$}{}", cells.collect::<String>());
    }
    text
}

/// What a person is told of it.
pub(crate) fn show(program: &Program, summary: &Summary) {
    let hits = hits(summary);
    if !hits.is_empty() {
        println!("  {} of fault, and how often each hit a node of each tier:", counted(hits.len(), "kind"));
        print!("{}", table(&hits));
    }
    for (scenario, kind) in never_fired(program, summary) {
        println!("  {scenario}: `{kind}` never came");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_line_and_each_tier_a_column() {
        let mut hits = Hits::new();
        hits.entry("crash".to_owned())
            .or_default()
            .extend([("api".to_owned(), 3), ("queue".to_owned(), 12_345_678)]);
        hits.entry("power-loss".to_owned()).or_default().insert("balancer".to_owned(), 40);
        insta::assert_snapshot!(table(&hits), @r"
                         api  balancer   queue
          crash            3         .  12345678
          power-loss       .        40       .
        ");
        assert_eq!(table(&Hits::new()), "");
    }
}
