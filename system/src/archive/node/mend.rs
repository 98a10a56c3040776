//! What a node fetches from the others.

use super::Node;
use crate::archive::file::{Entry, State};
use crate::archive::{NAMES_MOST, PATIENCE, Request, Response, end_of};
use crate::rpc::Remote;
use bytes::Bytes;
use sim::time::{Instant, sleep, timeout};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a node looks for what the others have and it does not, and for what is past its retention.
const MEND_EVERY: Duration = Duration::from_secs(2);

pub(super) type Other = Remote<Request, Response>;

/// Fetches what the others have and this node does not, and discards what is old, until its disk fails.
pub(super) async fn mend(node: &Node, others: &[Other]) -> io::Error {
    loop {
        if let Err(error) = mend_once(node, others).await {
            return error;
        }
        sleep(MEND_EVERY).await;
    }
}

pub(super) async fn mend_once(node: &Node, others: &[Other]) -> io::Result<()> {
    // Of the majority that kept an object, one may be this node: among so many others there is one of the rest.
    let nodes = others.len() + 1;
    let enough = (nodes - nodes / 2).min(others.len());
    let (mut seen, damages) = (0, node.damages.load(Ordering::Relaxed));
    let mut receipts = BTreeMap::new();
    for other in others {
        seen += usize::from(level(node, other, &mut receipts, NAMES_MOST).await?);
    }
    // Only where none of them gave the object itself.
    node.take(receipts).await?;
    // What was found damaged meanwhile may not have been fetched anew.
    if seen >= enough && damages == node.damages.load(Ordering::Relaxed) && !node.sure.load(Ordering::Relaxed)
    {
        node.be_sure().await?;
    }
    node.discard().await
}

/// Fetches what `other` has and this node does not, receipts into `receipts`; false where it was not to be had. It is asked for so
/// many names at a time.
pub(super) async fn level(
    node: &Node,
    other: &Other,
    receipts: &mut BTreeMap<String, Entry>,
    most: u32,
) -> io::Result<bool> {
    let (mut whole, mut after) = (true, String::new());
    loop {
        let Some(names) = names_of(other, after, most).await else { return Ok(false) };
        let end = end_of(&names, most).map(str::to_owned);
        whole &= fetch(node, other, names, receipts).await?;
        match end {
            Some(end) => after = end,
            None => return Ok(whole),
        }
    }
}

/// The first names of what `other` has after `after`.
async fn names_of(other: &Other, after: String, most: u32) -> Option<Vec<String>> {
    match ask(other, Request::Names { after, most }).await? {
        (Response::Names { names, .. }, _) => Some(names),
        _ => None,
    }
}

async fn ask(other: &Other, request: Request) -> Option<(Response, Bytes)> {
    let call = other.call(request, Bytes::new(), Instant::now() + PATIENCE);
    timeout(PATIENCE, call).await.ok()?.ok()
}

/// Fetches those of these objects that this node does not have; false where some were not to be had.
async fn fetch(
    node: &Node,
    other: &Other,
    names: Vec<String>,
    receipts: &mut BTreeMap<String, Entry>,
) -> io::Result<bool> {
    let mut whole = true;
    for name in names {
        if node.objects.lock().await.contains_key(&name) {
            continue;
        }
        match ask(other, Request::Get { name: name.clone() }).await {
            Some((Response::Found { age_ns, note }, content)) => {
                let (hash, came) = (*blake3::hash(&content).as_bytes(), node.ages.came_elsewhere(age_ns));
                node.copy(&name, Entry { hash, note, state: State::Kept(came) }, &content).await?;
            }
            Some((Response::Discarded { hash, note }, _)) => {
                receipts.insert(name, Entry { hash, note, state: State::Discarded });
            }
            Some(_) => whole = false,
            // It is gone, or too slow: the rest would only be waited for.
            None => return Ok(false),
        }
    }
    Ok(whole)
}
