//! Who makes a period's bill.

use super::bill::{PART_LINES, period_of};
use super::tasks::PARTS_MAX;
use super::{Bill, Job, Node, Part, Request, Response, TASK_WAIT, object_of, period_ns};
use crate::archive::{Archive, ArchiveError};
use crate::queue::QueueClient;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use sim::history::Fact;
use sim::stack::Deployment;
use sim::time::{Instant, sleep};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// How often the next period is looked at, on the average.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A bill is its first coordinator's to make; after so long, the next one's, and so on.
const TAKE_OVER: Duration = Duration::from_secs(5);
/// How long the queue may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// Batches of one map task, at the least; and about how many tasks there are where that does not make them too large.
const SPLIT_BATCHES_MIN: usize = 8;
const MAPS: usize = 256;
/// Uses of one map task at the most: all of them may be one customer's, and what a task gives to one part has to fit into one frame.
const MAP_LINES: u64 = 200_000;
/// How often a task is tried before the whole bill is begun anew.
const ATTEMPTS: usize = 6;

/// Reads all bills back from cold storage and notes what they hold, once everything is billed that was used until
/// `last_ended_ns`; false before. Where nobody bills, there is nothing to read.
pub(crate) async fn read_bills(deployment: &Arc<Deployment>, last_ended_ns: u64) -> bool {
    if deployment.of_role(super::ROLE).next().is_none() {
        return true;
    }
    // Time goes on in the queue only where somebody asks.
    let asked = QueueClient::new(deployment).uses_complete_until(Instant::now() + ANSWER_WAIT).await;
    let archive = Archive::new(deployment);
    let Ok(names) = archive.names().await else { return false };
    let periods: Vec<u64> = names.iter().filter_map(|name| period_of(name)).collect();
    let billed_ns = (periods.len() as u64).saturating_mul(period_ns(deployment));
    if asked.is_err() || billed_ns <= last_ended_ns {
        return false;
    }
    for period in periods {
        match read(&archive, period, Part::record).await {
            // What a bill holds is noted when it is made.
            Ok(()) | Err(ReadError::Archive(ArchiveError::Discarded { .. })) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Why a bill cannot be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    /// That says nothing of the bill.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("`{0}` is not in the archive")]
    Missing(String),
    #[error("`{0}` is not what it should be: {1}")]
    Malformed(String, serde_json::Error),
}

/// Reads a period's bill from cold storage, and has each of its parts seen that is still there: each is older than the bill.
async fn read(archive: &Archive, period: u64, see: impl Fn(&Part)) -> Result<(), ReadError> {
    let bill: Bill = read_object(archive, object_of(period)).await?;
    for object in bill.parts.into_iter().flatten() {
        match read_object(archive, object).await {
            Err(ReadError::Archive(ArchiveError::Discarded { .. })) => {}
            part => see(&part?),
        }
    }
    Ok(())
}

async fn read_object<T: DeserializeOwned>(archive: &Archive, object: String) -> Result<T, ReadError> {
    match archive.get(&object).await? {
        Some(content) => {
            serde_json::from_slice(&content).map_err(|error| ReadError::Malformed(object, error))
        }
        None => Err(ReadError::Missing(object)),
    }
}

/// A period to be billed: its number, and where it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Next {
    period: u64,
    from_ns: u64,
}

/// Makes bills for ever.
pub(super) async fn run(node: Arc<Node>) {
    let mut chance = sim::node::stream("billing");
    let mut next: Option<Next> = None;
    let mut complete_since = None;
    let mut unheard: Option<Bill> = None;
    let mut last_read = Instant::now();
    loop {
        sleep(chance.duration(LOOK_EVERY / 2..LOOK_EVERY * 3 / 2)).await;
        // An archive that nobody reads from is not known to be one: once a period, the last bill is read back.
        if let Some(last) = next.and_then(|next| next.period.checked_sub(1))
            && last_read.elapsed() >= Duration::from_nanos(node.period_ns)
        {
            last_read = Instant::now();
            node.read_back(last, |_| ()).await;
        }
        // What is before the last known bill is known, or discarded; receipts stay, and would be ever more to ask for.
        let known = next.map_or(0, |next| next.period);
        let from = unheard.as_ref().map_or(known, |bill| bill.period.min(known)).saturating_sub(1);
        let before = from.checked_sub(1).map(object_of).unwrap_or_default();
        let Ok(names) = node.archive.kept(&before).await else { continue };
        // Too few nodes said in time that they keep it, or what it holds, and they do: nobody has noted that.
        if let Some(bill) = unheard.take_if(|bill| names.contains(&object_of(bill.period))) {
            unheard = node.archive(bill).await;
        }
        let period = names.iter().filter_map(|name| period_of(name)).map(|period| period + 1).max();
        let period = period.unwrap_or_default().max(known);
        let to_bill = match next.filter(|next| next.period == period) {
            Some(next) => next,
            None => {
                let Some(from_ns) = node.begins_ns(period, next).await else { continue };
                complete_since = None;
                *next.insert(Next { period, from_ns })
            }
        };
        let until_ns = to_bill.from_ns.saturating_add(node.period_ns);
        if complete_since.is_none() && node.is_complete(until_ns).await {
            complete_since = Some(Instant::now());
        }
        let Some(since) = complete_since else { continue };
        // The first coordinator's neighbour waits once, the next one twice.
        let count = node.remotes.len();
        let first = usize::try_from(period % count as u64).expect("less than their number");
        let turns = u32::try_from((node.me + count - first) % count).unwrap_or(u32::MAX);
        if since.elapsed() >= TAKE_OVER.saturating_mul(turns) {
            let job = Job { period, run: chance.next_u64() };
            if let Some(bill) = node.make(job, to_bill.from_ns..until_ns).await {
                unheard = node.archive(bill).await;
            }
        }
    }
}

impl Node {
    /// Where a period begins: where the one before ends, however long periods were then. None where that cannot be read.
    async fn begins_ns(&self, period: u64, known: Option<Next>) -> Option<u64> {
        match (known, period.checked_sub(1)) {
            (_, None) => Some(0),
            (Some(known), _) if known.period < period => {
                Some(known.from_ns.saturating_add((period - known.period).saturating_mul(self.period_ns)))
            }
            (_, Some(last)) => {
                match read_object::<Bill>(&self.archive, object_of(last)).await {
                    Ok(bill) => Some(bill.until_ns),
                    // It stands in its receipt, for this: or nothing would be billed any more.
                    Err(ReadError::Archive(ArchiveError::Discarded { note, .. })) => Some(note),
                    Err(_) => None,
                }
            }
        }
    }

    /// Whether the usage store was given all uses until then.
    async fn is_complete(&self, until_ns: u64) -> bool {
        let complete = self.queue.uses_complete_until(Instant::now() + ANSWER_WAIT).await;
        complete.is_ok_and(|complete_ns| complete_ns >= until_ns)
    }

    /// The bill of this time; none where too little answers.
    async fn make(&self, job: Job, time_ns: Range<u64>) -> Option<Bill> {
        let (from_ns, until_ns) = (time_ns.start, time_ns.end);
        let deadline = Instant::now() + TASK_WAIT;
        let batches: Vec<_> = self.reader.ended(time_ns, deadline).await.ok()?.into_iter().collect();
        let parts = parts(batches.len() as u64, self.batch_lines, self.remotes.len());
        let split = split(batches.len(), self.batch_lines);
        let maps: Vec<Request> = (0..)
            .zip(batches.chunks(split))
            .map(|(task, batches)| Request::Map {
                job,
                task,
                parts,
                from_ns,
                until_ns,
                batches: batches.to_vec(),
            })
            .collect();
        let mut places = BTreeMap::new();
        for (task, map) in (0..).zip(&maps) {
            places.insert(task, self.map(map, task as usize).await?);
        }
        let mut objects = Vec::new();
        for part in 0..parts {
            objects.push(self.reduce(job, part, &maps, &mut places).await?);
        }
        Some(Bill { period: job.period, from_ns, until_ns, parts: objects })
    }

    /// Has some node do a map task, beginning with the one at `place`: the node that did.
    async fn map(&self, map: &Request, place: usize) -> Option<u32> {
        for attempt in 0..ATTEMPTS {
            let place = (place + attempt) % self.remotes.len();
            let done = self.ask(place, map.clone(), Instant::now() + TASK_WAIT).await;
            if done == Some(Response::Mapped) {
                return u32::try_from(place).ok();
            }
        }
        None
    }

    /// Has some node reduce a part: the archive's names for it. Map tasks whose output is lost are done again, elsewhere.
    async fn reduce(
        &self,
        job: Job,
        part: u32,
        maps: &[Request],
        places: &mut BTreeMap<u32, u32>,
    ) -> Option<Vec<String>> {
        for attempt in 0..ATTEMPTS {
            let place = (part as usize + attempt) % self.remotes.len();
            let maps_done = places.iter().map(|(task, place)| (*task, *place)).collect();
            let reduce = Request::Reduce { job, part, maps: maps_done };
            match self.ask(place, reduce, Instant::now() + TASK_WAIT).await {
                Some(Response::Reduced(objects)) => return Some(objects),
                Some(Response::Lost(tasks)) => {
                    sim::sometimes!("the output of a map task is lost and made again");
                    for task in tasks {
                        let before = places.get(&task).copied().unwrap_or_default();
                        let place = self.map(maps.get(task as usize)?, before as usize + 1).await?;
                        places.insert(task, place);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Reads a bill from cold storage, as an auditor would; that it is not there, or no bill, is for people to look into. False where too
    /// few nodes answer.
    async fn read_back(&self, period: u64, see: impl Fn(&Part)) -> bool {
        match read(&self.archive, period, see).await {
            Err(wrong @ (ReadError::Missing(_) | ReadError::Malformed(..))) => {
                let text = format!("the bill of period {period} cannot be read back: {wrong}");
                sim::node::record(Fact::Note { text });
                true
            }
            Ok(()) | Err(ReadError::Archive(ArchiveError::Discarded { .. })) => true,
            Err(ReadError::Archive(_)) => false,
        }
    }

    /// Puts the bill into cold storage, where it takes effect; what it says is read from there. Gives the bill back where either may not
    /// have been done.
    async fn archive(&self, bill: Bill) -> Option<Bill> {
        let content = serde_json::to_vec(&bill).expect("a bill is JSON");
        match self.archive.put(&object_of(bill.period), bill.until_ns, &Bytes::from(content)).await {
            Ok(()) if self.read_back(bill.period, Part::record).await => None,
            Ok(()) => Some(bill),
            Err(error) => {
                let text = format!("period {} is not billed: {error}", bill.period);
                sim::node::record(Fact::Note { text });
                (error == ArchiveError::Unavailable).then_some(bill)
            }
        }
    }
}

/// How many parts a bill of so many batches has: one for each node at least, and enough for one object to hold one, about.
fn parts(batches: u64, batch_lines: u64, nodes: usize) -> u32 {
    let few = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).min(PARTS_MAX);
    few(batches.saturating_mul(batch_lines).div_ceil(PART_LINES as u64)).max(few(nodes as u64))
}

/// How many batches, of so many in all, are one map task.
fn split(batches: usize, batch_lines: u64) -> usize {
    let most = usize::try_from(MAP_LINES / batch_lines.max(1)).unwrap_or(usize::MAX).max(1);
    (batches / MAPS).max(SPLIT_BATCHES_MIN).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_map_task_gives_is_never_too_much_for_a_frame() {
        assert_eq!(split(0, 64), SPLIT_BATCHES_MIN);
        assert_eq!(split(562_500, 64), 2_197);
        assert_eq!(split(5_625_000, 64), 3_125, "more tasks, and not larger ones");
        assert_eq!(split(1_000, 100_000), 2);
    }

    #[test]
    fn a_bill_has_a_part_for_each_node_and_more_where_there_is_much_to_bill() {
        assert_eq!(parts(0, 64, 3), 3);
        assert_eq!(parts(2_000, 64, 3), 3);
        // An hour at 10 000 requests a second.
        assert_eq!(parts(562_500, 64, 3), 720);
        assert_eq!(parts(u64::MAX, u64::MAX, 3), PARTS_MAX);
    }
}
