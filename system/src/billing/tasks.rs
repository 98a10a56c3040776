//! Map and reduce, as a node does them.

use super::{Invoice, Job, Node, Request, Response};
use crate::queue::Line;
use crate::usage::Key;
use bytes::Bytes;
use sim::time::{Instant, timeout};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Runs whose parts are kept; older ones are over or will be done again.
const JOBS_MAX: usize = 8;

/// The uses of a map task, by part.
type Parts = Vec<Vec<Line>>;

/// What this node's map tasks gave: in memory, and lost with it.
#[derive(Default)]
pub(super) struct Outputs(Mutex<BTreeMap<Job, BTreeMap<u32, Parts>>>);

impl Outputs {
    pub(super) fn part(&self, job: Job, task: u32, part: u32) -> Response {
        let outputs = self.lock();
        let parts = outputs.get(&job).and_then(|tasks| tasks.get(&task));
        match parts.and_then(|parts| parts.get(part as usize)) {
            Some(lines) => Response::Part(lines.clone()),
            None => Response::Lost(vec![task]),
        }
    }

    fn keep(&self, job: Job, task: u32, parts: Parts) {
        let mut outputs = self.lock();
        outputs.entry(job).or_default().insert(task, parts);
        while outputs.len() > JOBS_MAX {
            outputs.pop_first();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Job, BTreeMap<u32, Parts>>> {
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
    let mut output = vec![Vec::new(); parts as usize];
    for (key, place) in batches {
        let Some(lines) = node.reader.batch(key, place, deadline).await else { return Response::Failed };
        for line in lines.into_iter().filter(|line| time_ns.contains(&line.ended_ns)) {
            let Some(part) = line.id.client().checked_rem(parts) else { return Response::Failed };
            output[part as usize].push(line);
        }
    }
    node.outputs.keep(job, task, output);
    Response::Mapped
}

/// Fetches a part of what each map task gave, from the node that did it, and makes invoices.
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
    if lost.is_empty() { Response::Reduced(Invoice::of(lines)) } else { Response::Lost(lost) }
}

impl Node {
    /// Asks a node of the tier, or this one, as if it was another.
    pub(super) async fn ask(&self, place: usize, request: Request, deadline: Instant) -> Option<Response> {
        let call = self.remotes.get(place)?.call(request, Bytes::new(), deadline);
        timeout(deadline - Instant::now(), call).await.ok()?.ok().map(|(response, _)| response)
    }
}
