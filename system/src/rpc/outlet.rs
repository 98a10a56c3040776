//! The way out of a connection: a frame goes straight into its send buffer. Only what that has no room for waits here, and
//! then a task sends it on as room is made.

use super::RpcError;
use crate::wire::Encoded;
use bytes::Bytes;
use sim::net::OwnedWriteHalf;
use sim::task::{self, JoinHandle};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Parts of frames that may wait to be sent, in each direction of a connection.
const WAITING_MAX: usize = 1024;

/// The sending side of a connection, for all who have something to say on it.
#[derive(Clone)]
pub(super) struct Outlet(Arc<Mutex<State>>);

struct State {
    way: Way,
    /// What is to be sent, in order.
    waiting: VecDeque<Bytes>,
    /// Sends on what waits, where something does although the way is open.
    sender: Option<JoinHandle<()>>,
}

enum Way {
    /// The connection is still to be made.
    Ahead,
    Open(OwnedWriteHalf),
    Closed,
}

impl Outlet {
    /// The way out of a connection that is still to be made: what is sent waits for it.
    pub(super) fn ahead() -> Self {
        Self::of(Way::Ahead)
    }

    /// The way out of this connection.
    pub(super) fn through(stream: OwnedWriteHalf) -> Self {
        Self::of(Way::Open(stream))
    }

    fn of(way: Way) -> Self {
        Self(Arc::new(Mutex::new(State { way, waiting: VecDeque::new(), sender: None })))
    }

    /// The connection is made: what waits goes out.
    pub(super) fn open(&self, stream: OwnedWriteHalf) {
        let mut state = self.lock();
        if matches!(state.way, Way::Ahead) {
            state.way = Way::Open(stream);
            self.send_on(&mut state);
        }
    }

    /// Sends a frame behind all others; does not wait until it is gone.
    pub(super) fn send(&self, frame: Encoded) -> Result<(), RpcError> {
        let mut state = self.lock();
        if matches!(state.way, Way::Closed) {
            return Err(RpcError::Unreachable("the connection is closed".to_owned()));
        }
        if state.waiting.len() >= WAITING_MAX {
            sim::sometimes!("more is to be sent than the other end takes");
            return Err(RpcError::Overloaded);
        }
        let parts = [frame.head, frame.blob].into_iter();
        state.waiting.extend(parts.filter(|part| !part.is_empty()));
        self.send_on(&mut state);
        Ok(())
    }

    /// Sends what waits; has a task do it where there is no room now.
    fn send_on(&self, state: &mut State) {
        let waits =
            state.sender.is_none() && state.poll_send(&mut Context::from_waker(Waker::noop())).is_pending();
        if waits {
            let outlet = self.clone();
            state.sender = Some(task::spawn(poll_fn(move |context| {
                let mut state = outlet.lock();
                let sent = state.poll_send(context);
                if sent.is_ready() {
                    state.sender = None;
                }
                sent
            })));
        }
    }

    /// Tells the peer that no more comes, and sends nothing that still waits.
    pub(super) fn close(&self) {
        self.lock().close();
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.lock().way, Way::Closed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts what waits into the send buffer; ready once nothing waits for room.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Way::Open(stream) = &mut self.way else { return Poll::Ready(()) };
        while let Some(part) = self.waiting.front_mut() {
            match stream.poll_send(context, part) {
                Poll::Ready(Ok(())) => drop(self.waiting.pop_front()),
                Poll::Pending => return Poll::Pending,
                // Whoever reads from the connection learns why, and ends it.
                Poll::Ready(Err(_)) => {
                    self.close();
                    break;
                }
            }
        }
        Poll::Ready(())
    }

    fn close(&mut self) {
        self.way = Way::Closed;
        self.waiting.clear();
        if let Some(sender) = self.sender.take() {
            sender.abort();
        }
    }
}
