//! What happened: events in order, their canonical encoding and the digest that identifies a run.
//!
//! A [`Recorder`] is handed every [`Event`] as it happens. It encodes the event once, folds the bytes into BLAKE3
//! and hands them to a sink; nothing of a history has to stay in memory. Laws may watch as it is written, or read
//! it afterwards through [`read`].

mod fact;
mod fields;
mod text;
mod wire;

pub use fact::Fact;
pub use fields::{Down, Stage};
pub use text::{TextError, from_text, to_text};
pub use wire::{Malformed, Wire};

#[cfg(not(live))]
use crate::simulated::profile::{self, Part};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The encoding's version: the first byte of every history.
pub const HISTORY_VERSION: u8 = 1;

/// The world itself, where an event happened on no node.
pub const WORLD: NodeIndex = NodeIndex(u32::MAX);

/// A node's place in the plan's list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeIndex(pub u32);

/// The identity of one request on its whole way: the client in the upper half, its operation in the lower.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(pub u64);

impl Id {
    /// The identity of `client`'s operation number `operation`.
    pub fn new(client: u32, operation: u32) -> Self {
        Self(u64::from(client) << 32 | u64::from(operation))
    }

    /// The identity that the idempotency key `key` stands for: `CLIENT.OPERATION` as [`Id`] writes itself, any other
    /// text by its hash.
    pub fn of_key(key: &str) -> Self {
        let numbers = key.split_once('.').and_then(|(client, operation)| {
            // As it writes itself: other numbers that mean the same are other texts.
            let plain = |digits: &str| {
                digits.bytes().all(|byte| byte.is_ascii_digit())
                    && (digits == "0" || !digits.starts_with('0'))
            };
            if !plain(client) || !plain(operation) {
                return None;
            }
            Some(Self::new(client.parse().ok()?, operation.parse().ok()?))
        });
        numbers.unwrap_or_else(|| {
            let digest = Digest::of(key.as_bytes());
            Self(u64::from_le_bytes(*digest.0.first_chunk().expect("a digest has 16 bytes")))
        })
    }

    /// The digest of the identity itself: the value of a request that has no other content.
    pub fn digest(self) -> Digest {
        Digest::of(&self.0.to_le_bytes())
    }

    /// The client that asked.
    pub fn client(self) -> u32 {
        u32::try_from(self.0 >> 32).expect("32 bits")
    }

    /// The number of the operation among its client's.
    pub fn operation(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).expect("32 bits")
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.client(), self.operation())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The first 16 bytes of the BLAKE3 hash of some content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes"))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One line of what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// True simulated time since the world began, in nanoseconds (no node's clock).
    pub at_ns: u64,
    /// Where it happened; [`WORLD`] for what happens to no node.
    pub node: NodeIndex,
    /// What happened.
    pub fact: Fact,
}

/// Something that reads events as they happen: a law, a live report.
pub trait Observer: Send {
    /// Reads one event; events come in the order of the history.
    fn observe(&mut self, event: &Event);
}

/// Where encoded events go, in chunks; a file in most runs.
pub type Sink = Box<dyn FnMut(&[u8]) + Send>;

/// Writes a history: encodes, digests, hands on.
pub struct Recorder {
    hasher: blake3::Hasher,
    chunk: Vec<u8>,
    previous_ns: u64,
    events: u64,
    sink: Option<Sink>,
    observers: Vec<Box<dyn Observer>>,
    recent: std::collections::VecDeque<Event>,
}

const CHUNK_BYTES: usize = 64 * 1024;
const RECENT_EVENTS: usize = 64;

impl Recorder {
    /// A recorder that keeps nothing but the digest, and writes to `sink` where there is one.
    pub fn new(sink: Option<Sink>, observers: Vec<Box<dyn Observer>>) -> Self {
        let chunk = vec![HISTORY_VERSION];
        let recent = std::collections::VecDeque::with_capacity(RECENT_EVENTS);
        Self { hasher: blake3::Hasher::new(), chunk, previous_ns: 0, events: 0, sink, observers, recent }
    }

    /// Adds `event`; times never go back.
    pub fn record(&mut self, event: Event) {
        let elapsed_ns = event.at_ns.checked_sub(self.previous_ns).expect("true time never goes back");
        self.previous_ns = event.at_ns;
        self.events += 1;
        self.encode(elapsed_ns, &event);
        self.show(&event);
        if self.recent.len() == RECENT_EVENTS {
            self.recent.pop_front();
        }
        self.recent.push_back(event);
    }

    fn encode(&mut self, elapsed_ns: u64, event: &Event) {
        #[cfg(not(live))]
        let _at_work = profile::during(Part::History);
        elapsed_ns.put(&mut self.chunk);
        event.node.put(&mut self.chunk);
        event.fact.put(&mut self.chunk);
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush();
        }
    }

    fn show(&mut self, event: &Event) {
        #[cfg(not(live))]
        let _at_work = profile::during(Part::Observers);
        for observer in &mut self.observers {
            observer.observe(event);
        }
    }

    /// How many events there are so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The last events, oldest first: what a panic's verdict shows.
    pub fn recent(&self) -> impl Iterator<Item = &Event> {
        self.recent.iter()
    }

    /// Ends the history: its digest (32 bytes of BLAKE3 in hexadecimal), its length, and the observers back.
    pub fn finish(mut self) -> (String, u64, Vec<Box<dyn Observer>>) {
        self.flush();
        (self.hasher.finalize().to_hex().to_string(), self.events, self.observers)
    }

    fn flush(&mut self) {
        self.hasher.update(&self.chunk);
        if let Some(sink) = &mut self.sink {
            sink(&self.chunk);
        }
        self.chunk.clear();
    }
}

/// Reads an encoded history.
///
/// # Errors
/// The iterator ends with [`Malformed`] at the first byte that is not of the encoding.
pub fn read(bytes: &[u8]) -> Result<impl Iterator<Item = Result<Event, Malformed>> + '_, Malformed> {
    let mut rest = bytes;
    let version = u8::take(&mut rest)?;
    if version != HISTORY_VERSION {
        return Err(Malformed::Version(version));
    }
    let mut at_ns = 0_u64;
    Ok(std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let event = take_event(&mut rest, &mut at_ns);
        if event.is_err() {
            rest = &[];
        }
        Some(event)
    }))
}

fn take_event(rest: &mut &[u8], at_ns: &mut u64) -> Result<Event, Malformed> {
    let elapsed_ns = u64::take(rest)?;
    *at_ns = at_ns.checked_add(elapsed_ns).ok_or(Malformed::Number)?;
    Ok(Event { at_ns: *at_ns, node: NodeIndex::take(rest)?, fact: Fact::take(rest)? })
}
