//! How far a batch is: a bar where stderr is a terminal, a line now and then where it is not.
#![expect(clippy::disallowed_types, reason = "people wait in real time")]

use crate::terminal::counted;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// A batch with more runs than this ends by its time, and has no end to show.
const RUNS_SHOWN_MAX: u64 = 1_000_000_000;

/// Shows how far a batch is, on stderr, told from all its threads.
pub(crate) struct Progress(Mutex<State>);

struct State {
    bar: Option<ProgressBar>,
    quiet: bool,
    counts: Counts,
    begun: Instant,
    line_at: Instant,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Runs of the batch.
    runs: u64,
    /// Those that an earlier, interrupted batch did.
    done_before: u64,
    /// Those that are done by now, all in all.
    done: u64,
    /// None where violations are not what is looked for.
    distinct: Option<u64>,
}

impl Progress {
    /// Shows nothing where it is to be `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let now = Instant::now();
        let counts = Counts::default();
        Self(Mutex::new(State { bar: None, quiet, counts, begun: now, line_at: now }))
    }

    /// The batch begins: so many runs, of which so many are done, which showed so many distinct violations, if those are
    /// counted.
    pub(crate) fn begin(&self, runs: u64, done: u64, distinct: Option<u64>) {
        let mut state = self.lock();
        state.counts = Counts { runs, done_before: done, done, distinct };
        if state.quiet {
            return;
        }
        if std::io::stderr().is_terminal() {
            state.bar = Some(bar(state.counts));
        } else {
            let before = if done > 0 { format!(", {done} of them done before") } else { String::new() };
            let runs = if runs > RUNS_SHOWN_MAX { "endless runs".to_owned() } else { counted(runs, "run") };
            eprintln!("{runs}{before}");
        }
    }

    /// A run ended, and showed so many violations that are new.
    pub(crate) fn ended(&self) {
        let mut state = self.lock();
        state.counts.done += 1;
        state.show();
    }

    /// A violation that was not seen before.
    pub(crate) fn distinct(&self) {
        if let Some(distinct) = &mut self.lock().counts.distinct {
            *distinct += 1;
        }
    }

    /// Has `write` write lines of its own, the bar out of their way.
    pub(crate) fn beside(&self, write: impl FnOnce()) {
        let bar = self.lock().bar.clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// The batch has ended.
    pub(crate) fn finish(&self) {
        if let Some(bar) = self.lock().bar.take() {
            bar.finish_and_clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows the last of many steps that take a while, on stderr.
pub(crate) struct Steps(Option<(Option<ProgressBar>, Mutex<Option<Instant>>)>);

impl Steps {
    /// Shows nothing where it is to be `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.with_style(ProgressStyle::with_template("{elapsed}: {msg}").expect("a template"))
        });
        Self((!quiet).then(|| (bar, Mutex::new(None))))
    }

    /// A step.
    pub(crate) fn step(&self, text: &str) {
        let Some((bar, line_at)) = &self.0 else { return };
        if let Some(bar) = bar {
            bar.set_message(text.to_owned());
            bar.tick();
            return;
        }
        let mut line_at = line_at.lock().unwrap_or_else(PoisonError::into_inner);
        if line_at.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            *line_at = Some(Instant::now());
            eprintln!("{text}");
        }
    }

    /// All steps are done, or lines of another sort come.
    pub(crate) fn clear(&self) {
        if let Some((Some(bar), _)) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl State {
    fn show(&mut self) {
        let elapsed = self.begun.elapsed();
        if let Some(bar) = &self.bar {
            bar.set_position(self.counts.done);
            bar.set_message(self.counts.rate_and_distinct(elapsed));
        } else if !self.quiet && self.line_at.elapsed() >= LINE_EVERY {
            self.line_at = Instant::now();
            eprintln!("{}", self.counts.line(elapsed));
        }
    }
}

impl Counts {
    /// The line of where there is no terminal.
    fn line(&self, elapsed: Duration) -> String {
        let Self { runs, done, .. } = *self;
        let done = if runs > RUNS_SHOWN_MAX {
            format!("{} done", counted(done, "run"))
        } else {
            format!("{done} of {} done", counted(runs, "run"))
        };
        format!("{done}, {}", self.rate_and_distinct(elapsed))
    }

    fn rate_and_distinct(&self, elapsed: Duration) -> String {
        #[expect(clippy::cast_precision_loss, reason = "for a rate")]
        let rate = (self.done - self.done_before) as f64 / elapsed.as_secs_f64().max(1e-3);
        match self.distinct {
            Some(distinct) => format!("{rate:.1} seeds/s, {}", counted(distinct, "distinct violation")),
            None => format!("{rate:.1} seeds/s"),
        }
    }
}

fn bar(counts: Counts) -> ProgressBar {
    let (length, template) = if counts.runs > RUNS_SHOWN_MAX {
        (None, "{pos} runs, {elapsed}, {msg}")
    } else {
        (Some(counts.runs), "{bar:30} {pos}/{len} runs, {elapsed}, {msg}")
    };
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(template).expect("a template that indicatif reads"));
    bar.set_position(counts.done);
    bar.set_message(counts.rate_and_distinct(Duration::ZERO));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_how_fast_and_what_was_found() {
        let counts = Counts { runs: 200, done_before: 20, done: 80, distinct: Some(1) };
        let minute = Duration::from_secs(60);
        assert_eq!(counts.line(minute), "80 of 200 runs done, 1.0 seeds/s, 1 distinct violation");
        let endless = Counts { runs: u64::MAX, done: 21, ..counts };
        assert_eq!(endless.line(minute), "21 runs done, 0.0 seeds/s, 1 distinct violation");
        let none = Counts { distinct: Some(0), ..counts };
        assert!(none.line(Duration::ZERO).ends_with("0 distinct violations"));
        assert!(Counts { distinct: None, ..counts }.line(minute).ends_with("1.0 seeds/s"));
    }

    #[test]
    fn every_template_is_read() {
        for runs in [10, u64::MAX] {
            assert_eq!(bar(Counts { runs, done: 3, ..Counts::default() }).position(), 3);
        }
    }
}
