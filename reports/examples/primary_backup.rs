//! A log of two servers, primary and backup, with a bug that `hogwash` finds: see the README's "Your own service".

use sim::fs;
use sim::history::{Digest, Fact, Id};
use sim::net::{TcpListener, TcpStream};
use sim::node::record;
use sim::stack::{Client, Deployment, Process, Role, Setting, SettingKind, Stack, Task};
use sim::time::{Instant, sleep, sleep_until, timeout};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

const PORT: u16 = 7;
const PATIENCE: Duration = Duration::from_secs(1);
const ROLES: [Role; 1] = [Role { name: "store", why: "keeps the log", count: 2, cores: 1 }];
const SETTINGS: [Setting; 1] = [Setting {
    name: "alone",
    why: "what a primary does whose backup does not answer",
    default: "go-on",
    kind: SettingKind::Choice(&["go-on", "refuse"]),
}];

/// The stack.
pub struct PrimaryBackup;

/// What a server knows; all but the last two are on its disk.
#[derive(Default)]
struct Store {
    ballot: u64,
    log: Vec<Id>,
    chosen: usize,
    leads: bool,
    heard: Option<Instant>,
}

impl Store {
    fn text(&self) -> String {
        let ids: Vec<_> = self.log.iter().map(|id| format!("{} {}", id.client(), id.operation())).collect();
        format!("{} {} {}", self.ballot, self.chosen, ids.join(" "))
    }

    fn read(text: &str) -> Option<Self> {
        let numbers: Vec<u64> =
            text.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let (head, ids) = numbers.split_at_checked(2)?;
        let id = |pair: &[u64]| Some(Id::new(u32::try_from(pair[0]).ok()?, u32::try_from(pair[1]).ok()?));
        let log = ids.chunks_exact(2).map(id).collect::<Option<_>>()?;
        Some(Self { ballot: head[0], chosen: usize::try_from(head[1]).ok()?, log, ..Self::default() })
    }

    /// Makes the log durable, and says what was accepted with it.
    async fn save(&self) -> std::io::Result<()> {
        fs::write("/new", self.text().into()).await?;
        fs::OpenOptions::new().read(true).write(true).open("/new").await?.sync_all().await?;
        fs::rename("/new", "/log").await?;
        fs::sync_dir("/").await?;
        for (slot, id) in self.log.iter().enumerate().skip(self.chosen) {
            record(Fact::Accept { group: 0, slot: slot as u64, ballot: self.ballot, value: digest(*id) });
        }
        Ok(())
    }

    fn choose(&mut self, count: usize) {
        for (slot, id) in self.log.iter().enumerate().take(count).skip(self.chosen) {
            record(Fact::Choose { group: 0, slot: slot as u64, value: digest(*id) });
            record(Fact::Enqueue { id: *id, position: slot as u64 });
            record(Fact::Finish { id: *id, position: slot as u64, output: None });
        }
        self.chosen = self.chosen.max(count.min(self.log.len()));
    }

    /// Sends the log to the other server; what that has too is chosen. False where the primary must not go on.
    async fn replicate(&mut self, process: &Process) -> bool {
        self.save().await.expect("the disk works");
        let other =
            process.deployment.nodes.iter().find(|node| node.role == "store" && *node != &process.node);
        let answer = ask(&other.expect("two stores").name, &format!("log {}", self.text())).await;
        match answer.as_deref() {
            Some("ok") => self.choose(self.log.len()),
            // The other leads by now.
            Some(_) => self.leads = false,
            // The bug: an answer that does not come is no reason to believe that the other is dead.
            None if process.deployment.setting("alone") == "go-on" => self.choose(self.log.len()),
            None => return false,
        }
        self.leads
    }

    async fn answer(&mut self, process: &Process, question: &str) -> &'static str {
        let (verb, rest) = question.split_once(' ').unwrap_or((question, ""));
        match verb {
            "log" => {
                let Some(new) = Self::read(rest).filter(|new| new.ballot >= self.ballot) else { return "no" };
                let (known, chosen) = (self.chosen, new.chosen);
                *self = Self { chosen: known.min(new.log.len()), heard: Some(Instant::now()), ..new };
                self.save().await.expect("the disk works");
                self.choose(chosen);
                "ok"
            }
            "put" if self.leads => {
                let id = Store::read(&format!("0 0 {rest}")).and_then(|one| one.log.first().copied());
                let Some(id) = id else { return "no" };
                if !self.log.contains(&id) {
                    self.log.push(id);
                }
                if self.replicate(process).await { "ok" } else { "no" }
            }
            _ => "no",
        }
    }
}

fn digest(id: Id) -> Digest {
    Digest::of(&id.0.to_le_bytes())
}

/// One question, one answer, one connection.
async fn ask(node: &str, question: &str) -> Option<String> {
    let asked = timeout(PATIENCE, async {
        let mut stream = TcpStream::connect(node, PORT).await.ok()?;
        stream.write_all(question.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer).filter(|answer| !answer.is_empty())
    });
    asked.await.ok().flatten()
}

async fn serve(process: Process) -> std::io::Result<()> {
    let text = fs::read("/log").await.unwrap_or_default();
    let mut store = Store::read(&String::from_utf8_lossy(&text)).unwrap_or_default();
    store.heard = Some(Instant::now());
    let store = Arc::new(Mutex::new(store));
    sim::task::spawn(lead(process.clone(), store.clone()));
    let listener = TcpListener::bind(PORT).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let (process, store) = (process.clone(), store.clone());
        sim::task::spawn(async move {
            let mut question = String::new();
            if stream.read_to_string(&mut question).await.is_ok() {
                let answer = store.lock().await.answer(&process, &question).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
    }
}

/// A primary shows that it lives; a backup that hears nothing for long takes over.
async fn lead(process: Process, store: Arc<Mutex<Store>>) {
    loop {
        sleep(PATIENCE / 2).await;
        let mut store = store.lock().await;
        let second = process.node.name.ends_with('2');
        let patience = PATIENCE * if second { 4 } else { 2 };
        if !store.leads && store.heard.is_none_or(|heard| heard.elapsed() > patience) {
            store.ballot = (store.ballot / 2 + 1) * 2 + u64::from(second);
            store.leads = true;
            record(Fact::Lead { group: 0, ballot: store.ballot });
        }
        if store.leads {
            store.replicate(&process).await;
        }
    }
}

impl Stack for PrimaryBackup {
    fn name(&self) -> &'static str {
        "primary-backup"
    }

    fn roles(&self) -> &'static [Role] {
        &ROLES
    }

    fn settings(&self) -> &'static [Setting] {
        &SETTINGS
    }

    fn boot(&self, process: Process) -> Task {
        Box::pin(async move { drop(serve(process).await) })
    }

    fn client(&self, client: Client) -> Task {
        Box::pin(async move {
            for operation in client.operations {
                sleep_until(Instant::from_nanos(operation.at_ns)).await;
                put(operation.id).await;
            }
        })
    }

    fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
        Box::pin(async { ask("store-1", "?").await.is_some() && ask("store-2", "?").await.is_some() })
    }
}

async fn put(id: Id) {
    for attempt in 1..=20 {
        record(Fact::Submit { id, attempt });
        let store = if attempt % 2 == 1 { "store-1" } else { "store-2" };
        if ask(store, &format!("put {} {}", id.client(), id.operation())).await.as_deref() == Some("ok") {
            return record(Fact::Acknowledge { id });
        }
        sleep(PATIENCE / 10).await;
    }
    record(Fact::GiveUp { id });
}

fn main() -> std::process::ExitCode {
    hogwash::main(PrimaryBackup)
}
