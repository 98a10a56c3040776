//! The server side: an axum router served over the world's streams.

use super::io::{Io, WorldTimer};
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use sim::net::{TcpListener, TcpStream};
use std::io;
use std::time::Duration;
use tower_service::Service;

/// How long a connection may take to send a request's head, or stay idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves `router` at `port` for as long as the port is open.
///
/// # Errors
/// Where the port cannot be opened.
pub async fn serve(port: u16, router: Router) -> io::Result<()> {
    let listener = TcpListener::bind(port).await?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                sim::task::spawn(serve_connection(stream, router.clone()));
            }
            // One call that failed on its way says nothing of the next; a port that is gone stays gone.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Err(error),
            Err(error) => tracing::warn!(%error, "a connection was not accepted"),
        }
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let peer = stream.peer();
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        async move { router.call(request.map(Body::new)).await }
    });
    let served = http1::Builder::new()
        .timer(WorldTimer)
        .header_read_timeout(HEAD_TIMEOUT)
        // The date is cached by thread, and so would leak from one world into the next.
        .auto_date_header(false)
        .serve_connection(Io(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}
