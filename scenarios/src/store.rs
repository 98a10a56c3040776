//! Where runs are kept: a folder for each, with its plan, its history and its capsule.
#![expect(clippy::disallowed_methods, reason = "the store is on the machine's disk")]

use crate::error::ScenarioError;
use crate::expectation::Judgement;
#[cfg(not(live))]
use crate::explain::{EXPLANATION_VERSION, Explanation};
use crate::{library, plan_file};
use invariants::{Verdict, Violation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sim::history::Id;
use sim::plan::Plan;
use sim::stack::Stack;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The store where nobody says another.
pub const DEFAULT_STORE: &str = "target/hogwash";
/// The version of capsules.
pub const CAPSULE_VERSION: u32 = 1;

const PLAN: &str = "plan.toml";
const HISTORY: &str = "history.bin";
const CAPSULE: &str = "result.json";
#[cfg(not(live))]
const EXPLANATION: &str = "explanation.json";
#[cfg(not(live))]
const TRACE: &str = "trace.bin";
/// Folders of runs that have not ended begin with this.
const PARTIAL: &str = ".partial-";
/// Held by whoever writes such a folder: where nobody does, its process was killed.
const LOCK: &str = ".lock";
/// Held by whoever makes such a folder until it is locked, and by whoever takes left ones away.
const MAKING: &str = ".making";

/// What made a run, so that a replay can say what has changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Provenance {
    /// Version of hogwash.
    pub hogwash: String,
    /// The compiler.
    pub toolchain: String,
    /// What it compiled for.
    pub target: String,
    /// BLAKE3 of the `Cargo.lock` that the program was built with: the versions of everything else.
    pub lock_digest: String,
}

impl Provenance {
    /// Of this program.
    pub fn here() -> Self {
        let lock = blake3::hash(include_bytes!(concat!(env!("OUT_DIR"), "/Cargo.lock")));
        Self {
            hogwash: env!("CARGO_PKG_VERSION").to_owned(),
            toolchain: env!("HOGWASH_TOOLCHAIN").to_owned(),
            target: env!("HOGWASH_TARGET").to_owned(),
            lock_digest: lock.to_hex()[..16].to_owned(),
        }
    }

    /// What differs from `other`: what it is, here, there.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let fields = [
            ("hogwash", &self.hogwash, &other.hogwash),
            ("toolchain", &self.toolchain, &other.toolchain),
            ("target", &self.target, &other.target),
            ("lock file", &self.lock_digest, &other.lock_digest),
        ];
        let differing = fields.into_iter().filter(|(_, here, there)| here != there);
        differing.map(|(what, here, there)| (what, here.clone(), there.clone())).collect()
    }
}

/// How often a fault of each kind hit a node of each role: by kind, then by role.
pub type Hits = BTreeMap<String, BTreeMap<String, u64>>;

/// What came of a run, in few lines: the capsule that survives time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capsule {
    /// [`CAPSULE_VERSION`].
    pub v: u32,
    /// The scenario.
    pub scenario: String,
    /// Its variant.
    pub variant: Option<String>,
    /// The seed.
    pub seed: u64,
    /// Identifies the run.
    pub digest: String,
    /// Identifies its plan.
    pub plan_digest: String,
    /// How many events its history has.
    pub events: u64,
    /// How many messages its network carried.
    pub messages: u64,
    /// How long it was, in simulated time.
    pub sim_ns: u64,
    /// How long it took.
    pub wall_ns: u64,
    /// What each law said.
    pub verdicts: BTreeMap<String, Verdict>,
    /// How often each law could have been broken.
    #[serde(default)]
    pub exercised: BTreeMap<String, u64>,
    /// How often each mark of the stack or of a law was reached.
    #[serde(default)]
    pub marks: BTreeMap<String, u64>,
    /// How often a fault of each kind hit a node of each role: by kind, then by role.
    #[serde(default)]
    pub faults: Hits,
    /// What to make of it.
    pub judgements: BTreeMap<String, Judgement>,
    /// How laws were broken.
    pub violations: Vec<Broken>,
    /// What made it.
    pub provenance: Provenance,
}

/// A violation, with the law and the fingerprint that tells bugs apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Broken {
    /// The law.
    pub invariant: String,
    /// Law and shape in few letters: equal for equal bugs.
    pub fingerprint: String,
    /// When it became certain.
    pub at_ns: u64,
    /// What is wrong.
    pub message: String,
    /// What is wrong, without names and numbers.
    pub shape: String,
    /// The requests that it is about.
    pub ids: Vec<Id>,
    /// The events that show it.
    pub evidence: Vec<String>,
}

impl Broken {
    /// `violation` of the law called `invariant`.
    pub fn of(invariant: &str, violation: Violation) -> Self {
        let Violation { at_ns, message, shape, ids, evidence } = violation;
        let fingerprint = fingerprint(invariant, &shape);
        Self { invariant: invariant.to_owned(), fingerprint, at_ns, message, shape, ids, evidence }
    }
}

/// `delivery-1f2e3d4c`: the law, and eight digits of the hash of how it was broken.
pub fn fingerprint(law: &str, shape: &str) -> String {
    format!("{law}-{}", &blake3::hash(format!("{law}\n{shape}").as_bytes()).to_hex()[..8])
}

/// The BLAKE3 of this program's file, in part: what tells two builds apart.
pub fn program_digest() -> String {
    let program = std::env::current_exe().and_then(std::fs::read).unwrap_or_default();
    blake3::hash(&program).to_hex()[..16].to_owned()
}

/// The BLAKE3 of a plan's file, in part.
pub fn plan_digest(plan: &Plan) -> String {
    digest_of_plan(plan_file::write(plan).as_bytes())
}

/// The BLAKE3 of a plan's file as it is, in part.
pub(crate) fn digest_of_plan(file: &[u8]) -> String {
    blake3::hash(file).to_hex()[..16].to_owned()
}

/// A folder of runs.
#[derive(Clone, Debug)]
pub struct Store(PathBuf);

impl Store {
    /// The store in this folder, which is made when a run is kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Begins to keep a run: a folder without a name, until the run has ended.
    pub(crate) fn begin(&self, plan: &Plan) -> Result<Partial, ScenarioError> {
        fs::create_dir_all(&self.0).map_err(|error| cannot("write", &self.0, &error))?;
        let _making = self.making(File::lock_shared);
        // Another process may be at work in the same store: the first to make a folder has it.
        for number in 0..100_000 {
            let folder = self.0.join(format!("{PARTIAL}{number}"));
            match fs::create_dir(&folder) {
                Ok(()) => {
                    let lock_path = folder.join(LOCK);
                    let lock =
                        File::create(&lock_path).map_err(|error| cannot("write", &lock_path, &error))?;
                    // Where the machine has no locks, folders of killed processes stay.
                    let _ = lock.try_lock();
                    write_file(&folder.join(PLAN), plan_file::write(plan).as_bytes())?;
                    return Ok(Partial { folder, store: self.clone(), kept: false, _lock: lock });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot("write", &folder, &error)),
            }
        }
        let reason = format!("it holds 100000 runs that never ended: remove its `{PARTIAL}…` folders");
        Err(ScenarioError::File { what: "write", path: self.0.display().to_string(), reason })
    }

    /// Takes away what processes that were killed left behind.
    #[cfg(not(live))]
    pub(crate) fn sweep(&self) {
        let _making = self.making(File::lock);
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let is_partial = entry.file_name().to_string_lossy().starts_with(PARTIAL);
            // Whoever made one without a lock was killed in the middle of it.
            let is_held = || File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err());
            if is_partial && !is_held() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Holds the making of folders, shared or alone; nothing where the machine has no locks, or the store no folder yet.
    fn making(&self, lock: impl Fn(&File) -> std::io::Result<()>) -> Option<File> {
        let file = File::create(self.0.join(MAKING)).ok()?;
        lock(&file).ok()?;
        Some(file)
    }

    /// The stored run that `name` means: a path, a run's name, the beginning of one, or `latest`.
    ///
    /// # Errors
    /// Where there is none, or more than one.
    pub fn find(&self, name: &str) -> Result<StoredRun, ScenarioError> {
        if Path::new(name).join(PLAN).is_file() {
            return Ok(StoredRun { folder: name.into() });
        }
        let mut runs = self.runs();
        if name == "latest" {
            runs.sort_by_key(|run| {
                fs::metadata(run.folder.join(CAPSULE)).and_then(|file| file.modified()).ok()
            });
            runs = runs.pop().into_iter().collect();
        } else {
            runs.retain(|run| run.name().starts_with(name));
        }
        let unknown = |hint| ScenarioError::Unknown { sort: "stored run", name: name.to_owned(), hint };
        match runs.len() {
            1 => Ok(runs.remove(0)),
            0 => Err(unknown(format!(": nothing in `{}` begins so", self.0.display()))),
            count => Err(unknown(format!(": {count} in `{}` begin so, give more letters", self.0.display()))),
        }
    }

    /// All runs that have ended, in order of name.
    pub fn runs(&self) -> Vec<StoredRun> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut runs: Vec<StoredRun> = entries
            .map(|entry| StoredRun { folder: entry.path() })
            .filter(|run| !run.name().starts_with('.') && run.folder.join(CAPSULE).is_file())
            .collect();
        runs.sort_by_key(StoredRun::name);
        runs
    }
}

/// A run that is kept and has not ended; taken away when it is dropped before that.
pub(crate) struct Partial {
    folder: PathBuf,
    store: Store,
    kept: bool,
    _lock: File,
}

impl Partial {
    pub(crate) fn history(&self) -> PathBuf {
        self.folder.join(HISTORY)
    }

    /// Ends it: the run gets its name. An equal run that is there already stays instead, with what made it.
    pub(crate) fn keep(mut self, capsule: &Capsule) -> Result<StoredRun, ScenarioError> {
        let text = serde_json::to_string_pretty(capsule).expect("a capsule is JSON");
        write_file(&self.folder.join(CAPSULE), (text + "\n").as_bytes())?;
        let variant = capsule.variant.as_ref().map(|variant| format!("-{variant}")).unwrap_or_default();
        let scenario = plain(&format!("{}{variant}", capsule.scenario));
        let name = format!("{scenario}-seed{}-{}", capsule.seed, &capsule.digest[..8]);
        let folder = self.store.0.join(name);
        let there = StoredRun { folder: folder.clone() };
        let same = there
            .capsule()
            .is_ok_and(|old| old.digest == capsule.digest && old.plan_digest == capsule.plan_digest);
        if same && there.history_path().is_file() {
            return Ok(there);
        }
        let _ = fs::remove_dir_all(&folder);
        let _ = fs::remove_file(self.folder.join(LOCK));
        fs::rename(&self.folder, &folder).map_err(|error| cannot("write", &folder, &error))?;
        self.kept = true;
        Ok(StoredRun { folder })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// A scenario's name as part of a file's name, on any machine.
pub(crate) fn plain(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    name.chars().take(120).map(|letter| if fits(letter) { letter } else { '-' }).collect()
}

/// A run that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Its folder.
    pub folder: PathBuf,
}

impl StoredRun {
    /// Its name: that of its folder.
    pub fn name(&self) -> String {
        self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Where its plan is.
    pub fn plan_path(&self) -> PathBuf {
        self.folder.join(PLAN)
    }

    /// Where its history is.
    pub fn history_path(&self) -> PathBuf {
        self.folder.join(HISTORY)
    }

    /// Its plan.
    ///
    /// # Errors
    /// Where the file is gone or wrong.
    pub fn plan(&self, stack: &dyn Stack) -> Result<Plan, ScenarioError> {
        let path = self.plan_path();
        plan_file::read(&library::read_file(&path)?, &path.display().to_string(), stack)
    }

    /// What came of it.
    ///
    /// # Errors
    /// Where the file is gone, wrong, or of another version.
    pub fn capsule(&self) -> Result<Capsule, ScenarioError> {
        read_json(&self.folder.join(CAPSULE), CAPSULE_VERSION, "replay its plan")
    }

    /// Why it fails, where somebody asked.
    ///
    /// # Errors
    /// Where the file is wrong, or of another version.
    #[cfg(not(live))]
    pub fn explanation(&self) -> Result<Option<Explanation>, ScenarioError> {
        let path = self.folder.join(EXPLANATION);
        if !path.exists() {
            return Ok(None);
        }
        read_json(&path, EXPLANATION_VERSION, "explain the run again").map(Some)
    }

    /// Keeps why it fails beside it.
    ///
    /// # Errors
    /// Where it cannot be written.
    #[cfg(not(live))]
    pub fn keep_explanation(&self, explanation: &Explanation) -> Result<(), ScenarioError> {
        let text = serde_json::to_string_pretty(explanation).expect("an explanation is JSON");
        write_file(&self.folder.join(EXPLANATION), (text + "\n").as_bytes())
    }

    /// Every draw of its chance, where that is kept.
    #[cfg(not(live))]
    pub fn trace(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join(TRACE)).ok()
    }

    /// Keeps every draw of its chance, for a replay to be held against.
    ///
    /// # Errors
    /// Where it cannot be written.
    #[cfg(not(live))]
    pub fn keep_trace(&self, trace: &[u8]) -> Result<(), ScenarioError> {
        write_file(&self.folder.join(TRACE), trace)
    }

    /// Takes the draws of its chance away again: they are large, and of no use to anybody else.
    #[cfg(not(live))]
    pub fn drop_trace(&self) {
        let _ = fs::remove_file(self.folder.join(TRACE));
    }

    /// The bytes of its history.
    ///
    /// # Errors
    /// Where the file is gone.
    pub fn history(&self) -> Result<Vec<u8>, ScenarioError> {
        fs::read(self.history_path()).map_err(|error| cannot("read", &self.history_path(), &error))
    }
}

/// Reads a file that says its version first of all: one of another version is refused, with the way out.
fn read_json<T: DeserializeOwned>(path: &Path, version: u32, way_out: &str) -> Result<T, ScenarioError> {
    let wrong = |reason| ScenarioError::File { what: "read", path: path.display().to_string(), reason };
    let bytes = library::read_file(path)?;
    let value =
        serde_json::from_slice::<serde_json::Value>(&bytes).map_err(|error| wrong(error.to_string()))?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(given) if given == u64::from(version) => {}
        given => {
            let given = given.map_or_else(|| "no version".to_owned(), |given| format!("version {given}"));
            return Err(wrong(format!("it is of {given}, this hogwash reads {version}: {way_out}")));
        }
    }
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ScenarioError> {
    fs::write(path, bytes).map_err(|error| cannot("write", path, &error))
}

pub(crate) fn cannot(what: &'static str, path: &Path, error: &std::io::Error) -> ScenarioError {
    ScenarioError::File { what, path: path.display().to_string(), reason: error.to_string() }
}
