//! What goes to stderr with `-v`: the events that hogwash and the stack trace, stamped with simulated time and node.

use std::fmt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Installs the log: nothing but hogwash's own warnings by default, more with each `-v`, nothing with `-q`. A stack under
/// faults warns of every one of them, thousands of times in a batch, which is for those to read who ask.
pub(crate) fn install(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) | (false, 0) => LevelFilter::OFF,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    // madsim opens a span at every turn of every task, whose upkeep took a tenth of a run's time.
    let filter = Targets::new().with_default(level).with_target("madsim", LevelFilter::OFF);
    let ours = if quiet { LevelFilter::OFF } else { level.max(LevelFilter::WARN) };
    let filter = filter.with_target("hogwash", ours);
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(ours).with_timer(Stamp);
    // A second call in one process keeps the first's settings.
    let _ = log.finish().with(filter).try_init();
}

/// Simulated time and node, where there is a world.
struct Stamp;

impl FormatTime for Stamp {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        match sim::node::stamp() {
            Some((at_ns, node)) => {
                write!(writer, "{:>12.6} {node:<10}", std::time::Duration::from_nanos(at_ns).as_secs_f64())
            }
            None => Ok(()),
        }
    }
}
