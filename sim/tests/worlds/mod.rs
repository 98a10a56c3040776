//! Runs two bodies, a server's and a caller's, in the world that the build is for: the simulated one, or the machine's.

use crate::sim::history::{Event, Fact};
use crate::sim::plan::NodePlan;
use crate::sim::stack::{Client, Deployment, Process, Role, Setting, Stack, Task};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};

const ROLES: [Role; 2] = [
    Role { name: "server", why: "answers", count: 1, cores: 2 },
    Role { name: "caller", why: "asks", count: 1, cores: 2 },
];

/// What a node does from each start of its process.
pub(crate) type Body = fn(Process) -> Task;

struct Pair {
    server: Body,
    caller: Body,
    through: Mutex<mpsc::Sender<()>>,
}

impl Stack for Pair {
    fn name(&self) -> &'static str {
        "pair"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    fn boot(&self, process: Process) -> Task {
        if process.node.role == "server" {
            return (self.server)(process);
        }
        let through = self.through.lock().unwrap().clone();
        let caller = (self.caller)(process);
        Box::pin(async move {
            caller.await;
            through.send(()).unwrap();
            std::future::pending::<()>().await;
        })
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
}

fn nodes() -> Vec<NodePlan> {
    let node = |name: &str, role: &str| NodePlan {
        name: name.to_owned(),
        role: role.to_owned(),
        cores: 2,
        memory_bytes: 1 << 30,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    };
    vec![node("server-1", "server"), node("caller-1", "caller")]
}

/// Runs `server` on `server-1` and `caller` on `caller-1` until the caller comes to its end; gives what happened on the
/// caller's node and, where simulated, elsewhere.
///
/// # Panics
/// Where the caller does not come to its end: the history says why.
pub(crate) fn run(server: Body, caller: Body) -> Vec<Event> {
    let (sender, through) = mpsc::channel();
    let stack = Arc::new(Pair { server, caller, through: Mutex::new(sender) });
    let (ended, history) = world::run(stack, through);
    let events: Vec<Event> = crate::sim::history::read(&history).unwrap().map(Result::unwrap).collect();
    let panics = events.iter().filter(|event| matches!(event.fact, Fact::Panic { .. }));
    assert!(ended, "the caller did not come to its end: {:?}", panics.collect::<Vec<_>>());
    events
}

#[cfg(not(live))]
mod world {
    use super::{Pair, nodes};
    use crate::sim::plan::{DiskPlan, NetworkPlan, Objectives, PLAN_VERSION, Plan, Workload};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex, mpsc};

    pub(super) fn run(stack: Arc<Pair>, through: mpsc::Receiver<()>) -> (bool, Vec<u8>) {
        let plan = Plan {
            version: PLAN_VERSION,
            stack: "pair".to_owned(),
            scenario: "test/pair".to_owned(),
            variant: None,
            seed: 7,
            duration_ns: 60_000_000_000,
            drain_ns: 1_000_000_000,
            expect: BTreeMap::new(),
            objectives: Objectives::default(),
            settings: BTreeMap::new(),
            workload: Workload { clients: 0, rate_per_s: 0.0, ..Workload::default() },
            network: NetworkPlan::default(),
            disk: DiskPlan::default(),
            byte_scale: 1,
            nodes: nodes(),
            faults: Vec::new(),
        };
        let history = Arc::new(Mutex::new(Vec::new()));
        let written = history.clone();
        let sink = Box::new(move |bytes: &[u8]| written.lock().unwrap().extend_from_slice(bytes));
        crate::sim::world::run(&plan, stack, Some(sink), Vec::new()).unwrap();
        (through.try_recv().is_ok(), std::mem::take(&mut *history.lock().unwrap()))
    }
}

#[cfg(live)]
mod world {
    #![expect(clippy::disallowed_methods, reason = "a test of the real world")]

    use super::{Pair, nodes};
    use crate::sim::server::{ServeOptions, serve_until};
    use crate::sim::stack::Deployment;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex, PoisonError, mpsc};
    use std::time::Duration;

    /// Tests of one program take turns, so that none takes the ports that another has found free.
    static TURN: Mutex<()> = Mutex::new(());

    pub(super) fn run(stack: Arc<Pair>, through: mpsc::Receiver<()>) -> (bool, Vec<u8>) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let deployment = Deployment::new(stack.as_ref(), nodes(), &BTreeMap::new()).unwrap();
        let data = tempfile::tempdir().unwrap();
        let history = data.path().join("data/caller-1/history/000001");
        let options = ServeOptions { data: data.path().join("data"), base_port: free_ports(), nodes: None };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let waiter = std::thread::spawn(move || {
            let result = through.recv_timeout(Duration::from_secs(60));
            let _ = stop.send(());
            result.is_ok()
        });
        serve_until(stack, deployment, options, async { drop(stopped.await) }).unwrap();
        (waiter.join().unwrap(), std::fs::read(history).unwrap())
    }

    /// A base port with free ones above it.
    fn free_ports() -> u16 {
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        // Below the ports that systems give away by themselves.
        let bases = (100..320).map(|hundred| hundred * 100);
        bases.clone().find(|base| (1..20).chain(101..120).all(|port| free(base + port))).unwrap()
    }
}
