//! What watching costs: the history (its encoding and digest) and the laws, as shares of a run of `steady/baseline`, the
//! image stack. Run it with `cargo bench -p hogwash-scenarios --bench laws [-- SECONDS]` on a machine that does nothing else.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]
#![expect(clippy::disallowed_types, reason = "a bench measures the machine")]

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
    use scenarios::runner::{self, Options};
    use scenarios::{library, planner};
    use sim::history::{Event, Observer, Recorder};
    use sim::stack::Stack;
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    const SCENARIO: &str = "steady/baseline";
    /// Each is measured so often, and the fastest is taken: the machine may be busy.
    const ROUNDS: u32 = 3;

    pub(crate) fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        // `cargo test` builds benches too, and calls them without this.
        let default = if arguments.iter().any(|argument| argument == "--bench") { 120 } else { 2 };
        let seconds: u64 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(default);
        let stack: Arc<dyn Stack> = Arc::new(system::ImageStack);
        let scenario = library::find(SCENARIO, stack.as_ref()).unwrap();
        let mut plan = planner::plan(&scenario, stack.as_ref(), None, 0, &[]).unwrap();
        plan.duration_ns = seconds * 1_000_000_000;

        let events = Arc::new(Mutex::new(Vec::new()));
        let observers: Vec<Box<dyn Observer>> = vec![Box::new(Keep(events.clone()))];
        let report = runner::run(&plan, &stack, Options { observers, ..Options::default() }).unwrap();
        assert!(report.broken().is_empty(), "an ordinary day breaks a law");
        let events = events.lock().unwrap();

        let whole = fastest(|| drop(runner::run(&plan, &stack, Options::default()).unwrap()));
        let history = fastest(|| {
            let mut recorder = Recorder::new(None, Vec::new());
            events.iter().cloned().for_each(|event| recorder.record(event));
            drop(recorder.finish());
        });
        let laws = fastest(|| {
            let mut watch = Watch::new(&plan);
            events.iter().for_each(|event| watch.observe(event));
            drop(watch.finish());
        });
        let share = |part: Duration| 100.0 * part.as_secs_f64() / whole.as_secs_f64();
        println!("{SCENARIO}, {seconds} s, {} events, {} laws: {whole:.2?}", events.len(), LAWS.len());
        println!(
            "history {history:.2?}, {:.1} % of it; laws {laws:.2?}, {:.1} %",
            share(history),
            share(laws)
        );
        println!("together {:.1} %", share(history + laws));
        for law in LAWS {
            let one = fastest(|| drop(invariants::check(law, &plan, events.iter())));
            println!("  {:<12} {one:>9.2?}, {:.2} %", law.name, share(one));
        }
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
}
