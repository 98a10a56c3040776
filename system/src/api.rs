//! API servers: admit, enqueue, answer.

mod error;
mod jobs;

use crate::queue::client::QueueClient;
use crate::resize::Limits;
use axum::Router;
use axum::routing::{get, post};
use sim::stack::Process;
use std::sync::Arc;
use std::time::Duration;

/// The front door's port.
pub const PORT: u16 = 80;

/// What every request has at hand.
struct Server {
    queue: QueueClient,
    limits: Limits,
    /// How long a request may take.
    deadline: Duration,
}

/// Runs an API server.
///
/// # Errors
/// Where its port cannot be opened.
pub async fn serve(process: Process) -> std::io::Result<()> {
    let queue = QueueClient::new(&process.deployment);
    let deadline = process.deployment.duration("api.deadline");
    let server = Arc::new(Server { queue, limits: Limits::default(), deadline });
    crate::http::serve(PORT, router(server)).await
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/resize", post(jobs::resize))
        .route("/v1/jobs", post(jobs::create))
        .route("/v1/jobs/{key}", get(jobs::read))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(jobs::ready))
        .fallback(async || error::ApiError::not_found("there is no such door"))
        .method_not_allowed_fallback(async || error::ApiError::method_not_allowed())
        .with_state(server)
}
