//! Errors as callers see them: a status, and JSON with a code, a message and whether trying again makes sense.

use crate::queue::QueueError;
use crate::resize::ResizeError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Seconds that a caller is asked to wait before it tries an overloaded server again, where nobody knows better.
const RETRY_AFTER_S: u32 = 1;

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    retryable: bool,
    request_id: String,
    retry_after_s: u32,
}

impl ApiError {
    /// An error that is worth another try where its status says so.
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let retryable = matches!(status.as_u16(), 408 | 429 | 500..);
        let (code, message, request_id) = (code.to_owned(), message.into(), String::new());
        Self { status, code, message, retryable, request_id, retry_after_s: RETRY_AFTER_S }
    }

    /// A refusal that a worker wrote down: its status is one of ours.
    pub(crate) fn refused(status: u16, code: &str, message: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Self::new(status, code, message)
    }

    /// The service gave a job up. That says nothing of the picture, whose codec may never have seen it: 5xx, and yet
    /// another try of the same job would change nothing.
    pub(crate) fn quarantined(reason: &str) -> Self {
        let text = format!("the job was set aside: {reason}");
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "quarantined", text);
        Self { retryable: false, ..error }
    }

    /// Whether the service failed, and not the request.
    pub(crate) fn is_of_the_service(&self) -> bool {
        self.status.is_server_error()
    }

    /// The same, said to be worth another try.
    pub(super) fn passing(self) -> Self {
        Self { retryable: true, ..self }
    }

    /// The same, worth another try after so many seconds.
    pub(super) fn again_after(self, seconds: u32) -> Self {
        Self { retry_after_s: seconds, ..self }
    }

    /// Says which request it answers.
    pub(crate) fn of(mut self, request_id: &str) -> Self {
        request_id.clone_into(&mut self.request_id);
        self
    }
}

impl From<ResizeError> for ApiError {
    fn from(error: ResizeError) -> Self {
        Self::refused(error.status(), error.code(), &error.message())
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        let (status, code) = match error {
            QueueError::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            QueueError::KeyReused => (StatusCode::CONFLICT, "key-reused"),
            QueueError::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "deadline-exceeded"),
            QueueError::NoSuchJob => (StatusCode::NOT_FOUND, "no-such-job"),
            QueueError::NotSetAside => (StatusCode::CONFLICT, "not-set-aside"),
            QueueError::NotFound => (StatusCode::NOT_FOUND, "expired"),
            QueueError::Fenced | QueueError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "request_id": self.request_id,
        });
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        // The message quotes what was asked.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let asks_back = self.retryable && self.status == StatusCode::UNAUTHORIZED;
        if asks_back || matches!(self.status.as_u16(), 429 | 503) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_s));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
