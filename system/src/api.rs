//! API servers: admit, enqueue, answer.
//!
//! | door | answers |
//! |---|---|
//! | `POST /v1/resize?w=&h=&fit=&fmt=&q=` | 200 and the picture |
//! | `POST /v1/jobs?…` | 202 and the job's id: the promise that it will be done |
//! | `GET /v1/jobs/{id}?wait=SECONDS` | 200 and the picture, 202 while there is none yet |
//! | `GET /v1/usage/{account}` | 200 and what the account used so far |
//! | `GET /v1/bills/{period}/{account}` | 200 and the account's invoice |
//! | `POST /v1/accounts` | 201, a new account and its credential |
//! | `POST /v1/accounts/{account}/revoke` | 200: its credential is good for nothing any more |
//! | `GET /healthz` | 200 where the process lives |
//! | `GET /readyz` | 200 where it can take work |
//! | `GET /metrics` | 200 and what it has answered, in OpenMetrics text |
//!
//! The header `Idempotency-Key` names a request; the same key is the same job, whose id it is. Without one the key is
//! made from the picture and the options. Where there is a tier of the role `auth`, the doors to jobs, usage and bills want
//! `Authorization: Bearer CREDENTIAL`, and show each account its own. `x-deadline-ms` says how long the caller waits. All else is answered in JSON:
//! `{code, message, retryable, request_id}`.

mod accounts;
mod admission;
pub(crate) mod checks;
mod credentials;
mod error;
mod identity;
mod jobs;
mod metrics;

use crate::archive::Archive;
use crate::auth::{Edge, Management};
use crate::config::Agent;
use crate::http;
use crate::queue::QueueClient;
use crate::resize::Limits;
use crate::usage::UsageReader;
pub(crate) use admission::Admission;
use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
pub(crate) use error::ApiError;
use metrics::Metrics;
use sim::net::TcpListener;
use sim::stack::{Process, Setting, SettingKind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What scenarios can change about API servers, besides their first settings.
pub(crate) const SETTINGS: &[Setting] = &[Setting {
    name: "api.idempotency",
    why: "whether a request that is sent again is known by its key, or done again",
    default: "true",
    kind: SettingKind::Flag,
}];

/// The front door's port.
pub const PORT: u16 = 80;

/// What every request has at hand.
struct Server {
    /// This server's process, in the names that it gives to requests without one.
    name: String,
    metrics: Metrics,
    /// How many requests it has given a name.
    named: AtomicU64,
    queue: QueueClient,
    usage: UsageReader,
    archive: Archive,
    /// Says whose a request is; none where everybody is let in.
    edge: Option<Arc<Edge>>,
    management: Management,
    limits: Limits,
    admission: Admission,
    /// The version that this server runs.
    agent: Arc<Agent>,
    /// How long a request may take.
    deadline: Duration,
    /// Whether a key that comes again is the same job.
    idempotency: bool,
    /// Jobs that may wait in the queue before this server says that it is not ready.
    waiting_max: u64,
}

/// Runs an API server until its process ends, or is asked to: then what is under way is answered, and nothing new is let in.
///
/// # Errors
/// Where its port cannot be opened.
pub async fn serve(process: Process) -> std::io::Result<()> {
    let listener = TcpListener::bind(PORT).await?;
    let deployment = &process.deployment;
    let server = Server {
        name: format!("{}/{}", process.node.name, process.incarnation),
        metrics: Metrics::default(),
        named: AtomicU64::new(1),
        queue: QueueClient::new(deployment),
        usage: UsageReader::new(deployment),
        archive: Archive::new(deployment),
        edge: Edge::new(deployment),
        management: Management::new(deployment),
        limits: Limits::default(),
        agent: Agent::start(&process).await,
        admission: Admission::new(deployment.number("api.max-in-flight"), process.node.memory_bytes),
        deadline: deployment.duration("api.deadline"),
        idempotency: deployment.flag("api.idempotency"),
        waiting_max: deployment.number("queue.max-waiting"),
    };
    http::serve(listener, router(Arc::new(server)), sim::node::stopping()).await;
    Ok(())
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/resize", post(jobs::resize))
        .route("/v1/jobs", post(jobs::create))
        .route("/v1/jobs/{id}", get(jobs::read))
        .route("/v1/usage/{account}", get(accounts::usage))
        .route("/v1/bills/{period}/{account}", get(accounts::invoice))
        .route("/v1/accounts", post(identity::create))
        .route("/v1/accounts/{account}/revoke", post(identity::revoke))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(jobs::ready))
        .route("/metrics", get(metrics::scrape))
        .fallback(jobs::no_such_door)
        .method_not_allowed_fallback(jobs::wrong_method)
        .layer(middleware::from_fn_with_state(server.clone(), metrics::measure))
        .with_state(server)
}
