//! What a law is expected to say of a run, and what to make of what it says.

use crate::diagnostics::one_of;
use crate::value::Wrong;
use invariants::{LAWS, UnknownVerdict, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One or more verdicts, any of which is as expected: `violated`, or `held | violated`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation(Vec<Verdict>);

/// What to make of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// As the scenario expects.
    Expected,
    /// A violation that the scenario does not expect: a bug.
    Unexpected,
    /// Broken, but past what the design promises: no failure.
    Excused,
    /// Undecided or not exercised: a failure only to those who are strict.
    Weak,
    /// The scenario expects a violation, and this seed does not show it: a failure only if no seed does.
    Missing,
}

impl Default for Expectation {
    /// Laws that a scenario does not name are expected to hold.
    fn default() -> Self {
        Self(vec![Verdict::Held])
    }
}

impl Expectation {
    /// The expectation that a plan holds as text, which was checked when it was read.
    pub fn of_plan(text: Option<&String>) -> Self {
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Whether `verdict` is as expected.
    pub fn allows(&self, verdict: Verdict) -> bool {
        self.0.contains(&verdict)
    }

    /// What to make of `verdict`.
    pub fn judge(&self, verdict: Verdict) -> Judgement {
        match verdict {
            _ if self.allows(verdict) => Judgement::Expected,
            Verdict::Violated => Judgement::Unexpected,
            _ if self.allows(Verdict::Violated) && !self.allows(Verdict::Held) => Judgement::Missing,
            Verdict::BeyondDesign => Judgement::Excused,
            Verdict::Held => Judgement::Missing,
            Verdict::Undecided | Verdict::NotExercised => Judgement::Weak,
        }
    }

    /// The same, but that nothing has to be violated: what is expected of a law that nobody asks for any more.
    #[cfg(not(live))]
    pub(crate) fn relaxed(mut self) -> Self {
        if self.allows(Verdict::Violated) && !self.allows(Verdict::Held) {
            self.0.insert(0, Verdict::Held);
        }
        self
    }

    pub(crate) fn laws() -> impl Iterator<Item = &'static str> {
        LAWS.iter().map(|law| law.name)
    }

    pub(crate) fn wrong() -> Wrong {
        let words = Verdict::ALL.into_iter().map(Verdict::word);
        Wrong::expected("a verdict")
            .help(format!("verdicts: {}; with `|` between them, any is right", one_of(words)))
    }
}

impl FromStr for Expectation {
    type Err = UnknownVerdict;

    fn from_str(text: &str) -> Result<Self, UnknownVerdict> {
        text.split('|').map(|word| word.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.iter().map(|verdict| verdict.word()).collect();
        formatter.write_str(&words.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_judged_by_what_was_expected() {
        let judge = |expected: &str, verdict| expected.parse::<Expectation>().unwrap().judge(verdict);
        assert_eq!(judge("held", Verdict::Held), Judgement::Expected);
        assert_eq!(judge("held", Verdict::Violated), Judgement::Unexpected);
        assert_eq!(judge("held", Verdict::BeyondDesign), Judgement::Excused);
        assert_eq!(judge("held", Verdict::NotExercised), Judgement::Weak);
        assert_eq!(judge("violated", Verdict::Violated), Judgement::Expected);
        assert_eq!(judge("violated", Verdict::Held), Judgement::Missing);
        assert_eq!(judge("violated | held", Verdict::Held), Judgement::Expected);
        assert_eq!(judge("violated | held", Verdict::Undecided), Judgement::Weak);
        assert_eq!(judge("violated", Verdict::Undecided), Judgement::Missing);
        assert_eq!(judge("beyond-design", Verdict::Held), Judgement::Missing);
        assert!("violated | maybe".parse::<Expectation>().is_err());
    }
}
