//! The network: hosts, their ports and cards, and what is under way between them.

use super::connection::{Connection, Pipe, RETRY_NS, RETRY_NS_MAX, SEGMENT_BYTES, Segment, State};
use super::datagram::{Datagram, Socket};
use super::link::{Harm, Links};
use crate::history::NodeIndex;
use crate::plan::Plan;
use crate::simulated::agenda::{self, Agenda};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::task::Waker;

/// Connections that wait to be accepted at one port; more calls go unanswered, as with a full backlog.
const BACKLOG: usize = 1024;
/// How long a caller waits before it calls again; each next time twice as long (RFC 6298, section 2).
const CALL_AGAIN_NS: u64 = 1_000_000_000;

/// One step of the network.
pub(crate) enum Step {
    /// A call reaches its listener's host.
    Call { connection: Token },
    /// The caller calls again, where it has heard nothing.
    CallAgain { connection: Token, again_ns: u64 },
    /// The answer reaches the caller.
    Answer { connection: Token },
    /// The caller has waited long enough, or was told no.
    CallFails { connection: Token, error: io::ErrorKind },
    /// A segment of the pipe from `side` arrives.
    Arrive { connection: Token, side: u8 },
    /// What stalls in the pipe from `side` is tried again.
    Retry { connection: Token, side: u8 },
    /// A reset reaches the end `side`.
    Reset { connection: Token, side: u8 },
    /// A datagram arrives.
    Datagram(Box<Datagram>),
}

/// A connection's slot and which use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    slot: u32,
    generation: u32,
}

/// The simulated network.
pub(crate) struct Network {
    pub(super) links: Links,
    pub(super) hosts: Vec<Host>,
    connections: Vec<Connection>,
    free: Vec<u32>,
    pub(super) messages: u64,
    bandwidth_bytes_per_s: u64,
    pub(super) buffer_bytes: usize,
    pub(super) connect_timeout_ns: u64,
    retransmit_timeout_ns: u64,
}

/// A host's kernel.
pub(super) struct Host {
    pub(super) powered: bool,
    /// When its card's directions are free again.
    sends_ns: u64,
    receives_ns: u64,
    pub(super) listeners: BTreeMap<u16, Listener>,
    pub(super) sockets: BTreeMap<u16, Socket>,
}

#[derive(Default)]
pub(super) struct Listener {
    pub(super) backlog: VecDeque<Token>,
    pub(super) waker: Option<Waker>,
}

impl Network {
    pub(crate) fn new(plan: &Plan) -> Self {
        let host = || Host {
            powered: true,
            sends_ns: 0,
            receives_ns: 0,
            listeners: BTreeMap::new(),
            sockets: BTreeMap::new(),
        };
        Self {
            links: Links::new(plan),
            hosts: plan.nodes.iter().map(|_| host()).collect(),
            connections: Vec::new(),
            free: Vec::new(),
            messages: 0,
            bandwidth_bytes_per_s: plan.network.bandwidth_bytes_per_s.max(1),
            buffer_bytes: usize::try_from(plan.network.buffer_bytes).unwrap_or(usize::MAX).max(1),
            connect_timeout_ns: plan.network.connect_timeout_ns,
            retransmit_timeout_ns: plan.network.retransmit_timeout_ns,
        }
    }

    /// How many segments and datagrams were sent.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    pub(crate) fn harm(&mut self, fault: u32, from: NodeIndex, to: NodeIndex, harm: &Harm) {
        self.links.harm(fault, from, to, harm);
    }

    pub(crate) fn heal(&mut self, fault: u32) {
        self.links.heal(fault);
    }

    pub(super) fn host(&mut self, node: NodeIndex) -> &mut Host {
        &mut self.hosts[node.0 as usize]
    }

    pub(super) fn connection(&mut self, token: Token) -> Option<&mut Connection> {
        let connection = &mut self.connections[token.slot as usize];
        (connection.generation == token.generation && connection.state != State::Free).then_some(connection)
    }

    /// Whether a packet from `from` reaches `to`'s kernel now.
    fn passes(&mut self, from: NodeIndex, to: NodeIndex) -> bool {
        self.host(to).powered && !self.links.get(from, to).cut
    }

    /// When a packet of so many bytes, sent now, arrives.
    pub(super) fn arrival_ns(&mut self, now_ns: u64, from: NodeIndex, to: NodeIndex, bytes: usize) -> u64 {
        let wire_ns = bytes as u64 * 1_000_000_000 / self.bandwidth_bytes_per_s;
        let latency_ns = self.links.get(from, to).latency_ns();
        if from == to {
            return now_ns.saturating_add(latency_ns);
        }
        let sender = self.host(from);
        sender.sends_ns = sender.sends_ns.max(now_ns) + wire_ns;
        let sent_ns = sender.sends_ns;
        let link = self.links.get(from, to);
        let (first_ns, clogged_until_ns) =
            (link.passed_ns(sent_ns, bytes).saturating_add(latency_ns), link.clogged_until_ns);
        // The receiver's card is as busy as its bytes make it: one that is late on its way holds up nobody else's.
        let receiver = self.host(to);
        receiver.receives_ns = receiver.receives_ns.max(now_ns) + wire_ns;
        first_ns.max(receiver.receives_ns).max(clogged_until_ns)
    }

    /// Begins a call from `from` to `port` of `to`.
    pub(super) fn call(&mut self, agenda: &mut Agenda, from: NodeIndex, to: NodeIndex, port: u16) -> Token {
        let token = match self.free.pop() {
            Some(slot) => {
                let generation = self.connections[slot as usize].generation + 1;
                self.connections[slot as usize] = Connection::new(generation, from, to, port);
                Token { slot, generation }
            }
            None => {
                self.connections.push(Connection::new(0, from, to, port));
                Token {
                    slot: u32::try_from(self.connections.len() - 1).expect("fewer than 2^32"),
                    generation: 0,
                }
            }
        };
        let gives_up_ns = agenda.now_ns() + self.connect_timeout_ns;
        let error = io::ErrorKind::TimedOut;
        agenda.push(gives_up_ns, agenda::Step::Net(Step::CallFails { connection: token, error }));
        self.send_call(agenda, token, CALL_AGAIN_NS);
        token
    }

    fn send_call(&mut self, agenda: &mut Agenda, connection: Token, again_ns: u64) {
        let Some((from, to)) = self.connection(connection).map(|one| (one.ends[0].node, one.ends[1].node))
        else {
            return;
        };
        let now_ns = agenda.now_ns();
        self.messages += 1;
        if !self.links.get(from, to).loses() {
            let arrives_ns = self.arrival_ns(now_ns, from, to, 0);
            agenda.push(arrives_ns, agenda::Step::Net(Step::Call { connection }));
        }
        agenda.push(
            now_ns + again_ns,
            agenda::Step::Net(Step::CallAgain { connection, again_ns: again_ns * 2 }),
        );
    }

    pub(super) fn step(&mut self, agenda: &mut Agenda, step: Step) {
        match step {
            Step::Call { connection } => self.called(agenda, connection),
            Step::CallAgain { connection, again_ns } => {
                let calling = |one: &&mut Connection| matches!(one.state, State::Calling | State::Answered);
                if self.connection(connection).filter(calling).is_some() {
                    self.send_call(agenda, connection, again_ns);
                }
            }
            Step::Answer { connection } => {
                if let Some(one) = self.connection(connection).filter(|one| one.state == State::Answered) {
                    one.state = State::Established;
                    one.caller.take().into_iter().for_each(Waker::wake);
                }
            }
            Step::CallFails { connection, error } => {
                let calling = |one: &&mut Connection| matches!(one.state, State::Calling | State::Answered);
                if let Some(one) = self.connection(connection).filter(calling) {
                    one.fail(0, error);
                    self.collect(connection);
                }
            }
            Step::Arrive { connection, side } => self.deliver(agenda, connection, usize::from(side)),
            Step::Retry { connection, side } => self.retry(agenda, connection, usize::from(side)),
            Step::Reset { connection, side } => self.reset(connection, usize::from(side)),
            Step::Datagram(datagram) => self.datagram_arrives(*datagram),
        }
    }

    /// A call has reached its host, if anything does.
    fn called(&mut self, agenda: &mut Agenda, token: Token) {
        let Some(connection) = self.connection(token) else { return };
        let (from, to, port) = (connection.ends[0].node, connection.ends[1].node, connection.port);
        let calling = connection.state == State::Calling;
        if !self.passes(from, to) {
            return;
        }
        if calling {
            let Some(listener) = self.host(to).listeners.get_mut(&port) else {
                let told_ns = self.arrival_ns(agenda.now_ns(), to, from, 0);
                let error = io::ErrorKind::ConnectionRefused;
                if self.passes(to, from) {
                    agenda.push(told_ns, agenda::Step::Net(Step::CallFails { connection: token, error }));
                }
                return;
            };
            if listener.backlog.len() >= BACKLOG {
                return;
            }
            listener.backlog.push_back(token);
            listener.waker.take().into_iter().for_each(Waker::wake);
            let connection = self.connection(token).expect("it was there");
            connection.state = State::Answered;
            connection.ends[1].open = true;
        }
        if self.passes(to, from) {
            let told_ns = self.arrival_ns(agenda.now_ns(), to, from, 0);
            agenda.push(told_ns, agenda::Step::Net(Step::Answer { connection: token }));
        }
    }

    /// Sends what the peer's buffer has room for from the pipe of `side`, and the end of the stream after all.
    pub(super) fn pump(&mut self, agenda: &mut Agenda, token: Token, side: usize) {
        loop {
            let buffer_bytes = self.buffer_bytes;
            let Some(connection) = self.connection(token) else { return };
            let (from, to) = (connection.ends[side].node, connection.ends[1 - side].node);
            let pipe = &mut connection.pipes[side];
            let room = buffer_bytes.saturating_sub(pipe.window_used_bytes()).min(SEGMENT_BYTES);
            let bytes = match pipe.queued.front_mut() {
                Some(_) if room == 0 => return,
                Some(chunk) => {
                    let bytes = chunk.split_to(chunk.len().min(room));
                    if chunk.is_empty() {
                        pipe.queued.pop_front();
                    }
                    pipe.queued_bytes -= bytes.len();
                    Some(bytes)
                }
                None if pipe.finished && !pipe.finish_sent => {
                    pipe.finish_sent = true;
                    None
                }
                None => return,
            };
            self.transmit(agenda, token, side, from, to, bytes);
        }
    }

    fn transmit(
        &mut self,
        agenda: &mut Agenda,
        token: Token,
        side: usize,
        from: NodeIndex,
        to: NodeIndex,
        bytes: Option<Bytes>,
    ) {
        self.messages += 1;
        let length = bytes.as_ref().map_or(0, Bytes::len);
        let link = self.links.get(from, to);
        let (lost, twice) = (link.loses(), link.duplicates());
        let bytes = bytes.map(|bytes| link.carried(bytes));
        let arrives_ns = self.arrival_ns(agenda.now_ns(), from, to, length);
        if twice {
            // The peer's kernel drops the copy; it has used the wire all the same.
            self.messages += 1;
            self.arrival_ns(agenda.now_ns(), from, to, length);
        }
        let Some(connection) = self.connection(token) else { return };
        let pipe = &mut connection.pipes[side];
        let arrives_ns = arrives_ns.max(pipe.last_arrival_ns);
        pipe.last_arrival_ns = arrives_ns;
        pipe.in_flight_bytes += length;
        pipe.in_flight.push_back(Segment { arrives_ns, lost, bytes });
        let side = u8::try_from(side).expect("0 or 1");
        agenda.push(arrives_ns, agenda::Step::Net(Step::Arrive { connection: token, side }));
    }

    /// Delivers all segments of the pipe from `side` that are due; stalls where they cannot pass.
    fn deliver(&mut self, agenda: &mut Agenda, token: Token, side: usize) {
        let now_ns = agenda.now_ns();
        let Some(connection) = self.connection(token) else { return };
        let (from, to) = (connection.ends[side].node, connection.ends[1 - side].node);
        let due =
            connection.pipes[side].in_flight.front().is_some_and(|segment| segment.arrives_ns <= now_ns);
        if due && !self.passes(from, to) {
            return self.stall(agenda, token, side);
        }
        if self.is_lost(token, side, now_ns) {
            return self.lose(agenda, token, side);
        }
        let answered = self.passes(to, from);
        let Some(connection) = self.connection(token) else { return };
        let peer_open = connection.ends[1 - side].open && connection.ends[1 - side].error.is_none();
        let pipe = &mut connection.pipes[side];
        let mut unwelcome = false;
        while pipe.in_flight.front().is_some_and(|segment| segment.arrives_ns <= now_ns && !segment.lost) {
            let segment = pipe.in_flight.pop_front().expect("it has a front");
            match segment.bytes {
                Some(bytes) => {
                    pipe.in_flight_bytes -= bytes.len();
                    if !answered {
                        pipe.unacknowledged_bytes += bytes.len();
                    }
                    if peer_open {
                        pipe.received_bytes += bytes.len();
                        pipe.received.push_back(bytes);
                    } else {
                        unwelcome = true;
                    }
                }
                None => pipe.ended = true,
            }
        }
        if answered {
            (pipe.stalled_since_ns, pipe.unacknowledged_bytes) = (None, 0);
        }
        let waits = !answered && pipe.unacknowledged_bytes > 0;
        pipe.wake();
        if unwelcome {
            self.send_reset(agenda, token, 1 - side);
        }
        if self.is_lost(token, side, now_ns) {
            self.lose(agenda, token, side);
        } else if waits {
            self.stall(agenda, token, side);
        }
        self.collect(token);
    }

    /// Whether the first segment of the pipe from `side` should be there by now and was lost on its way.
    fn is_lost(&mut self, token: Token, side: usize, now_ns: u64) -> bool {
        let first = self.connection(token).and_then(|one| one.pipes[side].in_flight.front());
        first.is_some_and(|segment| segment.arrives_ns <= now_ns && segment.lost)
    }

    /// A loss costs the time until the segment is sent again, never its bytes; that one may be lost like the first.
    fn lose(&mut self, agenda: &mut Agenda, token: Token, side: usize) {
        let Some(connection) = self.connection(token) else { return };
        let pipe = &connection.pipes[side];
        // A retry that is still planned from a stall that is over is not this loss's.
        if pipe.retry_at_ns.is_none() || pipe.stalled_since_ns.is_none() {
            let (from, to) = (connection.ends[side].node, connection.ends[1 - side].node);
            let lost = self.links.get(from, to).loses();
            let first = self.connection(token).and_then(|one| one.pipes[side].in_flight.front_mut());
            first.expect("it was lost").lost = lost;
        }
        self.stall(agenda, token, side);
    }

    /// Nothing comes back from the peer of `side`: tries again later, with ever longer waits.
    fn stall(&mut self, agenda: &mut Agenda, connection: Token, side: usize) {
        let now_ns = agenda.now_ns();
        let Some(one) = self.connection(connection) else { return };
        let pipe = &mut one.pipes[side];
        if pipe.stalled_since_ns.is_none() {
            pipe.stalled_since_ns = Some(now_ns);
            (pipe.retry_ns, pipe.retry_at_ns) = (RETRY_NS, None);
        }
        if pipe.retry_at_ns.is_none() {
            let retry_at_ns = now_ns + pipe.retry_ns;
            pipe.retry_at_ns = Some(retry_at_ns);
            pipe.retry_ns = (pipe.retry_ns * 2).min(RETRY_NS_MAX);
            let side = u8::try_from(side).expect("0 or 1");
            agenda.push(retry_at_ns, agenda::Step::Net(Step::Retry { connection, side }));
        }
    }

    fn retry(&mut self, agenda: &mut Agenda, token: Token, side: usize) {
        let timeout_ns = self.retransmit_timeout_ns;
        let now_ns = agenda.now_ns();
        let Some(connection) = self.connection(token) else { return };
        let pipe = &mut connection.pipes[side];
        let Some(since_ns) = pipe.stalled_since_ns else { return };
        // A step that was planned for an earlier stall finds a later plan, or none.
        if pipe.retry_at_ns.is_none_or(|at_ns| at_ns > now_ns) {
            return;
        }
        pipe.retry_at_ns = None;
        self.messages += 1;
        self.deliver(agenda, token, side);
        let Some(connection) = self.connection(token) else { return };
        if connection.pipes[side].stalled_since_ns.is_some() && now_ns >= since_ns.saturating_add(timeout_ns)
        {
            connection.fail(side, io::ErrorKind::TimedOut);
            self.collect(token);
        }
    }

    /// The kernel of the end `side` refuses what came: tells the other end, if that can be told.
    pub(super) fn send_reset(&mut self, agenda: &mut Agenda, connection: Token, side: usize) {
        let Some(one) = self.connection(connection) else { return };
        let (from, to) = (one.ends[side].node, one.ends[1 - side].node);
        self.messages += 1;
        if self.passes(from, to) && !self.links.get(from, to).loses() {
            let arrives_ns = self.arrival_ns(agenda.now_ns(), from, to, 0);
            let side = u8::try_from(1 - side).expect("0 or 1");
            agenda.push(arrives_ns, agenda::Step::Net(Step::Reset { connection, side }));
        }
    }

    fn reset(&mut self, token: Token, side: usize) {
        let Some(connection) = self.connection(token) else { return };
        let (from, to) = (connection.ends[1 - side].node, connection.ends[side].node);
        if self.passes(from, to) {
            let Some(connection) = self.connection(token) else { return };
            connection.fail(side, io::ErrorKind::ConnectionReset);
            self.collect(token);
        }
    }

    /// A process lets go of an end: the kernel sends the rest and the end of the stream, or a reset where data was not read.
    pub(super) fn close(&mut self, agenda: &mut Agenda, token: Token, side: usize) {
        let Some(connection) = self.connection(token) else { return };
        if !std::mem::replace(&mut connection.ends[side].open, false) {
            return;
        }
        let incoming = &mut connection.pipes[1 - side];
        let unread = std::mem::take(&mut incoming.received_bytes) > 0;
        incoming.received.clear();
        if connection.state == State::Calling {
            connection.fail(side, io::ErrorKind::ConnectionAborted);
        } else if unread && connection.ends[side].error.is_none() {
            connection.pipes[side].purge();
            connection.ends[side].error = Some(io::ErrorKind::ConnectionAborted);
            self.send_reset(agenda, token, side);
        } else {
            connection.pipes[side].finished = true;
            self.pump(agenda, token, side);
        }
        self.collect(token);
    }

    /// Frees a connection that nobody needs any more.
    pub(super) fn collect(&mut self, token: Token) {
        if let Some(connection) = self.connection(token)
            && connection.is_over()
        {
            connection.state = State::Free;
            connection.pipes = [Pipe::default(), Pipe::default()];
            connection.caller = None;
            self.free.push(token.slot);
        }
    }

    /// The process of `node` ended; its host lives on and closes what it held.
    pub(super) fn process_ended(&mut self, agenda: &mut Agenda, node: NodeIndex) {
        let host = self.host(node);
        host.sockets.clear();
        let waiting: Vec<_> =
            std::mem::take(&mut host.listeners).into_values().flat_map(|one| one.backlog).collect();
        for token in waiting {
            self.send_reset(agenda, token, 1);
        }
        for (token, side) in self.ends_of(node) {
            self.close(agenda, token, side);
        }
    }

    /// The host of `node` lost its power: all that it held is gone, and nobody is told.
    pub(super) fn host_lost(&mut self, node: NodeIndex) {
        let host = self.host(node);
        (host.powered, host.sends_ns, host.receives_ns) = (false, 0, 0);
        host.sockets.clear();
        host.listeners.clear();
        for (token, side) in self.ends_of(node) {
            let Some(connection) = self.connection(token) else { continue };
            connection.ends[side].open = false;
            connection.fail(side, io::ErrorKind::ConnectionAborted);
            self.collect(token);
        }
    }

    pub(super) fn host_restored(&mut self, node: NodeIndex) {
        self.host(node).powered = true;
    }

    fn ends_of(&self, node: NodeIndex) -> Vec<(Token, usize)> {
        let mut ends = Vec::new();
        for (slot, connection) in (0..).zip(&self.connections) {
            let token = Token { slot, generation: connection.generation };
            let held = |side: &usize| connection.state != State::Free && connection.ends[*side].node == node;
            ends.extend([0, 1].into_iter().filter(held).map(|side| (token, side)));
        }
        ends
    }
}
