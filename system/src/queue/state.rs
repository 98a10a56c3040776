//! What the replicas agree on: the jobs. A pure machine: the same entries in the same order give the same state, the same
//! replies and the same effects on every replica.
//!
//! **Time** is part of the state: each entry carries the time that its leader measured since the one before, on its own
//! monotonic clock, and the state adds it up. Leases and retention end on that clock alone, so that replicas agree on
//! their ends, a new leader's clock need not agree with the old one's, and time in which nobody led does not count.
//!
//! **Order**: jobs are handed out by their place in the queue. One that comes back takes its old place, which is at the
//! front; it blocks nobody, since others are handed out while it is out, and after so many deliveries it is set aside.
//!
//! **Groups**: a job may belong to one. Of each group the first job that is not over is handed out, and no other: while it is
//! out, delayed or waiting the later ones wait, and other groups do not wait for it. Being set aside ends its turn as well.
//!
//! **Redrive**: a job that was set aside can be put back, behind all others, with its deliveries counted anew.
//!
//! **Dedup**: a key is known from its enqueueing until its result is forgotten, `retention` after the job's end.

mod blobs;
mod command;
mod groups;
mod index;
mod job;
mod outbox;
#[cfg(test)]
mod tests;

pub use blobs::{AsOf, BLOB_WINDOW_NS, BlobRef};
pub use command::{Command, Effect, Entry, JobResult, NewJob, Reply};
pub use job::{Grant, Job, Stage};
pub use outbox::{Amounts, Batch, Batching, Line};

use super::client::Depth;
use blobs::Blobs;
use groups::Groups;
use outbox::Outbox;
use serde::{Deserialize, Serialize};
use sim::history::Digest;
use std::collections::{BTreeMap, BTreeSet};

/// What bounds the state. Equal on all replicas: it is a part of the state. All start with the defaults here, and a leader that is
/// configured otherwise has them all change at one place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// More jobs are not taken while so many wait.
    pub waiting_max: u64,
    /// A job that was handed out so often without an end is set aside.
    pub deliveries_max: u32,
    /// Which of the jobs that wait is handed out first.
    pub first: First,
    /// Whether jobs of one group wait for one another.
    pub group_lock: bool,
    /// How long results and keys are remembered after a job's end.
    pub retention_ns: u64,
    /// How uses are put together; none where nobody keeps accounts.
    pub batching: Option<Batching>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_max: 10_000,
            deliveries_max: 5,
            first: First::Oldest,
            group_lock: true,
            retention_ns: 300_000_000_000,
            batching: None,
        }
    }
}

/// Which of the jobs that wait is handed out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum First {
    /// First in, first out.
    Oldest,
    /// Last in, first out: while more comes than can be done, some are done in time rather than all too late.
    Newest,
}

/// Jobs that were set aside are kept for somebody to look at: so many times as long as results.
const QUARANTINE_RETENTIONS: u64 = 12;

/// All jobs.
#[derive(Clone, Debug, Default)]
pub struct State {
    core: Core,
    keys: BTreeMap<String, u64>,
    /// Jobs that can be handed out at once.
    waiting: BTreeSet<u64>,
    groups: Groups,
    /// When the clock ends something: a lease, a delay, a retention. With the job's place.
    due: BTreeSet<(u64, u64)>,
    /// Places of jobs that each attempt to lease still holds.
    attempts: BTreeMap<u64, BTreeSet<u64>>,
    depth: Depth,
}

/// What cannot be rebuilt from the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Core {
    clock_ns: u64,
    position: u64,
    token: u64,
    /// By their place in the queue.
    jobs: BTreeMap<u64, Job>,
    blobs: Blobs,
    outbox: Outbox,
    limits: Limits,
}

impl State {
    /// No jobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state that [`State::encode`] wrote, and what lies behind it; none where `bytes` are no such thing.
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (core, rest) = postcard::take_from_bytes(bytes).ok()?;
        Some((Self::of(core), rest))
    }

    /// The state as bytes, equal for equal states.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.core).expect("the state has no types that postcard lacks")
    }

    fn of(core: Core) -> Self {
        let mut state = Self::default();
        state.core.limits = core.limits;
        for (position, job) in &core.jobs {
            state.keys.insert(job.key.clone(), *position);
            if let Some(group) = job.group.filter(|_| !job.is_over()) {
                state.groups.join(group, *position);
            }
            state.index(*position, job.group, &job.stage);
        }
        state.core = core;
        state
    }

    /// Applies an entry: one reply for each command, and effects in order.
    pub fn apply(&mut self, entry: Entry, effects: &mut Vec<Effect>) -> Vec<Reply> {
        self.pass(entry.elapsed_ns, effects);
        let commands = entry.commands.into_iter();
        commands
            .map(|command| {
                self.core.position += 1;
                self.execute(command, effects)
            })
            .collect()
    }

    fn execute(&mut self, command: Command, effects: &mut Vec<Effect>) -> Reply {
        match command {
            Command::Enqueue(new) => self.enqueue(new, effects),
            Command::Lease { worker, attempt, most, lease_ns } => {
                Reply::Leased(self.lease(&worker, attempt, most, lease_ns))
            }
            Command::Extend { key, token, lease_ns } => self.extend(&key, token, lease_ns, effects),
            Command::GiveBack { key, token, delay_ns } => self.give_back(&key, token, delay_ns, effects),
            Command::Return { key, token, delay_ns } => self.return_unseen(&key, token, delay_ns, effects),
            Command::Finish { key, token, result, amounts } => {
                self.finish(&key, token, result, amounts, effects)
            }
            Command::Redrive { key, attempt } => self.redrive(&key, attempt, effects),
            Command::Pass => {
                let now_ns = self.core.clock_ns;
                Reply::CompleteUntil(self.core.outbox.oldest_ns().unwrap_or(now_ns))
            }
            Command::ForgetUses { number } => {
                self.core.outbox.forget(number);
                Reply::Done
            }
            Command::Limit(limits) => {
                self.limit(limits);
                Reply::Done
            }
        }
    }

    /// Other limits hold from here on.
    fn limit(&mut self, limits: Limits) {
        sim::sometimes!("a leader has the queue's limits changed");
        let core = Core { limits, ..std::mem::take(&mut self.core) };
        // What is kept beside the jobs depends on them: when they are forgotten, whose turn it is.
        *self = Self::of(core);
    }

    fn enqueue(&mut self, new: NewJob, effects: &mut Vec<Effect>) -> Reply {
        let NewJob { id, key, group, request, body } = new;
        if let Some(position) = self.keys.get(&key).copied() {
            let job = &self.core.jobs[&position];
            let same = job.body == body.digest && job.request == request;
            sim::sometimes!("a job is enqueued that is there already");
            sim::sometimes!(job.ended_by().is_some(), "a job is enqueued that has ended already");
            return if same { Reply::Enqueued { position, duplicate: true } } else { Reply::KeyReused };
        }
        if self.depth.waiting >= self.core.limits.waiting_max {
            return Reply::Overloaded;
        }
        if !self.core.blobs.is_kept(&body, self.core.clock_ns) {
            return Reply::BlobGone;
        }
        self.core.blobs.hold(body.digest, effects);
        let position = self.core.position;
        let (body, redriven_by, stage) = (body.digest, None, Stage::Waiting);
        let job = Job {
            id,
            key: key.clone(),
            group,
            request,
            body,
            deliveries: 0,
            returned: 0,
            redriven_by,
            stage,
        };
        self.core.jobs.insert(position, job);
        self.keys.insert(key, position);
        self.put_at_the_back(position, group);
        effects.push(Effect::Enqueued { id, position, group });
        Reply::Enqueued { position, duplicate: false }
    }

    fn redrive(&mut self, key: &str, attempt: u64, effects: &mut Vec<Effect>) -> Reply {
        let Some(before) = self.keys.get(key).copied() else { return Reply::NoSuchJob };
        let job = &self.core.jobs[&before];
        if job.redriven_by == Some(attempt) {
            sim::sometimes!("a job is put back that was put back already");
            return Reply::Redriven { position: before };
        }
        if !matches!(job.stage, Stage::Quarantined { .. }) {
            return Reply::NotSetAside;
        }
        if self.depth.waiting >= self.core.limits.waiting_max {
            return Reply::Overloaded;
        }
        sim::sometimes!("a job that was set aside is put back");
        let mut job = self.core.jobs.remove(&before).expect("it is there");
        self.unindex(before, &job.stage);
        (job.deliveries, job.returned) = (0, 0);
        (job.redriven_by, job.stage) = (Some(attempt), Stage::Waiting);
        let (id, group, position, token) = (job.id, job.group, self.core.position, self.core.token);
        self.core.jobs.insert(position, job);
        self.keys.insert(key.to_owned(), position);
        self.put_at_the_back(position, group);
        effects.push(Effect::Redriven { id, position, group, token });
        Reply::Redriven { position }
    }

    /// The job at `position`, which is later than all others, waits.
    fn put_at_the_back(&mut self, position: u64, group: Option<u32>) {
        if let Some(group) = group {
            self.groups.join(group, position);
            let waits = !self.groups.is_first(group, position);
            sim::sometimes!(waits, "a job waits for an earlier one of its group");
        }
        self.index(position, group, &Stage::Waiting);
    }

    fn lease(&mut self, worker: &str, attempt: u64, most: u32, lease_ns: u64) -> Vec<Grant> {
        if let Some(positions) = self.attempts.get(&attempt) {
            return positions
                .iter()
                .filter_map(|position| self.core.jobs[position].grant(self.core.clock_ns))
                .collect();
        }
        let expires_ns = self.core.clock_ns.saturating_add(lease_ns);
        let positions: Vec<_> = match self.core.limits.first {
            First::Oldest => self.waiting.iter().take(most as usize).copied().collect(),
            First::Newest => self.waiting.iter().rev().take(most as usize).copied().collect(),
        };
        let mut grants = Vec::with_capacity(positions.len());
        for position in positions {
            self.core.token += 1;
            let (worker, token) = (worker.to_owned(), self.core.token);
            let job = self.core.jobs.get_mut(&position).expect("what waits is there");
            job.deliveries += 1;
            self.enter(position, Stage::Leased { worker, token, attempt, expires_ns });
            grants.extend(self.core.jobs[&position].grant(self.core.clock_ns));
        }
        grants
    }

    fn extend(&mut self, key: &str, token: u64, lease_ns: u64, effects: &mut Vec<Effect>) -> Reply {
        let Some((position, Stage::Leased { worker, token, attempt, .. })) = self.leased(key, token, effects)
        else {
            return Reply::Fenced;
        };
        let (worker, token, attempt) = (worker.clone(), *token, *attempt);
        let expires_ns = self.core.clock_ns.saturating_add(lease_ns);
        self.enter(position, Stage::Leased { worker, token, attempt, expires_ns });
        Reply::Done
    }

    fn give_back(&mut self, key: &str, token: u64, delay_ns: u64, effects: &mut Vec<Effect>) -> Reply {
        let Some((position, Stage::Leased { worker, .. })) = self.leased(key, token, effects) else {
            return Reply::Fenced;
        };
        let cause = format!("{worker} gave it back");
        let stage = self.waiting_after(delay_ns);
        self.return_or_set_aside(position, stage, &cause, effects);
        Reply::Done
    }

    /// A job comes back that its worker never saw. Were it counted against it, jobs whose bodies are out of reach for a while, or
    /// lost, would be set aside as poison: an excuse for losing them.
    fn return_unseen(&mut self, key: &str, token: u64, delay_ns: u64, effects: &mut Vec<Effect>) -> Reply {
        let Some(position) = self.leased(key, token, effects).map(|(position, _)| position) else {
            return Reply::Fenced;
        };
        sim::sometimes!("a job comes back whose body could not be had");
        let job = self.core.jobs.get_mut(&position).expect("what is leased is there");
        job.returned += 1;
        let stage = self.waiting_after(delay_ns);
        self.enter(position, stage);
        Reply::Done
    }

    fn waiting_after(&self, delay_ns: u64) -> Stage {
        let until_ns = self.core.clock_ns.saturating_add(delay_ns);
        if delay_ns == 0 { Stage::Waiting } else { Stage::Delayed { until_ns } }
    }

    fn finish(
        &mut self,
        key: &str,
        token: u64,
        result: JobResult,
        amounts: Amounts,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let Some(position) = self.leased(key, token, effects).map(|(position, _)| position) else {
            let ended = self.job(key).is_some_and(|job| job.ended_by() == Some(token));
            sim::sometimes!(ended, "a worker finishes what it has finished");
            return if ended { Reply::Done } else { Reply::Fenced };
        };
        if let JobResult::Output { output, .. } = &result {
            if !self.core.blobs.is_kept(output, self.core.clock_ns) {
                return Reply::BlobGone;
            }
            self.core.blobs.hold(output.digest, effects);
        }
        let (ended_ns, digest) = (self.core.clock_ns, result.digest());
        self.enter(position, Stage::Ended { token, ended_ns, result });
        let job = &self.core.jobs[&position];
        let (id, key, body) = (job.id, job.key.clone(), job.body);
        self.drop_blob(body, effects);
        effects.push(Effect::Finished { id, position: self.core.position, output: digest, key });
        if let (Some(batching), Some(_)) = (self.core.limits.batching, digest) {
            self.core.outbox.add(Line { id, ended_ns, amounts }, ended_ns, batching);
            effects.push(Effect::Used { id, amounts });
        }
        Reply::Done
    }

    /// Adds time, and ends what it ends: leases, delays, memories. Each takes a place in the order.
    fn pass(&mut self, elapsed_ns: u64, effects: &mut Vec<Effect>) {
        self.core.clock_ns = self.core.clock_ns.saturating_add(elapsed_ns);
        while let Some((_, position)) =
            self.due.first().copied().filter(|(at_ns, _)| *at_ns <= self.core.clock_ns)
        {
            self.core.position += 1;
            match self.core.jobs[&position].stage.clone() {
                Stage::Leased { worker, .. } => {
                    sim::sometimes!("a lease expires");
                    let cause = format!("the lease of {worker} expired");
                    self.return_or_set_aside(position, Stage::Waiting, &cause, effects);
                }
                Stage::Delayed { .. } => self.enter(position, Stage::Waiting),
                Stage::Ended { .. } | Stage::Quarantined { .. } => self.forget(position, effects),
                Stage::Waiting => unreachable!("nothing ends waiting but a lease"),
            }
        }
        self.core.blobs.forget_drops(self.core.clock_ns);
        if let Some(batching) = self.core.limits.batching {
            self.core.outbox.pass(self.core.clock_ns, batching);
        }
    }

    fn return_or_set_aside(&mut self, position: u64, back: Stage, cause: &str, effects: &mut Vec<Effect>) {
        let job = &self.core.jobs[&position];
        let tries = job.deliveries - job.returned;
        if tries < self.core.limits.deliveries_max {
            return self.enter(position, back);
        }
        sim::sometimes!("a job is set aside as poison");
        let reason = format!("delivered {tries} times without a result; at last {cause}");
        let (id, key, at) = (job.id, job.key.clone(), self.core.position);
        effects.push(Effect::Quarantined { id, position: at, reason: reason.clone(), key });
        self.enter(position, Stage::Quarantined { ended_ns: self.core.clock_ns, reason });
    }

    fn forget(&mut self, position: u64, effects: &mut Vec<Effect>) {
        let job = self.core.jobs.remove(&position).expect("what is due is there");
        self.unindex(position, &job.stage);
        self.keys.remove(&job.key);
        match job.stage {
            Stage::Ended { result, .. } => {
                if let Some(output) = result.digest() {
                    self.drop_blob(output, effects);
                }
            }
            _ => self.drop_blob(job.body, effects),
        }
    }

    fn drop_blob(&mut self, digest: Digest, effects: &mut Vec<Effect>) {
        let now = AsOf { position: self.core.position, clock_ns: self.core.clock_ns };
        self.core.blobs.drop(digest, now, effects);
    }

    /// The job of `key` and its stage, if this token's lease is its latest and not over.
    fn leased(&self, key: &str, token: u64, effects: &mut Vec<Effect>) -> Option<(u64, &Stage)> {
        let position = *self.keys.get(key)?;
        let Job { id, stage, .. } = &self.core.jobs[&position];
        let held = matches!(stage, Stage::Leased { token: latest, .. } if *latest == token);
        sim::sometimes!(!held, "a worker answers for a lease that is over");
        held.then(|| {
            effects.push(Effect::Guarded { id: *id, token, position: self.core.position });
            (position, stage)
        })
    }

    /// Moves a job to another stage.
    fn enter(&mut self, position: u64, stage: Stage) {
        let job = self.core.jobs.get_mut(&position).expect("it is there");
        let before = std::mem::replace(&mut job.stage, Stage::Waiting);
        let group = job.group;
        self.unindex(position, &before);
        let ended = !before.is_over() && stage.is_over();
        let next = group.filter(|_| ended).and_then(|group| self.groups.leave(group, position));
        self.index(position, group, &stage);
        *self.stage(position) = stage;
        if let Some(next) = next.filter(|next| self.core.jobs[next].stage == Stage::Waiting) {
            self.waiting.insert(next);
        }
    }

    fn stage(&mut self, position: u64) -> &mut Stage {
        &mut self.core.jobs.get_mut(&position).expect("it is there").stage
    }
}
