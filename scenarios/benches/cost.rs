//! What a run costs: how much faster than real time it is, and where its time goes: tier by tier, the kernel, madsim's
//! executor, the history (encoding and digest) and the laws, all of the same runs of the image stack. Run it with
//! `cargo bench -p hogwash-scenarios --bench cost [-- SCENARIO] [SECONDS]`, `steady/baseline` for 120 s where nothing else
//! is asked for, on a machine that does nothing else.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench measures the machine, from a thread beside the world's"
)]

#[cfg(live)]
fn main() {}

#[cfg(not(live))]
fn main() {
    bench::main();
}

#[cfg(not(live))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(not(live))]
mod bench {
    use hogwash_scenarios as scenarios;
    use invariants::{LAWS, Watch};
    use scenarios::runner::{self, Options, RunReport};
    use scenarios::{library, planner};
    use sim::history::{Event, Observer, Recorder};
    use sim::plan::Plan;
    use sim::profile::{self, Part};
    use sim::stack::Stack;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    const SCENARIO: &str = "steady/baseline";
    /// Each is measured so often, and the fastest is taken: the machine may be busy.
    const ROUNDS: u32 = 3;
    /// How often the sampler looks what is at work.
    const LOOK_EVERY: Duration = Duration::from_micros(50);

    pub(crate) fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        // `cargo test` builds benches too, and calls them without this.
        let is_bench = arguments.iter().any(|argument| argument == "--bench");
        let seconds: Option<u64> = arguments.iter().find_map(|argument| argument.parse().ok());
        let name = arguments.iter().find(|argument| argument.contains('/')).map_or(SCENARIO, String::as_str);
        let stack: Arc<dyn Stack> = Arc::new(system::ImageStack);
        let scenario = library::find(name, stack.as_ref()).unwrap();
        let mut plan = planner::plan(&scenario, stack.as_ref(), None, 0, &[]).unwrap();
        if let Some(seconds) = seconds.or((!is_bench).then_some(2)) {
            plan.duration_ns = seconds * 1_000_000_000;
        }
        whole(name, &plan, &stack);
        parts(&plan, &stack);
        laws(&plan, &stack);
    }

    /// A run as it is made every day: laws and history on, and nobody who looks.
    fn whole(name: &str, plan: &Plan, stack: &Arc<dyn Stack>) {
        let runs = (0..ROUNDS).map(|_| run(plan, stack, Vec::new()));
        let report = runs.min_by_key(|report| report.wall).unwrap();
        let (simulated, wall) = (Duration::from_nanos(report.simulated_ns), report.wall);
        println!(
            "{name}: {simulated:.2?} simulated in {wall:.2?}, {:.1} times real time; {} events, {} messages",
            simulated.as_secs_f64() / wall.as_secs_f64(),
            report.events,
            report.messages
        );
    }

    /// Where the time of one run goes, by looking at it from another thread.
    fn parts(plan: &Plan, stack: &Arc<dyn Stack>) {
        let over = Arc::new(AtomicBool::new(false));
        let sampler = std::thread::spawn({
            let over = over.clone();
            move || {
                let mut seen = BTreeMap::new();
                while !over.load(Ordering::Relaxed) {
                    *seen.entry(profile::now()).or_default() += 1;
                    std::thread::sleep(LOOK_EVERY);
                }
                seen
            }
        });
        profile::watched(|| drop(run(plan, stack, Vec::new())));
        over.store(true, Ordering::Relaxed);
        let seen: BTreeMap<Part, u64> = sampler.join().unwrap();
        let mut by_part: BTreeMap<String, u64> = BTreeMap::new();
        for (part, samples) in &seen {
            let part = match part {
                Part::Outside => "executor, start and end".to_owned(),
                Part::Kernel => "kernel".to_owned(),
                Part::History => "history".to_owned(),
                Part::Observers => "laws".to_owned(),
                Part::Node(node) => format!("tier {}", plan.nodes[node.0 as usize].role),
            };
            *by_part.entry(part).or_default() += samples;
        }
        let all: u64 = seen.values().sum();
        let watching: u64 = [Part::History, Part::Observers].iter().filter_map(|part| seen.get(part)).sum();
        println!("where the time goes, by {all} looks:");
        for (part, samples) in &by_part {
            println!("  {part:<24} {:>5.1} %", percent(*samples, all));
        }
        println!("  history and laws together {:.1} %", percent(watching, all));
    }

    /// What each part of watching takes by itself, on the events of a run.
    fn laws(plan: &Plan, stack: &Arc<dyn Stack>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let report = run(plan, stack, vec![Box::new(Keep(events.clone()))]);
        let events = events.lock().unwrap();
        let history = fastest(|| {
            let mut recorder = Recorder::new(None, Vec::new());
            events.iter().cloned().for_each(|event| recorder.record(event));
            drop(recorder.finish());
        });
        let laws = fastest(|| {
            let mut watch = Watch::new(plan);
            events.iter().for_each(|event| watch.observe(event));
            drop(watch.finish());
        });
        let share = |part: Duration| 100.0 * part.as_secs_f64() / report.wall.as_secs_f64();
        println!("by themselves, on the same events:");
        println!("  history      {history:>9.2?}, {:.2} % of a run", share(history));
        println!("  {} laws      {laws:>9.2?}, {:.2} %", LAWS.len(), share(laws));
        for law in LAWS {
            let one = fastest(|| drop(invariants::check(law, plan, events.iter())));
            println!("  {:<12} {one:>9.2?}, {:.2} %", law.name, share(one));
        }
    }

    fn run(plan: &Plan, stack: &Arc<dyn Stack>, observers: Vec<Box<dyn Observer>>) -> RunReport {
        let report = runner::run(plan, stack, Options { observers, ..Options::default() }).unwrap();
        assert!(report.broken().is_empty(), "a law is broken on a day that should break none");
        report
    }

    struct Keep(Arc<Mutex<Vec<Event>>>);

    impl Observer for Keep {
        fn observe(&mut self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    /// The shortest time that `work` takes.
    fn fastest(mut work: impl FnMut()) -> Duration {
        let times = (0..ROUNDS).map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        });
        times.min().unwrap()
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn percent(part: u64, of: u64) -> f64 {
        100.0 * part as f64 / of.max(1) as f64
    }
}
