//! From the queue into the store: batches are fetched, kept by enough nodes, and then forgotten by the queue.

use super::in_ledgers;
use super::protocol::{Key, Request, Response};
use super::repair::Node;
use super::store::digest_of;
use crate::queue::{Batch, QueueClient};
use sim::history::{Fact, Id};
use sim::rng::Stream;
use sim::stack::Deployment;
use sim::time::{Instant, sleep};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often the queue is asked, on the average.
const COLLECT_EVERY: Duration = Duration::from_millis(500);
/// How long the queue may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// Batches that are fetched at once.
const BATCHES: u32 = 16;
/// A batch is its first owner's to collect; after so long it is anybody's.
const TAKE_OVER: Duration = Duration::from_secs(3);

/// Collects for ever.
pub(super) async fn run(node: Arc<Node>, deployment: Arc<Deployment>) {
    let queue = QueueClient::new(&deployment);
    let mut chance = sim::node::stream("collect");
    let mut seen: BTreeMap<u64, Instant> = BTreeMap::new();
    loop {
        sleep(chance.duration(COLLECT_EVERY / 2..COLLECT_EVERY * 3 / 2)).await;
        let Ok(batches) = queue.unsent_uses(BATCHES, Instant::now() + ANSWER_WAIT).await else { continue };
        seen.retain(|number, _| batches.iter().any(|batch| batch.number == *number));
        for batch in batches {
            let first_seen = *seen.entry(batch.number).or_insert_with(Instant::now);
            let key = Key { number: batch.number, attempt: 0 };
            let first = node.ring.ranking(key).first() == Some(&node.me);
            if (first || first_seen.elapsed() >= TAKE_OVER) && store(&node, &batch, &mut chance).await {
                // Where that is lost, the batch comes again, and is known.
                let _ = queue.forget_uses(batch.number, Instant::now() + ANSWER_WAIT).await;
            }
        }
    }
}

/// Stores a batch on its owners, or on others that stand in for them. False where too few have it.
async fn store(node: &Node, batch: &Batch, chance: &mut Stream) -> bool {
    let attempt = if node.settings.idempotent { 0 } else { chance.next_u64() | 1 };
    let key = Key { number: batch.number, attempt };
    // As a client of the store the node is numbered from the top, where no customer is.
    let write = Id(Id::new(u32::MAX - node.place(), 0).0 | key.number & u64::from(u32::MAX));
    let (name, value) = (key.to_string(), digest_of(&batch.lines));
    sim::node::record(Fact::Write { id: write, key: name, value, over: Vec::new() });
    let ranking = node.ring.ranking(key);
    let (owners, others) = ranking.split_at(node.settings.copies);
    let mut spare = others.iter();
    let mut kept = 0;
    for owner in owners {
        let put = |hint| Request::Put { key, lines: batch.lines.clone(), hint };
        if node.ask(*owner, put(None)).await == Some(Response::Stored) {
            kept += 1;
            continue;
        }
        let hint = u32::try_from(*owner).ok();
        while node.settings.hinted_handoff
            && let Some(other) = spare.next()
        {
            if node.ask(*other, put(hint)).await == Some(Response::Stored) {
                sim::sometimes!("a node keeps usage for another that is away");
                kept += 1;
                break;
            }
        }
    }
    if kept < node.settings.write_acks {
        return false;
    }
    sim::node::record(Fact::Written { id: write });
    let start = batch.number.wrapping_mul(node.settings.batch_lines).wrapping_add(attempt);
    for (line, place) in batch.lines.iter().zip(0_u64..) {
        for (ledger, amount) in in_ledgers(line.amounts) {
            let (account, id, position) = (line.id.client(), line.id, start.wrapping_add(place));
            sim::node::record(Fact::Count { ledger, account, id, amount, position });
        }
    }
    true
}
