//! Goodput and latency over time.

use super::super::data::{Data, Point};
use super::{CURVE, Frame, GAP, LEFT};
use crate::markup::Markup;
use crate::words::length;
use std::fmt::{Display, Write};

pub(super) fn draw(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    goodput(data, frame, markup);
    latency(data, frame, frame.curves_y + CURVE + GAP, markup);
}

/// What the curves are, left of the plot.
pub(super) fn names(frame: &Frame, markup: &mut Markup) {
    let latency_y = frame.curves_y + CURVE + GAP;
    let names = [
        ("curve-name", frame.curves_y + 14, "requests"),
        ("curve-name key-submitted", frame.curves_y + 32, "┄ first sent"),
        ("curve-name key-received", frame.curves_y + 48, "━ answered"),
        ("curve-name", latency_y + 14, "latency (log)"),
        ("curve-name key-p99", latency_y + 32, "┄ p99"),
        ("curve-name key-p50", latency_y + 48, "━ p50"),
    ];
    for (class, y, text) in names {
        let attributes: [(&str, &dyn Display); 3] = [("class", &class), ("x", &(LEFT - 10)), ("y", &y)];
        markup.leaf("text", &attributes, text);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
fn goodput(data: &Data<'_>, frame: &Frame, markup: &mut Markup) {
    let bottom = frame.curves_y + CURVE;
    let most = data.curve.iter().map(|point| point.submitted.max(point.received)).max().unwrap_or(0).max(1);
    let y = |count: u32| bottom as f64 - f64::from(count) / f64::from(most) * CURVE as f64;
    let points = |count: fn(&Point) -> u32| {
        data.curve
            .iter()
            .map(move |point| (point.at_ns + point.width_ns / 2, y(count(point))))
            .collect::<Vec<_>>()
    };
    let received = points(|point| point.received);
    let mut area = received.clone();
    if let (Some((first_ns, _)), Some((last_ns, _))) = (received.first(), received.last()) {
        area.insert(0, (*first_ns, bottom as f64));
        area.push((*last_ns, bottom as f64));
    }
    line("area", &area, frame, markup);
    line("received", &received, frame, markup);
    line("submitted", &points(|point| point.submitted), frame, markup);
    let width_ns = data.curve.first().map_or(1, |point| point.width_ns);
    let rate = f64::from(most) * 1e9 / width_ns as f64;
    scale(frame.curves_y, &format!("{rate:.0} /s"), "0 /s", markup);
}

/// On a logarithmic axis: latencies of a second and of a millisecond are both worth seeing.
#[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
fn latency(data: &Data<'_>, frame: &Frame, top: usize, markup: &mut Markup) {
    let all = || data.curve.iter().flat_map(|point| [point.p50_ns, point.p99_ns]).flatten();
    let (Some(least), Some(most)) = (all().min(), all().max()) else { return };
    let (low, high) = ((least.max(1) as f64).log10(), (most.max(2) as f64).log10());
    let span = (high - low).max(0.1);
    let y = |value: u64| (top + CURVE) as f64 - ((value.max(1) as f64).log10() - low) / span * CURVE as f64;
    for (class, value) in
        [("p50", (|point| point.p50_ns) as fn(&Point) -> Option<u64>), ("p99", |point: &Point| point.p99_ns)]
    {
        // Where nothing was received there is no latency: the line is broken there.
        for part in data.curve.split(|point| value(point).is_none()) {
            let points: Vec<_> = part
                .iter()
                .filter_map(|point| Some((point.at_ns + point.width_ns / 2, y(value(point)?))))
                .collect();
            line(class, &points, frame, markup);
        }
    }
    scale(top, &length(most), &length(least), markup);
}

fn line(class: &str, points: &[(u64, f64)], frame: &Frame, markup: &mut Markup) {
    if points.is_empty() {
        return;
    }
    let (mut path, mut times) = (String::new(), String::new());
    for (index, (at_ns, y)) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{} {y:.1}", frame.x(*at_ns));
        let _ = write!(times, "{at_ns},{y:.1} ");
    }
    // A single point would draw nothing.
    if points.len() == 1 {
        path.push_str("h3");
    }
    let attributes: [(&str, &dyn Display); 3] =
        [("class", &format!("curve {class}")), ("d", &path), ("data-points", &times.trim_end())];
    markup.leaf("path", &attributes, "");
}

/// What top and bottom of a curve stand for. It is within the plot, so that the names at the left stay free.
fn scale(top: usize, most: &str, least: &str, markup: &mut Markup) {
    for (text, y) in [(most, top + 9), (least, top + CURVE)] {
        let attributes: [(&str, &dyn Display); 3] = [("class", &"scale"), ("x", &(LEFT + 4)), ("y", &y)];
        markup.leaf("text", &attributes, text);
    }
}
