//! What a law says of a history.

use serde::{Deserialize, Serialize};
use sim::history::Id;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// A law's word on one run.
///
/// ```
/// use hogwash_invariants::Verdict;
///
/// assert_eq!("beyond-design".parse(), Ok(Verdict::BeyondDesign));
/// assert_eq!(Verdict::NotExercised.to_string(), "not-exercised");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The law held.
    Held,
    /// The law was broken, by faults that the design promises to survive: a bug.
    Violated,
    /// The law was broken, but the faults went past what the design promises to survive.
    BeyondDesign,
    /// The run ended before it could be known.
    Undecided,
    /// Nothing in this run could have broken it.
    NotExercised,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 5] =
        [Self::Held, Self::Violated, Self::BeyondDesign, Self::Undecided, Self::NotExercised];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Violated => "violated",
            Self::BeyondDesign => "beyond-design",
            Self::Undecided => "undecided",
            Self::NotExercised => "not-exercised",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

/// A word that is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no verdict: it is one of `held`, `violated`, `beyond-design`, `undecided`, `not-exercised`"
)]
pub struct UnknownVerdict(String);

impl FromStr for Verdict {
    type Err = UnknownVerdict;

    fn from_str(word: &str) -> Result<Self, UnknownVerdict> {
        Self::ALL
            .into_iter()
            .find(|verdict| verdict.word() == word)
            .ok_or_else(|| UnknownVerdict(word.to_owned()))
    }
}

/// One way in which a law was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Violation {
    /// When it became certain, in nanoseconds of true time.
    pub at_ns: u64,
    /// What is wrong, for a person, with numbers and names.
    pub message: String,
    /// What is wrong, without numbers, names and times: equal for equal bugs.
    pub shape: String,
    /// The requests that it is about: those of the evidence.
    pub ids: Vec<Id>,
    /// The events that show it, one a line; cut short where there are many, which the last line then says.
    pub evidence: Vec<String>,
}

/// What a law saw of one run, before it is graded by what happened to the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How it was broken.
    pub violations: Vec<Violation>,
    /// How often something happened that could have broken it.
    pub exercised: u64,
    /// Why it cannot be known whether it was broken, where it cannot.
    pub unknown: Option<String>,
}

/// A law's last word on one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Its verdict.
    pub verdict: Verdict,
    /// How it was broken: empty unless the verdict is `violated` or `beyond-design`.
    pub violations: Vec<Violation>,
    /// How often something happened that could have broken it.
    pub exercised: u64,
    /// Why the verdict is neither `held` nor `violated`: what went past the design, what is not known, or what would have
    /// had to happen.
    pub because: Option<String>,
}

/// Violations of one law, gathered by shape, so that one bug with a thousand victims is one violation.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<Gathered>);

#[derive(Debug)]
struct Gathered {
    violation: Violation,
    victims: usize,
    /// Those whose evidence is there.
    shown: usize,
}

/// Lines of evidence that one violation shows.
const EVIDENCE_LINES: usize = 40;

impl Violations {
    /// Adds one victim of `shape`: `message` tells of the first alone.
    pub(crate) fn add(&mut self, at_ns: u64, shape: &str, id: Option<Id>, message: String, evidence: String) {
        self.add_all(at_ns, shape, id, message, vec![evidence]);
    }

    /// Adds one victim of `shape` that takes several events to see.
    pub(crate) fn add_all(
        &mut self,
        at_ns: u64,
        shape: &str,
        id: Option<Id>,
        message: String,
        evidence: Vec<String>,
    ) {
        match self.0.iter_mut().find(|one| one.violation.shape == shape) {
            Some(known) => {
                known.victims += 1;
                if known.violation.evidence.len() + evidence.len() <= EVIDENCE_LINES {
                    known.shown += 1;
                    known.violation.evidence.extend(evidence);
                    known.violation.ids.extend(id);
                }
            }
            None => {
                let (shape, ids) = (shape.to_owned(), id.into_iter().collect());
                let violation = Violation { at_ns, message, shape, ids, evidence };
                self.0.push(Gathered { violation, victims: 1, shown: 1 });
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The violations, each saying how many more there are of its shape.
    pub(crate) fn into_vec(self) -> Vec<Violation> {
        let told = |Gathered { mut violation, victims, shown }: Gathered| {
            if victims > 1 {
                violation.message = format!("{}; {} more like it", violation.message, victims - 1);
            }
            if victims > shown {
                violation.evidence.push(format!("{} more are not shown", victims - shown));
            }
            violation
        };
        self.0.into_iter().map(told).collect()
    }
}
