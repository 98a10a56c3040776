//! What is kept beside the jobs to find them, and what others may ask.

use super::{AsOf, Batch, Depth, Job, Limits, QUARANTINE_RETENTIONS, Stage, State};
use sim::history::Digest;

impl State {
    /// How many jobs there are.
    pub fn depth(&self) -> Depth {
        Depth { unsent_uses: self.core.outbox.batches(), ..self.depth }
    }

    /// The oldest batches of uses that the usage store does not have.
    pub fn unsent_uses(&self, most: usize) -> Vec<Batch> {
        self.core.outbox.oldest(most)
    }

    /// What bounds the state now.
    pub fn limits(&self) -> Limits {
        self.core.limits
    }

    /// The job of `key`.
    pub fn job(&self, key: &str) -> Option<&Job> {
        self.core.jobs.get(self.keys.get(key)?)
    }

    /// How many jobs could be handed out at once.
    pub fn ready(&self) -> usize {
        self.waiting.len()
    }

    /// Whether this attempt to lease holds jobs.
    pub fn holds_attempt(&self, attempt: u64) -> bool {
        self.attempts.contains_key(&attempt)
    }

    /// How far the order was applied.
    pub fn as_of(&self) -> AsOf {
        AsOf { position: self.core.position, clock_ns: self.core.clock_ns }
    }

    /// When, in the state's time, something ends by itself; none where nothing does.
    pub fn next_due_ns(&self) -> Option<u64> {
        let seals_ns = self.core.limits.batching.and_then(|batching| self.core.outbox.due_ns(batching));
        self.due.first().map(|(at_ns, _)| *at_ns).into_iter().chain(seals_ns).min()
    }

    /// Whether a job needs the blob.
    pub fn needs(&self, digest: Digest) -> bool {
        self.core.blobs.is_needed(digest)
    }

    /// All blobs that jobs need.
    pub fn needed_blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        self.core.blobs.needed()
    }

    /// When a stage ends by itself.
    fn due_ns(&self, stage: &Stage) -> Option<u64> {
        let retention_ns = self.core.limits.retention_ns;
        // Forgetting is not urgent: many are forgotten together, so that an idle queue need not pass on every moment.
        let step_ns = retention_ns / 64 + 1;
        let forget_ns = |at_ns: u64| at_ns.div_ceil(step_ns).saturating_mul(step_ns);
        match stage {
            Stage::Waiting => None,
            Stage::Delayed { until_ns } => Some(*until_ns),
            Stage::Leased { expires_ns, .. } => Some(*expires_ns),
            Stage::Ended { ended_ns, .. } => Some(forget_ns(ended_ns.saturating_add(retention_ns))),
            Stage::Quarantined { ended_ns, .. } => {
                let kept_ns = retention_ns.saturating_mul(QUARANTINE_RETENTIONS);
                Some(forget_ns(ended_ns.saturating_add(kept_ns)))
            }
        }
    }

    fn count(&mut self, stage: &Stage) -> &mut u64 {
        match stage {
            Stage::Waiting | Stage::Delayed { .. } => &mut self.depth.waiting,
            Stage::Leased { .. } => &mut self.depth.leased,
            Stage::Ended { .. } => &mut self.depth.done,
            Stage::Quarantined { .. } => &mut self.depth.quarantined,
        }
    }

    /// Whether a job waits for no other of its group.
    fn has_its_turn(&self, position: u64, group: Option<u32>) -> bool {
        !self.core.limits.group_lock || group.is_none_or(|group| self.groups.is_first(group, position))
    }

    /// The job at `position`, of `group`, is in `stage` now.
    pub(super) fn index(&mut self, position: u64, group: Option<u32>, stage: &Stage) {
        *self.count(stage) += 1;
        self.due.extend(self.due_ns(stage).map(|at_ns| (at_ns, position)));
        match stage {
            Stage::Waiting if self.has_its_turn(position, group) => {
                self.waiting.insert(position);
            }
            Stage::Leased { attempt, .. } => {
                self.attempts.entry(*attempt).or_default().insert(position);
            }
            _ => {}
        }
    }

    /// The job at `position` is not in `stage` any more.
    pub(super) fn unindex(&mut self, position: u64, stage: &Stage) {
        *self.count(stage) -= 1;
        if let Some(at_ns) = self.due_ns(stage) {
            self.due.remove(&(at_ns, position));
        }
        match stage {
            Stage::Waiting => {
                self.waiting.remove(&position);
            }
            Stage::Leased { attempt, .. } => {
                let positions = self.attempts.get_mut(attempt).expect("what is leased was asked for");
                positions.remove(&position);
                if positions.is_empty() {
                    self.attempts.remove(attempt);
                }
            }
            _ => {}
        }
    }
}
