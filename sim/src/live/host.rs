//! One running process of one node: who a task belongs to, and what ends with it.

use super::record::Record;
use crate::history::{Down, Fact};
use crate::plan::NodePlan;
use futures_util::FutureExt as _;
use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{AbortHandle, JoinHandle};

tokio::task_local! {
    static HOST: Arc<Host>;
}

/// Where everything is on this machine.
#[derive(Debug)]
pub(crate) struct Site {
    /// The nodes' names, in the deployment's order.
    pub(crate) names: Vec<String>,
    /// Port P of node number N is this one plus 100·N plus P.
    pub(crate) base_port: u16,
}

/// One running process of one node.
pub(crate) struct Host {
    pub(crate) plan: NodePlan,
    /// The node's place in the deployment.
    pub(crate) number: usize,
    pub(crate) site: Arc<Site>,
    /// Where the node's files are.
    pub(crate) files: PathBuf,
    /// One permit a core.
    pub(crate) cores: Arc<Semaphore>,
    record: Arc<Record>,
    tasks: Mutex<Tasks>,
    none_left: Notify,
    ended: watch::Sender<Option<Down>>,
    /// Whether it was asked to stop.
    asked: watch::Sender<bool>,
}

#[derive(Default)]
struct Tasks {
    running: BTreeMap<u64, AbortHandle>,
    last: u64,
    /// Whether the process has ended, so that nothing may start any more.
    closed: bool,
}

impl Host {
    pub(crate) fn new(
        plan: NodePlan,
        number: usize,
        site: Arc<Site>,
        files: PathBuf,
        record: Arc<Record>,
    ) -> Arc<Self> {
        let cores = Arc::new(Semaphore::new(plan.cores.max(1) as usize));
        let (tasks, none_left, (ended, _)) = (Mutex::default(), Notify::new(), watch::channel(None));
        let (asked, _) = watch::channel(false);
        Arc::new(Self { plan, number, site, files, cores, record, tasks, none_left, ended, asked })
    }

    /// Adds what happened on the node to its record.
    pub(crate) fn record(&self, fact: &Fact) {
        self.record.add(fact);
    }

    /// Starts a task of the process.
    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let host = self.clone();
        // Held until the task is listed, so that one that ends at once finds itself there.
        let mut tasks = self.tasks();
        tasks.last += 1;
        let running = Running { host: host.clone(), number: tasks.last };
        let body = async move {
            let _running = running;
            let output = AssertUnwindSafe(future).catch_unwind().await;
            output.map_err(|payload| current().panicked(payload.as_ref())).ok()
        };
        let task = tokio::spawn(HOST.scope(host, body));
        let number = tasks.last;
        tasks.running.insert(number, task.abort_handle());
        if tasks.closed {
            task.abort();
        }
        task
    }

    /// Does `work` as this process.
    pub(crate) fn enter<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        HOST.sync_scope(self.clone(), work)
    }

    /// Ends the process, for the first cause that comes.
    pub(crate) fn end(&self, cause: Down) {
        self.ended.send_if_modified(|ended| ended.is_none() && ended.replace(cause).is_none());
    }

    /// Waits until something ends the process.
    pub(crate) async fn ended(&self) -> Down {
        let mut ended = self.ended.subscribe();
        let cause = ended.wait_for(Option::is_some).await.map(|cause| *cause);
        cause.ok().flatten().expect("the sender is this host's, which is borrowed")
    }

    /// Asks the process to stop, and waits for its end as long as `grace`. One that does not listen is not waited for.
    pub(crate) async fn ask_to_stop(&self, grace: Duration) {
        if self.asked.receiver_count() > 0 {
            self.asked.send_replace(true);
            let _ = super::time::timeout(grace, self.ended()).await;
        }
    }

    /// Waits until the process is asked to stop.
    pub(crate) async fn asked_to_stop(&self) {
        // An error would be the end of this host, which is borrowed.
        let _ = self.asked.subscribe().wait_for(|asked| *asked).await;
    }

    /// Ends all tasks and waits until they are gone, with their sockets and files.
    pub(crate) async fn stop_tasks(&self) {
        loop {
            let none_left = self.none_left.notified();
            {
                let mut tasks = self.tasks();
                tasks.closed = true;
                if tasks.running.is_empty() {
                    return;
                }
                tasks.running.values().for_each(AbortHandle::abort);
            }
            none_left.await;
        }
    }

    fn panicked(&self, payload: &(dyn Any + Send)) {
        let owned = payload.downcast_ref::<String>().map(String::as_str);
        let text = owned.or_else(|| payload.downcast_ref::<&str>().copied());
        let message = text.unwrap_or("a value that is no text").to_owned();
        tracing::error!("a task panicked, the process of `{}` ends: {message}", self.plan.name);
        self.record(&Fact::Panic { message });
        self.end(Down::Panic);
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process of the running task, where it is of one.
pub(crate) fn try_current() -> Option<Arc<Host>> {
    HOST.try_with(Arc::clone).ok()
}

/// The process of the running task.
pub(crate) fn current() -> Arc<Host> {
    try_current().expect("called outside a process: run the code under sim::server::serve")
}

/// Lists a task as running until it is dropped, by its end or by being aborted.
struct Running {
    host: Arc<Host>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut tasks = self.host.tasks();
        tasks.running.remove(&self.number);
        if tasks.running.is_empty() {
            self.host.none_left.notify_waiters();
        }
    }
}
