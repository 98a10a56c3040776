//! The doors to the queue: a picture now, or a job and its result.

use super::Server;
use super::checks;
use super::credentials::Caller;
use super::error::ApiError;
use super::signed::Target;
use super::version;
use crate::queue::{JobStatus, NewJob, QueueError};
use crate::resize::{Request, inspect};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sim::history::Digest;
use sim::time::Instant;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a readiness check waits for the queue.
const READY_WAIT: Duration = Duration::from_secs(1);

/// `POST /v1/resize`: the picture itself.
pub(super) async fn resize(
    State(server): State<Arc<Server>>,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    server
        .answer(&headers, async |deadline, key| {
            let (caller, options) = server.caller(target, &headers, key.as_deref(), deadline).await?;
            let key = server.enqueue(caller, options?, key, body, deadline).await?;
            loop {
                let left = deadline - Instant::now();
                match server.queue.status(&caller.key(&key), left, deadline).await? {
                    None => return Err(no_such_job()),
                    Some(JobStatus::Waiting | JobStatus::Running) if left.is_zero() => {
                        return Err(QueueError::DeadlineExceeded.into());
                    }
                    Some(JobStatus::Waiting | JobStatus::Running) => {}
                    Some(ended) => return server.ended(&key, ended, deadline).await,
                }
            }
        })
        .await
}

/// `POST /v1/jobs`: the promise that it will be done.
pub(super) async fn create(
    State(server): State<Arc<Server>>,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    server
        .answer(&headers, async |deadline, key| {
            let (caller, options) = server.caller(target, &headers, key.as_deref(), deadline).await?;
            let key = server.enqueue(caller, options?, key, body, deadline).await?;
            let location = [(header::LOCATION, format!("/v1/jobs/{key}"))];
            Ok((StatusCode::ACCEPTED, location, axum::Json(json!({ "id": key }))).into_response())
        })
        .await
}

/// `GET /v1/jobs/{id}?wait=SECONDS`: the picture, once there is one.
pub(super) async fn read(
    State(server): State<Arc<Server>>,
    path: Result<Path<String>, PathRejection>,
    target: Target,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    server
        .answer(&headers, async |deadline, _| {
            let path = path.map(|Path(key)| key);
            let (caller, options) = server.caller(target, &headers, path.as_deref().ok(), deadline).await?;
            let key = path.map_err(|_| no_such_job())?;
            version::meet(&server.agent, "").await?;
            if !checks::is_key(&key) {
                return Err(no_such_job());
            }
            // Half of the time is for the answer.
            let most = (deadline - Instant::now()) / 2;
            let wait = checks::wait(&options?)?.min(most);
            let status = server.queue.status(&caller.key(&key), wait, deadline).await?;
            let status = status.ok_or_else(no_such_job)?;
            match &status {
                JobStatus::Done { output, .. } if checks::has(&headers, &tag(*output)) => {
                    Ok(not_modified(*output))
                }
                _ => server.ended(&key, status, deadline).await,
            }
        })
        .await
}

/// `POST /v1/jobs/{id}/redrive`: a job that was set aside waits again, once what was wrong with it, or with the workers, is
/// mended.
pub(super) async fn redrive(
    State(server): State<Arc<Server>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    server
        .answer(&headers, async |deadline, idempotency_key| {
            let path = path.map(|Path(key)| key);
            let caller = server.authenticate(&headers, path.as_deref().ok(), deadline).await?;
            let key = path.map_err(|_| no_such_job())?;
            if !checks::is_key(&key) {
                return Err(no_such_job());
            }
            server.queue.redrive(&caller.key(&key), idempotency_key.as_deref(), deadline).await?;
            Ok(not_yet(&key, "waiting"))
        })
        .await
}

/// `GET /readyz`: whether the queue answers and has room.
pub(super) async fn ready(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
) -> Result<&'static str, ApiError> {
    let asked = server.answer(&headers, async |deadline, _| {
        let depth = server.queue.depth(deadline.min(Instant::now() + READY_WAIT)).await?;
        if depth.waiting < server.waiting_max { Ok("ready\n") } else { Err(QueueError::Overloaded.into()) }
    });
    asked.await
}

/// Any other address.
pub(super) async fn no_such_door(State(server): State<Arc<Server>>) -> ApiError {
    let error = ApiError::new(StatusCode::NOT_FOUND, "not-found", "there is no such address");
    error.of(&server.name_request())
}

/// Any other method.
pub(super) async fn wrong_method(State(server): State<Arc<Server>>) -> ApiError {
    let text = "this address takes another method";
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", text);
    error.of(&server.name_request())
}

impl Server {
    /// Answers a request within its deadline; an error says which request it answers.
    pub(super) async fn answer<T>(
        &self,
        headers: &HeaderMap,
        answer: impl AsyncFnOnce(Instant, Option<String>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let key = checks::key(headers).map_err(|error| error.of(&self.name_request()))?;
        let name = key.clone();
        let answered = async { answer(checks::deadline(self.deadline, headers)?, key).await };
        let answered = version::count(&self.agent, answered);
        answered.await.map_err(|error| error.of(&name.unwrap_or_else(|| self.name_request())))
    }

    /// A name for a request that brought none.
    pub(super) fn name_request(&self) -> String {
        let number = self.named.fetch_add(1, Ordering::Relaxed);
        format!("{}/{number}", self.name)
    }

    /// Checks a request and hands it in; its key.
    async fn enqueue(
        &self,
        caller: Caller,
        options: Vec<(String, String)>,
        key: Option<String>,
        body: Body,
        deadline: Instant,
    ) -> Result<String, ApiError> {
        let request = Request::parse(options)?;
        let bytes_max = self.limits.input_bytes_max;
        let _admitted = self.admission.admit(checks::body_bytes(&body, bytes_max)?)?;
        let body = checks::body(body, bytes_max, deadline).await?;
        self.limits.admit(&body, &inspect(&body)?)?;
        let request = request.canonical();
        version::meet(&self.agent, &request).await?;
        // Without a key the same picture and options are the same job.
        let key = key.unwrap_or_else(|| Digest::of(&[request.as_bytes(), b"\n", &body].concat()).to_string());
        let id = caller.id(&key);
        let key =
            if self.idempotency { key } else { format!("{key}~{}", self.name_request()).replace('/', "~") };
        let group = self.groups_by_customer.then(|| id.client());
        let job = NewJob { id, key: caller.key(&key), group, request, body };
        self.queue.enqueue(job, deadline).await?;
        Ok(key)
    }

    /// What became of a job.
    async fn ended(&self, key: &str, status: JobStatus, deadline: Instant) -> Result<Response, ApiError> {
        match status {
            JobStatus::Waiting => Ok(not_yet(key, "waiting")),
            JobStatus::Running => Ok(not_yet(key, "running")),
            JobStatus::Done { content_type, output } => {
                let bytes = self.queue.output(output, deadline).await?;
                let headers = [(header::CONTENT_TYPE, content_type), (header::ETAG, tag(output))];
                Ok((headers, bytes).into_response())
            }
            JobStatus::Refused { status, code, message } => Err(ApiError::refused(status, &code, &message)),
            JobStatus::Quarantined { reason } => Err(ApiError::quarantined(&reason)),
        }
    }
}

/// The entity tag of a picture: the hash of its bytes. They are the pure function of an input and of canonical options, so that the
/// same of both has the same tag; and a tag of the bytes themselves is a strong one.
fn tag(output: Digest) -> String {
    format!("\"{output}\"")
}

/// The caller has it already.
fn not_modified(output: Digest) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag(output))]).into_response()
}

fn not_yet(key: &str, status: &str) -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({ "id": key, "status": status }))).into_response()
}

fn no_such_job() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no-such-job", "there is no such job, or not any more")
}
