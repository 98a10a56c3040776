//! What a law is expected to say of a run.

use crate::value::Wrong;
use std::fmt;
use std::str::FromStr;

const WORDS: [&str; 5] = ["held", "violated", "beyond-design", "undecided", "not-exercised"];
const LAWS: [&str; 5] = ["delivery", "agreement", "resize", "recovers", "no-panic"];

/// One or more verdicts, any of which is as expected: `violated`, or `held | violated`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation(Vec<&'static str>);

impl Expectation {
    pub(crate) fn laws() -> impl Iterator<Item = &'static str> {
        LAWS.into_iter()
    }

    pub(crate) fn wrong() -> Wrong {
        Wrong::expected("a verdict").help(format!("verdicts: {}", crate::diagnostics::one_of(WORDS)))
    }
}

impl FromStr for Expectation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let find = |word: &str| WORDS.into_iter().find(|known| *known == word.trim()).ok_or(());
        text.split('|').map(find).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(" | "))
    }
}
