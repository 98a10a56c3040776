//! The whole run: a lane for each node, grouped by what the nodes share, faults drawn behind them, goodput and latency
//! above on the same axis of time.
//!
//! Whatever has a place in time carries its times in `data-` attributes, so that the page's script can zoom by moving
//! what is here instead of drawing it a second time.

mod curves;

use super::data::{Arrow, Data, FaultData, Mark};
use super::sign::Sign;
use crate::markup::Markup;
use crate::words::{length, moment};
use std::collections::BTreeMap;
use std::fmt::Display;

const WIDTH: usize = 1200;
const LEFT: usize = 150;
const RIGHT: usize = 14;
const LANE: usize = 28;
const GROUP: usize = 20;
const FAULT: usize = 18;
const CURVE: usize = 64;
const GAP: usize = 14;
const AXIS: usize = 24;

/// Where everything stands.
struct Frame {
    end_ns: u64,
    faults_y: usize,
    fault_rows: Vec<usize>,
    curves_y: usize,
    /// The middle of each lane.
    lane_y: BTreeMap<u32, usize>,
    groups_y: Vec<usize>,
    height: usize,
}

impl Frame {
    fn of(data: &Data<'_>) -> Self {
        let faults_y = AXIS;
        let fault_rows = rows(&data.faults, data.end_ns);
        let row_count = fault_rows.iter().map(|row| row + 1).max().unwrap_or(0);
        let curves_y = faults_y + FAULT * row_count + GAP;
        let lanes_y = curves_y + 2 * (CURVE + GAP) + 6;
        let (mut y, mut lane_y, mut groups_y) = (lanes_y, BTreeMap::new(), Vec::new());
        for group in &data.groups {
            groups_y.push(y);
            y += GROUP;
            for lane in &group.lanes {
                lane_y.insert(*lane, y + LANE / 2);
                y += LANE;
            }
            y += 6;
        }
        Self { end_ns: data.end_ns, faults_y, fault_rows, curves_y, lane_y, groups_y, height: y + AXIS }
    }

    /// The place of a moment.
    #[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
    fn x(&self, at_ns: u64) -> String {
        let share = at_ns as f64 / self.end_ns as f64;
        format!("{:.1}", LEFT as f64 + share * (WIDTH - LEFT - RIGHT) as f64)
    }

    /// How wide a length of time is; never nothing.
    #[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
    fn width(&self, length_ns: u64) -> String {
        let share = length_ns as f64 / self.end_ns as f64;
        format!("{:.1}", (share * (WIDTH - LEFT - RIGHT) as f64).max(1.5))
    }
}

/// The row of each fault's name: the first that is free long enough for a name.
fn rows(faults: &[FaultData], end_ns: u64) -> Vec<usize> {
    let name_ns = end_ns / 5;
    let mut free_ns: Vec<u64> = Vec::new();
    let mut rows = vec![0; faults.len()];
    let mut order: Vec<usize> = (0..faults.len()).collect();
    order.sort_by_key(|index| faults[*index].start_ns);
    for index in order {
        let fault = &faults[index];
        // A name that would run over the right edge stands before the fault's end.
        let start_ns = fault.start_ns.min(end_ns.saturating_sub(name_ns));
        let row = free_ns.iter().position(|free_ns| *free_ns <= start_ns).unwrap_or(free_ns.len());
        let end_ns = fault.end_ns.max(start_ns + name_ns);
        match free_ns.get_mut(row) {
            Some(free_ns) => *free_ns = end_ns,
            None => free_ns.push(end_ns),
        }
        rows[index] = row;
    }
    rows
}

/// The hatching of a kind of fault: another one for power, processes, networks, and disks and clocks.
pub(super) fn hatch(kind: &str) -> &'static str {
    match kind {
        "power-loss" => "hatch-power",
        "crash" | "pause" => "hatch-process",
        "cut" | "delay" | "loss" => "hatch-network",
        _ => "hatch-other",
    }
}

/// Draws it.
pub(super) fn draw(data: &Data<'_>, markup: &mut Markup) {
    let frame = Frame::of(data);
    let view = format!("0 0 {WIDTH} {}", frame.height);
    let label = "Lanes of nodes over time";
    let attributes: [(&str, &dyn Display); 8] = [
        ("id", &"picture"),
        ("viewBox", &view),
        ("role", &"group"),
        ("aria-label", &label),
        ("data-end", &data.end_ns),
        ("data-left", &LEFT),
        ("data-right", &(WIDTH - RIGHT)),
        ("data-axis", &(frame.height - AXIS + 4)),
    ];
    markup.element("svg", &attributes, |markup| {
        definitions(&frame, markup);
        markup.element("g", &[("clip-path", &"url(#plot)")], |markup| {
            faults(data, &frame, markup);
            curves::draw(data, &frame, markup);
            lanes(data, &frame, markup);
            violations(data, &frame, markup);
            no_return(data, &frame, markup);
            data.arrows.iter().for_each(|one| arrow(one, &frame, markup));
            marks(data, &frame, markup);
        });
        names(data, &frame, markup);
        axis(&frame, markup);
    });
}

fn definitions(frame: &Frame, markup: &mut Markup) {
    markup.element("defs", &[], |markup| {
        arrow_head(markup);
        markup.element("clipPath", &[("id", &"plot")], |markup| {
            let attributes: [(&str, &dyn Display); 4] =
                [("x", &(LEFT - 2)), ("y", &0), ("width", &(WIDTH - LEFT)), ("height", &frame.height)];
            markup.leaf("rect", &attributes, "");
        });
        let hatchings = [
            ("hatch-power", "M-2 2L2-2M0 8L8 0M6 10L10 6"),
            ("hatch-process", "M0 0L8 8M0 8L8 0"),
            ("hatch-network", "M2 0V8M6 0V8"),
            ("hatch-other", "M0 2H8M0 6H8"),
            ("hatch-down", "M0 2H8M0 6H8M2 0V8M6 0V8"),
        ];
        for (id, path) in hatchings {
            let attributes: [(&str, &dyn Display); 4] =
                [("id", &id), ("width", &8), ("height", &8), ("patternUnits", &"userSpaceOnUse")];
            markup.element("pattern", &attributes, |markup| {
                markup.leaf("path", &[("class", &id), ("d", &path)], "");
            });
        }
    });
}

/// The head of all arrows, of this picture and of the stories.
fn arrow_head(markup: &mut Markup) {
    let attributes: [(&str, &dyn Display); 7] = [
        ("id", &"arrow-head"),
        ("viewBox", &"0 0 8 8"),
        ("refX", &7),
        ("refY", &4),
        ("markerWidth", &6),
        ("markerHeight", &6),
        ("orient", &"auto"),
    ];
    markup.element("marker", &attributes, |markup| {
        markup.leaf("path", &[("class", &"arrow-head"), ("d", &"M0 0L8 4L0 8z")], "");
    });
}

fn faults(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    for (index, fault) in data.faults.iter().enumerate() {
        let end_ns = fault.end_ns.min(frame.end_ns);
        let title = format!("fault {}: {}", index + 1, fault.words);
        let band = |y: usize, height: usize, class: &str, fill: &str, markup: &mut Markup| {
            let attributes: [(&str, &dyn Display); 8] = [
                ("class", &class),
                ("fill", &fill),
                ("x", &frame.x(fault.start_ns)),
                ("width", &frame.width(end_ns.saturating_sub(fault.start_ns))),
                ("y", &y),
                ("height", &height),
                ("data-from", &fault.start_ns),
                ("data-to", &end_ns),
            ];
            markup.element("rect", &attributes, |markup| markup.leaf("title", &[], &title));
        };
        let y = frame.faults_y + FAULT * frame.fault_rows[index];
        markup.element("g", &[("class", &"fault")], |markup| {
            band(y, frame.height - AXIS - y, "shade", "", markup);
            let pattern = format!("url(#{})", hatch(fault.kind));
            band(y, FAULT - 3, "band", &pattern, markup);
            for lane in &fault.lanes {
                if let Some(middle) = frame.lane_y.get(lane) {
                    band(middle - LANE / 2 + 1, LANE - 2, "band", &pattern, markup);
                }
            }
            let late = fault.start_ns > frame.end_ns / 5 * 4;
            let (at_ns, class) =
                if late { (end_ns, "fault-name late") } else { (fault.start_ns, "fault-name") };
            let text = format!("fault {}: {}", index + 1, fault.name);
            timed_text(at_ns, y + 12, class, &text, frame, markup);
        });
    }
}

/// Text that stands at a moment.
fn timed_text(at_ns: u64, y: usize, class: &str, text: &str, frame: &Frame, markup: &mut Markup) {
    let shift = format!("translate({} {y})", frame.x(at_ns));
    let attributes: [(&str, &dyn Display); 3] = [("transform", &shift), ("data-at", &at_ns), ("data-y", &y)];
    markup.element("g", &attributes, |markup| markup.leaf("text", &[("class", &class), ("x", &4)], text));
}

fn lanes(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    for y in frame.lane_y.values() {
        markup.leaf("path", &[("class", &"life"), ("d", &format!("M{LEFT} {y}H{}", WIDTH - RIGHT))], "");
    }
    for down in &data.down {
        let Some(y) = frame.lane_y.get(&down.lane) else { continue };
        let attributes: [(&str, &dyn Display); 7] = [
            ("class", &"down"),
            ("x", &frame.x(down.from_ns)),
            ("width", &frame.width(down.to_ns - down.from_ns)),
            ("y", &(y - 6)),
            ("height", &12),
            ("data-from", &down.from_ns),
            ("data-to", &down.to_ns),
        ];
        let title = format!("down for {}: {}", length(down.to_ns - down.from_ns), down.cause);
        markup.element("rect", &attributes, |markup| markup.leaf("title", &[], title));
    }
}

/// The moments at which laws were broken for certain.
fn violations(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    for law in &data.laws {
        for violation in &law.violations {
            let attributes: [(&str, &dyn Display); 7] = [
                ("class", &"broken"),
                ("x", &frame.x(violation.at_ns)),
                ("width", &1.5),
                ("y", &frame.faults_y),
                ("height", &(frame.height - AXIS - frame.faults_y)),
                ("data-from", &violation.at_ns),
                ("data-to", &violation.at_ns),
            ];
            let title = format!("{} broken at {}: {}", law.name, moment(violation.at_ns), violation.message);
            markup.element("rect", &attributes, |markup| markup.leaf("title", &[], title));
            let shift = format!("translate({} {})", frame.x(violation.at_ns), frame.height - AXIS - 8);
            let attributes: [(&str, &dyn Display); 3] = [
                ("transform", &shift),
                ("data-at", &violation.at_ns),
                ("data-y", &(frame.height - AXIS - 8)),
            ];
            markup.element("g", &attributes, |markup| Sign::of("violation").draw(markup));
        }
    }
}

/// The latest moment from which other chance saved the run.
fn no_return(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    let Some(at_ns) = data.explanation.and_then(|explanation| explanation.no_return.at_ns) else { return };
    let attributes: [(&str, &dyn Display); 7] = [
        ("class", &"no-return"),
        ("x", &frame.x(at_ns)),
        ("width", &1.5),
        ("y", &frame.faults_y),
        ("height", &(frame.height - AXIS - frame.faults_y)),
        ("data-from", &at_ns),
        ("data-to", &at_ns),
    ];
    let title = format!("point of no return: {}", moment(at_ns));
    markup.element("rect", &attributes, |markup| markup.leaf("title", &[], title));
    timed_text(at_ns, frame.height - AXIS - 6, "fault-name late", "point of no return", frame, markup);
}

fn arrow(arrow: &Arrow, frame: &Frame, markup: &mut Markup) {
    let (Some(from_y), Some(to_y)) = (frame.lane_y.get(&arrow.from_lane), frame.lane_y.get(&arrow.to_lane))
    else {
        return;
    };
    // The head stands at the edge of the mark.
    let to_y = if to_y > from_y { to_y - 10 } else { to_y + 10 };
    let line = format!("M{} {from_y}L{} {to_y}", frame.x(arrow.from_ns), frame.x(arrow.to_ns));
    let points = format!("{},{from_y} {},{to_y}", arrow.from_ns, arrow.to_ns);
    let attributes: [(&str, &dyn Display); 4] =
        [("class", &"arrow"), ("d", &line), ("data-points", &points), ("data-way", &arrow.way)];
    markup.leaf("path", &attributes, "");
}

fn marks(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    for (index, mark) in data.marks.iter().enumerate() {
        let Some(y) = frame.lane_y.get(&mark.lane) else { continue };
        let shift = format!("translate({} {y})", frame.x(mark.at_ns));
        let label = mark_label(data, mark);
        let way = mark.way.as_deref().unwrap_or("");
        let attributes: [(&str, &dyn Display); 9] = [
            ("class", &"mark"),
            ("transform", &shift),
            ("data-at", &mark.at_ns),
            ("data-y", y),
            ("data-mark", &index),
            ("data-way", &way),
            ("tabindex", &-1),
            ("role", &"img"),
            ("aria-label", &label),
        ];
        markup.element("g", &attributes, |markup| Sign::of(mark.word).draw(markup));
    }
}

fn mark_label(data: &Data<'_>, mark: &Mark) -> String {
    let node = data.lanes.get(mark.lane as usize).map_or("?", |lane| lane.name);
    format!("{}: {node} {}", moment(mark.at_ns), mark.text)
}

fn names(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    curves::names(frame, markup);
    for (group, y) in data.groups.iter().zip(&frame.groups_y) {
        let line = format!("M0 {y}H{}", WIDTH - RIGHT);
        markup.leaf("path", &[("class", &"group-line"), ("d", &line)], "");
        markup.leaf("text", &[("class", &"group-name"), ("x", &4), ("y", &(y + 14))], &group.label);
    }
    for (lane, y) in &frame.lane_y {
        let Some(name) = data.lanes.get(*lane as usize) else { continue };
        let attributes: [(&str, &dyn Display); 3] =
            [("class", &"lane-name"), ("x", &(LEFT - 10)), ("y", &(y + 4))];
        markup.element("text", &attributes, |markup| {
            markup.text(name.name);
            markup.leaf("title", &[], format!("role {} {}", name.role, name.domains.join(" ")));
        });
    }
}

/// The ticks of the whole run; the script draws others when it zooms.
fn axis(frame: &Frame, markup: &mut Markup) {
    let step_ns = [1, 2, 5]
        .into_iter()
        .cycle()
        .zip((0..).map(|place| 10_u64.pow(place / 3)))
        .map(|(digit, power)| digit * power * 1000)
        .find(|step_ns| frame.end_ns / step_ns <= 12)
        .unwrap_or(frame.end_ns);
    markup.element("g", &[("id", &"ticks")], |markup| {
        for tick in 0..=frame.end_ns / step_ns {
            let (x, y) = (frame.x(tick * step_ns), frame.height - AXIS);
            markup.leaf("path", &[("class", &"tick"), ("d", &format!("M{x} {AXIS}V{y}"))], "");
            let attributes: [(&str, &dyn Display); 3] =
                [("class", &"tick-name"), ("x", &x), ("y", &(y + 16))];
            markup.leaf("text", &attributes, tick_name(tick * step_ns, step_ns));
        }
    });
}

/// In seconds, with as many digits as the step needs.
#[expect(clippy::cast_precision_loss, reason = "a name on an axis")]
fn tick_name(at_ns: u64, step_ns: u64) -> String {
    let digits = usize::try_from(9_u32.saturating_sub(step_ns.ilog10())).unwrap_or(0);
    format!("{:.digits$} s", at_ns as f64 / 1e9)
}
