//! The load balancer: takes users' requests and gives each to an API server that can answer it.
//!
//! It speaks HTTP on both sides. Of two servers drawn by chance it takes the one with fewer requests under way. It leaves out
//! servers that do not answer its checks, and servers that answer them and fail their users; where too many would be left
//! out it believes neither (it fails open), since then the fault is hardly theirs. It passes deadlines on, and a caller
//! that hangs up takes its request with it. A request that failed at one server is tried at another where that is safe and
//! within a budget, and what is too much for the tier is turned away at once.

mod budget;
mod forward;
mod metrics;
mod pool;
mod window;

use crate::api::Admission;
use crate::config::Agent;
use crate::http::{self, HttpClient};
use axum::Router;
use axum::routing::get;
use budget::RetryBudget;
use pool::{Pool, check_for_ever};
use sim::net::TcpListener;
use sim::stack::{Process, Setting, SettingKind};
use std::sync::Arc;
use std::time::Duration;

/// The role's name.
pub const ROLE: &str = "balancer";

/// What scenarios can change about it.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "balancer.choice",
        why: "whether a request goes to the less busy of two servers drawn by chance (`two`), or to any one (`one`)",
        default: "two",
        kind: SettingKind::Choice(&["two", "one"]),
    },
    Setting {
        name: "balancer.health-checks",
        why: "whether servers that do not answer a load balancer's checks get no requests",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "balancer.ejection",
        why: "whether servers that fail more of their users' requests than the others do get none for a while",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "balancer.left-out-percent-max",
        why: "the share of the servers that a load balancer leaves out; past it, it fails open",
        default: "50",
        kind: SettingKind::Number { least: 0, most: 100 },
    },
    Setting {
        name: "balancer.attempts",
        why: "at how many servers a load balancer tries one request",
        default: "2",
        kind: SettingKind::Number { least: 1, most: 100 },
    },
    Setting {
        name: "balancer.attempt-timeout",
        why: "how long one server may take",
        default: "5s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "balancer.hedge-after",
        why: "how long one server may take before another is asked as well, out of the same budget as more tries; 0s: never",
        default: "2s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "balancer.retry-budget-percent",
        why: "how many more tries a load balancer makes, as a share of the requests that it takes",
        default: "10",
        kind: SettingKind::Number { least: 0, most: 10_000 },
    },
    Setting {
        name: "balancer.retries-saved-max",
        why: "how many retries the budget saves up while there is no need of them",
        default: "10",
        kind: SettingKind::Number { least: 0, most: 1_000_000 },
    },
    Setting {
        name: "balancer.max-in-flight",
        why: "how many requests a load balancer has under way; more are told to come back",
        default: "4000",
        kind: SettingKind::Number { least: 1, most: 1_000_000 },
    },
];

/// What every request has at hand.
struct Balancer {
    http: HttpClient,
    pool: Arc<Pool>,
    admission: Admission,
    /// The version that this load balancer runs.
    agent: Arc<Agent>,
    retries: RetryBudget,
    attempts: u64,
    attempt_timeout: Duration,
    /// How long one server may take before another is asked too; zero: never.
    hedge_after: Duration,
    /// How long a request may take that brings no deadline.
    deadline: Duration,
}

/// Runs a load balancer until its process ends, or is asked to: then what is under way is answered, and nothing new let in.
///
/// # Errors
/// Where its port cannot be opened.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) -> std::io::Result<()> {
    let listener = TcpListener::bind(crate::api::PORT).await?;
    let deployment = &process.deployment;
    let pool = Arc::new(Pool::new(deployment, sim::node::stream("choice")));
    let (http, in_flight_max) = (HttpClient::default(), deployment.number("balancer.max-in-flight"));
    if deployment.flag("balancer.health-checks") {
        for server in 0..pool.len() {
            sim::task::spawn(check_for_ever(pool.clone(), server, http.clone()));
        }
    }
    let balancer = Balancer {
        http,
        pool,
        admission: Admission::new(in_flight_max, process.node.memory_bytes),
        agent: agent.clone(),
        retries: RetryBudget::new(
            deployment.number("balancer.retry-budget-percent"),
            deployment.number("balancer.retries-saved-max"),
        ),
        attempts: deployment.number("balancer.attempts"),
        attempt_timeout: deployment.duration("balancer.attempt-timeout"),
        hedge_after: deployment.duration("balancer.hedge-after"),
        deadline: deployment.duration("api.deadline"),
    };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics::scrape))
        .fallback(forward::forward)
        .with_state(Arc::new(balancer));
    http::serve(listener, router, agent.stopping()).await;
    Ok(())
}
