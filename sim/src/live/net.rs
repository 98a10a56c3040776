//! The network: streams and datagrams between nodes, by node name and port, on loopback.
//!
//! A node's port P, from 1 to 99, is port `base + 100·N + P` of 127.0.0.1, N being the node's place in the deployment.

use super::host::{self, Host};
use super::server::PORTS_A_NODE;
use bytes::{Buf as _, Bytes, BytesMut};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, tcp};

/// The most that one [`TcpStream::receive`] gives, and the longest datagram.
const CHUNK_BYTES: usize = 64 * 1024;

/// The other end: a node and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The node's name; the address of a caller who is no node.
    pub node: String,
    /// The port; 0 where it was chosen by the system for a calling node.
    pub port: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.node, self.port)
    }
}

/// Accepts connections to one of the node's ports.
#[derive(Debug)]
pub struct TcpListener(tokio::net::TcpListener);

impl TcpListener {
    /// Listens on the node's `port`.
    ///
    /// # Errors
    /// Where the port is taken, or is not from 1 to 99.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let address = address(&host::current(), None, port)?;
        let bound = tokio::net::TcpListener::bind(address).await;
        bound
            .map(Self)
            .map_err(|error| io::Error::new(error.kind(), format!("listening on {address}: {error}")))
    }

    /// The next connection.
    ///
    /// # Errors
    /// Where the machine has no room for one more.
    pub async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, address) = self.0.accept().await?;
        let host = host::current();
        let peer = match node_of_source(&host, address.ip()) {
            Some(node) => Peer { node, port: 0 },
            None => Peer { node: address.ip().to_string(), port: address.port() },
        };
        Ok((TcpStream::new(stream, peer.clone())?, peer))
    }
}

/// A connection: bytes in order, both ways. Dropping it closes it as the kernel does.
#[derive(Debug)]
pub struct TcpStream {
    stream: tokio::net::TcpStream,
    peer: Peer,
    buffer: BytesMut,
}

impl TcpStream {
    /// Connects to a port of another node, or of this one.
    ///
    /// # Errors
    /// Where nothing listens there, nothing answers, or there is no such node.
    pub async fn connect(node: &str, port: u16) -> io::Result<Self> {
        let host = host::current();
        let address = address(&host, Some(node), port)?;
        let connected = connect_from(source_of_node(host.number), address).await;
        let failed =
            |error: io::Error| io::Error::new(error.kind(), format!("connecting to {node}:{port}: {error}"));
        Self::new(connected.map_err(failed)?, Peer { node: node.to_owned(), port })
    }

    /// Sends all of `bytes`; waits while the buffers are full.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.stream.write_all(&bytes).await
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        receive(&mut self.stream, &mut self.buffer).await
    }

    /// The other end.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// The two directions, to be used by two tasks.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let Self { stream, buffer, .. } = self;
        let (read, write) = stream.into_split();
        (OwnedReadHalf { half: read, buffer }, OwnedWriteHalf(write))
    }

    fn new(stream: tokio::net::TcpStream, peer: Peer) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, peer, buffer: BytesMut::new() })
    }
}

/// The receiving direction of a connection.
#[derive(Debug)]
pub struct OwnedReadHalf {
    half: tcp::OwnedReadHalf,
    buffer: BytesMut,
}

impl OwnedReadHalf {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub async fn receive(&mut self) -> io::Result<Option<Bytes>> {
        receive(&mut self.half, &mut self.buffer).await
    }
}

/// The sending direction of a connection; dropping it tells the peer that no more comes.
#[derive(Debug)]
pub struct OwnedWriteHalf(tcp::OwnedWriteHalf);

impl OwnedWriteHalf {
    /// Sends all of `bytes`; waits while the buffers are full.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.write_all(&bytes).await
    }

    /// Moves as much of `bytes` into the send buffer as it has room for; ready once that was all.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub fn poll_send(&mut self, context: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            let count = std::task::ready!(Pin::new(&mut self.0).poll_write(context, bytes))?;
            bytes.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

/// Sends and receives datagrams on one of the node's ports.
#[derive(Debug)]
pub struct UdpSocket(tokio::net::UdpSocket);

impl UdpSocket {
    /// Opens the node's `port` for datagrams; any free one where it is 0.
    ///
    /// # Errors
    /// Where the port is taken, or is not from 0 to 99.
    pub async fn bind(port: u16) -> io::Result<Self> {
        if port == 0 {
            // From the last down: services choose theirs. Outside of the node's own, nobody could tell whose it is.
            return any_port().await;
        }
        let address = address(&host::current(), None, port)?;
        let bound = tokio::net::UdpSocket::bind(address).await;
        bound.map(Self).map_err(|error| io::Error::new(error.kind(), format!("taking {address}: {error}")))
    }

    /// Sends `bytes` to `port` of the node called `node`; says nothing of whether they arrive.
    ///
    /// # Errors
    /// `NotFound` for a name that no node has, `InvalidInput` for more bytes than a datagram holds.
    pub async fn send_to(&self, bytes: Bytes, node: &str, port: u16) -> io::Result<()> {
        if bytes.len() > 65_507 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a datagram holds at most 65507 bytes"));
        }
        let address = address(&host::current(), Some(node), port)?;
        self.0.send_to(&bytes, address).await.map(drop)
    }

    /// The next datagram, and who sent it.
    ///
    /// # Errors
    /// Where the machine fails.
    pub async fn recv_from(&self) -> io::Result<(Bytes, Peer)> {
        let mut buffer = BytesMut::with_capacity(CHUNK_BYTES);
        let (_, address) = self.0.recv_buf_from(&mut buffer).await?;
        Ok((buffer.freeze(), sender(&host::current(), address)))
    }
}

async fn any_port() -> io::Result<UdpSocket> {
    let mut last = None;
    for port in (1..PORTS_A_NODE).rev() {
        let address = address(&host::current(), None, port)?;
        match tokio::net::UdpSocket::bind(address).await {
            Ok(socket) => return Ok(UdpSocket(socket)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("a node has ports"))
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    buffer.reserve(CHUNK_BYTES);
    let count = stream.read_buf(buffer).await?;
    Ok((count > 0).then(|| buffer.split().freeze()))
}

/// Where on the machine `port` of the node called `name` is; of this node, where none is named.
fn address(host: &Host, name: Option<&str>, port: u16) -> io::Result<SocketAddr> {
    if !(1..PORTS_A_NODE).contains(&port) {
        let text = format!("port {port} cannot be: a node's ports are 1 to {}", PORTS_A_NODE - 1);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let number =
        match name {
            None => host.number,
            Some(name) => host.site.names.iter().position(|known| known == name).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("there is no node `{name}`"))
            })?,
        };
    let first = usize::from(host.site.base_port) + usize::from(PORTS_A_NODE) * number;
    let port = u16::try_from(first + usize::from(port)).expect("checked before anything was started");
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())
}

/// The node and port that a datagram's source address stands for.
fn sender(host: &Host, address: SocketAddr) -> Peer {
    let offset = address.port().wrapping_sub(host.site.base_port);
    match host.site.names.get(usize::from(offset / PORTS_A_NODE)) {
        Some(name) => Peer { node: name.clone(), port: offset % PORTS_A_NODE },
        None => Peer { node: address.ip().to_string(), port: address.port() },
    }
}

/// The address that connections of a node come from, so that who accepts them can tell the node: all of 127.0.0.0/8
/// is loopback.
fn source_of_node(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number + 1).expect("fewer than 656 nodes fit the ports").to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

fn node_of_source(host: &Host, source: IpAddr) -> Option<String> {
    let number = (0..host.site.names.len()).find(|number| IpAddr::V4(source_of_node(*number)) == source)?;
    Some(host.site.names[number].clone())
}

async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    // Some systems give loopback one address only; the peer then sees that one.
    if let Err(error) = socket.bind(SocketAddrV4::new(source, 0).into())
        && error.kind() != io::ErrorKind::AddrNotAvailable
    {
        return Err(error);
    }
    socket.connect(address).await
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_read(context, buffer)
    }
}

macro_rules! writes_through {
    ($type:ty, $field:tt) => {
        impl AsyncWrite for $type {
            fn poll_write(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.$field).poll_write(context, bytes)
            }

            fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$field).poll_flush(context)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$field).poll_shutdown(context)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffers: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.$field).poll_write_vectored(context, buffers)
            }

            fn is_write_vectored(&self) -> bool {
                self.$field.is_write_vectored()
            }
        }
    };
}

writes_through!(TcpStream, stream);
writes_through!(OwnedWriteHalf, 0);
