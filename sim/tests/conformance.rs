//! What streams promise, asked of the simulated ones and of the kernel's TCP on loopback by the same bodies: `cargo test -p
//! hogwash-sim` simulates them, `cargo live-test -p hogwash-sim` runs them on the kernel. The simulator earns its trust here.
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

#[path = "worlds/mod.rs"]
mod worlds;

use bytes::Bytes;
use sim::net::{TcpListener, TcpStream};
use sim::stack::{Process, Task};
use sim::time::{Instant, sleep, timeout};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

extern crate hogwash_sim as sim;

const PORT: u16 = 7;
/// Where callers say that the server may go on.
const SIGNAL: u16 = 8;
/// Long enough for anything on loopback to have happened.
const A_WHILE: Duration = Duration::from_millis(300);

/// Calls the server, which may have to start first.
async fn call(port: u16) -> TcpStream {
    for _ in 0..1000 {
        if let Ok(stream) = TcpStream::connect("server-1", port).await {
            return stream;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the server does not answer");
}

/// The first caller of [`PORT`].
async fn accept() -> TcpStream {
    TcpListener::bind(PORT).await.unwrap().accept().await.unwrap().0
}

/// Lets a body be written as an async function: a process that has come to its end stays.
fn body<F: Future<Output = ()> + Send + 'static>(future: F) -> Task {
    Box::pin(async move {
        future.await;
        std::future::pending::<()>().await;
    })
}

/// Whether the connection is dead in the way that a reset or a write to a closed end shows.
fn is_broken(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Writes little by little until the connection is dead.
async fn write_until_broken(stream: &mut TcpStream) -> io::Error {
    let begun = Instant::now();
    loop {
        if let Err(error) = stream.write_all(b"x").await {
            return error;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the connection lives on");
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn half_close_is_seen_by_the_peer_and_its_answer_still_comes() {
    fn server(_: Process) -> Task {
        body(async {
            let mut stream = accept().await;
            let mut question = Vec::new();
            assert_eq!(stream.read_to_end(&mut question).await.unwrap(), 8);
            stream.write_all(b"answer to ").await.unwrap();
            stream.write_all(&question).await.unwrap();
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let mut stream = call(PORT).await;
            stream.write_all(b"question").await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "answer to question");
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "the end stays the end");
        })
    }
    worlds::run(server, caller);
}

#[test]
fn dropping_the_writing_half_ends_the_stream_and_leaves_the_reading_one() {
    fn server(_: Process) -> Task {
        body(async {
            let mut stream = accept().await;
            assert_eq!(stream.receive().await.unwrap(), Some(Bytes::from_static(b"last")));
            assert_eq!(stream.receive().await.unwrap(), None);
            stream.send(Bytes::from_static(b"heard")).await.unwrap();
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let (mut reading, mut writing) = call(PORT).await.into_split();
            writing.send(Bytes::from_static(b"last")).await.unwrap();
            drop(writing);
            assert_eq!(reading.receive().await.unwrap(), Some(Bytes::from_static(b"heard")));
            assert_eq!(reading.receive().await.unwrap(), None);
        })
    }
    worlds::run(server, caller);
}

#[test]
fn bytes_written_arrive_without_a_flush() {
    fn server(_: Process) -> Task {
        body(async {
            let mut stream = accept().await;
            while let Some(bytes) = stream.receive().await.unwrap() {
                stream.send(bytes).await.unwrap();
            }
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let mut stream = call(PORT).await;
            for byte in 0..100_u8 {
                stream.write_all(&[byte]).await.unwrap();
                let mut answer = [0];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, [byte]);
            }
        })
    }
    worlds::run(server, caller);
}

#[test]
fn a_reader_that_never_reads_blocks_the_writer_until_it_does() {
    fn server(_: Process) -> Task {
        body(async {
            let (port, signal) =
                (TcpListener::bind(PORT).await.unwrap(), TcpListener::bind(SIGNAL).await.unwrap());
            let (mut stream, _) = port.accept().await.unwrap();
            signal.accept().await.unwrap();
            let mut count = 0;
            while let Some(bytes) = stream.receive().await.unwrap() {
                count += bytes.len();
            }
            stream.send(Bytes::from(count.to_string())).await.unwrap();
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let mut stream = call(PORT).await;
            let chunk = [7; 10_000];
            let mut written = 0;
            // Buffers are finite: a few megabytes at the most, on any system.
            while let Ok(count) = timeout(A_WHILE, stream.write(&chunk)).await {
                written += count.unwrap();
                assert!(written < 100_000_000, "nothing holds the writer back");
            }
            assert!(written > 0);
            let _go_on = call(SIGNAL).await;
            stream.write_all(&chunk).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut count = String::new();
            stream.read_to_string(&mut count).await.unwrap();
            assert_eq!(count, (written + chunk.len()).to_string(), "each byte once");
        })
    }
    worlds::run(server, caller);
}

#[test]
fn closing_with_unread_bytes_is_a_reset() {
    fn server(_: Process) -> Task {
        body(async {
            let mut stream = accept().await;
            stream.read_exact(&mut [0; 1]).await.unwrap();
            drop(stream);
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let mut stream = call(PORT).await;
            stream.write_all(&[0; 1000]).await.unwrap();
            let error = stream.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let error = write_until_broken(&mut stream).await;
            assert!(is_broken(error.kind()), "{error}");
        })
    }
    worlds::run(server, caller);
}

#[test]
fn what_was_written_before_a_close_is_read_after_it_and_then_writes_fail() {
    fn server(_: Process) -> Task {
        body(async {
            let mut stream = accept().await;
            stream.write_all(&[9; 50_000]).await.unwrap();
            drop(stream);
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let mut stream = call(PORT).await;
            sleep(A_WHILE).await;
            let mut all = Vec::new();
            assert_eq!(stream.read_to_end(&mut all).await.unwrap(), 50_000);
            let error = write_until_broken(&mut stream).await;
            assert!(is_broken(error.kind()), "{error}");
        })
    }
    worlds::run(server, caller);
}

#[test]
fn a_connection_is_made_and_written_to_before_anybody_accepts_it() {
    fn server(_: Process) -> Task {
        body(async {
            let (port, signal) =
                (TcpListener::bind(PORT).await.unwrap(), TcpListener::bind(SIGNAL).await.unwrap());
            signal.accept().await.unwrap();
            let (mut stream, _) = port.accept().await.unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).await.unwrap();
            stream.write_all(all.to_uppercase().as_bytes()).await.unwrap();
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let mut stream = call(PORT).await;
            stream.write_all(b"early").await.unwrap();
            stream.shutdown().await.unwrap();
            sleep(A_WHILE).await;
            let _go_on = call(SIGNAL).await;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "EARLY");
        })
    }
    worlds::run(server, caller);
}

#[test]
fn closing_a_port_resets_who_waits_and_refuses_who_comes_later() {
    fn server(_: Process) -> Task {
        body(async {
            let (port, signal) =
                (TcpListener::bind(PORT).await.unwrap(), TcpListener::bind(SIGNAL).await.unwrap());
            signal.accept().await.unwrap();
            drop(port);
            let (mut stream, _) = signal.accept().await.unwrap();
            stream.write_all(b"closed").await.unwrap();
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            let mut waiting = call(PORT).await;
            let _close = call(SIGNAL).await;
            let error = waiting.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let mut closed = String::new();
            call(SIGNAL).await.read_to_string(&mut closed).await.unwrap();
            let error = TcpStream::connect("server-1", PORT).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        })
    }
    worlds::run(server, caller);
}

#[test]
fn a_port_is_one_listeners_and_free_again_after_it() {
    fn server(_: Process) -> Task {
        body(async {
            let first = TcpListener::bind(PORT).await.unwrap();
            assert_eq!(TcpListener::bind(PORT).await.unwrap_err().kind(), ErrorKind::AddrInUse);
            drop(first.accept().await.unwrap());
            drop(first);
            let (mut stream, _) = TcpListener::bind(PORT).await.unwrap().accept().await.unwrap();
            stream.write_all(b"second").await.unwrap();
        })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async {
            assert_eq!(call(PORT).await.read(&mut [0; 8]).await.unwrap(), 0);
            let mut answer = String::new();
            while answer.is_empty() {
                // The first listener's backlog may take a call and reset it.
                let _ = call(PORT).await.read_to_string(&mut answer).await;
            }
            assert_eq!(answer, "second");
        })
    }
    worlds::run(server, caller);
}

#[test]
fn both_directions_carry_more_than_their_buffers_hold_at_once_in_order() {
    const BYTES: usize = 3_000_000;
    fn pattern(seed: usize) -> Bytes {
        (0..BYTES).map(|place| u8::try_from((place * 31 + place / 256 + seed) % 251).unwrap()).collect()
    }
    async fn exchange(stream: TcpStream, send: usize, expect: usize) {
        let (mut reading, mut writing) = stream.into_split();
        let writer = sim::task::spawn(async move {
            for chunk in pattern(send).chunks(70_001) {
                writing.write_all(chunk).await.unwrap();
            }
            writing.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        while let Some(bytes) = reading.receive().await.unwrap() {
            received.extend_from_slice(&bytes);
        }
        writer.await.unwrap();
        assert!(received == pattern(expect), "{} bytes came, or in another order", received.len());
    }
    fn server(_: Process) -> Task {
        body(async { exchange(accept().await, 1, 2).await })
    }
    fn caller(_: Process) -> Task {
        Box::pin(async { exchange(call(PORT).await, 2, 1).await })
    }
    worlds::run(server, caller);
}
