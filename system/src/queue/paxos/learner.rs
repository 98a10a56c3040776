//! What is chosen, and catching up with it.

use super::{Accepted, Action, Ballot, Change, Message, Paxos, Record, Replica, Slot};
use bytes::Bytes;

/// How much one [`Message::Learn`] carries at most, but for a single larger value.
const LEARN_BYTES_MAX: usize = 256 << 10;
const LEARN_VALUES_MAX: usize = 1024;

impl Paxos {
    /// Gives out, in order, what is known to be chosen by now: what a majority accepted from this leader; or, below the
    /// slot that a leader told, what was accepted in `promised`. For what is chosen by the time of one ballot, no higher one
    /// proposes anything else. (Hearsay of anybody else would not do: it may be about a ballot higher than `promised`.)
    pub(super) fn advance(&mut self, now_ns: u64) {
        loop {
            let slot = self.chosen + 1;
            let told = slot <= self.told
                && !self.leads()
                && self.entries.get(&slot).is_some_and(|entry| entry.ballot == self.promised);
            if !told && !self.decided(slot) {
                return;
            }
            let own = self.is_own(slot);
            self.close(slot);
            self.choose(now_ns, slot, own);
            if self.members.since() == slot {
                // That it is chosen must outlive a restart: who does not vote any more shall not begin again.
                let values = vec![self.entries[&slot].value.clone()];
                self.persist(now_ns, Record::Learn { first: slot, values });
            }
        }
    }

    /// The next slot's entry is chosen. `own` says that this leader thought of it, and counted the votes.
    fn choose(&mut self, now_ns: u64, slot: Slot, own: bool) {
        debug_assert_eq!(slot, self.chosen + 1, "slots are given out in order");
        self.chosen = slot;
        let value = self.entries[&slot].value.clone();
        self.give_out(now_ns, slot, value, own);
    }

    /// Gives out a slot that is chosen. Whoever votes on the next is known with it.
    pub(super) fn give_out(&mut self, now_ns: u64, slot: Slot, value: Bytes, own: bool) {
        let Some(change) = Change::of(&value) else {
            return self.actions.push_back(Action::Choose { slot, value });
        };
        let members = self.members.after(slot, change);
        self.tell_members(members.clone());
        self.actions.push_back(Action::Choose { slot, value });
        self.reconfigure(now_ns, members, own);
    }

    /// Asks for what others know to be chosen and this replica does not have.
    pub(super) fn seek(&mut self, now_ns: u64) {
        if let Some(leader) = self.leader
            && self.ahead > self.chosen
            && now_ns >= self.fetch_after_ns
        {
            self.fetch_after_ns = now_ns + self.config.heartbeat_ns();
            self.send(leader, Message::Fetch { first: self.chosen + 1 });
        }
    }

    /// A peer misses what was chosen from `first` on.
    pub(super) fn fetch(&mut self, from: Replica, first: Slot) {
        if first > self.chosen {
            return;
        }
        if first <= self.compacted {
            sim::sometimes!("a replica lags behind what the others' logs hold");
            return self.actions.push_back(Action::SendSnapshot { to: from });
        }
        let mut bytes = 0;
        let mut values = Vec::new();
        for entry in self.entries.range(first..=self.chosen).map(|(_, entry)| entry) {
            bytes += entry.value.len();
            if !values.is_empty() && bytes > LEARN_BYTES_MAX || values.len() == LEARN_VALUES_MAX {
                break;
            }
            values.push(entry.value.clone());
        }
        self.send(from, Message::Learn { first, values, chosen: self.chosen });
    }

    /// What was asked for arrives. Anybody may say it: what is chosen is chosen for ever.
    pub(super) fn learn(&mut self, now_ns: u64, first: Slot, values: Vec<Bytes>, chosen: Slot) {
        sim::sometimes!(!values.is_empty(), "a replica learns what it missed");
        if !self.is_clogged() {
            self.take_values(now_ns, first, values);
        }
        self.ahead = self.ahead.max(chosen);
        if !self.is_clogged() {
            self.fetch_after_ns = now_ns;
        }
        self.seek(now_ns);
    }

    /// Takes in values, from slot `first` on, that are known to be chosen.
    pub(super) fn take_values(&mut self, now_ns: u64, first: Slot, values: Vec<Bytes>) {
        let end = first.saturating_add(values.len() as u64);
        if first > self.chosen + 1 || end <= self.chosen + 1 {
            return;
        }
        let first_new = self.chosen + 1;
        let skipped = usize::try_from(first_new - first).expect("shorter than the values");
        let values: Vec<_> = values.into_iter().skip(skipped).collect();
        self.persist(now_ns, Record::Learn { first: first_new, values: values.clone() });
        for (slot, value) in (first_new..).zip(values) {
            self.entries.insert(slot, Accepted { ballot: Ballot::NONE, value });
            self.close(slot);
            self.choose(now_ns, slot, false);
        }
        self.advance(now_ns);
        self.pass_reads();
    }
}
