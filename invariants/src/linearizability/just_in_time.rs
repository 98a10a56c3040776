//! Search along time: walk over the events, keep every way to explain what happened so far, and let an operation
//! take effect only when a return forces it (Lowe's just-in-time linearization), with these reductions:
//! - only the dominating ways are kept (see [`super::frontier`]), and an operation that can be placed without a
//!   trace need not take effect;
//! - of operations under way that are asked and answered alike and are in the same condition, the one that returns
//!   first goes first: in any order with the two exchanged they can be exchanged back;
//! - nothing takes effect only to be wiped out by a blind write: that one can do without.
//!
//! Operations that never returned are counted by class: those asked alike are interchangeable, so an earlier one
//! can always stand for a later one.

use super::frontier::{Antichain, Config, ROOT, Shape, Words};
use super::history::OperationId;
use super::model::{Effect, Model};
use super::problem::{Ask, Problem, Transitions};
use super::search::{Outcome, Search};
use super::slots::{Slots, clear, either, has, narrow, set, without};
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
    /// Configs in which the operation that returns needs nothing more.
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
    /// What took effect last left no trace but its state, and could have been left out before a blind write.
    is_unread: bool,
}

#[derive(Clone, Copy, Debug)]
struct Returning {
    operation: usize,
    slot: usize,
    is_read: bool,
}

/// A config just after one more operation took effect.
#[derive(Clone, Copy, Debug)]
struct Arrival<const N: usize> {
    config: Config<N>,
    operation: usize,
    effect: Effect,
}

/// One operation of an order, linked to the one before it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    previous: u32,
    operation: u32,
    /// The operation took effect here; otherwise it could be placed here without a trace.
    is_used: bool,
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
        transitions: &mut Transitions<'_, M>,
        operation: usize,
    ) {
        if problem.is_open(operation) {
            self.slots.open(problem, operation);
            return;
        }
        let slot = self.slots.occupy(problem, operation);
        if problem.effect(operation) == Effect::Depends {
            return;
        }
        let class = problem.class_of[operation];
        for config in &mut self.frontier {
            self.steps += 1;
            if transitions.is_idle(config.state, class) {
                set(&mut config.free, slot);
                config.log = push(&mut self.log, config.log, operation, false);
            }
        }
    }

    /// Starts on a return: configs that owe nothing to the operation go on as they are.
    fn returned<M: Model>(&mut self, problem: &Problem<'_, M>, operation: usize) {
        let slot = self.slots.slot_of(operation);
        let is_read = problem.effect(operation) == Effect::Observes;
        self.shape.depends = self.slots.depends();
        for place in 0..self.frontier.len() {
            self.steps += 1;
            let config = self.frontier[place];
            let is_free = has(&config.free, slot);
            if is_free || has(&config.used, slot) {
                self.reached.insert(forgetting(config, slot), &self.shape);
                if is_read || !is_free {
                    continue;
                }
            }
            // What need not take effect may be wanted all the same, for what comes of it.
            if let Some(place) = self.between.insert(config, &self.shape) {
                self.stack.push(Step { place, is_unread: false });
            }
        }
        self.returning = Some(Returning { operation, slot, is_read });
    }

    /// Lets each operation that may take effect next do so.
    fn expand<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        step: Step,
    ) {
        let Some(config) = self.between.living(step.place) else { return };
        self.slots.start_round();
        for nth_slot in 0..self.slots.under_way_count() {
            let slot = self.slots.under_way(nth_slot);
            let operation = self.slots.operation(slot);
            let (effect, class) = (problem.effect(operation), problem.class_of[operation]);
            let is_pointless = effect == Effect::Overwrites && step.is_unread;
            if effect == Effect::Observes || is_pointless || has(&config.used, slot) {
                continue;
            }
            // They are sorted by return, so a twin that goes first has been here first.
            if !self.slots.is_first_of(class, has(&config.free, slot)) {
                continue;
            }
            let mut next = config;
            set(&mut next.used, slot);
            clear(&mut next.free, slot);
            let mut nth = 0;
            while let Some(state) = transitions.step(Ask { state: config.state, class, nth }) {
                next.state = state;
                self.arrive(problem, transitions, Arrival { config: next, operation, effect });
                nth += 1;
            }
        }
        for nth_open in 0..self.slots.opened_count() {
            self.expand_open(problem, transitions, (config, step.is_unread, nth_open));
        }
    }

    /// Lets an operation that never returned take effect, if that changes anything: the state, or what others owe. A blind write that
    /// leaves the state as it was can be what wipes another operation out.
    fn expand_open<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        (config, is_unread, nth_open): (Config<N>, bool, usize),
    ) {
        let open = self.slots.opened(nth_open);
        let is_pointless = open.effect == Effect::Overwrites && is_unread;
        if is_pointless || !open.is_left(&config.spent) {
            return;
        }
        let wipes_out = open.effect == Effect::Overwrites
            && without(&self.slots.absorbable(), &either(&config.used, &config.free)) != [0; N];
        let operation = self.slots.opened_operation(nth_open, &config.spent);
        let mut next = config;
        open.spend(&mut next.spent);
        let mut nth = 0;
        while let Some(state) = transitions.step(Ask { state: config.state, class: open.class, nth }) {
            next.state = state;
            if state != config.state || wipes_out {
                self.arrive(problem, transitions, Arrival { config: next, operation, effect: open.effect });
            }
            nth += 1;
        }
    }

    /// Takes in a config after one more operation took effect.
    fn arrive<M: Model>(
        &mut self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        arrival: Arrival<N>,
    ) {
        let returning = self.returning.expect("configs arrive while a return is worked on");
        let Arrival { mut config, operation, effect } = arrival;
        self.steps += 1;
        let before = config.free;
        if effect == Effect::Overwrites {
            config.free = either(&config.free, &without(&self.slots.absorbable(), &config.used));
        }
        let absorbed = without(&config.free, &before);
        let idle = self.idle(problem, transitions, &config);
        config.free = either(&config.free, &idle);
        let is_done =
            operation == returning.operation || returning.is_read && has(&config.free, returning.slot);
        let target = if is_done {
            let place = self.reached.insert(forgetting(config, returning.slot), &self.shape);
            place.map(|place| self.reached.config_mut(place))
        } else {
            let is_unread = effect != Effect::Depends && idle == [0; N];
            if is_unread && !self.slots.can_build_on(&config.used, &config.spent) {
                return;
            }
            let place = self.between.insert(config, &self.shape);
            self.stack.extend(place.map(|place| Step { place, is_unread }));
            place.map(|place| self.between.config_mut(place))
        };
        if let Some(target) = target {
            let mut link = target.log;
            self.slots.each(&absorbed, |other| link = push(&mut self.log, link, other, false));
            link = push(&mut self.log, link, operation, true);
            self.slots.each(&idle, |other| link = push(&mut self.log, link, other, false));
            target.log = link;
        }
    }

    /// The operations that can be placed now without a trace, and could not before.
    fn idle<M: Model>(
        &self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        config: &Config<N>,
    ) -> Words<N> {
        let candidates = without(&self.slots.idling(), &either(&config.free, &config.used));
        let mut idle = candidates;
        self.slots.each(&candidates, |operation| {
            if !transitions.is_idle(config.state, problem.class_of[operation]) {
                clear(&mut idle, self.slots.slot_of(operation));
            }
        });
        idle
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
        let mut order = Vec::new();
        let mut is_placed = vec![false; problem.part.len()];
        let mut link = config.log;
        // Backwards, so that taking effect comes before any place at which that was not needed.
        while link != ROOT {
            let entry = self.log[link as usize];
            let operation = entry.operation as usize;
            if entry.is_used || !is_placed[operation] {
                is_placed[operation] = true;
                order.push(problem.part.id(operation));
            }
            link = entry.previous;
        }
        order.reverse();
        order
    }

    fn stuck<M: Model>(
        &self,
        problem: &Problem<'_, M>,
        transitions: &Transitions<'_, M>,
        operation: usize,
    ) -> Stuck {
        let mut states: Vec<u32> = self.frontier.iter().map(|config| config.state).collect();
        states.sort_unstable();
        states.dedup();
        states.truncate(Stuck::STATES_MAX);
        Stuck {
            prefix: self.order(problem, &self.frontier[0]),
            operation: problem.part.id(operation),
            states: states.into_iter().map(|state| format!("{:?}", transitions.state(state))).collect(),
        }
    }
}

impl<const N: usize, M: Model> Search<M> for JustInTime<N> {
    fn run(
        &mut self,
        problem: &Problem<'_, M>,
        transitions: &mut Transitions<'_, M>,
        steps_max: u64,
    ) -> Outcome {
        let stop = self.steps + steps_max;
        loop {
            if let Some(returning) = self.returning {
                while let Some(step) = self.stack.pop() {
                    self.expand(problem, transitions, step);
                    self.steps += (self.reached.take_comparisons() + self.between.take_comparisons()) / 4;
                    if self.steps > stop {
                        return Outcome::Unfinished;
                    }
                }
                if !self.settle(problem, returning) {
                    return Outcome::Stuck(self.stuck(problem, transitions, returning.operation));
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
                self.called(problem, transitions, event.operation());
            }
        }
    }

    fn steps(&self) -> u64 {
        self.steps
    }
}

fn forgetting<const N: usize>(mut config: Config<N>, slot: usize) -> Config<N> {
    clear(&mut config.used, slot);
    clear(&mut config.free, slot);
    config
}

fn push(log: &mut Vec<Entry>, previous: u32, operation: usize, is_used: bool) -> u32 {
    let place = narrow(log.len());
    log.push(Entry { previous, operation: narrow(operation), is_used });
    place
}
