//! The vocabulary of histories: all that the laws know.
//!
//! Words are those of the field (enqueue, deliver, lead, choose …), not of any one stack, so that a law cannot
//! share the bug that it must catch, and a law written for one stack reads the history of another.

use super::wire::{Malformed, Wire};
use super::{Digest, Id, NodeIndex};
use std::fmt;

macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal $word:literal { $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty),* $(,)? })+) => {
        /// One thing that happened, of the shared vocabulary.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Fact {
            $($(#[doc = $doc])+ $name { $($(#[doc = $field_doc])+ $field: $type),* },)+
        }

        impl Fact {
            /// The fact's word, as reports and JSON lines write it.
            pub fn word(&self) -> &'static str {
                match self { $(Self::$name { .. } => $word,)+ }
            }

            /// The fact with this `word` and these `fields`, as [`Fact::word`] and [`Fact::fields`] write them; none
            /// where there is no such fact, or a field is missing, unknown or wrong.
            pub fn from_fields(word: &str, fields: &[(String, String)]) -> Option<Self> {
                let field = |name: &str| {
                    let mut values = fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
                    values.next().filter(|_| values.next().is_none())
                };
                let (fact, count) = match word {
                    $($word => {
                        let names: &[&str] = &[$(stringify!($field)),*];
                        (Self::$name { $($field: <$type as Show>::read(field(stringify!($field))?)?),* }, names.len())
                    },)+
                    _ => return None,
                };
                (count == fields.len()).then_some(fact)
            }

            /// The fact's fields by name, as a person reads them.
            pub fn fields(&self) -> Vec<(&'static str, String)> {
                match self { $(Self::$name { $($field),* } => vec![$((stringify!($field), $field.show())),*],)+ }
            }
        }

        impl Wire for Fact {
            fn put(&self, bytes: &mut Vec<u8>) {
                match self { $(Self::$name { $($field),* } => { bytes.push($code); $($field.put(bytes);)* })+ }
            }

            fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
                match u8::take(bytes)? {
                    $($code => Ok(Self::$name { $($field: <$type as Wire>::take(bytes)?),* }),)+
                    other => Err(Malformed::Kind(other)),
                }
            }
        }
    };
}

facts! {
    /// A process started on the node.
    Boot = 1 "boot" {
        /// How often the node has started a process, counting from 1.
        incarnation: u32
    }
    /// The node's process ended.
    Exit = 2 "exit" {
        /// Why.
        cause: Down
    }
    /// A task of the node panicked; its process ends with it.
    Panic = 3 "panic" {
        /// The panic's message and place.
        message: String
    }
    /// A fault of the plan began.
    FaultStart = 4 "fault-start" {
        /// Its place in the plan.
        fault: u32,
        /// The nodes that it hits.
        nodes: Vec<NodeIndex>
    }
    /// A fault of the plan ended and is healed.
    FaultEnd = 5 "fault-end" {
        /// Its place in the plan.
        fault: u32
    }
    /// The node lost what it had written and not synced, or its whole disk.
    DiskLoss = 6 "disk-loss" {
        /// Bytes written and not synced that are gone or torn.
        unsynced_bytes: u64,
        /// True where synced data is gone too.
        synced: bool
    }
    /// All faults have ended, everything is healed, and clients start nothing new.
    Healed = 7 "healed" {}
    /// The stack says that nothing is left to do.
    Drained = 8 "drained" {}
    /// The run ended; counters that a leak of nondeterminism would disturb.
    End = 9 "end" {
        /// Messages that the network carried.
        messages: u64,
        /// Steps that the world's agenda took.
        steps: u64
    }
    /// A node says something that a person may want to read: a change of state.
    Note = 10 "note" {
        /// What it says.
        text: String
    }

    /// A client sent a request (again, where `attempt` is above 1).
    Submit = 20 "submit" {
        /// The request.
        id: Id,
        /// 1 for the first time.
        attempt: u32
    }
    /// What the answer must be: the pure function of the input, computed outside the stack.
    Expect = 21 "expect" {
        /// The request.
        id: Id,
        /// Digest of the right output; absent where the right answer is a refusal.
        output: Option<Digest>
    }
    /// A client was told that its request is accepted.
    Acknowledge = 22 "acknowledge" {
        /// The request.
        id: Id
    }
    /// A client was told no, for good.
    Refuse = 23 "refuse" {
        /// The request.
        id: Id,
        /// The HTTP status, or another protocol's code.
        status: u32
    }
    /// A client holds its result.
    Receive = 24 "receive" {
        /// The request.
        id: Id,
        /// Digest of what it got.
        output: Digest
    }
    /// A client stopped trying and does not know what became of its request.
    GiveUp = 25 "give-up" {
        /// The request.
        id: Id
    }

    /// The queue took an item and promised to keep it.
    Enqueue = 30 "enqueue" {
        /// The item.
        id: Id,
        /// Its place in the queue's order.
        position: u64
    }
    /// A consumer got an item to work on.
    Deliver = 31 "deliver" {
        /// The item.
        id: Id,
        /// 1 for the first time.
        delivery: u32
    }
    /// An item's effect took place: its result is stored for good.
    Finish = 32 "finish" {
        /// The item.
        id: Id,
        /// The place, in the queue's order, of the command that did it: replicas that apply one command agree on it.
        position: u64,
        /// Digest of the result; absent where the result is a refusal of the input.
        output: Option<Digest>
    }
    /// An item was set aside as poison.
    Quarantine = 33 "quarantine" {
        /// The item.
        id: Id,
        /// The place, in the queue's order, of the command that did it.
        position: u64,
        /// Why.
        reason: String
    }

    /// A replica began to lead.
    Lead = 40 "lead" {
        /// The group of replicas.
        group: u32,
        /// The ballot that it leads with.
        ballot: u64
    }
    /// A replica promised, durably, to take part in no lower ballot.
    Promise = 41 "promise" {
        /// The group of replicas.
        group: u32,
        /// The ballot.
        ballot: u64
    }
    /// A replica accepted a value for a slot and says so.
    Accept = 42 "accept" {
        /// The group of replicas.
        group: u32,
        /// The slot.
        slot: u64,
        /// The ballot in which it did.
        ballot: u64,
        /// Digest of the value.
        value: Digest
    }
    /// A replica learnt that a slot's value is chosen.
    Choose = 43 "choose" {
        /// The group of replicas.
        group: u32,
        /// The slot.
        slot: u64,
        /// Digest of the value.
        value: Digest
    }
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// Killed by a fault; its host lives on.
    Crash,
    /// Its host lost power.
    PowerLoss,
    /// A task of it panicked.
    Panic,
    /// It went over the node's memory.
    OutOfMemory,
    /// It was asked to stop and did.
    Stop,
    /// It returned by itself.
    Returned,
}

impl Down {
    const ALL: [Self; 6] =
        [Self::Crash, Self::PowerLoss, Self::Panic, Self::OutOfMemory, Self::Stop, Self::Returned];
}

impl fmt::Display for Down {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Crash => "crash",
            Self::PowerLoss => "power-loss",
            Self::Panic => "panic",
            Self::OutOfMemory => "out-of-memory",
            Self::Stop => "stop",
            Self::Returned => "returned",
        })
    }
}

impl Wire for Down {
    fn put(&self, bytes: &mut Vec<u8>) {
        let code = Self::ALL.iter().position(|cause| cause == self).expect("ALL holds all");
        bytes.push(u8::try_from(code).expect("few"));
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Self::ALL.get(usize::from(u8::take(bytes)?)).copied().ok_or(Malformed::Number)
    }
}

impl Wire for Option<Digest> {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.is_some().put(bytes);
        if let Some(digest) = self {
            digest.put(bytes);
        }
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        bool::take(bytes)?.then(|| Digest::take(bytes)).transpose()
    }
}

/// How a field is written for people, and read back.
trait Show: Sized {
    fn show(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

macro_rules! show_as_display {
    ($($type:ty),*) => { $(impl Show for $type {
        fn show(&self) -> String { self.to_string() }
        fn read(text: &str) -> Option<Self> { text.parse().ok() }
    })* };
}

show_as_display!(u32, u64, bool, String);

impl Show for Id {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        let (client, operation) = text.split_once('.')?;
        Some(Self::new(client.parse().ok()?, operation.parse().ok()?))
    }
}

impl Show for Digest {
    fn show(&self) -> String {
        self.to_string()
    }

    /// Up to 32 hexadecimal digits; missing ones are zeros at the end, so that test histories can write `a1`.
    fn read(text: &str) -> Option<Self> {
        if text.len() > 32 || !text.is_ascii() {
            return None;
        }
        let padded = format!("{text:0<32}");
        let mut digest = [0; 16];
        for (byte, start) in digest.iter_mut().zip((0..32).step_by(2)) {
            *byte = u8::from_str_radix(&padded[start..start + 2], 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl Show for Down {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.to_string() == text)
    }
}

impl Show for Option<Digest> {
    fn show(&self) -> String {
        self.map_or_else(|| "refusal".to_owned(), |digest| digest.to_string())
    }

    fn read(text: &str) -> Option<Self> {
        if text == "refusal" { Some(None) } else { Digest::read(text).map(Some) }
    }
}

impl Show for Vec<NodeIndex> {
    fn show(&self) -> String {
        self.iter().map(|node| node.0.to_string()).collect::<Vec<_>>().join(",")
    }

    fn read(text: &str) -> Option<Self> {
        let numbers = text.split(',').filter(|number| !number.is_empty());
        numbers.map(|number| number.parse().ok().map(NodeIndex)).collect()
    }
}
