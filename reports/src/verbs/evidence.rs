//! `hogwash evidence`: what an incident log proves.
#![expect(
    clippy::disallowed_methods,
    reason = "logs are read from the machine's disk, and events written to it"
)]

use crate::cli::EvidenceArgs;
use crate::exit::Exit;
use crate::program::Program;
use crate::review::evidence::{self, Evidence, Fit, Options, Share, format_instant};
use crate::review::figures::rough;
use crate::review::models::Interval;
use crate::terminal::counted;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::Path;

/// A larger log is a mistake.
const LOG_BYTES_MAX: u64 = 1 << 30;

pub(crate) fn evidence(program: &Program, arguments: &EvidenceArgs) -> Result<Exit> {
    let path = &arguments.log;
    let text = read(path)?;
    #[expect(clippy::cast_precision_loss, reason = "a length of time to its seconds")]
    let options = Options {
        watched_from: arguments.watched_from.clone(),
        watched_until: arguments.watched_until.clone(),
        components: arguments.components,
        burst_seconds: arguments.burst as f64 / 1e9,
        confidence: arguments.confidence,
    };
    let source =
        path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
    let found = evidence::evidence(&text, &source, &options)
        .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    if let Some(file) = &arguments.initiating_events {
        std::fs::write(file, found.initiating_events_toml())
            .with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    if program.json() {
        let mut line = json!({"v": 1, "type": "evidence"});
        if let (Some(line), serde_json::Value::Object(found)) =
            (line.as_object_mut(), serde_json::to_value(&found)?)
        {
            line.extend(found);
        }
        println!("{line}");
    } else {
        lines(&found).iter().for_each(|line| println!("{line}"));
    }
    Ok(Exit::Success)
}

fn read(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read `{}`", path.display());
    let length = std::fs::metadata(path).with_context(cannot)?.len();
    if length > LOG_BYTES_MAX {
        bail!("`{}` has {length} bytes: too many for an incident log", path.display());
    }
    String::from_utf8(std::fs::read(path).with_context(cannot)?)
        .with_context(|| format!("`{}` is not UTF-8", path.display()))
}

/// The evidence in words.
fn lines(found: &Evidence) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {}, {} still open, of {} in {} h from {}",
        found.source,
        counted(found.incidents, "incident"),
        found.open,
        counted(found.components, "component"),
        rough(found.watched_hours),
        format_instant(found.watched_from_seconds),
    )];
    lines.extend(lasting(found));
    lines.extend(repair(found));
    lines.extend(clean(found));
    lines.extend(together(found));
    lines.push("components, by hours down".to_owned());
    let mut groups: Vec<_> = found.by_component.iter().collect();
    groups.sort_by(|one, other| other.down_hours.total_cmp(&one.down_hours));
    for group in groups.iter().take(COMPONENTS_SHOWN) {
        lines.push(format!(
            "  {}: {}, down {} h; rate {} per h up",
            group.name,
            counted(group.incidents, "incident"),
            rough(group.down_hours),
            between(group.rate_per_hour)
        ));
    }
    if let Some(left) = groups.len().checked_sub(COMPONENTS_SHOWN).filter(|left| *left > 0) {
        lines.push(format!("  and {left} more; `--message-format json` has all of them"));
    }
    lines
        .push("causes, as initiating events of a review (`--initiating-events FILE` writes them)".to_owned());
    for cause in &found.causes {
        let down =
            cause.down_hours_median.map_or("unknown".to_owned(), |hours| format!("{} h", rough(hours)));
        lines.push(format!(
            "  {}: {} a year ({} to {}); components a time: {} on the mean, {} at most; median down {down}",
            cause.name,
            rough(cause.per_year),
            rough(cause.per_year_low),
            rough(cause.per_year_high),
            rough(cause.components_mean),
            cause.components_max,
        ));
    }
    lines.extend(found.assumptions.iter().map(|assumption| format!("note: {assumption}")));
    lines
}

/// More components than a person reads are left to the JSON.
const COMPONENTS_SHOWN: usize = 20;

fn lasting(found: &Evidence) -> Vec<String> {
    let time = &found.time_to_failure;
    let mut lines = vec![format!(
        "time to failure: {} in {} h up",
        counted(time.failures, "failure"),
        rough(time.exposure_hours)
    )];
    let interval = time.exponential.interval;
    lines.push(match time.exponential.mean {
        Some(mean) => format!("  mean at a constant rate: {} h, {}", rough(mean), between(interval)),
        None => format!("  mean at a constant rate: at least {} h", rough(interval.low)),
    });
    lines.push(match &time.weibull {
        Fit::Fitted(fit) => format!(
            "  Weibull: shape {}, {} ({}); scale {} h, {}",
            rough(fit.shape),
            between(fit.shape_interval),
            ageing(fit.shape_interval),
            rough(fit.scale),
            between(fit.scale_interval)
        ),
        Fit::NotFitted(why) => format!("  Weibull: {why}"),
    });
    lines
}

/// What a Weibull shape says of age.
fn ageing(shape: Interval) -> &'static str {
    if shape.low > 1.0 {
        "wears out"
    } else if shape.high < 1.0 {
        "fails soon after a repair"
    } else {
        "no trend with age is shown"
    }
}

fn repair(found: &Evidence) -> Vec<String> {
    let time = &found.time_to_repair;
    let or_unknown = |hours: Option<f64>| {
        hours.map_or("longer than the log says".to_owned(), |hours| format!("{} h", rough(hours)))
    };
    let lognormal = match &time.lognormal {
        Fit::Fitted(fit) => format!(
            "  lognormal: median {} h, {}; p90 {} h; p99 {} h",
            rough(fit.median),
            between(fit.median_interval),
            rough(fit.p90),
            rough(fit.p99)
        ),
        Fit::NotFitted(why) => format!("  lognormal: {why}"),
    };
    vec![
        format!(
            "time to repair: {}; median {}, p90 {}, p99 {}",
            counted(time.repairs, "repair"),
            or_unknown(time.median_hours),
            or_unknown(time.p90_hours),
            or_unknown(time.p99_hours)
        ),
        lognormal,
    ]
}

fn clean(found: &Evidence) -> Vec<String> {
    let clean = &found.clean;
    let proof = match clean.mean_hours_shown {
        Some(shown) => format!(
            "the current stretch of {} h shows a mean of at least {} h between incidents, at {} confidence",
            rough(clean.current_hours),
            rough(shown),
            rough(clean.confidence)
        ),
        None => "an incident is open, so no stretch is current and none is proof".to_owned(),
    };
    vec![
        format!(
            "clean: {} h in all, {} h the longest stretch",
            rough(clean.total_hours),
            rough(clean.longest_hours)
        ),
        format!("  {proof}"),
    ]
}

fn together(found: &Evidence) -> Vec<String> {
    let clusters = &found.clusters;
    let sizes: Vec<_> = (1..)
        .zip(&clusters.events_by_size)
        .filter(|(_, number)| **number > 0)
        .map(|(size, number)| format!("{number} of {size}"))
        .collect();
    let alpha = |alpha: &Share| match alpha {
        Share::Seen { value, .. } => rough(*value),
        Share::Below(bound) => format!("below {}", rough(*bound)),
    };
    let alphas: Vec<_> = clusters.alphas.iter().map(alpha).collect();
    vec![
        format!(
            "together: {} (started within {} s of each other), by components taken: {}",
            counted(clusters.events, "event"),
            rough(clusters.window_seconds),
            sizes.join(", ")
        ),
        format!(
            "  share of incidents in bursts {}; {} if they came at random",
            share(clusters.in_bursts),
            rough(clusters.in_bursts_if_independent)
        ),
        format!("  beta {}; alphas {}", share(clusters.beta), alphas.join(", ")),
    ]
}

fn share(share: Share) -> String {
    match share {
        Share::Seen { value, interval } => format!("{}, {}", rough(value), between(interval)),
        Share::Below(bound) => format!("below {}", rough(bound)),
    }
}

fn between(interval: Interval) -> String {
    let percent = rough(interval.confidence * 100.0);
    if interval.high.is_finite() {
        format!("{percent} % between {} and {}", rough(interval.low), rough(interval.high))
    } else {
        format!("{percent} % above {}", rough(interval.low))
    }
}
