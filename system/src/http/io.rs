//! What hyper needs of a world: streams and timers.

#![expect(
    clippy::disallowed_types,
    reason = "hyper's timers speak of std's instants; ours are counted from one of them by the node's clock"
)]

use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use sim::net::TcpStream;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One read's bytes at most: hyper's own buffer begins at 8 KB.
const READ_BYTES: usize = 8 * 1024;
/// What a closing connection still reads, and throws away, for how long.
const LINGER_BYTES: usize = 32 << 20;
const LINGER: Duration = Duration::from_secs(5);

/// A stream as hyper reads and writes it.
///
/// Shutting it down lingers: a stream that is dropped with unread bytes is reset, and the reset can overtake an answer
/// that was given before the request was read to its end (a 413, say). So the peer is told that nothing more comes, and
/// what it still sends is thrown away until it closes, within bounds.
pub(super) struct Io {
    stream: TcpStream,
    linger: Option<Linger>,
}

struct Linger {
    bytes_left: usize,
    end: Pin<Box<sim::time::Sleep>>,
}

impl Io {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, linger: None }
    }

    fn read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
        let most = cursor.remaining().min(READ_BYTES);
        let mut buffer = ReadBuf::uninit(&mut bytes[..most]);
        let polled = self.read(context, &mut buffer);
        polled.map_ok(|()| cursor.put_slice(buffer.filled()))
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            let end = Box::pin(sim::time::sleep(LINGER));
            this.linger = Some(Linger { bytes_left: LINGER_BYTES, end });
        }
        loop {
            let mut bytes = [MaybeUninit::uninit(); READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            let polled = this.read(context, &mut buffer);
            let linger = this.linger.as_mut().expect("set above");
            match polled {
                Poll::Pending => return linger.end.as_mut().poll(context).map(Ok),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && linger.bytes_left > 0 => {
                    linger.bytes_left = linger.bytes_left.saturating_sub(buffer.filled().len());
                }
                // The end, a connection that is dead anyway, or a peer that does not stop.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Timers on the node's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorldTimer {
    /// One point of time as hyper has it and as the node's clock has it; all others are counted from there.
    begun: (std::time::Instant, sim::time::Instant),
}

impl WorldTimer {
    pub(super) fn new() -> Self {
        Self { begun: (std::time::Instant::now(), sim::time::Instant::now()) }
    }
}

impl Timer for WorldTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(WorldSleep(Box::pin(sim::time::sleep(duration))))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let deadline = self.begun.1 + deadline.saturating_duration_since(self.begun.0);
        Box::pin(WorldSleep(Box::pin(sim::time::sleep_until(deadline))))
    }

    fn now(&self) -> std::time::Instant {
        self.begun.0 + self.begun.1.elapsed()
    }
}

struct WorldSleep(Pin<Box<sim::time::Sleep>>);

impl Future for WorldSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl Sleep for WorldSleep {}
