//! Worlds of one node: what a body gives, and what it is told where it leaves the simulation.
#![cfg(not(live))]
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "what must be refused is tried")]

extern crate hogwash_sim as sim;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What a body that panics says.
fn refused(body: impl Future<Output = ()> + Send + 'static) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| sim::world::alone(1, body))).unwrap_err();
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_system_thread_is_refused_with_its_counterpart() {
    let said = refused(async { std::thread::spawn(|| ()).join().unwrap() });
    assert!(said.starts_with("a system thread was started inside the simulation"), "{said}");
    assert!(said.contains("use `sim::task::spawn`"), "{said}");
}

#[test]
fn tokios_network_and_time_are_refused_with_their_counterparts() {
    let connects = refused(async {
        let _ = tokio::net::TcpStream::connect("127.0.0.1:9").await;
    });
    let sleeps = refused(async { tokio::time::sleep(Duration::from_secs(1)).await });
    let spawns = refused(async { drop(tokio::spawn(async {})) });
    for said in [connects, sleeps, spawns] {
        assert!(
            said.starts_with("tokio's own runtime was asked for inside the simulation: use `sim::net`"),
            "{said}"
        );
        assert!(said.contains("no reactor running"), "{said}");
    }
}

#[test]
fn tokios_files_are_refused_since_they_want_a_thread_or_a_runtime() {
    let said = refused(async { drop(tokio::fs::read("/etc/hostname").await) });
    assert!(said.contains("inside the simulation") && said.contains("`sim::"), "{said}");
}

#[test]
fn a_body_that_takes_too_long_is_told_so() {
    let said = refused(std::future::pending());
    assert!(said.contains("ends within an hour of simulated time"), "{said}");
}

#[test]
fn the_same_seed_draws_the_same_and_std_time_is_simulated() {
    let draw = |seed| {
        sim::world::alone(seed, async {
            sim::time::sleep(Duration::from_secs(1)).await;
            (sim::node::name(), sim::node::stream("one").next_u64())
        })
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_eq!(draw(1).0, "node-1");
}

#[test]
fn what_is_replaced_is_there_whole_and_nothing_is_left_beside_it() {
    let (text, names) = sim::world::alone(3, async {
        sim::fs::create_dir_all("/kept").await.unwrap();
        sim::fs::replace("/kept/one", "first".into()).await.unwrap();
        sim::fs::replace("/kept/one", "second".into()).await.unwrap();
        (sim::fs::read("/kept/one").await.unwrap(), sim::fs::read_dir("/kept").await.unwrap())
    });
    assert_eq!((&text[..], names), (&b"second"[..], vec!["one".to_owned()]));
}
