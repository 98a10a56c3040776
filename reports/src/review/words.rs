//! A review's answer in words.

use super::answer::{
    Answer, Change, ClaimAnswer, Column, CommonCause, Contributor, EventAnswer, Figure, Floor,
    MitigationAnswer, Verdict,
};
use super::figures::rough;
use super::file::Measure;
use super::models::HOURS_PER_YEAR;
use crate::terminal::counted;

/// The whole answer, line by line.
pub fn lines(answer: &Answer) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{}: {}, {} of each event and place on the mean, from seed {}, a horizon of {}, intervals at {} %",
            answer.review,
            counted(answer.runs, "run"),
            counted(answer.seeds, "seed"),
            answer.first_seed,
            years(answer.horizon_hours),
            rough(answer.confidence * 100.0)
        ),
        answer.why.clone(),
    ];
    lines.extend(claims(answer));
    lines.push("what each event does (frequencies and lengths are inputs)".to_owned());
    answer.events.iter().for_each(|event| lines.extend(event_lines(event)));
    lines.extend(causes(answer));
    if !answer.mitigations.is_empty() {
        lines.push("what would help, on the same seeds: change of a year".to_owned());
        lines.extend(mitigations(answer));
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

/// The four columns of every claim, and what stands behind them.
fn claims(answer: &Answer) -> Vec<String> {
    let heads = ["P^N", "independent twin", "correlated", "production hours prove"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(
        answer.claims.iter().map(|claim| {
            [&claim.formula, &claim.twin, &claim.correlated, &claim.production].map(cell).to_vec()
        }),
    );
    let mut rows = table(&rows).into_iter();
    let mut lines: Vec<String> = rows.next().into_iter().collect();
    for (claim, row) in answer.claims.iter().zip(rows) {
        lines.push(format!("{}: {}", claim.name, target(claim, answer)));
        lines.push(row);
    }
    lines.push("behind them".to_owned());
    answer.claims.iter().for_each(|claim| lines.extend(behind(claim)));
    lines
}

/// What is claimed, in words.
pub fn target(claim: &ClaimAnswer, answer: &Answer) -> String {
    let of = claim.nodes.map_or(0, |nodes| nodes.nodes);
    let what = match claim.measure {
        Measure::Loss => format!("a loss within {}", years(answer.horizon_hours)),
        Measure::Downtime => "the share of time down".to_owned(),
    };
    format!(
        "it takes {} of {of} {} nodes, so {what} is below {}",
        claim.failures,
        claim.role,
        rough(claim.target)
    )
}

/// Hours, as years.
pub fn years(hours: f64) -> String {
    match rough(hours / HOURS_PER_YEAR).as_str() {
        "1" => "1 year".to_owned(),
        other => format!("{other} years"),
    }
}

fn cell(column: &Column) -> String {
    let verdict = match column.verdict {
        Verdict::Met => "met",
        Verdict::Missed => "missed",
        Verdict::Open => "open",
    };
    format!("{verdict}: {}", brief(&column.figure))
}

/// Rows of cells, one below the other.
fn table(rows: &[Vec<String>]) -> Vec<String> {
    let wide = |cell: &String| cell.chars().count();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(wide).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("  {cell:<0$}", width(column)));
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn behind(claim: &ClaimAnswer) -> Vec<String> {
    let of = claim.nodes.map_or(0, |nodes| nodes.nodes);
    let mut lines = Vec::new();
    if let (Some(nodes), Some(share)) = (claim.nodes, claim.node_unavailability) {
        lines.push(format!(
            "  {}: a {} node fails {} times a year for {} h on the mean, P = {} of the time",
            claim.name,
            claim.role,
            rough(nodes.per_year),
            rough(nodes.hours),
            rough(share)
        ));
    }
    lines.push(format!(
        "    twin {}; correlated {}",
        figure(&claim.twin.figure),
        figure(&claim.correlated.figure)
    ));
    lines.push(format!(
        "    production: {}; to show the target takes {} clean hours ({})",
        figure(&claim.production.figure),
        rough(claim.clean_hours_needed),
        years(claim.clean_hours_needed)
    ));
    let [formula, twin, correlated] = &claim.replicas_down;
    lines.push(format!(
        "    share of time with {} of {of} {} nodes down: by the sum {}; twin {}; correlated {}",
        claim.failures,
        claim.role,
        figure(formula),
        figure(twin),
        figure(correlated)
    ));
    if let Some(effective) = claim.effective_replicas {
        lines.push(format!("    {of} replicas are worth {}", rough(effective)));
    }
    lines
}

/// A figure in few words.
pub fn brief(figure: &Figure) -> String {
    match figure {
        Figure::Computed { value } => rough(*value),
        Figure::Estimated { value, interval, .. } => {
            format!("{} ({} to {})", rough(*value), rough(interval.low), rough(interval.high))
        }
        Figure::Below { below, .. } => format!("below {}", rough(*below)),
        Figure::None { .. } => "no number".to_owned(),
    }
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
    lines.extend(event.replay.as_ref().map(|plan| format!("    the worst run: hogwash replay {plan}")));
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
        let row = |one: &Contributor| {
            let worth =
                one.reduction_worth.map_or("all of it".to_owned(), |worth| format!("×{}", rough(worth)));
            let share = format!("{} %", rough(one.share * 100.0));
            vec![share, contributor(one), format!("{} {unit}", seen_and_interval(one)), worth]
        };
        lines.extend(table(&own.iter().map(|one| row(one)).collect::<Vec<_>>()));
        lines.push(format!("  {}", ranks(&own)));
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

/// A contributor's name, with the place of several that most of it comes from.
pub fn contributor(one: &Contributor) -> String {
    match &one.mostly {
        Some(place) => format!("{} (mostly {place})", one.name),
        None => one.name.clone(),
    }
}

/// What was seen, with its interval or with why there is none.
pub fn seen_and_interval(one: &Contributor) -> String {
    match &one.figure {
        Figure::Estimated { interval, .. } => {
            format!("{} ({} to {})", rough(one.per_year), rough(interval.low), rough(interval.high))
        }
        _ => format!("{} (below {})", rough(one.per_year), one.figure.below().map_or("?".to_owned(), rough)),
    }
}

/// Which ranks can be told apart.
pub fn ranks(own: &[&Contributor]) -> String {
    const SHARE_MIN: f64 = 0.01;
    let count = own.iter().filter(|one| one.share >= SHARE_MIN && one.apart != Some(false)).count();
    let alike = own.iter().filter(|one| one.share >= SHARE_MIN && one.apart == Some(false));
    let alike: Vec<&str> = alike.map(|one| one.name.as_str()).collect();
    if alike.is_empty() {
        format!("{count} with 1 % and more, each told apart from all below it")
    } else {
        format!("not told apart from all below it: {}; more seeds would", alike.join(", "))
    }
}

fn mitigations(answer: &Answer) -> Vec<String> {
    let row = |one: &MitigationAnswer| {
        let what = |what: &str, one: &Change, before: &Figure| format!("{what} {}", change(one, before));
        vec![
            one.names.join(" and "),
            what("losses", &one.losses, &one.losses_before),
            what("hours down", &one.down_hours, &one.down_hours_before),
            counted(one.pairs, "pair"),
        ]
    };
    table(&answer.mitigations.iter().map(row).collect::<Vec<_>>())
}

/// A change with its interval, and what it is of.
pub fn change(change: &Change, before: &Figure) -> String {
    let (low, high) = (signed(change.interval.low), signed(change.interval.high));
    let seen = if change.value == 0.0 { "none seen".to_owned() } else { signed(change.value) };
    let of = before.value().map_or_else(|| brief(before), rough);
    format!("{seen} ({low} to {high}) of {of}")
}

/// A number with its sign.
pub fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", rough(value)) } else { rough(value) }
}

fn floor_lines(floor: &Floor) -> Vec<String> {
    let mut lines = vec![format!("the floor of: {}", floor.claim)];
    let heads = ["N", "must fail", "P^N", "independent twin", "correlated", "worth"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.extend(floor.steps.iter().map(|step| {
        vec![
            step.replicas.to_string(),
            step.failures.to_string(),
            brief(&step.formula),
            brief(&step.twin),
            brief(&step.correlated),
            step.effective_replicas.map_or_else(|| "?".to_owned(), rough),
        ]
    }));
    lines.extend(table(&rows));
    lines.extend(where_it_stops(floor).map(|text| format!("  {text}")));
    lines
}

/// From how many replicas on no more help, and what would.
pub fn where_it_stops(floor: &Floor) -> Option<String> {
    let replicas = floor.stops_helping?;
    let instead = match &floor.would_help[..] {
        [] => "no mitigation of this review is sure to".to_owned(),
        names => format!("what would: {}", names.join(", ")),
    };
    Some(format!("from {replicas} on, no more of them improve it by a tenth; {instead}"))
}
