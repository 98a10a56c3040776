//! A replicated key-value store on `openraft`, as published: its log, its state and its messages are the world's, and the
//! laws judge what clients are told. See the README's "Your own service".

mod log;
mod machine;
mod network;
mod runtime;

use log::Log;
use machine::Machine;
use openraft::error::{CheckIsLeaderError, ClientWriteError};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use openraft::{Config, EmptyNode, Raft, SnapshotPolicy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sim::history::{Digest, Fact, Stage};
use sim::stack::{Client, Deployment, Operation, Process, Role, Setting, Stack, Task};
use sim::time::{Instant, sleep, sleep_until};
use sim::{fs, node::record, talk};
use std::collections::BTreeMap;
use std::io::{self, Cursor};
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 7;
const PATIENCE: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 30;
const DURABILITY: Setting =
    Setting::choice("durability", "whether a log is on disk before it counts", &["disk", "memory"]);
const READS: Setting =
    Setting::choice("reads", "who answers: a leader that still leads, or anyone", &["leader", "anyone"]);

openraft::declare_raft_types!(
    /// What openraft works with here.
    pub(crate) Types: D = Put, R = (), NodeId = u64, Node = EmptyNode, AsyncRuntime = runtime::World
);

pub(crate) struct RaftStore;

/// A key's value; it never changes again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Put {
    key: String,
    value: String,
}

#[derive(Serialize, Deserialize)]
enum Question {
    Put(Put),
    Get(String),
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<u64>),
    Snapshot(InstallSnapshotRequest<Types>),
}

/// What a client is told.
#[derive(Serialize, Deserialize)]
enum Answer {
    Done,
    Value(Option<String>),
    /// Ask somebody else: whoever leads, if that is known.
    Leader(Option<u64>),
    Failed,
}

/// When something counts as kept.
#[derive(Clone, Copy)]
enum Durability {
    Disk,
    Memory,
}

impl Put {
    fn digest(&self) -> Digest {
        Digest::of(self.value.as_bytes())
    }
}

impl Durability {
    fn of(deployment: &Deployment) -> Self {
        if deployment.setting("durability") == "disk" { Self::Disk } else { Self::Memory }
    }

    /// What was written under `path`. Without syncs it may be anything by now, and then counts as nothing.
    async fn read<T: DeserializeOwned>(self, path: &str) -> Option<T> {
        let read = serde_json::from_slice(&fs::read(path).await.ok()?);
        match self {
            Self::Disk => Some(read.expect("what is replaced as a whole can be read")),
            Self::Memory => read.ok(),
        }
    }

    async fn write<T: Serialize>(self, path: &str, value: &T) -> io::Result<()> {
        self.write_bytes(path, serde_json::to_vec(value)?).await
    }

    async fn write_bytes(self, path: &str, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Disk => fs::replace(path, bytes.into()).await,
            Self::Memory => fs::write(path, bytes.into()).await,
        }
    }
}

#[derive(Clone)]
struct Server {
    raft: Raft<Types>,
    machine: Machine,
    leader_reads: bool,
}

impl Server {
    async fn answer(self, question: Vec<u8>) -> Vec<u8> {
        let answered = match serde_json::from_slice(&question) {
            Ok(Question::Put(put)) => serde_json::to_vec(&self.put(put).await),
            Ok(Question::Get(key)) => serde_json::to_vec(&self.get(&key).await),
            Ok(Question::Append(request)) => serde_json::to_vec(&self.raft.append_entries(request).await),
            Ok(Question::Vote(request)) => serde_json::to_vec(&self.raft.vote(request).await),
            Ok(Question::Snapshot(request)) => serde_json::to_vec(&self.raft.install_snapshot(request).await),
            Err(_) => serde_json::to_vec(&Answer::Failed),
        };
        answered.expect("an answer is JSON")
    }

    async fn put(&self, put: Put) -> Answer {
        let Err(error) = self.raft.client_write(put).await else { return Answer::Done };
        match error.into_api_error() {
            Some(ClientWriteError::ForwardToLeader(to)) => Answer::Leader(to.leader_id),
            _ => Answer::Failed,
        }
    }

    /// A leader first makes sure that it still leads, and that it has applied all that was chosen by then.
    async fn get(&self, key: &str) -> Answer {
        if self.leader_reads {
            match self.raft.get_read_log_id().await {
                Ok((read, _)) => self.machine.wait_for(read.map_or(0, |read| read.index)).await,
                Err(error) => {
                    return match error.into_api_error() {
                        Some(CheckIsLeaderError::ForwardToLeader(to)) => Answer::Leader(to.leader_id),
                        _ => Answer::Failed,
                    };
                }
            }
        }
        Answer::Value(self.machine.get(key))
    }
}

fn server_name(number: u64) -> String {
    format!("store-{number}")
}

/// The servers' numbers: their places among the stores, from 1.
fn servers(deployment: &Deployment) -> impl Iterator<Item = u64> {
    1..=deployment.of_role("store").count() as u64
}

async fn serve(process: Process) -> io::Result<()> {
    let deployment = &process.deployment;
    let number = servers(deployment).find(|number| server_name(*number) == process.node.name);
    let number = number.ok_or(io::ErrorKind::NotFound)?;
    let durability = Durability::of(deployment);
    let (log, machine) = (Log::open(number, durability).await, Machine::open(durability).await);
    let config = Config {
        heartbeat_interval: 200,
        election_timeout_min: 600,
        election_timeout_max: 1200,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(40),
        max_in_snapshot_log_to_keep: 10,
        ..Config::default()
    };
    let config = Arc::new(config.validate().map_err(io::Error::other)?);
    let raft = Raft::new(number, config, network::Links, log, machine.clone()).await;
    let raft = raft.map_err(io::Error::other)?;
    let members: BTreeMap<_, _> = servers(deployment).map(|number| (number, EmptyNode::new())).collect();
    // Refused where it is done already, by this server or by another.
    let _ = raft.initialize(members).await;
    let server = Server { raft, machine, leader_reads: deployment.setting("reads") == "leader" };
    talk::answer(PORT, move |question| server.clone().answer(question)).await
}

/// A client's way to the servers: on to whoever is said to lead, or to the next.
struct Way {
    servers: u64,
    next: u64,
}

impl Way {
    async fn ask(&mut self, question: &Question) -> Option<Answer> {
        let question = serde_json::to_vec(question).expect("a question is JSON");
        let answer = talk::ask(&server_name(self.next), PORT, &question, PATIENCE).await;
        let answer = answer.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        self.next = match &answer {
            Some(Answer::Leader(Some(leader))) => *leader,
            Some(Answer::Done | Answer::Value(_)) => self.next,
            _ => self.next % self.servers + 1,
        };
        answer
    }
}

/// Puts a value, and once that is acknowledged asks for it, anywhere.
async fn put_and_get(operation: Operation, way: &mut Way) {
    let (id, mut chance) = (operation.id, operation.chance());
    let put = Put { key: id.to_string(), value: format!("{:016x}", chance.next_u64()) };
    record(Fact::Expect { id, output: Some(put.digest()) });
    let mut acknowledged = false;
    for attempt in 1..=ATTEMPTS {
        record(Fact::Submit { id, attempt });
        if let Some(Answer::Done) = way.ask(&Question::Put(put.clone())).await {
            acknowledged = true;
            record(Fact::Acknowledge { id });
            break;
        }
        sleep(PATIENCE / 10).await;
    }
    way.next = 1 + chance.below(0..way.servers);
    for question in 1..=ATTEMPTS * u32::from(acknowledged) {
        record(Fact::Look { id, question });
        if let Some(Answer::Value(found)) = way.ask(&Question::Get(put.key.clone())).await {
            let stage = if found.is_some() { Stage::Over } else { Stage::Unknown };
            record(Fact::See { id, question, stage });
            if let Some(value) = found {
                return record(Fact::Receive { id, output: Digest::of(value.as_bytes()) });
            }
        }
        sleep(PATIENCE / 10).await;
    }
    record(Fact::GiveUp { id });
}

impl Stack for RaftStore {
    fn name(&self) -> &'static str {
        "raft-store"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role { name: "store", why: "keeps a copy of everything", count: 3, cores: 1 }]
    }

    fn settings(&self) -> &'static [Setting] {
        &[DURABILITY, READS]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["a read waits for the log", "a snapshot comes from another server"]
    }

    fn boot(&self, process: Process) -> Task {
        Box::pin(async move { drop(serve(process).await) })
    }

    fn client(&self, client: Client) -> Task {
        Box::pin(async move {
            let servers = servers(&client.deployment).count() as u64;
            let mut way = Way { servers, next: 1 + u64::from(client.index) % servers };
            for operation in client.operations {
                sleep_until(Instant::from_nanos(operation.at_ns)).await;
                put_and_get(operation, &mut way).await;
            }
        })
    }
}

fn main() -> std::process::ExitCode {
    hogwash::main(RaftStore)
}
