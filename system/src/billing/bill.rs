//! What a bill is.

use crate::queue::{Amounts, Line};
use crate::usage;
use serde::{Deserialize, Serialize};
use sim::history::Digest;

/// One period's bill: what the archive has under the period's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Counts periods, from 0.
    pub period: u64,
    /// When it began and ended, in nanoseconds of the queue's time.
    pub from_ns: u64,
    /// The end is not of it.
    pub until_ns: u64,
    /// The archive's names for its parts. An account's invoice is in the one that [`Bill::part_of`] says.
    pub parts: Vec<String>,
}

/// Some of a bill's invoices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The bill's period.
    pub period: u64,
    /// One for each customer who used something, by account.
    pub invoices: Vec<Invoice>,
}

/// What one customer is to pay for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// The customer.
    pub account: u32,
    /// The sum of the lines.
    pub total: Amounts,
    /// Each use, by job.
    pub lines: Vec<Line>,
}

impl Bill {
    /// The name of the part that an account's invoice is in, if it has one; none of a bill without parts.
    pub fn part_of(&self, account: u32) -> Option<&str> {
        self.parts.get(part_of(account, self.parts.len())?).map(String::as_str)
    }
}

/// Which of so many parts has an account's uses; none of none.
pub(super) fn part_of(account: u32, parts: usize) -> Option<usize> {
    (account as usize).checked_rem(parts)
}

impl Part {
    /// The archive's name for it: by what is in it, so that what an earlier attempt left of the same period is in nobody's way.
    pub(super) fn object(&self, content: &[u8]) -> String {
        format!("{}-{}", object_of(self.period), Digest::of(content))
    }

    /// Notes each use as billed.
    pub(super) fn record(&self) {
        for line in self.invoices.iter().flat_map(|invoice| &invoice.lines) {
            usage::record_billed(line, self.period);
        }
    }
}

impl Invoice {
    /// The invoices for these uses, by account.
    pub(super) fn of(mut lines: Vec<Line>) -> Vec<Self> {
        lines.sort_by_key(|line| (line.id, line.ended_ns));
        let same_account = |one: &Line, other: &Line| one.id.client() == other.id.client();
        let invoice = |lines: &[Line]| Self {
            account: lines[0].id.client(),
            total: lines.iter().map(|line| line.amounts).fold(Amounts::default(), Amounts::plus),
            lines: lines.to_vec(),
        };
        lines.chunk_by(same_account).map(invoice).collect()
    }
}

/// The archive's name for a period's bill.
pub fn object_of(period: u64) -> String {
    format!("bill-{period:012}")
}

/// The period whose bill has this name.
pub(super) fn period_of(object: &str) -> Option<u64> {
    object.strip_prefix("bill-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sim::history::Id;

    proptest! {
        #[test]
        fn invoices_hold_every_line_once_and_add_up(uses in proptest::collection::vec((0_u32..4, 0_u32..50, 0_u64..9), 0..40)) {
            let line = |(account, operation, cpu_ns): &(u32, u32, u64)| {
                let amounts = Amounts { cpu_ns: *cpu_ns, bytes: 1 };
                Line { id: Id::new(*account, *operation), ended_ns: 0, amounts }
            };
            let lines: Vec<Line> = uses.iter().map(line).collect();
            let invoices = Invoice::of(lines.clone());
            prop_assert!(invoices.is_sorted_by_key(|invoice| invoice.account));
            for invoice in &invoices {
                let own = lines.iter().filter(|line| line.id.client() == invoice.account);
                let sum = own.map(|line| line.amounts).fold(Amounts::default(), Amounts::plus);
                prop_assert_eq!(invoice.total, sum);
            }
            prop_assert_eq!(invoices.iter().map(|invoice| invoice.lines.len()).sum::<usize>(), lines.len());
        }
    }

    #[test]
    fn a_bill_has_the_name_of_its_period() {
        assert_eq!(period_of(&object_of(12)), Some(12));
        assert_eq!(period_of("other"), None);
        let part = Part { period: 12, invoices: Vec::new() };
        assert_eq!(period_of(&part.object(b"content")), None, "a part is no bill");
    }
}
