//! Seeds a second on `swarm/partitions`, the image stack: one job, two jobs, and their ratio. Run it with
//! `cargo bench -p hogwash-scenarios --bench seeds [-- SEEDS]` on a machine that does nothing else.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

#[cfg(live)]
fn main() {}

#[cfg(not(live))]
fn main() {
    bench::main();
}

/// As the binary has it: two worlds on two cores would wait for one another in the system's allocator.
#[cfg(not(live))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(not(live))]
mod bench {
    use hogwash_scenarios as scenarios;
    use scenarios::fuzz::{Batch, Event, Events, Shard, Target, fuzz};
    use scenarios::guarded::Budget;
    use scenarios::library;
    use sim::stack::Stack;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    const SCENARIO: &str = "swarm/partitions";
    /// Each is measured so often, in turn, and the fastest is taken: the machine may be busy.
    const ROUNDS: u32 = 2;

    /// What some seeds took.
    #[derive(Clone, Copy)]
    struct Took {
        wall_seconds: f64,
        cpu_seconds: f64,
    }

    pub(crate) fn main() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        // `cargo test` builds benches too, and calls them without this.
        let default = if arguments.iter().any(|argument| argument == "--bench") { 16 } else { 1 };
        let seeds = arguments.iter().find_map(|argument| argument.parse::<u32>().ok()).unwrap_or(default);
        let seconds = |one: &Took, other: &Took| one.wall_seconds.total_cmp(&other.wall_seconds);
        let mut took: [Vec<Took>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (jobs, took) in [1, 2].into_iter().zip(&mut took) {
                took.push(measure(seeds, jobs));
            }
        }
        println!("{SCENARIO}, {seeds} of its seeds, best of {ROUNDS}");
        let [one, two] = took.map(|took| took.into_iter().min_by(seconds).unwrap());
        let rate = |took: Took| f64::from(seeds) / took.wall_seconds;
        for (jobs, took) in [("1 job ", one), ("2 jobs", two)] {
            println!(
                "{jobs}: {:>6.2} seeds/s by the wall, {:>6.2} seeds per second of CPU",
                rate(took),
                f64::from(seeds) / took.cpu_seconds
            );
        }
        println!("2 jobs are {:.2} times as fast as 1", rate(two) / rate(one));
    }

    fn measure(seeds: u32, jobs: usize) -> Took {
        let stack: Arc<dyn Stack> = Arc::new(system::ImageStack);
        let scenario = library::find(SCENARIO, stack.as_ref()).unwrap();
        let batch = Batch {
            targets: vec![Target { scenario, variant: None }],
            regressions: Vec::new(),
            base: 0,
            seeds: seeds.into(),
            shard: Shard::default(),
            guide: false,
            overrides: Vec::new(),
            jobs,
            time_limit: None,
            budget: Budget::default(),
            twice: false,
            store: None,
        };
        let before = cpu_seconds();
        let summary = fuzz(&batch, &stack, &Silent, &AtomicBool::new(false)).unwrap();
        assert_eq!((summary.runs, summary.violated), (u64::from(seeds), 0), "{:?}", summary.distinct);
        #[expect(clippy::cast_precision_loss, reason = "for a rate")]
        let wall_seconds = summary.wall_ns as f64 / 1e9;
        Took { wall_seconds, cpu_seconds: (cpu_seconds() - before).max(0.01) }
    }

    struct Silent;

    impl Events for Silent {
        fn event(&self, _: &Event<'_>) {}
    }

    /// The CPU that this process has used, which other programs of the machine do not change; 0 where it does not say.
    fn cpu_seconds() -> f64 {
        let accounts = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The program's name, in parentheses, may hold spaces; user and system time are the 12th and 13th field after it.
        let fields = accounts.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}
