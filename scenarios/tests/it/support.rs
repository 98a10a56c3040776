//! A stack with the roles and settings that the tests' files name.

use sim::stack::{Client, Deployment, Process, Role, Setting, SettingKind, Stack, Task};
use std::sync::Arc;

/// Roles and settings as those of the image stack; nothing runs on it.
pub(crate) struct Named;

const ROLES: [Role; 3] = [
    Role { name: "api", why: "takes requests", count: 2, cores: 4 },
    Role { name: "queue", why: "keeps them", count: 3, cores: 4 },
    Role { name: "worker", why: "does them", count: 4, cores: 32 },
];

const fn setting(name: &'static str, default: &'static str, kind: SettingKind) -> Setting {
    Setting { name, why: "as in the image stack", default, kind }
}

const SETTINGS: [Setting; 3] = [
    setting("queue.durability", "disk", SettingKind::Choice(&["disk", "memory"])),
    setting("queue.lease", "10s", SettingKind::Duration),
    setting("queue.max-deliveries", "5", SettingKind::Number { least: 1, most: 100 }),
];

impl Stack for Named {
    fn name(&self) -> &'static str {
        "named"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &SETTINGS
    }

    fn boot(&self, _: Process) -> Task {
        Box::pin(std::future::pending())
    }

    fn client(&self, _: Client) -> Task {
        Box::pin(async {})
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { true })
    }
}

/// A scenario that uses every form that the format has.
pub(crate) const FULL: &str = r#"
name = "correlated/everything"
why = "Uses every form that a scenario can have."
duration = "120s"
drain = "30s"

[nodes]
api = { cores = 8, memory = "4GiB" }
queue = { count = 3, domains = { power = "A", rack = "spread:3", zone = "own" } }
worker = { count = 4, cores = 32, domains = { power = "spread:2" }, clock-offset = "-5ms..5ms", clock-drift = "-20..20" }
client = { count = 2 }

[workload]
clients = 40
rate = "3000/min"

[network]
same-rack = "80us"
slow-tail = 0.01

[disk]
sync = "1ms"
capacity-bytes = "1GiB"

[settings]
"queue.lease" = "5s"
queue.max-deliveries = 3

[[fault]]
at = "20s..40s"
for = "10s"
inject.power-loss = { domain = "power=A" }

[[fault]]
name = "half-a-feed"
at = "1s"
for = "5s..10s"
chance = 0.5
inject.crash = { domain = "power", fraction = "0.3..0.7" }

[[fault]]
at = "2s"
for = "3s"
inject.pause = { role = "worker", count = "1..2" }

[[fault]]
at = "50s"
for = "5s"
inject.cut = { from = "leader-of=queue", to = ["role=queue", "node=api-1"], both-ways = false }

[[fault]]
at = "50s"
for = "5s"
inject.delay = { from = { role = "api" }, to = "rack=r1", by = "100ms..300ms", jitter = "50ms" }

[[fault]]
at = "50s"
for = "5s"
inject.loss = { from = "all", to = "any=2", probability = "0.01..0.2" }

[[fault]]
at = "60s"
for = "5s"
inject.slow-disk = { nodes = ["queue-2"], factor = 10 }

[[fault]]
at = "60s"
for = "5s"
inject.clock-step = { leader-of = "queue", by = "-2s" }

[[fault]]
at = "60s"
for = "5s"
inject.clock-drift = { any = 1, parts-per-million = "-500..500" }

[expect]
delivery = "held"

[[variant]]
name = "unsafe-acks"
why = "Acknowledging from memory, as with fsync off."
set = { "queue.durability" = "memory" }
nodes = { queue = { domains = { power = "spread:3" } } }
expect = { delivery = "violated", agreement = "held | violated" }
"#;

/// A stack that a disk alone is enough for: each client keeps a journal on its own node, and does what it finds there.
///
/// With `journal.durability=memory` it acknowledges what it has not synced, which a loss of power takes away.
pub(crate) struct Journal;

const JOURNAL_SETTINGS: [Setting; 3] = [
    setting("journal.durability", "disk", SettingKind::Choice(&["disk", "memory"])),
    setting("journal.leak", "false", SettingKind::Flag),
    setting("journal.spin", "false", SettingKind::Flag),
];

const IDLE: [Role; 1] = [Role { name: "idle", why: "does nothing", count: 2, cores: 1 }];
const ENTRY_BYTES: usize = 8;

impl Stack for Journal {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn roles(&self) -> &'static [Role] {
        &IDLE
    }

    fn settings(&self) -> &'static [Setting] {
        &JOURNAL_SETTINGS
    }

    fn boot(&self, _: Process) -> Task {
        Box::pin(std::future::pending())
    }

    fn client(&self, client: Client) -> Task {
        Box::pin(journal(client))
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async {
            sim::time::sleep(std::time::Duration::from_secs(3)).await;
            true
        })
    }
}

/// Differs from run to run: what `journal.leak` lets into the history.
static LEAK: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

async fn journal(client: Client) {
    use sim::history::Fact;
    let path = format!("/journal-{}", client.index);
    let options = sim::fs::OpenOptions::new().read(true).write(true).create(true);
    let file = options.open(&path).await.expect("the disk is sound");
    if client.deployment.setting("journal.durability") == "disk" {
        sim::fs::sync_dir("/").await.expect("the disk is sound");
    }
    if client.deployment.flag("journal.leak") {
        let leak = LEAK.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        sim::node::record(Fact::Note { text: format!("leak {leak}") });
    }
    let mut length = 0;
    while client.deployment.flag("journal.spin") {
        sim::task::yield_now().await;
    }
    for operation in &client.operations {
        sim::time::sleep_until(sim::time::Instant::from_nanos(operation.at_ns)).await;
        finish_all(&client, &file, &mut length).await;
        let id = operation.id;
        sim::node::record(Fact::Submit { id, attempt: 1 });
        let entry = id.0.to_le_bytes().to_vec();
        file.write_at(length, entry.into()).await.expect("the disk is sound");
        if client.deployment.setting("journal.durability") == "disk" {
            file.sync_data().await.expect("the disk is sound");
        }
        sim::node::record(Fact::Acknowledge { id });
    }
    sim::time::sleep(std::time::Duration::from_secs(1)).await;
    finish_all(&client, &file, &mut length).await;
}

/// Does every entry of the journal from `length` on.
async fn finish_all(client: &Client, file: &sim::fs::File, length: &mut u64) {
    loop {
        let bytes = file.read_at(*length, ENTRY_BYTES).await.expect("the disk is sound");
        let Some(id) = bytes.first_chunk::<ENTRY_BYTES>().map(|bytes| u64::from_le_bytes(*bytes)) else {
            return;
        };
        sim::sometimes!(*length == 0, "a journal is read from its beginning");
        let id = sim::history::Id(id);
        // One order for all journals: the client's number in the upper half.
        let position = u64::from(client.index) << 32 | *length;
        if id.client() == client.index {
            sim::node::record(sim::history::Fact::Finish { id, position, output: None });
        }
        *length += u64::try_from(ENTRY_BYTES).expect("few");
    }
}

/// A scenario of [`Journal`]: the feed under half of the clients fails.
pub(crate) const JOURNAL: &str = r#"
name = "journal/power"
why = "Journals lose power: what was synced is there afterwards, what was not may be gone."
duration = "30s"
drain = "20s"
nodes = { client = { count = 2, domains = { power = "spread:2" } } }
workload = { clients = 4, rate = "20/s" }

[[fault]]
at = "5s..20s"
for = "1s..3s"
inject.power-loss = { domain = "power=A" }

[[fault]]
at = "2s..25s"
for = "1s..3s"
inject.pause = { role = "client", count = 1 }

[[variant]]
name = "unsafe"
why = "Acknowledges what is not on the disk."
set = { "journal.durability" = "memory" }
expect = { delivery = "violated" }
"#;

/// The plan of [`JOURNAL`] with this variant and seed.
pub(crate) fn journal_plan(variant: Option<&str>, seed: u64) -> sim::plan::Plan {
    let scenario = hogwash_scenarios::scenario::Scenario::parse(JOURNAL.as_bytes(), "journal.toml", &Journal);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    hogwash_scenarios::planner::plan(&scenario, &Journal, variant, seed, &[]).unwrap()
}

/// Many faults of which few matter, and many requests: what shrinking is for.
pub(crate) const CROWDED: &str = r#"
name = "journal/crowded"
why = "One of these faults loses what was acknowledged; the others are noise."
duration = "60s"
drain = "20s"
nodes = { client = { count = 3, domains = { power = "spread:3" }, clock-drift = "-50..50" }, idle = { count = 6 } }
workload = { clients = 12, rate = "40/s" }

[settings]
journal.durability = "memory"

[[fault]]
name = "feed"
times = "1..3"
at = "5s..50s"
for = "1s..5s"
inject.power-loss = { domain = "power" }

[[fault]]
name = "paused"
times = "2..4"
at = "2s..50s"
for = "1s..5s"
inject.pause = { any = "1..3" }

[[fault]]
name = "slow"
times = "1..3"
at = "2s..50s"
for = "1s..5s"
inject.slow-disk = { role = "client", factor = "2..50" }

[[fault]]
name = "cut"
times = "1..3"
at = "2s..50s"
for = "1s..5s"
inject.cut = { from = "any=1..3", to = "all" }

[[fault]]
name = "drift"
times = "1..3"
at = "2s..50s"
for = "1s..5s"
inject.clock-drift = { role = "client", parts-per-million = "-500..500" }

[expect]
delivery = "violated"
"#;

/// The plan of [`CROWDED`] with this seed.
pub(crate) fn crowded_plan(seed: u64) -> sim::plan::Plan {
    let scenario = hogwash_scenarios::scenario::Scenario::parse(CROWDED.as_bytes(), "crowded.toml", &Journal);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    hogwash_scenarios::planner::plan(&scenario, &Journal, None, seed, &[]).unwrap()
}
