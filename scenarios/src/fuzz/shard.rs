//! Parts of a batch, and what its first seed may be.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One part of a batch that several machines share: the `k`-th of `n`, counting from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard {
    pub(super) part: u64,
    pub(super) of: u64,
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.part, self.of)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self { part: 1, of: 1 }
    }
}

impl Shard {
    /// How many of a batch's runs it has.
    pub(super) fn runs(self, of_all: u64) -> u64 {
        of_all / self.of + u64::from(of_all % self.of >= self.part)
    }

    /// The place in the whole batch of the shard's run number `job`.
    pub(super) fn place(self, job: u64) -> u64 {
        job * self.of + self.part - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no shard: write `k/n`, such as `1/4`, with k from 1 to n");
        let (part, of) = text.split_once('/').ok_or_else(wrong)?;
        let shard = Self { part: part.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        (1..=shard.of).contains(&shard.part).then_some(shard).ok_or_else(wrong)
    }
}

/// The seed that a commit stands for: random to people, and the same for everybody.
///
/// # Errors
/// Where the text is not at least 16 hexadecimal digits.
pub fn seed_of_commit(hash: &str) -> Result<u64, String> {
    let digits = hash.get(..16).filter(|_| hash.chars().all(|digit| digit.is_ascii_hexdigit()));
    let seed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    seed.ok_or_else(|| format!("`{hash}` is no commit: give at least 16 digits of its hash"))
}
