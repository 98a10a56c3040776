//! What the steps of conversions take on this machine, beside what the model says: `cargo run --release -p hogwash-system
//! --example codec`. Each case is converted over and over, and of each step the shortest time counts, which is what it takes
//! where nothing disturbs it. With `-- --record` what was measured is written down for the test of the model,
//! `system/tests/resize/calibration.rs`, which then needs no clock.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement of the machine, outside any world"
)]

use hogwash_system::resize::{
    Codec, Converter, Limits, Step, StepCosts, estimated_steps, inspect, resize, resize_by_steps,
};
use std::time::{Duration, Instant};

#[path = "../tests/resize/corpus.rs"]
mod corpus;

/// As in the binary: the system's own gives large buffers back each time, and asks for them again page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Each case takes so long at least, and so many turns.
const TURNS_MIN: u32 = 20;
const TIME_MIN: Duration = Duration::from_millis(200);

/// What was measured, for the test that holds the model to it.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resize/corpus/costs.txt");

fn main() {
    let record = std::env::args().skip(1).any(|argument| argument == "--record");
    let mut recorded = String::from("# ns of one core: decode, resample, encode\n");
    println!(
        "{:<44} {:>28} {:>28} {:>7} {:>16} {:>7}",
        "ns: decode, resample, encode; bytes", "measured", "model", "error", "real, model", "error"
    );
    let modelled = Converter::new(Codec::Modelled, Limits::default());
    for case in corpus::cases() {
        let measured = measure(&case);
        let header = inspect(&case.input).expect("a good picture");
        let StepCosts { decode, resample, encode } = estimated_steps(&header, &case.request);
        let model = [decode, resample, encode].map(|step| step.as_nanos());
        let sum = |steps: [u128; 3]| steps.iter().sum::<u128>() as f64;
        let error = sum(model) / sum(measured) - 1.0;
        let text = |[decode, resample, encode]: [u128; 3]| format!("{decode} {resample} {encode}");
        let real =
            resize(&case.input, &case.request, &Limits::default()).expect("a good picture").bytes.len();
        let made = modelled.convert(&case.input, &case.request).expect("a good header").bytes.len();
        let off = made as f64 / real as f64 - 1.0;
        println!(
            "{:<44} {:>28} {:>28} {:>+5.0} % {real:>8}{made:>8} {:>+5.0} %",
            case.name,
            text(measured),
            text(model),
            error * 100.0,
            off * 100.0
        );
        recorded += &format!("{} {}\n", case.name, text(measured));
    }
    if record {
        std::fs::write(RECORD, recorded).expect("the corpus can be written to");
    }
}

/// The least that each step takes, in nanoseconds.
fn measure(case: &corpus::Case) -> [u128; 3] {
    let (begun, mut least, mut turns) = (Instant::now(), [u128::MAX; 3], 0);
    while turns < TURNS_MIN || begun.elapsed() < TIME_MIN {
        let mut last = Instant::now();
        let done = |step: Step| {
            let now = Instant::now();
            let place = match step {
                Step::Decode => 0,
                Step::Resample => 1,
                Step::Encode => 2,
            };
            least[place] = least[place].min((now - last).as_nanos());
            last = now;
        };
        resize_by_steps(&case.input, &case.request, &Limits::default(), done).expect("a good picture");
        turns += 1;
    }
    least
}
