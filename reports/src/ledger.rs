//! What was sent, acknowledged, done, received, counted and billed, and what is missing.

use crate::ways::id_of;
use serde::Serialize;
use sim::history::{Event, Fact, Id, NodeIndex};
use std::collections::BTreeMap;

/// The way of one request.
#[derive(Clone, Debug, Default)]
struct Way {
    acknowledged_ns: Option<u64>,
    done: bool,
    received: bool,
    refused: bool,
    given_up: bool,
    submitted: bool,
    last: Option<(u64, NodeIndex, &'static str)>,
}

/// Counts of a run's requests, and those that were promised and are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ledger {
    /// Sent by clients.
    pub submitted: usize,
    /// Promised to clients.
    pub acknowledged: usize,
    /// Done, or set aside as poison.
    pub done: usize,
    /// Held by their clients.
    pub received: usize,
    /// Refused for good.
    pub refused: usize,
    /// Given up by their clients.
    pub given_up: usize,
    /// Promised and not done, in the order of their identities.
    pub missing: Vec<Missing>,
    /// What was used, by what keeps the account of it, in order of their names; the bills are books of their own.
    pub books: Vec<Book>,
    /// The same, customer by customer.
    pub customers: Vec<Customer>,
}

/// What was used, and what an account has of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Units {
    /// How much was used.
    pub used: u64,
    /// How much of it is counted, for good.
    pub counted: u64,
}

/// One account of all customers, such as of bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Book {
    /// What keeps it.
    pub name: String,
    /// Of all customers.
    pub units: Units,
    /// Uses that are not counted, in order.
    pub missing: Vec<String>,
}

/// One customer's part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Customer {
    /// The customer's number.
    pub customer: u32,
    /// Requests sent.
    pub sent: usize,
    /// Requests promised.
    pub accepted: usize,
    /// Requests done, or set aside as poison.
    pub done: usize,
    /// Results received.
    pub received: usize,
    /// Requests refused for good.
    pub refused: usize,
    /// Requests given up.
    pub given_up: usize,
    /// What was used and what is counted, by book.
    pub units: Vec<Units>,
}

/// A request that was promised and is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Missing {
    /// The request.
    pub id: String,
    /// When it was acknowledged, in nanoseconds.
    pub acknowledged_ns: u64,
    /// When the stack was last seen with it.
    pub last_seen_ns: u64,
    /// On which node.
    pub last_seen_node: String,
    /// What happened then: the event's word.
    pub last_seen: &'static str,
}

impl Ledger {
    /// The ledger of `events`; `names` are those of the nodes.
    pub fn of(events: impl Iterator<Item = Event>, names: &[&str]) -> Self {
        let (mut ways, mut uses): (BTreeMap<Id, Way>, Uses) = Default::default();
        events.for_each(|event| {
            note(&mut ways, &event);
            note_use(&mut uses, event);
        });
        let books: Vec<Book> = uses.iter().map(|(name, uses)| book(name, uses)).collect();
        let customers = customers(&ways, &uses);
        let count = |is: fn(&Way) -> bool| ways.values().filter(|way| is(way)).count();
        let missing = ways.iter().filter_map(|(id, way)| missing(*id, way, names)).collect();
        Self {
            submitted: count(|way| way.submitted),
            acknowledged: count(|way| way.acknowledged_ns.is_some()),
            done: count(|way| way.done),
            received: count(|way| way.received),
            refused: count(|way| way.refused),
            given_up: count(|way| way.given_up),
            missing,
            books,
            customers,
        }
    }

    /// Whether all that was promised is done, and all that was used is counted, and no more than that.
    pub fn balances(&self) -> bool {
        let even = |book: &Book| book.missing.is_empty() && book.units.used == book.units.counted;
        self.missing.is_empty() && self.books.iter().all(even)
    }

    /// All customers together, as if they were one.
    pub fn all(&self) -> Customer {
        Customer {
            customer: 0,
            sent: self.submitted,
            accepted: self.acknowledged,
            done: self.done,
            received: self.received,
            refused: self.refused,
            given_up: self.given_up,
            units: self.books.iter().map(|book| book.units).collect(),
        }
    }
}

/// By book and use: how much was used, and how much is counted.
type Uses = BTreeMap<String, BTreeMap<Id, Units>>;

/// Whoever repeats a use or an entry says the same again; what an entry made twice means is a law's business.
fn note_use(uses: &mut Uses, event: Event) {
    match event.fact {
        Fact::Use { ledger, id, amount, .. } => {
            uses.entry(ledger).or_default().entry(id).or_default().used = amount;
        }
        Fact::Count { ledger, id, amount, .. } => {
            uses.entry(ledger).or_default().entry(id).or_default().counted = amount;
        }
        _ => {}
    }
}

fn book(name: &str, uses: &BTreeMap<Id, Units>) -> Book {
    let missing = uses.iter().filter(|(_, units)| units.counted < units.used);
    Book {
        name: name.to_owned(),
        units: sum(uses.values()),
        missing: missing.map(|(id, _)| id.to_string()).collect(),
    }
}

fn sum<'a>(units: impl Iterator<Item = &'a Units>) -> Units {
    units.fold(Units::default(), |sum, units| Units {
        used: sum.used + units.used,
        counted: sum.counted + units.counted,
    })
}

fn customers(ways: &BTreeMap<Id, Way>, uses: &Uses) -> Vec<Customer> {
    let mut customers: BTreeMap<u32, Customer> = BTreeMap::new();
    for (id, way) in ways {
        let customer = id.client();
        let of = customers.entry(customer).or_insert_with(|| Customer { customer, ..Customer::default() });
        of.sent += usize::from(way.submitted);
        of.accepted += usize::from(way.acknowledged_ns.is_some());
        of.done += usize::from(way.done);
        of.received += usize::from(way.received);
        of.refused += usize::from(way.refused);
        of.given_up += usize::from(way.given_up);
    }
    for (customer, of) in &mut customers {
        let ids = Id::new(*customer, 0)..=Id::new(*customer, u32::MAX);
        of.units = uses.values().map(|uses| sum(uses.range(ids.clone()).map(|(_, units)| units))).collect();
    }
    customers.into_values().collect()
}

fn note(ways: &mut BTreeMap<Id, Way>, event: &Event) {
    let Some(id) = id_of(&event.fact) else { return };
    let way = ways.entry(id).or_default();
    match event.fact {
        Fact::Expect { .. } => return,
        Fact::Submit { .. } => way.submitted = true,
        Fact::Acknowledge { .. } => way.acknowledged_ns = way.acknowledged_ns.or(Some(event.at_ns)),
        Fact::Finish { .. } | Fact::Quarantine { .. } => way.done = true,
        Fact::Redrive { .. } => way.done = false,
        Fact::Receive { .. } => way.received = true,
        Fact::Refuse { .. } => way.refused = true,
        Fact::GiveUp { .. } => way.given_up = true,
        _ => {}
    }
    // What clients go on doing says nothing of where the stack has it.
    if !matches!(event.fact, Fact::GiveUp { .. } | Fact::Submit { attempt: 2.., .. }) {
        way.last = Some((event.at_ns, event.node, event.fact.word()));
    }
}

fn missing(id: Id, way: &Way, names: &[&str]) -> Option<Missing> {
    let acknowledged_ns = way.acknowledged_ns.filter(|_| !way.done)?;
    let (last_seen_ns, node, last_seen) = way.last?;
    let last_seen_node = (*names.get(node.0 as usize).unwrap_or(&"world")).to_owned();
    Some(Missing { id: id.to_string(), acknowledged_ns, last_seen_ns, last_seen_node, last_seen })
}
