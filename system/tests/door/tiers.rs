//! The tiers before and beside the API servers: load balancers, and versions that are handed out.

use crate::harness::{Setup, assert_all_live, run};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use sim::time::{Instant, sleep};
use std::collections::BTreeMap;
use std::time::Duration;
use system::api;
use system::http::HttpClient;
use system::resize::{SampleKind, sample_image};

pub(crate) fn whole(settings: &[(&str, &str)]) -> Setup {
    let settings: BTreeMap<_, _> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Setup { balancer: 1, config: 1, api: 4, queue: 3, worker: 2, duration_s: 90, settings, ..Setup::alone() }
}

/// One picture resized through the load balancer.
pub(crate) async fn resize(http: &HttpClient, key: &str, patience: Duration) -> Option<Response<Bytes>> {
    let request = Request::post("/v1/resize?w=24").header("idempotency-key", key);
    let request = request.body(Full::new(sample_image(SampleKind::Jpeg, 1))).unwrap();
    http.request("balancer-1", api::PORT, request, Instant::now() + patience).await.ok()
}

/// How many of `count` requests, one after the other, give the picture.
pub(crate) async fn good(from: u32, count: u32) -> u32 {
    let http = HttpClient::default();
    let mut good = 0;
    for number in from..from + count {
        let answer = resize(&http, &format!("photo-{number}"), Duration::from_secs(15)).await;
        good += u32::from(answer.is_some_and(|answer| answer.status() == 200));
    }
    good
}

pub(crate) async fn ready() {
    for _ in 0..100 {
        if good(0, 1).await == 1 {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("the stack does not get ready");
}

#[test]
fn what_servers_say_passes_through_the_load_balancer_unchanged() {
    let events = run(&whole(&[]), async |_| {
        ready().await;
        let http = HttpClient::default();
        let answer = resize(&http, "one", Duration::from_secs(15)).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "image/jpeg");
        for (path, status) in [("/v1/nowhere", 404), ("/healthz", 200), ("/v1/resize", 405)] {
            let request = Request::get(path).body(Full::default()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(5);
            let answer = http.request("balancer-1", api::PORT, request, deadline).await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
        }
    });
    assert_all_live(&events);
}

#[test]
fn a_tier_that_is_full_turns_away_at_once() {
    let events =
        run(&whole(&[("balancer.max-in-flight", "1"), ("worker.conversion-cost", "3s")]), async |_| {
            ready().await;
            let asked = (0..4).map(|number| async move {
                let http = HttpClient::default();
                resize(&http, &format!("burst-{number}"), Duration::from_secs(15)).await.unwrap()
            });
            let tasks: Vec<_> = asked.map(sim::task::spawn).collect();
            let mut statuses = Vec::new();
            for task in tasks {
                let answer = task.await.unwrap();
                if answer.status() == 503 {
                    assert!(answer.headers().contains_key("retry-after"));
                }
                statuses.push(answer.status().as_u16());
            }
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 503, 503, 503]);
        });
    assert_all_live(&events);
}
