//! One body that passes in both worlds: `cargo test -p hogwash-sim` simulates it, `cargo live-test -p hogwash-sim` runs
//! it on the machine.
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

#[path = "worlds/mod.rs"]
mod worlds;

use bytes::Bytes;
use sim::fs::{self, OpenOptions};
use sim::history::Fact;
use sim::net::{Peer, TcpListener, TcpStream, UdpSocket};
use sim::stack::{Process, Task};
use sim::time::{self, Elapsed, Instant};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

extern crate hogwash_sim as sim;

const ECHO: u16 = 7;
const SHOUT: u16 = 8;
const CLOSED: u16 = 9;

#[test]
fn one_body_passes_in_both_worlds() {
    let events = worlds::run(|_| Box::pin(serve()), caller);
    // Both worlds write down what happened, in the same words.
    let caller = sim::history::NodeIndex(1);
    let words: Vec<_> =
        events.iter().filter(|event| event.node == caller).map(|event| event.fact.word()).collect();
    assert_eq!(words[..5], ["boot", "panic", "exit", "boot", "note"], "{words:?}");
}

/// Tries everything.
fn caller(process: Process) -> Task {
    Box::pin(async move {
        if process.incarnation == 1 {
            files().await.unwrap();
            crash().await;
        }
        assert_eq!(process.incarnation, 2, "started again after its panic");
        files_after_the_crash().await.unwrap();
        streams().await.unwrap();
        datagrams().await.unwrap();
        clocks().await;
        tasks_and_cores().await;
        chance();
    })
}

/// Gives streams their bytes back, until their end; answers datagrams in upper case.
async fn serve() {
    sim::task::spawn(async {
        let socket = UdpSocket::bind(SHOUT).await.unwrap();
        loop {
            let (bytes, from) = socket.recv_from().await.unwrap();
            let shouted = Bytes::from(bytes.to_ascii_uppercase());
            socket.send_to(shouted, &from.node, from.port).await.unwrap();
        }
    });
    let listener = TcpListener::bind(ECHO).await.unwrap();
    assert_eq!(TcpListener::bind(ECHO).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    loop {
        let (mut stream, from) = listener.accept().await.unwrap();
        assert_eq!(from, Peer { node: "caller-1".to_owned(), port: 0 });
        sim::task::spawn(async move {
            while let Some(bytes) = stream.receive().await.unwrap() {
                stream.send(bytes).await.unwrap();
            }
        });
    }
}

/// Calls the server, which may have to start first.
async fn call() -> TcpStream {
    for _ in 0..1000 {
        if let Ok(stream) = TcpStream::connect("server-1", ECHO).await {
            return stream;
        }
        time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the server does not answer");
}

async fn streams() -> io::Result<()> {
    let mut stream = call().await;
    assert_eq!(stream.peer().to_string(), "server-1:7");
    stream.send(Bytes::from_static(b"one ")).await?;
    stream.write_all(b"two").await?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"one two");

    // More than the buffers hold: both directions must flow at once.
    let sent: Bytes = (0..2_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (mut read, mut write) = stream.into_split();
    let all = sent.clone();
    let writer = sim::task::spawn(async move {
        write.send(all).await.unwrap();
        // Half-closed: the echo sees the end, and its answers still come.
        write.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    while let Some(bytes) = read.receive().await? {
        received.extend_from_slice(&bytes);
    }
    assert!(received == sent, "{} of {} bytes came back", received.len(), sent.len());
    writer.await.unwrap();

    let refused = TcpStream::connect("server-1", CLOSED).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{refused}");
    let unknown = TcpStream::connect("nobody-1", ECHO).await.unwrap_err();
    assert_eq!(unknown.kind(), io::ErrorKind::NotFound, "{unknown}");
    Ok(())
}

async fn datagrams() -> io::Result<()> {
    let socket = UdpSocket::bind(0).await?;
    // Datagrams may be lost, so one asks again.
    for _ in 0..100 {
        socket.send_to(Bytes::from_static(b"hogwash"), "server-1", SHOUT).await?;
        if let Ok(answer) = time::timeout(Duration::from_millis(200), socket.recv_from()).await {
            let (bytes, from) = answer?;
            assert_eq!(bytes, &b"HOGWASH"[..]);
            assert_eq!(from, Peer { node: "server-1".to_owned(), port: SHOUT });
            let much = Bytes::from(vec![0; 70_000]);
            let refused = socket.send_to(much, "server-1", SHOUT).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
            return Ok(());
        }
    }
    panic!("no datagram was answered");
}

async fn files() -> io::Result<()> {
    assert!(!fs::exists("/log").await, "the disk is empty");
    fs::create_dir_all("/log/old").await?;
    fs::create_dir_all("/log/old").await?;
    let mut options = OpenOptions::new().read(true).write(true);
    assert_eq!(options.open("/log/one").await.unwrap_err().kind(), io::ErrorKind::NotFound);
    options = options.create(true);
    let file = options.open("/log/one").await?;
    file.write_at(6, Bytes::from_static(b"world")).await?;
    file.write_at(0, Bytes::from_static(b"hello")).await?;
    assert_eq!(file.read_at(0, 100).await?, &b"hello\0world"[..]);
    assert_eq!(file.read_at(9, 100).await?, &b"ld"[..]);
    assert_eq!(file.read_at(11, 100).await?, &b""[..]);
    assert_eq!(file.read_at(6, usize::MAX).await?, &b"world"[..]);
    file.set_len(20).await?;
    file.set_len(7).await?;
    file.set_len(9).await?;
    assert_eq!((file.len().await?, file.read_at(5, 9).await?), (9, Bytes::from_static(b"\0w\0\0")));
    file.sync_data().await?;
    file.sync_all().await?;
    file.write_synced_at(9, Bytes::from_static(b"!")).await?;
    assert_eq!(file.read_at(6, 9).await?, &b"w\0\0!"[..]);
    fs::sync_dir("/log").await?;
    fs::sync_dir("/").await?;

    // A file that is open outlives its name.
    fs::rename("/log/one", "/log/two").await?;
    fs::write("/log/one", Bytes::from_static(b"another")).await?;
    fs::rename("/log/one", "/log/two").await?;
    assert_eq!(fs::read("/log/two").await?, &b"another"[..]);
    assert_eq!(file.read_at(0, 5).await?, &b"hello"[..]);
    assert_eq!(fs::read_dir("/log").await?, ["old", "two"]);

    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    let read = OpenOptions::new().read(true).open("/log/two").await?;
    assert_eq!(kind(read.write_at(0, Bytes::from_static(b"x")).await), io::ErrorKind::PermissionDenied);
    assert_eq!(
        kind(read.write_synced_at(0, Bytes::from_static(b"x")).await),
        io::ErrorKind::PermissionDenied
    );
    assert_eq!(kind(OpenOptions::new().open("/log/two").await.map(drop)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(fs::read("/log").await.map(drop)), io::ErrorKind::IsADirectory);
    assert_eq!(kind(fs::read("/none").await.map(drop)), io::ErrorKind::NotFound);
    assert_eq!(kind(fs::read("log/two").await.map(drop)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(fs::read("/log/../log/two").await.map(drop)), io::ErrorKind::InvalidInput);
    assert_eq!(kind(fs::read_dir("/log/two").await.map(drop)), io::ErrorKind::NotADirectory);
    assert_eq!(kind(fs::sync_dir("/log/two").await), io::ErrorKind::NotADirectory);
    assert_eq!(kind(fs::read("/log/two/below").await.map(drop)), io::ErrorKind::NotADirectory);
    assert_eq!(kind(fs::rename("/log/none", "/log/one").await), io::ErrorKind::NotFound);
    assert_eq!(kind(fs::rename("/log/two", "/log/old").await), io::ErrorKind::IsADirectory);
    assert_eq!(kind(fs::rename("/log", "/log/old/log").await), io::ErrorKind::InvalidInput);
    assert_eq!(kind(fs::remove_file("/log/old").await), io::ErrorKind::IsADirectory);
    fs::write("/gone", Bytes::new()).await?;
    fs::remove_file("/gone").await?;
    assert_eq!(kind(fs::remove_file("/gone").await), io::ErrorKind::NotFound);
    Ok(())
}

/// A panic in any task ends the process, whatever its other tasks do.
async fn crash() {
    let _port = TcpListener::bind(CLOSED).await.unwrap();
    sim::task::spawn(async { panic!("as the test wants") });
    std::future::pending::<()>().await;
}

async fn files_after_the_crash() -> io::Result<()> {
    assert_eq!(fs::read("/log/two").await?, &b"another"[..]);
    assert!(!fs::exists("/gone").await);
    // The port of the process that ended is free again.
    drop(TcpListener::bind(CLOSED).await?);
    Ok(())
}

async fn clocks() {
    let (start, wall) = (Instant::now(), time::wall_now());
    time::sleep(Duration::from_millis(30)).await;
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(time::wall_now() > wall);
    let early = start + Duration::from_millis(1);
    time::sleep_until(early).await;
    let mut sleep = Box::pin(time::sleep(Duration::from_secs(3600)));
    sleep.as_mut().reset(Instant::now() + Duration::from_millis(5));
    sleep.await;
    let never = time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
    assert_eq!(never, Err(Elapsed));
    assert_eq!(time::timeout(Duration::from_secs(3600), async { 3 }).await, Ok(3));
}

async fn tasks_and_cores() {
    assert_eq!(sim::node::name(), "caller-1");
    assert_eq!(sim::node::stamp().unwrap().1, "caller-1");
    sim::node::record(Fact::Note { text: "parity".to_owned() });
    let named = sim::task::spawn(async { sim::node::name() });
    assert_eq!(named.await.unwrap(), "caller-1", "tasks belong to the node that starts them");
    let endless = sim::task::spawn(std::future::pending::<()>());
    sim::task::yield_now().await;
    assert!(!endless.is_finished());
    endless.abort();
    assert!(endless.await.is_err());
    let work = (0..8).map(|number| {
        sim::task::spawn(sim::cpu::run(Duration::from_millis(1), move || (number, sim::node::name())))
    });
    for (number, task) in work.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), (number, "caller-1".to_owned()));
    }
    drop(sim::memory::reserve(1000));
}

fn chance() {
    let mut one = sim::node::stream("one");
    let drawn: Vec<u64> = (0..4).map(|_| one.next_u64()).collect();
    let mut other = sim::node::stream("other");
    assert_ne!(drawn, (0..4).map(|_| other.next_u64()).collect::<Vec<_>>());
}
