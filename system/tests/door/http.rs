//! HTTP over the world's streams: what a server and a client owe each other.

use crate::harness::{Setup, TESTER, run};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use sim::net::{TcpListener, TcpStream};
use sim::time::{Instant, sleep, timeout};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use system::http::{HttpClient, HttpError, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PORT: u16 = 80;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn in_time() -> Instant {
    Instant::now() + seconds(30)
}

fn ask(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

/// Doors that answer at once, late, never, and without reading what they are sent.
fn router() -> Router {
    let slow = async |Path(ms): Path<u64>| {
        sleep(Duration::from_millis(ms)).await;
        "late"
    };
    Router::new()
        .route("/", get(async || "here"))
        .route("/slow/{ms}", get(slow))
        .route(
            "/refuse",
            post(async |body: Body| {
                drop(body);
                StatusCode::PAYLOAD_TOO_LARGE
            }),
        )
        .route("/echo", post(async |body: Bytes| body))
}

async fn listen() {
    let listener = TcpListener::bind(PORT).await.unwrap();
    sim::task::spawn(serve(listener, router(), pending()));
}

/// Sends `bytes` as they are, and reads until the server closes.
async fn raw(bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(TESTER, PORT).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(seconds(60), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn an_answer_comes_back_whole_and_its_connection_is_used_again() {
    run(&Setup::alone(), async |_| {
        // Counts calls on their way to the server.
        let (calls, outer) = (Arc::new(AtomicU32::new(0)), TcpListener::bind(79).await.unwrap());
        let counted = calls.clone();
        listen().await;
        sim::task::spawn(async move {
            while let Ok((mut inward, _)) = outer.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                sim::task::spawn(async move {
                    let mut outward = TcpStream::connect(TESTER, PORT).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut inward, &mut outward).await;
                });
            }
        });
        let client = HttpClient::default();
        let picture = Bytes::from((0..300_000_u32).map(|number| number.to_le_bytes()[0]).collect::<Vec<_>>());
        for _ in 0..10 {
            let request = Request::post("/echo").body(Full::new(picture.clone())).unwrap();
            let answer = client.request(TESTER, 79, request, in_time()).await.unwrap();
            assert_eq!((answer.status(), answer.body()), (StatusCode::OK, &picture));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn an_answer_given_before_the_request_was_read_reaches_its_sender() {
    run(&Setup::alone(), async |_| {
        listen().await;
        let body = Bytes::from(vec![7; 20_000_000]);
        let request = Request::post("/refuse").body(Full::new(body)).unwrap();
        let answer = HttpClient::default().request(TESTER, PORT, request, in_time()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn a_connection_that_the_server_closed_while_idle_costs_no_request() {
    run(&Setup::alone(), async |_| {
        listen().await;
        let client = HttpClient::default();
        for _ in 0..2 {
            let answer = client.request(TESTER, PORT, ask("/"), in_time()).await.unwrap();
            assert_eq!(answer.into_body(), "here");
            // Longer than a server keeps an idle connection.
            #[cfg(not(live))]
            sleep(seconds(40)).await;
        }
    });
}

#[test]
fn a_request_ends_at_its_deadline_on_both_sides() {
    run(&Setup::alone(), async |_| {
        let left = Arc::new(AtomicU32::new(0));
        let seen = left.clone();
        struct Leave(Arc<AtomicU32>);
        impl Drop for Leave {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let wait = async move || {
            let _leave = Leave(seen.clone());
            pending::<()>().await;
        };
        let listener = TcpListener::bind(PORT).await.unwrap();
        sim::task::spawn(serve(listener, Router::new().route("/", get(wait)), pending()));
        let begun = Instant::now();
        let asked = HttpClient::default().request(TESTER, PORT, ask("/"), begun + seconds(1)).await;
        assert!(matches!(asked, Err(HttpError::DeadlineExceeded)), "{asked:?}");
        assert!(begun.elapsed() >= seconds(1));
        sleep(seconds(1)).await;
        assert_eq!(left.load(Ordering::Relaxed), 1, "the server stopped to work for nobody");
    });
}

#[test]
fn nobody_at_the_door_is_an_error_and_no_panic() {
    run(&Setup::alone(), async |_| {
        let asked = HttpClient::default().request(TESTER, PORT, ask("/"), in_time()).await;
        assert!(matches!(asked, Err(HttpError::Connect(_))), "{asked:?}");
    });
}

#[test]
fn a_server_that_is_asked_to_stop_answers_what_is_under_way_and_lets_nobody_in() {
    run(&Setup::alone(), async |_| {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let listener = TcpListener::bind(PORT).await.unwrap();
        let server = sim::task::spawn(serve(listener, router(), async move { drop(stopped.await) }));
        let client = HttpClient::default();
        // An idle connection beside a busy one.
        let other = HttpClient::default();
        other.request(TESTER, PORT, ask("/"), in_time()).await.unwrap();
        let under_way = client.request(TESTER, PORT, ask("/slow/2000"), in_time());
        let ask_to_stop = async {
            sleep(seconds(1)).await;
            stop.send(()).unwrap();
            sleep(Duration::from_millis(500)).await;
            let refused = HttpClient::default().request(TESTER, PORT, ask("/"), in_time()).await;
            assert!(matches!(refused, Err(HttpError::Connect(_))), "{refused:?}");
        };
        let (answer, ()) = tokio::join!(under_way, ask_to_stop);
        assert_eq!(answer.unwrap().into_body(), "late");
        timeout(seconds(1), server).await.expect("idle connections do not hold it").unwrap();
    });
}

#[test]
fn a_stopping_server_waits_for_its_last_requests_within_a_bound() {
    run(&Setup::alone(), async |_| {
        let listener = TcpListener::bind(PORT).await.unwrap();
        let server = sim::task::spawn(serve(listener, router(), sleep(seconds(1))));
        let client = HttpClient::default();
        sim::task::spawn(async move {
            let _ = client.request(TESTER, PORT, ask("/slow/60000"), in_time()).await;
        });
        let begun = Instant::now();
        server.await.unwrap();
        let last = system::http::LAST_REQUESTS;
        assert!((seconds(1) + last..seconds(3) + last).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    });
}

#[cfg(not(live))]
#[test]
fn a_head_that_never_ends_is_cut_off() {
    run(&Setup::alone(), async |_| {
        listen().await;
        let begun = Instant::now();
        let mut stream = TcpStream::connect(TESTER, PORT).await.unwrap();
        let trickle = async {
            while stream.write_all(b"GET / HTTP/1.1\r\nx: y\r\n").await.is_ok() {
                sleep(seconds(7)).await;
            }
        };
        timeout(seconds(60), trickle).await.expect("the server closes");
        assert!(begun.elapsed() >= seconds(30), "{:?}", begun.elapsed());
    });
}

#[test]
fn what_is_no_request_gets_a_4xx_and_is_shown_the_door() {
    run(&Setup::alone(), async |_| {
        listen().await;
        for (bytes, status) in [
            (b"\x16\x03\x01 this is no HTTP\r\n\r\n".as_slice(), "400"),
            (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"),
            (b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "400"),
            (b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n", "400"),
        ] {
            let answer = raw(bytes).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{bytes:?} got {answer}");
        }
        let long = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'y'; 200_000], b"\r\n\r\n"].concat();
        let mut stream = TcpStream::connect(TESTER, PORT).await.unwrap();
        // The server may have closed before all of it was written.
        let _ = stream.write_all(&long).await;
        let mut answer = [0; 12];
        let read = timeout(seconds(60), stream.read_exact(&mut answer)).await.unwrap();
        assert!(read.is_err() || answer.starts_with(b"HTTP/1.1 431"), "{answer:?}");
    });
}
