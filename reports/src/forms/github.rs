//! A run as GitHub shows it: annotations beside the code, and a summary of the step.

use crate::ledger::Ledger;
use crate::past::PastRun;
use scenarios::expectation::Judgement;
use scenarios::store::Broken;
use scenarios::{describe, library};
use std::fmt::Write;

/// GitHub shows no more annotations of one kind and step.
const ANNOTATIONS_MOST: usize = 10;

/// Workflow commands, one a line: an error for each violation that is not expected, a notice for each that is.
pub fn annotations(run: &PastRun, reproduce: &str) -> String {
    let mut lines = String::new();
    for (command, unexpected) in [("error", true), ("notice", false)] {
        let is = |broken: &&Broken| {
            (run.capsule.judgements.get(&broken.invariant) == Some(&Judgement::Unexpected)) == unexpected
        };
        let violations: Vec<&Broken> = run.capsule.violations.iter().filter(is).collect();
        // The last line that is shown tells of those that are not.
        let shown = if violations.len() > ANNOTATIONS_MOST { ANNOTATIONS_MOST - 1 } else { violations.len() };
        for broken in &violations[..shown] {
            let title = format!("{} {}: {}", broken.invariant, verdict(run, &broken.invariant), run.title());
            let message = format!("{}\nReproduce with: {reproduce}", broken.message);
            let _ =
                writeln!(lines, "::{command} {}title={}::{}", file(run), property(&title), data(&message));
        }
        if shown < violations.len() {
            let _ = writeln!(
                lines,
                "::{command}::{} violations more are in the run's result.json",
                violations.len() - shown
            );
        }
    }
    lines
}

/// The verdict of a law that is broken, and what to make of it.
fn verdict(run: &PastRun, law: &str) -> String {
    let word = run.capsule.verdicts.get(law).map_or("broken", |verdict| verdict.word());
    match run.capsule.judgements.get(law) {
        Some(Judgement::Expected) => format!("{word}, as expected"),
        Some(Judgement::Excused) => format!("{word}, which is no failure"),
        _ => word.to_owned(),
    }
}

/// The file that the run is of, where it is one of the repository's.
fn file(run: &PastRun) -> String {
    let built_in = library::BUILT_IN.iter().any(|(name, _)| *name == run.capsule.scenario);
    if built_in {
        format!("file={},", property(&format!("scenarios/{}.toml", run.capsule.scenario)))
    } else {
        String::new()
    }
}

/// The text of a workflow command, escaped as its reader undoes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The summary of the step, in Markdown.
pub fn summary(run: &PastRun, reproduce: &str) -> String {
    let capsule = &run.capsule;
    let mut text = format!("### {}\n\n", markdown(&run.title()));
    text.push_str("| law | verdict | |\n|---|---|---|\n");
    for (law, verdict) in &capsule.verdicts {
        let judged = match capsule.judgements.get(law) {
            Some(Judgement::Unexpected) => "❌ not expected",
            Some(Judgement::Expected) => "✅ as expected",
            Some(Judgement::Excused) => "✅ past what the design promises",
            Some(Judgement::Weak) => "⚪ the run says nothing of it",
            Some(Judgement::Missing) => "⚪ a violation is expected on some seed",
            None => "",
        };
        let _ = writeln!(text, "| {} | {verdict} | {judged} |", markdown(law));
    }
    text.push('\n');
    for broken in &capsule.violations {
        let _ = writeln!(text, "- **{}**: {}", markdown(&broken.invariant), markdown(&broken.message));
    }
    for fault in &run.plan.faults {
        let _ = writeln!(text, "- fault: {}", markdown(&describe::fault(fault)));
    }
    let ledger = Ledger::of(run.events(), &run.node_names());
    let _ = writeln!(
        text,
        "\nRequests: {} sent, {} acknowledged, {} done, {} received, {} missing.\n\n```\n{}\n```\n",
        ledger.submitted,
        ledger.acknowledged,
        ledger.done,
        ledger.received,
        ledger.missing.len(),
        reproduce.replace('`', "'")
    );
    text
}

/// Text that Markdown leaves as it is.
fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => escaped.extend(['\\', letter]),
            letter => escaped.push(letter),
        }
    }
    escaped
}
