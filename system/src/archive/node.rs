//! A node of the archive: its files, and what it fetches from the others.

use super::{PATIENCE, PORT, ROLE, Request, Response};
use crate::config::Agent;
use crate::rpc::{self, Incoming, Remote};
use bytes::{BufMut, Bytes, BytesMut};
use sim::history::{Digest, Fact};
use sim::net::TcpListener;
use sim::stack::Process;
use sim::time::{Instant, sleep, timeout};
use sim::{fs, task};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const DIRECTORY: &str = "/archive";
/// Is there once the node was sure of having everything: a disk without it is new, or another one.
const WHOLE: &str = "/archive.whole";
const HASH_BYTES: usize = 32;
/// Files that are not whole yet end so.
const PARTIAL: &str = ".partial";
/// How often a node looks for what the others have and it does not.
const MEND_EVERY: Duration = Duration::from_secs(2);

/// Runs one node of the archive, until its process ends: should its disk or port fail, that is at once.
pub(crate) async fn serve(process: Process, agent: Arc<Agent>) {
    if let Err(error) = run(&process, &agent).await {
        sim::node::record(Fact::Note { text: format!("the archive's node ends: {error}") });
    }
}

/// One node.
struct Node {
    /// The hashes of its objects, by name.
    objects: tokio::sync::Mutex<BTreeMap<String, [u8; HASH_BYTES]>>,
    /// Whether it has everything that it ever said it has.
    sure: AtomicBool,
    /// How often something that it had was found damaged.
    damages: AtomicU64,
}

async fn run(process: &Process, agent: &Arc<Agent>) -> io::Result<()> {
    fs::create_dir_all(DIRECTORY).await?;
    fs::sync_dir("/").await?;
    let sure = AtomicBool::new(fs::exists(WHOLE).await);
    let node = Arc::new(Node { objects: tokio::sync::Mutex::default(), sure, damages: AtomicU64::new(0) });
    for name in fs::read_dir(DIRECTORY).await? {
        if name.ends_with(PARTIAL) {
            fs::remove_file(&path(&name)).await?;
        } else if let Some((hash, _)) = read(&name).await? {
            node.objects.lock().await.insert(name, hash);
        } else {
            // The other nodes have it.
            node.sure.store(false, Ordering::Relaxed);
            sim::node::record(Fact::Note { text: format!("`{}` is damaged", path(&name)) });
        }
    }
    // A file that was renamed, and whose name no sync has reached, must not count before one has.
    fs::sync_dir(DIRECTORY).await?;
    let listener = TcpListener::bind(PORT).await?;
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let others: Vec<_> =
        process.deployment.of_role(ROLE).filter(|other| other.name != process.node.name).collect();
    let others: Vec<_> = others.iter().map(|other| Remote::new(&other.name, PORT, PATIENCE)).collect();
    task::spawn({
        let (node, failed) = (node.clone(), failed.clone());
        async move {
            // An error that nobody hears of is one of a process that ends.
            let _ = failed.send(mend(&node, &others).await);
        }
    });
    let door = agent.door(move |incoming| {
        task::spawn(answer(node.clone(), incoming, failed.clone()));
    });
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
        Request::Put { name } => node.put(&name, &blob).await.map(|response| (response, Bytes::new())),
        Request::Get { name } => node.get(&name).await,
        Request::Names => {
            let names = node.objects.lock().await.keys().cloned().collect();
            Ok((Response::Names { names, sure: node.sure.load(Ordering::Relaxed) }, Bytes::new()))
        }
        Request::Tell { name } => node.get(&name).await.map(|(response, content)| {
            let whole = (response == Response::Found).then(|| Digest::of(&content));
            let content = whole.into_iter().collect();
            sim::node::record(Fact::Inventory { object: name, content });
            (response, Bytes::new())
        }),
    };
    match answered {
        Ok((response, blob)) => replier.reply(response, blob),
        Err(error) => drop(failed.send(error)),
    }
}

impl Node {
    async fn put(&self, name: &str, content: &Bytes) -> io::Result<Response> {
        if !is_name(name) {
            return Ok(Response::Missing);
        }
        // Held while the file is written: two that come at once are one after the other.
        let mut objects = self.objects.lock().await;
        let hash = *blake3::hash(content).as_bytes();
        if let Some(there) = objects.get(name) {
            if *there != hash {
                return Ok(Response::Taken);
            }
            // Said again: the process may have ended between the file and the word.
            sim::node::record(Fact::Archive { object: name.to_owned(), content: Digest::of(content) });
            return Ok(Response::Stored);
        }
        let mut file = BytesMut::with_capacity(HASH_BYTES + content.len());
        file.put_slice(&hash);
        file.put_slice(content);
        let partial = path(&format!("{name}{PARTIAL}"));
        fs::write(&partial, file.freeze()).await?;
        fs::OpenOptions::new().read(true).write(true).open(&partial).await?.sync_all().await?;
        fs::rename(&partial, &path(name)).await?;
        fs::sync_dir(DIRECTORY).await?;
        objects.insert(name.to_owned(), hash);
        sim::node::record(Fact::Archive { object: name.to_owned(), content: Digest::of(content) });
        Ok(Response::Stored)
    }

    /// Notes, durably, that whatever is not here never was.
    async fn be_sure(&self) -> io::Result<()> {
        self.sure.store(true, Ordering::Relaxed);
        fs::write(WHOLE, Bytes::new()).await?;
        fs::sync_dir("/").await
    }

    async fn get(&self, name: &str) -> io::Result<(Response, Bytes)> {
        let known = self.objects.lock().await.contains_key(name);
        if known {
            if let Some((_, content)) = read(name).await? {
                return Ok((Response::Found, content));
            }
            // Damaged since: it is fetched anew.
            self.damages.fetch_add(1, Ordering::Relaxed);
            self.sure.store(false, Ordering::Relaxed);
            self.objects.lock().await.remove(name);
        }
        let sure = self.sure.load(Ordering::Relaxed);
        Ok((if sure { Response::Missing } else { Response::Unsure }, Bytes::new()))
    }
}

/// Fetches what the others have and this node does not, until its disk fails.
async fn mend(node: &Node, others: &[Remote<Request, Response>]) -> io::Error {
    // Of the majority that kept an object, one may be this node: among so many others there is one of the rest.
    let nodes = others.len() + 1;
    let enough = (nodes - nodes / 2).min(others.len());
    loop {
        let (mut seen, damages) = (0, node.damages.load(Ordering::Relaxed));
        for other in others {
            match level(node, other).await {
                Ok(whole) => seen += usize::from(whole),
                Err(error) => return error,
            }
        }
        // What was found damaged meanwhile may not have been fetched anew.
        if seen >= enough
            && damages == node.damages.load(Ordering::Relaxed)
            && !node.sure.load(Ordering::Relaxed)
            && let Err(error) = node.be_sure().await
        {
            return error;
        }
        sleep(MEND_EVERY).await;
    }
}

/// Fetches what `other` has and this node does not; false where it was not to be had.
async fn level(node: &Node, other: &Remote<Request, Response>) -> io::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let ask = async |request| {
        let call = other.call(request, Bytes::new(), deadline);
        timeout(PATIENCE, call).await.ok()?.ok()
    };
    let Some((Response::Names { names, .. }, _)) = ask(Request::Names).await else { return Ok(false) };
    let mut whole = true;
    for name in names {
        if node.objects.lock().await.contains_key(&name) {
            continue;
        }
        match ask(Request::Get { name: name.clone() }).await {
            Some((Response::Found, content)) => {
                node.put(&name, &content).await?;
            }
            _ => whole = false,
        }
    }
    Ok(whole)
}

/// The content of an object's file and its hash; none where it is not what was written.
async fn read(name: &str) -> io::Result<Option<([u8; HASH_BYTES], Bytes)>> {
    Ok(unseal(fs::read(&path(name)).await?))
}

/// The content of an object's file, and its hash; none where it is not whole.
fn unseal(mut file: Bytes) -> Option<([u8; HASH_BYTES], Bytes)> {
    if file.len() < HASH_BYTES {
        return None;
    }
    let content = file.split_off(HASH_BYTES);
    let hash = *blake3::hash(&content).as_bytes();
    (file[..] == hash).then_some((hash, content))
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_object_is_read_as_it_was_written_or_not_at_all(content: Vec<u8>, place: prop::sample::Index) {
            let hash = *blake3::hash(&content).as_bytes();
            let file = Bytes::from([&hash[..], &content].concat());
            let content = Bytes::from(content);
            prop_assert_eq!(unseal(file.clone()), Some((hash, content.clone())));
            let bit = place.index(file.len() * 8);
            let mut damaged = file.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unseal(damaged.into()), None);
            prop_assert_eq!(unseal(file.slice(..bit / 8)), None);
            prop_assert_eq!(unseal(content), None);
        }
    }
}
