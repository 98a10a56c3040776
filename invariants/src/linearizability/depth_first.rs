//! Depth-first search with caching: Wing and Gong's algorithm with Lowe's cache. At each level one of the
//! operations that nothing unplaced precedes in real time takes effect; a set of placed operations and a state that
//! were met before are not tried again. Two reductions can be switched off, which leaves the plain algorithm:
//! - a read that the state answers is placed for good: it changes nothing, so no other choice can do better;
//! - of operations that never returned and ask alike, the one called first goes first.

use super::history::{NEVER, OperationId};
use super::intern::{mix, truncated};
use super::model::{Effect, Model};
use super::problem::{Ask, Problem, Transitions};
use super::search::{Outcome, Search};
use super::slots::{clear, has, narrow, set};
use super::verdict::Stuck;

const EMPTY: u32 = u32::MAX;

/// The state of such a search.
#[derive(Debug)]
pub(crate) struct DepthFirst {
    list: EventList,
    placed: Vec<u64>,
    /// Operations below this number are all placed, or left out of the problem.
    low: usize,
    /// Operations from this number on are not placed.
    high: usize,
    state: u32,
    stack: Vec<Frame>,
    cache: Cache,
    cursor: u32,
    /// The choice to try next at the cursor, for models with several.
    nth: usize,
    /// Returned operations that are still to be placed.
    missing: usize,
    furthest: Furthest,
    /// For each operation that never returned, the one called before it that asks alike.
    twin_before: Vec<u32>,
    is_plain: bool,
    steps: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    operation: u32,
    state_before: u32,
    nth: u32,
    /// No other choice can do better than this one.
    is_final: bool,
}

/// How far the search came at best: everything that returned before event `position` was placed.
#[derive(Debug)]
struct Furthest {
    position: u32,
    order: Vec<u32>,
    /// How much of `order` the stack still agrees with.
    common: usize,
    state: u32,
}

impl DepthFirst {
    pub(crate) fn new<M: Model>(problem: &Problem<'_, M>, initial: u32, is_plain: bool) -> Self {
        let list = EventList::new(problem);
        let cursor = list.first();
        Self {
            list,
            placed: vec![0; problem.part.len() / 64 + 1],
            low: 0,
            high: 0,
            state: initial,
            stack: Vec::new(),
            cache: Cache::new(),
            cursor,
            nth: 0,
            missing: problem.returned_count,
            furthest: Furthest { position: 0, order: Vec::new(), common: 0, state: initial },
            twin_before: if is_plain { Vec::new() } else { twins(problem) },
            is_plain,
            steps: 0,
        }
    }

    /// Tries the operation whose call is at the cursor. False if it cannot be placed, or not to any new effect.
    fn place<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        operation: usize,
    ) -> bool {
        if let Some(twin) = self.twin_before.get(operation)
            && *twin != NEVER
            && !has(&self.placed, *twin as usize)
        {
            return false;
        }
        let class = problem.class_of[operation];
        while let Some(state) = transitions.step(Ask { state: self.state, class, nth: self.nth }) {
            self.steps += 1;
            self.nth += 1;
            let (low, high) = (self.low, self.high);
            self.mark(problem, operation);
            if self.cache.insert(&self.placed[self.low / 64..self.high.div_ceil(64)], self.low / 64, state) {
                let is_final = !self.is_plain && problem.effects[class as usize] == Effect::Observes;
                let nth = narrow(self.nth);
                self.stack.push(Frame {
                    operation: narrow(operation),
                    state_before: self.state,
                    nth,
                    is_final,
                });
                self.state = state;
                self.list.lift(operation);
                self.missing -= usize::from(!problem.is_open(operation));
                return true;
            }
            clear(&mut self.placed, operation);
            (self.low, self.high) = (low, high);
        }
        false
    }

    fn mark<M: Model>(&mut self, problem: &Problem<'_, M>, operation: usize) {
        set(&mut self.placed, operation);
        self.high = self.high.max(operation + 1);
        while self.low < self.high && (has(&self.placed, self.low) || problem.is_left_out(self.low)) {
            self.low += 1;
        }
    }

    /// Takes back the last choice that has an alternative. False when there is none.
    fn back_up<M: Model>(&mut self, problem: &Problem<'_, M>) -> bool {
        while let Some(frame) = self.stack.pop() {
            self.steps += 1;
            let operation = frame.operation as usize;
            self.furthest.common = self.furthest.common.min(self.stack.len());
            self.state = frame.state_before;
            clear(&mut self.placed, operation);
            self.low = self.low.min(operation);
            while self.high > 0 && !has(&self.placed, self.high - 1) {
                self.high -= 1;
            }
            self.low = self.low.min(self.high);
            self.list.put_back(operation);
            self.missing += usize::from(!problem.is_open(operation));
            if !frame.is_final {
                self.cursor = self.list.call_of[operation];
                self.nth = frame.nth as usize;
                return true;
            }
        }
        false
    }

    fn remember_furthest(&mut self, position: u32) {
        if position <= self.furthest.position {
            return;
        }
        let furthest = &mut self.furthest;
        furthest.position = position;
        furthest.state = self.state;
        furthest.order.truncate(furthest.common);
        furthest.order.extend(self.stack[furthest.common..].iter().map(|frame| frame.operation));
        furthest.common = furthest.order.len();
    }

    fn stuck<M: Model>(&self, problem: &Problem<'_, M>, transitions: &Transitions<'_, M>) -> Stuck {
        let event = self.list.events[self.furthest.position as usize - 1];
        Stuck {
            prefix: ids(problem, self.furthest.order.iter().copied()),
            operation: problem.part.id((event >> 1) as usize),
            states: vec![format!("{:?}", transitions.state(self.furthest.state))],
        }
    }
}

impl<M: Model> Search<M> for DepthFirst {
    fn run(
        &mut self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        steps_max: u64,
    ) -> Outcome {
        let stop = self.steps + steps_max;
        while self.missing > 0 {
            if self.steps > stop {
                return Outcome::Unfinished;
            }
            self.steps += 1;
            let event = self.list.events[self.cursor as usize - 1];
            if event & 1 == 0 {
                if self.place(problem, transitions, (event >> 1) as usize) {
                    self.cursor = self.list.first();
                } else {
                    self.cursor = self.list.next[self.cursor as usize];
                }
                self.nth = 0;
                continue;
            }
            // Nothing else can come before this return, so its operation would have had to be placed by now.
            self.remember_furthest(self.cursor);
            if !self.back_up(problem) {
                return Outcome::Stuck(self.stuck(problem, transitions));
            }
        }
        Outcome::Order(ids(problem, self.stack.iter().map(|frame| frame.operation)))
    }

    fn steps(&self) -> u64 {
        self.steps
    }
}

fn ids<M: Model>(problem: &Problem<'_, M>, order: impl Iterator<Item = u32>) -> Vec<OperationId> {
    order.map(|operation| problem.part.id(operation as usize)).collect()
}

fn twins<M: Model>(problem: &Problem<'_, M>) -> Vec<u32> {
    let mut last_of_class = vec![NEVER; problem.effects.len()];
    let mut twin_before = vec![NEVER; problem.part.len()];
    for event in &problem.events {
        let operation = event.operation();
        if problem.is_open(operation) {
            let last = &mut last_of_class[problem.class_of[operation] as usize];
            twin_before[operation] = std::mem::replace(last, narrow(operation));
        }
    }
    twin_before
}

/// Calls and returns that are still to be placed, as a doubly linked list. Node 0 is the head; node n stands for
/// event n - 1.
#[derive(Debug)]
struct EventList {
    events: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    call_of: Vec<u32>,
    return_of: Vec<u32>,
}

impl EventList {
    fn new<M: Model>(problem: &Problem<'_, M>) -> Self {
        let count = narrow(problem.events.len());
        let mut call_of = vec![NEVER; problem.part.len()];
        let mut return_of = vec![NEVER; problem.part.len()];
        let mut events = Vec::with_capacity(problem.events.len());
        for (node, event) in (1..).zip(&problem.events) {
            let node_of = if event.is_return() { &mut return_of } else { &mut call_of };
            node_of[event.operation()] = node;
            events.push(narrow(event.operation()) << 1 | u32::from(event.is_return()));
        }
        let next = (1..=count).chain([0]).collect();
        let previous = [count].into_iter().chain(0..count).collect();
        Self { events, next, previous, call_of, return_of }
    }

    fn first(&self) -> u32 {
        self.next[0]
    }

    fn lift(&mut self, operation: usize) {
        for node in [self.call_of[operation], self.return_of[operation]] {
            if node != NEVER {
                let (next, previous) = (self.next[node as usize], self.previous[node as usize]);
                self.next[previous as usize] = next;
                self.previous[next as usize] = previous;
            }
        }
    }

    /// Undoes the last `lift` that is not undone yet.
    fn put_back(&mut self, operation: usize) {
        for node in [self.return_of[operation], self.call_of[operation]] {
            if node != NEVER {
                let (next, previous) = (self.next[node as usize], self.previous[node as usize]);
                self.next[previous as usize] = node;
                self.previous[next as usize] = node;
            }
        }
    }
}

/// Sets of placed operations with the state they led to. A set is kept as the words between its first gap and its
/// last member, so an entry is as long as the concurrency is wide and not as the history is long.
#[derive(Debug)]
struct Cache {
    words: Vec<u64>,
    /// Hash and place in `words` of each entry.
    entries: Vec<(u64, usize)>,
    table: Vec<u32>,
}

impl Cache {
    fn new() -> Self {
        Self { words: Vec::new(), entries: Vec::new(), table: vec![EMPTY; 256] }
    }

    /// Adds a set, given as its words from word `offset` on, and a state. False if both were there.
    fn insert(&mut self, window: &[u64], offset: usize, state: u32) -> bool {
        let header = [(offset as u64) << 32 | u64::from(state), window.len() as u64];
        let mut hash = 0;
        for word in header.iter().chain(window) {
            hash = mix(hash, *word);
        }
        let mask = self.table.len() - 1;
        let mut slot = truncated(hash) & mask;
        while self.table[slot] != EMPTY {
            let (other, place) = self.entries[self.table[slot] as usize];
            let known = &self.words[place..];
            if other == hash && known.starts_with(&header) && known[2..].starts_with(window) {
                return false;
            }
            slot = (slot + 1) & mask;
        }
        self.table[slot] = narrow(self.entries.len());
        self.entries.push((hash, self.words.len()));
        self.words.extend_from_slice(&header);
        self.words.extend_from_slice(window);
        if self.entries.len() * 2 > self.table.len() {
            self.grow();
        }
        true
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        self.table.clear();
        self.table.resize(mask + 1, EMPTY);
        for (index, (hash, _)) in self.entries.iter().enumerate() {
            let mut slot = truncated(*hash) & mask;
            while self.table[slot] != EMPTY {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = narrow(index);
        }
    }
}
