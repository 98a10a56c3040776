//! The stack as a world runs it: roles, settings, and what boots where.

use crate::config::Agent;
use crate::queue::client::QueueClient;
use crate::usage::UsageReader;
use crate::{api, archive, auth, balancer, billing, client, config, queue, usage, worker};
use sim::history::Fact;
use sim::stack::{Client, Deployment, Process, Role, Setting, SettingKind, Stack, Task};
use sim::time::{Instant, sleep};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The image-resizing service.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageStack;

const ROLES: [Role; 10] = [
    Role {
        name: "api",
        why: "takes requests over HTTP, hands them to the queue, answers",
        count: 2,
        cores: 4,
    },
    Role {
        name: "queue",
        why: "keeps jobs in order, durably, on replicas that agree by Paxos",
        count: 3,
        cores: 4,
    },
    Role { name: "worker", why: "resizes pictures", count: 2, cores: 4 },
    Role { name: "usage", why: "keeps what each customer used, on nodes of equal rank", count: 0, cores: 4 },
    Role { name: "batch", why: "makes bills of what was used, by MapReduce", count: 0, cores: 4 },
    Role {
        name: "archive",
        why: "cold storage: keeps bills, unchanged, on several nodes",
        count: 0,
        cores: 4,
    },
    Role { name: config::ROLE, why: "hands versions to all nodes, a few at a time", count: 0, cores: 2 },
    Role { name: balancer::ROLE, why: "spreads requests over the API servers", count: 0, cores: 4 },
    Role {
        name: auth::ROLE,
        why: "tells API servers whose account is good, on replicas",
        count: 0,
        cores: 4,
    },
    Role {
        name: auth::IDENTITY_ROLE,
        why: "makes accounts and revokes them; the first node takes writes, the others keep copies",
        count: 0,
        cores: 2,
    },
];

/// How many nodes of each role are served for real where nobody says, every tier among them, the users' door first: of what
/// keeps something as many as survive the loss of any one.
pub const SERVED: [(&str, u32); 10] = [
    (balancer::ROLE, 1),
    ("api", 2),
    ("queue", 3),
    ("worker", 2),
    (usage::ROLE, 3),
    (billing::ROLE, 3),
    (archive::ROLE, 3),
    (auth::ROLE, 3),
    (auth::IDENTITY_ROLE, 1),
    (config::ROLE, 1),
];

/// How long the stack may take to say whether it has drained.
const DRAINED_WAIT: Duration = Duration::from_secs(5);
/// How long a process that is replaced may take to end what it has under way.
const END_WAIT: Duration = Duration::from_secs(10);
/// Accounts that are read together, to find that out.
const ACCOUNTS_AT_ONCE: usize = 1000;

/// All settings: those of the first tiers, then those of each that was added.
static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    [
        queue::SETTINGS,
        OF_FIRST_TIERS,
        balancer::SETTINGS,
        config::SETTINGS,
        worker::SETTINGS,
        client::SETTINGS,
        api::SETTINGS,
        auth::SETTINGS,
        archive::SETTINGS,
    ]
    .concat()
});

const OF_FIRST_TIERS: &[Setting] = &[
    Setting {
        name: "worker.leases",
        why: "how many jobs a worker takes at once; 0 is as many as it has cores",
        default: "0",
        kind: SettingKind::Number { least: 0, most: 100_000 },
    },
    Setting {
        name: "api.deadline",
        why: "how long an API server works on one request",
        default: "10s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "api.max-in-flight",
        why: "how many pictures an API server takes in at once; more are told to come back",
        default: "2000",
        kind: SettingKind::Number { least: 1, most: 1_000_000 },
    },
    Setting {
        name: "client.deadline",
        why: "how long a client wants an answer",
        default: "60s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "client.attempts",
        why: "how often a client sends one request before it gives up",
        default: "20",
        kind: SettingKind::Number { least: 1, most: 1000 },
    },
    Setting {
        name: "client.retry-budget",
        why: "how many more tries a client makes in a minute, all its requests together; others wait their turn",
        default: "60",
        kind: SettingKind::Number { least: 0, most: 1_000_000 },
    },
    Setting {
        name: "usage.batch-lines",
        why: "how many uses go to the accounts together",
        default: "64",
        kind: SettingKind::Number { least: 1, most: 100_000 },
    },
    Setting {
        name: "usage.batch-wait",
        why: "how long a use waits for others to go with",
        default: "2s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "usage.copies",
        why: "how many nodes own each batch of uses",
        default: "3",
        kind: SettingKind::Number { least: 1, most: 100 },
    },
    Setting {
        name: "usage.write-acks",
        why: "how many copies must be durable before a batch counts as kept",
        default: "2",
        kind: SettingKind::Number { least: 1, most: 100 },
    },
    Setting {
        name: "usage.read-acks",
        why: "how many owners of each batch a sum asks",
        default: "2",
        kind: SettingKind::Number { least: 1, most: 100 },
    },
    Setting {
        name: "usage.hinted-handoff",
        why: "whether other nodes stand in for owners that are gone",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "usage.idempotent-batches",
        why: "whether a batch that is stored again is known by its number, or counted again",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "usage.compare-every",
        why: "how often a node compares what it shares with each other node",
        default: "2s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "billing.period",
        why: "how long a period is that one bill is for",
        default: "10s",
        kind: SettingKind::Duration,
    },
];

impl Stack for ImageStack {
    fn name(&self) -> &'static str {
        "image"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &SETTINGS
    }

    fn marks(&self) -> &'static [&'static str] {
        crate::marks::MARKS
    }

    fn boot(&self, process: Process) -> Task {
        Box::pin(boot(process))
    }

    fn client(&self, client: Client) -> Task {
        Box::pin(client::run(client))
    }

    fn drained(&self, deployment: Arc<Deployment>) -> Task<bool> {
        Box::pin(async move {
            let deadline = Instant::now() + DRAINED_WAIT;
            let depth = QueueClient::new(&deployment).depth(deadline).await;
            let idle =
                |depth: queue::Depth| depth.waiting == 0 && depth.leased == 0 && depth.unsent_uses == 0;
            depth.is_ok_and(idle) && are_read(&deployment, deadline).await
        })
    }
}

/// Runs a process: the config service, or one that is configured by the version that its agent knows.
async fn boot(process: Process) {
    if process.node.role == config::ROLE {
        if let Err(error) = config::serve(process).await {
            tracing::error!(%error, "the config service cannot serve");
        }
        return;
    }
    let agent = Agent::start(&process).await;
    let deployment = match agent.configure(&process.deployment) {
        Ok(deployment) => deployment,
        Err(error) => {
            sim::node::record(Fact::Note { text: format!("the process cannot be configured: {error}") });
            sim::node::abort();
            return std::future::pending().await;
        }
    };
    let end = end_of(&process.node.role);
    tokio::select! { biased;
        () = serve(Process { deployment, ..process }, agent.clone()) => {}
        () = async { agent.replaced().await; sleep(end).await } => {}
    }
    if agent.is_replaced() {
        sim::node::restart();
        std::future::pending().await
    }
}

/// How long a process that is replaced may take to end what it has under way. Nothing is waited for where requests can be asked again
/// of others at once.
fn end_of(role: &str) -> Duration {
    match role {
        "api" | balancer::ROLE | "worker" => END_WAIT,
        _ => Duration::ZERO,
    }
}

async fn serve(process: Process, agent: Arc<Agent>) {
    match process.node.role.as_str() {
        "api" => {
            if let Err(error) = api::serve(process, agent).await {
                tracing::error!(%error, "the API server cannot serve");
            }
        }
        balancer::ROLE => {
            if let Err(error) = balancer::serve(process, agent).await {
                tracing::error!(%error, "the load balancer cannot serve");
            }
        }
        "queue" => queue::serve_configured(process, agent).await,
        "worker" => worker::serve(process, agent).await,
        usage::ROLE => usage::serve(process, agent).await,
        billing::ROLE => billing::serve(process, agent).await,
        archive::ROLE => archive::serve(process, agent).await,
        auth::ROLE => auth::serve(process, agent).await,
        auth::IDENTITY_ROLE => auth::serve_identity(process, agent).await,
        role => tracing::error!(role, "this stack has no such role"),
    }
}

/// Whether the accounts, if there are any, are settled and billed, and were all read: what the last reading says must be
/// exact. Who keeps copies says which before that: whoever reads mends what it finds.
async fn are_read(deployment: &Arc<Deployment>, deadline: Instant) -> bool {
    if deployment.of_role(usage::ROLE).next().is_none() {
        return true;
    }
    let reader = UsageReader::new(deployment);
    let Ok(Some(settled)) = reader.settled(deadline).await else { return false };
    if !billing::read_bills(deployment, settled.last_ended_ns).await || reader.tell(deadline).await.is_err() {
        return false;
    }
    let accounts: Vec<u32> = settled.accounts.into_iter().collect();
    for some in accounts.chunks(ACCOUNTS_AT_ONCE) {
        if reader.totals(some, deadline).await.is_err() {
            return false;
        }
    }
    archive::tell(deployment).await
}
