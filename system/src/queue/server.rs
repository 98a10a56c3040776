//! One replica's process: recovers from its disk, takes part in the order, serves clients and keeps blobs.
//!
//! A failure of the disk ends the process: after a failed sync nothing is known about what is durable, and starting anew
//! from what is there is what recovery is for. A log that is damaged where it was durable ends nothing: the replica goes on
//! serving blobs, which name themselves, and takes no part in the order, since it may have forgotten a promise.

mod clients;
mod disk;
mod peers;
mod replica;
mod shared;

use super::log::{self, Durability, Log, LogError, Snapshot};
use super::paxos::{Config, Durable, Members, Paxos, Replica as Place};
use super::protocol::{CLIENTS_PORT, PEERS_PORT, Response};
use super::state::{Batching, First, Limits, State};
use crate::blobs::{self, BLOBS_PORT, Blobs, store};
use crate::config::Agent;
use crate::{billing, rpc, usage};
use peers::Peers;
use replica::Replica;
use shared::Shared;
use sim::history::Fact;
use sim::net::TcpListener;
use sim::stack::{Deployment, Process};
use sim::task;
use sim::time::Instant;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What the plan says about the queue.
#[derive(Clone, Copy)]
struct Settings {
    me: Place,
    replicas: u32,
    spares: u32,
    replace_after_ns: u64,
    durability: Durability,
    /// Those that it has the state take when it leads.
    limits: Limits,
    lease_ns: u64,
    election_timeout: Duration,
    own_write_first: bool,
    steps_down: bool,
    /// Whether a leader asks the others whether it still is one before it answers a read.
    reads_confirmed: bool,
    /// Whether somebody bills what is used.
    billed: bool,
}

/// Why a replica's process ended.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("this node is not among the queue's")]
    NotAmongUs,
    #[error("of {replicas} replicas {spares} cannot be spares: somebody must vote")]
    NobodyVotes { replicas: u32, spares: u64 },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the disk or a port failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("a task of the replica ended")]
    Ended,
}

/// Runs one replica of the queue, its blob store included, on the process's node, until the process ends.
pub async fn serve(process: Process) {
    let agent = Agent::without_service(&process);
    serve_configured(process, agent).await;
}

/// As [`serve`], with an agent that knows the version of its configuration.
pub(crate) async fn serve_configured(process: Process, agent: Arc<Agent>) {
    if let Err(error) = run(&process, agent).await {
        sim::node::record(Fact::Note { text: format!("the queue's replica ends: {error}") });
    }
}

async fn run(process: &Process, agent: Arc<Agent>) -> Result<(), ServeError> {
    let settings = Settings::of(process)?;
    let deployment = &process.deployment;
    // What fails in the background ends the process.
    let (failed, mut failures) = mpsc::unbounded_channel::<ServeError>();
    let recovered = match recover(settings).await {
        Err(error @ (LogError::Damaged { .. } | LogError::Hole(_))) => {
            let text = format!("{error}; this replica takes no part in the order any more");
            sim::node::record(Fact::Note { text });
            None
        }
        recovered => Some(recovered?),
    };
    let empty = State::new();
    let state = recovered.as_ref().map_or(&empty, |(_, _, state)| state);
    let needed = state.needed_blobs().collect();
    let (store, writer) = store::Store::open(settings.durability, needed, state.as_of()).await?;
    let blobs_port = TcpListener::bind(BLOBS_PORT).await?;
    supervise(&failed, async move { Ok(writer.run().await?) });
    supervise(&failed, {
        let store = store.clone();
        let agent = agent.clone();
        async move { Ok(blobs::serve(store, blobs_port, &agent).await?) }
    });
    task::spawn(blobs::compact(store.clone()));
    if let Some((log, durable, state)) = recovered {
        task::spawn(blobs::repair(store.clone(), Blobs::new(deployment)));
        supervise(
            &failed,
            take_part(settings, deployment.clone(), store, (log, durable, state), failed.clone(), agent),
        );
    }
    Err(failures.recv().await.unwrap_or(ServeError::Ended))
}

/// Runs a part of the process; should it end, so does the process.
fn supervise(
    failed: &mpsc::UnboundedSender<ServeError>,
    part: impl Future<Output = Result<(), ServeError>> + Send + 'static,
) {
    let failed = failed.clone();
    task::spawn(async move {
        let end = part.await.err().unwrap_or(ServeError::Ended);
        // Nobody listens where another part failed first.
        let _ = failed.send(end);
    });
}

/// What the disk holds.
async fn recover(settings: Settings) -> Result<(Log, Durable, State), LogError> {
    match read_disk(settings).await {
        Err(LogError::Damaged { .. } | LogError::Hole(_)) if settings.durability == Durability::Memory => {
            // Nothing was ever durable, so nothing is damaged: it is forgotten, which is what not syncing means.
            log::wipe().await?;
            read_disk(settings).await
        }
        result => result,
    }
}

async fn read_disk(settings: Settings) -> Result<(Log, Durable, State), LogError> {
    let snapshot = log::load_snapshot(settings.durability).await?;
    let slot = snapshot.as_ref().map_or(0, |snapshot| snapshot.slot);
    let (state, members) = match &snapshot {
        Some(Snapshot { slot, state }) => read_snapshot(state)
            .ok_or_else(|| LogError::Hole(format!("the snapshot of slot {slot} is of another version")))?,
        None => (State::new(), None),
    };
    let mut durable = Durable::from_snapshot(slot, members);
    let log = Log::open(settings.durability, &mut durable).await?;
    Ok((log, durable, state))
}

/// A snapshot's state, and who votes after it where it says so.
fn read_snapshot(bytes: &[u8]) -> Option<(State, Option<Members>)> {
    let (state, rest) = State::decode(bytes)?;
    let members = (!rest.is_empty()).then(|| postcard::from_bytes(rest).ok());
    match members {
        Some(None) => None,
        members => Some((state, members.flatten())),
    }
}

/// Takes part in the order until something fails.
async fn take_part(
    settings: Settings,
    deployment: Arc<Deployment>,
    store: store::Store,
    (log, durable, state): (Log, Durable, State),
    failed: mpsc::UnboundedSender<ServeError>,
    agent: Arc<Agent>,
) -> Result<(), ServeError> {
    let (log_work, log_queue) = mpsc::unbounded_channel();
    let (saver, save_queue) = mpsc::unbounded_channel();
    let peers_port = TcpListener::bind(PEERS_PORT).await?;
    let clients_port = TcpListener::bind(CLIENTS_PORT).await?;
    let now = Instant::now();
    let config = Config {
        me: settings.me,
        replicas: settings.replicas,
        spares: settings.spares,
        replace_after_ns: settings.replace_after_ns,
        election_timeout_ns: u64::try_from(settings.election_timeout.as_nanos()).unwrap_or(u64::MAX),
        own_write_first: settings.own_write_first,
        steps_down: settings.steps_down,
    };
    let applied = durable.compacted;
    let paxos = Paxos::recover(config, durable, sim::node::stream("paxos"), now.as_nanos());
    let replica = Replica {
        settings,
        paxos,
        state,
        peers: Peers::new(&deployment, settings.me, settings.election_timeout),
        store,
        log: log_work,
        saver,
        clients: Default::default(),
        assembly: Default::default(),
        applied,
        members: None,
        records: Vec::new(),
        written: 0,
        chosen_bytes: 0,
        snapshot_bytes: 0,
        saving: false,
        stamped: now,
        digests: Default::default(),
        limits_proposed: false,
    };
    let replica = Shared::new(replica);
    replica.event(|_, _| ());
    supervise(&failed, {
        let replica = replica.clone();
        async move { Ok(disk::write_log(log, log_queue, replica).await?) }
    });
    supervise(&failed, {
        let replica = replica.clone();
        async move { Ok(disk::save_snapshots(settings.durability, save_queue, replica).await?) }
    });
    supervise(&failed, {
        let (replica, agent) = (replica.clone(), agent.clone());
        async move { Ok(peers::listen(peers_port, settings.replicas, replica, &agent).await?) }
    });
    supervise(&failed, {
        let replica = replica.clone();
        async move {
            let take = move |incoming| replica.event(|replica, now| replica.client(now, incoming));
            Ok(rpc::listen(clients_port, agent.door(take, |reply| matches!(reply, Response::Overloaded)))
                .await?)
        }
    });
    replica.keep_time().await;
    Ok(())
}

impl Settings {
    fn of(process: &Process) -> Result<Self, ServeError> {
        let deployment = &process.deployment;
        let names: Vec<_> = deployment.of_role("queue").map(|node| node.name.as_str()).collect();
        let me = names.iter().position(|name| *name == process.node.name).ok_or(ServeError::NotAmongUs)?;
        let nanoseconds = |name| nanoseconds(deployment, name);
        let replicas = u32::try_from(names.len()).map_err(|_| ServeError::NotAmongUs)?;
        let spares = deployment.number("queue.spares");
        let votes = |spares: &u32| *spares < replicas;
        let few = u32::try_from(spares).ok().filter(votes);
        Ok(Self {
            me: u32::try_from(me).map_err(|_| ServeError::NotAmongUs)?,
            replicas,
            spares: few.ok_or(ServeError::NobodyVotes { replicas, spares })?,
            replace_after_ns: nanoseconds("queue.replace-after"),
            durability: match deployment.setting("queue.durability") {
                "memory" => Durability::Memory,
                _ => Durability::Disk,
            },
            limits: limits(deployment),
            lease_ns: nanoseconds("queue.lease"),
            election_timeout: deployment.duration("queue.election-timeout"),
            own_write_first: deployment.setting("queue.leader-write") == "first",
            steps_down: deployment.flag("queue.step-down"),
            reads_confirmed: deployment.setting("queue.reads") == "confirmed",
            billed: deployment.of_role(billing::ROLE).next().is_some(),
        })
    }
}

fn nanoseconds(deployment: &Deployment, name: &str) -> u64 {
    u64::try_from(deployment.duration(name).as_nanos()).unwrap_or(u64::MAX)
}

/// What bounds the state, as the settings of `deployment` have it.
fn limits(deployment: &Deployment) -> Limits {
    Limits {
        waiting_max: deployment.number("queue.max-waiting"),
        first: match deployment.setting("queue.hands-out") {
            "newest-first" => First::Newest,
            _ => First::Oldest,
        },
        group_lock: deployment.flag("queue.group-lock"),
        deliveries_max: u32::try_from(deployment.number("queue.max-deliveries")).unwrap_or(u32::MAX),
        retention_ns: nanoseconds(deployment, "queue.retention"),
        batching: deployment.of_role(usage::ROLE).next().map(|_| Batching {
            lines_max: usize::try_from(deployment.number("usage.batch-lines")).unwrap_or(usize::MAX),
            wait_ns: nanoseconds(deployment, "usage.batch-wait"),
        }),
    }
}
