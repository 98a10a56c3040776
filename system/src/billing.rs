//! Billing: for each period, what each customer is to pay for, line by line, from the usage store into cold storage.
//!
//! A MapReduce (Dean and Ghemawat 2004). The coordinator of a period waits until the queue says that the store was given
//! all uses that ended in it, and splits the period's batches into map tasks. Who maps keeps what comes of it, split by
//! customer (section 3.1); who reduces fetches its part from all of them and puts it into the archive, in objects of no more than so
//! many uses, each under a name that says what is in it. A task whose node is gone, or has forgotten, is done again elsewhere (3.3): that is harmless, since what comes
//! of a task depends on its input alone, and since a bill takes effect at one moment, when the archive has the list of its
//! parts under the period's name.
//!
//! Any node may coordinate any period: two that do so at once make the same bill. Each period has a first coordinator, so
//! that this is rare.

mod bill;
mod coordinator;
mod tasks;

pub use bill::{Bill, Invoice, Part, object_of};
pub(crate) use coordinator::read_bills;

use crate::archive::Archive;
use crate::config::Agent;
use crate::queue::{Line, QueueClient};
use crate::rpc::{self, Incoming, Remote};
use crate::usage::{Key, UsageReader};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim::history::Fact;
use sim::net::TcpListener;
use sim::stack::{Deployment, Process};
use sim::task;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tasks::Outputs;

/// The role of these nodes.
pub const ROLE: &str = "batch";
/// The port that they are called at.
pub const PORT: u16 = 75;

/// How long a task may take.
const TASK_WAIT: Duration = Duration::from_secs(3);

/// One run of one period's bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Job {
    period: u64,
    /// A number that no other run draws.
    run: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// Read batches, keep the uses that ended in the period, by part.
    Map { job: Job, task: u32, parts: u32, from_ns: u64, until_ns: u64, batches: Vec<(Key, u32)> },
    /// Give a part of what a map task gave.
    Part { job: Job, task: u32, part: u32 },
    /// Fetch a part of every map task, each from its node, make invoices of it, and archive them.
    Reduce { job: Job, part: u32, maps: Vec<(u32, u32)> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Response {
    /// The map task is done.
    Mapped,
    /// The part.
    Part(Vec<Line>),
    /// The archive has the part, under these names.
    Reduced(Vec<String>),
    /// Some input could not be had, or the archive could not.
    Failed,
    /// What these map tasks gave is not to be had any more.
    Lost(Vec<u32>),
}

/// One node.
struct Node {
    me: usize,
    period_ns: u64,
    /// Uses of a batch at the most.
    batch_lines: u64,
    remotes: Vec<Remote<Request, Response>>,
    reader: UsageReader,
    queue: QueueClient,
    archive: Archive,
    outputs: Outputs,
}

/// Runs one node of the tier, until its process ends: should its port fail, that is at once.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) {
    if let Err(error) = run(&process, &agent).await {
        sim::node::record(Fact::Note { text: format!("the batch node ends: {error}") });
    }
}

async fn run(process: &Process, agent: &Arc<Agent>) -> io::Result<()> {
    let deployment = &process.deployment;
    let names: Vec<&str> = deployment.of_role(ROLE).map(|node| node.name.as_str()).collect();
    let me = names.iter().position(|name| *name == process.node.name);
    let node = Arc::new(Node {
        me: me.ok_or_else(|| io::Error::other("this node is not of the tier"))?,
        period_ns: period_ns(deployment),
        batch_lines: deployment.number("usage.batch-lines"),
        remotes: names.iter().map(|name| Remote::new(name, PORT, TASK_WAIT)).collect(),
        reader: UsageReader::new(deployment),
        queue: QueueClient::new(deployment),
        archive: Archive::new(deployment),
        outputs: Outputs::default(),
    });
    let listener = TcpListener::bind(PORT).await?;
    task::spawn(coordinator::run(node.clone()));
    let door = agent.door(
        move |incoming| {
            task::spawn(answer(node.clone(), incoming));
        },
        |reply| matches!(reply, Response::Failed),
    );
    rpc::listen(listener, door).await
}

async fn answer(node: Arc<Node>, incoming: Incoming<Request, Response>) {
    let Incoming { request, deadline, replier, .. } = incoming;
    let response = match request {
        Request::Map { job, task, parts, from_ns, until_ns, batches } => {
            tasks::map(&node, (job, task), parts, from_ns..until_ns, batches, deadline).await
        }
        Request::Part { job, task, part } => node.outputs.part(job, task, part),
        Request::Reduce { job, part, maps } => tasks::reduce(&node, job, part, maps, deadline).await,
    };
    replier.reply(response, Bytes::new());
}

fn period_ns(deployment: &Deployment) -> u64 {
    u64::try_from(deployment.duration("billing.period").as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod message_tests {
    use super::*;
    use crate::wire::messages::{are_no_reason_to_panic, is_never_misread};
    use proptest::prelude::*;

    fn job() -> Job {
        Job { period: 3, run: u64::MAX }
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_or_not_at_all(
            place: prop::sample::Index,
            bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80),
        ) {
            for message in [
                Request::Map { job: job(), task: 1, parts: 3, from_ns: 0, until_ns: 9, batches: vec![(Key { number: 4, attempt: 0 }, 2)] },
                Request::Part { job: job(), task: 1, part: 2 },
                Request::Reduce { job: job(), part: 0, maps: vec![(0, 1), (1, 2)] },
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Request>(&bytes);
            for message in [
                Response::Mapped,
                Response::Reduced(vec!["bill-000000000003-0a1b".to_owned()]),
                Response::Lost(vec![1, 300]),
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Response>(&bytes);
        }
    }
}
