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
