//! The stack for real: every node a process of its own within this program, on loopback and below a data folder.

use super::host::{Host, Site};
use super::record::Record;
use super::time;
use crate::history::{Down, Fact, NodeIndex};
use crate::plan::NodePlan;
use crate::stack::{Deployment, Process, Stack};
use std::fs::{File, OpenOptions, TryLockError};
use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a process that ended by itself takes to be started again.
const SUPERVISOR_DELAY: Duration = Duration::from_secs(1);
/// How long a process that listens may take to stop when it is asked to.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long tasks that never wait and blocking work may go on after their process has ended.
const LAST_WORK: Duration = Duration::from_secs(5);
/// How far the ports of one node are from those of the next.
pub const PORTS_A_NODE: u16 = 100;

/// Where and what to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The folder of all data, made where it is not there. `NODE/files` in it is the root of a node's files,
    /// `NODE/history` holds one history for each start of this program.
    pub data: PathBuf,
    /// Port P of node number N, counted from 0, is this one plus 100·N plus P, on 127.0.0.1.
    pub base_port: u16,
    /// The nodes to serve; all but clients where none are named. The others run in other programs, with the same
    /// deployment and base port.
    pub nodes: Option<Vec<String>>,
}

/// Runs the nodes of `deployment` until the program is asked to stop, by Ctrl-C or SIGTERM. A process of a node that
/// panics or returns is started again a second later. What happens is written to `DATA/NODE/history`.
///
/// # Errors
/// Where a node's folder cannot be used, is in use, or a name or a port does not fit.
pub fn serve(
    stack: Arc<dyn Stack>,
    deployment: impl Into<Arc<Deployment>>,
    options: ServeOptions,
) -> io::Result<()> {
    serve_until(stack, deployment, options, asked_to_stop())
}

/// As [`serve`], until `stop` ends.
///
/// # Errors
/// As [`serve`].
pub fn serve_until(
    stack: Arc<dyn Stack>,
    deployment: impl Into<Arc<Deployment>>,
    options: ServeOptions,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let deployment = deployment.into();
    let nodes = nodes(&deployment, &options)?;
    let names = deployment.nodes.iter().map(|node| node.name.clone()).collect();
    let site = Arc::new(Site { names, base_port: options.base_port });
    let supervisors = nodes
        .into_iter()
        .map(|(number, plan)| Supervisor::new(number, plan, &stack, &deployment, &site, &options.data))
        .collect::<io::Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async move {
        let (stopper, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        for supervisor in supervisors {
            running.spawn(supervisor.run(stopping.clone()));
        }
        // A supervisor ends before it is told to only by an error.
        let first = crate::instant::race(running.join_next(), stop).await.ok().flatten();
        let _ = stopper.send(true);
        let mut result = first.map_or(Ok(()), outcome);
        while let Some(ended) = running.join_next().await {
            result = result.and(outcome(ended));
        }
        result
    });
    runtime.shutdown_timeout(LAST_WORK);
    result
}

fn outcome(ended: Result<io::Result<()>, tokio::task::JoinError>) -> io::Result<()> {
    ended.unwrap_or_else(|error| Err(io::Error::other(error)))
}

async fn asked_to_stop() {
    let interrupt = tokio::signal::ctrl_c();
    let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ = interrupt.await;
        return;
    };
    let terminated = async move {
        terminate.recv().await;
    };
    let _ = crate::instant::race(interrupt, terminated).await;
}

/// The nodes to serve, with their places in the deployment.
fn nodes(deployment: &Deployment, options: &ServeOptions) -> io::Result<Vec<(usize, NodePlan)>> {
    let invalid = |text: String| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    let ports = u64::from(PORTS_A_NODE) * deployment.nodes.len() as u64;
    let most = u64::from(u16::MAX) + 1;
    if u64::from(options.base_port) + ports > most {
        let count = deployment.nodes.len();
        return match most.checked_sub(ports) {
            Some(last) => invalid(format!("{count} nodes need a base port of at most {last}")),
            None => invalid(format!("{count} nodes need more ports than there are: at most 655 fit")),
        };
    }
    let all = || deployment.nodes.iter().cloned().enumerate();
    let servers = || all().filter(|(_, node)| !node.is_client());
    let Some(names) = &options.nodes else { return Ok(servers().collect()) };
    for name in names {
        if !servers().any(|(_, node)| node.name == *name) {
            let known: Vec<_> = servers().map(|(_, node)| format!("`{}`", node.name)).collect();
            return invalid(format!("there is no node `{name}` to serve: there are {}", known.join(", ")));
        }
    }
    Ok(servers().filter(|(_, node)| names.contains(&node.name)).collect())
}

/// Runs one node's process, again and again.
struct Supervisor {
    number: usize,
    plan: NodePlan,
    stack: Arc<dyn Stack>,
    deployment: Arc<Deployment>,
    site: Arc<Site>,
    folder: PathBuf,
    /// Keeps other programs from the node's data; given back by the kernel however this program ends.
    _lock: File,
}

impl Supervisor {
    fn new(
        number: usize,
        plan: NodePlan,
        stack: &Arc<dyn Stack>,
        deployment: &Arc<Deployment>,
        site: &Arc<Site>,
        data: &Path,
    ) -> io::Result<Self> {
        let folder = data.join(&plan.name);
        let lock = lock(&folder).map_err(|error| {
            let text = format!("the data of `{}` in `{}`: {error}", plan.name, folder.display());
            io::Error::new(error.kind(), text)
        })?;
        let (stack, deployment, site) = (stack.clone(), deployment.clone(), site.clone());
        Ok(Self { number, plan, stack, deployment, site, folder, _lock: lock })
    }

    async fn run(self, mut stopping: watch::Receiver<bool>) -> io::Result<()> {
        let mut incarnation = count_start(&self.folder)?;
        let index = NodeIndex(u32::try_from(self.number).expect("fewer than 655 nodes fit the ports"));
        let record = Record::begin(index, &self.plan.name, &self.folder.join("history"), incarnation)?;
        let record = Arc::new(record);
        loop {
            let host = self.start(incarnation, record.clone());
            let stopped = async { drop(stopping.wait_for(|stop| *stop).await) };
            let ended = crate::instant::race(host.ended(), stopped).await;
            if ended.is_err() {
                host.ask_to_stop(STOP_GRACE).await;
            }
            let cause = ended.unwrap_or(Down::Stop);
            if time::timeout(LAST_WORK, host.stop_tasks()).await.is_err() {
                tracing::warn!("some tasks of `{}` never wait, so that they cannot be ended", self.plan.name);
            }
            host.record(&Fact::Exit { cause });
            tracing::info!("the process of `{}` ended: {cause}", self.plan.name);
            if cause == Down::Stop {
                return Ok(());
            }
            let stopped = stopping.wait_for(|stop| *stop);
            if time::timeout(SUPERVISOR_DELAY, stopped).await.is_ok() {
                return Ok(());
            }
            incarnation = count_start(&self.folder)?;
        }
    }

    fn start(&self, incarnation: u32, record: Arc<Record>) -> Arc<Host> {
        let files = self.folder.join("files");
        let host = Host::new(self.plan.clone(), self.number, self.site.clone(), files, record);
        host.record(&Fact::Boot { incarnation });
        tracing::info!("`{}` starts, incarnation {incarnation}", self.plan.name);
        let (node, deployment) = (self.plan.clone(), self.deployment.clone());
        let (stack, process) = (self.stack.clone(), Process { node, deployment, incarnation });
        let returned = host.clone();
        drop(host.spawn(async move {
            stack.boot(process).await;
            returned.end(Down::Returned);
        }));
        host
    }
}

/// Makes a node's folder, durably, and takes it for this program.
fn lock(folder: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder.join("files"))?;
    let open = |name| OpenOptions::new().write(true).create(true).truncate(false).open(folder.join(name));
    let lock = open("lock")?;
    open("starts")?;
    // Else a loss of power could take the folder with everything that the node has synced in it.
    for made in [Some(folder), folder.parent()].into_iter().flatten() {
        OpenOptions::new().read(true).open(made)?.sync_all()?;
    }
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let text = "another program uses it: stop that one, or choose another data folder";
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Counts one more start of the node's process, durably; gives how many there were.
fn count_start(folder: &Path) -> io::Result<u32> {
    let mut file = OpenOptions::new().read(true).write(true).open(folder.join("starts"))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // Each start is one byte more: an append is never torn, and nothing has to be renamed.
    let starts = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
    file.write_all(b".")?;
    file.sync_data()?;
    Ok(starts)
}
