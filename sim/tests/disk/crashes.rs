//! Any operations, cut off anywhere by any crashes: what is found afterwards is what the model allows.

use crate::harness::{fault, note, plan, run, server};
use crate::model::{Found, Model};
use crate::sim::fault::Inject;
use crate::sim::fs::{self, OpenOptions};
use crate::sim::plan::DiskPlan;
use crate::sim::stack::{Process, Task};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

const SECTOR_BYTES: u32 = 16;

#[derive(Clone, Debug)]
enum Operation {
    Create(&'static str),
    MakeDirectory(&'static str),
    Write { path: &'static str, offset: usize, length: usize },
    SetLength { path: &'static str, length: usize },
    Read(&'static str),
    Rename { from: &'static str, to: &'static str },
    Remove(&'static str),
    Sync { path: &'static str, waits: bool },
    SyncDirectory { path: &'static str, waits: bool },
}

/// What one process does, and what ends it when.
#[derive(Clone, Debug)]
struct Life {
    operations: Vec<Operation>,
    end_ns: u64,
    loses_power: bool,
}

fn file_path() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("/x"), Just("/y"), Just("/a/x"), Just("/a/y"), Just("/a/b/x"), Just("/a")]
}

fn directory_path() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("/"), Just("/a"), Just("/a/b")]
}

fn any_path() -> impl Strategy<Value = &'static str> {
    prop_oneof![file_path(), Just("/a/b"), Just("/b"), Just("/b/x")]
}

fn operation() -> impl Strategy<Value = Operation> {
    let length = || prop_oneof![3 => 0_usize..100, 1 => 0_usize..1200];
    prop_oneof![
        4 => file_path().prop_map(Operation::Create),
        2 => directory_path().prop_map(Operation::MakeDirectory),
        8 => (file_path(), length(), length())
            .prop_map(|(path, offset, length)| Operation::Write { path, offset, length }),
        2 => (file_path(), length()).prop_map(|(path, length)| Operation::SetLength { path, length }),
        1 => file_path().prop_map(Operation::Read),
        3 => (any_path(), any_path()).prop_map(|(from, to)| Operation::Rename { from, to }),
        1 => file_path().prop_map(Operation::Remove),
        3 => (file_path(), any::<bool>()).prop_map(|(path, waits)| Operation::Sync { path, waits }),
        2 => (directory_path(), any::<bool>())
            .prop_map(|(path, waits)| Operation::SyncDirectory { path, waits }),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    let operations = proptest::collection::vec(operation(), 1..40);
    (operations, 1_000_u64..400_000, prop::bool::weighted(0.8))
        .prop_map(|(operations, end_ns, loses_power)| Life { operations, end_ns, loses_power })
}

proptest! {
    #[test]
    fn after_any_crash_the_disk_holds_what_the_model_allows(
        seed: u64,
        lives in proptest::collection::vec(life(), 1..4),
    ) {
        let digest = live(seed, &lives);
        prop_assert_eq!(digest, live(seed, &lives), "two runs differ");
    }
}

/// Lives `lives` one after the other; gives the history's digest.
fn live(seed: u64, lives: &[Life]) -> String {
    let mut faults = Vec::new();
    let mut now_ns = 0;
    for life in lives {
        let inject = if life.loses_power { Inject::PowerLoss } else { Inject::Crash };
        now_ns += life.end_ns;
        faults.push(fault(now_ns, now_ns + 1_000, inject(server())));
        now_ns += 1_000;
    }
    let disk = DiskPlan {
        sync_ns: 20_000,
        latency_ns: 2_000,
        sector_bytes: SECTOR_BYTES,
        queue_depth: 2,
        ..DiskPlan::default()
    };
    let mut plan = plan(disk, faults);
    plan.seed = seed;
    plan.duration_ns = now_ns + 1_000_000;
    let state = Arc::new(Mutex::new(State {
        model: Model::new(SECTOR_BYTES as usize, &Found::new()),
        checked: 0,
        written: 0,
    }));
    let (script, checked) = (lives.to_vec(), state.clone());
    let (digest, _) = run(&plan, move |process| process_of(process, script.clone(), state.clone()));
    assert_eq!(checked.lock().unwrap().checked, lives.len(), "the last life only looks");
    digest
}

struct State {
    model: Model,
    /// How many lives had their end looked at.
    checked: usize,
    /// Numbers each write, for its bytes to tell.
    written: u8,
}

fn process_of(process: Process, lives: Vec<Life>, state: Arc<Mutex<State>>) -> Task {
    Box::pin(async move {
        let number = process.incarnation as usize - 1;
        let found = find(String::new()).await;
        note(format!("{found:?}"));
        check(&mut state.lock().unwrap(), &lives[..number], &found);
        if let Some(life) = lives.get(number) {
            for operation in &life.operations {
                perform(operation, &state).await;
            }
        }
        std::future::pending::<()>().await;
    })
}

/// All that is below `path`.
fn find(path: String) -> std::pin::Pin<Box<dyn Future<Output = Found> + Send>> {
    Box::pin(async move {
        let mut found = Found::new();
        for name in fs::read_dir(&format!("{path}/")).await.unwrap() {
            let below = format!("{path}/{name}");
            if let Ok(bytes) = fs::read(&below).await {
                found.insert(below, Some(bytes.to_vec()));
            } else {
                found.extend(find(below.clone()).await);
                found.insert(below, None);
            }
        }
        found
    })
}

/// Compares what is `found` with what may be after the ends of `lives`, and starts from there.
fn check(state: &mut State, lives: &[Life], found: &Found) {
    if lives[state.checked..].iter().any(|life| life.loses_power) {
        assert!(state.model.allows(found), "found {found:?}, last seen {:?}", state.model.all_seen());
        state.model = Model::new(SECTOR_BYTES as usize, found);
    } else {
        assert_eq!(*found, state.model.all_seen(), "the host lived on");
    }
    state.checked = lives.len();
}

async fn perform(operation: &Operation, state: &Arc<Mutex<State>>) {
    // An operation takes effect when it is first polled, so that the model can be told just before.
    let model = |tell: &dyn Fn(&mut Model) -> bool| tell(&mut state.lock().unwrap().model);
    match *operation {
        Operation::Create(path) => {
            let expected = model(&|model| model.create(path));
            let created = OpenOptions::new().write(true).create(true).open(path).await;
            assert_eq!(created.is_ok(), expected, "{created:?}");
        }
        Operation::MakeDirectory(path) => {
            let way: Vec<_> = path.match_indices('/').skip(1).map(|(end, _)| &path[..end]).collect();
            let expected = model(&|model| {
                way.iter().all(|path| model.make_directory(path)) && model.make_directory(path)
            });
            assert_eq!(fs::create_dir_all(path).await.is_ok(), expected);
        }
        Operation::Rename { from, to } => {
            let expected = model(&|model| model.rename(from, to));
            assert_eq!(fs::rename(from, to).await.is_ok(), expected);
        }
        Operation::Remove(path) => {
            let expected = model(&|model| model.remove(path));
            assert_eq!(fs::remove_file(path).await.is_ok(), expected);
        }
        Operation::SyncDirectory { path, waits } => sync_directory(path, waits, state).await,
        Operation::Write { path, .. }
        | Operation::SetLength { path, .. }
        | Operation::Read(path)
        | Operation::Sync { path, .. } => {
            let expected = state.lock().unwrap().model.file(path);
            let opened = OpenOptions::new().read(true).write(true).open(path).await;
            assert_eq!(opened.is_ok(), expected.is_some(), "{opened:?}");
            if let (Some(id), Ok(file)) = (expected, opened) {
                perform_on(operation, id, file, state).await;
            }
        }
    }
}

async fn perform_on(operation: &Operation, id: usize, file: fs::File, state: &Arc<Mutex<State>>) {
    match *operation {
        Operation::Write { offset, length, .. } => {
            let bytes = {
                let mut state = state.lock().unwrap();
                state.written = state.written.wrapping_add(1);
                let bytes: Vec<u8> =
                    (0..length).map(|at| state.written.wrapping_mul(29).wrapping_add(at as u8)).collect();
                if length > 0 {
                    state.model.write(id, offset, &bytes);
                }
                bytes
            };
            file.write_at(offset as u64, Bytes::from(bytes)).await.unwrap();
        }
        Operation::SetLength { length, .. } => {
            state.lock().unwrap().model.set_length(id, length);
            file.set_len(length as u64).await.unwrap();
        }
        Operation::Read(_) => {
            let expected = state.lock().unwrap().model.seen(id).to_vec();
            assert_eq!(file.read_at(0, expected.len() + 1).await.unwrap(), expected);
        }
        Operation::Sync { waits, .. } => {
            let state = state.clone();
            let sync = async move {
                let mark = state.lock().unwrap().model.mark(id);
                file.sync_data().await.unwrap();
                state.lock().unwrap().model.synced(id, mark);
            };
            if waits {
                sync.await;
            } else {
                crate::sim::task::spawn(sync);
            }
        }
        _ => unreachable!("these need no open file"),
    }
}

async fn sync_directory(path: &'static str, waits: bool, state: &Arc<Mutex<State>>) {
    let state = state.clone();
    let sync = async move {
        let (directory, mark) = {
            let state = state.lock().unwrap();
            (state.model.directory(path), state.model.mark_names())
        };
        let synced = fs::sync_dir(path).await;
        assert_eq!(synced.is_ok(), directory.is_some(), "{synced:?}");
        if let Some(directory) = directory {
            state.lock().unwrap().model.synced_directory(directory, mark);
        }
    };
    if waits {
        sync.await;
    } else {
        crate::sim::task::spawn(sync);
    }
}
