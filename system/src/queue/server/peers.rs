//! Between replicas: Paxos messages, and snapshots in parts.

use super::shared::Shared;
use crate::config::Agent;
use crate::queue::log::Snapshot;
use crate::queue::paxos::{Message, Replica, Slot};
use crate::queue::protocol::PEERS_PORT;
use crate::rpc::{self, Incoming, Remote};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sim::history::NodeIndex;
use sim::net::TcpListener;
use sim::stack::Deployment;
use sim::time::Instant;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How much of a snapshot one frame carries.
const PART_BYTES: usize = 1 << 20;
/// A peer is not sent another snapshot before: the first may be on its way.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(3);

/// From one replica to another; the sender's place says which.
#[derive(Serialize, Deserialize)]
pub(super) struct PeerFrame {
    from: Replica,
    content: Content,
}

#[derive(Serialize, Deserialize)]
enum Content {
    Paxos(Message),
    /// A part of a snapshot: the bytes beside this.
    Part {
        slot: Slot,
        part: u32,
        parts: u32,
    },
}

/// Ways to all other replicas.
pub(super) struct Peers {
    me: Replica,
    remotes: BTreeMap<Replica, Remote<PeerFrame, ()>>,
    /// The nodes of all replicas, this one's too.
    nodes: Vec<NodeIndex>,
    sent_snapshot: BTreeMap<Replica, Instant>,
}

impl Peers {
    /// The replicas of `deployment` but `me`. One that is silent for `patience` is connected anew.
    pub(super) fn new(deployment: &Deployment, me: Replica, patience: Duration) -> Self {
        let nodes = (0..).zip(deployment.of_role("queue"));
        let others = nodes.filter(|(replica, _)| *replica != me);
        let remotes = others.map(|(replica, node)| (replica, Remote::new(&node.name, PEERS_PORT, patience)));
        let all = (0..).zip(&deployment.nodes).filter(|(_, node)| node.role == "queue");
        let nodes = all.map(|(index, _)| NodeIndex(index)).collect();
        Self { me, remotes: remotes.collect(), nodes, sent_snapshot: BTreeMap::new() }
    }

    /// What histories call a replica.
    pub(super) fn node(&self, replica: Replica) -> Option<NodeIndex> {
        self.nodes.get(replica as usize).copied()
    }

    pub(super) fn send(&self, to: Replica, message: Message) {
        self.remotes[&to].tell(PeerFrame { from: self.me, content: Content::Paxos(message) }, Bytes::new());
    }

    /// Whether the peer may be sent a snapshot now.
    pub(super) fn may_send_snapshot(&mut self, to: Replica) -> bool {
        let now = Instant::now();
        let before = self.sent_snapshot.get(&to);
        let may = before.is_none_or(|before| now - *before >= SNAPSHOT_EVERY);
        if may {
            self.sent_snapshot.insert(to, now);
        }
        may
    }

    pub(super) fn send_snapshot(&self, to: Replica, snapshot: &Snapshot) {
        let parts = snapshot.state.len().div_ceil(PART_BYTES).max(1);
        for part in 0..parts {
            let bytes =
                snapshot.state.slice(part * PART_BYTES..((part + 1) * PART_BYTES).min(snapshot.state.len()));
            let number = |count| u32::try_from(count).expect("a snapshot has fewer than 2^32 parts");
            let content = Content::Part { slot: snapshot.slot, part: number(part), parts: number(parts) };
            self.remotes[&to].tell(PeerFrame { from: self.me, content }, bytes);
        }
    }
}

/// Takes in what the other replicas send. Returns only where the port fails.
pub(super) async fn listen(
    listener: TcpListener,
    replicas: u32,
    replica: Shared,
    agent: &Arc<Agent>,
) -> io::Result<()> {
    let door = agent.door(
        move |incoming: Incoming<PeerFrame, ()>| {
            let PeerFrame { from, content } = incoming.request;
            if from >= replicas {
                return;
            }
            replica.event(|replica, now| match content {
                Content::Paxos(message) => replica.message(now, from, message),
                Content::Part { slot, part, parts } => replica.part(slot, part, parts, incoming.blob),
            });
        },
        |()| false,
    );
    rpc::listen(listener, door).await
}

/// A snapshot that is coming in.
#[derive(Default)]
pub(super) struct Assembly {
    slot: Slot,
    parts: Vec<Bytes>,
}

impl Assembly {
    /// Takes the next part; parts of one snapshot come in order. The snapshot, once it is whole.
    pub(super) fn add(&mut self, slot: Slot, part: u32, parts: u32, bytes: Bytes) -> Option<Snapshot> {
        if part == 0 {
            (self.slot, self.parts) = (slot, Vec::new());
        }
        if slot != self.slot || part as usize != self.parts.len() {
            return None;
        }
        self.parts.push(bytes);
        if self.parts.len() < parts as usize {
            return None;
        }
        let mut state = BytesMut::new();
        self.parts.drain(..).for_each(|part| state.extend_from_slice(&part));
        Some(Snapshot { slot, state: state.freeze() })
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
            let content = Content::Part { slot: 9, part: 1, parts: 300 };
            is_never_misread(&PeerFrame { from: 2, content }, place);
            are_no_reason_to_panic::<PeerFrame>(&bytes);
        }
    }
}
