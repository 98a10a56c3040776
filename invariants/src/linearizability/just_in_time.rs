//! Search along time: walk over the events, keep every way to explain what happened so far, and let an operation
//! take effect only when a return forces it (Lowe's just-in-time linearization), with four reductions:
//! - only the dominating ways are kept (see [`super::frontier`]);
//! - a read takes effect as soon as the state answers it: it changes nothing, so that can only help;
//! - of operations under way that are asked and answered alike, the one that returns first goes first: in any
//!   order with the two exchanged they can be exchanged back;
//! - a blind write is not used only to be overwritten unseen: whatever comes after it can do without.
//!
//! Operations that never returned are counted by class: those asked alike are interchangeable, so an earlier one
//! can always stand for a later one.

use super::frontier::{Antichain, Config, ROOT, Shape};
use super::history::OperationId;
use super::model::{Effect, Model};
use super::problem::{Ask, Problem, Transitions};
use super::search::{Outcome, Search};
use super::slots::{Slots, clear, has, narrow, set};
use super::verdict::Stuck;

/// The state of such a search; `N` words hold the bits of the operations under way.
#[derive(Debug)]
pub(crate) struct JustInTime<const N: usize> {
    slots: Slots<N>,
    shape: Shape<N>,
    /// The next event to look at.
    position: usize,
    frontier: Vec<Config<N>>,
    /// The next frontier while it is made; kept to use its memory again.
    settled: Vec<Config<N>>,
    /// Configs in which the operation that returns has taken effect.
    reached: Antichain<N>,
    /// Configs on the way there, and those of them that are still to be expanded.
    between: Antichain<N>,
    stack: Vec<Step>,
    /// The operation whose return is being worked on.
    returning: Option<Returning>,
    log: Vec<Entry>,
    steps: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    place: usize,
    /// The config was made by a blind write whose value nobody has read yet.
    is_unread: bool,
}

#[derive(Clone, Copy, Debug)]
struct Returning {
    operation: usize,
    slot: usize,
    effect: Effect,
}

/// One operation of an order, linked to the one before it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    previous: u32,
    operation: u32,
    /// The operation belongs just before the last blind write before it.
    is_absorbed: bool,
}

impl<const N: usize> JustInTime<N> {
    /// A search, if the operations under way fit into `N` words.
    pub(crate) fn new<M: Model>(problem: &Problem<'_, M>, initial: u32) -> Option<Self> {
        let slots = Slots::new(problem)?;
        let shape = Shape { depends: [0; N], spare: slots.spare() };
        Some(Self {
            slots,
            shape,
            position: 0,
            frontier: vec![Config::new(initial)],
            settled: Vec::new(),
            reached: Antichain::new(),
            between: Antichain::new(),
            stack: Vec::new(),
            returning: None,
            log: Vec::new(),
            steps: 0,
        })
    }

    fn called<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        steps: &mut Transitions<'_, M>,
        operation: usize,
    ) {
        if problem.is_open(operation) {
            self.slots.open(problem, operation);
            return;
        }
        let slot = self.slots.occupy(problem, operation);
        if problem.effect(operation) != Effect::Observes {
            return;
        }
        let class = problem.class_of[operation];
        for config in &mut self.frontier {
            self.steps += 1;
            if steps.step(Ask { state: config.state, class, nth: 0 }).is_some() {
                set(&mut config.free, slot);
                config.log = push(&mut self.log, config.log, operation, false);
            }
        }
    }

    /// Starts on a return: configs that owe nothing to the operation go on as they are.
    fn returned<M: Model>(&mut self, problem: &Problem<'_, M>, operation: usize) {
        let slot = self.slots.slot_of(operation);
        let returning = Returning { operation, slot, effect: problem.effect(operation) };
        self.shape.depends = self.slots.depends();
        for place in 0..self.frontier.len() {
            self.steps += 1;
            let config = self.frontier[place];
            let is_free = has(&config.free, slot);
            if is_free && returning.effect == Effect::Overwrites {
                let mut absorbed = self.forgetting(config, slot);
                absorbed.log = push(&mut self.log, config.log, operation, true);
                self.reached.insert(absorbed, &self.shape);
            } else if is_free || has(&config.used, slot) {
                self.reached.insert(self.forgetting(config, slot), &self.shape);
                continue;
            }
            // A blind write that is not needed may be wanted all the same, for its value.
            if let Some(place) = self.between.insert(config, &self.shape) {
                self.stack.push(Step { place, is_unread: false });
            }
        }
        self.returning = Some(returning);
    }

    fn forgetting(&self, mut config: Config<N>, slot: usize) -> Config<N> {
        clear(&mut config.used, slot);
        clear(&mut config.free, slot);
        config
    }

    /// Lets each operation that may take effect next do so.
    fn expand<M: Model>(&mut self, problem: &Problem<'_, M>, steps: &mut Transitions<'_, M>, step: Step) {
        let Some(config) = self.between.living(step.place) else { return };
        self.slots.start_round();
        for nth_slot in 0..self.slots.under_way_count() {
            let slot = self.slots.under_way(nth_slot);
            let operation = self.slots.operation(slot);
            let effect = problem.effect(operation);
            let is_pointless = effect == Effect::Overwrites && step.is_unread;
            if effect == Effect::Observes || is_pointless || has(&config.used, slot) {
                continue;
            }
            let class = problem.class_of[operation];
            // They are sorted by return, so a twin that goes first has been here first.
            if !self.slots.is_first_of(class) {
                continue;
            }
            let mut base = config;
            set(&mut base.used, slot);
            clear(&mut base.free, slot);
            let mut nth = 0;
            while let Some(state) = steps.step(Ask { state: config.state, class, nth }) {
                nth += 1;
                base.state = state;
                self.arrive(problem, steps, Arrival { config: base, operation, effect });
            }
        }
        for nth_open in 0..self.slots.opened_count() {
            let open = self.slots.opened(nth_open);
            let is_pointless = open.effect == Effect::Overwrites && step.is_unread;
            if is_pointless || !open.is_left(&config.spent) {
                continue;
            }
            let operation = self.slots.opened_operation(nth_open, &config.spent);
            let mut base = config;
            open.spend(&mut base.spent);
            let mut nth = 0;
            while let Some(state) = steps.step(Ask { state: config.state, class: open.class, nth }) {
                nth += 1;
                base.state = state;
                if state != config.state {
                    self.arrive(problem, steps, Arrival { config: base, operation, effect: open.effect });
                }
            }
        }
    }

    /// Takes in a config after one more operation took effect.
    fn arrive<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        steps: &mut Transitions<'_, M>,
        arrival: Arrival<N>,
    ) {
        let returning = self.returning.expect("configs arrive while a return is worked on");
        let Arrival { mut config, operation, effect } = arrival;
        self.steps += 1;
        if effect == Effect::Overwrites {
            let overwrites = self.slots.overwrites();
            for word in 0..N {
                config.free[word] |= overwrites[word] & !config.used[word];
            }
        }
        let before = config.free;
        let observes = self.slots.observes();
        let mut is_read = false;
        for word in 0..N {
            let mut waiting = observes[word] & !config.free[word];
            while waiting != 0 {
                let slot = word * 64 + waiting.trailing_zeros() as usize;
                waiting &= waiting - 1;
                let class = problem.class_of[self.slots.operation(slot)];
                if steps.step(Ask { state: config.state, class, nth: 0 }).is_some() {
                    set(&mut config.free, slot);
                    is_read = true;
                }
            }
        }
        let is_done = operation == returning.operation
            || returning.effect == Effect::Observes && has(&config.free, returning.slot);
        let target = if is_done {
            let config = self.forgetting(config, returning.slot);
            self.reached.insert(config, &self.shape).map(|place| self.reached.config_mut(place))
        } else {
            let is_unread = effect == Effect::Overwrites && !is_read;
            if is_unread && !self.slots.can_depend(&config.used, &config.spent) {
                return;
            }
            let place = self.between.insert(config, &self.shape);
            if let Some(place) = place {
                self.stack.push(Step { place, is_unread });
            }
            place.map(|place| self.between.config_mut(place))
        };
        if let Some(target) = target {
            target.log = push(&mut self.log, target.log, operation, false);
            for word in 0..N {
                let mut answered = config.free[word] & !before[word];
                while answered != 0 {
                    let slot = word * 64 + answered.trailing_zeros() as usize;
                    answered &= answered - 1;
                    target.log = push(&mut self.log, target.log, self.slots.operation(slot), false);
                }
            }
        }
    }

    /// Ends the work on a return. False when nothing explains it.
    fn settle<M: Model>(&mut self, problem: &Problem<'_, M>, returning: Returning) -> bool {
        self.between.clear();
        self.reached.drain_into(&mut self.settled);
        if self.settled.is_empty() {
            return false;
        }
        std::mem::swap(&mut self.frontier, &mut self.settled);
        self.slots.vacate(problem, returning.operation);
        self.returning = None;
        true
    }

    fn order<M: Model>(&self, problem: &Problem<'_, M>, config: &Config<N>) -> Vec<OperationId> {
        let mut entries = Vec::new();
        let mut link = config.log;
        while link != ROOT {
            let entry = self.log[link as usize];
            entries.push(entry);
            link = entry.previous;
        }
        let mut order = Vec::with_capacity(entries.len());
        // Backwards, so that an absorbed operation waits for the blind write before it.
        let mut waiting = Vec::new();
        for entry in entries {
            let operation = entry.operation as usize;
            if entry.is_absorbed {
                waiting.push(operation);
                continue;
            }
            order.push(problem.part.id(operation));
            if problem.effect(operation) == Effect::Overwrites {
                order.extend(waiting.drain(..).map(|absorbed| problem.part.id(absorbed)));
            }
        }
        order.reverse();
        order
    }

    fn stuck<M: Model>(
        &self,
        problem: &Problem<'_, M>,
        steps: &Transitions<'_, M>,
        operation: usize,
    ) -> Stuck {
        let mut states: Vec<u32> = self.frontier.iter().map(|config| config.state).collect();
        states.sort_unstable();
        states.dedup();
        states.truncate(Stuck::STATES_MAX);
        Stuck {
            prefix: self.order(problem, &self.frontier[0]),
            operation: problem.part.id(operation),
            states: states.into_iter().map(|state| format!("{:?}", steps.state(state))).collect(),
        }
    }
}

struct Arrival<const N: usize> {
    config: Config<N>,
    operation: usize,
    effect: Effect,
}

impl<const N: usize, M: Model> Search<M> for JustInTime<N> {
    fn run(&mut self, problem: &Problem<'_, M>, steps: &mut Transitions<'_, M>, steps_max: u64) -> Outcome {
        let stop = self.steps + steps_max;
        loop {
            if let Some(returning) = self.returning {
                while let Some(step) = self.stack.pop() {
                    self.expand(problem, steps, step);
                    self.steps += (self.reached.take_comparisons() + self.between.take_comparisons()) / 4;
                    if self.steps > stop {
                        return Outcome::Unfinished;
                    }
                }
                if !self.settle(problem, returning) {
                    return Outcome::Stuck(self.stuck(problem, steps, returning.operation));
                }
            }
            if self.steps > stop {
                return Outcome::Unfinished;
            }
            let Some(event) = problem.events.get(self.position).copied() else {
                return Outcome::Order(self.order(problem, &self.frontier[0]));
            };
            self.position += 1;
            if event.is_return() {
                self.returned(problem, event.operation());
            } else {
                self.called(problem, steps, event.operation());
            }
        }
    }

    fn steps(&self) -> u64 {
        self.steps
    }
}

fn push(log: &mut Vec<Entry>, previous: u32, operation: usize, is_absorbed: bool) -> u32 {
    let place = u32::try_from(log.len()).expect("the budget ends a search long before 2^32 entries");
    log.push(Entry { previous, operation: narrow(operation), is_absorbed });
    place
}
