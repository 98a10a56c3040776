//! Usage tracking: what each customer used, kept by nodes of equal rank that go on while some of them are gone.
//!
//! A job's use is entered in the queue's order, by the command that ends the job, and waits there in batches
//! ([`crate::queue`]). The nodes of this tier collect them. A batch is named by its number and never changed, and what a
//! node holds is a set of batches: storing one again changes nothing, replicas agree once they hold the same set, and a
//! sum counts each batch once. A counter that is added to would need every message to arrive exactly once.
//!
//! The store is Dynamo's (DeCandia et al. 2007): each batch has N owners by a ring (section 4.2), a write needs W of them,
//! others stand in with a hint for who is gone (4.6), reads ask for R and mend what they find missing (4.5), and owners
//! compare hashes of what they share (4.7). A node that may have lost batches, with its disk or to damage, does not count among those
//! that are asked for sums and bills until it has seen what the others have: what it said that it keeps, others rely on.

mod collect;
mod protocol;
mod reader;
mod repair;
mod ring;
mod store;

pub use protocol::Key;
pub use reader::{Settled, Total, UsageError, UsageReader};

use crate::config::Agent;
use crate::queue::{Amounts, Line};
use crate::rpc::{self, Incoming};
use bytes::Bytes;
use protocol::{Request, Response};
use ring::Ring;
use sim::history::{Fact, Id};
use sim::net::TcpListener;
use sim::stack::{Deployment, Process};
use sim::task;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use store::{Put, Store};
use tokio::sync::mpsc;

/// The role of these nodes.
pub const ROLE: &str = "usage";
/// The port that they are called at.
pub const PORT: u16 = 74;
/// The ledger of time of cores, in nanoseconds.
pub const CPU_LEDGER: &str = "cpu-ns";
/// The ledger of bytes taken in and given out.
pub const BYTES_LEDGER: &str = "bytes";

/// What the bills' ledgers are called, before the name of what is billed.
const BILLED: &str = "billed-";

/// Silence of a node for longer than this is taken for its death.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What the plan says about this tier.
#[derive(Clone, Debug)]
struct Settings {
    nodes: Vec<String>,
    /// Owners of each batch: N.
    copies: usize,
    /// Copies that must be durable before a batch counts as kept: W.
    write_acks: usize,
    /// Owners of each batch that a sum has asked: R.
    read_acks: usize,
    /// Whether others stand in for owners that are gone.
    hinted_handoff: bool,
    /// Whether a batch that is stored again is known by its number.
    idempotent: bool,
    /// How often what is shared is compared with another node's.
    compare_every: Duration,
    /// Uses of a batch at the most.
    batch_lines: u64,
}

impl Settings {
    fn of(deployment: &Deployment) -> Self {
        let nodes: Vec<String> = deployment.of_role(ROLE).map(|node| node.name.clone()).collect();
        let at_most = |name, most: usize| {
            usize::try_from(deployment.number(name)).unwrap_or(usize::MAX).clamp(1, most.max(1))
        };
        let copies = at_most("usage.copies", nodes.len());
        Self {
            copies,
            write_acks: at_most("usage.write-acks", copies),
            read_acks: at_most("usage.read-acks", copies),
            hinted_handoff: deployment.flag("usage.hinted-handoff"),
            idempotent: deployment.flag("usage.idempotent-batches"),
            compare_every: deployment.duration("usage.compare-every"),
            batch_lines: deployment.number("usage.batch-lines"),
            nodes,
        }
    }
}

/// Notes a job's use in both ledgers; and in those of the bills, where there are any.
pub(crate) fn record_use(id: Id, amounts: Amounts, billed: bool) {
    for (ledger, amount) in in_ledgers(amounts) {
        let account = id.client();
        if billed {
            let ledger = format!("{BILLED}{ledger}");
            sim::node::record(Fact::Use { ledger, account, id, amount });
        }
        sim::node::record(Fact::Use { ledger, account, id, amount });
    }
}

/// Notes that a bill has a use, for good: in a ledger of its own for each.
pub(crate) fn record_billed(line: &Line, period: u64) {
    for (ledger, amount) in in_ledgers(line.amounts) {
        let (account, id) = (line.id.client(), line.id);
        let ledger = format!("{BILLED}{ledger}");
        sim::node::record(Fact::Count { ledger, account, id, amount, position: period });
    }
}

fn in_ledgers(amounts: Amounts) -> [(String, u64); 2] {
    [(CPU_LEDGER.to_owned(), amounts.cpu_ns), (BYTES_LEDGER.to_owned(), amounts.bytes)]
}

/// Runs one node of the tier, until its process ends: should its disk or port fail, that is at once.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) {
    if let Err(error) = run(&process, &agent).await {
        sim::node::record(Fact::Note { text: format!("the usage node ends: {error}") });
    }
}

async fn run(process: &Process, agent: &Arc<Agent>) -> io::Result<()> {
    let settings = Arc::new(Settings::of(&process.deployment));
    let me = settings.nodes.iter().position(|name| *name == process.node.name);
    let me = me.ok_or_else(|| io::Error::other("this node is not of the tier"))?;
    let ring = Arc::new(Ring::new(&settings.nodes, settings.copies));
    let (store, damage) = Store::open().await?;
    if let Some(damage) = damage {
        // The other owners have what was there.
        sim::node::record(Fact::Note { text: damage });
    }
    let listener = TcpListener::bind(PORT).await?;
    let (failed, mut failures) = mpsc::unbounded_channel();
    let node = Arc::new(repair::Node::new(me, settings, ring, store, failed));
    task::spawn(repair::hand_over(node.clone()));
    task::spawn(repair::compare(node.clone()));
    task::spawn(repair::catch_up(node.clone()));
    task::spawn(collect::run(node.clone(), process.deployment.clone()));
    task::spawn({
        let node = node.clone();
        let door = agent.door(
            move |incoming: Incoming<Request, Response>| {
                // A disk that is slow for one holds up nobody else.
                task::spawn(answer(node.clone(), incoming));
            },
            |reply| matches!(reply, Response::Unsure),
        );
        async move {
            let served = rpc::listen(listener, door);
            if let Err(error) = served.await {
                tracing::debug!(%error, "the port failed");
            }
        }
    });
    Err(failures.recv().await.unwrap_or_else(|| io::Error::other("a task ended")))
}

async fn answer(node: Arc<repair::Node>, incoming: Incoming<Request, Response>) {
    let Incoming { request, replier, .. } = incoming;
    let response = match request {
        Request::Put { key, lines, hint } => match node.keep(key, lines, hint).await {
            Some(Put::New | Put::There) => Response::Stored,
            Some(Put::ForAnother) => Response::Taken,
            // The process ends.
            None => return,
        },
        Request::Get(keys) => Response::Batches(node.store.get(&keys)),
        Request::Fetch { key, from } => {
            node.fetch(vec![key], from).await;
            Response::Stored
        }
        Request::Compare { from, root } => {
            if node.root(from) == root {
                node.agrees_with(from);
                Response::Same
            } else {
                Response::Ranges(node.ranges(from))
            }
        }
        Request::Keys { from, ranges } => Response::Keys(node.keys(from, &ranges)),
        Request::Everything => Response::Keys(node.store.keys()),
        Request::Totals { .. } | Request::Ended { .. } | Request::Accounts if !node.store.is_sure() => {
            Response::Unsure
        }
        Request::Totals { accounts } => {
            Response::Parts(accounts.into_iter().map(|account| node.store.parts(account)).collect())
        }
        Request::Ended { from_ns, until_ns } => Response::Keys(node.store.ended(&(from_ns..until_ns))),
        Request::Tell(keys) => {
            node.store.tell(&keys);
            Response::Stored
        }
        Request::Accounts => {
            let (accounts, last_ended_ns) = node.store.accounts();
            Response::Accounts { accounts, last_ended_ns, settled: node.is_settled() }
        }
    };
    replier.reply(response, Bytes::new());
}
