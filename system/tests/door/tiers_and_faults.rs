//! The tiers before and beside the API servers where there are faults, or seconds are counted: in the simulated world alone.
#![cfg(not(live))]

use crate::harness::{Setup, assert_all_live, pick, run};
use crate::tiers::{good, ready, resize, whole};
use http_body_util::Full;
use hyper::Request;
use sim::fault::{Corrupt, Delay, Fault, GracefulStop, Inject, On};
use sim::history::{Down, Event, Fact};
use sim::time::{Instant, sleep};
use std::collections::BTreeSet;
use std::time::Duration;
use system::api;
use system::http::HttpClient;

fn crash(node: &str, start_s: u64, end_s: u64) -> Fault {
    let on = On { nodes: vec![node.to_owned()] };
    let (start_ns, end_ns) = (start_s * 1_000_000_000, end_s * 1_000_000_000);
    Fault {
        name: format!("crash-{node}"),
        start_ns,
        end_ns,
        after: None,
        shared: None,
        inject: Inject::Crash(on),
    }
}

fn notes(events: &[Event]) -> Vec<String> {
    pick(events, |_, fact| if let Fact::Note { text } = fact { Some(text.clone()) } else { None })
}

#[test]
fn a_server_and_a_worker_that_are_asked_to_stop_finish_what_they_have_and_nobody_notices() {
    let stop = |node: &str, start_s| {
        let gone = crash(node, start_s, start_s + 20);
        let nodes = vec![node.to_owned()];
        Fault { inject: Inject::GracefulStop(GracefulStop { nodes, grace_ns: 15_000_000_000 }), ..gone }
    };
    let mut setup = whole(&[("client.attempts", "1")]);
    setup.faults = vec![stop("api-2", 20), stop("worker-1", 22)];
    let events = run(&setup, async |_| {
        ready().await;
        while Instant::now().as_nanos() < 45_000_000_000 {
            let from = 1 + u32::try_from(Instant::now().as_nanos() / 1_000_000).unwrap();
            assert_eq!(good(from, 1).await, 1, "a request failed");
        }
    });
    let causes = pick(&events, |_, fact| if let Fact::Exit { cause } = fact { Some(*cause) } else { None });
    assert_eq!(causes, [Down::Stop, Down::Stop]);
}

#[test]
fn what_a_network_damages_and_its_checksums_let_through_is_noticed_and_asked_for_again() {
    // Every way that a request goes, and the way of versions, lies between these two groups.
    let names = whole(&[]).nodes().into_iter().map(|node| node.name);
    let (from, to) =
        names.partition(|name| ["balancer", "queue", "config"].iter().any(|role| name.starts_with(role)));
    let damage = Corrupt { from, to, both_ways: true, probability: 0.02, undetected: 1.0 };
    let faults = vec![Fault { inject: Inject::Corrupt(damage), ..crash("all", 10, 60) }];
    let events = run(&Setup { faults, ..whole(&[]) }, async |_| {
        ready().await;
        let http = HttpClient::default();
        let expected = resize(&http, "clean", Duration::from_secs(15)).await.unwrap();
        assert_eq!(expected.status(), 200);
        while Instant::now().as_nanos() < 11_000_000_000 {
            sleep(Duration::from_millis(100)).await;
        }
        let mut good = 0;
        for number in 0..200 {
            let key = format!("photo-{number}");
            // Whatever is answered is true; where nothing is, it is asked again.
            if let Some(answer) = resize(&http, &key, Duration::from_secs(5)).await
                && answer.status() == 200
            {
                assert_eq!(answer.body(), expected.body(), "{key}");
                assert_eq!(answer.headers()["etag"], expected.headers()["etag"]);
                good += 1;
            } else {
                sleep(Duration::from_millis(100)).await;
            }
            if Instant::now().as_nanos() > 58_000_000_000 {
                break;
            }
        }
        assert!(good >= 20, "{good}");
    });
    assert_all_live(&events);
}

/// A number of `node`, as its metrics have it.
async fn gauge(node: &str, name: &str) -> f64 {
    let request = Request::get("/metrics").body(Full::default()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let answer = HttpClient::default().request(node, api::PORT, request, deadline).await.unwrap();
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    let samples = text.lines().filter_map(|line| line.rsplit_once(' '));
    samples
        .filter(|(sample, _)| sample.starts_with(name))
        .map(|(_, value)| value.parse::<f64>().unwrap())
        .sum()
}

// In real time a second may be too short on a machine that is busy.
#[test]
fn whoever_hangs_up_is_waited_for_by_nobody() {
    // Nobody resizes anything, so that who waits would wait until the deadline.
    let setup =
        Setup { api: 2, worker: 0, ..whole(&[("api.deadline", "60s"), ("balancer.attempt-timeout", "50s")]) };
    let events = run(&setup, async |_| {
        let in_flight = async || {
            // A scrape is itself a request.
            let servers = gauge("api-1", "http_requests_in_flight").await
                + gauge("api-2", "http_requests_in_flight").await
                - 2.0;
            (gauge("balancer-1", "balancer_requests_in_flight").await, servers)
        };
        // Servers open their doors once they know which version they run, and the queue takes jobs once it has a leader.
        sleep(Duration::from_secs(1)).await;
        while gauge("api-1", "queue_jobs{stage=\"waiting\"}").await < 1.0 {
            let http = HttpClient::default();
            let _ = resize(&http, "first", Duration::from_secs(1)).await;
        }
        // More than one request a server, some of which are asked of a second one.
        let callers: Vec<_> = (0..6)
            .map(|number| {
                sim::task::spawn(async move {
                    let http = HttpClient::default();
                    let _ = resize(&http, &format!("photo-{number}"), Duration::from_secs(40)).await;
                })
            })
            .collect();
        sleep(Duration::from_secs(3)).await;
        let (at_balancer, at_servers) = in_flight().await;
        assert!(at_balancer >= 6.0 && at_servers >= 6.0, "{at_balancer} {at_servers}");
        assert!(gauge("api-1", "queue_jobs{stage=\"waiting\"}").await >= 7.0, "handed in, all of them");
        callers.iter().for_each(|caller| caller.abort());
        sleep(Duration::from_secs(1)).await;
        assert_eq!(in_flight().await, (0.0, 0.0), "their calls are gone at both tiers");
        let jobs = gauge("api-1", "queue_jobs{stage=\"waiting\"}").await;
        assert!(jobs >= 7.0, "what the queue took stays: it has no command to take it back");
    });
    assert_all_live(&events);
}

#[test]
fn a_server_that_is_dead_costs_a_second_try_and_then_nothing() {
    let setup = Setup { faults: vec![crash("api-2", 20, 80)], ..whole(&[]) };
    let events = run(&setup, async |_| {
        ready().await;
        sleep(Duration::from_secs(19)).await;
        assert_eq!(good(100, 60).await, 60, "a second server answers where the first is gone");
    });
    assert!(notes(&events).iter().any(|note| note == "api-2 does not answer checks"), "{:?}", notes(&events));
}

#[test]
fn where_most_servers_seem_dead_the_load_balancer_fails_open() {
    // All of them answer their users; their answers to checks are lost, since they stand still for a moment each.
    let setup = Setup {
        faults: (1..=4).map(|number| crash(&format!("api-{number}"), 20, 25)).collect(),
        ..whole(&[])
    };
    run(&setup, async |_| {
        ready().await;
        sleep(Duration::from_secs(25)).await;
        // Checks have not let any of them in again.
        assert!(good(100, 5).await >= 4);
    });
}

/// A version with a defect that is set off by every second request or so, and stays on one server.
fn gray(ejection: &str) -> Setup {
    whole(&[
        ("push.at", "1s"),
        ("push.content", "defective"),
        ("push.trigger", "half"),
        ("push.effect", "hang"),
        ("rollout.soak", "1h"),
        ("rollout.gate", "false"),
        ("balancer.ejection", ejection),
        ("balancer.attempts", "1"),
        ("balancer.hedge-after", "0s"),
    ])
}

#[test]
fn a_server_that_answers_checks_and_drops_half_of_its_users_is_ejected_and_else_nobody_notices() {
    let failures = |ejection: &'static str| {
        let failed = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let told = failed.clone();
        let events = run(&gray(ejection), move |_| {
            let told = told.clone();
            async move {
                sleep(Duration::from_secs(10)).await;
                let asked = (0..120).map(|number| async move {
                    sleep(Duration::from_millis(500) * number).await;
                    let http = HttpClient::default();
                    let answer = resize(&http, &format!("photo-{number}"), Duration::from_secs(15)).await;
                    u32::from(answer.is_none_or(|answer| answer.status() != 200))
                });
                let tasks: Vec<_> = asked.map(sim::task::spawn).collect();
                for task in tasks {
                    told.fetch_add(task.await.unwrap(), std::sync::atomic::Ordering::Relaxed);
                }
            }
        });
        let notes = notes(&events);
        assert!(!notes.iter().any(|note| note.contains("answer checks")), "{notes:?}");
        let ejected: BTreeSet<_> =
            notes.iter().filter(|note| note.contains("ejected")).map(|note| note[..5].to_owned()).collect();
        (ejected, failed.load(std::sync::atomic::Ordering::Relaxed))
    };
    let (ejected, with) = failures("true");
    assert_eq!(ejected.into_iter().collect::<Vec<_>>(), ["api-1"]);
    let (ejected, without) = failures("false");
    assert!(ejected.is_empty());
    assert!(with < without, "{with} requests failed with ejection, {without} without");
}

#[test]
fn a_server_is_not_blamed_by_callers_who_give_it_less_time_than_it_takes() {
    // Everything goes through the queue, which is far from one of the servers.
    let far = Delay {
        from: vec!["api-2".to_owned()],
        to: (1..=3).map(|number| format!("queue-{number}")).collect(),
        both_ways: true,
        by_ns: 300_000_000,
        jitter_ns: 0,
    };
    let far = Fault { inject: Inject::Delay(far), ..crash("api-2", 10, 80) };
    let setup = Setup { faults: vec![far], ..whole(&[]) };
    let events = run(&setup, async |_| {
        ready().await;
        sleep(Duration::from_secs(10)).await;
        let http = HttpClient::default();
        let mut late = 0;
        for number in 0..100 {
            let answer = resize(&http, &format!("photo-{number}"), Duration::from_millis(500)).await;
            late += u32::from(answer.is_none_or(|answer| answer.status() != 200));
        }
        assert!(late >= 5, "{late} callers gave too little time");
    });
    let blamed: Vec<_> = notes(&events).into_iter().filter(|note| note.contains("ejected")).collect();
    assert!(blamed.is_empty(), "{blamed:?}");
}

#[test]
fn a_version_that_crashes_is_run_by_one_server_once_and_taken_back() {
    let settings = [("push.at", "5s"), ("push.content", "defective"), ("push.effect", "crash")];
    let events = run(&whole(&settings), async |_| {
        ready().await;
        // A soak without requests would say nothing.
        good(100, 120).await;
        sleep(Duration::from_secs(10)).await;
        assert_eq!(good(300, 10).await, 10);
    });
    let crashes = pick(&events, |_, fact| {
        matches!(fact, Fact::Exit { cause: sim::history::Down::Abort }).then_some(())
    });
    assert_eq!(crashes.len(), 1, "the last good version is on disk");
    let condemned = pick(&events, |_, fact| matches!(fact, Fact::Condemn { version: 2 }).then_some(()));
    assert_eq!(condemned.len(), 1);
}

#[test]
fn a_version_that_is_good_reaches_every_server_in_stages() {
    let events = run(&whole(&[("push.at", "5s")]), async |_| {
        ready().await;
        sleep(Duration::from_secs(60)).await;
    });
    let stages =
        pick(&events, |_, fact| if let Fact::Stage { percent, .. } = fact { Some(*percent) } else { None });
    assert_eq!(stages, [1, 10, 50, 100]);
    let adopters = pick(&events, |node, fact| matches!(fact, Fact::Adopt { version: 2 }).then_some(node));
    assert_eq!(adopters.len(), 4);
    assert_all_live(&events);
}

#[test]
fn a_version_that_no_node_can_run_is_run_by_none() {
    let events = run(&whole(&[("push.at", "5s"), ("push.content", "invalid")]), async |_| {
        ready().await;
        sleep(Duration::from_secs(20)).await;
        assert_eq!(good(100, 10).await, 10);
    });
    let adopters = pick(&events, |node, fact| matches!(fact, Fact::Adopt { .. }).then_some(node));
    assert!(adopters.is_empty());
    assert!(notes(&events).iter().any(|note| note.contains("does not pass validation")));
}
