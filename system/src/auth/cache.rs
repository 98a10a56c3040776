//! What an edge remembers of accounts, and what that is good for after a time.

use super::log::Standing;
use sim::time::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the data plane said of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// How it stands.
    pub(super) standing: Standing,
    /// When it was asked, which is no later than what the answer is true of.
    pub(super) asked_at: Instant,
    /// The hash of a credential of this account that was found to be signed.
    pub(super) proven: Option<blake3::Hash>,
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Let it in, by something so old.
    Admit { age: Duration },
    /// Turn it away: the account is revoked, or there is none.
    Deny { revoked: bool },
    /// Nobody can say.
    Unclear,
}

/// How long what is remembered is good for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) keep: Duration,
    pub(super) keep_refusals: Duration,
    /// Whether it is good for longer while nobody can be asked.
    pub(super) serve_stale: bool,
    /// Nobody is let in by anything older.
    pub(super) bound: Option<Duration>,
}

/// Accounts that were asked for lately, so many at the most: two generations, of which the older one is forgotten when the younger
/// has half of the room.
pub(super) struct Cache {
    young: BTreeMap<u32, Remembered>,
    old: BTreeMap<u32, Remembered>,
    generation_max: usize,
}

impl Rules {
    /// What `remembered` says as long as it need not be asked for again.
    pub(super) fn fresh(&self, remembered: &Remembered, now: Instant) -> Verdict {
        let age = now - remembered.asked_at;
        match remembered.standing {
            Standing::Good if age <= self.keep && self.is_in_bound(age) => Verdict::Admit { age },
            Standing::Good => Verdict::Unclear,
            _ if age > self.keep_refusals => Verdict::Unclear,
            standing => Verdict::Deny { revoked: standing == Standing::Revoked },
        }
    }

    /// What it says where nobody can be asked.
    pub(super) fn stale(&self, remembered: &Remembered, now: Instant) -> Verdict {
        let age = now - remembered.asked_at;
        match remembered.standing {
            Standing::Good if self.serve_stale && self.is_in_bound(age) => Verdict::Admit { age },
            // Nobody who is revoked comes back.
            Standing::Revoked => Verdict::Deny { revoked: true },
            // Who was unknown may have been made since.
            Standing::Good | Standing::Unknown => Verdict::Unclear,
        }
    }

    fn is_in_bound(&self, age: Duration) -> bool {
        self.bound.is_none_or(|bound| age <= bound)
    }
}

impl Cache {
    /// Room for `most` accounts.
    pub(super) fn new(most: u64) -> Self {
        let generation_max = usize::try_from(most / 2).unwrap_or(usize::MAX).max(1);
        Self { young: BTreeMap::new(), old: BTreeMap::new(), generation_max }
    }

    /// What is remembered of an account.
    pub(super) fn get(&mut self, account: u32) -> Option<&mut Remembered> {
        if let Some(remembered) = self.old.remove(&account) {
            self.put(account, remembered);
        }
        self.young.get_mut(&account)
    }

    /// Remembers an account.
    pub(super) fn put(&mut self, account: u32, remembered: Remembered) {
        if self.young.len() >= self.generation_max && !self.young.contains_key(&account) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&account);
        self.young.insert(account, remembered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        keep: Duration::from_secs(5),
        keep_refusals: Duration::from_secs(1),
        serve_stale: true,
        bound: Some(Duration::from_secs(30)),
    };

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn asked(standing: Standing, seconds: u64) -> Remembered {
        Remembered { standing, asked_at: at(seconds), proven: None }
    }

    fn admit(seconds: u64) -> Verdict {
        Verdict::Admit { age: Duration::from_secs(seconds) }
    }

    #[test]
    fn who_is_good_is_let_in_for_a_while_and_longer_while_nobody_answers_but_never_past_the_bound() {
        let good = asked(Standing::Good, 100);
        assert_eq!(RULES.fresh(&good, at(105)), admit(5));
        assert_eq!(RULES.fresh(&good, at(106)), Verdict::Unclear);
        assert_eq!(RULES.stale(&good, at(130)), admit(30));
        assert_eq!(RULES.stale(&good, at(131)), Verdict::Unclear);
        let no_stale = Rules { serve_stale: false, ..RULES };
        assert_eq!(no_stale.stale(&good, at(106)), Verdict::Unclear);
        let unbounded = Rules { bound: None, ..RULES };
        assert_eq!(unbounded.stale(&good, at(9_100)), admit(9_000));
        let longer = Rules { keep: Duration::from_secs(60), ..RULES };
        assert_eq!(longer.fresh(&good, at(131)), Verdict::Unclear, "the bound is over all");
    }

    #[test]
    fn who_is_unknown_is_asked_for_again_soon_and_who_is_revoked_stays_so() {
        let (unknown, revoked) = (asked(Standing::Unknown, 100), asked(Standing::Revoked, 100));
        assert_eq!(RULES.fresh(&unknown, at(101)), Verdict::Deny { revoked: false });
        assert_eq!(RULES.fresh(&unknown, at(102)), Verdict::Unclear);
        assert_eq!(RULES.stale(&unknown, at(102)), Verdict::Unclear);
        assert_eq!(RULES.stale(&revoked, at(9_000)), Verdict::Deny { revoked: true });
    }

    proptest! {
        #[test]
        fn room_is_bounded_and_the_last_ones_are_there(
            most in 2_u64..20,
            accounts in prop::collection::vec(0_u32..40, 1..200),
        ) {
            let mut cache = Cache::new(most);
            for account in &accounts {
                if cache.get(*account).is_none() {
                    cache.put(*account, asked(Standing::Good, u64::from(*account)));
                }
                let held = (cache.young.len() + cache.old.len()) as u64;
                prop_assert!(held <= most, "{held} of {most}");
                let remembered = cache.get(*account).map(|remembered| remembered.asked_at);
                prop_assert_eq!(remembered, Some(at(u64::from(*account))));
            }
        }
    }
}
