//! A node of the archive: its files, and what it answers.

mod mend;

use super::age::Ages;
use super::file::{Came, Entry, State};
use super::{PATIENCE, PORT, ROLE, Request, Response};
use crate::config::Agent;
use crate::nanoseconds;
use crate::rpc::{self, Incoming, Remote};
use bytes::Bytes;
use sim::history::{Digest, Fact};
use sim::net::TcpListener;
use sim::stack::Process;
use sim::time::Instant;
use sim::{fs, task};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const DIRECTORY: &str = "/archive";
/// Is there once the node was sure of having everything: a disk without it is new, or another one.
const WHOLE: &str = "/archive.whole";
/// Files that are not whole yet end so.
const PARTIAL: &str = ".new";
/// How long the disk may take to write an object, to begin with.
const WRITE: Duration = Duration::from_millis(100);
/// What was put here longer ago than this is written anew where it is put here again: that promises it for as long again.
const YOUNG: Duration = Duration::from_secs(1);

/// Runs one node of the archive, until its process ends: should its disk or port fail, that is at once.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) {
    if let Err(error) = run(&process, &agent).await {
        sim::node::record(Fact::Note { text: format!("the archive's node ends: {error}") });
    }
}

/// One node.
struct Node {
    /// What it has, by name.
    objects: tokio::sync::Mutex<BTreeMap<String, Entry>>,
    ages: Ages,
    /// Whether it has everything that it ever said it has.
    sure: AtomicBool,
    /// How often something that it had was found damaged.
    damages: AtomicU64,
}

async fn run(process: &Process, agent: &Arc<Agent>) -> io::Result<()> {
    let node = Arc::new(Node::read(Ages::read(&process.deployment).await?).await?);
    let listener = TcpListener::bind(PORT).await?;
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let others: Vec<_> =
        process.deployment.of_role(ROLE).filter(|other| other.name != process.node.name).collect();
    let others: Vec<_> = others.iter().map(|other| Remote::new(&other.name, PORT, PATIENCE)).collect();
    task::spawn({
        let (node, failed) = (node.clone(), failed.clone());
        async move {
            let error = tokio::select! {
                biased;
                error = mend::mend(&node, &others) => error,
                error = node.ages.note() => error,
            };
            // An error that nobody hears of is one of a process that ends.
            let _ = failed.send(error);
        }
    });
    let door = agent.door(
        move |incoming| {
            task::spawn(answer(node.clone(), incoming, failed.clone()));
        },
        |reply| matches!(reply, Response::Unsure),
    );
    let served = rpc::listen(listener, door);
    tokio::select! {
        biased;
        served = served => served,
        error = failures.recv() => Err(error.unwrap_or_else(|| io::Error::other("a task ended"))),
    }
}

async fn answer(
    node: Arc<Node>,
    incoming: Incoming<Request, Response>,
    failed: tokio::sync::mpsc::UnboundedSender<io::Error>,
) {
    let Incoming { request, blob, replier, .. } = incoming;
    let answered = match request {
        Request::Put { name, note } => {
            node.put(&name, note, &blob).await.map(|response| (response, Bytes::new()))
        }
        Request::Get { name } => node.get(&name).await,
        Request::Names { after, most } => Ok((node.names(after, most).await, Bytes::new())),
        Request::Tell { name } => node.tell(&name).await.map(|response| (response, Bytes::new())),
    };
    match answered {
        Ok((response, blob)) => replier.reply(response, blob),
        Err(error) => drop(failed.send(error)),
    }
}

impl Node {
    /// A node, from its disk.
    async fn read(mut ages: Ages) -> io::Result<Self> {
        fs::create_dir_all(DIRECTORY).await?;
        fs::sync_dir("/").await?;
        let (mut objects, mut sure) = (BTreeMap::new(), fs::exists(WHOLE).await);
        for name in fs::read_dir(DIRECTORY).await? {
            if name.ends_with(PARTIAL) {
                fs::remove_file(&path(&name)).await?;
            } else if let Some((entry, _)) = read(&name).await? {
                if let State::Kept(came) = entry.state {
                    ages.at_least(came.running_ns);
                }
                objects.insert(name, entry);
            } else {
                // The other nodes have it.
                sure = false;
                sim::node::record(Fact::Note { text: format!("`{}` is damaged", path(&name)) });
            }
        }
        // A file that was renamed, and whose name no sync has reached, must not count before one has.
        fs::sync_dir(DIRECTORY).await?;
        let node =
            Self { objects: objects.into(), ages, sure: AtomicBool::new(sure), damages: AtomicU64::new(0) };
        node.discard().await?;
        // Said again: the process before this one may have ended between the file and the word.
        node.objects.lock().await.iter().for_each(|(name, entry)| node.say(name, entry));
        Ok(node)
    }

    /// Says what it has of an object.
    fn say(&self, name: &str, entry: &Entry) {
        let (object, content) = (name.to_owned(), entry.digest());
        sim::node::record(match entry.state {
            State::Kept(_) => Fact::Archive { object, content },
            State::Discarded => {
                Fact::Discard { object, content, after_ns: nanoseconds(self.ages.retention()) }
            }
        });
    }

    /// Keeps an object.
    async fn put(&self, name: &str, note: u64, content: &Bytes) -> io::Result<Response> {
        if !is_name(name) {
            return Ok(Response::Missing);
        }
        // Held while the file is written: two that come at once are one after the other.
        let mut objects = self.objects.lock().await;
        let hash = *blake3::hash(content).as_bytes();
        match objects.get(name) {
            Some(there) if there.hash != hash => return Ok(Response::Taken),
            // Said again, as at the start; a receipt is as good, and does not bring the content back.
            Some(there) if self.age(there).is_none_or(|age| age <= YOUNG) => self.say(name, there),
            _ => {
                let entry = |came| Entry { hash, note, state: State::Kept(came) };
                self.write_new(&mut objects, name, entry, content).await?;
            }
        }
        Ok(Response::Stored)
    }

    /// Writes a new object's file, which has to say how long that takes: where it took longer it is written anew, or the process after
    /// this one would discard the object by so much too early.
    async fn write_new(
        &self,
        objects: &mut BTreeMap<String, Entry>,
        name: &str,
        entry: impl Fn(Came) -> Entry,
        content: &[u8],
    ) -> io::Result<()> {
        let mut most = WRITE;
        loop {
            let (start, entry) = (Instant::now(), entry(self.ages.came(most)));
            self.write(objects, name, entry, content).await?;
            if start.elapsed() <= most {
                self.say(name, &entry);
                return Ok(());
            }
            most = start.elapsed() * 2;
        }
    }

    /// Takes over a copy of another node's, where there is none. Should it be past its retention once it is written, the others have discarded
    /// theirs by then, and it does not come back.
    async fn copy(&self, name: &str, entry: Entry, content: &Bytes) -> io::Result<()> {
        let mut objects = self.objects.lock().await;
        if !is_name(name) || objects.contains_key(name) {
            return Ok(());
        }
        self.write(&mut objects, name, entry, content).await?;
        if self.is_over(&entry) {
            return self.write_receipt(&mut objects, name, entry).await;
        }
        self.say(name, &entry);
        Ok(())
    }

    /// Writes a receipt in the place of an object.
    async fn write_receipt(
        &self,
        objects: &mut BTreeMap<String, Entry>,
        name: &str,
        entry: Entry,
    ) -> io::Result<()> {
        let receipt = Entry { state: State::Discarded, ..entry };
        self.write(objects, name, receipt, &[]).await?;
        self.say(name, &receipt);
        Ok(())
    }

    /// Writes an object's file, or its receipt in the place of it. Whatever happens, there is one of the two, whole.
    async fn write(
        &self,
        objects: &mut BTreeMap<String, Entry>,
        name: &str,
        entry: Entry,
        content: &[u8],
    ) -> io::Result<()> {
        fs::replace(&path(name), entry.seal(content)).await?;
        objects.insert(name.to_owned(), entry);
        Ok(())
    }

    /// How old an object is that is kept.
    fn age(&self, entry: &Entry) -> Option<Duration> {
        match entry.state {
            State::Kept(came) => Some(Duration::from_nanos(self.ages.age_ns(came))),
            State::Discarded => None,
        }
    }

    /// Whether it is past its retention.
    fn is_over(&self, entry: &Entry) -> bool {
        self.age(entry).is_some_and(|age| age >= self.ages.retention())
    }

    /// Discards what is past its retention: the content goes, a receipt stays.
    async fn discard(&self) -> io::Result<()> {
        let is_over = |(_, entry): &(&String, &Entry)| self.is_over(entry);
        let names: Vec<String> =
            self.objects.lock().await.iter().filter(is_over).map(|(name, _)| name.clone()).collect();
        for name in names {
            let mut objects = self.objects.lock().await;
            // While another was written, this one may have been put here again.
            if let Some(entry) = objects.get(&name).copied().filter(|entry| self.is_over(entry)) {
                self.write_receipt(&mut objects, &name, entry).await?;
            }
        }
        Ok(())
    }

    /// Takes over receipts of others, of what it lacks.
    async fn take(&self, receipts: BTreeMap<String, Entry>) -> io::Result<()> {
        for (name, receipt) in receipts {
            let mut objects = self.objects.lock().await;
            if is_name(&name) && !objects.contains_key(&name) {
                self.write_receipt(&mut objects, &name, receipt).await?;
            }
        }
        Ok(())
    }

    /// Notes, durably, that whatever is not here never was.
    async fn be_sure(&self) -> io::Result<()> {
        self.sure.store(true, Ordering::Relaxed);
        fs::write(WHOLE, Bytes::new()).await?;
        fs::sync_dir("/").await
    }

    async fn get(&self, name: &str) -> io::Result<(Response, Bytes)> {
        // Held while the file is read: a receipt that is being written is nothing to go by yet.
        let mut objects = self.objects.lock().await;
        if let Some(entry) = objects.get(name) {
            if let Some((_, content)) = read(name).await? {
                let response = match entry.state {
                    State::Kept(came) => Response::Found { age_ns: self.ages.age_ns(came), note: entry.note },
                    State::Discarded => Response::Discarded { hash: entry.hash, note: entry.note },
                };
                return Ok((response, content));
            }
            // Damaged since: it is fetched anew.
            self.damages.fetch_add(1, Ordering::Relaxed);
            self.sure.store(false, Ordering::Relaxed);
            objects.remove(name);
        }
        let sure = self.sure.load(Ordering::Relaxed);
        Ok((if sure { Response::Missing } else { Response::Unsure }, Bytes::new()))
    }

    /// The first names after `after`, so many at the most.
    async fn names(&self, after: String, most: u32) -> Response {
        let objects = self.objects.lock().await;
        let names = objects.range((Bound::Excluded(after), Bound::Unbounded)).map(|(name, _)| name.clone());
        Response::Names {
            names: names.take(most as usize).collect(),
            sure: self.sure.load(Ordering::Relaxed),
        }
    }

    /// Says, for whoever reads the history, what is there of an object.
    async fn tell(&self, name: &str) -> io::Result<Response> {
        let (response, content) = self.get(name).await?;
        let is_whole = matches!(response, Response::Found { .. });
        let content = is_whole.then(|| Digest::of(&content)).into_iter().collect();
        match (&response, self.objects.lock().await.get(name)) {
            (Response::Discarded { .. }, Some(receipt)) => self.say(name, receipt),
            _ => sim::node::record(Fact::Inventory { object: name.to_owned(), content }),
        }
        Ok(response)
    }
}

/// What an object's file says; none where it is not what was written.
async fn read(name: &str) -> io::Result<Option<(Entry, Bytes)>> {
    Ok(Entry::unseal(&fs::read(&path(name)).await?))
}

fn path(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

/// Whether a name is one of an object: it becomes a file's.
fn is_name(name: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    (1..=100).contains(&name.len()) && name.chars().all(fits)
}

#[cfg(test)]
mod tests;
