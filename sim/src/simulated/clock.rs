//! A node's own clock: an offset, a rate, steps.

/// Where wall clocks without error stand when a world begins: 2026-01-01 00:00:00 UTC, in nanoseconds since 1970.
const WALL_EPOCH_NS: i128 = 1_767_225_600_000_000_000;
const BILLION: i128 = 1_000_000_000;

/// The clock of one node. Monotonic time runs at the clock's rate and never goes back; wall time is monotonic time
/// plus an offset that can be stepped either way. Timers run on monotonic time.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// True time at which the rate last changed.
    since_ns: u64,
    /// Monotonic time then.
    monotonic_ns: u64,
    /// Gained a second of true time, in nanoseconds; -1e9 is a clock that stands still.
    rate_parts_per_billion: i64,
    wall_offset_ns: i64,
    /// How many faults hold it still.
    frozen_by: u32,
}

impl Clock {
    /// A clock that is off by `offset_ns` and gains `drift_parts_per_million`.
    pub(crate) fn new(offset_ns: i64, drift_parts_per_million: f64) -> Self {
        let rate_parts_per_billion = parts_per_billion(drift_parts_per_million);
        Self { since_ns: 0, monotonic_ns: 0, rate_parts_per_billion, wall_offset_ns: offset_ns, frozen_by: 0 }
    }

    /// Monotonic time at true time `now_ns`.
    pub(crate) fn monotonic_ns(&self, now_ns: u64) -> u64 {
        if self.is_true() {
            return self.monotonic_ns + (now_ns - self.since_ns);
        }
        let elapsed = i128::from(now_ns - self.since_ns);
        let gained = elapsed * self.rate() / BILLION;
        self.monotonic_ns
            + u64::try_from(gained).expect("time since the last change of rate, within 584 years")
    }

    /// Wall time at true time `now_ns`, in nanoseconds since 1970; not below it.
    pub(crate) fn wall_ns(&self, now_ns: u64) -> u64 {
        let wall = WALL_EPOCH_NS + i128::from(self.monotonic_ns(now_ns)) + i128::from(self.wall_offset_ns);
        u64::try_from(wall.max(0)).expect("within 584 years of 1970")
    }

    /// The first true time at which monotonic time is at least `deadline_ns`; none while the clock stands still.
    pub(crate) fn true_ns(&self, deadline_ns: u64) -> Option<u64> {
        let Some(missing_ns) = deadline_ns.checked_sub(self.monotonic_ns) else { return Some(self.since_ns) };
        if self.is_true() {
            return self.since_ns.checked_add(missing_ns);
        }
        let rate = self.rate();
        if rate == 0 {
            return (missing_ns == 0).then_some(self.since_ns);
        }
        let elapsed = (i128::from(missing_ns) * BILLION + rate - 1) / rate;
        u64::try_from(i128::from(self.since_ns) + elapsed).ok()
    }

    /// Adds to the clock's rate from true time `now_ns` on.
    pub(crate) fn drift(&mut self, now_ns: u64, added_parts_per_million: f64) {
        self.monotonic_ns = self.monotonic_ns(now_ns);
        self.since_ns = now_ns;
        self.rate_parts_per_billion += parts_per_billion(added_parts_per_million);
    }

    /// Has one fault more hold it still from true time `now_ns` on, or one fewer.
    pub(crate) fn freeze(&mut self, now_ns: u64, begins: bool) {
        self.monotonic_ns = self.monotonic_ns(now_ns);
        self.since_ns = now_ns;
        self.frozen_by = if begins { self.frozen_by + 1 } else { self.frozen_by.saturating_sub(1) };
    }

    /// Steps the wall clock.
    pub(crate) fn step(&mut self, by_ns: i64) {
        self.wall_offset_ns = self.wall_offset_ns.saturating_add(by_ns);
    }

    /// Whether it runs as true time does. Clocks are asked at every turn, and a division of 128 bits takes its time.
    fn is_true(&self) -> bool {
        self.rate_parts_per_billion == 0 && self.frozen_by == 0
    }

    fn rate(&self) -> i128 {
        if self.frozen_by > 0 {
            return 0;
        }
        (BILLION + i128::from(self.rate_parts_per_billion)).max(0)
    }
}

fn parts_per_billion(parts_per_million: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and plans bound it")]
    let rounded = (parts_per_million * 1000.0).round() as i64;
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fast_clock_reaches_its_deadline_early() {
        let clock = Clock::new(0, 1000.0);
        assert_eq!(clock.monotonic_ns(1_000_000_000), 1_001_000_000);
        assert_eq!(clock.true_ns(1_001_000_000), Some(1_000_000_000));
    }

    #[test]
    fn a_clock_that_stands_still_reaches_nothing() {
        let mut clock = Clock::new(0, 0.0);
        clock.drift(500, -1e6);
        assert_eq!(clock.monotonic_ns(9_999), 500);
        assert_eq!(clock.true_ns(501), None);
        assert_eq!(clock.true_ns(500), Some(500));
    }

    #[test]
    fn steps_move_the_wall_clock_and_not_the_monotonic() {
        let mut clock = Clock::new(-5, 0.0);
        let before = clock.wall_ns(100);
        clock.step(-50);
        assert_eq!(clock.wall_ns(100), before - 50);
        assert_eq!(clock.monotonic_ns(100), 100);
    }

    #[derive(Clone, Debug)]
    enum Change {
        Drift(f64),
        Step(i64),
    }

    fn changes() -> impl Strategy<Value = Vec<(u64, Change)>> {
        let change = prop_oneof![
            (-900_000.0..900_000.0).prop_map(Change::Drift),
            any::<i32>().prop_map(|by_ns| Change::Step(i64::from(by_ns))),
        ];
        proptest::collection::vec((0_u64..10_000_000_000, change), 0..20)
    }

    proptest! {
        #[test]
        fn monotonic_time_never_goes_back_and_deadlines_are_met_by_the_nodes_clock(
            changes in changes(),
            wait_ns in 0_u64..20_000_000_000,
        ) {
            let mut clock = Clock::new(0, 0.0);
            let (mut now_ns, mut last_ns) = (0, 0);
            for (elapsed_ns, change) in changes {
                now_ns += elapsed_ns;
                prop_assert!(clock.monotonic_ns(now_ns) >= last_ns);
                match change {
                    // Rates that stay above 5 % of true time: faults add up, plans bound each.
                    Change::Drift(added) => {
                        let target = added.clamp(-900_000.0, 900_000.0) * 1000.0;
                        #[expect(clippy::cast_precision_loss, reason = "a test's rate")]
                        let current = clock.rate_parts_per_billion as f64;
                        clock.drift(now_ns, (target - current) / 1000.0);
                    }
                    Change::Step(by_ns) => clock.step(by_ns),
                }
                last_ns = clock.monotonic_ns(now_ns);
            }
            let deadline_ns = last_ns + wait_ns;
            let due_ns = clock.true_ns(deadline_ns).expect("the clock runs");
            prop_assert!(due_ns >= now_ns);
            prop_assert!(clock.monotonic_ns(due_ns) >= deadline_ns);
            prop_assert!(due_ns == now_ns || clock.monotonic_ns(due_ns - 1) < deadline_ns);
        }
    }
}
