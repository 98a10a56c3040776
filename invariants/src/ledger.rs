//! `ledger`: what was used is counted once, and sums are those of what was counted.

use crate::names::Names;
use crate::verdict::Violations;
use crate::{Bound, Invariant, Keepers, Law, Outcome};
use sim::history::{Event, Fact, Id};
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
    accounts: BTreeMap<(String, u32), Account>,
    /// By ledger, whether it says what it counts, and whether it says sums.
    tells: BTreeMap<String, (bool, bool)>,
    violations: Violations,
    uses: u64,
    drained: bool,
}

#[derive(Default)]
struct Account {
    used: BTreeMap<Id, (u64, Event)>,
    used_sum: u64,
    /// With the place in the ledger's order and the event that entered it.
    counted: BTreeMap<Id, (u64, Event)>,
    counted_sum: u64,
    /// By question: what was counted when it was asked, and how many uses there were.
    asked: BTreeMap<u64, (u64, usize, Event)>,
    /// The last sum that was told: how many uses there were when it was asked for, and the event.
    told: Option<(usize, u64, Event)>,
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
        self.accounts.entry((ledger.to_owned(), account)).or_default()
    }

    fn use_up(&mut self, event: &Event, (ledger, account, id, amount): (&str, u32, Id, u64)) {
        let state = self.account(ledger, account);
        if let Some((before, first)) = state.used.get(&id) {
            if *before != amount {
                let message = format!("use {id} of customer {account} is {before} and again {amount}");
                let first = first.clone();
                self.add("two amounts for one use", Some(id), message, Some(&first), event);
            }
            return;
        }
        state.used.insert(id, (amount, event.clone()));
        state.used_sum += amount;
        self.uses += 1;
    }

    fn count(&mut self, event: &Event, (ledger, account, id, amount): (&str, u32, Id, u64), position: u64) {
        self.tells.entry(ledger.to_owned()).or_default().0 = true;
        let state = self.account(ledger, account);
        if let Some((before, first)) = state.counted.get(&id) {
            if *before != position {
                let message = format!("use {id} of customer {account} is counted twice in {ledger}");
                let first = first.clone();
                self.add("counted twice", Some(id), message, Some(&first), event);
            }
            return;
        }
        state.counted.insert(id, (position, event.clone()));
        state.counted_sum += amount;
        let used = state.used.get(&id).cloned();
        match used {
            None => {
                let message =
                    format!("{ledger} counts use {id} of customer {account}, which there never was");
                self.add("counted and never used", Some(id), message, None, event);
            }
            Some((right, used)) if right != amount => {
                let message =
                    format!("{ledger} counts {amount} for use {id} of customer {account}, which is {right}");
                self.add("wrong amount", Some(id), message, Some(&used), event);
            }
            Some(_) => {}
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
        for ((ledger, account), state) in &accounts {
            let (counts, totals) = self.tells.get(ledger).copied().unwrap_or_default();
            if counts || !totals {
                for (id, (_, used)) in state.used.iter().filter(|(id, _)| !state.counted.contains_key(id)) {
                    let message = format!("use {id} of customer {account} is not counted in {ledger}");
                    self.add("never counted", Some(*id), message, Some(used), event);
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
        self.accounts.values().map(|state| state.used.len().saturating_sub(state.counted.len())).sum()
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
