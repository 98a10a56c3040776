//! The server side: an axum router served over the world's streams.

use super::check::{self, CHECK_HEADER, Checked, Damaged};
use super::io::{Io, WorldTimer};
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use sim::net::{TcpListener, TcpStream};
use sim::time::{sleep, timeout};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tower_service::Service;

/// How long requests under way may still take once the server was asked to stop.
pub const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// How long a connection may take to send a request's head, or stay idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A request's head, and what hyper reads ahead of it, at most.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 50_000;
/// How long to wait after a connection could not be accepted, since the cause (no file to spare) may last.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` to the callers of `listener` until `stop` ends. Then nobody new is let in, idle connections are closed,
/// and requests under way are answered, for [`LAST_REQUESTS`] at most.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    serve_at_most(CONNECTIONS_MAX, listener, router, stop).await;
}

async fn serve_at_most(
    connections_max: usize,
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let (stopper, stopping) = watch::channel(false);
    let (alive, mut all_ended) = mpsc::channel::<()>(1);
    let room = Arc::new(Semaphore::new(connections_max));
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! { biased;
            () = &mut stop => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stopping, alive) = (router.clone(), stopping.clone(), alive.clone());
                sim::task::spawn(async move {
                    serve_connection(stream, router, stopping).await;
                    drop((place, alive));
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => break,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, alive));
    let _ = stopper.send(true);
    // Nothing is ever sent: this is the end of the last connection.
    let _ = timeout(LAST_REQUESTS, all_ended.recv()).await;
}

/// Why a request gets no answer: the connection ends.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error("the answer could not be made: {0}")]
    Body(#[from] axum::Error),
}

/// The router's answer to a request; with a check, where the request has one. A request that was damaged on the way gets none: the
/// connection ends, as it does where the network fails.
async fn answer(
    mut router: Router,
    request: hyper::Request<Body>,
) -> Result<hyper::Response<Body>, Unanswered> {
    let (head, body) = request.into_parts();
    let Some(expected) = check::read_request(&head.method, &head.uri, &head.headers)? else {
        return Ok(routed(&mut router, hyper::Request::from_parts(head, body)).await);
    };
    let damaged = Arc::new(AtomicBool::new(false));
    let body = Body::new(Checked::new(body, expected, damaged.clone()));
    let answer = routed(&mut router, hyper::Request::from_parts(head, body)).await;
    if damaged.load(Ordering::Relaxed) {
        return Err(Unanswered::Damaged(Damaged));
    }
    let (mut head, body) = answer.into_parts();
    let body = check::whole(body).await?;
    head.headers.insert(CHECK_HEADER, check::of_answer(head.status, &head.headers, &body));
    Ok(hyper::Response::from_parts(head, body.into()))
}

async fn routed(router: &mut Router, request: hyper::Request<Body>) -> hyper::Response<Body> {
    router.call(request).await.unwrap_or_else(|never| match never {})
}

async fn serve_connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    let peer = stream.peer();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move { answer(router, request.map(Body::new)).await }
    });
    let connection = http1::Builder::new()
        .timer(WorldTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        // The date is cached by thread, and so would leak from one world into the next.
        .auto_date_header(false)
        .serve_connection(Io::new(stream), service);
    let mut connection = pin!(connection);
    let asked_to_stop = async { drop(stopping.wait_for(|stop| *stop).await) };
    let served = tokio::select! { biased;
        served = &mut connection => served,
        () = asked_to_stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HttpClient;
    use axum::routing::get;
    use bytes::Bytes;
    use http_body_util::Full;
    use sim::time::Instant;

    const PORT: u16 = 80;
    const NODE: &str = "node-1";

    async fn ask(client: &HttpClient, patience: Duration) -> bool {
        let request = hyper::Request::get("/").body(Full::<Bytes>::default()).expect("made of valid parts");
        client.request(NODE, PORT, request, Instant::now() + patience).await.is_ok()
    }

    #[test]
    fn a_stop_is_heard_though_all_places_for_connections_are_taken() {
        let took = sim::world::alone(1, async {
            let listener = TcpListener::bind(PORT).await.expect("a free port");
            let router = Router::new().route("/", get(async || "here"));
            let stop = sleep(Duration::from_secs(5));
            let server = sim::task::spawn(serve_at_most(2, listener, router, stop));
            // Connections that stay open and idle.
            let clients = [HttpClient::default(), HttpClient::default()];
            for client in &clients {
                assert!(ask(client, Duration::from_secs(1)).await);
            }
            assert!(
                !ask(&HttpClient::default(), Duration::from_secs(1)).await,
                "there is no place for another"
            );
            server.await.expect("it does not panic");
            Instant::now()
        });
        assert!(took < Instant::from_nanos(6_000_000_000), "{took:?}");
    }
}
