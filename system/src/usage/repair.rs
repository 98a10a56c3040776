//! How nodes come to hold the same: hints that are handed over, and hashes that are compared.

use super::protocol::{Key, Named, Request, Response};
use super::ring::Ring;
use super::store::{Put, Store};
use super::{PATIENCE, PORT, Settings};
use crate::queue::Line;
use crate::rpc::Remote;
use bytes::Bytes;
use sim::history::Digest;
use sim::time::{Instant, sleep};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often a node that may have lost batches asks the others for theirs.
const CATCH_UP_EVERY: Duration = Duration::from_millis(500);
/// How often hints are offered to their owners.
const HAND_OVER_EVERY: Duration = Duration::from_secs(1);
/// Batches of one range: what is compared as one before single names are.
const RANGE_BATCHES: u64 = 64;
/// Batches that are asked for at once.
const FETCH_BATCHES: usize = 64;

/// One node: its batches, and ways to the others.
pub(super) struct Node {
    pub(super) me: usize,
    pub(super) settings: Arc<Settings>,
    pub(super) ring: Arc<Ring>,
    pub(super) store: Store,
    remotes: Vec<Remote<Request, Response>>,
    /// Nodes that were found to hold the same, and nothing was stored since.
    agreed: Mutex<BTreeSet<u32>>,
    /// Takes what ends the process.
    failed: mpsc::UnboundedSender<io::Error>,
}

impl Node {
    pub(super) fn new(
        me: usize,
        settings: Arc<Settings>,
        ring: Arc<Ring>,
        store: Store,
        failed: mpsc::UnboundedSender<io::Error>,
    ) -> Self {
        let remotes = settings.nodes.iter().map(|name| Remote::new(name, PORT, PATIENCE)).collect();
        Self { me, settings, ring, store, remotes, agreed: Mutex::default(), failed }
    }

    /// Keeps a batch, durably; `hint` says for whom, where that is not this node. None where the disk failed.
    pub(super) async fn keep(&self, key: Key, lines: Vec<Line>, hint: Option<u32>) -> Option<Put> {
        let hint = hint.filter(|_| !self.ring.owners(key).contains(&self.me));
        match self.store.put(key, lines, hint).await {
            Ok(put) => {
                if put == Put::New {
                    self.agreed().clear();
                }
                Some(put)
            }
            Err(error) => {
                // Nobody listens where another task failed first.
                let _ = self.failed.send(error);
                None
            }
        }
    }

    /// Asks another node, or this one, as if it was another.
    pub(super) async fn ask(&self, place: usize, request: Request) -> Option<Response> {
        let deadline = Instant::now() + PATIENCE;
        let call = self.remotes.get(place)?.call(request, Bytes::new(), deadline);
        sim::time::timeout(PATIENCE, call).await.ok()?.ok().map(|(response, _)| response)
    }

    /// Gets batches from node `from`, of those that this one owns.
    pub(super) async fn fetch(&self, keys: Vec<Key>, from: u32) {
        let keys: Vec<Key> =
            keys.into_iter().filter(|key| self.ring.owners(*key).contains(&self.me)).collect();
        for some in keys.chunks(FETCH_BATCHES) {
            let got = self.ask(from as usize, Request::Get(some.to_vec())).await;
            let Some(Response::Batches(batches)) = got else { return };
            for (key, lines) in batches {
                if self.keep(key, lines, None).await.is_none() {
                    return;
                }
            }
        }
    }

    /// The hashes of what this node has of what it and `other` both own, by range.
    pub(super) fn ranges(&self, other: u32) -> Vec<(u64, Digest)> {
        let mut ranges: BTreeMap<u64, blake3::Hasher> = BTreeMap::new();
        self.store.each_own(|key, held| {
            if self.both_own(key, other) {
                let hasher = ranges.entry(key.number / RANGE_BATCHES).or_default();
                hasher.update(&key.number.to_le_bytes());
                hasher.update(&key.attempt.to_le_bytes());
                hasher.update(&held.digest.0);
            }
        });
        let digest = |hasher: blake3::Hasher| Digest::of(hasher.finalize().as_bytes());
        ranges.into_iter().map(|(range, hasher)| (range, digest(hasher))).collect()
    }

    /// The hash of these hashes.
    pub(super) fn root(&self, other: u32) -> Digest {
        let mut bytes = Vec::new();
        for (range, digest) in self.ranges(other) {
            bytes.extend_from_slice(&range.to_le_bytes());
            bytes.extend_from_slice(&digest.0);
        }
        Digest::of(&bytes)
    }

    /// The batches of these ranges that this node has, of those that both own.
    pub(super) fn keys(&self, other: u32, ranges: &[u64]) -> Vec<Key> {
        let mut keys = Vec::new();
        self.store.each_own(|key, _| {
            if ranges.contains(&(key.number / RANGE_BATCHES)) && self.both_own(key, other) {
                keys.push(key);
            }
        });
        keys
    }

    fn both_own(&self, key: Key, other: u32) -> bool {
        let owners = self.ring.owners(key);
        owners.contains(&self.me) && owners.contains(&(other as usize))
    }

    pub(super) fn agrees_with(&self, other: u32) {
        self.agreed().insert(other);
    }

    /// Whether nothing is left to do here: no hint waits, and all others were last found to hold the same.
    pub(super) fn is_settled(&self) -> bool {
        self.store.hints().is_empty() && self.agreed().len() + 1 >= self.settings.nodes.len()
    }

    fn agreed(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place(&self) -> u32 {
        u32::try_from(self.me).expect("a deployment has fewer than 2^32 nodes")
    }
}

/// Offers batches to the owners that this node stands in for, for ever.
pub(super) async fn hand_over(node: Arc<Node>) {
    loop {
        sleep(HAND_OVER_EVERY).await;
        let mut gone = BTreeSet::new();
        for (key, owner) in node.store.hints() {
            if gone.contains(&owner) {
                continue;
            }
            let Some((_, lines)) = node.store.get(&[key]).pop() else { continue };
            let put = Request::Put { key, lines, hint: None };
            if node.ask(owner as usize, put).await != Some(Response::Stored) {
                gone.insert(owner);
            } else if let Err(error) = node.store.give(key).await {
                let _ = node.failed.send(error);
                return;
            } else {
                sim::sometimes!("usage is handed over to its owner");
            }
        }
    }
}

/// Compares what is here with what each other node has, one after the other, for ever.
pub(super) async fn compare(node: Arc<Node>) {
    let mut chance = sim::node::stream("compare");
    let others: Vec<usize> = (0..node.settings.nodes.len()).filter(|place| *place != node.me).collect();
    loop {
        for other in &others {
            // Nodes that all compare at once would get in each other's way.
            let every = node.settings.compare_every / u32::try_from(others.len()).unwrap_or(1);
            sleep(chance.duration(every / 2..every * 3 / 2)).await;
            let place = u32::try_from(*other).expect("a deployment has fewer than 2^32 nodes");
            let asked = Request::Compare { from: node.place(), root: node.root(place) };
            match node.ask(*other, asked).await {
                Some(Response::Same) => node.agrees_with(place),
                Some(Response::Ranges(theirs)) => level(&node, place, &theirs).await,
                _ => {}
            }
        }
    }
}

/// Has this node, and the others with it, get what it may have lost, until it can be sure that nothing is missing.
pub(super) async fn catch_up(node: Arc<Node>) {
    let nodes = node.settings.nodes.len();
    // Of the W nodes that kept a batch, one may be this node: among so many others there is one of the rest.
    let enough = (nodes + 1 - node.settings.write_acks).min(nodes - 1);
    while !node.store.is_sure() {
        if is_everything_where_it_belongs(&node, enough).await {
            if let Err(error) = node.store.be_sure().await {
                // Nobody listens where another task failed first.
                let _ = node.failed.send(error);
            }
            return;
        }
        sleep(CATCH_UP_EVERY).await;
    }
}

/// Whether `enough` others say what they have, and all of it is with each of its owners that was heard. Those that lack some get it.
async fn is_everything_where_it_belongs(node: &Node, enough: usize) -> bool {
    let mut holders: BTreeMap<Key, BTreeSet<usize>> = BTreeMap::new();
    let mut heard = BTreeSet::new();
    for other in (0..node.settings.nodes.len()).filter(|place| *place != node.me) {
        let Some(Response::Keys(keys)) = node.ask(other, Request::Everything).await else { continue };
        heard.insert(other);
        for key in keys {
            holders.entry(key).or_default().insert(other);
        }
    }
    let mut whole = heard.len() >= enough;
    let mut own: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
    for (key, holders) in &holders {
        let Some(from) = holders.first().and_then(|place| u32::try_from(*place).ok()) else { continue };
        for owner in node.ring.owners(*key) {
            if owner == node.me && !node.store.owns(*key) {
                own.entry(from).or_default().push(*key);
            } else if heard.contains(&owner) && !holders.contains(&owner) {
                // The next round sees whether it has it then.
                whole = false;
                node.ask(owner, Request::Fetch { key: *key, from }).await;
            }
        }
    }
    sim::sometimes!(!own.is_empty(), "a node of the usage store gets back what its disk had lost");
    for (from, keys) in own {
        node.fetch(keys.clone(), from).await;
        whole &= keys.into_iter().all(|key| node.store.owns(key));
    }
    whole
}

/// Gets what `other` has of the ranges that differ, and gives it what it lacks.
async fn level(node: &Node, other: u32, theirs: &[(u64, Digest)]) {
    let ours = node.ranges(other);
    let only = |these: &[(u64, Digest)], those: &[(u64, Digest)]| {
        these.iter().filter(|range| !those.contains(range)).map(|(range, _)| *range).collect::<Vec<_>>()
    };
    let ranges: BTreeSet<u64> = only(&ours, theirs).into_iter().chain(only(theirs, &ours)).collect();
    let ranges: Vec<u64> = ranges.into_iter().collect();
    let asked = Request::Keys { from: node.place(), ranges: ranges.clone() };
    let Some(Response::Keys(theirs)) = node.ask(other as usize, asked).await else { return };
    let ours = node.keys(other, &ranges);
    let lacking: Vec<Key> = theirs.iter().filter(|key| !ours.contains(key)).copied().collect();
    sim::sometimes!(!lacking.is_empty(), "a comparison finds usage that a node lacks");
    node.fetch(lacking, other).await;
    for (key, lines) in node.store.get(&ours) as Vec<Named> {
        if !theirs.contains(&key)
            && node.ask(other as usize, Request::Put { key, lines, hint: None }).await.is_none()
        {
            return;
        }
    }
}
