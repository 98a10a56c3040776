//! What a run did besides its history: every draw of chance, and the task behind each draw and event. Recorded only where
//! [`Limits::trace`](crate::world::Limits::trace) asks for it; two traces of one plan say where and why its runs part.

mod recording;

pub(crate) use recording::{begin, drawn, end, enter, event, stream, task};

use crate::history::{Event, Fact, Malformed, NodeIndex, Wire};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// How many draws before an event are told of.
const DRAWS_SHOWN: usize = 8;

/// What each entry of a trace begins with.
mod tag {
    pub(super) const STREAM: u8 = 0;
    pub(super) const TASK: u8 = 1;
    pub(super) const NOW: u8 = 2;
    pub(super) const DRAW: u8 = 3;
    pub(super) const EVENT: u8 = 4;
}

/// Who was at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// On which node.
    pub node: NodeIndex,
    /// Its number among all tasks of the run, in the order in which they were started.
    pub number: u64,
    /// Where it comes from: a place in the code that called [`task::spawn`](crate::task::spawn), or what the world started.
    pub origin: String,
}

/// One draw of chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The stream's name.
    pub stream: Arc<str>,
    /// How many draws of that stream this is.
    pub count: u64,
    /// The last bits of what was drawn; 0 where many bytes were.
    pub bits: u16,
    /// Who drew; none for the world itself.
    pub task: Option<Arc<Task>>,
}

impl fmt::Display for Draw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} #{}", self.stream, self.count)
    }
}

/// Where two runs of one plan part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// How many events are equal.
    pub equal: u64,
    /// The last of these.
    pub before: Option<Event>,
    /// What comes then, in the first run and in the second.
    pub sides: [Side; 2],
    /// Where chance parted first, if it did so before the histories.
    pub chance: Option<ChanceParting>,
}

/// One run's side of a parting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// The event that differs; none where the history has ended.
    pub event: Option<Event>,
    /// Whose event it is; none for the world itself.
    pub task: Option<Arc<Task>>,
    /// The draws just before it, oldest first.
    pub draws: Vec<Draw>,
}

/// The first draw in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChanceParting {
    /// How many events were equal before it.
    pub after_events: u64,
    /// What was drawn, in the first run and in the second; none where that one went on to an event, or ended.
    pub draws: [Option<Draw>; 2],
}

impl Parting {
    /// Whether the histories differ, and not only the draws of chance.
    pub fn is_of_histories(&self) -> bool {
        self.sides[0].event != self.sides[1].event
    }
}

/// Where the runs with these traces part; none where they do not.
///
/// # Errors
/// Where one is not a trace.
pub fn parting(first: &[u8], second: &[u8]) -> Result<Option<Parting>, Malformed> {
    let mut sides = [Walk::new(first), Walk::new(second)];
    let mut chance = None;
    let (mut equal, mut before) = (0, None);
    loop {
        // Draw by draw for as long as chance is equal, and then from event to event.
        let entries = if chance.is_none() {
            [sides[0].next()?, sides[1].next()?]
        } else {
            [sides[0].next_event()?, sides[1].next_event()?]
        };
        match entries {
            [None, None] => break,
            [Some(Entry::Event(one)), Some(Entry::Event(other))] if one == other => {
                equal += 1;
                before = Some(one);
            }
            [Some(Entry::Draw(one)), Some(Entry::Draw(other))] if one == other => {}
            entries if entries.iter().any(|entry| matches!(entry, Some(Entry::Draw(_)))) => {
                let draws = entries.clone().map(|entry| match entry {
                    Some(Entry::Draw(draw)) => Some(draw),
                    _ => None,
                });
                chance = Some(ChanceParting { after_events: equal, draws });
                // The side that has come to its event already waits there.
                for (side, entry) in sides.iter_mut().zip(entries) {
                    side.give_back(entry);
                }
            }
            entries => {
                let sides = sides.each_ref();
                let [one, other] = entries;
                let side = |walk: &Walk<'_>, entry| match entry {
                    Some(Entry::Event(event)) => walk.side(Some(event)),
                    _ => walk.side(None),
                };
                let sides = [side(sides[0], one), side(sides[1], other)];
                return Ok(Some(Parting { equal, before, sides, chance }));
            }
        }
    }
    let sides = sides.each_ref().map(|side| side.side(None));
    Ok(chance.map(|chance| Parting { equal, before, sides, chance: Some(chance) }))
}

/// Something that a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Draw(Draw),
    Event(Event),
}

/// Reads a trace from its beginning.
struct Walk<'a> {
    rest: &'a [u8],
    streams: Vec<Arc<str>>,
    tasks: Vec<Arc<Task>>,
    now: Option<Arc<Task>>,
    draws: VecDeque<Draw>,
    waiting: Option<Entry>,
}

impl<'a> Walk<'a> {
    fn new(trace: &'a [u8]) -> Self {
        let draws = VecDeque::with_capacity(DRAWS_SHOWN);
        Self { rest: trace, streams: Vec::new(), tasks: Vec::new(), now: None, draws, waiting: None }
    }

    /// Has the next call give `event` again; draws are not given twice.
    fn give_back(&mut self, entry: Option<Entry>) {
        if let Some(Entry::Event(_)) = entry {
            self.waiting = entry;
        }
    }

    fn next_event(&mut self) -> Result<Option<Entry>, Malformed> {
        loop {
            match self.next()? {
                Some(Entry::Draw(_)) => {}
                other => return Ok(other),
            }
        }
    }

    fn next(&mut self) -> Result<Option<Entry>, Malformed> {
        if let Some(waiting) = self.waiting.take() {
            return Ok(Some(waiting));
        }
        while !self.rest.is_empty() {
            let rest = &mut self.rest;
            match u8::take(rest)? {
                tag::STREAM => self.streams.push(String::take(rest)?.into()),
                tag::TASK => {
                    let (node, origin) = (NodeIndex::take(rest)?, String::take(rest)?);
                    let number = self.tasks.len() as u64 + 1;
                    self.tasks.push(Arc::new(Task { node, number, origin }));
                }
                tag::NOW => {
                    let number = u64::take(rest)?;
                    self.now = number.checked_sub(1).map(|place| at(&self.tasks, place)).transpose()?;
                }
                tag::DRAW => {
                    let stream = u64::take(rest)?.checked_sub(1).ok_or(Malformed::Number)?;
                    let (count, bits) = (u64::take(rest)?, u64::take(rest)?);
                    let bits = u16::try_from(bits).map_err(|_| Malformed::Number)?;
                    let draw =
                        Draw { stream: at(&self.streams, stream)?, count, bits, task: self.now.clone() };
                    if self.draws.len() == DRAWS_SHOWN {
                        self.draws.pop_front();
                    }
                    self.draws.push_back(draw.clone());
                    return Ok(Some(Entry::Draw(draw)));
                }
                tag::EVENT => {
                    let (at_ns, node) = (u64::take(rest)?, NodeIndex::take(rest)?);
                    return Ok(Some(Entry::Event(Event { at_ns, node, fact: Fact::take(rest)? })));
                }
                other => return Err(Malformed::Kind(other)),
            }
        }
        Ok(None)
    }

    fn side(&self, event: Option<Event>) -> Side {
        let task = event.as_ref().and_then(|_| self.now.clone());
        Side { event, task, draws: self.draws.iter().cloned().collect() }
    }
}

fn at<T: Clone>(list: &[T], place: u64) -> Result<T, Malformed> {
    let place = usize::try_from(place).map_err(|_| Malformed::Number)?;
    list.get(place).cloned().ok_or(Malformed::Number)
}

#[cfg(test)]
mod tests;
