//! Follows the writes of a register by the values that reads and compare-and-sets saw.

use std::fmt::Debug;
use std::hash::Hash;

use super::patterns::Found;
use super::{INITIAL, Role, decision};
use crate::linearizability::history::NEVER;
use crate::linearizability::intern::Interner;
use crate::linearizability::models::{Register, RegisterCall, RegisterReturn};
use crate::linearizability::partition::Partition;
use crate::linearizability::verdict::Decision;

const NONE: u32 = u32::MAX;

/// Decides the history of a register to which each value is written once at most, the initial one never. `None`
/// when that is not so, or when a compare-and-set is known to have failed or to have returned but not how; the
/// general search must decide then.
#[must_use]
pub fn decide_register<Value: Clone + Debug + Eq + Hash>(
    register: &Register<Value>,
    part: &Partition<'_, RegisterCall<Value>, RegisterReturn<Value>>,
) -> Option<Decision> {
    let initial = register.initial_value().cloned();
    let mut survey = Survey::new(&initial, part)?;
    survey.keep_what_is_seen(part);
    let roles = survey.link(part).map(|()| survey.roles(part));
    Some(decision(part, roles))
}

/// One value and what is known of it.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The write or compare-and-set that made it.
    writer: u32,
    /// The value that a compare-and-set made it from.
    parent: u32,
    /// Some operation that returned and saw it, or saw what was made from it.
    seen_by: u32,
    /// The compare-and-set that made another value from it, and that value.
    child: Option<(u32, u32)>,
    chain: u32,
    link: u32,
}

impl Known {
    const NOTHING: Self =
        Self { writer: NONE, parent: NONE, seen_by: NONE, child: None, chain: NONE, link: 0 };
}

/// What one operation does, in numbers of values.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Read(u32),
    Write(u32),
    Exchange { from: u32, to: u32 },
    Nothing,
}

/// The number of the initial value.
const AT_FIRST: u32 = 0;

struct Survey {
    values: Vec<Known>,
    deeds: Vec<Deed>,
}

impl Survey {
    fn new<Value: Clone + Debug + Eq + Hash>(
        initial: &Option<Value>,
        part: &Partition<'_, RegisterCall<Value>, RegisterReturn<Value>>,
    ) -> Option<Self> {
        let mut names: Interner<Option<&Value>> = Interner::with_capacity(part.len() / 2 + 1);
        names.number(initial.as_ref());
        let mut deeds = Vec::with_capacity(part.len());
        let mut writers = vec![NONE];
        for (operation, index) in (0_u32..).zip(0..part.len()) {
            let is_open = part.deadline(index) == NEVER;
            let (call, returned) = (part.operation(index).call(), part.operation(index).returned());
            let deed = match (call, returned) {
                (RegisterCall::Read, Some(RegisterReturn::Value(value))) => {
                    Deed::Read(names.number(value.as_ref()))
                }
                (RegisterCall::Read, None) => Deed::Nothing,
                (RegisterCall::Write(value), None | Some(RegisterReturn::Written)) => {
                    Deed::Write(names.number(Some(value)))
                }
                (RegisterCall::CompareAndSet { expected, new }, returned)
                    if returned == Some(&RegisterReturn::Exchanged) || returned.is_none() && is_open =>
                {
                    Deed::Exchange { from: names.number(expected.as_ref()), to: names.number(Some(new)) }
                }
                _ => return None,
            };
            writers.resize(names.len(), NONE);
            if let Deed::Write(to) | Deed::Exchange { to, .. } = deed {
                let writer = &mut writers[to as usize];
                if to == AT_FIRST || *writer != NONE {
                    return None;
                }
                *writer = operation;
            }
            deeds.push(deed);
        }
        let values = writers.into_iter().map(|writer| Known { writer, ..Known::NOTHING }).collect();
        Some(Self { values, deeds })
    }

    /// Leaves out writes that never returned and whose values nobody saw.
    fn keep_what_is_seen<Call, Return>(&mut self, part: &Partition<'_, Call, Return>) {
        let mut pending = Vec::new();
        for (operation, deed) in (0_u32..).zip(&self.deeds) {
            let is_open = part.deadline(operation as usize) == NEVER;
            if let (Deed::Read(value) | Deed::Exchange { from: value, .. }, false) = (deed, is_open) {
                pending.push((*value, operation));
            }
        }
        while let Some((value, operation)) = pending.pop() {
            let known = &mut self.values[value as usize];
            if known.seen_by != NONE {
                continue;
            }
            known.seen_by = operation;
            let writer = known.writer;
            if let Some(Deed::Exchange { from, .. }) = self.deeds.get(writer as usize) {
                pending.push((*from, operation));
            }
        }
        for (operation, deed) in self.deeds.iter_mut().enumerate() {
            let is_unseen = match deed {
                Deed::Write(to) | Deed::Exchange { to, .. } => self.values[*to as usize].seen_by == NONE,
                Deed::Read(_) | Deed::Nothing => true,
            };
            if is_unseen && part.deadline(operation) == NEVER {
                *deed = Deed::Nothing;
            }
        }
    }

    /// Gives each value its chain and its place in it.
    fn link<Call, Return>(&mut self, part: &Partition<'_, Call, Return>) -> Result<(), Found> {
        for (operation, deed) in (0_u32..).zip(&self.deeds) {
            if let Deed::Exchange { from, to } = *deed {
                self.values[to as usize].parent = from;
                if let Some((other, _)) = self.values[from as usize].child.replace((operation, to)) {
                    return Err(Found::Disagree {
                        operations: [other, operation].map(|it| self.witness(part, it)),
                    });
                }
            }
        }
        let mut chains = INITIAL;
        for first in 0..self.values.len() {
            let is_first = first == AT_FIRST as usize
                || self.values[first].writer != NONE && self.values[first].parent == NONE;
            if !is_first {
                continue;
            }
            let mut value = first;
            for link in 0.. {
                let known = &mut self.values[value];
                (known.chain, known.link) = (chains, link);
                let Some((_, next)) = known.child else { break };
                value = next as usize;
            }
            chains += 1;
        }
        // What no chain reaches was never written, or only from itself.
        let lost = self.values.iter().find(|known| known.chain == NONE && known.seen_by != NONE);
        lost.map_or(Ok(()), |known| Err(Found::Unwritten { operation: known.seen_by }))
    }

    /// An operation that proves that an exchange happened: itself, if it returned.
    fn witness<Call, Return>(&self, part: &Partition<'_, Call, Return>, exchange: u32) -> u32 {
        match self.deeds[exchange as usize] {
            Deed::Exchange { to, .. } if part.deadline(exchange as usize) == NEVER => {
                self.values[to as usize].seen_by
            }
            _ => exchange,
        }
    }

    fn roles<Call, Return>(&self, part: &Partition<'_, Call, Return>) -> Vec<Role> {
        let role = |value: u32, is_read| {
            let known = &self.values[value as usize];
            Role::Link { chain: known.chain, link: known.link, is_read }
        };
        let roles = self.deeds.iter().enumerate().map(|(operation, deed)| match *deed {
            Deed::Read(value) => role(value, true),
            Deed::Write(to) | Deed::Exchange { to, .. } => role(to, false),
            Deed::Nothing if part.deadline(operation) == NEVER => Role::LeftOut,
            Deed::Nothing => Role::Anywhere,
        });
        roles.collect()
    }
}
