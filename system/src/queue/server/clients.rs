//! What clients wait for: commands on their way, reads to be confirmed, leases that wait for jobs, ends of jobs.

use crate::queue::paxos::{Replica, Slot};
use crate::queue::protocol::{Progress, Request, Response};
use crate::queue::state::{Command, Grant, Job, JobResult, Reply, Stage};
use crate::rpc::{Incoming, Replier};
use bytes::Bytes;
use sim::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// More commands are not taken while so many wait to be proposed.
const BATCH_COMMANDS_MAX: usize = 20_000;
/// Longer commands are not taken.
const COMMAND_BYTES_MAX: usize = 8 << 10;
/// Commands of one entry, together.
const ENTRY_BYTES_MAX: usize = 20 << 10;

/// One client's way back.
pub(super) type Back = Replier<Response>;

/// Everything that clients wait for.
#[derive(Default)]
pub(super) struct Clients {
    batch: VecDeque<(Command, Pending)>,
    /// Proposals of this leader that are not applied yet.
    open: BTreeMap<Slot, (Bytes, Vec<Pending>)>,
    reads: BTreeMap<u64, Read>,
    tickets: BTreeMap<u64, Ticket>,
    timeouts: BTreeSet<(Instant, u64)>,
    /// Tickets of leases that wait for jobs, in order.
    parked: VecDeque<u64>,
    /// Tickets of those who wait for a job's end, by its key.
    watchers: BTreeMap<String, Vec<u64>>,
    /// Jobs on their way into the queue, each by a command of its own.
    coming: usize,
    /// Jobs that leases on their way will take.
    claimed: usize,
    next_number: u64,
}

/// A command's client.
pub(super) struct Pending {
    deadline: Instant,
    kind: Kind,
}

enum Kind {
    Plain(Back),
    Enqueue(Back),
    Extend(Back, u64),
    Lease(LeaseRequest, usize),
}

/// A read: to be confirmed, and then to be answered.
pub(super) enum Read {
    Status { key: String, until: Instant, back: Back },
    Depth(Back),
    UnsentUses { most: usize, back: Back },
}

enum Ticket {
    Lease(LeaseRequest),
    Watch { key: String, until: Instant, back: Back },
}

struct LeaseRequest {
    worker: String,
    attempt: u64,
    most: u32,
    arrived: Instant,
    /// How long it had waited when it was last on its way to be proposed.
    waited: Duration,
    /// When to answer that there are no jobs.
    until: Instant,
    deadline: Instant,
    back: Back,
}

impl Clients {
    /// Takes in a request. The number of a read, where it is one: it must be confirmed.
    pub(super) fn request(&mut self, incoming: Incoming<Request, Response>, lease_ns: u64) -> Option<u64> {
        let Incoming { request, deadline, replier: back, .. } = incoming;
        let until = |wait_ns| deadline.min(Instant::now() + Duration::from_nanos(wait_ns));
        let (command, kind) = match request {
            Request::Status { key, wait_ns } => {
                return Some(self.read(Read::Status { key, until: until(wait_ns), back }));
            }
            Request::Depth => return Some(self.read(Read::Depth(back))),
            Request::UnsentUses { most } => {
                return Some(self.read(Read::UnsentUses { most: most as usize, back }));
            }
            Request::Lease { worker, attempt, most, wait_ns } => {
                let (arrived, waited, until) = (Instant::now(), Duration::ZERO, until(wait_ns));
                self.park(LeaseRequest { worker, attempt, most, arrived, waited, until, deadline, back });
                return None;
            }
            Request::Enqueue(new) => (Command::Enqueue(new), Kind::Enqueue(back)),
            Request::Extend { key, token } => {
                (Command::Extend { key, token, lease_ns }, Kind::Extend(back, lease_ns))
            }
            Request::GiveBack { key, token, delay_ns } => {
                (Command::GiveBack { key, token, delay_ns }, Kind::Plain(back))
            }
            Request::Return { key, token, delay_ns } => {
                (Command::Return { key, token, delay_ns }, Kind::Plain(back))
            }
            Request::Finish { key, token, result, amounts } => {
                (Command::Finish { key, token, result, amounts }, Kind::Plain(back))
            }
            Request::Redrive { key, attempt } => (Command::Redrive { key, attempt }, Kind::Enqueue(back)),
            Request::CompleteUntil => (Command::Pass, Kind::Plain(back)),
            Request::ForgetUses { number } => (Command::ForgetUses { number }, Kind::Plain(back)),
        };
        let pending = Pending { deadline, kind };
        if weight(&command) > COMMAND_BYTES_MAX {
            pending.answer(Response::TooLarge);
        } else if self.batch.len() >= BATCH_COMMANDS_MAX {
            pending.answer(Response::Overloaded);
        } else {
            self.coming += usize::from(matches!(pending.kind, Kind::Enqueue(_)));
            self.batch.push_back((command, pending));
        }
        None
    }

    fn read(&mut self, read: Read) -> u64 {
        self.next_number += 1;
        self.reads.insert(self.next_number, read);
        self.next_number
    }

    /// Until when a read may wait, where it is for the end of a job that is `unfinished`.
    pub(super) fn waits_until(&self, number: u64, unfinished: impl Fn(&str) -> bool) -> Option<Instant> {
        match self.reads.get(&number)? {
            Read::Status { key, until, .. } if unfinished(key) => Some(*until),
            _ => None,
        }
    }

    /// A read is confirmed.
    pub(super) fn confirmed(&mut self, number: u64) -> Option<Read> {
        self.reads.remove(&number)
    }

    fn park(&mut self, request: LeaseRequest) {
        let until = request.until;
        let number = self.ticket(Ticket::Lease(request), until);
        self.parked.push_back(number);
    }

    /// Waits until `until` for the end of the job under `key`.
    pub(super) fn watch(&mut self, key: String, until: Instant, back: Back) {
        let number = self.ticket(Ticket::Watch { key: key.clone(), until, back }, until);
        self.watchers.entry(key).or_default().push(number);
    }

    fn ticket(&mut self, ticket: Ticket, until: Instant) -> u64 {
        self.next_number += 1;
        self.tickets.insert(self.next_number, ticket);
        self.timeouts.insert((until, self.next_number));
        self.next_number
    }

    fn take_ticket(&mut self, number: u64) -> Option<Ticket> {
        let ticket = self.tickets.remove(&number)?;
        let (Ticket::Watch { until, .. } | Ticket::Lease(LeaseRequest { until, .. })) = &ticket;
        self.timeouts.remove(&(*until, number));
        Some(ticket)
    }

    /// A job has ended so: those who wait for that hear of it.
    pub(super) fn ended(&mut self, key: &str, progress: &Progress) {
        for number in self.watchers.remove(key).unwrap_or_default() {
            if let Some(Ticket::Watch { back, .. }) = self.take_ticket(number) {
                back.reply(Response::Status(Some(progress.clone())), Bytes::new());
            }
        }
    }

    /// Gives jobs that are `ready` to those who wait for some: first come, first served. A job that is on its way is given
    /// away by a lease that goes right behind it, in the same entry where there is room; should it not come, the lease finds
    /// no job and waits on.
    pub(super) fn match_leases(&mut self, ready: usize, lease_ns: u64) {
        let ready = ready + self.coming;
        while ready > self.claimed
            && let Some(number) = self.parked.pop_front()
        {
            let Some(Ticket::Lease(request)) = self.take_ticket(number) else { continue };
            if !request.back.is_closed() {
                let claim = (request.most as usize).min(ready - self.claimed);
                self.lease(request, claim, lease_ns);
            }
        }
    }

    /// Lets attempts through that hold jobs already: their clients ask again since they did not hear of it.
    pub(super) fn repeat_leases(&mut self, holds: impl Fn(u64) -> bool, lease_ns: u64) {
        let repeats = |number: &u64| match self.tickets.get(number) {
            Some(Ticket::Lease(request)) => holds(request.attempt),
            _ => false,
        };
        if !self.parked.iter().any(repeats) {
            return;
        }
        let (again, parked): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.parked).into_iter().partition(repeats);
        self.parked = parked;
        for number in again {
            if let Some(Ticket::Lease(request)) = self.take_ticket(number) {
                self.lease(request, 0, lease_ns);
            }
        }
    }

    fn lease(&mut self, mut request: LeaseRequest, claim: usize, lease_ns: u64) {
        self.claimed += claim;
        // No lease begins before.
        request.waited = request.arrived.elapsed();
        let (worker, attempt, most) = (request.worker.clone(), request.attempt, request.most);
        let pending = Pending { deadline: request.deadline, kind: Kind::Lease(request, claim) };
        self.batch.push_back((Command::Lease { worker, attempt, most, lease_ns }, pending));
    }

    /// The next entry's commands and their clients; those that are too late are left out. Empty where nothing waits.
    pub(super) fn next_commands(&mut self, now: Instant) -> (Vec<Command>, Vec<Pending>) {
        let (mut commands, mut pendings, mut bytes) = (Vec::new(), Vec::new(), 0);
        while bytes < ENTRY_BYTES_MAX
            && let Some((command, pending)) = self.batch.pop_front()
        {
            if pending.deadline <= now {
                self.settle(&pending);
                pending.late();
                continue;
            }
            bytes += weight(&command);
            commands.push(command);
            pendings.push(pending);
        }
        (commands, pendings)
    }

    /// Commands were proposed for `slot`, as `value`.
    pub(super) fn proposed(&mut self, slot: Slot, value: Bytes, pendings: Vec<Pending>) {
        self.open.insert(slot, (value, pendings));
    }

    /// `value` was chosen and applied for `slot`, with these replies. Whether it was proposed here.
    pub(super) fn applied(&mut self, slot: Slot, value: &Bytes, replies: Vec<Reply>) -> bool {
        let Some((proposed, pendings)) = self.open.remove(&slot) else { return false };
        let ours = proposed == *value;
        let mut replies = replies.into_iter();
        for pending in pendings {
            self.settle(&pending);
            match (ours, replies.next()) {
                (true, Some(reply)) => self.reply(pending, reply),
                // Another leader's value has the slot.
                _ => pending.answer(Response::NotLeader(None)),
            }
        }
        ours
    }

    fn reply(&mut self, pending: Pending, reply: Reply) {
        match (pending.kind, reply) {
            (Kind::Lease(request, _), Reply::Leased(grants)) => {
                if grants.is_empty() && request.most > 0 {
                    // Another lease came first: waits on, at the end.
                    return self.park(request);
                }
                request.answer(grants);
            }
            (Kind::Extend(back, lease_ns), Reply::Done) => {
                back.reply(Response::Extended { lease_ns }, Bytes::new());
            }
            (kind, reply) => kind.back().reply(response(reply), Bytes::new()),
        }
    }

    /// A command is not on its way any more.
    fn settle(&mut self, pending: &Pending) {
        match pending.kind {
            Kind::Enqueue(_) => self.coming -= 1,
            Kind::Lease(_, claim) => self.claimed -= claim,
            Kind::Plain(_) | Kind::Extend(..) => {}
        }
    }

    /// Whether commands wait to be proposed.
    pub(super) fn has_commands(&self) -> bool {
        !self.batch.is_empty()
    }

    /// When somebody's patience ends.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.first().map(|(until, _)| *until)
    }

    /// Answers those whose patience has ended: no jobs; or, by `progress`, how far the job is.
    pub(super) fn expire(&mut self, now: Instant, progress: impl Fn(&str) -> Option<Progress>) {
        while let Some((_, number)) = self.timeouts.first().copied().filter(|(until, _)| *until <= now) {
            self.timeouts.pop_first();
            match self.tickets.remove(&number) {
                Some(Ticket::Lease(request)) => {
                    self.parked.retain(|parked| *parked != number);
                    request.answer(Vec::new());
                }
                Some(Ticket::Watch { key, back, .. }) => {
                    back.reply(Response::Status(progress(&key)), Bytes::new());
                    if let Some(numbers) = self.watchers.get_mut(&key) {
                        numbers.retain(|waiting| *waiting != number);
                        if numbers.is_empty() {
                            self.watchers.remove(&key);
                        }
                    }
                }
                None => {}
            }
        }
    }

    /// This replica does not lead any more: everybody must ask `leader`.
    pub(super) fn send_away(&mut self, leader: Option<Replica>) {
        let gone = std::mem::take(self);
        sim::sometimes!(!gone.open.is_empty(), "a deposed leader leaves commands open");
        let pendings = gone.batch.into_iter().map(|(_, pending)| pending);
        let pendings = pendings.chain(gone.open.into_values().flat_map(|(_, pendings)| pendings));
        let backs = pendings.map(|pending| pending.kind.back());
        let backs = backs.chain(gone.reads.into_values().map(|read| match read {
            Read::Status { back, .. } | Read::Depth(back) | Read::UnsentUses { back, .. } => back,
        }));
        let backs = backs.chain(gone.tickets.into_values().map(|ticket| match ticket {
            Ticket::Lease(request) => request.back,
            Ticket::Watch { back, .. } => back,
        }));
        backs.for_each(|back| back.reply(Response::NotLeader(leader), Bytes::new()));
        self.next_number = gone.next_number;
    }
}

impl Pending {
    fn answer(self, response: Response) {
        self.kind.back().reply(response, Bytes::new());
    }

    /// Nobody waits for a command whose deadline has passed; a worker that only wanted to know of jobs hears of none.
    fn late(self) {
        if let Kind::Lease(request, _) = self.kind {
            request.answer(Vec::new());
        }
    }
}

impl LeaseRequest {
    fn answer(self, grants: Vec<Grant>) {
        let waited_ns = u64::try_from(self.waited.as_nanos()).unwrap_or(u64::MAX);
        self.back.reply(Response::Leased { grants, waited_ns }, Bytes::new());
    }
}

impl Kind {
    fn back(self) -> Back {
        match self {
            Self::Plain(back) | Self::Enqueue(back) | Self::Extend(back, _) => back,
            Self::Lease(request, _) => request.back,
        }
    }
}

fn response(reply: Reply) -> Response {
    match reply {
        Reply::Enqueued { position, duplicate } => Response::Enqueued { position, duplicate },
        Reply::KeyReused => Response::KeyReused,
        Reply::Overloaded => Response::Overloaded,
        Reply::BlobGone => Response::BlobGone,
        Reply::Leased(grants) => Response::Leased { grants, waited_ns: 0 },
        Reply::CompleteUntil(ended_ns) => Response::CompleteUntil { ended_ns },
        Reply::Redriven { position } => Response::Redriven { position },
        Reply::NoSuchJob => Response::NoSuchJob,
        Reply::NotSetAside => Response::NotSetAside,
        Reply::Done => Response::Done,
        Reply::Fenced => Response::Fenced,
    }
}

/// How far `job` is, as clients are told.
pub(super) fn progress(job: &Job) -> Progress {
    match &job.stage {
        Stage::Waiting | Stage::Delayed { .. } => Progress::Waiting,
        Stage::Leased { .. } => Progress::Running,
        Stage::Ended { result: JobResult::Output { content_type, output }, .. } => {
            Progress::Done { content_type: content_type.clone(), output: output.digest }
        }
        Stage::Ended { result: JobResult::Refused { status, code, message }, .. } => {
            Progress::Refused { status: *status, code: code.clone(), message: message.clone() }
        }
        Stage::Quarantined { reason, .. } => Progress::Quarantined { reason: reason.clone() },
    }
}

/// About how many bytes a command is.
fn weight(command: &Command) -> usize {
    let strings = match command {
        Command::Enqueue(new) => new.key.len() + new.request.len(),
        Command::Lease { worker, .. } => worker.len(),
        Command::Extend { key, .. }
        | Command::GiveBack { key, .. }
        | Command::Return { key, .. }
        | Command::Redrive { key, .. } => key.len(),
        Command::Pass | Command::ForgetUses { .. } | Command::Limit(_) => 0,
        Command::Finish { key, result, .. } => {
            key.len()
                + match result {
                    JobResult::Output { content_type, .. } => content_type.len(),
                    JobResult::Refused { code, message, .. } => code.len() + message.len(),
                }
        }
    };
    strings + 100
}
