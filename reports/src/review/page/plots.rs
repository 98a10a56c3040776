//! The four pictures of a review, each with its numbers written beside the lines.

use crate::markup::Markup;
use crate::review::answer::{Answer, DownAtOnce, Served, Tornado, Year};
use crate::review::figures::rough;
use std::fmt::Write;

const WIDE: f64 = 520.0;
const HIGH: f64 = 276.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 56.0;
/// Shares below this are drawn at it.
const SMALLEST: f64 = 1e-15;
/// How many marks a scale of powers of ten has.
const MARKS: f64 = 4.0;
/// Longer names are cut short where there is no room for them.
const NAME_LENGTH_MAX: usize = 28;
/// More curves than this cannot be told apart.
const CURVES_MAX: usize = 4;

pub(super) fn all(body: &mut Markup, answer: &Answer) {
    answer.curves.down_at_once.iter().for_each(|one| down_at_once(body, one));
    if let Some(year) = &answer.curves.year {
        exceeded(body, year);
    }
    served(body, &answer.curves.served);
    tornado(body, &answer.curves.tornado);
}

/// A box with axes into which `inside` draws.
fn figure(body: &mut Markup, caption: &str, inside: impl FnOnce(&mut Markup)) {
    body.element("figure", &[], |figure| {
        figure.leaf("figcaption", &[], caption);
        let view = format!("0 0 {WIDE} {HIGH}");
        figure.element("svg", &[("viewBox", &view), ("role", &"img"), ("aria-label", &caption)], |svg| {
            let axes = format!("M{LEFT} {TOP} V{} H{}", HIGH - BOTTOM, WIDE - RIGHT);
            svg.element("path", &[("class", &"axis"), ("d", &axes)], |_| {});
            inside(svg);
        });
    });
}

fn text(svg: &mut Markup, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    svg.leaf("text", &[("x", &x), ("y", &y), ("text-anchor", &anchor), ("class", &class)], words);
}

fn across(share: f64) -> f64 {
    LEFT + share * (WIDE - LEFT - RIGHT)
}

fn up(share: f64) -> f64 {
    HIGH - BOTTOM - share * (HIGH - TOP - BOTTOM)
}

fn path(svg: &mut Markup, class: &str, points: &[(f64, f64)]) {
    let mut d = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{x:.1} {y:.1}", if place == 0 { "M" } else { " L" });
    }
    svg.element("path", &[("class", &class), ("d", &d)], |_| {});
}

#[expect(clippy::cast_precision_loss, reason = "places of a few points")]
fn part(place: usize, of: usize) -> f64 {
    if of <= 1 { 0.5 } else { place as f64 / (of - 1) as f64 }
}

fn short(name: &str) -> String {
    if name.chars().count() <= NAME_LENGTH_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_LENGTH_MAX - 1).chain(['…']).collect()
}

fn down_at_once(body: &mut Markup, one: &DownAtOnce) {
    let caption = format!("Share of time with at least k {} nodes down", one.role);
    figure(body, &caption, |svg| {
        let smallest = one
            .formula
            .iter()
            .chain(&one.correlated)
            .copied()
            .filter(|share| *share > 0.0)
            .fold(1.0, f64::min);
        // Marks at whole powers of ten, as far apart from each other.
        let apart = (-smallest.max(SMALLEST).log10() / MARKS).ceil().max(1.0);
        let y = |share: f64| up(1.0 + share.max(SMALLEST).log10() / (apart * MARKS));
        for mark in 0..=4 {
            let share = 10_f64.powf(-apart * f64::from(mark));
            text(svg, LEFT - 6.0, y(share) + 4.0, "end", "scale", &rough(share));
        }
        let count = one.formula.len();
        let x = |place: usize| across(0.14 + 0.7 * part(place, count));
        // The one's numbers to the left below its line, the other's to the right above: both lines fall, from the same point.
        for (shares, line, dot, words, (aside, below, anchor)) in [
            (&one.formula, "sum", "dot-sum", "P^N", (1.0, 18.0, "end")),
            (&one.correlated, "real", "dot-real", "as it is", (6.0, -7.0, "start")),
        ] {
            let points: Vec<(f64, f64)> =
                shares.iter().enumerate().map(|(place, share)| (x(place), y(*share))).collect();
            path(svg, line, &points);
            for ((px, py), share) in points.iter().zip(shares.iter()) {
                svg.element("circle", &[("cx", px), ("cy", py), ("r", &4), ("class", &dot)], |_| {});
                text(svg, px + aside, py + below, anchor, "scale", &rough(*share));
            }
            if let Some((px, py)) = points.last() {
                text(svg, px + 8.0, py + 9.0, "start", "", words);
            }
        }
        for place in 0..count {
            text(svg, x(place), HIGH - BOTTOM + 16.0, "middle", "scale", &format!("k = {}", place + 1));
        }
    });
}

fn exceeded(body: &mut Markup, year: &Year) {
    let caption = format!(
        "Hours of downtime that a share of years exceeds ({} drawn; {} % have any)",
        year.years,
        rough(year.any * 100.0)
    );
    figure(body, &caption, |svg| {
        let most = year.exceeded.iter().map(|(_, hours)| *hours).fold(0.0, f64::max).max(1e-9);
        let points: Vec<(f64, f64)> = year
            .exceeded
            .iter()
            .enumerate()
            .map(|(place, (_, hours))| {
                (across(0.03 + 0.92 * part(place, year.exceeded.len())), up(hours / most * 0.9))
            })
            .collect();
        path(svg, "real", &points);
        for ((x, y), (share, hours)) in points.iter().zip(&year.exceeded) {
            svg.element("circle", &[("cx", x), ("cy", y), ("r", &3.5), ("class", &"dot-real")], |_| {});
            text(svg, *x, y - 8.0, "middle", "scale", &rough(*hours));
            text(svg, *x, HIGH - BOTTOM + 16.0, "middle", "scale", &format!("{} %", rough(share * 100.0)));
        }
        text(svg, LEFT - 6.0, TOP + 10.0, "end", "scale", "hours");
        text(svg, across(0.5), HIGH - 6.0, "middle", "scale", "share of years");
    });
}

fn served(body: &mut Markup, curves: &[Served]) {
    let Some(seconds) = curves.iter().map(|curve| curve.shares.len()).max().filter(|seconds| *seconds > 0)
    else {
        return;
    };
    figure(body, "Requests served while an event acts, and after", |svg| {
        #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
        let x = |second: f64| across(second / seconds as f64);
        if let Some(first) = curves.first() {
            let [from, until] = first.acts.map(x);
            let high = HIGH - BOTTOM - TOP;
            svg.element(
                "rect",
                &[
                    ("class", &"acts"),
                    ("x", &from),
                    ("y", &TOP),
                    ("width", &(until - from)),
                    ("height", &high),
                ],
                |_| {},
            );
            text(svg, from, HIGH - BOTTOM + 16.0, "middle", "scale", &format!("{} s", rough(first.acts[0])));
            text(svg, until, HIGH - BOTTOM + 16.0, "middle", "scale", &format!("{} s", rough(first.acts[1])));
        }
        for (share, words) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
            text(svg, LEFT - 6.0, up(share * 0.95) + 4.0, "end", "scale", words);
        }
        // Those that hurt most first.
        let mut worst: Vec<&Served> = curves.iter().collect();
        let sum = |curve: &Served| curve.shares.iter().sum::<f64>();
        worst.sort_by(|one, other| sum(one).total_cmp(&sum(other)));
        for (place, curve) in worst.iter().take(CURVES_MAX).enumerate() {
            let points: Vec<(f64, f64)> = (0_u32..)
                .zip(&curve.shares)
                .map(|(second, share)| (x(f64::from(second) + 0.5), up(share * 0.95)))
                .collect();
            path(svg, &format!("line c{place}"), &points);
            let row = if place < CURVES_MAX / 2 { HIGH - 22.0 } else { HIGH - 6.0 };
            let column = if place % 2 == 0 { LEFT } else { across(0.5) };
            path(svg, &format!("line c{place}"), &[(column, row - 4.0), (column + 18.0, row - 4.0)]);
            text(svg, column + 22.0, row, "start", "scale", &short(&curve.event));
        }
    });
}

fn tornado(body: &mut Markup, bars: &[Tornado]) {
    let most = bars.iter().map(|bar| bar.high).fold(0.0, f64::max);
    if most <= 0.0 {
        return;
    }
    figure(
        body,
        "Hours down a year over each event's frequency (its interval, or half to twice it *)",
        |svg| {
            let count = bars.len().max(1);
            #[expect(clippy::cast_precision_loss, reason = "a few bars")]
            let step = (HIGH - TOP - BOTTOM) / count as f64;
            let from = LEFT + 130.0;
            let x = |hours: f64| from + hours / most * (WIDE - RIGHT - from - 84.0);
            for (place, bar) in bars.iter().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "a few bars")]
                let y = TOP + step * (place as f64 + 0.2);
                let (left, width, high) = (x(bar.low), (x(bar.high) - x(bar.low)).max(1.0), step * 0.6);
                svg.element(
                    "rect",
                    &[("class", &"bar"), ("x", &left), ("y", &y), ("width", &width), ("height", &high)],
                    |_| {},
                );
                let star = if bar.given { "" } else { " *" };
                let name = format!("{}{star}", short(&bar.event));
                text(svg, from - 8.0, y + high / 2.0 + 4.0, "end", "", &name);
                let ends = format!("{} to {}", rough(bar.low), rough(bar.high));
                text(svg, left + width + 5.0, y + high / 2.0 + 4.0, "start", "scale", &ends);
            }
            text(svg, across(0.5), HIGH - 8.0, "middle", "scale", "hours a year, all events together");
        },
    );
}
