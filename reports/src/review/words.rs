//! A review's answer in words.

use super::answer::{
    Answer, Change, ClaimAnswer, Column, CommonCause, EventAnswer, Figure, Floor, MitigationAnswer, Verdict,
};
use super::figures::rough;
use super::file::Measure;
use super::models::HOURS_PER_YEAR;
use crate::terminal::counted;

/// The whole answer, line by line.
pub fn lines(answer: &Answer) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}: {}, {} of each event from seed {}, a horizon of {} years, intervals at {} %",
            answer.review,
            counted(answer.runs, "run"),
            counted(answer.seeds, "seed"),
            answer.first_seed,
            rough(answer.horizon_hours / HOURS_PER_YEAR),
            rough(answer.confidence * 100.0)
        ),
        answer.why.clone(),
    ];
    answer.claims.iter().for_each(|claim| lines.extend(claim_lines(claim, answer)));
    lines.push("what each event does (frequencies and lengths are inputs)".to_owned());
    answer.events.iter().for_each(|event| lines.extend(event_lines(event)));
    lines.extend(causes(answer));
    if !answer.mitigations.is_empty() {
        lines.push("what would help, on the same seeds: change of a year".to_owned());
        lines.extend(answer.mitigations.iter().map(mitigation));
    }
    answer.floors.iter().for_each(|floor| lines.extend(floor_lines(floor)));
    if !answer.minimal_sets.is_empty() {
        lines.push("what is enough, if it loses power, while no part of it is".to_owned());
    }
    for set in &answer.minimal_sets {
        let what = match (set.down, set.lost) {
            (true, true) => "takes the service down, loses requests",
            (true, false) => "takes the service down",
            _ => "loses requests",
        };
        lines.push(format!(
            "  {}: {what} (down in {} of {}, lost in {})",
            set.members.join(" and "),
            set.seen["down"],
            set.runs,
            set.seen["lost"]
        ));
    }
    lines.push("not in these figures".to_owned());
    lines.extend(answer.not_modelled.iter().map(|what| format!("  {what}")));
    lines.extend(answer.failed.iter().map(|why| format!("warning: a run gave no outcome: {why}")));
    lines
}

fn claim_lines(claim: &ClaimAnswer, answer: &Answer) -> Vec<String> {
    let of = claim.nodes.map_or(0, |nodes| nodes.nodes);
    let target = match claim.measure {
        Measure::Loss => format!(
            "a loss within {} years has a probability below",
            rough(answer.horizon_hours / HOURS_PER_YEAR)
        ),
        Measure::Downtime => "the share of time down is below".to_owned(),
    };
    let mut lines = vec![format!(
        "claim: {}: it takes {} of {of} {} nodes, so {target} {}",
        claim.name,
        claim.failures,
        claim.role,
        rough(claim.target)
    )];
    if let (Some(nodes), Some(share)) = (claim.nodes, claim.node_unavailability) {
        lines.push(format!(
            "  a {} node fails {} times a year for {} h on the mean: P = {} of the time",
            claim.role,
            rough(nodes.per_year),
            rough(nodes.hours),
            rough(share)
        ));
    }
    let row = |what: &str, column: &Column| {
        let verdict = match column.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::Open => "open",
        };
        format!("  {what:<34} {:<8} {}", verdict, figure(&column.figure))
    };
    lines.push(row(&format!("P^N ({} of {of})", claim.failures), &claim.formula));
    lines.push(row("simulated, independent twin", &claim.twin));
    lines.push(row("simulated, correlated", &claim.correlated));
    lines.push(row("production hours prove", &claim.production));
    lines.push(format!(
        "  {:<34} {:<8} {} clean hours ({} years)",
        "to show it in production takes",
        "",
        rough(claim.clean_hours_needed),
        rough(claim.clean_hours_needed / HOURS_PER_YEAR)
    ));
    let [formula, twin, correlated] = &claim.replicas_down;
    lines.push(format!(
        "  share of time with {} of {of} {} nodes down: by the sum {}; twin {}; correlated {}",
        claim.failures,
        claim.role,
        figure(formula),
        figure(twin),
        figure(correlated)
    ));
    if let Some(effective) = claim.effective_replicas {
        lines.push(format!("  {of} replicas are worth {}", rough(effective)));
    }
    lines
}

/// A figure as a person reads it.
pub fn figure(figure: &Figure) -> String {
    match figure {
        Figure::Computed { value } => rough(*value),
        Figure::Estimated { value, interval, runs, .. } => {
            let of = if *runs > 0 { format!(", {}", counted(*runs, "run")) } else { String::new() };
            format!("{} ({} to {}{of})", rough(*value), rough(interval.low), rough(interval.high))
        }
        Figure::Below { below, seen: Some(seen), runs, .. } => {
            format!(
                "seen {}, too seldom to tell: below {} ({})",
                rough(*seen),
                rough(*below),
                counted(*runs, "run")
            )
        }
        Figure::Below { below, seen: None, runs: 0, reason } => format!("below {} ({reason})", rough(*below)),
        Figure::Below { below, seen: None, runs, .. } => {
            format!("below {} (none in {})", rough(*below), counted(*runs, "run"))
        }
        Figure::None { reason } => format!("no number: {reason}"),
    }
}

fn event_lines(event: &EventAnswer) -> Vec<String> {
    let interval = match event.per_year_interval {
        [Some(low), Some(high)] => format!(" ({} to {})", rough(low), rough(high)),
        _ => String::new(),
    };
    let recovery: Vec<String> = event
        .recovery_seconds
        .iter()
        .map(|seconds| {
            seconds.map_or("longer than looked on".to_owned(), |seconds| format!("{} s", rough(seconds)))
        })
        .collect();
    let mut lines = vec![
        format!(
            "  {} ({}): {}{interval} a year, {} h each; source: {}",
            event.name,
            event.mechanism,
            rough(event.per_year),
            rough(event.hours),
            event.source
        ),
        format!(
            "    loses acknowledged requests: {}; at most {} in one run",
            figure(&event.loss),
            event.lost_most
        ),
        format!(
            "    down each time, in hours: {}; {} % of it while it lasts; up again after {} (median), {} (p90), {} (p99)",
            figure(&event.down_hours),
            rough(event.down_share * 100.0),
            recovery[0],
            recovery[1],
            recovery[2]
        ),
    ];
    lines.extend(event.plan.as_ref().map(|plan| format!("    the worst run: hogwash replay {plan}")));
    lines
}

fn causes(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    for (measure, what, unit) in [
        (Measure::Loss, "causes of loss", "times a year"),
        (Measure::Downtime, "causes of downtime", "h a year"),
    ] {
        let own: Vec<_> = answer.contributors.iter().filter(|one| one.measure == measure).collect();
        if own.is_empty() {
            continue;
        }
        lines
            .push(format!("{what}, by share of all (Fussell–Vesely); without it, all shrinks so many times"));
        for one in own {
            let worth =
                one.reduction_worth.map_or("all of it".to_owned(), |worth| format!("×{}", rough(worth)));
            lines.push(format!(
                "  {:>5} %  {}: {} {unit}; {worth}",
                rough(one.share * 100.0),
                one.name,
                rough(one.per_year)
            ));
        }
    }
    lines.extend(after_trigger(answer));
    if let Some(blast) = &answer.blast_radius {
        lines.push(format!(
            "largest blast radius of one event: {}, {} of {} nodes at once, {} % of requests not served in its worst second",
            blast.event,
            blast.nodes,
            blast.of,
            rough(blast.unserved * 100.0)
        ));
    }
    for cause in &answer.common_causes {
        lines.push(format!(
            "{} nodes fail together, {}: beta {}; alphas {} ({})",
            cause.role,
            cause.mechanism,
            figure(&cause.beta),
            alphas(cause),
            counted(cause.runs, "run")
        ));
    }
    lines
}

/// How much of the downtime outlived its cause.
pub fn after_trigger(answer: &Answer) -> Option<String> {
    let share = answer.after_trigger?;
    Some(if share > 0.0 {
        format!("{} % of the downtime came after its trigger had ended", rough(share * 100.0))
    } else {
        "no downtime was seen after its trigger had ended".to_owned()
    })
}

/// How many events took 1, 2, … nodes: `none` where no run showed one.
pub fn alphas(cause: &CommonCause) -> String {
    let alphas: Vec<String> =
        cause.alphas.iter().map(|alpha| alpha.map_or_else(|| "none".to_owned(), rough)).collect();
    alphas.join(", ")
}

fn mitigation(one: &MitigationAnswer) -> String {
    let change = |change: &Change| {
        format!(
            "{} ({} to {})",
            signed(change.value),
            signed(change.interval.low),
            signed(change.interval.high)
        )
    };
    format!(
        "  {}: losses {} of {}; hours down {} of {}; {}",
        one.names.join(" and "),
        change(&one.losses),
        rough(one.losses_before),
        change(&one.down_hours),
        rough(one.down_hours_before),
        counted(one.pairs, "pair")
    )
}

/// A number with its sign.
pub fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", rough(value)) } else { rough(value) }
}

fn floor_lines(floor: &Floor) -> Vec<String> {
    let mut lines = vec![format!("the floor of: {}", floor.claim)];
    for step in &floor.steps {
        let worth =
            step.effective_replicas.map(|worth| format!("; worth {}", rough(worth))).unwrap_or_default();
        lines.push(format!(
            "  N = {} ({} of them): P^N {}; correlated {}{worth}",
            step.replicas,
            step.failures,
            figure(&step.formula),
            figure(&step.correlated)
        ));
    }
    if let Some(replicas) = floor.stops_helping {
        lines.push(format!("  from {replicas} on, one more improves it by less than a tenth"));
    }
    lines
}
