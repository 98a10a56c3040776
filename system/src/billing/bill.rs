//! What a bill is.

use crate::queue::{Amounts, Line};
use crate::usage;
use serde::{Deserialize, Serialize};
use sim::history::Digest;

/// Uses of one object of the archive at the most.
pub(super) const PART_LINES: usize = 50_000;

/// One period's bill: what the archive has under the period's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Counts periods, from 0.
    pub period: u64,
    /// When it began and ended, in nanoseconds of the queue's time.
    pub from_ns: u64,
    /// The end is not of it.
    pub until_ns: u64,
    /// Its parts: for each, the archive's names for the objects that it is split into, none where nobody used anything. An
    /// account's invoice is in those that [`Bill::part_of`] says.
    pub parts: Vec<Vec<String>>,
}

/// Some of a bill's invoices, or of their lines: one object of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The bill's period.
    pub period: u64,
    /// One for each customer who used something, by account. Who used much has more lines in other objects.
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
    /// The names of the objects that an account's invoice is in, if it has one.
    pub fn part_of(&self, account: u32) -> &[String] {
        let part = part_of(account, self.parts.len()).and_then(|part| self.parts.get(part));
        part.map_or(&[], Vec::as_slice)
    }
}

/// Which of so many parts has an account's uses; none of none.
pub(super) fn part_of(account: u32, parts: usize) -> Option<usize> {
    (account as usize).checked_rem(parts)
}

impl Part {
    /// The objects of a part with these uses, of so many each at the most. One customer's may be too many for one object.
    pub(super) fn split(period: u64, mut lines: Vec<Line>, most: usize) -> impl Iterator<Item = Self> {
        lines.sort_by_key(|line| (line.id, line.ended_ns));
        let objects = lines.len().div_ceil(most);
        (0..objects).map(move |object| {
            let until = lines.len().min((object + 1) * most);
            Self { period, invoices: Invoice::of(&lines[object * most..until]) }
        })
    }

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
    /// The invoices for these uses, which are in order.
    fn of(lines: &[Line]) -> Vec<Self> {
        let same_account = |one: &Line, other: &Line| one.id.client() == other.id.client();
        let invoice = |lines: &[Line]| Self {
            account: lines[0].id.client(),
            total: lines.iter().map(|line| line.amounts).fold(Amounts::default(), Amounts::plus),
            lines: lines.to_vec(),
        };
        lines.chunk_by(same_account).map(invoice).collect()
    }

    /// An account's whole invoice, from all objects of its part; none where it used nothing.
    pub fn of_account(account: u32, objects: Vec<Part>) -> Option<Self> {
        let pieces = objects.into_iter().flat_map(|object| object.invoices);
        pieces.filter(|piece| piece.account == account).reduce(|mut whole, piece| {
            whole.total = whole.total.plus(piece.total);
            whole.lines.extend(piece.lines);
            whole
        })
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
        fn an_invoice_holds_its_accounts_lines_once_and_adds_up_however_it_is_split(
            uses in proptest::collection::vec((0_u32..4, 0_u32..50, 0_u64..9), 0..40),
            most in 1_usize..50,
        ) {
            let line = |(account, operation, cpu_ns): &(u32, u32, u64)| {
                let amounts = Amounts { cpu_ns: *cpu_ns, bytes: 1 };
                Line { id: Id::new(*account, *operation), ended_ns: 0, amounts }
            };
            let mut lines: Vec<Line> = uses.iter().map(line).collect();
            let objects: Vec<Part> = Part::split(7, lines.clone(), most).collect();
            for object in &objects {
                prop_assert!(object.invoices.is_sorted_by_key(|invoice| invoice.account));
                let held = object.invoices.iter().map(|invoice| invoice.lines.len()).sum::<usize>();
                prop_assert!((1..=most).contains(&held));
            }
            lines.sort_by_key(|line| line.id);
            for account in 0..4 {
                let own: Vec<Line> = lines.iter().filter(|line| line.id.client() == account).copied().collect();
                let total = own.iter().map(|line| line.amounts).fold(Amounts::default(), Amounts::plus);
                let whole = (!own.is_empty()).then_some(Invoice { account, total, lines: own });
                prop_assert_eq!(Invoice::of_account(account, objects.clone()), whole);
            }
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
