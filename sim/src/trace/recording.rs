//! Writing a trace, on the thread of its world.

use super::tag;
use crate::history::{Event, NodeIndex, Wire};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// A trace ends here; what comes later is not told apart.
const TRACE_BYTES_MAX: usize = 256 << 20;

thread_local! {
    static TRACER: RefCell<Option<Tracer>> = const { RefCell::new(None) };
    /// The task at work; 0 is the world itself.
    static TASK: Cell<u64> = const { Cell::new(0) };
}

#[derive(Default)]
struct Tracer {
    bytes: Vec<u8>,
    streams: BTreeMap<String, u64>,
    tasks: u64,
    /// The task that the last entry is of.
    now: u64,
}

impl Tracer {
    fn is_full(&self) -> bool {
        self.bytes.len() >= TRACE_BYTES_MAX
    }

    /// Says whose entry comes next.
    fn put_now(&mut self) {
        let task = TASK.get();
        if task != self.now {
            self.now = task;
            self.bytes.push(tag::NOW);
            task.put(&mut self.bytes);
        }
    }
}

/// Traces this thread's world from now on.
pub(crate) fn begin() {
    TRACER.set(Some(Tracer::default()));
    TASK.set(0);
}

/// The trace of this thread's world, which ends; none where there is none.
pub(crate) fn end() -> Option<Vec<u8>> {
    TRACER.take().map(|tracer| tracer.bytes)
}

/// Makes a stream's name known; 0 where nothing is traced.
pub(crate) fn stream(name: &str) -> u64 {
    TRACER.with_borrow_mut(|tracer| {
        let Some(tracer) = tracer else { return 0 };
        if let Some(known) = tracer.streams.get(name) {
            return *known;
        }
        let number = tracer.streams.len() as u64 + 1;
        tracer.streams.insert(name.to_owned(), number);
        tracer.bytes.push(tag::STREAM);
        name.to_owned().put(&mut tracer.bytes);
        number
    })
}

/// Makes a task known; 0 where nothing is traced.
pub(crate) fn task(node: NodeIndex, origin: impl FnOnce() -> String) -> u64 {
    TRACER.with_borrow_mut(|tracer| {
        let Some(tracer) = tracer else { return 0 };
        tracer.tasks += 1;
        tracer.bytes.push(tag::TASK);
        node.put(&mut tracer.bytes);
        origin().put(&mut tracer.bytes);
        tracer.tasks
    })
}

/// From now on `task` is at work; gives who was.
pub(crate) fn enter(task: u64) -> u64 {
    TASK.replace(task)
}

/// `value` was drawn, as number `count` of a stream; `stream` is 0 where nothing is traced.
pub(crate) fn drawn(stream: u64, count: u64, value: u64) {
    if stream == 0 {
        return;
    }
    TRACER.with_borrow_mut(|tracer| {
        let Some(tracer) = tracer.as_mut().filter(|tracer| !tracer.is_full()) else { return };
        tracer.put_now();
        tracer.bytes.push(tag::DRAW);
        stream.put(&mut tracer.bytes);
        count.put(&mut tracer.bytes);
        (value & 0xffff).put(&mut tracer.bytes);
    });
}

/// `event` happened.
pub(crate) fn event(event: &Event) {
    TRACER.with_borrow_mut(|tracer| {
        let Some(tracer) = tracer.as_mut().filter(|tracer| !tracer.is_full()) else { return };
        tracer.put_now();
        tracer.bytes.push(tag::EVENT);
        event.at_ns.put(&mut tracer.bytes);
        event.node.put(&mut tracer.bytes);
        event.fact.put(&mut tracer.bytes);
    });
}
