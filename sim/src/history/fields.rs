//! What the fields of facts are, besides numbers and names: how they are encoded, written for people and read back.

use super::wire::{Malformed, Wire};
use super::{Digest, Id, NodeIndex};
use std::fmt;

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// It ended itself: a planted bug was set off.
    Abort,
    /// It ended itself in order to start anew.
    Restart,
}

impl Down {
    const ALL: [Self; 8] = [
        Self::Crash,
        Self::PowerLoss,
        Self::Panic,
        Self::OutOfMemory,
        Self::Stop,
        Self::Returned,
        Self::Abort,
        Self::Restart,
    ];
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
            Self::Abort => "abort",
            Self::Restart => "restart",
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

/// How far a request is, as its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Nobody knows it.
    Unknown,
    /// It is kept and not over.
    Kept,
    /// It is over: there is a result, or a refusal.
    Over,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Unknown, Self::Kept, Self::Over];
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "unknown",
            Self::Kept => "kept",
            Self::Over => "over",
        })
    }
}

impl Wire for Stage {
    fn put(&self, bytes: &mut Vec<u8>) {
        let code = Self::ALL.iter().position(|stage| stage == self).expect("ALL holds all");
        bytes.push(u8::try_from(code).expect("few"));
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        Self::ALL.get(usize::from(u8::take(bytes)?)).copied().ok_or(Malformed::Number)
    }
}

impl Show for Stage {
    fn show(&self) -> String {
        self.to_string()
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.to_string() == text)
    }
}

impl Wire for Vec<Digest> {
    fn put(&self, bytes: &mut Vec<u8>) {
        (self.len() as u64).put(bytes);
        self.iter().for_each(|digest| digest.put(bytes));
    }

    fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let length = usize::try_from(u64::take(bytes)?).map_err(|_| Malformed::Number)?;
        if length > bytes.len() {
            return Err(Malformed::Short);
        }
        (0..length).map(|_| Digest::take(bytes)).collect()
    }
}

impl Show for Vec<Digest> {
    fn show(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    fn read(text: &str) -> Option<Self> {
        text.split(',').filter(|digest| !digest.is_empty()).map(Digest::read).collect()
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
pub(super) trait Show: Sized {
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
