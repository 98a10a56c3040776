//! `ledger`: what was used is counted once, and sums are those of what was counted.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::history::{Event, Fact, Id, NodeIndex};
use sim::plan::Plan;
use std::collections::BTreeMap;

/// Exactly once per unit, exact at the end.
pub const LAW: Law = Law {
    name: "ledger",
    sentence: "every use is counted once, with its amount, for its customer; a sum lies between what was counted when it \
               was asked for and what was used when it was told; in the end sums are exact",
    needs: "work that a customer's account must show",
    survives: &[Bound::Disks { of: Keepers::Ledger, most: 1 }],
    make: |plan| Box::new(Ledgers::new(plan)),
};

/// The law at work.
///
/// That a read of a counter fits some order of concurrent additions is NP-hard to decide (it is subset sum), so sums are
/// held to an interval while additions are under way, which never is a false alarm, and to the very number once all is
/// quiet. Single entries are held to exactly once at all times.
struct Ledgers {
    names: Names,
    /// By ledger and customer.
    accounts: BTreeMap<String, BTreeMap<u32, Account>>,
    /// By ledger, whether it says what it counts, and whether it says sums.
    tells: BTreeMap<String, (bool, bool)>,
    violations: Violations,
    uses: u64,
    drained: bool,
}

#[derive(Default)]
struct Account {
    used: Entries,
    used_sum: u64,
    counted: Entries,
    counted_sum: u64,
    /// By question: what was counted when it was asked, and how many uses there were.
    asked: BTreeMap<u64, (u64, usize, Event)>,
    /// The last sum that was told: how many uses there were when it was asked for, and the event.
    told: Option<(usize, u64, Event)>,
}

/// What is kept of a use or of its count: all else of the event is where it is found. A region has millions.
struct Entry {
    id: Id,
    amount: u64,
    /// Of a count: its place in the ledger's order.
    position: u64,
    at_ns: u64,
    node: NodeIndex,
}

/// The entries of one account, in order of their uses.
#[derive(Default)]
struct Entries(Vec<Entry>);

impl Entries {
    fn get(&self, id: Id) -> Option<&Entry> {
        self.place(id).ok().map(|place| &self.0[place])
    }

    fn insert(&mut self, entry: Entry) {
        // Most come in order.
        if let Err(place) = self.place(entry.id) {
            self.0.insert(place, entry);
        }
    }

    fn place(&self, id: Id) -> Result<usize, usize> {
        match self.0.last() {
            Some(last) if last.id < id => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&id, |entry| entry.id),
        }
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Entry {
    /// The event in which `account` used this, of `ledger`.
    fn used(&self, ledger: &str, account: u32) -> Event {
        let fact = Fact::Use { ledger: ledger.to_owned(), account, id: self.id, amount: self.amount };
        Event { at_ns: self.at_ns, node: self.node, fact }
    }

    /// The event in which `ledger` counted this for `account`.
    fn counted(&self, ledger: &str, account: u32) -> Event {
        let (amount, position) = (self.amount, self.position);
        let fact = Fact::Count { ledger: ledger.to_owned(), account, id: self.id, amount, position };
        Event { at_ns: self.at_ns, node: self.node, fact }
    }
}

impl Ledgers {
    fn new(plan: &Plan) -> Self {
        Self {
            names: Names::of(plan),
            accounts: BTreeMap::new(),
            tells: BTreeMap::new(),
            violations: Violations::default(),
            uses: 0,
            drained: false,
        }
    }

    fn add(&mut self, shape: &str, id: Option<Id>, message: String, earlier: Option<&Event>, event: &Event) {
        let lines = earlier.into_iter().chain([event]).map(|event| self.names.line(event)).collect();
        self.violations.add_all(event.at_ns, shape, id, message, lines);
    }

    fn account(&mut self, ledger: &str, account: u32) -> &mut Account {
        if !self.accounts.contains_key(ledger) {
            self.accounts.insert(ledger.to_owned(), BTreeMap::new());
        }
        let accounts = self.accounts.get_mut(ledger).expect("it was just made");
        accounts.entry(account).or_default()
    }

    fn use_up(&mut self, event: &Event, (ledger, account, id, amount): (&str, u32, Id, u64)) {
        let state = self.account(ledger, account);
        if let Some(before) = state.used.get(id) {
            if before.amount != amount {
                let message =
                    format!("use {id} of customer {account} is {} and again {amount}", before.amount);
                let first = before.used(ledger, account);
                self.add("two amounts for one use", Some(id), message, Some(&first), event);
            }
            return;
        }
        state.used.insert(Entry { id, amount, position: 0, at_ns: event.at_ns, node: event.node });
        state.used_sum += amount;
        self.uses += 1;
    }

    fn count(&mut self, event: &Event, (ledger, account, id, amount): (&str, u32, Id, u64), position: u64) {
        self.tells.entry(ledger.to_owned()).or_default().0 = true;
        let state = self.account(ledger, account);
        if let Some(before) = state.counted.get(id) {
            if before.position != position {
                let message = format!("use {id} of customer {account} is counted twice in {ledger}");
                let first = before.counted(ledger, account);
                self.add("counted twice", Some(id), message, Some(&first), event);
            }
            return;
        }
        state.counted.insert(Entry { id, amount, position, at_ns: event.at_ns, node: event.node });
        state.counted_sum += amount;
        let right = state.used.get(id).map(|used| used.amount);
        if right.is_none() {
            let message = format!("{ledger} counts use {id} of customer {account}, which there never was");
            self.add("counted and never used", Some(id), message, None, event);
        } else if let Some(right) = right.filter(|right| *right != amount) {
            let message =
                format!("{ledger} counts {amount} for use {id} of customer {account}, which is {right}");
            let used = self.account(ledger, account).used.get(id).map(|used| used.used(ledger, account));
            self.add("wrong amount", Some(id), message, used.as_ref(), event);
        }
    }

    fn total(&mut self, event: &Event, ledger: &str, account: u32, question: u64, amount: u64) {
        self.tells.entry(ledger.to_owned()).or_default().1 = true;
        let state = self.account(ledger, account);
        let Some((least, uses, asked)) = state.asked.remove(&question) else { return };
        let most = state.used_sum;
        state.told = Some((uses, amount, event.clone()));
        if amount < least {
            let message =
                format!("{ledger} says {amount} for customer {account}, of whom it had counted {least}");
            self.add("a sum that leaves something out", None, message, Some(&asked), event);
        } else if amount > most {
            let message = format!("{ledger} says {amount} for customer {account}, who had used {most}");
            self.add("a sum of more than there is", None, message, Some(&asked), event);
        }
    }

    /// All is quiet: nothing is missing, and sums are exact.
    fn settle(&mut self, event: &Event) {
        let accounts = std::mem::take(&mut self.accounts);
        let each = accounts.iter().flat_map(|(ledger, accounts)| {
            accounts.iter().map(move |(account, state)| (ledger, *account, state))
        });
        for (ledger, account, state) in each {
            let (counts, totals) = self.tells.get(ledger).copied().unwrap_or_default();
            if counts || !totals {
                for used in state.used.0.iter().filter(|used| state.counted.get(used.id).is_none()) {
                    let message = format!("use {} of customer {account} is not counted in {ledger}", used.id);
                    let (id, used) = (used.id, used.used(ledger, account));
                    self.add("never counted", Some(id), message, Some(&used), event);
                }
            }
            let last = state.told.as_ref().filter(|(uses, ..)| *uses == state.used.len());
            if let Some((_, amount, told)) = last.filter(|(_, amount, _)| *amount != state.used_sum) {
                let right = state.used_sum;
                let message =
                    format!("in the end {ledger} says {amount} for customer {account}, who used {right}");
                self.add("a sum that is wrong in the end", None, message, Some(told), event);
            }
        }
        self.accounts = accounts;
    }

    fn uncounted(&self) -> usize {
        let accounts = self.accounts.values().flat_map(BTreeMap::values);
        accounts.map(|state| state.used.len().saturating_sub(state.counted.len())).sum()
    }
}

impl Invariant for Ledgers {
    fn observe(&mut self, event: &Event) {
        match &event.fact {
            Fact::Use { ledger, account, id, amount } => self.use_up(event, (ledger, *account, *id, *amount)),
            Fact::Count { ledger, account, id, amount, position } => {
                self.count(event, (ledger, *account, *id, *amount), *position);
            }
            Fact::AskTotal { ledger, account, question } => {
                let state = self.account(ledger, *account);
                let (counted, uses) = (state.counted_sum, state.used.len());
                state.asked.insert(*question, (counted, uses, event.clone()));
            }
            Fact::Total { ledger, account, question, amount } => {
                self.total(event, ledger, *account, *question, *amount);
            }
            Fact::Drained {} => {
                self.drained = true;
                self.settle(event);
            }
            _ => {}
        }
    }

    fn broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn finish(self: Box<Self>) -> Outcome {
        let uncounted = self.uncounted();
        let unknown = (!self.drained && uncounted > 0)
            .then(|| format!("the run ended before it had drained, and {uncounted} uses are not counted"));
        Outcome { violations: self.violations.into_vec(), exercised: self.uses, unknown }
    }
}
