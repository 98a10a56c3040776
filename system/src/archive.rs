//! Cold storage: objects that are written once, checked whenever they are read, and kept by several nodes.
//!
//! ```text
//! /archive/OBJECT     the BLAKE3 hash of the content, 32 bytes, and the content
//! ```
//! An object is written beside its place, synced, and then given its name. Another content under a name that is taken is
//! refused. What is damaged or missing on one node is fetched from the others.

use crate::rpc::{self, Incoming, Remote};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use sim::history::Fact;
use sim::net::TcpListener;
use sim::stack::{Deployment, Process};
use sim::time::{Instant, sleep, timeout};
use sim::{fs, task};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The role of these nodes.
pub const ROLE: &str = "archive";
/// The port that they are called at.
pub const PORT: u16 = 76;

const DIRECTORY: &str = "/archive";
const HASH_BYTES: usize = 32;
/// Files that are not whole yet end so.
const PARTIAL: &str = ".partial";
/// Silence of a node for longer than this is taken for its death.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How often a node looks for what the others have and it does not.
const MEND_EVERY: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    /// Keep the bytes beside this.
    Put { name: String },
    /// Give them.
    Get { name: String },
    /// Which objects are there?
    Names,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Response {
    Stored,
    /// The name has another content.
    Taken,
    /// The bytes are beside this.
    Found,
    Missing,
    Names(Vec<String>),
}

/// Why something is not in the archive, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// No majority of the nodes answered.
    #[error("too few nodes of the archive answer")]
    Unavailable,
    /// The object is there, with another content.
    #[error("`{0}` was archived before, with another content")]
    Taken(String),
}

/// A way to the archive.
pub struct Archive {
    remotes: Vec<Remote<Request, Response>>,
}

impl Archive {
    /// The archive of `deployment`. Opens no connection yet.
    pub fn new(deployment: &Deployment) -> Self {
        let nodes = deployment.of_role(ROLE);
        Self { remotes: nodes.map(|node| Remote::new(&node.name, PORT, PATIENCE)).collect() }
    }

    /// Keeps an object on a majority, durably. The same again is no error.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn put(&self, name: &str, content: &Bytes) -> Result<(), ArchiveError> {
        let put = Request::Put { name: name.to_owned() };
        let mut stored = 0;
        for (response, _) in self.ask_all(&put, content).await {
            match response {
                Response::Stored => stored += 1,
                Response::Taken => return Err(ArchiveError::Taken(name.to_owned())),
                _ => {}
            }
        }
        if stored > self.remotes.len() / 2 { Ok(()) } else { Err(ArchiveError::Unavailable) }
    }

    /// An object; none where no majority of the nodes knows of one.
    ///
    /// # Errors
    /// Where too few nodes answer to tell.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let answers = self.ask_all(&Request::Get { name: name.to_owned() }, &Bytes::new()).await;
        let count = answers.len();
        let found = answers.into_iter().find(|(response, _)| *response == Response::Found);
        match found {
            Some((_, content)) => Ok(Some(content)),
            None if count > self.remotes.len() / 2 => Ok(None),
            None => Err(ArchiveError::Unavailable),
        }
    }

    /// The names of all objects that a majority can tell of.
    ///
    /// # Errors
    /// Where too few nodes answer.
    pub async fn names(&self) -> Result<BTreeSet<String>, ArchiveError> {
        let answers = self.ask_all(&Request::Names, &Bytes::new()).await;
        if answers.len() <= self.remotes.len() / 2 {
            return Err(ArchiveError::Unavailable);
        }
        let names = answers.into_iter().filter_map(|(response, _)| match response {
            Response::Names(names) => Some(names),
            _ => None,
        });
        Ok(names.flatten().collect())
    }

    /// The answers of all nodes that give one in time.
    async fn ask_all(&self, request: &Request, blob: &Bytes) -> Vec<(Response, Bytes)> {
        let deadline = Instant::now() + PATIENCE;
        let call = |remote: &Remote<_, _>| Some(remote.call(request.clone(), blob.clone(), deadline));
        let mut calls: Vec<_> = self.remotes.iter().map(call).collect();
        let mut answers = Vec::new();
        while let Ok(Some((_, answer))) =
            timeout(deadline - Instant::now(), rpc::next_answer(&mut calls)).await
        {
            answers.extend(answer.ok());
        }
        answers
    }
}

/// Runs one node of the archive, until its process ends: should its disk or port fail, that is at once.
pub async fn serve(process: Process) {
    if let Err(error) = run(&process).await {
        sim::node::record(Fact::Note { text: format!("the archive's node ends: {error}") });
    }
}

/// One node: the hashes of its objects, by name.
struct Node {
    objects: tokio::sync::Mutex<BTreeMap<String, [u8; HASH_BYTES]>>,
}

async fn run(process: &Process) -> io::Result<()> {
    fs::create_dir_all(DIRECTORY).await?;
    fs::sync_dir("/").await?;
    let node = Arc::new(Node { objects: tokio::sync::Mutex::default() });
    for name in fs::read_dir(DIRECTORY).await? {
        if name.ends_with(PARTIAL) {
            fs::remove_file(&path(&name)).await?;
        } else if let Some((hash, _)) = read(&name).await? {
            node.objects.lock().await.insert(name, hash);
        } else {
            // The other nodes have it.
            sim::node::record(Fact::Note { text: format!("`{}` is damaged", path(&name)) });
        }
    }
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
    let served = rpc::listen(listener, move |incoming| {
        task::spawn(answer(node.clone(), incoming, failed.clone()));
    });
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
            Ok((Response::Names(names), Bytes::new()))
        }
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
            return Ok(if *there == hash { Response::Stored } else { Response::Taken });
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
        Ok(Response::Stored)
    }

    async fn get(&self, name: &str) -> io::Result<(Response, Bytes)> {
        let known = self.objects.lock().await.contains_key(name);
        let content = if known { read(name).await? } else { None };
        Ok(match content {
            Some((_, content)) => (Response::Found, content),
            None => {
                // Damaged since: it is fetched anew.
                self.objects.lock().await.remove(name);
                (Response::Missing, Bytes::new())
            }
        })
    }
}

/// Fetches what the others have and this node does not, until its disk fails.
async fn mend(node: &Node, others: &[Remote<Request, Response>]) -> io::Error {
    loop {
        sleep(MEND_EVERY).await;
        for other in others {
            let deadline = Instant::now() + PATIENCE;
            let ask = async |request| {
                let call = other.call(request, Bytes::new(), deadline);
                timeout(PATIENCE, call).await.ok()?.ok()
            };
            let Some((Response::Names(names), _)) = ask(Request::Names).await else { continue };
            for name in names {
                if node.objects.lock().await.contains_key(&name) {
                    continue;
                }
                let Some((Response::Found, content)) = ask(Request::Get { name: name.clone() }).await else {
                    continue;
                };
                if let Err(error) = node.put(&name, &content).await {
                    return error;
                }
            }
        }
    }
}

/// The content of an object's file and its hash; none where it is not what was written.
async fn read(name: &str) -> io::Result<Option<([u8; HASH_BYTES], Bytes)>> {
    let mut file = fs::read(&path(name)).await?;
    if file.len() < HASH_BYTES {
        return Ok(None);
    }
    let content = file.split_off(HASH_BYTES);
    let hash = *blake3::hash(&content).as_bytes();
    Ok((file[..] == hash).then_some((hash, content)))
}

fn path(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

/// Whether a name is one of an object: it becomes a file's.
fn is_name(name: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    (1..=100).contains(&name.len()) && name.chars().all(fits)
}
