//! Errors as clients see them: a status, and JSON with a code, a message and whether trying again makes sense.

use crate::queue::client::QueueError;
use crate::resize::ResizeError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Seconds that a client is asked to wait before it tries an overloaded server again.
const RETRY_AFTER_S: u32 = 1;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    pub(super) request_id: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), request_id: String::new() }
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this door does not take that method")
    }

    /// A refusal that a worker wrote down: its status is one of ours.
    pub(super) fn refused(status: u16, code: &str, message: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Self::new(status, code, message)
    }

    /// Says which request it answers.
    pub(super) fn of(mut self, request_id: &str) -> Self {
        request_id.clone_into(&mut self.request_id);
        self
    }

    fn is_retryable(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 429 | 500..)
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
            "retryable": self.is_retryable(),
            "request_id": self.request_id,
        });
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response
    }
}
