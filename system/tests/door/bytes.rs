//! No byte sequence at the front door harms the server behind it.
#![cfg(not(live))]

use crate::harness::{Setup, assert_all_live, run};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use proptest::prelude::*;
use sim::net::TcpStream;
use sim::time::{Instant, timeout};
use std::sync::Arc;
use std::time::Duration;
use system::api;
use system::http::HttpClient;
use system::resize::{SampleKind, sample_image};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes that look like a request for as long as they do: each part is sensible, odd, or no text at all.
fn almost_a_request() -> impl Strategy<Value = Vec<u8>> {
    let method =
        prop_oneof![Just("GET".to_owned()), Just("POST".to_owned()), Just("HEAD".to_owned()), "[A-Z]{1,9}"];
    let path = prop_oneof![
        Just("/v1/resize".to_owned()),
        Just("/v1/jobs".to_owned()),
        "/v1/jobs/[a-zA-Z0-9%._/-]{0,30}",
        Just("/readyz".to_owned()),
        "/[ -~]{0,40}",
        Just("*".to_owned()),
    ];
    let query = prop_oneof![
        Just(String::new()),
        "\\?w=[0-9]{1,12}",
        "\\?(w|h|fit|fmt|q|wait)=[ -~]{0,20}(&[a-z%=&]{0,20}){0,3}",
        "\\?[ -~]{0,60}",
    ];
    let header = prop_oneof![
        "idempotency-key: [ -~]{0,40}",
        "x-deadline-ms: [0-9-]{0,25}",
        "content-length: [0-9]{1,20}",
        "transfer-encoding: (chunked|gzip|identity|, ,)",
        "expect: 100-continue",
        "connection: (close|keep-alive|upgrade)",
        "[!-9;-~]{1,20}: [ -~]{0,40}",
    ];
    let body = prop_oneof![
        Just(Vec::new()),
        any::<u64>().prop_map(|seed| sample_image(SampleKind::Jpeg, seed).to_vec()),
        prop::collection::vec(any::<u8>(), 0..300),
        Just(b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
        Just(b"ffffffffffffffff\r\nx".to_vec()),
    ];
    let end = prop_oneof![Just("\r\n"), Just("\n"), Just("")];
    (method, path, query, prop::collection::vec(header, 0..6), any::<bool>(), body, end).prop_map(
        |(method, path, query, mut headers, says_length, body, end)| {
            if says_length {
                headers.push(format!("content-length: {}", body.len()));
            }
            let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
            let head = format!("{method} {path}{query} HTTP/1.1\r\nhost: x\r\n{headers}{end}");
            [head.as_bytes(), &body].concat()
        },
    )
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    let request = almost_a_request();
    let damaged =
        (almost_a_request(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5));
    let damaged = damaged.prop_map(|(mut bytes, damage)| {
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    });
    prop_oneof![2 => request, 2 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..500)]
}

/// Sends `bytes`, says that no more come, and waits until the server closes.
async fn call(bytes: &[u8]) {
    let mut stream = TcpStream::connect("api-1", api::PORT).await.unwrap();
    let call = async {
        // The server may close before it has read all.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    let answer = timeout(Duration::from_secs(60), call).await.expect("the server answers or closes");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_bytes_at_the_front_door_harm_the_server(calls in prop::collection::vec(anything(), 40)) {
        let calls = Arc::new(calls);
        let setup = Setup { api: 1, queue: 3, ..Setup::alone() };
        let events = run(&setup, move |_| {
            let calls = calls.clone();
            async move {
                let mut tasks = Vec::new();
                for number in 0..calls.len() {
                    let calls = calls.clone();
                    tasks.push(sim::task::spawn(async move { call(&calls[number]).await }));
                }
                for task in tasks {
                    task.await.unwrap();
                }
                let request = Request::get("/healthz").body(Full::new(Bytes::new())).unwrap();
                let deadline = Instant::now() + Duration::from_secs(5);
                let health = HttpClient::default().request("api-1", api::PORT, request, deadline).await.unwrap();
                assert_eq!(health.status(), 200, "the server is in good health");
            }
        });
        assert_all_live(&events);
    }
}
