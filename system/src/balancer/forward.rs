//! One request's way through the load balancer.

use super::Balancer;
use super::pool::Chosen;
use crate::api::{self, ApiError, checks, version};
use crate::http::{CHECK_HEADER, DEADLINE_HEADER, HttpError};
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
use sim::time::{Instant, sleep};
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

/// Headers that are about one connection and not about the request.
const OF_ONE_CONNECTION: [axum::http::HeaderName; 5] =
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, HOST, CHECK_HEADER];

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
    let answered = async {
        version::meet(&balancer.agent, parts.uri.query().unwrap_or_default()).await?;
        balancer.retries.earn();
        balancer.answer(&parts, &body, deadline).await
    };
    version::count(&balancer.agent, answered).await
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
            let answer = self.ask(chosen, parts, body, deadline, &mut tried).await;
            let failed = is_failure(&answer);
            let again = failed
                && is_repeatable(parts)
                && (tried.len() as u64) < self.attempts.min(self.pool.len() as u64)
                && Instant::now() < deadline
                && self.retries.pay();
            sim::sometimes!(again, "a request is tried on another server");
            if !again {
                return answer.map(pass_on).map_err(|error| failure(&error));
            }
        }
    }

    /// The answer of the chosen server; or of another that is asked as well, where the chosen one takes long and it is safe
    /// to ask twice: whichever comes first (Dean & Barroso 2013, "The tail at scale", hedged requests).
    async fn ask(
        &self,
        chosen: Chosen,
        parts: &Parts,
        body: &Bytes,
        deadline: Instant,
        tried: &mut BTreeSet<usize>,
    ) -> Answer {
        let first_server = chosen.server;
        let mut first = pin!(self.give(chosen, parts, body, deadline));
        if self.hedge_after.is_zero() || !is_repeatable(parts) {
            return first.await;
        }
        tokio::select! { biased;
            answer = &mut first => return answer,
            () = sleep(self.hedge_after) => {}
        }
        let other = self.pool.choose(tried).filter(|_| self.retries.pay());
        let Some(other) = other else { return first.await };
        sim::sometimes!("a request is given to a second server since the first takes long");
        tried.insert(other.server);
        let mut second = pin!(self.give(other, parts, body, deadline));
        let (answer, first_was_quicker) = tokio::select! { biased;
            answer = &mut first => (answer, true),
            answer = &mut second => (answer, false),
        };
        // A quick failure is no answer while another may come.
        match is_failure(&answer) {
            false => {
                // Whoever takes longer than two servers one after the other is an outlier like one that fails. Of two that wait for
                // the same, either may be the first to say that it came about.
                if !first_was_quicker && !asks_to_wait(parts) {
                    self.pool.answered(first_server, true);
                }
                answer
            }
            true if first_was_quicker => second.await,
            true => first.await,
        }
    }

    /// Gives a request to one server, and remembers how it did; not where its caller gave it less time than a server may take.
    async fn give(&self, chosen: Chosen, parts: &Parts, body: &Bytes, deadline: Instant) -> Answer {
        let patience = deadline.min(Instant::now() + self.attempt_timeout);
        let name = self.pool.name(chosen.server);
        let answer = self.http.request(name, api::PORT, copy(parts, body), patience).await;
        let out_of_time = matches!(answer, Err(HttpError::DeadlineExceeded)) && patience == deadline;
        if !out_of_time {
            self.pool.answered(chosen.server, is_failure(&answer));
        }
        answer
    }
}

type Answer = Result<hyper::Response<Bytes>, HttpError>;

/// Whether a server failed its user. What it says of the request is no failure.
fn is_failure(answer: &Answer) -> bool {
    answer.as_ref().map_or(true, |answer| matches!(answer.status().as_u16(), 502..=504))
}

/// Whether a request that may have been carried out can be sent again: it asks, or it has a key by which it is known.
fn is_repeatable(parts: &Parts) -> bool {
    parts.method == Method::GET || parts.headers.contains_key("idempotency-key")
}

/// Whether the answer is to be waited for: that it takes long says nothing of the server.
fn asks_to_wait(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.starts_with("wait="))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_asks_to_wait_is_known_by_its_query() {
        for (uri, waits) in [
            ("/v1/jobs/1?wait=5", true),
            ("/v1/jobs/1?a=b&wait=0", true),
            ("/v1/jobs/1", false),
            ("/v1/resize?w=320&await=5", false),
        ] {
            let (parts, ()) = Request::get(uri).body(()).expect("an address").into_parts();
            assert_eq!(asks_to_wait(&parts), waits, "{uri}");
        }
    }
}
