//! Connections: ordered byte streams as a kernel's TCP gives them to its users.
//!
//! A connection has two ends, the caller's (0) and the listener's (1), and a pipe from each to the other. Bytes go from
//! the writer into the pipe's send buffer, in segments over the link, into the peer's receive buffer, to the reader. Both
//! buffers are bounded. An acknowledgement takes no time of its own, but needs the way back to be open.

use crate::history::NodeIndex;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::task::Waker;

/// Bytes in one segment at most; more are cut, so that connections share a network card.
pub(super) const SEGMENT_BYTES: usize = 64 * 1024;
/// How long the first retransmission waits; each next twice as long, to [`RETRY_NS_MAX`] (RFC 6298, with Linux's least).
pub(super) const RETRY_NS: u64 = 200_000_000;
pub(super) const RETRY_NS_MAX: u64 = 30_000_000_000;

pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) state: State,
    pub(super) ends: [End; 2],
    /// From end 0 to end 1, and back.
    pub(super) pipes: [Pipe; 2],
    /// Wakes the caller when the connection stands or fails.
    pub(super) caller: Option<Waker>,
    pub(super) port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free,
    /// The caller waits for an answer.
    Calling,
    /// The listener's kernel has answered; the caller may not know yet.
    Answered,
    Established,
    /// The call failed.
    Failed(io::ErrorKind),
}

pub(super) struct End {
    pub(super) node: NodeIndex,
    /// Whether a process holds it.
    pub(super) open: bool,
    /// Why it is dead, if it is: every call on it fails.
    pub(super) error: Option<io::ErrorKind>,
}

#[derive(Default)]
pub(super) struct Pipe {
    /// Written and not sent, since the peer's buffer is full.
    pub(super) queued: VecDeque<Bytes>,
    pub(super) queued_bytes: usize,
    /// Sent, in order of arrival.
    pub(super) in_flight: VecDeque<Segment>,
    pub(super) in_flight_bytes: usize,
    /// Arrived, but its acknowledgement could not come back.
    pub(super) unacknowledged_bytes: usize,
    /// Arrived and not read.
    pub(super) received: VecDeque<Bytes>,
    pub(super) received_bytes: usize,
    /// The writer will write no more; and all before that was sent.
    pub(super) finished: bool,
    pub(super) finish_sent: bool,
    /// The reader has all that will ever come.
    pub(super) ended: bool,
    pub(super) last_arrival_ns: u64,
    /// Since when nothing came back, and how long the next retry waits.
    pub(super) stalled_since_ns: Option<u64>,
    pub(super) retry_ns: u64,
    /// When the next retry is due, where one is planned.
    pub(super) retry_at_ns: Option<u64>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

pub(super) struct Segment {
    pub(super) arrives_ns: u64,
    /// Whether it is lost by chance on its way; so may be its retransmission.
    pub(super) lost: bool,
    /// None is the end of the stream.
    pub(super) bytes: Option<Bytes>,
}

impl Pipe {
    /// Bytes that the writer's kernel still holds.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.queued_bytes + self.in_flight_bytes + self.unacknowledged_bytes
    }

    /// Bytes of the peer's receive buffer that are taken or promised.
    pub(super) fn window_used_bytes(&self) -> usize {
        self.in_flight_bytes + self.received_bytes
    }

    /// Whether the writer's kernel has nothing left to do with it.
    pub(super) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.in_flight.is_empty() && self.unacknowledged_bytes == 0
    }

    /// Drops what the writer's kernel holds: nothing more will arrive.
    pub(super) fn purge(&mut self) {
        self.queued.clear();
        self.in_flight.clear();
        (self.queued_bytes, self.in_flight_bytes, self.unacknowledged_bytes) = (0, 0, 0);
        (self.finished, self.finish_sent) = (true, true);
        self.stalled_since_ns = None;
    }

    pub(super) fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Connection {
    pub(super) fn new(generation: u32, from: NodeIndex, to: NodeIndex, port: u16) -> Self {
        let end = |node, open| End { node, open, error: None };
        Self {
            generation,
            state: State::Calling,
            ends: [end(from, true), end(to, false)],
            pipes: [Pipe::default(), Pipe::default()],
            caller: None,
            port,
        }
    }

    /// Kills an end: its calls fail from now on, and its kernel sends nothing more.
    pub(super) fn fail(&mut self, side: usize, error: io::ErrorKind) {
        self.ends[side].error.get_or_insert(error);
        self.pipes[side].purge();
        if matches!(self.state, State::Calling | State::Answered) && side == 0 {
            self.state = State::Failed(error);
        }
        self.pipes.iter_mut().for_each(Pipe::wake);
        self.caller.take().into_iter().for_each(Waker::wake);
    }

    /// Whether nobody holds it and nothing is under way.
    pub(super) fn is_over(&self) -> bool {
        let done = |side: usize| {
            let pipe = &self.pipes[side];
            !self.ends[side].open && pipe.is_idle() && (pipe.finish_sent || self.ends[side].error.is_some())
        };
        done(0) && (done(1) || matches!(self.state, State::Calling | State::Failed(_)))
    }
}
