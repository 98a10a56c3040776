//! How a run is shown: lines for people, one JSON line for tools.

use crate::exit::Exit;
use crate::measures::Figures;
use crate::program::Program;
use crate::sharing::Sharing;
use crate::terminal::{Paint, coloured};
use invariants::Verdict;
use scenarios::describe;
use scenarios::expectation::Judgement;
use scenarios::runner::{LawReport, RunReport};
use serde_json::Value;
use sim::duration_text;

/// Lines of evidence that a person sees; the store keeps more.
const EVIDENCE_LINES: usize = 5;

/// Writes what came of a run.
pub(crate) fn run(program: &Program, report: &RunReport, sharing: &[Sharing], figures: Option<&Figures>) {
    if program.json() {
        let mut line = finished(report);
        if let Some(figures) = figures {
            line["figures"] = serde_json::json!(figures);
        }
        println!("{line}");
        return;
    }
    let paint = Paint(coloured(program.common.color, &std::io::stdout()));
    println!("{}", paint.strong(&title(report)));
    for fault in &report.plan.faults {
        println!("  fault: {}", describe::fault(fault));
    }
    laws(program, &report.laws);
    for sharing in sharing.iter().filter(|sharing| sharing.nodes > 1) {
        for line in sharing.lines() {
            println!("  {line}");
        }
    }
    for line in figures.iter().flat_map(|figures| figures.lines(&report.plan)) {
        println!("  {line}");
    }
    println!(
        "  {} simulated, {} events, {} messages, digest {}",
        duration_text::readable(report.simulated_ns),
        report.events,
        report.messages,
        &report.digest[..16]
    );
    if let Some(stored) = &report.stored {
        println!("  kept in {}", stored.folder.display());
    }
    if !program.common.quiet {
        let seconds = report.wall.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for a ratio")]
        let ratio = report.simulated_ns as f64 / 1e9 / seconds;
        eprintln!("  {seconds:.2} s of real time: {ratio:.0} times faster");
    }
}

/// Writes what each law says; those that nobody asked for and nothing exercised share a line.
pub(crate) fn laws(program: &Program, laws: &[LawReport]) {
    let paint = Paint(coloured(program.common.color, &std::io::stdout()));
    let (idle, told): (Vec<_>, Vec<_>) = laws.iter().partition(|law| !law.named && law.is_idle());
    told.into_iter().for_each(|law| law_line(law, paint));
    if !idle.is_empty() {
        let names: Vec<_> = idle.iter().map(|law| law.law.name).collect();
        println!("  not exercised: {}", names.join(", "));
    }
}

/// The lines that end every violation, to be pasted.
pub(crate) fn ways_out(program: &Program, report: &RunReport) {
    if program.json() || report.broken().is_empty() {
        return;
    }
    let call = program.call();
    let scenario = &report.plan.scenario;
    let place = report.stored.as_ref().map(|stored| stored.folder.display().to_string());
    match place {
        Some(place) => {
            println!("Reproduce with: {call} replay {place}");
            println!("Make smaller: {call} shrink {place}");
        }
        None => println!("Reproduce with: {call} run {scenario} --seed {}", report.plan.seed),
    }
}

fn title(report: &RunReport) -> String {
    let variant = report.plan.variant.as_ref().map_or(String::new(), |variant| format!(" ({variant})"));
    format!("{}{variant}, seed {}", report.plan.scenario, report.plan.seed)
}

fn law_line(law: &LawReport, paint: Paint) {
    let verdict = format!("{:<13}", law.finding.verdict);
    let verdict = match law.finding.verdict {
        Verdict::Held => paint.good(&verdict),
        Verdict::Violated => paint.bad(&verdict),
        _ => paint.doubtful(&verdict),
    };
    let expected = match law.judgement {
        Judgement::Expected if law.finding.verdict != Verdict::Held => ", as expected",
        Judgement::Missing => ", where a violation was expected on some seed",
        _ => "",
    };
    println!("  {:>10}  {verdict} {}{expected}", law.law.name, law.law.sentence);
    if let Some(because) = &law.finding.because {
        println!("              {because}");
    }
    for violation in &law.finding.violations {
        println!("              {}: {}", duration_text::readable(violation.at_ns), violation.message);
        for line in violation.evidence.iter().take(EVIDENCE_LINES) {
            println!("                {line}");
        }
        let hidden = violation.evidence.len().saturating_sub(EVIDENCE_LINES);
        if hidden > 0 {
            let lines = if hidden == 1 { "line more is" } else { "lines more are" };
            println!("                {hidden} {lines} in the run's result.json");
        }
    }
}

/// The last line of `run` and `replay`, and one line a run of `fuzz`.
pub(crate) fn finished(report: &RunReport) -> Value {
    let plan = report.stored.as_ref().map(|stored| stored.plan_path().display().to_string());
    crate::forms::json::finished(&report.capsule(), plan)
}

/// How a command that ran this ends: 1 where a law is violated, expected or not, so that it can drive `git bisect`.
pub(crate) fn exit(report: &RunReport, strict: bool) -> Exit {
    exit_of(&report.laws, strict)
}

/// How a command ends that was told this by the laws.
pub(crate) fn exit_of(laws: &[LawReport], strict: bool) -> Exit {
    let weak = |law: &LawReport| law.finding.verdict == Verdict::Undecided || law.is_idle() && law.named;
    if laws.iter().any(|law| law.finding.verdict == Verdict::Violated) {
        Exit::Violation
    } else if strict && laws.iter().any(weak) {
        Exit::Undecided
    } else {
        Exit::Success
    }
}
