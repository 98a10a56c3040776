//! The retry budget of a tier: second tries are a share of first ones, so that a service in trouble is not asked twice by all.

use std::sync::{Mutex, PoisonError};

/// A retry's price; a request earns a hundredth of it for each percent of the budget.
const RETRY_PRICE: u64 = 100;

/// Second tries that may be made, earned by first ones.
pub(super) struct RetryBudget {
    percent: u64,
    /// What may be saved up in quiet times.
    saved_max: u64,
    saved: Mutex<u64>,
}

impl RetryBudget {
    /// A budget of `percent` of the requests, of which at most `retries_saved_max` are saved up; so many are there at first.
    pub(super) fn new(percent: u64, retries_saved_max: u64) -> Self {
        // A budget of more than one retry a request must be able to pay for them.
        let saved_max = retries_saved_max.saturating_mul(RETRY_PRICE).max(percent);
        let saved = if percent == 0 { 0 } else { retries_saved_max.saturating_mul(RETRY_PRICE) };
        Self { percent, saved_max, saved: Mutex::new(saved) }
    }

    /// How many more tries could be paid for now.
    pub(super) fn saved(&self) -> u64 {
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) / RETRY_PRICE
    }

    /// Earns what one request earns.
    pub(super) fn earn(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        *saved = (*saved + self.percent).min(self.saved_max);
    }

    /// Pays for one more try; false where there is too little.
    pub(super) fn pay(&self) -> bool {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = saved.checked_sub(RETRY_PRICE);
        *saved = rest.unwrap_or(*saved);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_what_was_saved_retries_are_their_share_of_requests() {
        let budget = RetryBudget::new(10, 10);
        assert_eq!((0..20).filter(|_| budget.pay()).count(), 10, "what was saved");
        let paid = (0..1000).filter(|_| {
            budget.earn();
            budget.pay()
        });
        assert_eq!(paid.count(), 100);
    }

    #[test]
    fn a_budget_of_nothing_pays_for_nothing() {
        let budget = RetryBudget::new(0, 10);
        budget.earn();
        assert!(!budget.pay());
    }

    #[test]
    fn a_budget_of_two_a_request_pays_for_two() {
        let budget = RetryBudget::new(200, 0);
        while budget.pay() {}
        budget.earn();
        assert!(budget.pay() && budget.pay() && !budget.pay());
    }
}
