//! Calls over simulated connections.

use crate::system::rpc::{Incoming, Remote, RpcError, listen};
use crate::world::{Script, fault, in_seconds, on, plan, run, soon};
use bytes::Bytes;
use sim::fault::Inject;
use sim::history::Fact;
use sim::net::TcpListener;
use sim::stack::{Client, Task};
use sim::time::{Instant, sleep};
use std::time::Duration;

const PORT: u16 = 9;
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers a number with its double after so many milliseconds; zero never.
async fn doubling() {
    let listener = TcpListener::bind(PORT).await.unwrap();
    let end = listen(listener, |incoming: Incoming<u64, u64>| {
        sim::task::spawn(async move {
            let Incoming { request, blob, replier, .. } = incoming;
            if request == 0 {
                return std::future::pending().await;
            }
            sleep(Duration::from_millis(request)).await;
            replier.reply(2 * request, blob);
        });
    });
    end.await.unwrap();
}

fn check(faults: Vec<sim::fault::Fault>, client: fn() -> Task) {
    let script = Script::new(move |_: Client| {
        let client = client();
        Box::pin(async move {
            sleep(Duration::from_secs(2)).await;
            client.await;
            sim::node::record(Fact::Note { text: "finished".to_owned() });
        })
    });
    let script = script.with_worker(|_| Box::pin(doubling()));
    assert_eq!(run(&plan(1, 20, 0.0, faults), &script).notes(), ["finished"]);
}

fn remote() -> Remote<u64, u64> {
    Remote::new("worker-1", PORT, PATIENCE)
}

#[test]
fn many_calls_are_under_way_on_one_connection_and_each_gets_its_own_reply() {
    check(vec![], || {
        Box::pin(async {
            let remote = remote();
            let begun = Instant::now();
            let call = |number: u64| {
                let blob = Bytes::from(vec![u8::try_from(number).unwrap(); 20_000]);
                (number, remote.call(number, blob, soon()))
            };
            // The slowest first.
            let calls: Vec<_> = (1..=100).rev().map(call).collect();
            for (number, call) in calls {
                let (reply, blob) = call.await.unwrap();
                assert_eq!((reply, blob.len()), (2 * number, 20_000));
                assert!(blob.iter().all(|byte| u64::from(*byte) == number));
            }
            assert!(begun.elapsed() < Duration::from_millis(150), "side by side, not one after the other");
        })
    });
}

#[test]
fn a_service_that_is_slow_and_alive_is_waited_for() {
    check(vec![], || {
        Box::pin(async {
            let reply = remote().call(5_000, Bytes::new(), in_seconds(10)).await;
            assert_eq!(reply.unwrap().0, 10_000);
        })
    });
}

#[test]
fn a_process_that_dies_is_noticed_at_once_and_its_successor_is_reached() {
    check(vec![fault(5, 8, Inject::Crash(on(&["worker-1"])))], || {
        Box::pin(async {
            let remote = remote();
            let reply = remote.call(0, Bytes::new(), in_seconds(10)).await;
            assert!(matches!(reply, Err(RpcError::Unreachable(_))), "{reply:?}");
            assert!(Instant::now().as_nanos() < 5_100_000_000);
            sleep(Duration::from_secs(4)).await;
            assert_eq!(remote.call(1, Bytes::new(), soon()).await.unwrap().0, 2);
            assert!(!remote.is_down());
        })
    });
}

#[test]
fn a_host_that_falls_silent_is_given_up_after_the_patience() {
    check(vec![fault(5, 12, Inject::PowerLoss(on(&["worker-1"])))], || {
        Box::pin(async {
            let remote = remote();
            let reply = remote.call(0, Bytes::new(), in_seconds(10)).await;
            assert_eq!(reply, Err(RpcError::Unreachable("the service fell silent".to_owned())));
            assert!(Instant::now().as_nanos() < 6_700_000_000, "{:?}", Instant::now());
            sleep(Duration::from_secs(1)).await;
            let begun = Instant::now();
            let reply = remote.call(1, Bytes::new(), in_seconds(10)).await;
            assert!(matches!(reply, Err(RpcError::Unreachable(_))), "{reply:?}");
            assert!(
                begun.elapsed() < PATIENCE + Duration::from_millis(10),
                "a connection that is not made is given up as well"
            );
        })
    });
}

#[test]
fn after_a_long_rest_a_call_is_answered_as_before() {
    check(vec![], || {
        Box::pin(async {
            let remote = remote();
            assert_eq!(remote.call(1, Bytes::new(), soon()).await.unwrap().0, 2);
            sleep(Duration::from_secs(10)).await;
            assert_eq!(remote.call(2, Bytes::new(), soon()).await.unwrap().0, 4);
        })
    });
}
