//! The sum P^N beside what happened, measured in one run.
//!
//! "A node fails with probability P, so N nodes fail together with P^N" holds if they fail independently. A run says how
//! long each node of a role was down, and how long all of them were down at once; the first gives P and the claim, the
//! second what the shared cause made of it.

use serde::Serialize;
use sim::duration_text;
use sim::history::{Event, Fact, Observer};
use sim::plan::Plan;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// P^N beside what happened, for the nodes of one role.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sharing {
    /// The role.
    pub role: String,
    /// N: how many nodes it has.
    pub nodes: u32,
    /// How long the run's faults could act, in nanoseconds of true time.
    pub window_ns: u64,
    /// How long a node was down, on the mean.
    pub down_ns_mean: f64,
    /// How long all were down at once.
    pub all_down_ns: u64,
    /// The domains that the faults shared, such as `power=A`.
    pub shared: Vec<String>,
}

impl Sharing {
    /// P: the share of the time that a node was down.
    pub fn probability(&self) -> f64 {
        self.down_ns_mean / seconds(self.window_ns) / 1e9
    }

    /// P^N: the share of the time that all would be down if they failed independently.
    pub fn claimed(&self) -> f64 {
        self.probability().powi(i32::try_from(self.nodes).unwrap_or(i32::MAX))
    }

    /// The share of the time that all were down.
    pub fn observed(&self) -> f64 {
        seconds(self.all_down_ns) / seconds(self.window_ns)
    }

    /// How many independent nodes would have been down together as long: ln(observed) / ln(P). None where it is
    /// unknown, since they never were, or always.
    pub fn effective_nodes(&self) -> Option<f64> {
        let (probability, observed) = (self.probability(), self.observed());
        (observed > 0.0 && probability < 1.0).then(|| observed.ln() / probability.ln())
    }

    /// Two lines for a person: what the sum says, and what happened.
    pub fn lines(&self) -> [String; 2] {
        let Self { role, nodes, .. } = self;
        let window = duration_text::readable(self.window_ns);
        let claim = format!(
            "a {role} node was down {:.1} s of {window}: P = {:.4}, so P^{nodes} says all {nodes} at once for {:.2e} of the time",
            self.down_ns_mean / 1e9,
            self.probability(),
            self.claimed(),
        );
        let cause = if self.shared.is_empty() {
            String::new()
        } else {
            format!(", sharing {}", self.shared.join(", "))
        };
        let happened = match self.effective_nodes() {
            Some(effective) => format!(
                "all {nodes} were down at once for {:.1} s{cause}: {:.4} of the time, {:.0} times P^{nodes}; \
                 {nodes} replicas were worth {effective:.2}",
                seconds(self.all_down_ns),
                self.observed(),
                self.observed() / self.claimed(),
            ),
            None => format!("all {nodes} were never down at once{cause}: one run bounds nothing; see `fuzz`"),
        };
        [claim, happened]
    }
}

#[expect(clippy::cast_precision_loss, reason = "for ratios")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Measures [`Sharing`] as the history is written.
pub struct SharingObserver {
    roles: BTreeMap<String, Role>,
    role_of: Vec<String>,
    shared: Vec<Option<String>>,
    window_ns: u64,
    measured: Arc<Mutex<Vec<Sharing>>>,
}

#[derive(Default)]
struct Role {
    nodes: u32,
    down: u32,
    since_ns: u64,
    down_ns: u64,
    all_down_ns: u64,
    shared: Vec<String>,
}

impl Role {
    /// Counts the time up to `now_ns`.
    fn advance(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        self.down_ns += elapsed_ns * u64::from(self.down);
        if self.down == self.nodes {
            self.all_down_ns += elapsed_ns;
        }
        self.since_ns = now_ns.max(self.since_ns);
    }
}

impl SharingObserver {
    /// An observer of a run of `plan`, and where its measures will be once the history has ended: one a role whose nodes
    /// were down at all, in the order of names.
    pub fn new(plan: &Plan) -> (Self, Arc<Mutex<Vec<Sharing>>>) {
        let mut roles: BTreeMap<String, Role> = BTreeMap::new();
        for node in &plan.nodes {
            roles.entry(node.role.clone()).or_default().nodes += 1;
        }
        // All nodes are about to boot.
        roles.values_mut().for_each(|role| role.down = role.nodes);
        let measured = Arc::new(Mutex::new(Vec::new()));
        let observer = Self {
            roles,
            role_of: plan.nodes.iter().map(|node| node.role.clone()).collect(),
            shared: plan.faults.iter().map(|fault| fault.shared.clone()).collect(),
            window_ns: plan.duration_ns,
            measured: measured.clone(),
        };
        (observer, measured)
    }

    fn role_of(&mut self, node: sim::history::NodeIndex) -> Option<&mut Role> {
        self.roles.get_mut(self.role_of.get(node.0 as usize)?)
    }

    fn begin_fault(&mut self, fault: u32, nodes: &[sim::history::NodeIndex]) {
        let Some(Some(domain)) = self.shared.get(fault as usize).cloned() else { return };
        for node in nodes {
            if let Some(role) = self.role_of(*node)
                && !role.shared.contains(&domain)
            {
                role.shared.push(domain.clone());
            }
        }
    }

    fn end(&mut self, at_ns: u64) {
        let window_ns = self.window_ns.min(at_ns);
        let mut measured = Vec::new();
        for (name, role) in &mut self.roles {
            role.advance(window_ns);
            if role.down_ns > 0 {
                measured.push(Sharing {
                    role: name.clone(),
                    nodes: role.nodes,
                    window_ns,
                    down_ns_mean: seconds(role.down_ns) * 1e9 / f64::from(role.nodes),
                    all_down_ns: role.all_down_ns,
                    shared: role.shared.clone(),
                });
            }
        }
        *self.measured.lock().expect("no observer panics") = measured;
    }
}

impl Observer for SharingObserver {
    fn observe(&mut self, event: &Event) {
        let at_ns = event.at_ns.min(self.window_ns);
        match &event.fact {
            Fact::Boot { incarnation } => {
                if let Some(role) = self.role_of(event.node) {
                    // Nodes that have not booted yet are not down.
                    if *incarnation > 1 {
                        role.advance(at_ns);
                    }
                    role.down = role.down.saturating_sub(1);
                    role.since_ns = role.since_ns.max(at_ns);
                }
            }
            Fact::Exit { .. } => {
                if let Some(role) = self.role_of(event.node) {
                    role.advance(at_ns);
                    role.down += 1;
                }
            }
            Fact::FaultStart { fault, nodes } => self.begin_fault(*fault, nodes),
            Fact::End { .. } => self.end(event.at_ns),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::fault::{Fault, Inject, On};
    use sim::plan::{DiskPlan, NetworkPlan, NodePlan, Objectives, PLAN_VERSION, Workload};

    const NODES: [&str; 3] = ["queue-1", "queue-2", "queue-3"];

    fn measure(history: &str) -> Vec<Sharing> {
        let node = |name: &&str| NodePlan {
            name: (*name).to_owned(),
            role: "queue".to_owned(),
            cores: 1,
            memory_bytes: 1,
            domains: BTreeMap::new(),
            clock_offset_ns: 0,
            clock_drift_parts_per_million: 0.0,
        };
        let fault = Fault {
            name: "fault-1".to_owned(),
            after: None,
            start_ns: 0,
            end_ns: 0,
            shared: Some("power=A".to_owned()),
            inject: Inject::PowerLoss(On { nodes: vec![] }),
        };
        let plan = Plan {
            version: PLAN_VERSION,
            stack: "test".to_owned(),
            scenario: "test/sharing".to_owned(),
            variant: None,
            seed: 0,
            duration_ns: 100_000_000_000,
            drain_ns: 0,
            expect: BTreeMap::new(),
            objectives: Objectives::default(),
            settings: BTreeMap::new(),
            workload: Workload { clients: 0, rate_per_s: 0.0, ..Workload::default() },
            network: NetworkPlan::default(),
            disk: DiskPlan::default(),
            byte_scale: 1,
            nodes: NODES.iter().map(node).collect(),
            faults: vec![fault],
        };
        let (mut observer, measured) = SharingObserver::new(&plan);
        let boots =
            "0s queue-1 boot incarnation=1\n0s queue-2 boot incarnation=1\n0s queue-3 boot incarnation=1\n";
        let events =
            sim::history::from_text(&format!("{boots}{history}\n120s world end messages=0 steps=0"), &NODES);
        events.expect("a history").iter().for_each(|event| observer.observe(event));
        drop(observer);
        Arc::into_inner(measured).map_or_else(Vec::new, |one| one.into_inner().expect("no panic"))
    }

    #[test]
    fn nodes_that_share_a_feed_are_worth_one() {
        let outage = "10s world fault-start fault=0 nodes=0,1,2\n10s queue-1 exit cause=power-loss\n\
                      10s queue-2 exit cause=power-loss\n10s queue-3 exit cause=power-loss\n\
                      20s queue-1 boot incarnation=2\n20s queue-2 boot incarnation=2\n20s queue-3 boot incarnation=2";
        let [sharing] = measure(outage).try_into().expect("one role");
        assert!((sharing.probability() - 0.1).abs() < 1e-12 && (sharing.observed() - 0.1).abs() < 1e-12);
        assert!((sharing.claimed() - 1e-3).abs() < 1e-12);
        assert!((sharing.effective_nodes().expect("it happened") - 1.0).abs() < 1e-12);
        assert_eq!(
            sharing.lines(),
            [
                "a queue node was down 10.0 s of 100s: P = 0.1000, so P^3 says all 3 at once for 1.00e-3 of the time",
                "all 3 were down at once for 10.0 s, sharing power=A: 0.1000 of the time, 100 times P^3; 3 replicas \
                 were worth 1.00",
            ]
        );
    }

    #[test]
    fn nodes_that_fail_one_after_another_were_never_down_at_once() {
        let outages = "10s queue-1 exit cause=crash\n20s queue-1 boot incarnation=2\n20s queue-2 exit cause=crash\n\
                       30s queue-2 boot incarnation=2\n95s queue-3 exit cause=crash\n105s queue-3 boot incarnation=2";
        let [sharing] = measure(outages).try_into().expect("one role");
        assert_eq!(sharing.all_down_ns, 0);
        assert!(
            (sharing.down_ns_mean - 25e9 / 3.0).abs() < 1.0,
            "the run's window ends at 100 s: {sharing:?}"
        );
        assert_eq!(sharing.effective_nodes(), None);
    }

    #[test]
    fn roles_that_were_never_down_are_not_spoken_of() {
        assert_eq!(measure("1s queue-1 healed"), []);
    }
}
