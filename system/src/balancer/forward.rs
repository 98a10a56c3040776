//! One request's way through the load balancer.

use super::Balancer;
use crate::api::{self, ApiError, checks};
use crate::http::{DEADLINE_HEADER, HttpError};
use crate::resize::Limits;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use sim::time::Instant;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Headers that are about one connection and not about the request.
const OF_ONE_CONNECTION: [axum::http::HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, HOST];

/// Gives a request to a server, and to another where that one fails and it is safe to.
pub(super) async fn forward(
    State(balancer): State<Arc<Balancer>>,
    request: axum::extract::Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let deadline = checks::deadline(balancer.deadline, &parts.headers)?;
    let bytes_max = Limits::default().input_bytes_max;
    let _admitted = balancer.admission.admit(checks::body_bytes(&body, bytes_max)?)?;
    let body = checks::body(body, bytes_max, deadline).await?;
    balancer.retries.earn();
    balancer.answer(&parts, &body, deadline).await
}

impl Balancer {
    async fn answer(&self, parts: &Parts, body: &Bytes, deadline: Instant) -> Result<Response, ApiError> {
        let mut tried = BTreeSet::new();
        loop {
            let Some(chosen) = self.pool.choose(&tried) else {
                let text = "there is no server to answer: try again";
                return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text));
            };
            tried.insert(chosen.server);
            let patience = deadline.min(Instant::now() + self.attempt_timeout);
            let name = self.pool.name(chosen.server);
            let answer = self.http.request(name, api::PORT, copy(parts, body), patience).await;
            let failed = is_failure(&answer);
            self.pool.answered(chosen.server, failed);
            let again = failed
                && is_repeatable(parts)
                && (tried.len() as u64) < self.attempts.min(self.pool.len() as u64)
                && Instant::now() < deadline
                && self.retries.pay();
            if !again {
                return answer.map(pass_on).map_err(|error| failure(&error));
            }
        }
    }
}

/// Whether a server failed its user. What it says of the request is no failure.
fn is_failure(answer: &Result<hyper::Response<Bytes>, HttpError>) -> bool {
    answer.as_ref().map_or(true, |answer| matches!(answer.status().as_u16(), 502..=504))
}

/// Whether a request that may have been carried out can be sent again: it asks, or it has a key by which it is known.
fn is_repeatable(parts: &Parts) -> bool {
    parts.method == Method::GET || parts.headers.contains_key("idempotency-key")
}

fn copy(parts: &Parts, body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() =
        parts.uri.path_and_query().cloned().map_or_else(|| "/".parse().expect("an address"), Into::into);
    *request.headers_mut() = end_to_end(&parts.headers);
    // What is left is told anew.
    request.headers_mut().remove(DEADLINE_HEADER);
    request
}

fn pass_on(answer: hyper::Response<Bytes>) -> Response {
    let (head, body) = answer.into_parts();
    (head.status, end_to_end(&head.headers), Body::from(body)).into_response()
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    OF_ONE_CONNECTION.iter().for_each(|name| drop(headers.remove(name)));
    headers
}

fn failure(error: &HttpError) -> ApiError {
    match error {
        HttpError::DeadlineExceeded => {
            let text = "no server answered in time: try again";
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, "deadline-exceeded", text)
        }
        other => {
            let text = format!("the server failed: {other}");
            ApiError::new(StatusCode::BAD_GATEWAY, "bad-gateway", text)
        }
    }
}
