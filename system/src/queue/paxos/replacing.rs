//! When a leader changes who votes: a spare that it hears takes the place of a replica that it does not hear. First it comes in,
//! then the other goes, so that there are never fewer than there were.

use super::{AHEAD_SLOTS_MAX, Change, Paxos, Replica, Role};

impl Paxos {
    /// Makes the next step of a replacement, where one is due.
    pub(super) fn replace_the_silent(&mut self, now_ns: u64) {
        if self.config.spares == 0 || self.is_changing() {
            return;
        }
        if let Some(change) = self.due_change(now_ns) {
            sim::sometimes!(matches!(change, Change::Add { .. }), "a spare is to replace a silent replica");
            self.change(now_ns, change).expect("it leads, changes nothing else, and knows who votes");
        }
    }

    fn due_change(&self, now_ns: u64) -> Option<Change> {
        let Role::Leading(leading) = &self.role else { return None };
        let quietest = self.voting_peers().max_by_key(|peer| leading.silence_ns(now_ns, *peer))?;
        let silence_ns = leading.silence_ns(now_ns, quietest);
        let patience_ns = self.config.replace_after_ns;
        if self.members.count() > self.config.group() {
            // Half done. Where all are heard again, one is too many all the same.
            let gone = silence_ns > self.config.election_timeout_ns || leading.age_ns(now_ns) > patience_ns;
            return gone.then_some(Change::Remove { replica: quietest });
        }
        (silence_ns > patience_ns).then(|| self.spare_to_add(now_ns)).flatten()
    }

    /// The first spare that is heard and knows about as much as this replica, so that no vote waits for it to catch up.
    fn spare_to_add(&self, now_ns: u64) -> Option<Change> {
        let Role::Leading(leading) = &self.role else { return None };
        let is_spare = |replica: Replica| !self.members.has(replica);
        let mut spares = leading.listeners().filter(|(replica, _)| is_spare(*replica));
        let ready = spares.find(|(_, listener)| {
            let is_heard = now_ns.saturating_sub(listener.heard_ns) <= self.config.election_timeout_ns;
            is_heard && listener.chosen.saturating_add(AHEAD_SLOTS_MAX) >= self.chosen
        });
        ready.map(|(replica, listener)| Change::Add { replica, nonce: listener.nonce })
    }
}
