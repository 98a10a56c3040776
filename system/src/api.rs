//! API servers: admit, enqueue, answer.
//!
//! | door | answers |
//! |---|---|
//! | `POST /v1/resize?w=&h=&fit=&fmt=&q=` | 200 and the picture |
//! | `POST /v1/jobs?…` | 202 and the job's id: the promise that it will be done |
//! | `GET /v1/jobs/{id}?wait=SECONDS` | 200 and the picture, 202 while there is none yet |
//! | `POST /v1/jobs/{id}/redrive` | 202: the job that was set aside waits again; 409 where it was not |
//! | `GET /v1/usage/{account}` | 200 and what the account used so far |
//! | `GET /v1/bills/{period}/{account}` | 200 and the account's invoice; 410 where its retention is over |
//! | `POST /v1/accounts` | 201, a new account and its credential |
//! | `POST /v1/signed-addresses` | 201 and an address that needs no credential for some time |
//! | `POST /v1/accounts/{account}/revoke` | 200: its credential is good for nothing any more |
//! | `GET /healthz` | 200 where the process lives |
//! | `GET /readyz` | 200 where it can take work |
//! | `GET /metrics` | 200 and what it has answered, in OpenMetrics text |
//!
//! The header `Idempotency-Key` names a request; the same key is the same job, whose id it is. Without one the key is
//! made from the picture and the options. `preset=thumbnail` (or `preview`, `screen`) stands for some of them. A picture has an
//! `ETag`, and `If-None-Match` with it is answered 304. Where there is a tier of the role `auth`, the doors to jobs, usage and bills want
//! `Authorization: Bearer CREDENTIAL`, and show each account its own, so many requests
//! a second (429 and `Retry-After` past that). In place of a credential the doors to jobs take a signed address. `x-deadline-ms` says how long the caller waits. All else is answered in JSON:
//! `{code, message, retryable, request_id}`. No browser is to guess what an answer is (`X-Content-Type-Options: nosniff`).
//!
//! Left out: addresses to fetch pictures from (what is not fetched cannot be somebody's inner network), choosing a format by
//! `Accept`, gravity, trimming and padding, formats past JPEG, PNG and lossless WebP, animation past its first frame, SVG, HTTP/2, TLS.
//! What is signed does not hold the picture: who has a signed `POST` may send any, on the account's bill.

mod accounts;
mod admission;
pub(crate) mod checks;
mod credentials;
mod error;
mod identity;
mod jobs;
mod metrics;
mod quota;
mod signed;
mod signing;
pub(crate) mod version;

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
use quota::Quota;
use sim::net::TcpListener;
use sim::stack::{Process, Setting, SettingKind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What scenarios can change about API servers, besides their first settings.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "api.idempotency",
        why: "whether a request that is sent again is known by its key, or done again",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "api.account-rate",
        why: "how many requests a second one account may make of one API server; it may be a second's worth ahead; 0: as many as it wants",
        default: "200",
        kind: SettingKind::Number { least: 0, most: 1_000_000 },
    },
];

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
    /// What each account may ask.
    quota: Quota,
    /// How long a signed address may be good.
    address_for: Duration,
    limits: Limits,
    admission: Admission,
    /// The version that this server runs.
    agent: Arc<Agent>,
    /// How long a request may take.
    deadline: Duration,
    /// Whether a key that comes again is the same job.
    idempotency: bool,
    /// Whether the jobs of one customer are done one after another.
    groups_by_customer: bool,
    /// Jobs that may wait in the queue before this server says that it is not ready.
    waiting_max: u64,
}

/// Runs an API server until its process ends, or is asked to: then what is under way is answered, and nothing new is let in.
///
/// # Errors
/// Where its port cannot be opened.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) -> std::io::Result<()> {
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
        quota: Quota::new(deployment.number("api.account-rate")),
        address_for: deployment.duration("auth.address-key-for"),
        limits: Limits::default(),
        agent: agent.clone(),
        admission: Admission::new(deployment.number("api.max-in-flight"), process.node.memory_bytes),
        deadline: deployment.duration("api.deadline"),
        idempotency: deployment.flag("api.idempotency"),
        groups_by_customer: deployment.setting("queue.groups") == "customer",
        waiting_max: deployment.number("queue.max-waiting"),
    };
    http::serve(listener, router(Arc::new(server)), agent.stopping()).await;
    Ok(())
}

fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/resize", post(jobs::resize))
        .route("/v1/jobs", post(jobs::create))
        .route("/v1/jobs/{id}", get(jobs::read))
        .route("/v1/jobs/{id}/redrive", post(jobs::redrive))
        .route("/v1/usage/{account}", get(accounts::usage))
        .route("/v1/bills/{period}/{account}", get(accounts::invoice))
        .route("/v1/accounts", post(identity::create))
        .route("/v1/accounts/{account}/revoke", post(identity::revoke))
        .route("/v1/signed-addresses", post(signing::sign))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(jobs::ready))
        .route("/metrics", get(metrics::scrape))
        .fallback(jobs::no_such_door)
        .method_not_allowed_fallback(jobs::wrong_method)
        .layer(middleware::from_fn_with_state(server.clone(), metrics::measure))
        .with_state(server)
}
