//! Where two runs of one plan part, in plain words: the first event that differs, whose it is, and what was drawn before it.

use crate::replay;
use crate::runner::RunReport;
use sim::history::{NodeIndex, WORLD};
use sim::plan::Plan;
use sim::trace::{self, ChanceParting, Draw, Parting, Side, Task};
use std::sync::Arc;

/// Where two runs of one plan part; none where they do not, or where one was not traced.
pub fn parting(first: &RunReport, second: &RunReport) -> Option<Parting> {
    // A trace that ends too early, since it was too large, still says where its runs part before that.
    trace::parting(first.trace.as_deref()?, second.trace.as_deref()?).ok().flatten()
}

/// `parting` in lines; `names` are what the two runs are called, such as `recorded` and `now`.
pub fn lines(parting: &Parting, plan: &Plan, names: [&str; 2]) -> Vec<String> {
    let mut lines = Vec::new();
    let [one, other] = &parting.sides;
    if parting.is_of_histories() {
        let before = parting.before.as_ref();
        let before = before.map_or("nothing".to_owned(), |event| replay::line(event, plan));
        lines.push(format!("the first {} events are equal; the last of them: {before}", parting.equal));
        for (name, side) in names.iter().zip([one, other]) {
            let event = side.event.as_ref();
            let event = event.map_or("nothing: the history has ended".to_owned(), |e| replay::line(e, plan));
            lines.push(format!("then {name}: {event}"));
            lines.push(format!("  by {}", task(side.task.as_ref(), plan)));
        }
    } else {
        lines.push(format!("the histories are equal, all {} events; chance is not", parting.equal));
    }
    match &parting.chance {
        Some(chance) => chance_lines(chance, parting, plan, names, &mut lines),
        None => {
            lines
                .push("until then both runs drew alike; what differs came from outside the world".to_owned());
            lines.push(format!("the last draws before it: {}", draws(one)));
        }
    }
    lines
}

fn chance_lines(
    chance: &ChanceParting,
    parting: &Parting,
    plan: &Plan,
    names: [&str; 2],
    lines: &mut Vec<String>,
) {
    lines.push(format!("chance was drawn differently before that, after {} events:", chance.after_events));
    for (name, draw) in names.iter().zip(&chance.draws) {
        lines.push(match draw {
            Some(draw) => format!("  {name}: {draw}, by {}", task(draw.task.as_ref(), plan)),
            None => format!("  {name}: nothing more before the next event"),
        });
    }
    let [one, other] = &parting.sides;
    for (name, side) in names.iter().zip([one, other]) {
        lines.push(format!("the last draws before it, {name}: {}", draws(side)));
    }
}

fn task(task: Option<&Arc<Task>>, plan: &Plan) -> String {
    let Some(task) = task else { return "the world itself".to_owned() };
    let Task { node, number, origin } = task.as_ref();
    format!("task {number} on {}, started at {origin}", name(*node, plan))
}

fn name(node: NodeIndex, plan: &Plan) -> &str {
    let named = plan.nodes.get(node.0 as usize).map(|node| node.name.as_str());
    if node == WORLD { "the world" } else { named.unwrap_or("?") }
}

/// Streams with the number of the draw.
fn draws(side: &Side) -> String {
    let draws: Vec<String> = side.draws.iter().map(Draw::to_string).collect();
    if draws.is_empty() { "none".to_owned() } else { draws.join(", ") }
}
