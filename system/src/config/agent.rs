//! A node's side: which version its process runs, and how it does with it.

use super::defect::{Circumstances, Met, Work};
use super::disk::{self, Start};
use super::document::Document;
use super::rollout::Report;
use crate::ImageStack;
use crate::api::PORT;
use crate::http::HttpClient;
use http_body_util::Full;
use hyper::Request;
use sim::history::Fact;
use sim::stack::{Deployment, Process, SettingError};
use sim::time::{Instant, sleep};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How often a node asks, on the average, and how long it waits for the answer.
const INTERVAL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a version must let the node live before it is called good.
const PROBATION: Duration = Duration::from_secs(8);
/// Over how long nodes that are told at once to start anew do so: not all replicas of a tier are to be away at one moment.
const SPREAD: Duration = Duration::from_secs(4);
/// So many requests say how a process does: what was well for hours must not hide what fails now.
const RECENT_MAX: usize = 20;

/// Knows the version that a process runs.
pub(crate) struct Agent {
    /// Whether there is a service that hands out versions.
    pub(super) follows: bool,
    validation: bool,
    last_known_good: bool,
    incarnation: u32,
    /// When, of the time that nodes are told to start anew, this one does.
    spread: Duration,
    /// Has no permits, and is closed once the version that is to run needs a process of its own: that wakes all who wait.
    replaced: Semaphore,
    state: Mutex<State>,
}

struct State {
    document: Document,
    /// Whether the process is configured already: other settings are for the next one.
    configured: bool,
    adopted: Instant,
    /// Not called good yet.
    on_probation: bool,
    rejected: Option<u64>,
    seen: u64,
    /// How the last requests ended, whether by failing.
    recent: VecDeque<bool>,
    under_way: u64,
}

/// A request that counts as under way until this is dropped, and as failed where nobody said how it ended: its caller gave up.
pub(crate) struct UnderWay {
    agent: Arc<Agent>,
    ended: bool,
}

impl State {
    fn note(&mut self, failed: bool) {
        self.recent.push_back(failed);
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }
}

impl Agent {
    /// The agent of `process`, which follows the config service from now on where there is one.
    pub(crate) async fn start(process: &Process) -> Arc<Self> {
        let deployment = &process.deployment;
        let Some(service) = deployment.of_role(super::ROLE).next().map(|node| node.name.clone()) else {
            return Self::without_service(process);
        };
        let last_known_good = deployment.flag("config.last-known-good");
        let start = disk::start(last_known_good).await.unwrap_or_default();
        let adopted_before = start.document.is_some();
        let agent = Arc::new(Self {
            follows: true,
            validation: deployment.flag("config.validation"),
            last_known_good,
            ..Self::of(process, start)
        });
        if adopted_before {
            agent.say_adopted();
        }
        // Asked before the first request: what kills the process with its first must not keep it from hearing of better.
        let http = HttpClient::default();
        agent.ask(&http, &service, &process.node.name).await;
        sim::task::spawn(agent.clone().follow(http, service, process.node.name.clone()));
        agent
    }

    /// The agent of `process` where nobody hands versions out: it runs the first for ever.
    pub(crate) fn without_service(process: &Process) -> Arc<Self> {
        Arc::new(Self::of(process, Start::default()))
    }

    fn of(process: &Process, Start { document, on_probation, failed }: Start) -> Self {
        let state = State {
            document: document.unwrap_or_else(Document::first),
            configured: false,
            adopted: Instant::now(),
            on_probation,
            rejected: failed,
            seen: 0,
            recent: VecDeque::new(),
            under_way: 0,
        };
        Self {
            follows: false,
            validation: true,
            last_known_good: true,
            incarnation: process.incarnation,
            spread: sim::node::stream("anew").duration(Duration::ZERO..SPREAD),
            replaced: Semaphore::new(0),
            state: Mutex::new(state),
        }
    }

    /// The deployment as the process's version has it: what the process is to be made by. A version that comes later with other
    /// settings than this one's needs a process of its own.
    ///
    /// # Errors
    /// Where the version has a setting that cannot be, which validation would have found.
    pub(crate) fn configure(&self, written: &Arc<Deployment>) -> Result<Arc<Deployment>, SettingError> {
        let mut state = self.state();
        state.configured = true;
        let settings = &state.document.settings;
        if settings.is_empty() {
            return Ok(written.clone());
        }
        Deployment::clone(written).changed(&ImageStack, settings).map(Arc::new)
    }

    /// Waits until the process is to end, since the version that is to run is for the next one.
    pub(crate) async fn replaced(&self) {
        // It has no permits: it can only be closed.
        let _ = self.replaced.acquire().await;
        sleep(self.spread).await;
    }

    /// Whether the next process is to run another version.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced.is_closed()
    }

    /// Waits until the process is to end what is under way and take on nothing new: somebody asks it to stop, or it is replaced.
    pub(crate) async fn stopping(&self) {
        tokio::select! { biased;
            () = sim::node::stopping() => {}
            () = self.replaced() => {}
        }
    }

    /// Takes a request on; none where the version says that the node has enough to do.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<UnderWay> {
        let mut state = self.state();
        state.seen += 1;
        if state.under_way >= state.document.in_flight_max {
            state.note(true);
            return None;
        }
        state.under_way += 1;
        Some(UnderWay { agent: self.clone(), ended: false })
    }

    /// Whether the version has something in store for requests.
    pub(super) fn has_defect(&self) -> bool {
        self.state().document.defect.is_some()
    }

    /// Meets whatever the version has in store for a request.
    pub(crate) async fn meet(&self, work: &Work<'_>) -> Met {
        let (defect, circumstances) = {
            let state = self.state();
            let circumstances = Circumstances {
                adopted: state.adopted,
                seen: state.seen,
                under_way: state.under_way,
                incarnation: self.incarnation,
            };
            (state.document.defect, circumstances)
        };
        match defect {
            Some(defect) => defect.meet(work, &circumstances).await,
            None => Met::Nothing,
        }
    }

    /// Asks for the version again and again.
    async fn follow(self: Arc<Self>, http: HttpClient, service: String, node: String) {
        let mut chance = sim::node::stream("config");
        loop {
            sleep(chance.duration(INTERVAL / 2..INTERVAL * 3 / 2)).await;
            self.ask(&http, &service, &node).await;
        }
    }

    /// Says how the process does, and does as it is told.
    async fn ask(&self, http: &HttpClient, service: &str, node: &str) {
        let body = serde_json::to_vec(&self.report(node)).expect("numbers and names").into();
        let request = Request::post("/v1/follow").header("content-type", "application/json");
        let request = request.body(Full::new(body)).expect("made of valid parts");
        let asked = http.request(service, PORT, request, Instant::now() + PATIENCE).await;
        // What cannot be had or read changes nothing: the node goes on with what it has.
        let told = asked.ok().and_then(|answer| serde_json::from_slice::<Document>(answer.body()).ok());
        if let Err(error) = self.consider(told).await {
            tracing::warn!(%error, "a version cannot be kept on disk");
        }
    }

    fn report(&self, node: &str) -> Report {
        let state = self.state();
        Report {
            node: node.to_owned(),
            incarnation: self.incarnation,
            running: state.document.version,
            rejected: state.rejected,
            requests: state.recent.len() as u64,
            failed: state.recent.iter().filter(|failed| **failed).count() as u64,
        }
    }

    /// Takes up the version that the service says, where it is another and can be run; ends a probation that was passed.
    async fn consider(&self, told: Option<Document>) -> io::Result<()> {
        let (running, rejected, passed) = {
            let state = self.state();
            let passed = state.on_probation && state.adopted.elapsed() >= PROBATION;
            (state.document.clone(), state.rejected, passed)
        };
        if self.is_replaced() {
            // Taken back before it was begun: the next process is not to begin it.
            let back = told.is_some_and(|told| told.version == running.version);
            return if back { disk::keep_good(&running).await } else { Ok(()) };
        }
        // Over once the disk says so, too: a candidate that stays there speaks against the version at the next start. A disk that
        // fails keeps nobody from hearing of another version.
        if passed && disk::keep_good(&running).await.is_ok() {
            self.state().on_probation = false;
        }
        let Some(told) = told.filter(|told| told.version != running.version) else { return Ok(()) };
        if self.last_known_good && rejected == Some(told.version) {
            return Ok(());
        }
        if let (true, Err(why)) = (self.validation, told.validate()) {
            self.state().rejected = Some(told.version);
            sim::sometimes!("a node refuses a version of its configuration");
            let text = format!("version {} does not pass validation: {why}", told.version);
            sim::node::record(Fact::Note { text });
            return Ok(());
        }
        self.take_up(told, &running).await
    }

    /// Has this process run a version, or the next one where it has other settings than this process was made by.
    async fn take_up(&self, told: Document, running: &Document) -> io::Result<()> {
        let back = told.version < running.version;
        let anew = self.state().configured && told.settings != running.settings;
        // On disk first: a process that it kills must find out what did.
        let kept = match back {
            true => disk::keep_good(&told).await,
            false => disk::keep_candidate(&told, !anew).await,
        };
        if anew {
            kept?;
            sim::sometimes!("a process ends for one with other settings");
            self.replaced.close();
            return Ok(());
        }
        // Away from what is bad a process goes whatever its disk says.
        if back || kept.is_ok() {
            self.run(told, !back);
        }
        kept
    }

    fn run(&self, told: Document, on_probation: bool) {
        {
            let mut state = self.state();
            (state.document, state.adopted, state.on_probation) = (told, Instant::now(), on_probation);
            state.seen = 0;
            state.recent.clear();
        }
        self.say_adopted();
    }

    fn say_adopted(&self) {
        let version = self.state().document.version;
        sim::node::record(Fact::Adopt { version });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Ends a request that speaks neither for the process nor against it.
    pub(super) fn forget(mut self) {
        self.ended = true;
    }

    /// Ends the request; `failed` through no fault of its own or not.
    pub(crate) fn end(mut self, failed: bool) {
        self.ended = true;
        self.agent.state().note(failed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.agent.state();
        state.under_way = state.under_way.saturating_sub(1);
        if !self.ended {
            state.note(true);
        }
    }
}
