//! Sums of accounts, read from enough nodes, which are told what they miss.

use super::protocol::{Key, Request, Response};
use super::ring::Ring;
use super::{BYTES_LEDGER, CPU_LEDGER, PATIENCE, PORT, Settings};
use crate::queue::{Amounts, Line};
use crate::rpc::{self, Remote};
use crate::wire;
use bytes::Bytes;
use sim::history::Fact;
use sim::stack::Deployment;
use sim::time::{Instant, timeout};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What an account used in all, as far as the store knows.
pub type Total = Amounts;

/// What the tier holds when it is at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// All accounts that used something.
    pub accounts: BTreeSet<u32>,
    /// When the last use ended, in nanoseconds of the queue's time.
    pub last_ended_ns: u64,
}

/// Why there is no sum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// The plan has no node of this tier.
    #[error("nobody keeps accounts here: the plan has no node of the role `usage`")]
    NoNodes,
    /// Too few nodes answered in time to be sure of having seen everything.
    #[error("{answered} nodes answered, and {needed} are needed: try again later")]
    TooFew {
        /// How many did.
        answered: usize,
        /// How many must.
        needed: usize,
    },
}

/// What a batch's name, or one of its uses, takes in an answer at the most.
const KEY_BYTES: u64 = 30;
const LINE_BYTES: u64 = 40;

/// A way to the accounts.
pub struct UsageReader {
    remotes: Vec<Remote<Request, Response>>,
    ring: Ring,
    /// Nodes that must answer, so that R owners of every batch have.
    needed: usize,
    /// Batches that are asked for at once, at the most.
    keys_most: usize,
}

impl UsageReader {
    /// The accounts of `deployment`. Opens no connection yet.
    pub fn new(deployment: &Deployment) -> Self {
        let settings = Settings::of(deployment);
        let remotes = settings.nodes.iter().map(|name| Remote::new(name, PORT, PATIENCE)).collect();
        let needed =
            settings.nodes.len().saturating_sub(settings.copies - settings.read_acks.min(settings.copies));
        let keys_most = keys_most(settings.batch_lines);
        Self { remotes, ring: Ring::new(&settings.nodes, settings.copies), needed, keys_most }
    }

    /// What `account` used. Holds every use whose batch was kept before the question, where R + W > N.
    ///
    /// # Errors
    /// Where too few nodes answer until the deadline.
    pub async fn total(&self, account: u32, deadline: Instant) -> Result<Total, UsageError> {
        let totals = self.totals(&[account], deadline).await?;
        Ok(totals.into_iter().next().unwrap_or_default())
    }

    /// [`UsageReader::total`] of several accounts, asked for together.
    ///
    /// # Errors
    /// Where too few nodes answer until the deadline.
    pub async fn totals(&self, accounts: &[u32], deadline: Instant) -> Result<Vec<Total>, UsageError> {
        let question = Instant::now().as_nanos();
        for account in accounts.iter().copied() {
            for ledger in [CPU_LEDGER, BYTES_LEDGER] {
                sim::node::record(Fact::AskTotal { ledger: ledger.to_owned(), account, question });
            }
        }
        let totals = self.read(accounts, deadline).await?;
        for (account, total) in accounts.iter().copied().zip(&totals) {
            for (ledger, amount) in super::in_ledgers(*total) {
                sim::node::record(Fact::Total { ledger, account, question, amount });
            }
        }
        Ok(totals)
    }

    async fn read(&self, accounts: &[u32], deadline: Instant) -> Result<Vec<Total>, UsageError> {
        let asked = Request::Totals { accounts: accounts.to_vec() };
        // By account and batch: its part, and who has it.
        let mut batches: BTreeMap<(usize, Key), (Amounts, BTreeSet<usize>)> = BTreeMap::new();
        let mut answered = BTreeSet::new();
        for (place, response) in self.quickest(&asked, self.needed, deadline).await? {
            answered.insert(place);
            let Response::Parts(parts) = response else { continue };
            for (turn, parts) in parts.into_iter().enumerate().take(accounts.len()) {
                for (key, amounts) in parts {
                    batches.entry((turn, key)).or_insert_with(|| (amounts, BTreeSet::new())).1.insert(place);
                }
            }
        }
        let mut totals = vec![Total::default(); accounts.len()];
        let mut lacking = BTreeSet::new();
        for ((turn, key), (amounts, holders)) in batches {
            totals[turn] = totals[turn].plus(amounts);
            let Some(from) = holders.first().and_then(|place| u32::try_from(*place).ok()) else { continue };
            let owners = self.ring.owners(key).into_iter();
            let missed = owners.filter(|owner| answered.contains(owner) && !holders.contains(owner));
            lacking.extend(missed.map(|owner| (key, owner, from)));
        }
        for (key, owner, from) in lacking {
            self.remotes[owner].tell(Request::Fetch { key, from }, Bytes::new());
        }
        Ok(totals)
    }

    /// All accounts, once nothing is on its way between the nodes any more; none before.
    ///
    /// # Errors
    /// Where a node does not answer until the deadline.
    pub async fn settled(&self, deadline: Instant) -> Result<Option<Settled>, UsageError> {
        let mut all = Settled::default();
        for (_, response) in self.quickest(&Request::Accounts, self.remotes.len(), deadline).await? {
            let Response::Accounts { accounts, last_ended_ns, settled: true } = response else {
                return Ok(None);
            };
            all.accounts.extend(accounts);
            all.last_ended_ns = all.last_ended_ns.max(last_ended_ns);
        }
        Ok(Some(all))
    }

    /// Has every owner of every batch say that it holds it, or does not.
    ///
    /// # Errors
    /// Where a node does not answer until the deadline.
    pub(crate) async fn tell(&self, deadline: Instant) -> Result<(), UsageError> {
        let asked = Request::Ended { from_ns: 0, until_ns: u64::MAX };
        let mut keys = BTreeSet::new();
        for (_, response) in self.quickest(&asked, self.remotes.len(), deadline).await? {
            let Response::Keys(more) = response else { continue };
            keys.extend(more);
        }
        for (place, remote) in self.remotes.iter().enumerate() {
            let own = keys.iter().filter(|key| self.ring.owners(**key).contains(&place)).copied().collect();
            let call = remote.call(Request::Tell(own), Bytes::new(), deadline);
            if !matches!(timeout(deadline - Instant::now(), call).await, Ok(Ok((Response::Stored, _)))) {
                return Err(UsageError::TooFew { answered: place, needed: self.remotes.len() });
            }
        }
        Ok(())
    }

    /// The batches with uses that ended in this time of the queue, each with a node that has it. All of them, where the
    /// queue says that the store was given all and R + W > N.
    ///
    /// # Errors
    /// Where too few nodes answer until the deadline.
    pub async fn ended(
        &self,
        time_ns: Range<u64>,
        deadline: Instant,
    ) -> Result<BTreeMap<Key, u32>, UsageError> {
        let asked = Request::Ended { from_ns: time_ns.start, until_ns: time_ns.end };
        let mut batches = BTreeMap::new();
        for (place, response) in self.quickest(&asked, self.needed, deadline).await? {
            let Response::Keys(keys) = response else { continue };
            let place = u32::try_from(place).expect("a deployment has fewer than 2^32 nodes");
            for key in keys {
                batches.entry(key).or_insert(place);
            }
        }
        Ok(batches)
    }

    /// The uses of batches that node `place` has; none where it does not answer, or does not have one of them any more.
    pub async fn lines(&self, keys: &[Key], place: u32, deadline: Instant) -> Option<Vec<Line>> {
        let remote = self.remotes.get(place as usize)?;
        let mut lines = Vec::new();
        for keys in keys.chunks(self.keys_most) {
            let call = remote.call(Request::Get(keys.to_vec()), Bytes::new(), deadline);
            match timeout(deadline - Instant::now(), call).await.ok()?.ok()?.0 {
                Response::Batches(batches) if batches.len() == keys.len() => {
                    lines.extend(batches.into_iter().flat_map(|(_, lines)| lines));
                }
                _ => return None,
            }
        }
        Some(lines)
    }

    /// The answers of `needed` nodes, the quickest, with their places.
    async fn quickest(
        &self,
        request: &Request,
        needed: usize,
        deadline: Instant,
    ) -> Result<Vec<(usize, Response)>, UsageError> {
        if self.remotes.is_empty() {
            return Err(UsageError::NoNodes);
        }
        let call = |remote: &Remote<_, _>| Some(remote.call(request.clone(), Bytes::new(), deadline));
        let mut calls: Vec<_> = self.remotes.iter().map(call).collect();
        let mut answers = Vec::new();
        while answers.len() < needed {
            match timeout(deadline - Instant::now(), rpc::next_answer(&mut calls)).await {
                Ok(Some((_, Ok((Response::Unsure, _)) | Err(_)))) => {}
                Ok(Some((place, Ok((response, _))))) => answers.push((place, response)),
                Ok(None) | Err(_) => return Err(UsageError::TooFew { answered: answers.len(), needed }),
            }
        }
        Ok(answers)
    }
}

/// How many batches of so many uses an answer has room for, whatever the numbers in them are.
fn keys_most(batch_lines: u64) -> usize {
    let batch_bytes = batch_lines.saturating_mul(LINE_BYTES).saturating_add(KEY_BYTES);
    // Half of what a frame holds: the rest is for what the answer is wrapped in.
    usize::try_from(wire::HEADER_BYTES_MAX as u64 / 2 / batch_bytes).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::history::Id;

    #[test]
    fn an_answer_to_as_many_keys_as_are_asked_for_at_once_fits_into_a_frame() {
        let (key, amounts) =
            (Key { number: u64::MAX, attempt: u64::MAX }, Amounts { cpu_ns: u64::MAX, bytes: u64::MAX });
        let line = Line { id: Id(u64::MAX), ended_ns: u64::MAX, amounts };
        for batch_lines in [1, 64, 100_000] {
            let batch = (key, vec![line; usize::try_from(batch_lines).unwrap()]);
            let answer = Response::Batches(vec![batch; keys_most(batch_lines)]);
            assert!(wire::encode(&answer, Bytes::new()).is_ok(), "{batch_lines}");
        }
        assert!(keys_most(64) > 1_000, "or a long period would take a question a batch");
    }
}
