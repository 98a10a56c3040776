//! One replica at work: the order, the state, the disk, peers and clients, joined. Does no I/O of its own, so that each
//! event is dealt with at once and in full.

use super::Settings;
use super::clients::{Clients, Pending, Read, progress};
use super::disk::{LogWork, Save};
use super::peers::{Assembly, Peers};
use crate::blobs::store::Store;
use crate::queue::lease_name;
use crate::queue::log::Snapshot;
use crate::queue::paxos::{
    Action, Change, Members, Message, Paxos, ReadKind, Record, Replica as Place, Slot,
};
use crate::queue::protocol::{Request, Response};
use crate::queue::state::{BLOB_WINDOW_NS, Command, Effect, Entry, State};
use crate::rpc::Incoming;
use crate::usage;
use bytes::Bytes;
use sim::history::{Digest, Fact};
use sim::node::record;
use sim::time::Instant;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;

/// There is one group of replicas.
const GROUP: u32 = 0;
/// A snapshot is taken when so much was chosen since the last, or twice the last one's size, where that is more.
const SNAPSHOT_BYTES_MIN: usize = 4 << 20;
/// Entries below a snapshot that stay in memory for peers that lag a little.
const KEPT_SLOTS: Slot = 500;
/// The most time that one entry passes on: what nobody has an interest in need not be counted.
const ELAPSED_MAX: Duration = Duration::from_nanos(BLOB_WINDOW_NS / 4);
/// Room for an entry as most are.
const ENTRY_BYTES: usize = 512;
/// Values whose digests are remembered from when they were accepted to when they are chosen.
const DIGESTS_KEPT: usize = 16;

/// One replica.
pub(super) struct Replica {
    pub(super) settings: Settings,
    pub(super) paxos: Paxos,
    pub(super) state: State,
    pub(super) peers: Peers,
    pub(super) store: Store,
    pub(super) log: mpsc::UnboundedSender<LogWork>,
    pub(super) saver: mpsc::UnboundedSender<Save>,
    pub(super) clients: Clients,
    pub(super) assembly: Assembly,
    /// The last slot that is in `state`.
    pub(super) applied: Slot,
    /// Who votes after it; none where that never changes.
    pub(super) members: Option<Members>,
    /// Records that are to be written, and the last one's number.
    pub(super) records: Vec<Record>,
    pub(super) written: u64,
    /// Chosen since the last snapshot, in bytes; that snapshot's size; whether one is being saved.
    pub(super) chosen_bytes: usize,
    pub(super) snapshot_bytes: usize,
    pub(super) saving: bool,
    /// Up to when this leader has passed time on.
    pub(super) stamped: Instant,
    pub(super) digests: Digests,
    /// Whether this leader has proposed its limits.
    pub(super) limits_proposed: bool,
}

/// The digests of the values that were accepted last: most are chosen soon after.
#[derive(Default)]
pub(super) struct Digests(VecDeque<(Bytes, Digest)>);

impl Digests {
    fn of(&mut self, value: &Bytes) -> Digest {
        // The same place in memory, which is theirs for as long as they are remembered.
        let same = |(known, _): &&(Bytes, Digest)| known.as_ptr_range() == value.as_ptr_range();
        if let Some((_, digest)) = self.0.iter().rev().find(same) {
            return *digest;
        }
        let digest = Digest::of(value);
        if self.0.len() == DIGESTS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((value.clone(), digest));
        digest
    }
}

impl Replica {
    /// A message of another replica arrives.
    pub(super) fn message(&mut self, now: Instant, from: Place, message: Message) {
        self.paxos.message(now.as_nanos(), from, message);
    }

    /// A part of another replica's snapshot arrives.
    pub(super) fn part(&mut self, slot: Slot, part: u32, parts: u32, bytes: Bytes) {
        if slot > self.paxos.chosen()
            && let Some(snapshot) = self.assembly.add(slot, part, parts, bytes)
        {
            self.save(snapshot, true);
        }
    }

    /// Records up to number `written` are durable.
    pub(super) fn durable(&mut self, now: Instant, written: u64) {
        self.paxos.durable(now.as_nanos(), written);
    }

    /// Does what is due, after an event.
    pub(super) fn turn(&mut self, now: Instant) {
        self.paxos.wake(now.as_nanos());
        self.act(now);
        let state = &self.state;
        self.clients.expire(now, |key| state.job(key).map(progress));
        self.propose(now);
        if !self.records.is_empty() {
            let records = std::mem::take(&mut self.records);
            // An error means that the process ends.
            let _ = self.log.send(LogWork::Append(records, self.written));
        }
    }

    /// When [`Replica::turn`] has something to do although nothing happens.
    pub(super) fn wake_at(&self) -> Instant {
        let wake = Instant::from_nanos(self.paxos.wake_ns());
        let wake = self.clients.next_timeout().map_or(wake, |timeout| wake.min(timeout));
        self.tick_at().map_or(wake, |tick| wake.min(tick))
    }

    /// When time must be passed on, since something ends by then; none where this replica does not lead or has entries on
    /// their way, which pass time on as well.
    fn tick_at(&self) -> Option<Instant> {
        if !self.paxos.leads() || self.paxos.has_open() {
            return None;
        }
        let due_ns = self.state.next_due_ns()?;
        let wait = Duration::from_nanos(due_ns.saturating_sub(self.state.as_of().clock_ns));
        Some(self.stamped + wait.min(ELAPSED_MAX))
    }

    /// A client asks.
    pub(super) fn client(&mut self, now: Instant, incoming: Incoming<Request, Response>) {
        if !self.paxos.leads() {
            let leader = self.paxos.leader();
            return incoming.replier.reply(Response::NotLeader(leader), Bytes::new());
        }
        let lease_ns = self.settings.lease_ns;
        let state = &self.state;
        let leases = matches!(incoming.request, Request::Lease { .. });
        if let Some(number) = self.clients.request(incoming, lease_ns) {
            let unfinished = |key: &str| state.job(key).is_some_and(|job| !job.is_over());
            if !self.settings.reads_confirmed {
                return self.read(number);
            }
            // Who waits for a job's end is told nothing before it, so that the read costs no messages of its own.
            let waits = self.clients.waits_until(number, unfinished);
            let patient = waits.is_some_and(|until| until - now >= self.settings.election_timeout);
            let kind = if patient { ReadKind::Patient } else { ReadKind::Prompt };
            self.paxos.read(number, kind).expect("this replica leads");
        }
        if leases {
            self.clients.repeat_leases(|attempt| state.holds_attempt(attempt), lease_ns);
        }
        self.clients.match_leases(self.state.ready(), lease_ns);
    }

    /// Proposes what waits, as long as the order has room; or only the time, where it is due. A leader's own limits go first, where
    /// it is configured with others than the state has.
    fn propose(&mut self, now: Instant) {
        while self.paxos.has_room() {
            if !self.limits_proposed && self.state.limits() != self.settings.limits {
                self.limits_proposed = true;
                self.propose_entry(now, vec![Command::Limit(self.settings.limits)], Vec::new());
                continue;
            }
            let tick = !self.clients.has_commands();
            if tick && self.tick_at().is_none_or(|tick_at| tick_at > now) {
                return;
            }
            let (commands, pendings) = self.clients.next_commands(now);
            if commands.is_empty() && !tick {
                continue;
            }
            self.propose_entry(now, commands, pendings);
        }
    }

    fn propose_entry(&mut self, now: Instant, commands: Vec<Command>, pendings: Vec<Pending>) {
        let elapsed = (now - self.stamped).min(ELAPSED_MAX);
        self.stamped = now;
        let elapsed_ns = u64::try_from(elapsed.as_nanos()).expect("a few seconds");
        let entry = Entry { elapsed_ns, commands };
        let value = postcard::to_extend(&entry, Vec::with_capacity(ENTRY_BYTES));
        let value = value.expect("entries have no types that postcard lacks");
        // Kept for long, so without the room that was not needed.
        let value = Bytes::from(value.into_boxed_slice());
        let slot = self.paxos.propose(now.as_nanos(), value.clone()).expect("this replica leads");
        self.clients.proposed(slot, value, pendings);
        self.act(now);
    }

    /// Does what the order wants done, until it wants nothing.
    fn act(&mut self, now: Instant) {
        while let Some(action) = self.paxos.next_action() {
            match action {
                Action::Send { to, message } => self.peers.send(to, message),
                Action::Persist(record) => {
                    self.records.push(record);
                    self.written += 1;
                }
                Action::Choose { slot, value } => self.apply(slot, &value),
                Action::Lead(ballot) => {
                    sim::sometimes!(self.saving, "leader changed during a snapshot");
                    (self.stamped, self.limits_proposed) = (now, false);
                    record(Fact::Lead { group: GROUP, ballot: ballot.number() });
                }
                Action::Follow => self.clients.send_away(self.paxos.leader()),
                Action::Promised(ballot) => {
                    record(Fact::Promise { group: GROUP, ballot: ballot.number() });
                }
                Action::Accepted { slot, ballot, value } => {
                    let (ballot, value) = (ballot.number(), self.digests.of(&value));
                    record(Fact::Accept { group: GROUP, slot, ballot, value });
                }
                Action::Read(number) => self.read(number),
                Action::SendSnapshot { to } => self.send_snapshot(to),
                Action::Reconfigure(members) => self.reconfigure(members),
            }
        }
    }

    fn apply(&mut self, slot: Slot, value: &Bytes) {
        debug_assert_eq!(slot, self.applied + 1, "slots are applied in order");
        record(Fact::Choose { group: GROUP, slot, value: self.digests.of(value) });
        let entry = if value.is_empty() || Change::of(value).is_some() {
            Entry::default()
        } else {
            postcard::from_bytes(value)
                .expect("a leader of this version wrote it, and it was checked on its way")
        };
        let mut effects = Vec::new();
        let replies = self.state.apply(entry, &mut effects);
        self.applied = slot;
        effects.into_iter().for_each(|effect| self.effect(effect));
        let proposed_here = self.clients.applied(slot, value, replies);
        self.store.applied(self.state.as_of());
        if self.paxos.leads() {
            if !proposed_here {
                // What an earlier leader proposed may be what a client asked again for.
                let state = &self.state;
                self.clients.repeat_leases(|attempt| state.holds_attempt(attempt), self.settings.lease_ns);
            }
            self.clients.match_leases(self.state.ready(), self.settings.lease_ns);
        }
        self.chosen_bytes += value.len() + 64;
        if self.chosen_bytes >= SNAPSHOT_BYTES_MIN.max(2 * self.snapshot_bytes) && !self.saving {
            self.saving = true;
            let snapshot = self.snapshot();
            self.save(snapshot, false);
        }
    }

    /// Others vote on the slots to come.
    fn reconfigure(&mut self, members: Members) {
        let replicas = members.iter().filter_map(|replica| self.peers.node(replica)).collect();
        record(Fact::Members { group: GROUP, since: members.since(), replicas });
        self.members = Some(members);
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Enqueued { id, position, group } => {
                if let Some(group) = group {
                    record(Fact::Join { id, group });
                }
                record(Fact::Enqueue { id, position });
            }
            Effect::Finished { id, position, output, key } => {
                record(Fact::Finish { id, position, output });
                self.ended(&key);
            }
            Effect::Guarded { id, token, position } => {
                record(Fact::Guard { lease: lease_name(id), token, position });
            }
            Effect::Used { id, amounts } => usage::record_use(id, amounts, self.settings.billed),
            Effect::Quarantined { id, position, reason, key } => {
                record(Fact::Quarantine { id, position, reason });
                self.ended(&key);
            }
            Effect::Redriven { id, position, group, token } => {
                if let Some(group) = group {
                    record(Fact::Join { id, group });
                }
                record(Fact::Redrive { id, position, token });
            }
            Effect::Hold(digest) => self.store.hold(digest),
            Effect::Drop { digest, position } => self.store.release(digest, position),
        }
    }

    fn ended(&mut self, key: &str) {
        if let Some(job) = self.state.job(key) {
            self.clients.ended(key, &progress(job));
        }
    }

    /// A read may take place.
    fn read(&mut self, number: u64) {
        match self.clients.confirmed(number) {
            Some(Read::Depth(back)) => back.reply(Response::Depth(self.state.depth()), Bytes::new()),
            Some(Read::UnsentUses { most, back }) => {
                back.reply(Response::UnsentUses(self.state.unsent_uses(most)), Bytes::new());
            }
            Some(Read::Status { key, until, back }) => {
                let job = self.state.job(&key);
                if job.is_some_and(|job| !job.is_over()) && until > Instant::now() {
                    // This moment is the read's; what is seen later only makes its answer better.
                    self.clients.watch(key, until, back);
                } else {
                    back.reply(Response::Status(job.map(progress)), Bytes::new());
                }
            }
            None => {}
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut bytes = self.state.encode();
        if let Some(members) = &self.members {
            bytes = postcard::to_extend(members, bytes).expect("members have no types that postcard lacks");
        }
        Snapshot { slot: self.applied, state: Bytes::from(bytes) }
    }

    fn save(&mut self, snapshot: Snapshot, install: bool) {
        if !install {
            (self.snapshot_bytes, self.chosen_bytes) = (snapshot.state.len(), 0);
        }
        // An error means that the process ends.
        let _ = self.saver.send(Save { snapshot, install });
    }

    fn send_snapshot(&mut self, to: Place) {
        if self.peers.may_send_snapshot(to) {
            self.peers.send_snapshot(to, &self.snapshot());
        }
    }

    /// A snapshot is durable: it takes the log's place, or, where it came from a peer, the state's.
    pub(super) fn saved(&mut self, now: Instant, Save { snapshot, install }: Save) {
        if !install {
            self.saving = false;
            sim::sometimes!("a snapshot takes the place of a part of the log");
        } else if snapshot.slot > self.paxos.chosen() {
            let read = super::read_snapshot(&snapshot.state);
            let Some((state, members)) = read else { return };
            sim::sometimes!("a peer's snapshot takes the place of the state");
            self.state = state;
            self.applied = snapshot.slot;
            self.store.replace_needed(self.state.needed_blobs().collect(), self.state.as_of());
            self.paxos.installed(now.as_nanos(), snapshot.slot, members);
        }
        // An error means that the process ends.
        let _ = self.log.send(LogWork::Forget(snapshot.slot));
        self.paxos.compact(snapshot.slot.saturating_sub(KEPT_SLOTS).max(self.paxos.compacted()));
    }
}
