//! The accounts: each use once, exact in the end, whatever became of some of the nodes meanwhile.

use crate::world::{cut, events, events_of, fault, on};
use sim::fault::{Fault, Inject};
use sim::history::{Event, Fact, Id};
use sim::plan::Plan;
use sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use system::ImageStack;

const USAGE: [&str; 5] = ["usage-1", "usage-2", "usage-3", "usage-4", "usage-5"];

pub(crate) fn plan(seed: u64, faults: Vec<Fault>) -> Plan {
    let roles =
        [("api", 1), ("queue", 3), ("worker", 2), ("usage", 5), ("batch", 3), ("archive", 3), ("client", 1)];
    let settings = [("usage.batch-lines", "4"), ("billing.period", "7s")];
    crate::world::plan(seed, 20, &roles, (3, 4.0), &settings, faults)
}

type Account = (String, u32);

/// What a run says of the accounts.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// What was used, and what was entered, by ledger and account.
    used: BTreeMap<Account, u64>,
    counted: BTreeMap<Account, u64>,
    /// The last sum that somebody read; bills have none but their lines.
    read: BTreeMap<Account, u64>,
    /// Jobs that were entered more than once.
    twice: BTreeSet<Id>,
    drained: bool,
}

fn run(plan: &Plan) -> Accounts {
    accounts(events(plan))
}

pub(crate) fn accounts(events: Vec<Event>) -> Accounts {
    let mut accounts = Accounts::default();
    let (mut uses, mut entries) = (BTreeSet::new(), BTreeMap::new());
    for event in events {
        match event.fact {
            Fact::Use { ledger, account, id, amount } if uses.insert((ledger.clone(), id)) => {
                *accounts.used.entry((ledger, account)).or_default() += amount;
            }
            Fact::Count { ledger, account, id, amount, position } => {
                match entries.insert((ledger.clone(), id), position) {
                    None => *accounts.counted.entry((ledger, account)).or_default() += amount,
                    Some(before) if before == position => {}
                    Some(_) => drop(accounts.twice.insert(id)),
                }
            }
            Fact::Total { ledger, account, amount, .. } => {
                accounts.read.insert((ledger, account), amount);
            }
            Fact::Drained {} => accounts.drained = true,
            Fact::Panic { message } => panic!("{message}"),
            _ => {}
        }
    }
    accounts
}

impl Accounts {
    pub(crate) fn check(&self) {
        assert!(self.drained, "{self:?}");
        assert!(self.used.len() >= 8, "four ledgers, some customers: {self:?}");
        assert_eq!(self.counted, self.used, "every use once, in the store and on the bills");
        let mut sums = self.used.clone();
        sums.retain(|(ledger, _), _| !ledger.starts_with("billed-"));
        assert_eq!(self.read, sums, "every sum is exact");
        assert_eq!(self.twice, BTreeSet::new());
    }
}

#[test]
fn on_an_ordinary_day_accounts_are_exact() {
    let first = run(&plan(1, Vec::new()));
    first.check();
    let cpu_ns: Vec<u64> =
        first.used.iter().filter(|((ledger, _), _)| ledger == "cpu-ns").map(|(_, sum)| *sum).collect();
    assert!(cpu_ns.iter().all(|sum| *sum > 0 && sum % 100_000_000 == 0), "100 ms each: {cpu_ns:?}");
}

#[test]
fn accounts_are_exact_though_nodes_of_every_tier_go_and_come_back() {
    for seed in 1..=3 {
        run(&plan(
            seed,
            vec![
                fault(3, 9, Inject::PowerLoss(on(&["usage-1", "usage-2"]))),
                fault(6, 12, Inject::Crash(on(&["usage-3", "queue-1"]))),
                fault(13, 16, Inject::PowerLoss(on(&["queue-1", "queue-2", "queue-3"]))),
                fault(14, 18, Inject::Crash(on(&["worker-1", "batch-1"]))),
                fault(15, 19, Inject::PowerLoss(on(&["batch-2", "archive-1"]))),
            ],
        ))
        .check();
    }
}

#[test]
fn accounts_are_exact_though_the_nodes_were_cut_in_two() {
    for seed in 1..=3 {
        run(&plan(
            seed,
            vec![
                fault(3, 10, cut(&USAGE[..2], &USAGE[2..])),
                fault(6, 15, cut(&["queue-1"], &USAGE)),
                fault(12, 18, cut(&USAGE[..4], &USAGE[4..])),
            ],
        ))
        .check();
    }
}

#[test]
fn a_node_that_lost_its_disk_says_nothing_of_sums_until_it_has_what_it_had() {
    let all_but = |index: usize| -> Vec<&str> {
        USAGE[..3].iter().enumerate().filter(|(other, _)| *other != index).map(|(_, name)| *name).collect()
    };
    let alone = |index: usize| {
        let others =
            [&all_but(index)[..], &["queue-1", "queue-2", "queue-3", "batch-1", "batch-2", "batch-3"]];
        cut(&USAGE[index..=index], &others.concat())
    };
    for seed in 1..=3 {
        // What the first two keep, one of them forgets, and the other cannot say; the third never had it.
        let mut plan = plan(
            seed,
            vec![
                fault(1, 7, alone(2)),
                fault(7, 8, Inject::LostDisk(on(&["usage-1"]))),
                fault(7, 17, alone(1)),
            ],
        );
        plan.nodes.retain(|node| !USAGE[3..].contains(&node.name.as_str()));
        run(&plan).check();
    }
}

#[test]
fn without_stand_ins_accounts_wait_and_are_exact_all_the_same() {
    let mut plan = plan(4, vec![fault(3, 15, Inject::Crash(on(&["usage-1", "usage-2", "usage-3"])))]);
    plan.settings.insert("usage.hinted-handoff".to_owned(), "false".to_owned());
    run(&plan).check();
}

#[test]
fn batches_that_are_not_known_again_are_billed_twice() {
    let wrong = (1..=3).any(|seed| {
        let most = Inject::Crash(on(&USAGE[1..]));
        let mut plan = plan(seed, vec![fault(5, 12, most)]);
        plan.settings.insert("usage.idempotent-batches".to_owned(), "false".to_owned());
        let accounts = run(&plan);
        accounts.read.iter().any(|(account, sum)| sum > &accounts.used[account])
    });
    assert!(wrong, "what a number is good for");
}

#[test]
fn a_bill_that_only_a_lost_disk_had_is_made_again() {
    for seed in 1..=2 {
        // The first bill is put while one node of the archive has room, which loses its disk once the second is everywhere.
        let others = ["archive-2", "archive-3"];
        let faults = vec![
            fault(6, 11, Inject::FullDisk(on(&others))),
            fault(6, 18, cut(&["archive-1"], &others)),
            fault(17, 18, Inject::LostDisk(on(&["archive-1"]))),
        ];
        run(&plan(seed, faults)).check();
    }
}

/// The image stack, whose nodes have another `billing.period` whenever they start again: an operator changed it.
struct Changed {
    period: &'static str,
}

impl Changed {
    fn deployment(&self, before: &Deployment) -> Arc<Deployment> {
        let setting = |name: &str| (name.to_owned(), before.setting(name).to_owned());
        let mut settings: BTreeMap<_, _> =
            ImageStack.settings().iter().map(|each| setting(each.name)).collect();
        settings.insert("billing.period".to_owned(), self.period.to_owned());
        Arc::new(Deployment::new(&ImageStack, before.nodes.clone(), &settings).unwrap())
    }
}

impl Stack for Changed {
    fn name(&self) -> &'static str {
        ImageStack.name()
    }

    fn roles(&self) -> &'static [Role] {
        ImageStack.roles()
    }

    fn settings(&self) -> &'static [Setting] {
        ImageStack.settings()
    }

    fn boot(&self, mut process: Process) -> Task {
        if process.incarnation > 1 {
            process.deployment = self.deployment(&process.deployment);
        }
        ImageStack.boot(process)
    }

    fn client(&self, client: Client) -> Task {
        ImageStack.client(client)
    }

    fn drained(&self, deployment: Arc<Deployment>) -> Task<bool> {
        // Bills are counted as if all were of one length: the shorter one, or some would not be waited for.
        let changed = self.deployment(&deployment);
        let period = |deployment: &Deployment| deployment.duration("billing.period");
        ImageStack.drained(if period(&changed) < period(&deployment) { changed } else { deployment })
    }
}

#[test]
fn another_length_of_periods_leaves_no_use_out_and_bills_none_twice() {
    for period in ["3s", "11s"] {
        let restart = fault(15, 16, Inject::Crash(on(&["batch-1", "batch-2", "batch-3"])));
        accounts(events_of(&plan(5, vec![restart]), Arc::new(Changed { period }))).check();
    }
}
