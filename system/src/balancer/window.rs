//! How a server answered lately.

use sim::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How far back answers count.
const LENGTH: Duration = Duration::from_secs(20);
/// Answers that are kept: more say no more.
const ANSWERS_MAX: usize = 200;
/// With fewer answers nobody is judged.
const ANSWERS_MIN: usize = 5;
/// A server is an outlier where its share of failures is over that of all others by this much, in percent. What fails at all
/// of them alike (the queue is gone, say) makes nobody one.
const APART_PERCENT: usize = 30;

/// A server's last answers: when, and whether it failed.
#[derive(Default)]
pub(super) struct Window {
    answers: VecDeque<(Instant, bool)>,
}

/// Answers counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) all: usize,
    pub(super) failed: usize,
}

impl Window {
    pub(super) fn add(&mut self, now: Instant, failed: bool) {
        self.answers.push_back((now, failed));
        if self.answers.len() > ANSWERS_MAX {
            self.answers.pop_front();
        }
    }

    pub(super) fn count(&mut self, now: Instant) -> Count {
        while self.answers.front().is_some_and(|(at, _)| now - *at > LENGTH) {
            self.answers.pop_front();
        }
        let failed = self.answers.iter().filter(|(_, failed)| *failed).count();
        Count { all: self.answers.len(), failed }
    }

    pub(super) fn clear(&mut self) {
        self.answers.clear();
    }
}

impl Count {
    /// Whether this one fails far more than the `others` do together.
    pub(super) fn is_outlier(self, others: Self) -> bool {
        let percent = |count: Self| count.failed * 100 / count.all.max(1);
        self.all >= ANSWERS_MIN && percent(self) >= percent(others) + APART_PERCENT
    }
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { all: self.all + other.all, failed: self.failed + other.failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(all: usize, failed: usize) -> Count {
        Count { all, failed }
    }

    #[test]
    fn who_fails_as_the_others_do_is_no_outlier() {
        assert!(count(10, 5).is_outlier(count(20, 0)));
        assert!(!count(10, 5).is_outlier(count(20, 8)), "all of them fail");
        assert!(!count(4, 4).is_outlier(count(20, 0)), "too few to judge by");
        assert!(count(5, 5).is_outlier(Count::default()), "alone");
    }

    #[test]
    fn old_answers_are_forgotten() {
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let mut window = Window::default();
        window.add(at(1), true);
        window.add(at(15), false);
        assert_eq!(window.count(at(16)), count(2, 1));
        assert_eq!(window.count(at(22)), count(1, 0));
        window.clear();
        assert_eq!(window.count(at(22)), count(0, 0));
    }
}
