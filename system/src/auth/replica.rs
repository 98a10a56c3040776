//! A node of the data plane: follows the management plane's log, keeps it on disk, and says how accounts stand.
//!
//! What it reports to the management plane as durable it must never be without when it is asked. A node that may have lost
//! entries says so, and nothing else, until it has caught up.

use super::log::Log;
use super::protocol::{Request, Response};
use super::{IDENTITY_ROLE, PATIENCE, PORT};
use crate::config::Agent;
use crate::rpc::{self, Incoming, Remote};
use bytes::Bytes;
use sim::history::Fact;
use sim::net::TcpListener;
use sim::stack::Process;
use sim::task;
use sim::time::{Instant, sleep, timeout};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Entries that are told at once.
pub(super) const ENTRIES_AT_ONCE: usize = 1000;

/// The least pause between two questions for news.
const PAUSE_MIN: Duration = Duration::from_millis(1);

struct Replica {
    log: Log,
    /// Whether it has everything that it ever said it has.
    sure: AtomicBool,
}

/// Follows and answers until the disk or the port fails.
pub(super) async fn run(process: &Process, agent: &Arc<Agent>) -> io::Result<()> {
    let (log, whole) = Log::open().await?;
    sim::sometimes!(
        !whole,
        "a node of the data plane that may have lost accounts says so until it has caught up"
    );
    let replica = Arc::new(Replica { log, sure: AtomicBool::new(whole) });
    let listener = TcpListener::bind(PORT).await?;
    let every = process.deployment.duration("auth.follow-every").max(PAUSE_MIN);
    let leader = process.deployment.of_role(IDENTITY_ROLE).next();
    let leader = leader.map(|leader| Remote::new(&leader.name, PORT, PATIENCE));
    let following = follow(replica.clone(), leader, every, process.node.name.clone());
    let door = agent.door(
        {
            let replica = replica.clone();
            move |Incoming { request, replier, .. }| replier.reply(replica.answer(&request), Bytes::new())
        },
        |reply| matches!(reply, Response::NotReady),
    );
    let answering = rpc::listen(listener, door);
    let following = task::spawn(following);
    tokio::select! {
        biased;
        answered = answering => answered,
        failed = following => Err(failed.unwrap_or_else(|_| io::Error::other("a task ended"))),
    }
}

/// What comes after the first `version` entries, as far as one answer goes.
pub(super) fn since(log: &Log, version: u64) -> Response {
    let known = log.known();
    Response::Entries { entries: known.since(version, ENTRIES_AT_ONCE), end: known.version() }
}

impl Replica {
    fn answer(&self, request: &Request) -> Response {
        match request {
            Request::Look { account } if self.sure.load(Ordering::Relaxed) => {
                let known = self.log.known();
                let standing = known.standing(*account);
                let (keys, address_keys) = (known.keys.clone(), known.address_keys());
                Response::Stands { version: known.version(), standing, keys, address_keys }
            }
            Request::Since { version, .. } => since(&self.log, *version),
            Request::Look { .. } | Request::Create { .. } | Request::Revoke { .. } => Response::NotReady,
        }
    }

    /// Adds what the management plane has and this node has not; whether there was any.
    async fn pull(&self, leader: &Remote<Request, Response>, me: &str) -> io::Result<bool> {
        let version = self.log.known().version();
        let ask = Request::Since { version, follower: Some(me.to_owned()) };
        let asked = timeout(PATIENCE, leader.call(ask, Bytes::new(), Instant::now() + PATIENCE)).await;
        let Ok(Ok((Response::Entries { entries, end }, _))) = asked else { return Ok(false) };
        if end < version {
            let text = format!("the management plane has {end} entries, and this node {version}");
            sim::node::record(Fact::Note { text });
            return Ok(false);
        }
        let news = !entries.is_empty();
        if news {
            self.log.writer().await.append(entries).await?;
        }
        if self.log.known().version() >= end {
            self.sure.store(true, Ordering::Relaxed);
        }
        Ok(news)
    }
}

/// Asks for news again and again, until the disk fails.
async fn follow(
    replica: Arc<Replica>,
    leader: Option<Remote<Request, Response>>,
    every: Duration,
    me: String,
) -> io::Error {
    // Nobody can be followed, and nobody has an account.
    let Some(leader) = leader else { return std::future::pending().await };
    let mut chance = sim::node::stream("follow");
    loop {
        match replica.pull(&leader, &me).await {
            // Asked again at once: that is how the management plane hears that the news is durable.
            Ok(true) => {}
            Ok(false) => sleep(chance.duration(every / 2..every * 3 / 2)).await,
            Err(error) => return error,
        }
    }
}
