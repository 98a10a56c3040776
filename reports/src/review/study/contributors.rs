//! What causes most: every event and coincidence by its share of all, and whether the ranks can be told apart.

use super::{Study, groups, heaviest, name_of};
use crate::review::answer::{Contributor, Figure};
use crate::review::compose::{self, Seen};
use crate::review::file::Measure;

impl Study<'_> {
    /// Fussell–Vesely and risk reduction worth of every event and coincidence, for loss and for downtime, the largest first.
    pub(super) fn contributors(&self, all: &[Seen<'_>]) -> Vec<Contributor> {
        let mut contributors = Vec::new();
        for measure in [Measure::Loss, Measure::Downtime] {
            let of = |seen: &[Seen<'_>]| {
                compose::a_year(seen, |one, outcome| match measure {
                    Measure::Loss => one.lost(outcome),
                    Measure::Downtime => one.down_hours(outcome),
                })
            };
            let whole = of(all);
            let mut own: Vec<Contributor> = Vec::new();
            for seen in groups(all) {
                let per_year = of(&seen);
                if per_year <= 0.0 {
                    continue;
                }
                let mostly = seen.iter().filter(|_| seen.len() > 1).find(|one| {
                    let place = std::slice::from_ref(*one);
                    of(place) > per_year / 2.0
                });
                own.push(Contributor {
                    measure,
                    name: name_of(&seen).to_owned(),
                    per_year,
                    figure: self.a_year(measure, &seen),
                    apart: None,
                    share: per_year / whole,
                    reduction_worth: (whole > per_year).then(|| whole / (whole - per_year)),
                    mostly: mostly.and_then(|one| one.stratum.place.clone()),
                    replay: heaviest(&seen, &[measure]),
                });
            }
            own.sort_by(|one, other| other.per_year.total_cmp(&one.per_year));
            for place in 1..own.len() {
                let below = &own[place..];
                own[place - 1].apart = Some(below.iter().all(|smaller| are_apart(&own[place - 1], smaller)));
            }
            contributors.extend(own);
        }
        contributors
    }
}

/// Whether the interval of a difference, from both intervals, lies above 0 (Zou & Donner 2008). What cannot be trusted has a bound to
/// lie below, and none to lie above.
fn are_apart(larger: &Contributor, smaller: &Contributor) -> bool {
    let Figure::Estimated { value, interval, .. } = &larger.figure else { return false };
    let Some(below) = smaller.figure.below() else { return false };
    let (down, up) = (value - interval.low, below - smaller.per_year);
    value - smaller.per_year > (down * down + up * up).sqrt()
}
