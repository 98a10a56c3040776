//! The ledger of a run as text: what was accepted, done, received, counted and billed, by customer, and what is missing where.

use crate::ledger::{Book, Customer, Ledger};
use crate::terminal::counted;
use crate::words::moment;
use std::fmt::Write as _;

/// Of what is missing, so much is named.
const NAMED_MOST: usize = 10;
/// So many customers have a row of their own.
const ROWS_MOST: usize = 50;

/// The whole ledger, as lines.
pub fn text(ledger: &Ledger) -> String {
    let mut text = String::from("ledger\n");
    for line in table(ledger) {
        writeln!(text, "  {line}").expect("strings take all that is written");
    }
    for line in missing(ledger) {
        writeln!(text, "  {line}").expect("strings take all that is written");
    }
    text
}

/// A row for each customer, and one for all: requests by stage, then each book's units, as far as they are counted.
fn table(ledger: &Ledger) -> Vec<String> {
    let head = ["customer", "sent", "accepted", "done", "received", "refused", "given up"].map(str::to_owned);
    let books = ledger.books.iter().map(|book| book.name.clone());
    let mut rows: Vec<Vec<String>> = vec![head.into_iter().chain(books).collect()];
    let shown = ledger.customers.iter().take(ROWS_MOST);
    rows.extend(shown.map(|customer| row(&customer.customer.to_string(), customer)));
    rows.push(row("all", &ledger.all()));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let aligned = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(aligned).collect()
}

fn row(name: &str, customer: &Customer) -> Vec<String> {
    let Customer { sent, accepted, done, received, refused, given_up, .. } = customer;
    let stages = [sent, accepted, done, received, refused, given_up].map(ToString::to_string);
    let books = customer.units.iter().map(|units| match units {
        units if units.counted == units.used => units.used.to_string(),
        units => format!("{} of {}", units.counted, units.used),
    });
    std::iter::once(name.to_owned()).chain(stages).chain(books).collect()
}

fn missing(ledger: &Ledger) -> Vec<String> {
    let mut lines = Vec::new();
    let without_row = ledger.customers.len().saturating_sub(ROWS_MOST);
    if without_row > 0 {
        lines.push(format!("{} more are in the last row only", counted(without_row, "customer")));
    }
    if ledger.balances() {
        lines.push("nothing is missing".to_owned());
    }
    if !ledger.missing.is_empty() {
        lines.push(format!("accepted and not done: {}", counted(ledger.missing.len(), "request")));
    }
    for missing in ledger.missing.iter().take(NAMED_MOST) {
        lines.push(format!(
            "  {}: accepted at {}, last seen: {} on {} at {}",
            missing.id,
            moment(missing.acknowledged_ns),
            missing.last_seen,
            missing.last_seen_node,
            moment(missing.last_seen_ns)
        ));
    }
    lines.extend(more(ledger.missing.len()));
    for book in &ledger.books {
        lines.extend(of_book(book));
    }
    lines
}

fn of_book(book: &Book) -> Vec<String> {
    let Book { name, missing, .. } = book;
    let mut lines = Vec::new();
    if !missing.is_empty() {
        let ids: Vec<&str> = missing.iter().take(NAMED_MOST).map(String::as_str).collect();
        let uses = counted(missing.len(), "use");
        lines.push(format!("used and not counted in {name}: {uses}: {}", ids.join(", ")));
        lines.extend(more(missing.len()));
    }
    if book.units.counted > book.units.used {
        let much = book.units.counted - book.units.used;
        lines.push(format!("counted in {name} and not used: {much}"));
    }
    lines
}

fn more(count: usize) -> Option<String> {
    let more = count.saturating_sub(NAMED_MOST);
    (more > 0).then(|| format!("  and {more} more"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::history::{Digest, Event, Fact, Id, NodeIndex};

    /// Two requests of each customer; of the second, all that is not wanted is left out.
    fn events(customers: u32, wanted: fn(&Fact) -> bool) -> impl Iterator<Item = Event> {
        let facts =
            (0..customers).flat_map(move |customer| (0..2).map(move |number| Id::new(customer, number)));
        let facts = facts.flat_map(move |id| {
            let (ledger, account) = ("bytes".to_owned(), id.client());
            let output = Digest::of(b"a picture");
            let all = [
                Fact::Submit { id, attempt: 1 },
                Fact::Acknowledge { id },
                Fact::Finish { id, position: 1, output: Some(output) },
                Fact::Use { ledger: ledger.clone(), account, id, amount: 100 },
                Fact::Receive { id, output },
                Fact::Count { ledger, account, id, amount: 100, position: 1 },
            ];
            all.into_iter().filter(move |fact| id.operation() == 0 || wanted(fact))
        });
        (0..).zip(facts).map(|(number, fact)| Event { at_ns: number * 1_000_000, node: NodeIndex(0), fact })
    }

    #[test]
    fn a_ledger_says_what_is_missing_where() {
        let uncounted = |fact: &Fact| !matches!(fact, Fact::Count { .. });
        let undone = |fact: &Fact| matches!(fact, Fact::Submit { .. } | Fact::Acknowledge { .. });
        let of = |wanted| text(&Ledger::of(events(2, wanted), &["client-1"]));
        insta::assert_snapshot!(format!("{}{}{}", of(|_| true), of(uncounted), of(undone)), @r"
        ledger
          customer  sent  accepted  done  received  refused  given up  bytes
                 0     2         2     2         2        0         0    200
                 1     2         2     2         2        0         0    200
               all     4         4     4         4        0         0    400
          nothing is missing
        ledger
          customer  sent  accepted  done  received  refused  given up       bytes
                 0     2         2     2         2        0         0  100 of 200
                 1     2         2     2         2        0         0  100 of 200
               all     4         4     4         4        0         0  200 of 400
          used and not counted in bytes: 2 uses: 0.1, 1.1
        ledger
          customer  sent  accepted  done  received  refused  given up  bytes
                 0     2         2     1         1        0         0    100
                 1     2         2     1         1        0         0    100
               all     4         4     2         2        0         0    200
          accepted and not done: 2 requests
            0.1: accepted at 0.007000 s, last seen: acknowledge on client-1 at 0.007000 s
            1.1: accepted at 0.015000 s, last seen: acknowledge on client-1 at 0.015000 s
        ");
    }

    #[test]
    fn thousands_of_customers_and_of_losses_are_named_in_part() {
        let undone = |fact: &Fact| matches!(fact, Fact::Acknowledge { .. });
        let said = text(&Ledger::of(events(3_000, undone), &["client-1"]));
        assert_eq!(said.lines().count(), 1 + 1 + ROWS_MOST + 1 + 1 + 1 + NAMED_MOST + 1, "{said}");
        assert!(said.contains("2950 customers more are in the last row only"), "{said}");
        assert!(said.ends_with("    and 2990 more\n"), "{said}");
    }
}
