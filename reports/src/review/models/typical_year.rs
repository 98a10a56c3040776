//! What happens to a cluster in a typical year: default inputs of a review, each with its source.
//!
//! They are inputs, not findings: a review replaces them by its own incident log (see `evidence`).

use super::{HOURS_PER_YEAR, ModelError, count, non_negative, out_of_range, positive, real};

/// An event that takes a share of all machines at once.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct SharedEvent {
    /// A short name.
    pub name: &'static str,
    /// How often a year.
    pub per_year: f64,
    /// The share of machines that are down while it lasts.
    pub share: f64,
    /// How long it lasts, in hours.
    pub hours: f64,
    /// Where the figures come from.
    pub source: &'static str,
}

/// The cluster that the default events were told of.
pub const MACHINES: u64 = 1_800;

const DEAN: &str = "Dean 2008, a new cluster's first year, 1800 machines";

/// The shared events of a new cluster's first year, each at the middle of its range.
pub const FIRST_YEAR: [SharedEvent; 4] = [
    SharedEvent {
        name: "power distribution unit fails (500 to 1000 machines, about 6 hours)",
        per_year: 1.0,
        share: 750.0 / 1_800.0,
        hours: 6.0,
        source: DEAN,
    },
    SharedEvent {
        name: "rack fails (40 to 80 machines, 1 to 6 hours)",
        per_year: 20.0,
        share: 60.0 / 1_800.0,
        hours: 3.5,
        source: DEAN,
    },
    SharedEvent {
        name: "network rewired (5 % of machines at a time over 2 days)",
        per_year: 1.0,
        share: 0.05,
        hours: 48.0,
        source: DEAN,
    },
    SharedEvent {
        name: "overheating (most machines, 1 to 2 days)",
        per_year: 0.5,
        share: 1.0,
        hours: 36.0,
        source: DEAN,
    },
];

/// A share of the outages that some study counted.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct CauseShare {
    /// The cause, in the study's words.
    pub cause: &'static str,
    /// Its share, in percent.
    pub percent: u32,
}

const fn cause(cause: &'static str, percent: u32) -> CauseShare {
    CauseShare { cause, percent }
}

/// What triggered outages (SRE Workbook 2018, appendix C, 2010 to 2017).
pub const OUTAGE_TRIGGERS: [CauseShare; 8] = [
    cause("binary push", 37),
    cause("configuration push", 31),
    cause("user behaviour", 9),
    cause("processing pipeline", 6),
    cause("provider", 5),
    cause("performance decay", 5),
    cause("capacity", 5),
    cause("hardware", 2),
];

/// Root causes of network incidents within data centres (Meza, Xu, Veeraraghavan & Mutlu, IMC 2018).
pub const NETWORK_CAUSES: [CauseShare; 7] = [
    cause("maintenance", 17),
    cause("hardware", 13),
    cause("misconfiguration", 13),
    cause("bug", 12),
    cause("accidents", 11),
    cause("capacity", 5),
    cause("unknown", 29),
];

/// The share of time that a machine is down for shared events: Σ frequency · share · duration.
pub fn correlated_unavailability(events: &[SharedEvent]) -> Result<f64, ModelError> {
    all_down(events, 1)
}

/// The share of time that `machines` machines, drawn at random, are all down for the same shared event: Σ frequency · share^n · duration.
pub fn all_down(events: &[SharedEvent], machines: u64) -> Result<f64, ModelError> {
    count("machines", machines, 1, 1_000)?;
    let mut sum = 0.0;
    for event in events {
        non_negative("per_year", event.per_year)?;
        super::probability("share", event.share)?;
        positive("hours", event.hours)?;
        sum += event.per_year * event.hours / HOURS_PER_YEAR * event.share.powf(real(machines));
    }
    if sum > 1.0 {
        return Err(out_of_range(
            "events",
            format!("down for {sum} of the time"),
            "down for at most all of the time",
        ));
    }
    Ok(sum)
}
