//! One request's way, step by step: nodes side by side, time downwards, every step in words.

use super::data::Data;
use super::sign::Sign;
use crate::markup::Markup;
use crate::past::PastRun;
use crate::ways::{Follower, Place, id_of, is_a_turn};
use crate::words::{length, moment, sentence};
use sim::history::{Event, Fact, Id, NodeIndex};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Steps that a story shows.
const STEPS_MOST: usize = 60;
/// A wait as long as this is worth a line of its own.
const WAIT_NS: u64 = 1_000_000_000;
/// Turns that happen to several nodes within this are one step.
const TOGETHER_NS: u64 = 5_000_000;

const ROW: usize = 26;
const LINE: usize = 18;
const HEAD: usize = 30;
const TIME: usize = 116;
const COLUMN: usize = 92;
/// How wide a letter is at most, and the page.
const LETTER: usize = 8;
const PAGE: usize = 1240;
/// However many nodes there are, so many letters of a step's words stand on one line.
const LETTERS_LEAST: usize = 48;

/// What happened, to one node or to several at once.
struct Step {
    at_ns: u64,
    word: &'static str,
    nodes: Vec<NodeIndex>,
    text: String,
    cause: Option<Place>,
}

/// The story of one request.
pub(super) struct Story {
    id: Id,
    nodes: Vec<NodeIndex>,
    steps: Vec<Step>,
    left_out: usize,
}

impl Story {
    /// The story of request `id`; with the moment at which a law was broken over it, where one was.
    pub(super) fn of(run: &PastRun, data: &Data<'_>, id: Id) -> Self {
        let own: Vec<Event> = run.events().filter(|event| id_of(&event.fact) == Some(id)).collect();
        let mut nodes: Vec<NodeIndex> = own.iter().map(|event| event.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        // Clients first, as those who ask.
        let is_client =
            |node: &NodeIndex| run.plan.nodes.get(node.0 as usize).is_some_and(|node| node.role == "client");
        nodes.sort_by_key(|node| !is_client(node));
        let (first_ns, last_ns) =
            own.first().zip(own.last()).map_or((0, 0), |(first, last)| (first.at_ns, last.at_ns));
        let broken = violations(data, id);
        let last_ns = broken.iter().map(|(at_ns, _)| *at_ns).max().unwrap_or(0).max(last_ns);
        let mut steps = Self::steps(run, id, &nodes, first_ns..=last_ns);
        for (at_ns, text) in broken {
            let place = steps.partition_point(|step| step.at_ns <= at_ns);
            steps.insert(place, Step { at_ns, word: "violation", nodes: Vec::new(), text, cause: None });
        }
        let left_out = steps.len().saturating_sub(STEPS_MOST);
        // The beginning says how it came about and the end what came of it.
        if left_out > 0 {
            steps.drain(STEPS_MOST / 2..STEPS_MOST / 2 + left_out);
        }
        Self { id, nodes, steps, left_out }
    }

    fn steps(run: &PastRun, id: Id, nodes: &[NodeIndex], within: std::ops::RangeInclusive<u64>) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut follower = Follower::default();
        for event in run.events().filter(|event| within.contains(&event.at_ns)) {
            let (at_ns, word) = (event.at_ns, event.fact.word());
            let step = |nodes, text, cause| Step { at_ns, word, nodes, text, cause };
            match &event.fact {
                Fact::FaultStart { fault, nodes: hit } => {
                    let fault = run.plan.faults.get(*fault as usize);
                    let words = fault.map_or(String::new(), |fault| {
                        format!("fault: {}", scenarios::describe::fault(fault))
                    });
                    steps.push(step(
                        hit.iter().filter(|node| nodes.contains(node)).copied().collect(),
                        words,
                        None,
                    ));
                }
                Fact::FaultEnd { fault } => {
                    let name = run.plan.faults.get(*fault as usize).map_or("", |fault| &fault.name);
                    steps.push(step(Vec::new(), format!("fault {name} is healed"), None));
                }
                Fact::Expect { .. } => {}
                fact if id_of(fact) == Some(id) => {
                    let text = format!("{} {}", run.node(event.node), sentence(fact));
                    steps.push(step(vec![event.node], text, follower.cause(id, &event)));
                }
                fact if is_a_turn(fact) && nodes.contains(&event.node) => {
                    let text = sentence(fact);
                    // Where one cause takes several nodes at once, it is one step.
                    let mut near = steps.iter_mut().rev().take_while(|step| at_ns - step.at_ns < TOGETHER_NS);
                    match near.find(|step| step.word == word) {
                        Some(step) => {
                            step.nodes.push(event.node);
                            if step.text != text {
                                step.text = together(fact).to_owned();
                            }
                        }
                        None => steps.push(step(vec![event.node], text, None)),
                    }
                }
                _ => {}
            }
        }
        for step in steps.iter_mut().filter(|step| step_is_a_turn(step)) {
            let names: Vec<_> = step.nodes.iter().map(|node| run.node(*node)).collect();
            step.text = format!("{}: {}", names.join(", "), step.text);
        }
        steps
    }

    /// What a reader may call it.
    pub(super) fn title(&self, slowest: bool) -> String {
        let which = if slowest { "The slowest request" } else { "Request" };
        format!("{which} {}, step by step", self.id)
    }

    /// Draws it.
    pub(super) fn draw(&self, run: &PastRun, markup: &mut Markup) {
        let rows = self.rows();
        let width = TIME + COLUMN * self.nodes.len() + self.letters() * LETTER;
        let last = rows.last().zip(self.steps.last());
        let height = HEAD + ROW * last.map_or(1, |((row, _), step)| row + self.lines(&step.text).len()) + 8;
        let view = format!("0 0 {width} {height}");
        let label = format!("request {}: {} steps", self.id, self.steps.len());
        let attributes: [(&str, &dyn Display); 5] = [
            ("class", &"story"),
            ("viewBox", &view),
            ("style", &format!("width:{width}px")),
            ("role", &"img"),
            ("aria-label", &label),
        ];
        markup.element("svg", &attributes, |markup| {
            for (place, node) in self.nodes.iter().enumerate() {
                let x = column(place);
                markup.leaf("text", &[("class", &"head"), ("x", &x), ("y", &16)], run.node(*node));
                markup.leaf("path", &[("class", &"life"), ("d", &format!("M{x} {HEAD}V{}", height - 4))], "");
            }
            self.downs(&rows, height, markup);
            self.arrows(&rows, markup);
            for ((row, waited), step) in rows.iter().zip(&self.steps) {
                self.step(*row, *waited, step, markup);
            }
        });
        if self.left_out > 0 {
            markup.leaf(
                "p",
                &[("class", &"quiet")],
                format!("{} steps in the middle are left out.", self.left_out),
            );
        }
    }

    /// The row of each step, and the wait before it where that is long.
    fn rows(&self) -> Vec<(usize, Option<u64>)> {
        let (mut row, mut before_ns) = (0, None);
        let mut rows = Vec::new();
        for step in &self.steps {
            let waited =
                before_ns.map(|before_ns| step.at_ns - before_ns).filter(|waited| *waited >= WAIT_NS);
            row += usize::from(waited.is_some());
            rows.push((row, waited));
            before_ns = Some(step.at_ns);
            row += self.lines(&step.text).len();
        }
        rows
    }

    fn letters(&self) -> usize {
        (PAGE.saturating_sub(TIME + COLUMN * self.nodes.len()) / LETTER).max(LETTERS_LEAST)
    }

    /// The words of a step, in lines that are not too long.
    fn lines(&self, text: &str) -> Vec<String> {
        let most = self.letters();
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ') {
            match lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < most) {
                Some(line) => {
                    line.push(' ');
                    line.push_str(word);
                }
                None => lines.push(word.to_owned()),
            }
        }
        lines
    }

    fn place(&self, node: NodeIndex) -> Option<usize> {
        self.nodes.iter().position(|one| *one == node)
    }

    /// From what led to each step; behind the signs.
    fn arrows(&self, rows: &[(usize, Option<u64>)], markup: &mut Markup) {
        let mut when: BTreeMap<Place, usize> = BTreeMap::new();
        for ((row, _), step) in rows.iter().zip(&self.steps) {
            for node in &step.nodes {
                when.entry((step.at_ns, *node)).or_insert(*row);
            }
            let arrow = step.cause.and_then(|cause| {
                let (from, to) = (self.place(cause.1)?, self.place(*step.nodes.first()?)?);
                Some((from, *when.get(&cause)?, to))
            });
            let Some((from, from_row, to)) = arrow else { continue };
            let end = if from < to { column(to) - 11 } else { column(to) + 11 };
            let line = format!("M{} {}L{end} {}", column(from), middle(from_row), middle(*row));
            markup.leaf("path", &[("class", &"arrow"), ("d", &line)], "");
        }
    }

    fn step(&self, row: usize, waited: Option<u64>, step: &Step, markup: &mut Markup) {
        let y = middle(row);
        let text_x = TIME + COLUMN * self.nodes.len() + 8;
        if let Some(waited) = waited {
            let text = format!("⋮ {} later", length(waited));
            markup.leaf("text", &[("class", &"wait"), ("x", &text_x), ("y", &(y - ROW + 4))], text);
        }
        markup.leaf("text", &[("class", &"time"), ("x", &(TIME - 30)), ("y", &(y + 4))], moment(step.at_ns));
        let places: Vec<usize> = step.nodes.iter().filter_map(|node| self.place(*node)).collect();
        let class = match step.word {
            "violation" => "words bad",
            "fault-start" | "fault-end" => "words fault",
            "exit" | "disk-loss" | "give-up" | "refuse" | "panic" => "words loss",
            _ => "words",
        };
        if places.is_empty() {
            let line = format!("M{} {y}H{}", TIME - 20, text_x - 12);
            markup.leaf("path", &[("class", &class.replace("words", "rule")), ("d", &line)], "");
        }
        for place in places {
            let shift = format!("translate({} {y})", column(place));
            markup.element("g", &[("transform", &shift)], |markup| Sign::of(step.word).draw(markup));
        }
        for (index, line) in self.lines(&step.text).iter().enumerate() {
            markup.leaf("text", &[("class", &class), ("x", &text_x), ("y", &(y + 4 + index * LINE))], line);
        }
    }

    /// Where nodes are down: a hatched bar from the step that takes them to the one that brings them back.
    fn downs(&self, rows: &[(usize, Option<u64>)], height: usize, markup: &mut Markup) {
        let mut since: BTreeMap<NodeIndex, usize> = BTreeMap::new();
        let bar = |node: &NodeIndex, from: usize, to: usize, markup: &mut Markup| {
            let place = self.place(*node).map_or(0, column);
            let attributes: [(&str, &dyn Display); 5] = [
                ("class", &"down"),
                ("x", &(place - 6)),
                ("width", &12),
                ("y", &from),
                ("height", &(to - from)),
            ];
            markup.leaf("rect", &attributes, "");
        };
        for ((row, _), step) in rows.iter().zip(&self.steps) {
            for node in &step.nodes {
                match step.word {
                    "exit" => drop(since.insert(*node, middle(*row))),
                    "boot" => {
                        if let Some(from) = since.remove(node) {
                            bar(node, from, middle(*row), markup);
                        }
                    }
                    _ => {}
                }
            }
        }
        since.iter().for_each(|(node, from)| bar(node, *from, height - 4, markup));
    }
}

/// What is true of all nodes to which a turn happened at once, where its details differ.
fn together(fact: &Fact) -> &'static str {
    match fact {
        Fact::Exit { .. } => "down",
        Fact::Boot { .. } => "up again",
        Fact::DiskLoss { .. } => "what was written and not synced is lost",
        Fact::Lead { .. } => "each begins to lead",
        Fact::Panic { .. } => "panic",
        _ => "notes",
    }
}

fn step_is_a_turn(step: &Step) -> bool {
    matches!(step.word, "boot" | "exit" | "panic" | "disk-loss" | "lead" | "note")
}

/// When laws were broken over this request, and how.
fn violations(data: &Data<'_>, id: Id) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for law in &data.laws {
        for violation in law.violations.iter().filter(|violation| violation.ids.contains(&id)) {
            found.push((violation.at_ns, format!("{} broken: {}", law.name, violation.message)));
        }
    }
    found
}

fn column(place: usize) -> usize {
    TIME + COLUMN * place + COLUMN / 2
}

fn middle(row: usize) -> usize {
    HEAD + ROW * row + ROW / 2
}
