//! The review as one self-contained page: targets and verdicts first, then causes, what would help, pictures, inputs with their
//! sources, what was left out, and the known answers that this build reproduces.

mod plots;

use super::answer::{Answer, Column, Contributor, Verdict};
use super::figures::rough;
use super::file::Measure;
use super::words::{
    after_trigger, alphas, brief, change, contributor, figure, ranks, seen_and_interval, target,
    where_it_stops, years,
};
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
            claims(body, answer, call);
            body.leaf("h2", &[("id", &"pictures")], "Pictures");
            body.element("div", &[("class", &"plots")], |inside| plots::all(inside, answer));
            causes(body, answer, call);
            mitigations(body, answer, call);
            floors(body, answer, call);
            sets(body, answer, call);
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
        "{} runs of the real stack; {} seeds of each event and place on the mean, more where more hours hang on it, from seed {}; a horizon of {}; intervals at {} %. Frequencies and \
         lengths of events are inputs, not measurements; their sources are below.",
        answer.runs,
        answer.seeds,
        answer.first_seed,
        years(answer.horizon_hours),
        rough(answer.confidence * 100.0)
    );
    body.leaf("p", &[("class", &"quiet")], figures);
    for failed in &answer.failed {
        body.leaf("p", &[("class", &"missed")], format!("A run gave no outcome: {failed}"));
    }
}

/// What a cell of a table says.
struct Cell {
    text: String,
    class: &'static str,
    /// The command that runs what is behind it again.
    replay: Option<String>,
}

fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), class: "", replay: None }
}

impl Cell {
    /// The cell of a simulated number, with the run behind it.
    fn run(self, call: &str, plan: Option<&String>) -> Self {
        Self { replay: plan.map(|plan| format!("{call} replay {plan}")), ..self }
    }
}

fn table(body: &mut Markup, heads: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) {
    body.element("div", &[("class", &"scroll")], |scroll| {
        scroll.element("table", &[], |table| {
            table.element("tr", &[], |row| {
                heads.iter().for_each(|head| row.leaf("th", &[("scope", &"col")], head))
            });
            for cells in rows {
                table.element("tr", &[], |row| cells.iter().for_each(|one| cell(row, one)));
            }
        });
    });
}

fn cell(row: &mut Markup, cell: &Cell) {
    row.element("td", &[("class", &cell.class)], |inside| {
        inside.text(&cell.text);
        if let Some(replay) = &cell.replay {
            inside.element("details", &[], |details| {
                details.leaf("summary", &[], "replay");
                details.leaf("code", &[], replay);
            });
        }
    });
}

fn claims(body: &mut Markup, answer: &Answer, call: &str) {
    body.leaf("h2", &[("id", &"verdicts")], "Targets and verdicts");
    let heads =
        ["claim", "P^N", "simulated, independent twin", "simulated, correlated", "production hours prove"];
    table(
        body,
        &heads,
        answer.claims.iter().map(|claim| {
            let what = format!("{}: {}", claim.name, target(claim, answer));
            let simulated = |column: &Column| verdict(column).run(call, column.replay.as_ref());
            vec![
                plain(what),
                verdict(&claim.formula),
                simulated(&claim.twin),
                simulated(&claim.correlated),
                verdict(&claim.production),
            ]
        }),
    );
    for claim in &answer.claims {
        let of = claim.nodes.map_or(0, |nodes| nodes.nodes);
        let mut text = format!(
            "{}: with {} of {of} {} nodes down at once: by the sum {} of the time, in the twin {}, as it is {}. ",
            claim.name,
            claim.failures,
            claim.role,
            figure(&claim.replicas_down[0]),
            figure(&claim.replicas_down[1]),
            figure(&claim.replicas_down[2]),
        );
        if let (Some(share), Some(worth)) = (claim.node_unavailability, claim.effective_replicas) {
            text += &format!("P is {}; {of} replicas are worth {}. ", rough(share), rough(worth));
        }
        text += &format!(
            "Production would show the target after {} clean hours ({}).",
            rough(claim.clean_hours_needed),
            years(claim.clean_hours_needed)
        );
        body.leaf("p", &[("class", &"quiet")], text);
    }
}

fn verdict(column: &Column) -> Cell {
    let (word, class) = match column.verdict {
        Verdict::Met => ("✓ met", "met"),
        Verdict::Missed => ("✗ missed", "missed"),
        Verdict::Open => ("? open", "open"),
    };
    Cell { text: format!("{word}: {}", figure(&column.figure)), class, replay: None }
}

fn causes(body: &mut Markup, answer: &Answer, call: &str) {
    body.leaf("h2", &[("id", &"causes")], "Causes");
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
                    plain(contributor(one)),
                    plain(seen_and_interval(one)).run(call, one.replay.as_ref()),
                    plain(format!("{} %", rough(one.share * 100.0))),
                    plain(worth),
                ]
            }),
        );
        let ranks = ranks(&own);
        body.leaf("p", &[("class", &"quiet")], format!("By rank, {ranks}. Intervals are in brackets."));
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
            vec![
                plain(role),
                plain(mechanism),
                plain(figure(&cause.beta)).run(call, cause.replay.as_ref()),
                plain(alphas(cause)),
                plain(cause.runs.to_string()),
            ]
        }),
    );
}

fn mitigations(body: &mut Markup, answer: &Answer, call: &str) {
    if answer.mitigations.is_empty() {
        return;
    }
    body.leaf("h2", &[("id", &"mitigations")], "What would help");
    body.leaf(
        "p",
        &[("class", &"quiet")],
        "The same events, places and seeds with and without. What each costs is for the reader to say.",
    );
    let heads = ["mitigation", "change of losses a year", "change of hours down a year", "pairs"];
    table(
        body,
        &heads,
        answer.mitigations.iter().map(|one| {
            vec![
                plain(one.names.join(" and ")),
                plain(change(&one.losses, &one.losses_before)).run(call, one.replay.as_ref()),
                plain(change(&one.down_hours, &one.down_hours_before)).run(call, one.replay.as_ref()),
                plain(one.pairs.to_string()),
            ]
        }),
    );
}

fn floors(body: &mut Markup, answer: &Answer, call: &str) {
    if !answer.floors.is_empty() {
        body.leaf("h2", &[("id", &"floor")], "The floor: more replicas");
    }
    for floor in &answer.floors {
        body.leaf("h3", &[], &floor.claim);
        table(
            body,
            &[
                "N",
                "must fail together",
                "P^N",
                "simulated, independent twin",
                "simulated, correlated",
                "worth",
            ],
            floor.steps.iter().map(|step| {
                vec![
                    plain(step.replicas.to_string()),
                    plain(step.failures.to_string()),
                    plain(brief(&step.formula)),
                    plain(figure(&step.twin)).run(call, step.twin_replay.as_ref()),
                    plain(figure(&step.correlated)).run(call, step.replay.as_ref()),
                    plain(step.effective_replicas.map_or_else(|| "?".to_owned(), rough)),
                ]
            }),
        );
        if let Some(text) = where_it_stops(floor) {
            body.leaf("p", &[], format!("Here, {text}."));
        }
    }
}

fn sets(body: &mut Markup, answer: &Answer, call: &str) {
    if answer.minimal_sets.is_empty() {
        return;
    }
    body.leaf("h2", &[("id", &"sets")], "What is enough, if it loses power, while no part of it is");
    table(
        body,
        &["set", "service down", "requests lost", "runs"],
        answer.minimal_sets.iter().map(|set| {
            vec![
                plain(set.members.join(" and ")),
                plain(format!("in {}", set.seen["down"])).run(call, set.replay.as_ref()),
                plain(format!("in {}", set.seen["lost"])).run(call, set.replay.as_ref()),
                plain(set.runs.to_string()),
            ]
        }),
    );
}

fn events(body: &mut Markup, answer: &Answer, call: &str) {
    body.leaf("h2", &[("id", &"events")], "Events: inputs, and what the stack makes of them");
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
            let places = match &event.places[..] {
                [] => String::new(),
                [one] => format!(" at {one}"),
                [first, .., last] => format!(" at one of {}, {first} to {last}", event.places.len()),
            };
            vec![
                plain(format!("{} ({}){places}", event.name, event.mechanism)),
                plain(format!("{}{interval}", rough(event.per_year))),
                plain(rough(event.hours)),
                plain(&event.source),
                plain(figure(&event.loss)).run(call, event.replay.as_ref()),
                plain(figure(&event.down_hours)).run(call, event.replay.as_ref()),
                plain(recovery.join(", ")),
            ]
        }),
    );
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
    body.leaf("h2", &[("id", &"left-out")], "Not in these figures");
    body.element("ul", &[], |list| answer.not_modelled.iter().for_each(|what| list.leaf("li", &[], what)));
    body.leaf("h2", &[("id", &"known")], "Known answers that this build reproduces");
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
                Cell { text: word.to_owned(), class, replay: None },
            ]
        }),
    );
}
