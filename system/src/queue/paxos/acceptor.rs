//! Promises and acceptances: Lamport 2001, section 2.2. Each is on disk before it is said.

use super::{AHEAD_SLOTS_MAX, Accepted, Ballot, Held, Message, Paxos, Record, Replica, Slot};
use bytes::Bytes;

impl Paxos {
    /// Phase 1a arrives: promises, unless a higher ballot is promised. Gives no answer to one who misses more than a
    /// promise can teach: that this replica knows a slot to be chosen may be news that nobody else remembers, so that a
    /// leader that only knew the slot's number might never find its value.
    pub(super) fn prepare(&mut self, now_ns: u64, from: Replica, ballot: Ballot, chosen: Slot) {
        if ballot.leader() != from || !self.can_teach(chosen) {
            return;
        }
        if ballot < self.promised {
            sim::sometimes!("a candidate comes with a ballot that is too low");
            return self.send(from, Message::Refuse { promised: self.promised });
        }
        if ballot > self.promised {
            self.take_part(now_ns, ballot);
            self.persist(now_ns, Record::Promise { ballot });
        }
        // Said again where it was made before: a process that ended in between may not have come to say it.
        self.after_durable(now_ns, Held::Promise(ballot));
        let accepted = self.entries.range(self.chosen + 1..);
        let accepted: Vec<_> = accepted.map(|(slot, entry)| (*slot, entry.clone())).collect();
        sim::sometimes!(!accepted.is_empty(), "a promise reports what is accepted and may be chosen");
        sim::sometimes!(chosen < self.chosen, "a promise teaches a candidate what is chosen");
        let learnt = self.entries.range(chosen + 1..).take_while(|(slot, _)| **slot <= self.chosen);
        let learnt = learnt.map(|(_, entry)| entry.value.clone()).collect();
        let promise = Message::Promise { ballot, first: chosen + 1, learnt, accepted };
        self.after_durable(now_ns, Held::Send(from, promise));
    }

    /// Whether all that this replica knows to be chosen above `chosen` fits a promise.
    pub(super) fn can_teach(&self, chosen: Slot) -> bool {
        chosen >= self.compacted && chosen.saturating_add(AHEAD_SLOTS_MAX) >= self.chosen
    }

    /// Phase 2a arrives: accepts, unless a higher ballot is promised.
    pub(super) fn accept(
        &mut self,
        now_ns: u64,
        from: Replica,
        (ballot, slot, value): (Ballot, Slot, Bytes),
        chosen: Slot,
        round: u64,
    ) {
        if !self.hear(now_ns, from, ballot, chosen) {
            return;
        }
        if slot > self.chosen.saturating_add(AHEAD_SLOTS_MAX) || self.is_clogged() {
            return self.seek(now_ns);
        }
        // What is chosen stays as it is, and the leader can only be proposing the same.
        let before = self.entries.get(&slot).map(|entry| entry.ballot);
        let known = before == Some(ballot);
        sim::sometimes!(known, "a proposal comes again");
        sim::sometimes!(
            slot > self.chosen && before < Some(ballot) && before.is_some(),
            "an accepted value gives way to a higher ballot's"
        );
        if slot > self.chosen && !known {
            self.entries.insert(slot, Accepted { ballot, value: value.clone() });
            self.persist(now_ns, Record::Accept { ballot, slot, chosen: self.chosen, value: value.clone() });
        }
        // Said again where it was said before: a process that ended in between may not have come to say it.
        if slot > self.chosen || known {
            self.after_durable(now_ns, Held::Acceptance(slot, ballot, value));
        }
        self.after_durable(now_ns, Held::Send(from, Message::Accepted { ballot, slot, round }));
        self.advance(now_ns);
        self.seek(now_ns);
    }

    /// The leader says that it leads.
    pub(super) fn heartbeat(&mut self, now_ns: u64, from: Replica, ballot: Ballot, chosen: Slot, round: u64) {
        if self.hear(now_ns, from, ballot, chosen) {
            // Says only what is so now, which no crash makes untrue: need not wait for the disk.
            self.send(from, Message::Follow { ballot, round });
            self.advance(now_ns);
            self.seek(now_ns);
        }
    }

    /// Whether `from` leads with `ballot` as far as this replica may know; refuses otherwise.
    fn hear(&mut self, now_ns: u64, from: Replica, ballot: Ballot, chosen: Slot) -> bool {
        if ballot.leader() != from {
            return false;
        }
        if ballot < self.promised {
            sim::sometimes!("a deposed leader is refused");
            self.send(from, Message::Refuse { promised: self.promised });
            return false;
        }
        if ballot > self.promised {
            self.take_part(now_ns, ballot);
            self.persist(now_ns, Record::Promise { ballot });
        }
        self.heard_leader(now_ns, ballot, chosen);
        true
    }
}
