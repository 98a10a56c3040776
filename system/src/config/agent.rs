//! A node's side: which version its process runs, and how it does with it.

use super::defect::{Circumstances, Met, Work};
use super::document::Document;
use super::rollout::Report;
use crate::api::PORT;
use crate::http::HttpClient;
use http_body_util::Full;
use hyper::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sim::fs;
use sim::history::Fact;
use sim::stack::Process;
use sim::time::{Instant, sleep};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const DIRECTORY: &str = "/version";
/// The version that is known to let the node live.
const GOOD: &str = "good";
/// The version on probation.
const CANDIDATE: &str = "candidate";
/// How often a node asks, on the average, and how long it waits for the answer.
const INTERVAL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a version must let the node live before it is called good.
const PROBATION: Duration = Duration::from_secs(8);
/// So many requests say how a process does: what was well for hours must not hide what fails now.
const RECENT_MAX: usize = 20;

/// Knows the version that a process runs.
pub(crate) struct Agent {
    validation: bool,
    last_known_good: bool,
    incarnation: u32,
    state: Mutex<State>,
}

struct State {
    document: Document,
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
        let service = deployment.of_role(super::ROLE).next().map(|node| node.name.clone());
        let last_known_good = deployment.flag("config.last-known-good");
        let (document, rejected) = match &service {
            Some(_) => start_from_disk(last_known_good).await.unwrap_or((None, None)),
            None => (None, None),
        };
        let adopted_before = document.is_some();
        let state = State {
            document: document.unwrap_or_else(Document::first),
            adopted: Instant::now(),
            on_probation: false,
            rejected,
            seen: 0,
            recent: VecDeque::new(),
            under_way: 0,
        };
        let agent = Arc::new(Self {
            validation: deployment.flag("config.validation"),
            last_known_good,
            incarnation: process.incarnation,
            state: Mutex::new(state),
        });
        if let Some(service) = service {
            if adopted_before {
                agent.say_adopted();
            }
            // Asked before the first request: what kills the process with its first must not keep it from hearing of better.
            let http = HttpClient::default();
            agent.ask(&http, &service, &process.node.name).await;
            sim::task::spawn(agent.clone().follow(http, service, process.node.name.clone()));
        }
        agent
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

    /// Adopts the version that the service says, where it is another and can be run; ends a probation that was passed.
    async fn consider(&self, told: Option<Document>) -> io::Result<()> {
        let (running, rejected, passed) = {
            let state = self.state();
            let passed = state.on_probation && state.adopted.elapsed() >= PROBATION;
            (state.document.clone(), state.rejected, passed)
        };
        if passed {
            // Over once the disk says so, too: a candidate that stays there speaks against the version at the next start.
            keep(GOOD, &running).await?;
            remove_candidate().await?;
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
        let back = told.version < running.version;
        // On disk first: a process that it kills must find out what did.
        keep(if back { GOOD } else { CANDIDATE }, &told).await?;
        if back {
            let _ = remove_candidate().await;
        }
        {
            let mut state = self.state();
            (state.document, state.adopted, state.on_probation) = (told, Instant::now(), !back);
            state.seen = 0;
            state.recent.clear();
        }
        self.say_adopted();
        Ok(())
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

/// The version to start with, and one that is not to be tried again: it was on probation when the process ended.
async fn start_from_disk(last_known_good: bool) -> io::Result<(Option<Document>, Option<u64>)> {
    fs::create_dir_all(DIRECTORY).await?;
    // Else the directory may be gone after a loss of power, with all that was synced in it.
    fs::sync_dir("/").await?;
    let (candidate, good) = (read(CANDIDATE).await, read(GOOD).await);
    if candidate.is_some() && !last_known_good {
        return Ok((candidate, None));
    }
    // One that is the good one has passed its probation, and a loss of power brought its file back.
    let failed = candidate.filter(|candidate| good.as_ref() != Some(candidate));
    if failed.is_some() {
        sim::sometimes!("a node starts with the last configuration that was good");
    }
    remove_candidate().await?;
    Ok((good, failed.map(|failed| failed.version)))
}

async fn remove_candidate() -> io::Result<()> {
    let removed = fs::remove_file(&format!("{DIRECTORY}/{CANDIDATE}")).await;
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A version on disk; none where there is none, or none that is whole.
async fn read(name: &str) -> Option<Document> {
    let bytes = fs::read(&format!("{DIRECTORY}/{name}")).await.ok()?;
    unseal(&bytes)
}

async fn keep(name: &str, document: &Document) -> io::Result<()> {
    write_whole(DIRECTORY, name, seal(document)).await
}

/// What goes to disk: a check of what follows, and JSON.
pub(super) fn seal<T: Serialize>(value: &T) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("numbers and words");
    [&crc32fast::hash(&json).to_le_bytes()[..], &json].concat()
}

/// What was sealed; none where it is not whole.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (sum, json) = bytes.split_first_chunk()?;
    (crc32fast::hash(json) == u32::from_le_bytes(*sum)).then(|| serde_json::from_slice(json).ok())?
}

/// Writes a file so that after any crash it is there as a whole, or as it was before.
pub(super) async fn write_whole(directory: &str, name: &str, bytes: Vec<u8>) -> io::Result<()> {
    let (path, new) = (format!("{directory}/{name}"), format!("{directory}/{name}.new"));
    let options = fs::OpenOptions::new().write(true).create(true).truncate(true);
    let file = options.open(&new).await?;
    file.write_at(0, bytes.into()).await?;
    file.sync_all().await?;
    fs::rename(&new, &path).await?;
    fs::sync_dir(directory).await
}

#[cfg(test)]
mod tests {
    use super::super::rollout::Progress;
    use super::*;
    use proptest::prelude::*;

    fn versions() -> impl Strategy<Value = Document> {
        (any::<u64>(), any::<u64>()).prop_map(|(version, in_flight_max)| Document {
            version,
            in_flight_max,
            defect: None,
        })
    }

    #[test]
    fn a_version_that_passed_its_probation_is_not_refused_though_its_file_came_back() {
        let version = |version| Document { version, ..Document::first() };
        for (good, candidate, refused) in [(2, 2, None), (1, 2, Some(2))] {
            let started = sim::world::alone(1, async move {
                fs::create_dir_all(DIRECTORY).await?;
                keep(GOOD, &version(good)).await?;
                keep(CANDIDATE, &version(candidate)).await?;
                let started = start_from_disk(true).await?;
                Ok::<_, io::Error>((started, read(CANDIDATE).await))
            });
            assert_eq!(started.unwrap(), ((Some(version(good)), refused), None));
        }
    }

    proptest! {
        #[test]
        fn a_version_on_disk_is_read_as_it_was_written_or_not_at_all(
            version in versions(),
            place: prop::sample::Index,
            bytes: Vec<u8>,
        ) {
            let file = seal(&version);
            prop_assert_eq!(unseal(&file), Some(version));
            let bit = place.index(file.len() * 8);
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unseal::<Document>(&damaged), None);
            prop_assert_eq!(unseal::<Document>(&file[..bit / 8]), None);
            prop_assert_eq!(unseal::<Document>(&bytes), None);
        }

        #[test]
        fn how_far_a_rollout_is_is_read_as_it_was_written_or_not_at_all(stage: usize, place: prop::sample::Index) {
            let file = seal(&Progress::Stage(stage));
            prop_assert_eq!(unseal(&file), Some(Progress::Stage(stage)));
            let bit = place.index(file.len() * 8);
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unseal::<Progress>(&damaged), None);
        }

        #[test]
        fn no_text_makes_reading_a_version_panic(text: String, number: u64) {
            for text in [text, format!("{{\"version\":{number},\"in_flight_max\":0,\"defect\":null}}")] {
                if let Ok(version) = serde_json::from_slice::<Document>(text.as_bytes()) {
                    prop_assert!(version.in_flight_max > 0 || version.validate().is_err());
                }
            }
        }
    }
}
