//! The kinds of fault as files write them: which targets and fields each has, of what type, within what bounds.
//!
//! One row a kind, in `rows`. A kind that `sim` has and that is missing there, or a row that `sim` does not understand,
//! fails a test.

mod rows;

pub use rows::KINDS;

use crate::scenario::DURATION_MAX_NS;
use crate::value::{self, Between, Wrong};
use sim::duration_text;
use toml::de::DeValue;

/// A kind of fault.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// Its word: the key below `inject`.
    pub word: &'static str,
    /// What it does, in one sentence.
    pub why: &'static str,
    /// The group that it belongs to, such as `disk`: what an open `inject` can name instead of kinds.
    pub group: Group,
    /// What it hits.
    pub hits: Hits,
    /// Its fields besides its targets.
    pub fields: &'static [Field],
}

/// What kinds of fault have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Power.
    Power,
    /// Processes.
    Process,
    /// Links.
    Network,
    /// Disks.
    Disk,
    /// Clocks.
    Clock,
    /// Cores and memory.
    Host,
    /// Names.
    Names,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Power, Self::Process, Self::Network, Self::Disk, Self::Clock, Self::Host, Self::Names];

    /// Its word, as scenario files write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Process => "process",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Host => "host",
            Self::Names => "names",
        }
    }
}

/// What a kind of fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hits {
    /// Nodes.
    Nodes,
    /// Links between nodes, from one set to another.
    Links,
}

/// A field of a kind of fault.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What it is for.
    pub why: &'static str,
    /// What it can be.
    pub kind: FieldKind,
    /// What it is where a scenario does not say; none: the scenario must say.
    pub default: Option<FieldValue>,
    /// A value that makes sense, as a file writes it.
    pub example: &'static str,
    /// What is drawn where a scenario leaves it open (`"any"`).
    pub open: FieldValue,
}

/// What a field can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldKind {
    /// A duration.
    Duration,
    /// A duration with a sign.
    SignedDuration,
    /// A number of `.0` to `.1`.
    Number(f64, f64),
    /// `true` or `false`.
    Flag,
}

/// A field's value, with the choice that may still be open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue {
    /// Nanoseconds.
    Duration(Between<u64>),
    /// Signed nanoseconds.
    SignedDuration(Between<i64>),
    /// A number.
    Number(Between<f64>),
    /// A flag.
    Flag(bool),
}

/// No fault's duration is longer than a run may be: sums of such fit all times of a world.
fn within_longest(duration_ns: u64) -> Result<(), Wrong> {
    if duration_ns <= DURATION_MAX_NS {
        return Ok(());
    }
    Err(Wrong::expected(format!("a duration of at most {}", duration_text::format(DURATION_MAX_NS))))
}

impl FieldKind {
    pub(crate) fn read(self, value: &DeValue<'_>) -> Result<FieldValue, Wrong> {
        Ok(match self {
            Self::Duration => {
                let durations = value::durations(value)?;
                within_longest(durations.most)?;
                FieldValue::Duration(durations)
            }
            Self::SignedDuration => {
                let durations = value::signed_durations(value)?;
                within_longest(durations.least.unsigned_abs().max(durations.most.unsigned_abs()))?;
                FieldValue::SignedDuration(durations)
            }
            Self::Number(least, most) => FieldValue::Number(value::numbers(least, most)(value)?),
            Self::Flag => FieldValue::Flag(value::flag(value)?),
        })
    }

    /// As [`Self::read`], where no choice may be open.
    pub(crate) fn read_fixed(self, value: &DeValue<'_>) -> Result<FieldValue, Wrong> {
        let read = self.read(value)?;
        read.is_fixed()
            .then_some(read)
            .ok_or_else(|| Wrong::expected("one value: a plan leaves no choice open"))
    }
}

impl FieldValue {
    fn is_fixed(self) -> bool {
        match self {
            Self::Duration(range) => range.fixed().is_some(),
            Self::SignedDuration(range) => range.fixed().is_some(),
            Self::Number(range) => range.fixed().is_some(),
            Self::Flag(_) => true,
        }
    }

    /// The least that it can be, in the form that plans have it.
    pub(crate) fn to_toml(self) -> toml::Value {
        match self {
            Self::Duration(range) => toml::Value::String(duration_text::format(range.least)),
            Self::SignedDuration(range) => {
                let sign = if range.least < 0 { "-" } else { "" };
                toml::Value::String(format!("{sign}{}", duration_text::format(range.least.unsigned_abs())))
            }
            Self::Number(range) => toml::Value::Float(range.least),
            Self::Flag(flag) => toml::Value::Boolean(flag),
        }
    }
}

/// The kind with this `word`.
pub fn find(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// The words of all kinds.
pub fn words() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use sim::fault::Inject;

    /// The table of a fault of `kind`, each field at its example.
    fn example(kind: &Kind) -> toml::Value {
        let lines: Vec<&str> = kind.fields.iter().map(|field| field.example).collect();
        let mut table: toml::Table = toml::from_str(&lines.join("\n")).expect("examples are TOML");
        for key in if kind.hits == Hits::Nodes { &["nodes"][..] } else { &["from", "to"] } {
            table.insert((*key).to_owned(), toml::Value::Array(vec!["queue-1".into()]));
        }
        for field in kind.fields {
            let text = table[field.name].to_string();
            let value = DeValue::parse(&text).expect("written by toml");
            let read = field.kind.read_fixed(value.get_ref());
            let read = read.unwrap_or_else(|_| panic!("`{}` is no example for {}", field.example, kind.word));
            table.insert(field.name.to_owned(), read.to_toml());
        }
        toml::Value::Table([(kind.word.to_owned(), toml::Value::Table(table))].into_iter().collect())
    }

    #[test]
    fn every_row_is_a_fault_of_the_simulator() {
        for kind in KINDS {
            let inject = Inject::deserialize(example(kind));
            let inject = inject.unwrap_or_else(|error| panic!("{}: {error}", kind.word));
            assert_eq!(inject.word(), kind.word);
            assert_eq!(inject.targets().len(), if kind.hits == Hits::Nodes { 1 } else { 2 });
        }
    }

    #[test]
    fn no_duration_is_longer_than_a_run_may_be() {
        let read = |kind: FieldKind, text: &str| {
            let text = format!("\"{text}\"");
            kind.read(DeValue::parse(&text).expect("a string").get_ref()).is_ok()
        };
        for (kind, good, bad) in [
            (FieldKind::Duration, "3650d", "3651d"),
            (FieldKind::Duration, "1s..3650d", "1s..18446744073s"),
            (FieldKind::SignedDuration, "-3650d", "-3651d"),
        ] {
            assert!(read(kind, good), "{good}");
            assert!(!read(kind, bad), "{bad}");
        }
    }

    #[test]
    fn every_fault_of_the_simulator_has_a_row() {
        let unknown = toml::Value::Table([("?".to_owned(), true.into())].into_iter().collect());
        let error = Inject::deserialize(unknown).expect_err("no fault is called `?`").to_string();
        // Serde lists the variants: "unknown variant `?`, expected one of `power-loss`, `crash`, …".
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, words().collect::<Vec<_>>(), "{error}");
    }
}
