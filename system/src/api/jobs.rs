//! The doors to the queue: a picture now, or a job and its result.

use super::Server;
use super::error::ApiError;
use crate::queue::client::{JobStatus, NewJob, QueueError};
use crate::resize::{Request, inspect};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;
use sim::history::{Digest, Id};
use sim::time::{Instant, timeout};
use std::sync::Arc;
use std::time::Duration;

type Pairs = Query<Vec<(String, String)>>;

/// Idempotency keys longer than this are refused.
const KEY_BYTES_MAX: usize = 256;
/// What a readiness check waits for the queue.
const READY_WAIT: Duration = Duration::from_secs(1);

/// `POST /v1/resize`: the picture itself.
pub(super) async fn resize(
    State(server): State<Arc<Server>>,
    pairs: Result<Pairs, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let deadline = deadline(&server, &headers);
    let key = enqueue(&server, pairs, &headers, body, deadline).await?;
    let answered = async {
        loop {
            let left = deadline - Instant::now();
            match server.queue.status(&key, left, deadline).await? {
                None => return Err(ApiError::not_found("the job is gone: it may have expired")),
                Some(JobStatus::Waiting | JobStatus::Running) if left.is_zero() => {
                    return Err(QueueError::DeadlineExceeded.into());
                }
                Some(JobStatus::Waiting | JobStatus::Running) => {}
                Some(ended) => return ended_response(&server, ended, deadline).await,
            }
        }
    };
    answered.await.map_err(|error: ApiError| error.of(&key))
}

/// `POST /v1/jobs`: the promise that it will be done.
pub(super) async fn create(
    State(server): State<Arc<Server>>,
    pairs: Result<Pairs, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let deadline = deadline(&server, &headers);
    let key = enqueue(&server, pairs, &headers, body, deadline).await?;
    let location = [(header::LOCATION, format!("/v1/jobs/{key}"))];
    Ok((StatusCode::ACCEPTED, location, axum::Json(json!({ "id": key }))).into_response())
}

/// `GET /v1/jobs/{key}?wait=SECONDS`: the picture, once there is one.
pub(super) async fn read(
    State(server): State<Arc<Server>>,
    Path(key): Path<String>,
    pairs: Result<Pairs, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let deadline = deadline(&server, &headers);
    let wait = wait_of(pairs)?.min(server.deadline / 2);
    let status = server.queue.status(&key, wait, deadline).await;
    let answered = match status.map_err(ApiError::from).map_err(|error| error.of(&key))? {
        None => Err(ApiError::not_found("there is no such job, or no longer")),
        Some(JobStatus::Waiting) => Ok(running(&key, "waiting")),
        Some(JobStatus::Running) => Ok(running(&key, "running")),
        Some(ended) => ended_response(&server, ended, deadline).await,
    };
    answered.map_err(|error| error.of(&key))
}

/// `GET /readyz`: whether the queue answers.
pub(super) async fn ready(State(server): State<Arc<Server>>) -> Result<&'static str, ApiError> {
    server.queue.depth(Instant::now() + READY_WAIT).await?;
    Ok("ready\n")
}

/// Checks a request and hands it in; its key.
async fn enqueue(
    server: &Server,
    pairs: Result<Pairs, axum::extract::rejection::QueryRejection>,
    headers: &HeaderMap,
    body: Body,
    deadline: Instant,
) -> Result<String, ApiError> {
    let key = key_of(headers)?;
    let named = key.clone().unwrap_or_default();
    let checked = async {
        let Query(pairs) = pairs.map_err(|error| bad_request(error.body_text()))?;
        let request = Request::parse(pairs)?;
        let body = read_body(body, server.limits.input_bytes_max, deadline).await?;
        let header = inspect(&body)?;
        server.limits.admit(&body, &header)?;
        Ok::<_, ApiError>((request.canonical(), body))
    };
    let (request, body) = checked.await.map_err(|error| error.of(&named))?;
    // Without a key the same picture and options are the same job.
    let key = key.unwrap_or_else(|| Digest::of(&[request.as_bytes(), b"\n", &body].concat()).to_string());
    let job = NewJob { id: Id::of_key(&key), key: key.clone(), request, body };
    server.queue.enqueue(job, deadline).await.map_err(|error| ApiError::from(error).of(&key))?;
    Ok(key)
}

async fn ended_response(server: &Server, ended: JobStatus, deadline: Instant) -> Result<Response, ApiError> {
    match ended {
        JobStatus::Done { content_type, output } => {
            let bytes = server.queue.output(output, deadline).await?;
            let no_sniffing = (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
            let tag = (header::ETAG, format!("\"{output}\""));
            Ok(([(header::CONTENT_TYPE, content_type), no_sniffing, tag], bytes).into_response())
        }
        JobStatus::Refused { status, code, message } => Err(ApiError::refused(status, &code, &message)),
        JobStatus::Quarantined { reason } => Err(ApiError::refused(422, "quarantined", &reason)),
        JobStatus::Waiting | JobStatus::Running => Err(QueueError::DeadlineExceeded.into()),
    }
}

fn running(key: &str, status: &str) -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({ "id": key, "status": status }))).into_response()
}

/// When the client stops waiting: its own deadline, in milliseconds from now, where that is sooner than the server's.
fn deadline(server: &Server, headers: &HeaderMap) -> Instant {
    let asked = headers.get("x-deadline-ms").and_then(|value| value.to_str().ok()?.parse().ok());
    let most = server.deadline;
    Instant::now() + asked.map_or(most, |ms| Duration::from_millis(ms).min(most))
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let plain = |key: &&str| !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(is_key_byte);
    let wrong = || {
        bad_request(format!(
            "an idempotency key is 1 to {KEY_BYTES_MAX} letters, digits, `.`, `_`, `:` or `-`"
        ))
    };
    value.to_str().ok().filter(plain).map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-')
}

fn wait_of(pairs: Result<Pairs, axum::extract::rejection::QueryRejection>) -> Result<Duration, ApiError> {
    let Query(pairs) = pairs.map_err(|error| bad_request(error.body_text()))?;
    let Some((_, wait)) = pairs.iter().find(|(name, _)| name == "wait") else { return Ok(Duration::ZERO) };
    let seconds: u32 =
        wait.parse().map_err(|_| bad_request(format!("`wait` is whole seconds, not `{wait}`")))?;
    Ok(Duration::from_secs(seconds.into()))
}

async fn read_body(body: Body, bytes_max: u64, deadline: Instant) -> Result<Bytes, ApiError> {
    let most = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let read = timeout(deadline - Instant::now(), Limited::new(body, most).collect()).await;
    let late =
        |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", "the body did not arrive in time");
    let collected = read.map_err(late)?;
    let wrong = |error: Box<dyn std::error::Error + Send + Sync>| {
        if error.is::<LengthLimitError>() {
            ApiError::refused(413, "too-large", &format!("a picture has at most {bytes_max} bytes"))
        } else {
            bad_request(format!("the body could not be read: {error}"))
        }
    };
    Ok(collected.map_err(wrong)?.to_bytes())
}

fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad-request", message)
}
