//! The retry budget: what keeps many users with a slow service from becoming its next problem.

use sim::time::Instant;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Tries that may be made at once after a time without any.
const BURST: u32 = 10;

/// Turns at trying again: so many a minute, and a few at once after a quiet time. It keeps one number, the time at which
/// the next turn is due when turns are taken evenly (the generic cell rate algorithm, ITU-T I.371).
pub(super) struct Budget {
    /// From one turn to the next; none where there are no turns at all.
    interval: Option<Duration>,
    due: Mutex<Option<Instant>>,
}

impl Budget {
    pub(super) fn new(a_minute: u64) -> Self {
        let interval_ns = 60_000_000_000_u64.checked_div(a_minute);
        Self { interval: interval_ns.map(Duration::from_nanos), due: Mutex::new(None) }
    }

    /// Takes the first turn from `now` on and says when it is; none, and takes none, where that is not before `deadline`.
    pub(super) fn turn(&self, now: Instant, deadline: Instant) -> Option<Instant> {
        let interval = self.interval?;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let even = due.map_or(now, |due| due.max(now));
        // A turn may be taken ahead of the even pace by a burst's length less one.
        let ahead = interval * (BURST - 1);
        let turn = now + (even - now).saturating_sub(ahead);
        if turn >= deadline {
            return None;
        }
        *due = Some(even + interval);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn after_a_burst_turns_come_at_their_pace() {
        let budget = Budget::new(60);
        let turns: Vec<_> = (0..13).map(|_| budget.turn(at(100), at(1000))).collect();
        assert!(turns[..10].iter().all(|turn| *turn == Some(at(100))), "{turns:?}");
        assert_eq!(turns[10..], [Some(at(101)), Some(at(102)), Some(at(103))]);
        assert_eq!(budget.turn(at(200), at(1000)), Some(at(200)), "a quiet time refills it");
    }

    #[test]
    fn a_turn_past_the_deadline_is_not_taken() {
        let budget = Budget::new(60);
        for _ in 0..10 {
            budget.turn(at(0), at(60));
        }
        assert_eq!(budget.turn(at(0), at(1)), None);
        assert_eq!(budget.turn(at(0), at(60)), Some(at(1)), "the refused one cost nothing");
    }

    #[test]
    fn a_budget_of_nothing_gives_no_turns() {
        assert_eq!(Budget::new(0).turn(at(0), at(60)), None);
    }
}
