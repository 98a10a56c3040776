//! Reads public histories in the format of the folder `histories`: a header `#nh1 <model> <initial>`, then one
//! operation a line, separated by tabs: process, call, return (`-` if it never came), operation, arguments.
#![expect(clippy::print_stderr, reason = "whoever runs this must learn that histories are missing")]

use std::path::{Path, PathBuf};

use hogwash_invariants::linearizability::models::{
    Lock, LockCall, LockReturn, Queue, QueueCall, QueueReturn, Register, RegisterCall, RegisterReturn,
    Registers, RegistersStep, Seen, Store, StoreCall, StoreReturn,
};
use hogwash_invariants::linearizability::{
    Checker, History, HistoryOf, Interval, OrderError, Verdict, validate,
};

/// A history with the model that it is meant for.
#[derive(Debug)]
pub(crate) enum Recorded {
    Register(Register<i64>, HistoryOf<Register<i64>>),
    Registers(Registers<i64>, HistoryOf<Registers<i64>>),
    Store(HistoryOf<Store>),
    Queue(HistoryOf<Queue<i64>>),
    Lock(HistoryOf<Lock>),
}

/// One line of the manifest.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) file: String,
    pub(crate) is_linearizable: bool,
    /// What Porcupine took, where it is known.
    pub(crate) porcupine_ns: Option<u64>,
}

/// The folder of histories: `HOGWASH_HISTORIES`, or the one beside the workspace. `None`, after saying so, if the
/// latter is absent.
pub(crate) fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("HOGWASH_HISTORIES") {
        return Some(PathBuf::from(folder));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories");
    if folder.join("MANIFEST.tsv").is_file() {
        return Some(folder);
    }
    eprintln!(
        "skipped: there are no histories at `{}`; set HOGWASH_HISTORIES to a folder with a MANIFEST.tsv to check them",
        folder.display()
    );
    None
}

/// The lines of the folder's manifest.
pub(crate) fn manifest(folder: &Path) -> Vec<Known> {
    let path = folder.join("MANIFEST.tsv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("cannot read `{}`: {error}; does HOGWASH_HISTORIES point at it?", path.display())
    });
    let mut known = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split('\t').collect();
        known.push(Known {
            file: fields[0].to_owned(),
            is_linearizable: match fields[3] {
                "ok" => true,
                "bad" => false,
                other => panic!("`{other}` is no verdict, in line `{line}`: `ok` or `bad` is expected"),
            },
            porcupine_ns: fields.get(4).and_then(|field| field.parse().ok()),
        });
    }
    known
}

/// Reads one history.
pub(crate) fn read(path: &Path) -> Recorded {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read `{}`: {error}", path.display()));
    parse(&text).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// Reads the text of one history.
pub(crate) fn parse(text: &str) -> Result<Recorded, String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let ["#nh1", model, initial] = header.as_slice() else {
        return Err("the first line is not `#nh1 <model> <initial>`".to_owned());
    };
    let mut names = Names::default();
    let initial = names.value_or_nil(initial);
    let mut rows = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        rows.push(Row::parse(line).ok_or_else(|| format!("line `{line}` is no operation"))?);
    }
    Ok(match *model {
        "etcd" | "casreg" => {
            let register = initial.map_or_else(Register::new, Register::holding);
            Recorded::Register(register, history(&rows, |row| register_operation(row, &mut names))?)
        }
        "multireg" => {
            let registers = Registers::holding(initial);
            Recorded::Registers(registers, history(&rows, |row| registers_operation(row, &mut names))?)
        }
        "kv" => Recorded::Store(history(&rows, store_operation)?),
        "queue" => Recorded::Queue(history(&rows, |row| queue_operation(row, &mut names))?),
        "mutex" => Recorded::Lock(history(&rows, lock_operation)?),
        other => return Err(format!("model `{other}` is none of etcd, casreg, multireg, kv, queue, mutex")),
    })
}

/// The same work for each model.
pub(crate) trait Work {
    type Output;

    fn on<M: hogwash_invariants::linearizability::Model>(
        &mut self,
        model: &M,
        history: &HistoryOf<M>,
    ) -> Self::Output;
}

impl Recorded {
    pub(crate) fn work<W: Work>(&self, work: &mut W) -> W::Output {
        match self {
            Self::Register(register, history) => work.on(register, history),
            Self::Registers(registers, history) => work.on(registers, history),
            Self::Store(history) => work.on(&Store, history),
            Self::Queue(history) => work.on(&Queue::new(), history),
            Self::Lock(history) => work.on(&Lock::new(), history),
        }
    }

    /// Checks the history; an order is validated before it is believed.
    pub(crate) fn check(&self, checker: Checker) -> Result<Verdict, OrderError> {
        struct Check(Checker);
        impl Work for Check {
            type Output = Result<Verdict, OrderError>;

            fn on<M: hogwash_invariants::linearizability::Model>(
                &mut self,
                model: &M,
                history: &HistoryOf<M>,
            ) -> Self::Output {
                let verdict = self.0.check(model, history);
                if let Verdict::Linearizable { order } = &verdict {
                    validate(model, history, order)?;
                }
                Ok(verdict)
            }
        }
        self.work(&mut Check(checker))
    }
}

struct Row<'t> {
    called_at: u64,
    returned_at: Option<u64>,
    operation: &'t str,
    arguments: Vec<&'t str>,
}

impl<'t> Row<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let mut fields = line.trim_end_matches('\r').split('\t').skip(1);
        let called_at = fields.next()?.parse().ok()?;
        let returned_at = match fields.next()? {
            "-" => None,
            field => Some(field.parse().ok()?),
        };
        Some(Self { called_at, returned_at, operation: fields.next()?, arguments: fields.collect() })
    }

    fn argument(&self, place: usize) -> Result<&'t str, String> {
        self.arguments.get(place).copied().ok_or_else(|| format!("`{}` lacks an argument", self.operation))
    }

    /// The field with the answer; `None` if there is none or it is not known.
    fn answer(&self, place: usize) -> Option<&'t str> {
        self.arguments.get(place).copied().filter(|answer| self.returned_at.is_some() && *answer != "?")
    }

    fn unknown<T>(&self) -> Result<T, String> {
        Err(format!("`{} {}` is no operation of this model", self.operation, self.arguments.join(" ")))
    }
}

fn history<Call, Return>(
    rows: &[Row<'_>],
    mut operation: impl FnMut(&Row<'_>) -> Result<(Call, Option<Return>), String>,
) -> Result<History<Call, Return>, String> {
    let mut intervals = Vec::with_capacity(rows.len());
    for row in rows {
        let (call, returned) = operation(row)?;
        let returned = returned.filter(|_| row.returned_at.is_some());
        intervals.push(Interval { call, returned, called_at: row.called_at, returned_at: row.returned_at });
    }
    History::from_intervals(intervals).map_err(|error| error.to_string())
}

/// Numbers for values that are none.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn value(&mut self, text: &str) -> i64 {
        text.parse().unwrap_or_else(|_| {
            let place = self.0.iter().position(|name| name == text).unwrap_or_else(|| {
                self.0.push(text.to_owned());
                self.0.len() - 1
            });
            i64::MIN + i64::try_from(place).expect("a history has fewer names")
        })
    }

    fn value_or_nil(&mut self, text: &str) -> Option<i64> {
        (text != "n").then(|| self.value(text))
    }
}

type Parsed<Call, Return> = Result<(Call, Option<Return>), String>;

fn register_operation(row: &Row<'_>, names: &mut Names) -> Parsed<RegisterCall<i64>, RegisterReturn<i64>> {
    Ok(match row.operation {
        "r" => {
            let returned = row.answer(0).map(|answer| RegisterReturn::Value(names.value_or_nil(answer)));
            (RegisterCall::Read, returned)
        }
        "w" => (RegisterCall::Write(names.value(row.argument(0)?)), Some(RegisterReturn::Written)),
        "cas" => {
            let expected = names.value_or_nil(row.argument(0)?);
            let new = names.value(row.argument(1)?);
            let returned = match row.answer(2) {
                None => None,
                Some("ok") => Some(RegisterReturn::Exchanged),
                Some("fail") => Some(RegisterReturn::Kept),
                Some(_) => return row.unknown(),
            };
            (RegisterCall::CompareAndSet { expected, new }, returned)
        }
        _ => return row.unknown(),
    })
}

fn registers_operation(row: &Row<'_>, names: &mut Names) -> Parsed<Vec<RegistersStep<i64>>, Vec<Seen<i64>>> {
    let mut call = Vec::new();
    let mut seen = Vec::new();
    if row.operation != "txn" {
        return row.unknown();
    }
    // A transaction of which nothing is known wrote nothing that matters.
    let steps = row.argument(0)?;
    for step in steps.split(',').filter(|_| steps != "-") {
        match step.split(':').collect::<Vec<_>>().as_slice() {
            ["r", name, value] => {
                call.push(RegistersStep::Read((*name).to_owned()));
                seen.push(match *value {
                    "?" => Seen::Unknown,
                    value => Seen::Value(names.value_or_nil(value)),
                });
            }
            ["w", name, value] => call.push(RegistersStep::Write((*name).to_owned(), names.value(value))),
            _ => return row.unknown(),
        }
    }
    Ok((call, Some(seen)))
}

fn store_operation(row: &Row<'_>) -> Parsed<StoreCall, StoreReturn> {
    let key = row.argument(0)?.to_owned();
    Ok(match row.operation {
        "get" => (StoreCall::Get { key }, row.answer(1).map(|value| StoreReturn::Value(value.to_owned()))),
        "put" => (StoreCall::Put { key, value: row.argument(1)?.to_owned() }, Some(StoreReturn::Done)),
        "app" => (StoreCall::Append { key, value: row.argument(1)?.to_owned() }, Some(StoreReturn::Done)),
        _ => return row.unknown(),
    })
}

fn queue_operation(row: &Row<'_>, names: &mut Names) -> Parsed<QueueCall<i64>, QueueReturn<i64>> {
    Ok(match row.operation {
        "enq" => (QueueCall::Enqueue(names.value(row.argument(0)?)), Some(QueueReturn::Enqueued)),
        "deq" => {
            let item = |answer: &str| (answer != "e").then(|| names.value(answer));
            (QueueCall::Dequeue, row.answer(0).map(item).map(QueueReturn::Dequeued))
        }
        _ => return row.unknown(),
    })
}

fn lock_operation(row: &Row<'_>) -> Parsed<LockCall, LockReturn> {
    let call = match row.operation {
        "acq" => LockCall::Acquire(()),
        "rel" => LockCall::Release(()),
        _ => return row.unknown(),
    };
    let returned = match row.answer(0) {
        None => None,
        Some("ok") => Some(LockReturn::Done),
        Some("fail") => Some(LockReturn::Refused),
        Some(_) => return row.unknown(),
    };
    Ok((call, returned))
}
