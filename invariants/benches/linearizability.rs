//! How long checks take: beside Porcupine's times in the manifest of public histories, beside a plain search of our
//! own in the same run, and for a queue of a million operations.
//!
//! Each time is CPU time: the shortest of several runs of a check that keeps one core busy. Reading the files is not
//! part of it; building the order of an `ok` is.
#![expect(clippy::disallowed_types, reason = "a bench measures the machine, outside any world")]
#![expect(clippy::print_stdout, reason = "a bench reports to whoever runs it")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use hogwash_invariants::linearizability::models::{
    Queue, QueueCall, QueueReturn, Register, RegisterCall, RegisterReturn,
};
use hogwash_invariants::linearizability::{
    Checker, History, HistoryOf, Model, OperationId, Strategy, Verdict, check,
};

#[path = "../tests/linearizability/nh.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod nh;

/// The plain search gives up here; its time then is a lower bound.
const PLAIN_BUDGET_STEPS: u64 = 5_000_000;
const RUNS_MIN: u32 = 3;
const RUNS_MAX: u32 = 25;
const LONG_RUN: Duration = Duration::from_millis(30);
const TIME_PER_CHECK: Duration = Duration::from_millis(60);

fn main() {
    public_histories();
    fifo_queues();
    long_registers();
}

fn public_histories() {
    let Some(folder) = nh::folder() else { return };
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for known in nh::manifest(&folder) {
        let recorded = nh::read(&folder.join(&known.file));
        let (ours, verdict) = recorded.work(&mut Measure(Checker::new()));
        let plain = Checker::new().strategy(Strategy::Plain).budget_steps(PLAIN_BUDGET_STEPS);
        let (plain, plain_verdict) = recorded.work(&mut Measure(plain));
        assert_ne!(verdict.is_linearizable(), Some(!known.is_linearizable), "{} is wrong", known.file);
        let folder = known.file.split('/').next().unwrap_or_default().to_owned();
        let group = groups.entry(folder).or_default();
        group.files += 1;
        group.ours += ours;
        group.plain += plain;
        group.undecided += u32::from(verdict.is_linearizable().is_none());
        group.plain_undecided += u32::from(plain_verdict.is_linearizable().is_none());
        group.to_plain.add(ratio(ours, plain));
        if let Some(porcupine_ns) = known.porcupine_ns {
            let porcupine = Duration::from_nanos(porcupine_ns);
            group.porcupine += porcupine;
            group.to_porcupine.add(ratio(ours, porcupine));
        }
        if ours > Duration::from_millis(1) || known.file.starts_with("kv/") {
            println!(
                "{:60} ours {ours:>10.1?}  plain {plain:>10.1?}  Porcupine {:?} ns",
                known.file, known.porcupine_ns
            );
        }
    }
    println!("\ngeometric means of ratios, and sums of times");
    for (folder, group) in groups {
        println!(
            "{folder:8} {:3} files  to Porcupine {:>7}  to plain {:>7}  ours {:>9.1?} ({} undecided)  plain {:>9.1?} \
             ({} undecided)  Porcupine {:>9.1?}",
            group.files,
            group.to_porcupine.shown(),
            group.to_plain.shown(),
            group.ours,
            group.undecided,
            group.plain,
            group.plain_undecided,
            group.porcupine,
        );
    }
}

/// The shortest time that a check takes.
struct Measure(Checker);

impl nh::Work for Measure {
    type Output = (Duration, Verdict);

    fn on<M: Model>(&mut self, model: &M, history: &HistoryOf<M>) -> Self::Output {
        shortest(|| self.0.check(model, black_box(history)))
    }
}

fn shortest<T>(mut work: impl FnMut() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let mut output = work();
    let mut shortest = begin.elapsed();
    // The system counts CPU time in ticks, and asking costs some, so it helps in long runs only: there, other work on
    // the machine cannot be avoided by repeating.
    let is_long = shortest > LONG_RUN;
    let mut runs = 1;
    while runs < RUNS_MIN || runs < RUNS_MAX && begin.elapsed() < TIME_PER_CHECK {
        let before = if is_long { cpu_time() } else { None };
        let wall = Instant::now();
        output = black_box(work());
        let mut time = wall.elapsed();
        if let (Some(before), Some(after)) = (before, before.and_then(|_| cpu_time())) {
            time = time.min(after - before);
        }
        shortest = shortest.min(time);
        runs += 1;
    }
    (shortest, output)
}

/// The CPU time of this thread, where the system tells it.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[derive(Default)]
struct Group {
    files: u32,
    ours: Duration,
    plain: Duration,
    porcupine: Duration,
    undecided: u32,
    plain_undecided: u32,
    to_porcupine: GeometricMean,
    to_plain: GeometricMean,
}

#[derive(Default)]
struct GeometricMean {
    logarithms: f64,
    count: u32,
}

impl GeometricMean {
    fn add(&mut self, ratio: f64) {
        self.logarithms += ratio.ln();
        self.count += 1;
    }

    fn shown(&self) -> String {
        if self.count == 0 {
            "-".to_owned()
        } else {
            format!("{:.4}", (self.logarithms / f64::from(self.count)).exp())
        }
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// Queues of growing length: the time for each operation should stay the same.
fn fifo_queues() {
    println!();
    for operations in [10_000, 100_000, 1_000_000] {
        for has_empties in [false, true] {
            let history = queue_history(operations, has_empties);
            let (time, verdict) = shortest(|| check(&Queue::new(), black_box(&history)));
            assert_eq!(verdict.is_linearizable(), Some(true), "the queue works");
            println!(
                "FIFO, {:>9} operations{}: {time:>8.1?}, {:.0} ns each",
                history.len(),
                if has_empties { " with empty answers and lost replies" } else { "" },
                time.as_secs_f64() * 1e9 / history.len() as f64,
            );
        }
    }
}

/// Registers of few values, which only a search can decide, under many clients of which some lose their replies.
fn long_registers() {
    println!();
    for (operations, clients) in [(10_000, 5), (100_000, 5), (10_000, 20), (100_000, 20), (10_000, 50)] {
        let history = register_history(operations, clients);
        let (time, verdict) = shortest(|| check(&Register::new(), black_box(&history)));
        println!(
            "register, {operations:>7} operations of {clients:>2} clients: {time:>8.1?}, {:.0} ns each{}",
            time.as_secs_f64() * 1e9 / history.len() as f64,
            if verdict.is_linearizable() == Some(true) { "" } else { ", undecided" },
        );
    }
}

/// Each operation takes effect when it is called, or when it returns.
fn register_history(operations: u64, clients: usize) -> HistoryOf<Register<u8>> {
    let mut history = History::new();
    let mut value = None;
    let mut under_way: Vec<(OperationId, RegisterCall<u8>, Option<RegisterReturn<u8>>)> = Vec::new();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    for number in 0..operations {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let new = u8::try_from(random >> 40 & 3).unwrap_or_default();
        let call = match random >> 50 & 7 {
            0..4 => RegisterCall::Read,
            4..7 => RegisterCall::Write(new),
            _ => RegisterCall::CompareAndSet { expected: Some(new), new: (new + 1) % 4 },
        };
        let id = history.call(call.clone());
        let returned = (random >> 12 & 1 == 0).then(|| applied(&mut value, &call));
        // Not many, or what may still happen explains everything.
        if number % 5_000 != 7 {
            under_way.push((id, call, returned));
        }
        if under_way.len() == clients {
            let place = usize::try_from(random >> 20).unwrap_or_default() % clients;
            let (id, call, returned) = under_way.swap_remove(place);
            let returned = returned.unwrap_or_else(|| applied(&mut value, &call));
            history.returned(id, returned).expect("it returns once");
        }
    }
    history
}

fn applied(value: &mut Option<u8>, call: &RegisterCall<u8>) -> RegisterReturn<u8> {
    match call {
        RegisterCall::Read => RegisterReturn::Value(*value),
        RegisterCall::Write(new) => {
            *value = Some(*new);
            RegisterReturn::Written
        }
        RegisterCall::CompareAndSet { expected, new } if expected == value => {
            *value = Some(*new);
            RegisterReturn::Exchanged
        }
        RegisterCall::CompareAndSet { .. } => RegisterReturn::Kept,
    }
}

/// A working queue used by eight clients at once; each operation takes effect when it is called, and returns after
/// those of up to seven others are called.
fn queue_history(operations: u64, has_unknown: bool) -> HistoryOf<Queue<u64>> {
    let mut history = History::new();
    let mut inside = std::collections::VecDeque::new();
    let mut under_way = std::collections::VecDeque::new();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for number in 0..operations {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let is_dequeue =
            random % 1000 < if has_unknown { 505 } else { 495 } && (has_unknown || !inside.is_empty());
        let (call, returned) = if is_dequeue {
            (QueueCall::Dequeue, QueueReturn::Dequeued(inside.pop_front()))
        } else {
            inside.push_back(number);
            (QueueCall::Enqueue(number), QueueReturn::Enqueued)
        };
        let id = history.call(call);
        // Some replies get lost.
        if !(has_unknown && random >> 32 & 1023 == 0) {
            under_way.push_back((id, returned));
        }
        if under_way.len() == 8 {
            let place = usize::try_from(random >> 20 & 7).unwrap_or_default();
            let (id, returned) = under_way.remove(place).expect("there are eight under way");
            history.returned(id, returned).expect("it returns once");
        }
    }
    for (id, returned) in under_way {
        history.returned(id, returned).expect("it returns once");
    }
    history
}
