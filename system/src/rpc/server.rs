//! The side that is called.

use super::outlet::Outlet;
use super::{Ask, Say};
use crate::wire::{self, Decoder, WireError};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sim::net::{OwnedReadHalf, TcpListener, TcpStream};
use sim::task;
use sim::time::{Instant, sleep, sleep_until};
use std::io;
use std::pin::pin;
use std::time::Duration;

/// A connection on which nothing comes for so long is closed: its caller may have vanished without a word.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// How long to wait where a connection cannot be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A request that came.
pub struct Incoming<Q, R> {
    /// What is asked.
    pub request: Q,
    /// The bytes beside it.
    pub blob: Bytes,
    /// When the answer is of no use any more; far away for a message without reply.
    pub deadline: Instant,
    /// Takes the reply; what is replied to a message without reply goes nowhere.
    pub replier: Replier<R>,
}

/// Takes the reply to one request. Dropped, it leaves the caller to its own patience.
pub struct Replier<R> {
    number: Option<u64>,
    outlet: Outlet,
    watch: Option<Watch<R>>,
}

/// Is shown a reply.
type Watch<R> = Box<dyn FnOnce(&R) + Send + Sync>;

impl<R> Replier<R> {
    /// Has `watch` be shown the reply; it is dropped unused where there is none.
    pub(crate) fn watch(&mut self, watch: impl FnOnce(&R) + Send + Sync + 'static) {
        self.watch = Some(Box::new(watch));
    }
}

impl<R: Serialize> Replier<R> {
    /// Sends the reply. One for which there is no room is lost, as if the connection had broken.
    pub fn reply(self, reply: R, blob: Bytes) {
        if let Some(watch) = self.watch {
            watch(&reply);
        }
        let Some(number) = self.number else { return };
        if let Ok(frame) = wire::encode(&Say::Reply { number, reply }, blob) {
            let _ = self.outlet.send(frame);
        }
    }

    /// Whether the connection to the caller is gone.
    pub fn is_closed(&self) -> bool {
        self.outlet.is_closed()
    }
}

/// Accepts connections and gives each request to `handle`: what takes long must be handed on. Returns only where the port
/// fails.
///
/// # Errors
/// Where the port fails.
pub async fn listen<Q, R, H>(listener: TcpListener, handle: H) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    R: Send + 'static,
    H: Fn(Incoming<Q, R>) + Clone + Send + Sync + 'static,
{
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Err(error),
            // No room for one more connection just now: those who call try again.
            Err(_) => {
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let handle = handle.clone();
        // A connection that ends in an error is its caller's to notice.
        task::spawn(async move { drop(serve(stream, handle).await) });
    }
}

async fn serve<Q, R, H>(stream: TcpStream, handle: H) -> io::Result<()>
where
    Q: DeserializeOwned,
    H: Fn(Incoming<Q, R>),
{
    let (mut reading, writing) = stream.into_split();
    let outlet = Outlet::through(writing);
    let ended = serve_requests(&mut reading, &outlet, handle).await;
    outlet.close();
    ended
}

async fn serve_requests<Q, R, H>(reading: &mut OwnedReadHalf, outlet: &Outlet, handle: H) -> io::Result<()>
where
    Q: DeserializeOwned,
    H: Fn(Incoming<Q, R>),
{
    let mut decoder = Decoder::default();
    let mut heard = Instant::now();
    let mut idle = pin!(sleep_until(heard + IDLE_MAX));
    loop {
        tokio::select! {
            biased;
            chunk = reading.receive() => {
                let Some(chunk) = chunk? else { return Ok(()) };
                heard = Instant::now();
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame()? {
                    let ask = frame.header()?;
                    if let Some(incoming) = incoming(ask, frame.blob, outlet)? {
                        handle(incoming);
                    }
                }
            }
            () = &mut idle => {
                if heard.elapsed() >= IDLE_MAX {
                    return Ok(());
                }
                idle.as_mut().reset(heard + IDLE_MAX);
            }
        }
    }
}

/// The request of a frame; a ping is answered at once.
fn incoming<Q, R>(ask: Ask<Q>, blob: Bytes, outlet: &Outlet) -> Result<Option<Incoming<Q, R>>, WireError> {
    let replier = |number| Replier { number, outlet: outlet.clone(), watch: None };
    Ok(match ask {
        Ask::Ping => {
            let pong = wire::encode(&Say::<()>::Pong, Bytes::new())?;
            // Where so much waits to be sent, that is sign of life enough.
            let _ = outlet.send(pong);
            None
        }
        Ask::Call { number, budget_ns, request } => {
            let deadline = Instant::now() + Duration::from_nanos(budget_ns);
            Some(Incoming { request, blob, deadline, replier: replier(Some(number)) })
        }
        Ask::Tell(request) => {
            let deadline = Instant::from_nanos(u64::MAX);
            Some(Incoming { request, blob, deadline, replier: replier(None) })
        }
    })
}
