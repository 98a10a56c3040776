//! Small numbers for the operations under way, and counters for those that never returned.

use super::frontier::Words;
use super::history::NEVER;
use super::model::{Effect, Model};
use super::problem::Problem;

/// Which operations are under way at an event.
#[derive(Clone, Debug)]
pub(crate) struct Slots<const N: usize> {
    slot_of: Vec<u32>,
    operation_in: Vec<u32>,
    vacant: Vec<u32>,
    /// The occupied slots, those that return first in front.
    under_way: Vec<u32>,
    depends: Words<N>,
    overwrites: Words<N>,
    updates: Words<N>,
    observes: Words<N>,
    opened: Vec<Open>,
    /// The operations of each opened class, in the order of their calls.
    opened_operations: Vec<Vec<u32>>,
    seen_in_round: Vec<u32>,
    round: u32,
}

/// The operations of one class that never returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) class: u32,
    pub(crate) effect: Effect,
    /// How many of them have been called by now.
    called: u64,
    /// Where their counter is.
    word: usize,
    shift: u32,
    /// The bits of the counter, without the spare one.
    mask: u64,
}

impl Open {
    pub(crate) fn is_left(&self, spent: &[u64]) -> bool {
        self.count(spent) < self.called
    }

    pub(crate) fn spend(&self, spent: &mut [u64]) {
        spent[self.word] += 1 << self.shift;
    }

    fn count(&self, spent: &[u64]) -> u64 {
        spent[self.word] >> self.shift & self.mask
    }
}

impl<const N: usize> Slots<N> {
    /// `None` when there is no room for the operations under way or for the counters.
    pub(crate) fn new<M: Model>(problem: &Problem<'_, M>) -> Option<Self> {
        let mut open_now = 0_usize;
        let mut open_most = 0;
        let mut never_returned = vec![0_u64; problem.effects.len()];
        for event in &problem.events {
            if event.is_return() {
                open_now -= 1;
            } else if problem.is_open(event.operation()) {
                never_returned[problem.class_of[event.operation()] as usize] += 1;
            } else {
                open_now += 1;
                open_most = open_most.max(open_now);
            }
        }
        if open_most > 64 * N {
            return None;
        }
        let opened = lay_out::<N>(&never_returned, &problem.effects)?;
        Some(Self {
            slot_of: vec![NEVER; problem.part.len()],
            operation_in: vec![NEVER; open_most],
            vacant: (0..narrow(open_most)).rev().collect(),
            under_way: Vec::with_capacity(open_most),
            depends: [0; N],
            overwrites: [0; N],
            updates: [0; N],
            observes: [0; N],
            opened_operations: vec![Vec::new(); opened.len()],
            opened,
            seen_in_round: vec![0; 2 * problem.effects.len()],
            round: 0,
        })
    }

    /// The spare bits of all counters.
    pub(crate) fn spare(&self) -> Words<N> {
        let mut spare = [0; N];
        for open in &self.opened {
            spare[open.word] |= (open.mask + 1) << open.shift;
        }
        spare
    }

    pub(crate) fn occupy<M: Model>(&mut self, problem: &Problem<'_, M>, operation: usize) -> usize {
        let slot = self.vacant.pop().expect("there is a slot for each operation that can be under way");
        self.slot_of[operation] = slot;
        self.operation_in[slot as usize] = narrow(operation);
        let deadline = problem.part.deadline(operation);
        let rank = self.under_way.partition_point(|other| {
            problem.part.deadline(self.operation_in[*other as usize] as usize) < deadline
        });
        self.under_way.insert(rank, slot);
        set(self.mask_of(problem.effect(operation)), slot as usize);
        slot as usize
    }

    pub(crate) fn vacate<M: Model>(&mut self, problem: &Problem<'_, M>, operation: usize) {
        let slot = self.slot_of[operation];
        debug_assert_eq!(self.under_way.first(), Some(&slot), "what returns now returns first");
        self.under_way.remove(0);
        clear(self.mask_of(problem.effect(operation)), slot as usize);
        self.vacant.push(slot);
    }

    /// Counts an operation that will never return.
    pub(crate) fn open<M: Model>(&mut self, problem: &Problem<'_, M>, operation: usize) {
        let class = problem.class_of[operation];
        let place = self.opened.iter().position(|open| open.class == class);
        let place = place.expect("each class that never returns has a counter");
        self.opened[place].called += 1;
        self.opened_operations[place].push(narrow(operation));
    }

    pub(crate) fn slot_of(&self, operation: usize) -> usize {
        self.slot_of[operation] as usize
    }

    pub(crate) fn operation(&self, slot: usize) -> usize {
        self.operation_in[slot] as usize
    }

    pub(crate) fn under_way_count(&self) -> usize {
        self.under_way.len()
    }

    /// The slot of the operation under way that returns as the `nth`.
    pub(crate) fn under_way(&self, nth: usize) -> usize {
        self.under_way[nth] as usize
    }

    pub(crate) fn opened_count(&self) -> usize {
        self.opened.len()
    }

    pub(crate) fn opened(&self, nth: usize) -> Open {
        self.opened[nth]
    }

    /// The operation of the `nth` opened class that takes effect next.
    pub(crate) fn opened_operation(&self, nth: usize, spent: &Words<N>) -> usize {
        let count = self.opened[nth].count(spent);
        self.opened_operations[nth][usize::try_from(count).expect("a count of operations")] as usize
    }

    pub(crate) fn depends(&self) -> Words<N> {
        self.depends
    }

    /// Operations that can be placed just before a blind write, which wipes them out unseen.
    pub(crate) fn absorbable(&self) -> Words<N> {
        either(&self.overwrites, &self.updates)
    }

    /// Operations that can be placed in a state which they leave as it is.
    pub(crate) fn idling(&self) -> Words<N> {
        either(&self.observes, &self.absorbable())
    }

    /// Does something with the operation of each slot in `words`.
    pub(crate) fn each(&self, words: &Words<N>, mut work: impl FnMut(usize)) {
        for (word, bits) in words.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                work(self.operation(word * 64 + bits.trailing_zeros() as usize));
                bits &= bits - 1;
            }
        }
    }

    /// Whether an operation is left to whose effect an unread value could matter.
    pub(crate) fn can_build_on(&self, used: &Words<N>, spent: &Words<N>) -> bool {
        (0..N).any(|word| (self.depends[word] | self.updates[word]) & !used[word] != 0)
            || self.opened.iter().any(|open| open.effect != Effect::Overwrites && open.is_left(spent))
    }

    /// Forgets which classes have been met.
    pub(crate) fn start_round(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.seen_in_round.fill(0);
            self.round = 1;
        }
    }

    /// Whether this class is met for the first time in this round, in the given one of two conditions.
    pub(crate) fn is_first_of(&mut self, class: u32, condition: bool) -> bool {
        let place = 2 * class as usize + usize::from(condition);
        std::mem::replace(&mut self.seen_in_round[place], self.round) != self.round
    }

    fn mask_of(&mut self, effect: Effect) -> &mut Words<N> {
        match effect {
            Effect::Depends => &mut self.depends,
            Effect::Overwrites => &mut self.overwrites,
            Effect::Updates => &mut self.updates,
            Effect::Observes => &mut self.observes,
        }
    }
}

/// Gives each class that never returned a counter that can hold its number, and a spare bit.
fn lay_out<const N: usize>(never_returned: &[u64], effects: &[Effect]) -> Option<Vec<Open>> {
    let mut opened = Vec::new();
    let (mut word, mut shift) = (0, 0);
    for (class, count) in never_returned.iter().enumerate().filter(|(_, count)| **count > 0) {
        let bits = u64::BITS - count.leading_zeros();
        if shift + bits + 1 > u64::BITS {
            (word, shift) = (word + 1, 0);
        }
        if word == N {
            return None;
        }
        opened.push(Open {
            class: narrow(class),
            effect: effects[class],
            called: 0,
            word,
            shift,
            mask: (1 << bits) - 1,
        });
        shift += bits + 1;
    }
    Some(opened)
}

pub(crate) fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("a history holds fewer than 2^31 operations")
}

pub(crate) fn has(words: &[u64], slot: usize) -> bool {
    words[slot / 64] >> (slot % 64) & 1 == 1
}

pub(crate) fn set(words: &mut [u64], slot: usize) {
    words[slot / 64] |= 1 << (slot % 64);
}

pub(crate) fn clear(words: &mut [u64], slot: usize) {
    words[slot / 64] &= !(1 << (slot % 64));
}

pub(crate) fn either<const N: usize>(one: &Words<N>, other: &Words<N>) -> Words<N> {
    std::array::from_fn(|word| one[word] | other[word])
}

pub(crate) fn without<const N: usize>(one: &Words<N>, other: &Words<N>) -> Words<N> {
    std::array::from_fn(|word| one[word] & !other[word])
}
