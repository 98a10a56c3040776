//! The client side: requests over connections that are kept and used again.

use super::DEADLINE_HEADER;
use super::check::{self, CHECK_HEADER};
use super::io::Io;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use sim::net::TcpStream;
use sim::time::{Instant, timeout};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// Answers longer than this are refused.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Makes requests; clones share their connections.
#[derive(Clone, Default)]
pub struct HttpClient {
    /// Connections that wait for their next request, by node, each with its port.
    idle: Arc<Mutex<Idle>>,
    /// Whether each connection is closed after its answer.
    closes: bool,
}

type Idle = BTreeMap<String, Vec<(u16, Sender)>>;
type Sender = SendRequest<Full<Bytes>>;

/// Why there is no answer. The request may have been carried out all the same.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    /// The connection failed before the answer was whole.
    #[error("the connection failed: {0}")]
    Connection(#[from] hyper::Error),
    /// The answer's body failed or was too long, or the answer is not what was sent.
    #[error("the answer failed: {0}")]
    Body(String),
    /// The deadline passed first.
    #[error("the deadline passed before the answer")]
    DeadlineExceeded,
}

impl HttpClient {
    /// One that closes each connection after its answer: for who comes seldom.
    pub fn closing() -> Self {
        Self { closes: true, ..Self::default() }
    }

    /// Makes `request` to `port` of the node called `node`, and waits for the whole answer until `deadline`, which the
    /// server is told. Giving up closes the connection, which tells the server too.
    ///
    /// # Errors
    /// Where there is no answer in time.
    pub async fn request(
        &self,
        node: &str,
        port: u16,
        mut request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Bytes>, HttpError> {
        let left = deadline - Instant::now();
        let headers = request.headers_mut();
        headers
            .insert(DEADLINE_HEADER, HeaderValue::from(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
        let host = HeaderValue::from_str(node).expect("a node's name is letters, digits and dashes");
        headers.insert(HOST, host);
        let body = request.body().clone().collect().await.unwrap_or_else(|never| match never {}).to_bytes();
        let check = check::of_request(request.method(), request.uri(), request.headers(), &body);
        request.headers_mut().insert(CHECK_HEADER, check);
        timeout(left, self.exchange(node, port, request)).await.map_err(|_| HttpError::DeadlineExceeded)?
    }

    async fn exchange(
        &self,
        node: &str,
        port: u16,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, HttpError> {
        let (sender, response) = self.send(node, port, request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| HttpError::Body(error.to_string()))?.to_bytes();
        let checked = check::check_answer(head.status, &head.headers, &body);
        checked.map_err(|error| HttpError::Body(error.to_string()))?;
        if !self.closes {
            self.keep(node, port, sender);
        }
        Ok(Response::from_parts(head, body))
    }

    /// Sends over a connection that is there, or over a new one.
    async fn send(
        &self,
        node: &str,
        port: u16,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Sender, Response<Incoming>), HttpError> {
        while let Some(mut sender) = self.take(node, port) {
            // Its last answer was read here; its own task may still have to find that out.
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                // The server closed it while it was idle. What was never sent can be sent again.
                Err(mut error) => request = error.take_message().ok_or_else(|| error.into_error())?,
            }
        }
        let mut sender = connect(node, port).await?;
        let response = sender.send_request(request).await?;
        Ok((sender, response))
    }

    /// An idle connection that lives: the one used last.
    fn take(&self, node: &str, port: u16) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = idle.get_mut(node)?;
        loop {
            let place = senders.iter().rposition(|(of, _)| *of == port)?;
            let (_, sender) = senders.remove(place);
            if !sender.is_closed() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, node: &str, port: u16, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.get_mut(node) {
            Some(senders) => senders.push((port, sender)),
            None => drop(idle.insert(node.to_owned(), vec![(port, sender)])),
        }
    }
}

async fn connect(node: &str, port: u16) -> Result<Sender, HttpError> {
    let stream = TcpStream::connect(node, port).await?;
    let (sender, connection) = http1::Builder::new().handshake(Io::new(stream)).await?;
    sim::task::spawn(async move {
        // How it ended is told to the request that it was for.
        let _ = connection.await;
    });
    Ok(sender)
}
