//! The calling side's connection: made when something is to be sent, watched while something is owed.

use super::outlet::Outlet;
use super::{Ask, RpcError};
use crate::wire::{self, Decoder, Encoded, Frame, WireError};
use bytes::Bytes;
use serde::Deserialize;
use sim::net::{OwnedReadHalf, TcpStream};
use sim::task;
use sim::time::{Instant, sleep_until, timeout};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// Who takes a reply.
pub(super) enum Reply {
    /// One who waits for it.
    Awaited(oneshot::Sender<Result<Frame, RpcError>>),
    /// One who waits for several together. Called while the connection is locked, so that it must not use it.
    Counted(Box<dyn FnOnce(Result<Frame, RpcError>) + Send>),
}

impl Reply {
    fn give(self, frame: Result<Frame, RpcError>) {
        match self {
            // Nobody may be waiting any more.
            Self::Awaited(sender) => drop(sender.send(frame)),
            Self::Counted(count) => count(frame),
        }
    }
}

/// What calls, and the tasks of the connection, know together.
pub(super) struct Shared {
    node: String,
    port: u16,
    patience: Duration,
    next_number: u64,
    /// Calls that wait for a reply.
    calls: BTreeMap<u64, Reply>,
    connection: Option<Connection>,
    /// Not to connect again before: the last attempt failed, or the connection broke.
    down_until: Option<Instant>,
}

struct Connection {
    outlet: Outlet,
    /// Wakes the watch where it has gone to rest.
    owing: Arc<Notify>,
    resting: bool,
    /// Whether something was sent since the watch last looked.
    sent: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outlet.close();
    }
}

impl Shared {
    pub(super) fn new(node: &str, port: u16, patience: Duration) -> Self {
        Self {
            node: node.to_owned(),
            port,
            patience,
            next_number: 0,
            calls: BTreeMap::new(),
            connection: None,
            down_until: None,
        }
    }

    /// The number of a new call.
    pub(super) fn expect_reply(&mut self, reply: Reply) -> u64 {
        self.next_number += 1;
        self.calls.insert(self.next_number, reply);
        self.next_number
    }

    pub(super) fn forget(&mut self, number: u64) {
        self.calls.remove(&number);
    }

    pub(super) fn is_down(&self) -> bool {
        self.down_until.is_some()
    }

    fn fail_calls(&mut self, error: &RpcError) {
        for (_, reply) in std::mem::take(&mut self.calls) {
            reply.give(Err(error.clone()));
        }
    }

    fn fail_last(&mut self, error: RpcError) {
        if let Some(reply) = self.calls.remove(&self.next_number) {
            reply.give(Err(error));
        }
    }
}

pub(super) fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends what `encode` gives, and connects first where that is needed. A call that cannot be sent fails.
pub(super) fn send(
    shared: &Arc<Mutex<Shared>>,
    encode: impl FnOnce(&mut Shared) -> Result<Encoded, WireError>,
) {
    let mut locked = lock(shared);
    let before = locked.next_number;
    let encoded = encode(&mut locked);
    let is_call = locked.next_number != before;
    let sent = encoded.map_err(RpcError::from).and_then(|frame| locked.put(shared, frame));
    if let (Err(error), true) = (sent, is_call) {
        locked.fail_last(error);
    }
}

impl Shared {
    fn put(&mut self, shared: &Arc<Mutex<Self>>, frame: Encoded) -> Result<(), RpcError> {
        if self.connection.is_none() {
            if self.down_until.is_some_and(|until| Instant::now() < until) {
                return Err(RpcError::Unreachable(format!("{} was not reachable just now", self.node)));
            }
            let (outlet, owing) = (Outlet::ahead(), Arc::new(Notify::new()));
            let address = (self.node.clone(), self.port);
            task::spawn(live(Arc::downgrade(shared), address, self.patience, outlet.clone(), owing.clone()));
            self.connection = Some(Connection { outlet, owing, resting: false, sent: false });
        }
        let connection = self.connection.as_mut().expect("it was just made");
        connection.outlet.send(frame)?;
        connection.sent = true;
        if std::mem::take(&mut connection.resting) {
            connection.owing.notify_one();
        }
        Ok(())
    }
}

/// The life of one connection.
async fn live(
    shared: Weak<Mutex<Shared>>,
    (node, port): (String, u16),
    patience: Duration,
    outlet: Outlet,
    owing: Arc<Notify>,
) {
    let end = match timeout(patience, TcpStream::connect(&node, port)).await {
        Ok(Ok(stream)) => {
            if let Some(shared) = shared.upgrade() {
                lock(&shared).down_until = None;
            }
            let (reading, writing) = stream.into_split();
            outlet.open(writing);
            watch(&shared, reading, patience, &owing).await
        }
        Ok(Err(error)) => End::Broken(format!("{node} port {port}: {error}")),
        Err(_) => {
            sim::sometimes!("connecting takes too long");
            End::Broken(format!("{node} port {port} did not answer"))
        }
    };
    if let Some(shared) = shared.upgrade() {
        let mut shared = lock(&shared);
        shared.connection = None;
        let error = match end {
            End::Closed => "the service closed the connection".to_owned(),
            End::Broken(error) => {
                shared.down_until = Some(Instant::now() + patience / 4);
                error
            }
        };
        shared.fail_calls(&RpcError::Unreachable(error));
    }
}

/// How a connection ended.
enum End {
    /// In good order.
    Closed,
    /// Otherwise.
    Broken(String),
}

/// Reads replies until the connection breaks, falls silent while it owes something, or is not needed any more.
async fn watch(
    shared: &Weak<Mutex<Shared>>,
    mut reading: OwnedReadHalf,
    patience: Duration,
    owing: &Notify,
) -> End {
    let mut decoder = Decoder::default();
    let mut heard = Instant::now();
    let mut look = pin!(sleep_until(heard + patience / 2));
    let mut resting = false;
    loop {
        tokio::select! {
            biased;
            chunk = reading.receive() => {
                heard = Instant::now();
                match chunk {
                    Ok(Some(chunk)) => {
                        if let Err(error) = take_replies(shared, &mut decoder, chunk) {
                            return End::Broken(error.to_string());
                        }
                    }
                    Ok(None) => return End::Closed,
                    Err(error) => return End::Broken(error.to_string()),
                }
            }
            () = owing.notified(), if resting => {
                resting = false;
                heard = Instant::now();
                look.as_mut().reset(heard + patience / 2);
            }
            () = &mut look, if !resting => {
                if heard.elapsed() >= patience {
                    sim::sometimes!("a connection falls silent");
                    return End::Broken("the service fell silent".to_owned());
                }
                let Some(shared) = shared.upgrade() else { return End::Closed };
                let silent = heard.elapsed() >= patience / 2;
                resting = rest_or_ping(&mut lock(&shared), silent);
                look.as_mut().reset(if silent { Instant::now() } else { heard } + patience / 2);
            }
        }
    }
}

/// Whether nothing is owed; otherwise asks a service that is `silent` for a sign of life.
fn rest_or_ping(shared: &mut Shared, silent: bool) -> bool {
    let owes = !shared.calls.is_empty();
    let Some(connection) = &mut shared.connection else { return false };
    if owes || std::mem::take(&mut connection.sent) {
        if silent && let Ok(ping) = wire::encode(&Ask::<()>::Ping, Bytes::new()) {
            // Where so much waits to be sent, something is to be answered already.
            let _ = connection.outlet.send(ping);
        }
        return false;
    }
    connection.resting = true;
    true
}

/// The part of a [`Say`] that is needed to hand it on, whatever its reply's type is.
#[derive(Deserialize)]
enum Said {
    Pong,
    Reply { number: u64 },
}

fn take_replies(shared: &Weak<Mutex<Shared>>, decoder: &mut Decoder, chunk: Bytes) -> Result<(), WireError> {
    decoder.push(chunk);
    while let Some(frame) = decoder.next_frame()? {
        let Said::Reply { number } = frame.front()? else { continue };
        let reply = shared.upgrade().and_then(|shared| lock(&shared).calls.remove(&number));
        if let Some(reply) = reply {
            reply.give(Ok(frame));
        }
    }
    Ok(())
}
