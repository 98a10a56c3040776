//! The review as one self-contained page: targets and verdicts first, then causes, what would help, pictures, inputs with their
//! sources, what was left out, and the known answers that this build reproduces.

mod plots;

use super::answer::{Answer, Change, ClaimAnswer, Column, Contributor, Verdict};
use super::figures::rough;
use super::file::Measure;
use super::models::HOURS_PER_YEAR;
use super::words::{after_trigger, alphas, figure, signed};
use crate::markup::Markup;

const STYLE: &str = include_str!("page/page.css");

/// The page; `call` is what calls this program.
pub fn html(answer: &Answer, call: &str) -> String {
    let mut page = Markup::default();
    page.element("html", &[("lang", &"en")], |html| {
        html.element("head", &[], |head| {
            head.element("meta", &[("charset", &"utf-8")], |_| {});
            head.element("meta", &[("name", &"viewport"), ("content", &"width=device-width")], |_| {});
            head.leaf("title", &[], format!("{}: what P^N is worth", answer.review));
            head.leaf("style", &[], STYLE);
        });
        html.element("body", &[], |body| {
            head(body, answer);
            claims(body, answer);
            body.leaf("h2", &[], "Pictures");
            body.element("div", &[("class", &"plots")], |inside| plots::all(inside, answer));
            causes(body, answer);
            mitigations(body, answer);
            floors(body, answer);
            sets(body, answer);
            events(body, answer, call);
            ends(body, answer);
        });
    });
    format!("<!doctype html>\n{}\n", page.finish())
}

fn head(body: &mut Markup, answer: &Answer) {
    body.leaf("p", &[("class", &"quiet")], "reliability review");
    body.leaf("h1", &[], format!("{}: what P^N is worth", answer.review));
    body.leaf("p", &[], &answer.why);
    let figures = format!(
        "{} runs of the real stack; {} seeds of each event from seed {}; a horizon of {} years; intervals at {} %. Frequencies and \
         lengths of events are inputs, not measurements; their sources are below.",
        answer.runs,
        answer.seeds,
        answer.first_seed,
        rough(answer.horizon_hours / HOURS_PER_YEAR),
        rough(answer.confidence * 100.0)
    );
    body.leaf("p", &[("class", &"quiet")], figures);
    for failed in &answer.failed {
        body.leaf("p", &[("class", &"missed")], format!("A run gave no outcome: {failed}"));
    }
}

/// A table; each row's cells are text with a class.
fn table(body: &mut Markup, heads: &[&str], rows: impl IntoIterator<Item = Vec<(String, &'static str)>>) {
    body.element("div", &[("class", &"scroll")], |scroll| {
        scroll.element("table", &[], |table| {
            table.element("tr", &[], |row| {
                heads.iter().for_each(|head| row.leaf("th", &[("scope", &"col")], head))
            });
            for cells in rows {
                table.element("tr", &[], |row| {
                    cells.iter().for_each(|(text, class)| row.leaf("td", &[("class", class)], text));
                });
            }
        });
    });
}

fn plain(text: impl Into<String>) -> (String, &'static str) {
    (text.into(), "")
}

fn claims(body: &mut Markup, answer: &Answer) {
    body.leaf("h2", &[], "Targets and verdicts");
    let heads = [
        "claim",
        "target",
        "P^N",
        "simulated, independent twin",
        "simulated, correlated",
        "production hours prove",
    ];
    table(
        body,
        &heads,
        answer.claims.iter().map(|claim| {
            let mut cells = vec![plain(&claim.name), plain(target(claim, answer))];
            cells.extend([&claim.formula, &claim.twin, &claim.correlated, &claim.production].map(cell));
            cells
        }),
    );
    for claim in &answer.claims {
        let of = claim.nodes.map_or(0, |nodes| nodes.nodes);
        let mut text = format!(
            "{}: {} of {of} {} nodes. With {} of them down at once: by the sum {} of the time, in the twin {}, as it is {}. ",
            claim.name,
            claim.failures,
            claim.role,
            claim.failures,
            figure(&claim.replicas_down[0]),
            figure(&claim.replicas_down[1]),
            figure(&claim.replicas_down[2]),
        );
        if let (Some(share), Some(worth)) = (claim.node_unavailability, claim.effective_replicas) {
            text += &format!("P is {}; {of} replicas are worth {}. ", rough(share), rough(worth));
        }
        text += &format!(
            "Production would show the target after {} clean hours.",
            rough(claim.clean_hours_needed)
        );
        body.leaf("p", &[("class", &"quiet")], text);
    }
}

fn target(claim: &ClaimAnswer, answer: &Answer) -> String {
    match claim.measure {
        Measure::Loss => {
            let years = rough(answer.horizon_hours / HOURS_PER_YEAR);
            format!("a loss within {years} years: below {}", rough(claim.target))
        }
        Measure::Downtime => format!("share of time down: below {}", rough(claim.target)),
    }
}

fn cell(column: &Column) -> (String, &'static str) {
    let (word, class) = match column.verdict {
        Verdict::Met => ("✓ met", "met"),
        Verdict::Missed => ("✗ missed", "missed"),
        Verdict::Open => ("? open", "open"),
    };
    (format!("{word}: {}", figure(&column.figure)), class)
}

fn causes(body: &mut Markup, answer: &Answer) {
    body.leaf("h2", &[], "Causes");
    for (measure, what, unit) in
        [(Measure::Loss, "Loss", "losses a year"), (Measure::Downtime, "Downtime", "hours a year")]
    {
        let own: Vec<&Contributor> =
            answer.contributors.iter().filter(|one| one.measure == measure).collect();
        body.leaf("h3", &[], what);
        if own.is_empty() {
            body.leaf("p", &[], "None was seen; what that bounds is in the events' table.");
            continue;
        }
        let heads =
            ["cause", unit, "share of all (Fussell–Vesely)", "all shrinks without it (risk reduction worth)"];
        table(
            body,
            &heads,
            own.iter().map(|one| {
                let worth =
                    one.reduction_worth.map_or("all of it".to_owned(), |worth| format!("× {}", rough(worth)));
                vec![
                    plain(&one.name),
                    plain(rough(one.per_year)),
                    plain(format!("{} %", rough(one.share * 100.0))),
                    plain(worth),
                ]
            }),
        );
    }
    if let Some(text) = after_trigger(answer) {
        body.leaf("p", &[], text);
    }
    if let Some(blast) = &answer.blast_radius {
        let text = format!(
            "Largest blast radius of one event: {}, {} of {} nodes at once; {} % of requests were not served in its worst second.",
            blast.event,
            blast.nodes,
            blast.of,
            rough(blast.unserved * 100.0)
        );
        body.leaf("p", &[], text);
    }
    body.leaf("h3", &[], "How nodes fail together, measured from the histories");
    table(
        body,
        &["role", "mechanism", "β", "α₁, α₂, …", "runs"],
        answer.common_causes.iter().map(|cause| {
            let (role, mechanism) = (cause.role.clone(), cause.mechanism.clone());
            let texts = [role, mechanism, figure(&cause.beta), alphas(cause), cause.runs.to_string()];
            texts.map(plain).to_vec()
        }),
    );
}

fn mitigations(body: &mut Markup, answer: &Answer) {
    if answer.mitigations.is_empty() {
        return;
    }
    body.leaf("h2", &[], "What would help");
    body.leaf(
        "p",
        &[("class", &"quiet")],
        "The same events and seeds with and without. What each costs is for the reader to say.",
    );
    let change = |change: &Change, before: f64| {
        let (low, high) = (signed(change.interval.low), signed(change.interval.high));
        format!("{} ({low} to {high}) of {}", signed(change.value), rough(before))
    };
    let heads = ["mitigation", "change of losses a year", "change of hours down a year", "pairs"];
    table(
        body,
        &heads,
        answer.mitigations.iter().map(|one| {
            let texts = [
                one.names.join(" and "),
                change(&one.losses, one.losses_before),
                change(&one.down_hours, one.down_hours_before),
                one.pairs.to_string(),
            ];
            texts.map(plain).to_vec()
        }),
    );
}

fn floors(body: &mut Markup, answer: &Answer) {
    if !answer.floors.is_empty() {
        body.leaf("h2", &[], "The floor: more replicas");
    }
    for floor in &answer.floors {
        body.leaf("h3", &[], &floor.claim);
        table(
            body,
            &["N", "must fail together", "P^N", "correlated", "worth"],
            floor.steps.iter().map(|step| {
                let worth = step.effective_replicas.map_or_else(String::new, rough);
                let texts = [
                    step.replicas.to_string(),
                    step.failures.to_string(),
                    figure(&step.formula),
                    figure(&step.correlated),
                    worth,
                ];
                texts.map(plain).to_vec()
            }),
        );
        if let Some(replicas) = floor.stops_helping {
            body.leaf(
                "p",
                &[],
                format!("From {replicas} replicas on, one more improves it by less than a tenth."),
            );
        }
    }
}

fn sets(body: &mut Markup, answer: &Answer) {
    if answer.minimal_sets.is_empty() {
        return;
    }
    body.leaf("h2", &[], "What is enough, if it loses power, while no part of it is");
    table(
        body,
        &["set", "service down", "requests lost", "runs"],
        answer.minimal_sets.iter().map(|set| {
            let texts = [
                set.members.join(" and "),
                format!("in {}", set.seen["down"]),
                format!("in {}", set.seen["lost"]),
                set.runs.to_string(),
            ];
            texts.map(plain).to_vec()
        }),
    );
}

fn events(body: &mut Markup, answer: &Answer, call: &str) {
    body.leaf("h2", &[], "Events: inputs, and what the stack makes of them");
    let heads = [
        "event",
        "a year (input)",
        "hours each (input)",
        "source",
        "chance of a loss",
        "hours down each time",
        "up again after: median, p90, p99",
    ];
    table(
        body,
        &heads,
        answer.events.iter().map(|event| {
            let interval = match event.per_year_interval {
                [Some(low), Some(high)] => format!(" ({} to {})", rough(low), rough(high)),
                _ => String::new(),
            };
            let recovery = event
                .recovery_seconds
                .map(|seconds| seconds.map_or("?".to_owned(), |seconds| format!("{} s", rough(seconds))));
            let texts = [
                format!("{} ({})", event.name, event.mechanism),
                format!("{}{interval}", rough(event.per_year)),
                rough(event.hours),
                event.source.clone(),
                figure(&event.loss),
                figure(&event.down_hours),
                recovery.join(", "),
            ];
            texts.map(plain).to_vec()
        }),
    );
    body.leaf("h3", &[], "The worst run of each, again");
    for event in &answer.events {
        let Some(plan) = &event.plan else { continue };
        body.element("p", &[], |line| {
            line.text(format!("{}: ", event.name));
            line.leaf("code", &[], format!("{call} replay {plan}"));
        });
    }
}

fn ends(body: &mut Markup, answer: &Answer) {
    if let Some(production) = &answer.production {
        let text = format!(
            "Production: {} hours, {} losses, {} outages. Source: {}.",
            rough(production.hours),
            production.losses,
            production.outages,
            production.source
        );
        body.leaf("p", &[], text);
    }
    body.leaf("h2", &[], "Not in these figures");
    body.element("ul", &[], |list| answer.not_modelled.iter().for_each(|what| list.leaf("li", &[], what)));
    body.leaf("h2", &[], "Known answers that this build reproduces");
    let heads = ["question", "answer", "known", "this build", ""];
    table(
        body,
        &heads,
        answer.known_answers.iter().map(|one| {
            let (word, class) =
                if one.reproduced { ("✓", "met") } else { ("✗ not reproduced", "missed") };
            vec![
                plain(format!("calc {}", one.question)),
                plain(one.field),
                plain(format!("{} ({})", super::figures::figure(one.known), one.source)),
                plain(one.ours.map_or_else(|| "none".to_owned(), super::figures::figure)),
                (word.to_owned(), class),
            ]
        }),
    );
}
