//! The ways in which a history can be explained so far, without those that another one makes superfluous.
//!
//! A [`Config`] knows, for each operation that was called and has not returned, one of three things:
//! - *owed* (neither bit): it must still take effect before it returns;
//! - *used* (bit in `used`): it has taken effect;
//! - *free* (bit in `free`): it need not take effect, since there was a moment in its interval at which it can be
//!   placed without a trace. That is a state which it leaves as it is (a read that this state answers), or the moment
//!   just before a blind write, for an operation that is allowed everywhere: it is wiped out unseen. A free operation
//!   other than a read can still take effect, for the sake of what comes of it.
//!
//! Operations with [`Effect::Depends`](super::model::Effect::Depends) are never made free.
//!
//! One config *dominates* another when whatever the other can do it can do as well: equal state, equal bits for
//! all operations with `Depends`, no operation that never returned spent more often, and each other operation free
//! or in the same condition as in the other. Every step of the other can then be copied: what is not used there is
//! not used here. And the steps lead to configs of which the one dominates again.

use super::intern::{mix, truncated};

/// No log entry before the first.
pub(crate) const ROOT: u32 = u32::MAX;
const DEAD: u32 = u32::MAX;
const END: u32 = u32::MAX;

/// Bits for operations under way, or packed counters.
pub(crate) type Words<const N: usize> = [u64; N];

/// One way to explain the history so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config<const N: usize> {
    pub(crate) state: u32,
    /// The last entry of the log that tells the order of this config.
    pub(crate) log: u32,
    pub(crate) used: Words<N>,
    pub(crate) free: Words<N>,
    /// How many operations of each class that never returned have taken effect: packed counters, each with a spare
    /// bit on top that is always zero.
    pub(crate) spent: Words<N>,
}

impl<const N: usize> Config<N> {
    pub(crate) fn new(state: u32) -> Self {
        Self { state, log: ROOT, used: [0; N], free: [0; N], spent: [0; N] }
    }

    fn dominates(&self, other: &Self, spare: &Words<N>) -> bool {
        (0..N).all(|word| {
            let differs = (self.used[word] ^ other.used[word]) | (self.free[word] ^ other.free[word]);
            // With the spare bits set, a counter that would go below zero takes its own spare bit and no other.
            let left = (other.spent[word] | spare[word]) - self.spent[word];
            differs & !self.free[word] == 0 && left & spare[word] == spare[word]
        })
    }
}

/// What holds for all configs while one event is worked on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape<const N: usize> {
    /// The operations under way whose effect depends on the state.
    pub(crate) depends: Words<N>,
    /// The spare bits of the counters of `spent`.
    pub(crate) spare: Words<N>,
}

/// Configs of which none dominates another.
#[derive(Clone, Debug)]
pub(crate) struct Antichain<const N: usize> {
    configs: Vec<Config<N>>,
    chain: Vec<u32>,
    heads: Vec<(u32, u32)>,
    generation: u32,
    comparisons: u64,
}

impl<const N: usize> Antichain<N> {
    pub(crate) fn new() -> Self {
        Self {
            configs: Vec::new(),
            chain: Vec::new(),
            heads: vec![(0, END); 64],
            generation: 1,
            comparisons: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.configs.clear();
        self.chain.clear();
        self.next_generation();
    }

    /// Adds a config unless another dominates it, and drops those that it dominates. Returns its place.
    pub(crate) fn insert(&mut self, config: Config<N>, shape: &Shape<N>) -> Option<usize> {
        if self.configs.len() * 2 > self.heads.len() {
            self.grow(shape);
        }
        let head = self.head(&config, shape);
        let first = if self.heads[head].0 == self.generation { self.heads[head].1 } else { END };
        let mut link = first;
        while link != END {
            let other = &mut self.configs[link as usize];
            let same = other.state == config.state
                && (0..N).all(|word| (other.used[word] ^ config.used[word]) & shape.depends[word] == 0);
            self.comparisons += 1;
            if same {
                if other.dominates(&config, &shape.spare) {
                    return None;
                }
                if config.dominates(other, &shape.spare) {
                    other.state = DEAD;
                }
            }
            link = self.chain[link as usize];
        }
        let place = self.configs.len();
        self.configs.push(config);
        self.chain.push(first);
        self.heads[head] = (self.generation, index(place));
        Some(place)
    }

    pub(crate) fn config_mut(&mut self, place: usize) -> &mut Config<N> {
        &mut self.configs[place]
    }

    /// The config at `place`, unless it was dominated after it had been added.
    pub(crate) fn living(&self, place: usize) -> Option<Config<N>> {
        Some(self.configs[place]).filter(|config| config.state != DEAD)
    }

    /// Moves the living configs to `target`.
    pub(crate) fn drain_into(&mut self, target: &mut Vec<Config<N>>) {
        target.clear();
        target.extend(self.configs.iter().filter(|config| config.state != DEAD));
        self.clear();
    }

    /// Comparisons made since this was last asked: work that the budget must see.
    pub(crate) fn take_comparisons(&mut self) -> u64 {
        std::mem::take(&mut self.comparisons)
    }

    fn head(&self, config: &Config<N>, shape: &Shape<N>) -> usize {
        let mut hash = u64::from(config.state) + 1;
        for word in 0..N {
            hash = mix(hash, config.used[word] & shape.depends[word]);
        }
        truncated(hash) & (self.heads.len() - 1)
    }

    fn next_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.heads.fill((0, END));
            self.generation = 1;
        }
    }

    fn grow(&mut self, shape: &Shape<N>) {
        let size = self.heads.len() * 4;
        self.heads.clear();
        self.heads.resize(size, (0, END));
        self.generation = 1;
        for place in 0..self.configs.len() {
            if self.configs[place].state == DEAD {
                continue;
            }
            let head = self.head(&self.configs[place], shape);
            let first = if self.heads[head].0 == self.generation { self.heads[head].1 } else { END };
            self.chain[place] = first;
            self.heads[head] = (self.generation, index(place));
        }
    }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).expect("the budget ends a search long before 2^32 configs")
}
