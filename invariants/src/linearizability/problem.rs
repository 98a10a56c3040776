//! A part of a history as the searches want it: operations that are asked and answered alike share a class, states
//! are numbers, and each step is computed once.

use super::history::{Event, NEVER};
use super::intern::Interner;
use super::model::{Effect, Model};
use super::partition::Partition;

/// Steps are remembered in a table of states by classes, up to this many entries (16 MiB).
const MEMO_ENTRIES_MAX: usize = 1 << 22;
const UNKNOWN: u32 = u32::MAX;
const REFUSED: u32 = u32::MAX - 1;
/// Marks an index into `lists` in the table.
const LIST: u32 = 1 << 31;

/// One part of a history and its model, with everything that does not change during a search.
#[derive(Debug)]
pub(crate) struct Problem<'h, M: Model> {
    pub(crate) part: Partition<'h, M::Call, M::Return>,
    /// Calls and returns, without the operations that never returned and could not have changed anything.
    pub(crate) events: Vec<Event>,
    /// The class of each operation.
    pub(crate) class_of: Vec<u32>,
    /// The effect of each class.
    pub(crate) effects: Vec<Effect>,
    /// How many operations must take effect.
    pub(crate) returned_count: usize,
}

impl<'h, M: Model> Problem<'h, M> {
    pub(crate) fn new(model: &'h M, part: Partition<'h, M::Call, M::Return>) -> (Self, Transitions<'h, M>) {
        let mut classes = Interner::with_capacity(part.len().min(64));
        let mut effects = Vec::new();
        let mut class_of = Vec::with_capacity(part.len());
        for index in 0..part.len() {
            let operation = part.operation(index);
            let class = classes.number((operation.call(), operation.returned()));
            if class as usize == effects.len() {
                effects.push(model.effect(operation.call(), operation.returned()));
            }
            class_of.push(class);
        }
        let returned_count = (0..part.len()).filter(|index| part.deadline(*index) != NEVER).count();
        let class_count = classes.len();
        let transitions = Transitions {
            model,
            effects: effects.clone(),
            classes: (0..class_count).map(|class| *classes.value(number(class))).collect(),
            constants: vec![UNKNOWN; class_count],
            states: Interner::with_capacity(8),
            memo: Vec::new(),
            lists: Vec::new(),
        };
        let mut problem = Self { part, events: Vec::new(), class_of, effects, returned_count };
        let matters = |event: &&Event| !problem.is_left_out(event.operation());
        problem.events = problem.part.events().iter().filter(matters).copied().collect();
        (problem, transitions)
    }

    pub(crate) fn effect(&self, operation: usize) -> Effect {
        self.effects[self.class_of[operation] as usize]
    }

    /// Whether the operation has no events, because it cannot matter.
    pub(crate) fn is_left_out(&self, operation: usize) -> bool {
        self.is_open(operation) && self.effect(operation) == Effect::Observes
    }

    pub(crate) fn is_open(&self, operation: usize) -> bool {
        self.part.deadline(operation) == NEVER
    }
}

/// The steps of the model between numbered states.
#[derive(Debug)]
pub(crate) struct Transitions<'h, M: Model> {
    model: &'h M,
    effects: Vec<Effect>,
    classes: Vec<(&'h M::Call, Option<&'h M::Return>)>,
    /// The state that each blind write leaves, to hold models to their word.
    constants: Vec<u32>,
    states: Interner<M::State>,
    memo: Vec<u32>,
    lists: Vec<Vec<u32>>,
}

impl<M: Model> Transitions<'_, M> {
    pub(crate) fn initial(&mut self, key: &M::Key) -> u32 {
        self.states.number(self.model.initial(key))
    }

    pub(crate) fn state(&self, state: u32) -> &M::State {
        self.states.value(state)
    }

    /// The `nth` of the states in which an operation of `class` may leave the object in `state`.
    #[inline]
    pub(crate) fn step(&mut self, ask: Ask) -> Option<u32> {
        let entry = ask.state as usize * self.classes.len() + ask.class as usize;
        let known = self.memo.get(entry).copied().unwrap_or(UNKNOWN);
        let known = if known == UNKNOWN { self.compute(ask, entry) } else { known };
        match known {
            REFUSED => None,
            list if list & LIST != 0 => self.lists[(list & !LIST) as usize].get(ask.nth).copied(),
            only => (ask.nth == 0).then_some(only),
        }
    }

    /// Whether an operation of `class` may leave the object in `state` as it is.
    #[inline]
    pub(crate) fn is_idle(&mut self, state: u32, class: u32) -> bool {
        let mut nth = 0;
        while let Some(next) = self.step(Ask { state, class, nth }) {
            if next == state {
                return true;
            }
            nth += 1;
        }
        false
    }

    #[cold]
    fn compute(&mut self, ask: Ask, entry: usize) -> u32 {
        let (call, returned) = self.classes[ask.class as usize];
        let next: Vec<M::State> =
            self.model.step(self.states.value(ask.state), call, returned).into_iter().collect();
        let mut numbers: Vec<u32> = next.into_iter().map(|state| self.states.number(state)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        self.hold_to_promise(self.effects[ask.class as usize], ask, &numbers);
        let known = match numbers.as_slice() {
            [] => REFUSED,
            [only] => *only,
            _ => {
                self.lists.push(numbers);
                LIST | number(self.lists.len() - 1)
            }
        };
        if entry < MEMO_ENTRIES_MAX {
            if entry >= self.memo.len() {
                self.memo.resize((ask.state as usize + 1) * self.classes.len(), UNKNOWN);
            }
            self.memo[entry] = known;
        }
        known
    }

    /// A wrong effect would make the search unsound, so it is our caller's bug to be told of at once.
    fn hold_to_promise(&mut self, effect: Effect, ask: Ask, next: &[u32]) {
        let class = ask.class as usize;
        let is_kept = match effect {
            Effect::Depends => true,
            Effect::Updates => !next.is_empty(),
            Effect::Observes => next.iter().all(|state| *state == ask.state),
            Effect::Overwrites => match next {
                [only] if self.constants[class] == UNKNOWN => {
                    self.constants[class] = *only;
                    true
                }
                [only] => self.constants[class] == *only,
                _ => false,
            },
        };
        let (call, returned) = self.classes[class];
        assert!(
            is_kept,
            "the model says that {call:?} answered with {returned:?} {effect:?}, but from {:?} it leads to {:?}",
            self.states.value(ask.state),
            next.iter().map(|state| self.states.value(*state)).collect::<Vec<_>>(),
        );
    }
}

/// What [`Transitions::step`] is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) state: u32,
    pub(crate) class: u32,
    pub(crate) nth: usize,
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("there are fewer than 2^31 of these")
}
