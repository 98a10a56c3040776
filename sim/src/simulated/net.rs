//! The network as a service sees it: streams, listeners and datagrams, named after their tokio counterparts.

mod connection;
mod datagram;
mod link;
mod network;

pub(crate) use link::Harm;
pub(crate) use network::{Network, Step};

use super::kernel::{self, Kernel};
use super::names::{self, Address};
use super::time;
use crate::history::NodeIndex;
use bytes::{Buf, Bytes};
use connection::State;
use network::Token;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The first port that calls and nameless sockets take on their own side.
const EPHEMERAL: u16 = 32_768;

/// The other end: a node and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The node's name.
    pub node: String,
    /// The port; 0 where it was chosen by the system for a caller.
    pub port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.node, self.port)
    }
}

/// Accepts connections at a port; dropping it closes the port.
#[derive(Debug)]
pub struct TcpListener {
    node: NodeIndex,
    incarnation: u32,
    port: u16,
}

impl TcpListener {
    /// Opens `port` of this node.
    ///
    /// # Errors
    /// `AddrInUse` where it is open already.
    #[expect(clippy::unused_async, reason = "the live world's waits")]
    pub async fn bind(port: u16) -> io::Result<Self> {
        let node = kernel::current();
        kernel::with(|kernel| {
            let incarnation = kernel.node(node).incarnation;
            let listeners = &mut kernel.net.host(node).listeners;
            if listeners.contains_key(&port) {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("port {port} is open already")));
            }
            listeners.entry(port).or_default();
            Ok(Self { node, incarnation, port })
        })
    }

    /// The next connection, and who called.
    ///
    /// # Errors
    /// Where the port was closed under it.
    pub async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        poll_fn(|context| {
            kernel::with(|kernel| {
                let Some(listener) = kernel.net.host(self.node).listeners.get_mut(&self.port) else {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                };
                let Some(token) = listener.backlog.pop_front() else {
                    listener.waker = Some(context.waker().clone());
                    return Poll::Pending;
                };
                let caller = kernel.net.connection(token).map(|connection| connection.ends[0].node);
                let node = caller.map_or_else(String::new, |caller| kernel.node(caller).plan.name.clone());
                let peer = Peer { node, port: 0 };
                Poll::Ready(Ok((TcpStream::new(token, 1, peer.clone()), peer)))
            })
        })
        .await
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        kernel::try_with(|kernel| {
            // One of an ended process went with it, and the port may be its successor's.
            if kernel.node(self.node).incarnation != self.incarnation || !kernel.node(self.node).running {
                return;
            }
            let listener = kernel.net.host(self.node).listeners.remove(&self.port);
            for token in listener.into_iter().flat_map(|listener| listener.backlog) {
                kernel.net.send_reset(&mut kernel.agenda, token, 1);
                kernel.net.close(&mut kernel.agenda, token, 1);
            }
        });
    }
}

/// One end of a connection: an ordered stream of bytes each way. Dropping it closes it as the kernel does: what was
/// written is still sent, unless something was received and not read, which resets the connection.
#[derive(Debug)]
pub struct TcpStream {
    end: Arc<Handle>,
    peer: Peer,
}

#[derive(Debug)]
struct Handle {
    token: Token,
    side: usize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        kernel::try_with(|kernel| kernel.net.close(&mut kernel.agenda, self.token, self.side));
    }
}

impl TcpStream {
    fn new(token: Token, side: usize, peer: Peer) -> Self {
        Self { end: Arc::new(Handle { token, side }), peer }
    }

    /// Calls `port` of the node called `node`.
    ///
    /// # Errors
    /// `NotFound` for a name that no node has, `ConnectionRefused` for a closed port, `TimedOut` for a host without power
    /// or behind a cut.
    pub async fn connect(node: &str, port: u16) -> io::Result<Self> {
        let from = kernel::current();
        let called = kernel::with(|kernel| {
            Ok::<_, io::Error>(match names::resolve(kernel, from, node)? {
                Address::Node(to) => Ok(kernel.net.call(&mut kernel.agenda, from, to, port)),
                Address::Nobody => Err(kernel.net.connect_timeout_ns),
            })
        })?;
        let token = match called {
            Ok(token) => token,
            Err(timeout_ns) => {
                time::sleep(Duration::from_nanos(timeout_ns)).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
        };
        let stream = Self::new(token, 0, Peer { node: node.to_owned(), port });
        poll_fn(|context| {
            kernel::with(|kernel| {
                let Some(connection) = kernel.net.connection(token) else {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
                };
                match connection.state {
                    State::Established => Poll::Ready(Ok(())),
                    State::Failed(error) => Poll::Ready(Err(io::Error::from(error))),
                    State::Calling | State::Answered | State::Free => {
                        connection.caller = Some(context.waker().clone());
                        Poll::Pending
                    }
                }
            })
        })
        .await?;
        Ok(stream)
    }

    /// The other end.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// Sends `bytes` without copying them; waits until the send buffer has taken them all.
    ///
    /// # Errors
    /// Where the connection is dead.
    pub async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.end.send(bytes).await
    }

    /// The next bytes that arrived, as they came; none at the end of the stream.
    ///
    /// # Errors
    /// Where the connection is dead.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        self.end.receive().await
    }

    /// The stream's two directions, to be used by two tasks. It is closed when both are dropped; the end of the
    /// stream is sent when the writing one is.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (OwnedReadHalf(self.end.clone()), OwnedWriteHalf(self.end))
    }
}

impl Handle {
    async fn send(&self, mut bytes: Bytes) -> io::Result<()> {
        poll_fn(|context| self.poll_send(context, &mut bytes)).await
    }

    async fn receive(&self) -> io::Result<Option<Bytes>> {
        poll_fn(|context| self.poll_receive(context, usize::MAX)).await
    }

    /// Puts as much of `bytes` into the send buffer as there is room for; ready when it holds them all.
    fn poll_send(&self, context: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        self.with_room(context, |room| {
            let part = bytes.split_to(bytes.len().min(room));
            (part, bytes.is_empty())
        })
    }

    /// Lends the room in the send buffer to `fill`, which gives bytes that fit it and whether it is content.
    fn with_room(
        &self,
        context: &mut Context<'_>,
        fill: impl FnOnce(usize) -> (Bytes, bool),
    ) -> Poll<io::Result<()>> {
        kernel::with(|kernel| {
            let buffer_bytes = kernel.net.buffer_bytes;
            let Some(connection) = kernel.net.connection(self.token) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            };
            if let Some(error) = connection.ends[self.side].error {
                return Poll::Ready(Err(error.into()));
            }
            let pipe = &mut connection.pipes[self.side];
            if pipe.finished {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let (bytes, content) = fill(buffer_bytes.saturating_sub(pipe.unsent_bytes()));
            if !content {
                pipe.writer = Some(context.waker().clone());
            }
            if !bytes.is_empty() {
                pipe.queued_bytes += bytes.len();
                pipe.queued.push_back(bytes);
                kernel.net.pump(&mut kernel.agenda, self.token, self.side);
            }
            if content { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
    }

    /// At most `most` bytes of what arrived; none at the end of the stream.
    fn poll_receive(&self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<Option<Bytes>>> {
        kernel::with(|kernel| {
            let other = 1 - self.side;
            let Some(connection) = kernel.net.connection(self.token) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            };
            let error = connection.ends[self.side].error;
            let pipe = &mut connection.pipes[other];
            if let Some(chunk) = pipe.received.front_mut() {
                let bytes = chunk.split_to(chunk.len().min(most));
                if chunk.is_empty() {
                    pipe.received.pop_front();
                }
                pipe.received_bytes -= bytes.len();
                if !pipe.queued.is_empty() {
                    // The reader made room: the peer's kernel hears of it and sends on.
                    kernel.net.pump(&mut kernel.agenda, self.token, other);
                }
                return Poll::Ready(Ok(Some(bytes)));
            }
            if let Some(error) = error {
                return Poll::Ready(Err(error.into()));
            }
            if pipe.ended {
                return Poll::Ready(Ok(None));
            }
            pipe.reader = Some(context.waker().clone());
            Poll::Pending
        })
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_receive(context, buffer.remaining()).map_ok(|bytes| {
            if let Some(bytes) = bytes {
                buffer.put_slice(bytes.chunk());
            }
        })
    }

    fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        let written = self.with_room(context, |room| {
            taken = bytes.len().min(room);
            (Bytes::copy_from_slice(&bytes[..taken]), taken > 0 || bytes.is_empty())
        });
        written.map_ok(|()| taken)
    }

    fn shutdown(&self) {
        kernel::try_with(|kernel| {
            if let Some(connection) = kernel.net.connection(self.token) {
                connection.pipes[self.side].finished = true;
                kernel.net.pump(&mut kernel.agenda, self.token, self.side);
            }
        });
    }
}

/// The reading direction of a [`TcpStream`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<Handle>);

/// The writing direction of a [`TcpStream`]; dropping it sends the end of the stream.
#[derive(Debug)]
pub struct OwnedWriteHalf(Arc<Handle>);

impl OwnedReadHalf {
    /// As [`TcpStream::receive`].
    ///
    /// # Errors
    /// Where the connection is dead.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        self.0.receive().await
    }
}

impl OwnedWriteHalf {
    /// As [`TcpStream::send`].
    ///
    /// # Errors
    /// Where the connection is dead.
    pub async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.send(bytes).await
    }

    /// Moves as much of `bytes` into the send buffer as it has room for; ready once that was all.
    ///
    /// # Errors
    /// Where the connection is dead.
    pub fn poll_send(&mut self, context: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        self.0.poll_send(context, bytes)
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.end.poll_read(context, buffer)
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(context, buffer)
    }
}

macro_rules! write_through {
    ($type:ty, $handle:tt) => {
        impl AsyncWrite for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.$handle.poll_write(context, bytes)
            }

            /// Nothing to do: what is written is on its way.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.$handle.shutdown();
                Poll::Ready(Ok(()))
            }
        }
    };
}

write_through!(TcpStream, end);
write_through!(OwnedWriteHalf, 0);

/// Sends and receives datagrams at a port; dropping it closes the port.
#[derive(Debug)]
pub struct UdpSocket {
    node: NodeIndex,
    incarnation: u32,
    port: u16,
}

impl UdpSocket {
    /// Opens `port` of this node for datagrams; any free one where it is 0.
    ///
    /// # Errors
    /// `AddrInUse` where it is open already.
    #[expect(clippy::unused_async, reason = "the live world's waits")]
    pub async fn bind(port: u16) -> io::Result<Self> {
        let node = kernel::current();
        kernel::with(|kernel| {
            let incarnation = kernel.node(node).incarnation;
            let sockets = &mut kernel.net.host(node).sockets;
            let free = (EPHEMERAL..=u16::MAX).find(|port| !sockets.contains_key(port));
            let port = if port == 0 { free.unwrap_or(0) } else { port };
            if port == 0 || sockets.contains_key(&port) {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("port {port} is open already")));
            }
            sockets.entry(port).or_default();
            Ok(Self { node, incarnation, port })
        })
    }

    /// Sends `bytes` to `port` of the node called `node`; says nothing of whether they arrive.
    ///
    /// # Errors
    /// `NotFound` for a name that no node has, `InvalidInput` for more bytes than a datagram holds.
    #[expect(clippy::unused_async, reason = "the live world's waits")]
    pub async fn send_to(&self, bytes: Bytes, node: &str, port: u16) -> io::Result<()> {
        if bytes.len() > 65_507 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a datagram holds at most 65507 bytes"));
        }
        kernel::with(|kernel| {
            let Address::Node(to) = names::resolve(kernel, self.node, node)? else { return Ok(()) };
            let datagram =
                datagram::Datagram { from: self.node, from_port: self.port, to, to_port: port, bytes };
            kernel.net.send_datagram(&mut kernel.agenda, datagram);
            Ok(())
        })
    }

    /// The next datagram that arrived, and who sent it.
    ///
    /// # Errors
    /// Where the port was closed under it.
    pub async fn recv_from(&self) -> io::Result<(Bytes, Peer)> {
        poll_fn(|context| {
            kernel::with(|kernel| {
                let Some(socket) = kernel.net.host(self.node).sockets.get_mut(&self.port) else {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                };
                let Some((bytes, from, port)) = socket.received.pop_front() else {
                    socket.waker = Some(context.waker().clone());
                    return Poll::Pending;
                };
                socket.received_bytes -= bytes.len();
                let node = kernel.node(from).plan.name.clone();
                Poll::Ready(Ok((bytes, Peer { node, port })))
            })
        })
        .await
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        kernel::try_with(|kernel| {
            if kernel.node(self.node).incarnation == self.incarnation && kernel.node(self.node).running {
                kernel.net.host(self.node).sockets.remove(&self.port);
            }
        });
    }
}

/// Takes a step that is due.
pub(crate) fn take_step(kernel: &mut Kernel, step: Step) {
    kernel.net.step(&mut kernel.agenda, step);
}

/// The host of `node` lost its power.
pub(crate) fn host_lost(kernel: &mut Kernel, node: NodeIndex) {
    kernel.net.host_lost(node);
}

/// The host of `node` has power again.
pub(crate) fn host_restored(kernel: &mut Kernel, node: NodeIndex) {
    kernel.net.host_restored(node);
}

/// The process of `node` ended; its host lives on.
pub(crate) fn process_ended(kernel: &mut Kernel, node: NodeIndex) {
    kernel.net.process_ended(&mut kernel.agenda, node);
}
