//! Blobs: bodies and outputs, named by their content, kept beside the queue's order and out of its log.
//!
//! Each replica of the queue keeps its own. Whoever has a blob to keep stores it on a majority and then tells the queue
//! ([`Blobs::put`]); whoever needs one asks the replicas in turn ([`Blobs::get`]). The queue's state says which are needed;
//! what a replica misses it gets from the others, and what nobody needs it throws away ([`store`] says when).

mod segment;
pub mod store;

use crate::config::Agent;
use crate::queue::state::{AsOf, BlobRef};
use crate::rpc::{self, Incoming, Remote, RpcError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sim::history::Digest;
use sim::net::TcpListener;
use sim::stack::Deployment;
use sim::task;
use sim::time::{Instant, sleep};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// The port of the blobs on a node of the queue.
pub const BLOBS_PORT: u16 = 73;

/// Silence of a replica for longer than this is taken for its death.
pub const PATIENCE: Duration = Duration::from_millis(1_500);

/// How long a blob that another replica has may be on its way here too, before it is fetched.
const REPAIR_DELAY: Duration = Duration::from_secs(2);
/// How often files are looked through for what can be moved together.
const COMPACT_EVERY: Duration = Duration::from_secs(60);

/// What is asked of a replica's blobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Store the bytes beside this.
    Put(Digest),
    /// Give the bytes.
    Get(Digest),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Stored, durably.
    Stored(AsOf),
    /// The bytes are beside this.
    Found,
    /// It does not have the blob.
    Missing,
    /// It cannot read the blob just now.
    Unreadable,
}

/// The blobs of all replicas.
#[derive(Clone)]
pub struct Blobs {
    replicas: Vec<Remote<Request, Response>>,
    /// How many keep a blob before it counts as kept: as many as are a majority of the replicas that vote. Any will do, since
    /// whoever looks for a blob asks all; spares too, for they know from the order what is needed, as the others do.
    copies: usize,
}

impl Blobs {
    /// The blobs of the queue of `deployment`.
    pub fn new(deployment: &Deployment) -> Self {
        let nodes = deployment.of_role("queue");
        let replicas: Vec<_> = nodes.map(|node| Remote::new(&node.name, BLOBS_PORT, PATIENCE)).collect();
        let spares = usize::try_from(deployment.number("queue.spares")).unwrap_or(usize::MAX);
        let copies = replicas.len().saturating_sub(spares) / 2 + 1;
        Self { replicas, copies }
    }

    /// Stores a blob on as many replicas as are a majority of those that vote, durably.
    ///
    /// # Errors
    /// Where too few answer.
    pub async fn put(&self, bytes: Bytes, deadline: Instant) -> Result<BlobRef, RpcError> {
        let digest = Digest::of(&bytes);
        let request = Request::Put(digest);
        let stored =
            rpc::ask_all(&self.replicas, &request, &bytes, deadline, self.copies, |answer| match answer {
                Response::Stored(as_of) => Ok(as_of),
                _ => Err(RpcError::Unreachable("a replica refused a blob".to_owned())),
            });
        // A command is only good for as long as the least informed of the majority can tell.
        let least = |one: AsOf, other: AsOf| AsOf {
            position: one.position.min(other.position),
            clock_ns: one.clock_ns.min(other.clock_ns),
        };
        let as_of = stored.await?.into_iter().reduce(least).expect("a majority is one at least");
        Ok(BlobRef { digest, as_of })
    }

    /// The bytes of a blob; none where no replica that answers has it.
    ///
    /// # Errors
    /// Where some replica does not answer, or cannot read it, and no other has it.
    pub async fn get(&self, digest: Digest, deadline: Instant) -> Result<Option<Bytes>, RpcError> {
        // Spread over the replicas, those that were reachable first.
        let (start, count) = (usize::from(digest.0[0]), self.replicas.len());
        let mut order: Vec<_> = (0..count).map(|turn| &self.replicas[(start + turn) % count]).collect();
        order.sort_by_key(|replica| replica.is_down());
        let mut failed = None;
        for replica in order {
            match replica.call(Request::Get(digest), Bytes::new(), deadline).await {
                Ok((Response::Found, bytes)) if Digest::of(&bytes) == digest => return Ok(Some(bytes)),
                Ok((Response::Unreadable, _)) => {
                    failed = Some(RpcError::Unreachable("a replica cannot read a blob".to_owned()));
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }
}

/// Serves one replica's blobs to everybody. Returns only where the port fails.
///
/// # Errors
/// Where the port fails.
pub(crate) async fn serve(store: Store, listener: TcpListener, agent: &Arc<Agent>) -> io::Result<()> {
    let door = agent.door(
        move |incoming: Incoming<Request, Response>| {
            let Incoming { request, blob, replier, .. } = incoming;
            match request {
                // Without an answer where the disk fails: the process ends.
                Request::Put(digest) => store.begin_put(digest, blob, move |as_of| {
                    replier.reply(Response::Stored(as_of), Bytes::new());
                }),
                Request::Get(digest) => {
                    let store = store.clone();
                    task::spawn(async move {
                        match store.get(digest).await {
                            Ok(Some(bytes)) => replier.reply(Response::Found, bytes),
                            Ok(None) => replier.reply(Response::Missing, Bytes::new()),
                            Err(_) => replier.reply(Response::Unreadable, Bytes::new()),
                        }
                    });
                }
            }
        },
        |reply| matches!(reply, Response::Unreadable),
    );
    rpc::listen(listener, door).await
}

/// Fetches what this replica misses from the others, for ever.
pub async fn repair(store: Store, others: Blobs) {
    loop {
        store.until_missing().await;
        let mut delay = REPAIR_DELAY;
        loop {
            sleep(delay).await;
            let missing = store.missing();
            if missing.is_empty() {
                break;
            }
            delay = REPAIR_DELAY.max(delay * 2).min(REPAIR_DELAY * 8);
            for digest in missing {
                let deadline = Instant::now() + PATIENCE * 2;
                if let Ok(Some(bytes)) = others.get(digest, deadline).await
                    && store.put(digest, bytes).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

/// Moves blobs together so that files can go, for ever.
pub async fn compact(store: Store) {
    loop {
        sleep(COMPACT_EVERY).await;
        store.compact().await;
    }
}

#[cfg(test)]
mod message_tests {
    use super::*;
    use crate::wire::messages::{are_no_reason_to_panic, is_never_misread};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_or_not_at_all(
            place: prop::sample::Index,
            bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80),
        ) {
            for message in [
                Request::Put(Digest([5; 16])),
                Request::Get(Digest([0; 16])),
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Request>(&bytes);
            for message in [
                Response::Stored(AsOf { position: 300, clock_ns: 4 }),
                Response::Missing,
                Response::Unreadable,
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Response>(&bytes);
        }
    }
}
