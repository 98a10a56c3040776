//! A log of two servers, primary and backup, with a bug that `hogwash` finds: see the README's "Your own service".

use serde::{Deserialize, Serialize};
use sim::history::{Fact, Id};
use sim::stack::{Client, Process, Role, Setting, Stack, Task};
use sim::time::{Instant, sleep};
use sim::{fs, node::record, talk};
use std::time::Duration;

const PORT: u16 = 7;
const PATIENCE: Duration = Duration::from_secs(1);
const ALONE: Setting = Setting::choice("alone", "what a primary does alone", &["go-on", "refuse"]);

pub(crate) struct PrimaryBackup;

/// What a server keeps on its disk, and the primary tells the backup.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Log {
    ballot: u64,
    ids: Vec<Id>,
    chosen: usize,
}

#[derive(Serialize, Deserialize)]
enum Question {
    Put(Id),
    Keep(Log),
}

struct Server {
    process: Process,
    log: Log,
    leads: bool,
    heard: Instant,
}

impl Server {
    /// Makes the log durable, and says what was accepted with it.
    async fn save(&self) {
        let bytes = serde_json::to_vec(&self.log).expect("a log is JSON");
        fs::replace("/log", bytes.into()).await.expect("the disk works");
        for (slot, id) in (0..).zip(&self.log.ids).skip(self.log.chosen) {
            record(Fact::Accept { group: 0, slot, ballot: self.log.ballot, value: id.digest() });
        }
    }

    fn choose(&mut self, count: usize) {
        for (slot, id) in (0..).zip(self.log.ids.iter().copied()).take(count).skip(self.log.chosen) {
            record(Fact::Choose { group: 0, slot, value: id.digest() });
            record(Fact::Enqueue { id, position: slot });
            record(Fact::Finish { id, position: slot, output: None });
        }
        self.log.chosen = self.log.chosen.max(count.min(self.log.ids.len()));
    }

    /// Sends the log to the other server; what that has too is chosen. False where the primary must not go on.
    async fn replicate(&mut self) -> bool {
        self.save().await;
        let other = if self.process.node.name == "store-1" { "store-2" } else { "store-1" };
        match ask(other, &Question::Keep(self.log.clone())).await {
            Some(true) => self.choose(self.log.ids.len()),
            // The other leads by now.
            Some(false) => self.leads = false,
            // The bug: an answer that does not come is no reason to believe that the other is dead.
            None if self.process.deployment.setting("alone") == "go-on" => self.choose(self.log.ids.len()),
            None => return false,
        }
        self.leads
    }

    async fn answer(&mut self, question: &[u8]) -> &'static str {
        match serde_json::from_slice(question) {
            Ok(Question::Keep(new)) if new.ballot >= self.log.ballot => {
                let chosen = new.chosen;
                self.log = Log { chosen: self.log.chosen.min(new.ids.len()), ..new };
                (self.heard, self.leads) = (Instant::now(), false);
                self.save().await;
                self.choose(chosen);
                "yes"
            }
            Ok(Question::Put(id)) if self.leads => {
                self.log.ids.extend((!self.log.ids.contains(&id)).then_some(id));
                if self.replicate().await { "yes" } else { "no" }
            }
            _ => "no",
        }
    }

    /// A primary shows that it lives; a backup that hears nothing for long takes over.
    async fn beat(&mut self) {
        let second = self.process.node.name == "store-2";
        if !self.leads && self.heard.elapsed() > PATIENCE * if second { 4 } else { 2 } {
            self.log.ballot = (self.log.ballot / 2 + 1) * 2 + u64::from(second);
            self.leads = true;
            record(Fact::Lead { group: 0, ballot: self.log.ballot });
        }
        if self.leads {
            self.replicate().await;
        }
    }
}

async fn ask(node: &str, question: &Question) -> Option<bool> {
    let question = serde_json::to_vec(question).expect("a question is JSON");
    Some(talk::ask(node, PORT, &question, PATIENCE).await? == b"yes")
}

async fn serve(process: Process) -> std::io::Result<()> {
    let log = serde_json::from_slice(&fs::read("/log").await.unwrap_or_default()).unwrap_or_default();
    let server = Server { process, log, leads: false, heard: Instant::now() };
    let server = std::sync::Arc::new(tokio::sync::Mutex::new(server));
    let beating = server.clone();
    sim::task::spawn(async move {
        loop {
            sleep(PATIENCE / 2).await;
            beating.lock().await.beat().await;
        }
    });
    talk::answer(PORT, move |question| {
        let server = server.clone();
        async move { server.lock().await.answer(&question).await }
    })
    .await
}

impl Stack for PrimaryBackup {
    fn name(&self) -> &'static str {
        "primary-backup"
    }
    fn roles(&self) -> &'static [Role] {
        &[Role { name: "store", why: "keeps the log", count: 2, cores: 1 }]
    }
    fn settings(&self) -> &'static [Setting] {
        &[ALONE]
    }
    fn boot(&self, process: Process) -> Task {
        Box::pin(async move { drop(serve(process).await) })
    }
    fn client(&self, client: Client) -> Task {
        Box::pin(client.submit_each(20, PATIENCE / 10, |operation, attempt| async move {
            let store = if attempt % 2 == 1 { "store-1" } else { "store-2" };
            ask(store, &Question::Put(operation.id)).await == Some(true)
        }))
    }
}

fn main() -> std::process::ExitCode {
    hogwash::main(PrimaryBackup)
}
