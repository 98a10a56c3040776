//! The client side: requests over connections that are kept and used again.

use super::io::Io;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use sim::net::TcpStream;
use sim::time::{Instant, timeout};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use thiserror::Error;

/// Answers longer than this are refused.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Makes requests; clones share their connections.
#[derive(Clone, Default)]
pub struct HttpClient {
    /// Connections that wait for their next request, by node.
    idle: Arc<Mutex<BTreeMap<String, Vec<SendRequest<Full<Bytes>>>>>>,
}

/// What a server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Content-Type`, empty where there is none.
    pub content_type: String,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer. The request may have been carried out all the same.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    /// The connection failed before the answer was whole.
    #[error("the connection failed: {0}")]
    Connection(#[from] hyper::Error),
    /// The answer's body failed or was too long.
    #[error("the answer's body failed: {0}")]
    Body(String),
    /// The deadline passed first.
    #[error("the deadline passed before the answer")]
    DeadlineExceeded,
}

impl HttpClient {
    /// Makes `request` to `port` of the node called `node`, and waits for the whole answer until `deadline`.
    ///
    /// # Errors
    /// Where there is no answer in time.
    pub async fn request(
        &self,
        node: &str,
        port: u16,
        request: hyper::Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, HttpError> {
        let left = deadline - Instant::now();
        timeout(left, self.exchange(node, port, request)).await.map_err(|_| HttpError::DeadlineExceeded)?
    }

    async fn exchange(
        &self,
        node: &str,
        port: u16,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<Answer, HttpError> {
        let mut connection = match self.take(node) {
            Some(connection) => connection,
            None => connect(node, port).await?,
        };
        let response = connection.send_request(request).await?;
        let status = response.status().as_u16();
        let content_type = response.headers().get(hyper::header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| HttpError::Body(error.to_string()))?.to_bytes();
        self.idle.lock().expect("no holder panics").entry(node.to_owned()).or_default().push(connection);
        Ok(Answer { status, content_type, body })
    }

    /// A connection that lives and is free, the one used last.
    fn take(&self, node: &str) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().expect("no holder panics");
        let connections = idle.get_mut(node)?;
        while let Some(connection) = connections.pop() {
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }
}

async fn connect(node: &str, port: u16) -> Result<SendRequest<Full<Bytes>>, HttpError> {
    let stream = TcpStream::connect(node, port).await?;
    let (sender, connection) = http1::Builder::new().handshake(Io(stream)).await?;
    sim::task::spawn(async move {
        // How it ended is told to the request that it was for.
        let _ = connection.await;
    });
    Ok(sender)
}
