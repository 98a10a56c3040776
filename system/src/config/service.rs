//! The service: one node that says who runs what, and remembers how far it was.

use super::document::{Document, FIRST};
use super::rollout::{Progress, Report, Rollout, Rules, Step};
use crate::api::PORT;
use crate::http;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use sim::history::Fact;
use sim::net::TcpListener;
use sim::stack::Process;
use sim::time::{Instant, sleep};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const DIRECTORY: &str = "/config";
const FILE: &str = "/config/progress";
const STEP: Duration = Duration::from_secs(1);

struct Service {
    rollout: Mutex<Rollout>,
    pushed: Document,
    pushed_is_invalid: bool,
}

/// Runs the config service until its process ends.
///
/// # Errors
/// Where its port or its disk cannot be used.
pub(crate) async fn serve(process: Process) -> io::Result<()> {
    let deployment = &process.deployment;
    let role = deployment.setting("push.role").to_owned();
    let nodes = deployment.of_role(&role).map(|node| node.name.clone()).collect();
    let rules = Rules {
        soak: deployment.duration("rollout.soak"),
        gate: deployment.flag("rollout.gate"),
        staged: deployment.flag("rollout.staged"),
    };
    let listener = TcpListener::bind(PORT).await?;
    let rollout = Rollout::new(rules, nodes, load().await?, Instant::now());
    let pushed = Document::pushed(deployment);
    let pushed_is_invalid = Document::pushed_is_invalid(deployment);
    let service = Arc::new(Service { rollout: Mutex::new(rollout), pushed, pushed_is_invalid });
    let push_at = deployment.duration("push.at");
    let router = Router::new().route("/v1/follow", post(follow)).with_state(service.clone());
    let driven = sim::task::spawn(async move { service.drive(push_at, &role).await });
    // A service that cannot remember how far it is must not go on as if it could.
    tokio::select! { biased;
        driven = driven => driven.map_err(io::Error::other)?,
        () = http::serve(listener, router, std::future::pending()) => Ok(()),
    }
}

/// `POST /v1/follow`: how a node does, for the version that it is to run.
async fn follow(State(service): State<Arc<Service>>, Json(report): Json<Report>) -> Json<Document> {
    let version = service.rollout().hear(report, Instant::now());
    Json(if version == FIRST { Document::first() } else { service.pushed.clone() })
}

impl Service {
    /// Pushes when it is time to, and moves the rollout.
    async fn drive(&self, push_at: Duration, role: &str) -> io::Result<()> {
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            let step = {
                let mut rollout = self.rollout();
                let due = !push_at.is_zero() && rollout.progress == Progress::Waiting;
                if due && now - begun >= push_at { Some(rollout.push(now)) } else { rollout.step(now) }
            };
            // A stage is told before anybody can be on it; a version is condemned once that cannot be forgotten.
            match step {
                Some(step @ Step::Opened(_)) => {
                    self.tell(step, role);
                    let progress = self.rollout().progress;
                    save(progress).await?;
                }
                Some(step @ Step::Condemned(_)) => {
                    save(Progress::Condemned).await?;
                    self.tell(step, role);
                }
                None => {}
            }
            sleep(STEP).await;
        }
    }

    fn tell(&self, step: Step, role: &str) {
        let version = self.pushed.version;
        match step {
            Step::Opened(percent) => {
                if self.pushed_is_invalid {
                    sim::node::record(Fact::Invalid { version });
                }
                sim::node::record(Fact::Stage { version, role: role.to_owned(), percent });
            }
            Step::Condemned(why) => {
                sim::node::record(Fact::Note { text: format!("version {version} is taken back: {why}") });
                sim::node::record(Fact::Condemn { version });
            }
        }
    }

    fn rollout(&self) -> MutexGuard<'_, Rollout> {
        self.rollout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the rollout was; where nothing readable is left, the version is taken for condemned if ever there was a file,
/// since nobody knows how it did.
async fn load() -> io::Result<Progress> {
    sim::fs::create_dir_all(DIRECTORY).await?;
    // Else the directory may be gone after a loss of power, with all that was synced in it.
    sim::fs::sync_dir("/").await?;
    if !sim::fs::exists(FILE).await {
        return Ok(Progress::Waiting);
    }
    let bytes = sim::fs::read(FILE).await?;
    Ok(super::disk::unseal(&bytes).unwrap_or(Progress::Condemned))
}

async fn save(progress: Progress) -> io::Result<()> {
    super::disk::write_whole(DIRECTORY, "progress", super::disk::seal(&progress)).await
}
