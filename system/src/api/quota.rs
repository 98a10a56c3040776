//! What one account may ask of one server: so many requests a second, and a second's worth ahead. Whoever wants more waits, and
//! nobody else does for its sake.
//!
//! Kept as the generic cell rate algorithm (ITU-T I.371): of each account one moment, at which it will have saved up all again.

use super::error::ApiError;
use axum::http::StatusCode;
use sim::time::Instant;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What an account may be ahead of its rate.
const AHEAD: Duration = Duration::from_secs(1);
/// Accounts that are remembered before those are forgotten that have all saved up again.
const ACCOUNTS_AT_FIRST: usize = 1024;

/// What accounts have left.
pub(super) struct Quota {
    /// What one request costs; zero where there is no limit.
    interval: Duration,
    state: Mutex<State>,
}

struct State {
    full_at: BTreeMap<u32, Instant>,
    sweep_at: usize,
}

impl Quota {
    /// So many requests a second for each account; 0 is no limit.
    pub(super) fn new(per_second: u64) -> Self {
        let interval = u32::try_from(per_second).unwrap_or(u32::MAX);
        let interval = Duration::from_secs(1).checked_div(interval).unwrap_or_default();
        let state = State { full_at: BTreeMap::new(), sweep_at: ACCOUNTS_AT_FIRST };
        Self { interval, state: Mutex::new(state) }
    }

    /// Takes one request of an account.
    ///
    /// # Errors
    /// 429 where it has none left, with the whole seconds until it has.
    pub(super) fn take(&self, account: u32) -> Result<(), ApiError> {
        self.take_at(account, Instant::now()).map_err(|wait| {
            let text = "this account asks for more in a second than it may: try again";
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", text)
                .again_after(u32::try_from(seconds).unwrap_or(u32::MAX))
        })
    }

    /// Takes one; else how long until there is one.
    fn take_at(&self, account: u32, now: Instant) -> Result<(), Duration> {
        if self.interval.is_zero() {
            return Ok(());
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = state.full_at.get(&account).copied().unwrap_or(now).max(now) + self.interval;
        let ahead = full_at - now;
        if let Some(wait) = ahead.checked_sub(AHEAD.max(self.interval)).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        state.full_at.insert(account, full_at);
        if state.full_at.len() >= state.sweep_at {
            state.full_at.retain(|_, full_at| *full_at > now);
            state.sweep_at = ACCOUNTS_AT_FIRST.max(2 * state.full_at.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn an_account_has_a_seconds_worth_and_then_its_rate_and_others_have_theirs() {
        let quota = Quota::new(10);
        assert_eq!((0..20).filter(|_| quota.take_at(7, at(0)).is_ok()).count(), 10);
        assert_eq!(quota.take_at(7, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(quota.take_at(8, at(0)), Ok(()));
        assert_eq!(quota.take_at(7, at(100)), Ok(()), "as was said");
        assert!(quota.take_at(7, at(150)).is_err());
        assert_eq!(
            (0..20).filter(|_| quota.take_at(7, at(60_000)).is_ok()).count(),
            10,
            "no more is saved up"
        );
        let unlimited = Quota::new(0);
        assert!((0..10_000).all(|_| unlimited.take_at(7, at(0)).is_ok()));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_a_second_ahead_and_whoever_waits_as_told_is_served(
            per_second in 1_u64..50,
            pauses_ms in prop::collection::vec(0_u64..200, 1..200),
        ) {
            let quota = Quota::new(per_second);
            let (mut now_ms, mut taken) = (0, 0_u64);
            for pause_ms in pauses_ms {
                now_ms += pause_ms;
                match quota.take_at(7, at(now_ms)) {
                    Ok(()) => taken += 1,
                    Err(wait) => {
                        let then = at(now_ms) + wait;
                        now_ms += u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap();
                        prop_assert_eq!(quota.take_at(7, then), Ok(()));
                        taken += 1;
                    }
                }
                prop_assert!(taken <= per_second + now_ms * per_second / 1000 + 1);
            }
        }

        #[test]
        fn of_accounts_that_ask_for_nothing_no_more_is_kept_than_of_a_few(accounts in 2_000_u32..6_000) {
            let quota = Quota::new(1_000_000);
            for account in 0..accounts {
                quota.take_at(account, at(u64::from(account))).unwrap();
            }
            prop_assert!(quota.state.lock().unwrap().full_at.len() <= ACCOUNTS_AT_FIRST);
        }
    }
}
