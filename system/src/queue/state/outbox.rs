//! Uses that the accounts must still be told of: entered by the command that ends the job, so that a job's end and its use
//! are one, and kept until the usage store has them (Richardson 2018, "Microservices Patterns", section 3.3, calls this a
//! transactional outbox).

use serde::{Deserialize, Serialize};
use sim::history::Id;
use std::collections::BTreeMap;

/// When uses are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batching {
    /// So many make a batch.
    pub lines_max: usize,
    /// Fewer do after so long.
    pub wait_ns: u64,
}

/// What a job used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Time of a core.
    pub cpu_ns: u64,
    /// Bytes taken in and given out.
    pub bytes: u64,
}

impl Amounts {
    /// Both together; a sum that goes past what 64 bits hold stays there.
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }
}

/// One use: its job, whose client has the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The job.
    pub id: Id,
    /// When it ended, in the state's time.
    pub ended_ns: u64,
    /// What it used.
    pub amounts: Amounts,
}

/// Uses that go to the store together. What has a number is never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Counts batches, from 0.
    pub number: u64,
    /// The uses.
    pub lines: Vec<Line>,
}

/// All uses that the store does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outbox {
    open: Vec<Line>,
    opened_ns: u64,
    sealed: BTreeMap<u64, Vec<Line>>,
    next_number: u64,
}

impl Outbox {
    pub(super) fn add(&mut self, line: Line, clock_ns: u64, batching: Batching) {
        if self.open.is_empty() {
            self.opened_ns = clock_ns;
        }
        self.open.push(line);
        if self.open.len() >= batching.lines_max {
            self.seal();
        }
    }

    /// Gives the open batch its number, where its time has come.
    pub(super) fn pass(&mut self, clock_ns: u64, batching: Batching) {
        if self.due_ns(batching).is_some_and(|due_ns| due_ns <= clock_ns) {
            self.seal();
        }
    }

    pub(super) fn due_ns(&self, batching: Batching) -> Option<u64> {
        (!self.open.is_empty()).then(|| self.opened_ns.saturating_add(batching.wait_ns))
    }

    fn seal(&mut self) {
        self.sealed.insert(self.next_number, std::mem::take(&mut self.open));
        self.next_number += 1;
    }

    /// The oldest batches.
    pub(super) fn oldest(&self, most: usize) -> Vec<Batch> {
        let batches = self.sealed.iter().take(most);
        batches.map(|(number, lines)| Batch { number: *number, lines: lines.clone() }).collect()
    }

    /// When the oldest use ended that the store does not have.
    pub(super) fn oldest_ns(&self) -> Option<u64> {
        let first = self.sealed.values().next().unwrap_or(&self.open);
        first.first().map(|line| line.ended_ns)
    }

    /// The store has the batch.
    pub(super) fn forget(&mut self, number: u64) {
        self.sealed.remove(&number);
    }

    /// Batches that the store does not have, the open one included.
    pub(super) fn batches(&self) -> u64 {
        self.sealed.len() as u64 + u64::from(!self.open.is_empty())
    }
}
