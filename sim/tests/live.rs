//! The live world's own: what it refuses, what it keeps over restarts of the program, how the outside sees it.
#![cfg(live)]
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]
#![expect(clippy::disallowed_methods, reason = "a test of the real world")]

use bytes::Bytes;
use sim::fs;
use sim::net::{TcpListener, TcpStream};
use sim::plan::NodePlan;
use sim::server::{ServeOptions, serve_until};
use sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

extern crate hogwash_sim as sim;

const ROLES: [Role; 1] = [Role { name: "server", why: "runs the script", count: 1, cores: 1 }];

/// A stack whose processes run one async function, which may say something to the test.
struct Scripted {
    script: fn(Process, mpsc::Sender<String>) -> Task,
    say: Mutex<mpsc::Sender<String>>,
}

impl Stack for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    fn boot(&self, process: Process) -> Task {
        (self.script)(process, self.say.lock().unwrap().clone())
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
}

fn node(name: &str, role: &str) -> NodePlan {
    NodePlan {
        name: name.to_owned(),
        role: role.to_owned(),
        cores: 1,
        memory_bytes: 1 << 30,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    }
}

fn options(data: &Path, base_port: u16) -> ServeOptions {
    ServeOptions { data: data.to_owned(), base_port, nodes: None }
}

/// Serves `script` on `server-1` until `test`, which hears what the script says, returns.
fn serve<T: Send + 'static>(
    options: ServeOptions,
    script: fn(Process, mpsc::Sender<String>) -> Task,
    test: impl FnOnce(&dyn Fn() -> String) -> T + Send + 'static,
) -> io::Result<T> {
    let (say, hear) = mpsc::channel();
    let stack = Arc::new(Scripted { script, say: Mutex::new(say) });
    let nodes = vec![node("server-1", "server"), node("client-1", "client")];
    let deployment = Deployment::new(stack.as_ref(), nodes, &BTreeMap::new()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let tester = std::thread::spawn(move || {
        let _stop_at_the_end = stop;
        test(&|| hear.recv_timeout(Duration::from_secs(30)).unwrap())
    });
    serve_until(stack, deployment, options, async { drop(stopped.await) })?;
    Ok(tester.join().unwrap())
}

fn idle(_: Process, say: mpsc::Sender<String>) -> Task {
    Box::pin(async move {
        say.send("up".to_owned()).unwrap();
        std::future::pending::<()>().await;
    })
}

#[test]
fn what_cannot_be_served_is_refused_in_words() {
    let data = tempfile::tempdir().unwrap();
    let refused = |options: ServeOptions| serve(options, idle, |_| ()).unwrap_err().to_string();
    assert_eq!(refused(options(data.path(), 65_500)), "2 nodes need a base port of at most 65336");
    for name in ["server-9", "client-1"] {
        let named = ServeOptions { nodes: Some(vec![name.to_owned()]), ..options(data.path(), 10_000) };
        assert_eq!(refused(named), format!("there is no node `{name}` to serve: there are `server-1`"));
    }
    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = refused(options(&file, 10_000));
    assert!(
        below.starts_with(&format!("the data of `server-1` in `{}`: ", file.join("server-1").display())),
        "{below}"
    );
}

#[test]
fn data_serve_one_program_at_a_time_and_outlive_it() {
    fn counts(process: Process, say: mpsc::Sender<String>) -> Task {
        Box::pin(async move {
            let before = fs::read("/count").await.unwrap_or_default();
            fs::write("/count", Bytes::from([&before[..], b"x"].concat())).await.unwrap();
            say.send(format!("{} {}", process.incarnation, before.len())).unwrap();
            std::future::pending::<()>().await;
        })
    }
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_owned();
    let heard = serve(options(data.path(), 10_000), counts, move |hear| {
        let heard = hear();
        let refused = serve(options(&path, 20_000), counts, |_| ()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        assert!(refused.to_string().ends_with("stop that one, or choose another data folder"), "{refused}");
        heard
    });
    assert_eq!(heard.unwrap(), "1 0");
    assert_eq!(serve(options(data.path(), 10_000), counts, |hear| hear()).unwrap(), "2 1");
    assert_eq!(std::fs::read(data.path().join("server-1/files/count")).unwrap(), b"xx");
}

#[test]
fn a_port_of_a_node_is_one_of_the_machine_and_strangers_are_called_by_their_address() {
    fn greets(_: Process, say: mpsc::Sender<String>) -> Task {
        Box::pin(async move {
            let listener = TcpListener::bind(80).await.unwrap();
            say.send("up".to_owned()).unwrap();
            loop {
                let (mut stream, from) = listener.accept().await.unwrap();
                stream.send(Bytes::from(format!("hello {}", from.node))).await.unwrap();
            }
        })
    }
    let data = tempfile::tempdir().unwrap();
    let base_port = free_ports();
    let greeting = serve(options(data.path(), base_port), greets, move |hear| {
        hear();
        let mut greeting = String::new();
        std::net::TcpStream::connect(("127.0.0.1", base_port + 80))?.read_to_string(&mut greeting)?;
        Ok::<_, io::Error>(greeting)
    });
    assert_eq!(greeting.unwrap().unwrap(), "hello 127.0.0.1");
}

#[test]
fn a_process_that_ends_takes_its_connections_with_it() {
    fn returns(process: Process, say: mpsc::Sender<String>) -> Task {
        Box::pin(async move {
            let listener = TcpListener::bind(81).await.unwrap();
            say.send(process.incarnation.to_string()).unwrap();
            let (_stream, _) = listener.accept().await.unwrap();
            let (mut other, _) = listener.accept().await.unwrap();
            // Held by a task of its own, which ends with the process.
            sim::task::spawn(async move { other.receive().await });
            assert!(TcpStream::connect("server-1", 99).await.is_err());
        })
    }
    let data = tempfile::tempdir().unwrap();
    let base_port = free_ports();
    serve(options(data.path(), base_port), returns, move |hear| {
        assert_eq!(hear(), "1");
        let mut streams: Vec<_> =
            (0..2).map(|_| std::net::TcpStream::connect(("127.0.0.1", base_port + 81)).unwrap()).collect();
        for stream in &mut streams {
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream.write_all(b"").unwrap();
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0, "closed by the process's end");
        }
        assert_eq!(hear(), "2", "started again");
    })
    .unwrap();
}

/// A base port with some free ones above it, below those that systems give away by themselves.
fn free_ports() -> u16 {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    (100..320)
        .map(|hundred| hundred * 100)
        .find(|base| [80, 81, 99].iter().all(|port| free(base + port)))
        .unwrap()
}
