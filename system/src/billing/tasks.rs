//! Map and reduce, as a node does them.

use super::bill::{PART_LINES, part_of};
use super::{Job, Node, Part, Request, Response};
use crate::queue::Line;
use crate::usage::Key;
use bytes::Bytes;
use sim::time::{Instant, timeout};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs whose parts are kept; older ones are over or will be done again.
const JOBS_MAX: usize = 8;

/// A bill has no more parts.
pub(super) const PARTS_MAX: u32 = 1 << 16;

/// The uses of a map task, by part.
type Parts = Vec<Vec<Line>>;

/// What this node's map tasks gave, by run, the latest last: in memory, and lost with it.
#[derive(Default)]
pub(super) struct Outputs(Mutex<VecDeque<(Job, BTreeMap<u32, Parts>)>>);

impl Outputs {
    pub(super) fn part(&self, job: Job, task: u32, part: u32) -> Response {
        let outputs = self.lock();
        let tasks = outputs.iter().find(|(kept, _)| *kept == job);
        let parts = tasks.and_then(|(_, tasks)| tasks.get(&task));
        match parts.and_then(|parts| parts.get(part as usize)) {
            Some(lines) => Response::Part(lines.clone()),
            None => Response::Lost(vec![task]),
        }
    }

    fn keep(&self, job: Job, task: u32, parts: Parts) {
        let mut outputs = self.lock();
        if let Some((_, tasks)) = outputs.iter_mut().find(|(kept, _)| *kept == job) {
            tasks.insert(task, parts);
            return;
        }
        outputs.push_back((job, BTreeMap::from([(task, parts)])));
        if outputs.len() > JOBS_MAX {
            outputs.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Job, BTreeMap<u32, Parts>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the batches and keeps the uses that ended in this time.
pub(super) async fn map(
    node: &Node,
    (job, task): (Job, u32),
    parts: u32,
    time_ns: Range<u64>,
    batches: Vec<(Key, u32)>,
    deadline: Instant,
) -> Response {
    // A request that says otherwise was not made by a node of the tier.
    if !(1..=PARTS_MAX).contains(&parts) {
        return Response::Failed;
    }
    let mut output = vec![Vec::new(); parts as usize];
    let mut keys: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
    batches.into_iter().for_each(|(key, place)| keys.entry(place).or_default().push(key));
    for (place, keys) in keys {
        let Some(lines) = node.reader.lines(&keys, place, deadline).await else { return Response::Failed };
        for line in lines.into_iter().filter(|line| time_ns.contains(&line.ended_ns)) {
            let Some(part) = part_of(line.id.client(), output.len()) else { return Response::Failed };
            output[part].push(line);
        }
    }
    node.outputs.keep(job, task, output);
    Response::Mapped
}

/// Fetches a part of what each map task gave, from the node that did it, and archives the invoices that come of it.
pub(super) async fn reduce(
    node: &Node,
    job: Job,
    part: u32,
    maps: Vec<(u32, u32)>,
    deadline: Instant,
) -> Response {
    let (mut lines, mut lost) = (Vec::new(), Vec::new());
    for (task, place) in maps {
        match node.ask(place as usize, Request::Part { job, task, part }, deadline).await {
            Some(Response::Part(more)) => lines.extend(more),
            _ => lost.push(task),
        }
    }
    if !lost.is_empty() {
        return Response::Lost(lost);
    }
    let mut objects = Vec::new();
    for part in Part::split(job.period, lines, PART_LINES) {
        let content = Bytes::from(serde_json::to_vec(&part).expect("a part is JSON"));
        let object = part.object(&content);
        if node.archive.put(&object, 0, &content).await.is_err() {
            return Response::Failed;
        }
        objects.push(object);
    }
    Response::Reduced(objects)
}

impl Node {
    /// Asks a node of the tier, or this one, as if it was another.
    pub(super) async fn ask(&self, place: usize, request: Request, deadline: Instant) -> Option<Response> {
        let call = self.remotes.get(place)?.call(request, Bytes::new(), deadline);
        timeout(deadline - Instant::now(), call).await.ok()?.ok().map(|(response, _)| response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_run_is_forgotten_whatever_its_number() {
        let outputs = Outputs::default();
        let has = |job| outputs.part(job, 0, 0) == Response::Part(Vec::new());
        let mut runs: Vec<Job> =
            (0..=JOBS_MAX as u64).map(|run| Job { period: 1, run: u64::MAX - run }).collect();
        for job in &runs {
            outputs.keep(*job, 0, vec![Vec::new()]);
            assert!(has(*job), "the latest is kept");
        }
        assert!(!has(runs.remove(0)), "the oldest is not");
        assert!(runs.into_iter().all(has));
    }
}
