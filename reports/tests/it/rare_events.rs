//! Rare events whose probability is known: splitting and stratifying must find them, as cheaply as they should.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hogwash::review::models::common_cause::common_shock;
use hogwash::review::models::markov::Chain;
use hogwash::review::models::queueing::overflow_before_empty;
use hogwash::review::models::typical_year::{self, FIRST_YEAR};
use hogwash::review::rare::{self, Stratum};
use hogwash::review::splitting::{self, Effort, Path, Step, fixed_effort};
use sim::rng::Stream;

/// One queue: the number in it goes up with the share of arrivals among all events.
#[derive(Clone)]
struct Queue {
    length: u32,
    arrival_share: f64,
}

/// An M/M/1 queue at load one half that has just been joined by a first request.
const QUEUE: Queue = Queue { length: 1, arrival_share: 1.0 / 3.0 };

impl Path for Queue {
    fn advance(&mut self, level: u32, chance: &mut Stream) -> Step {
        while self.length > 0 {
            if self.length > level {
                return Step::Reached;
            }
            if chance.chance(self.arrival_share) { self.length += 1 } else { self.length -= 1 }
        }
        Step::Ended
    }
}

/// Two queues in a row, λ = 3 and μ = 2, 6, each with room for `room`. The event: the second is full before it is empty.
#[derive(Clone)]
struct Tandem {
    first: u32,
    second: u32,
    room: u32,
}

impl Path for Tandem {
    fn advance(&mut self, level: u32, chance: &mut Stream) -> Step {
        while self.second > 0 {
            if self.second > level {
                return Step::Reached;
            }
            let arrives = if self.first < self.room { 3.0 } else { 0.0 };
            let passes = if self.first > 0 { 2.0 } else { 0.0 };
            let drawn = chance.unit() * (arrives + passes + 6.0);
            if drawn < arrives {
                self.first += 1;
            } else if drawn < arrives + passes {
                self.first -= 1;
                self.second += 1;
            } else {
                self.second -= 1;
            }
        }
        Step::Ended
    }
}

fn effort(levels: u32, paths_per_level: u64, repetitions: u64) -> Effort {
    Effort { levels, paths_per_level, repetitions }
}

#[test]
fn splitting_finds_the_overflow_of_one_queue_with_the_efficiency_it_should_have() {
    // Relative deviation with 1000 paths a level. Told: .097 and .132, measured. Of independent trials, since every path that reaches a
    // level is in the same state: sqrt(Σ (1 − p)/(1000·p)) over the levels, .103 and .144; what was told lies 6 % and 8 % below. A
    // deviation measured by n repetitions has itself one of 1/sqrt(2n); three of those are allowed.
    let repetitions = 100_u64;
    for (level, told) in [(10_u32, 0.097), (20, 0.132)] {
        let known = overflow_before_empty(1.0, 2.0, u64::from(level)).unwrap();
        let answers: Vec<f64> = (0..repetitions)
            .map(|seed| splitting::one_repetition(&QUEUE, effort(level - 1, 1_000, 5), seed).unwrap() / known)
            .collect();
        let number = repetitions as f64;
        let mean = answers.iter().sum::<f64>() / number;
        let deviation = (answers.iter().map(|answer| (answer - 1.0).powi(2)).sum::<f64>() / number).sqrt();
        let power = |exponent: u32| f64::from(1_u32 << exponent) - 1.0;
        let theory = (1..level).map(|from| power(from + 1) / power(from) - 1.0).sum::<f64>() / 1_000.0;
        let theory = theory.sqrt();
        let noise = 3.0 / (2.0 * number).sqrt();
        assert!((mean - 1.0).abs() < 4.42 * theory / number.sqrt(), "L = {level}: biased, {mean}");
        assert!((deviation / theory - 1.0).abs() < noise, "L = {level}: {deviation}, in theory {theory}");
        assert!(deviation < told * (1.09 + noise), "L = {level}: {deviation}, told {told}");
    }
}

#[test]
fn splitting_finds_the_overflow_of_a_tandem_queue() {
    for (room, known) in [(8, 5.6024e-6), (14, 1.1389e-9)] {
        let start = Tandem { first: 0, second: 1, room };
        let found = fixed_effort(&start, effort(room - 1, 500, 10), 1, 0.95).unwrap();
        let deviation = found.repetition_deviation / 10.0_f64.sqrt();
        assert!((found.estimate.value / known - 1.0).abs() < 4.42 * deviation, "C = {room}: {found:?}");
        assert!(deviation < 0.2, "C = {room}: {found:?}");
        // What the same variance would take without splitting.
        assert!(
            found.estimate.effective_sample_size > 100.0 * found.estimate.runs as f64,
            "C = {room}: {found:?}"
        );
    }
}

#[test]
fn the_known_answer_of_the_tandem_queue_is_that_of_its_chain() {
    let states = |room: usize| (room + 1) * (room + 1);
    for (room, known) in [(8_usize, 5.6024e-6), (14, 1.1389e-9)] {
        // The event sends back to the start as emptying does: the share of cycles that end in it is the ratio of the two flows.
        let index = |first: usize, second: usize| first * (room + 1) + second;
        let mut chain = Chain::new(states(room)).unwrap();
        for first in 0..=room {
            for second in 1..room {
                let here = index(first, second);
                if first < room {
                    chain.add(here, index(first + 1, second), 3.0).unwrap();
                }
                if first > 0 {
                    chain.add(here, index(first - 1, second + 1), 2.0).unwrap();
                }
                chain.add(here, index(first, second - 1), 6.0).unwrap();
            }
            for end in [index(first, 0), index(first, room)] {
                chain.add(end, index(0, 1), 1.0).unwrap();
            }
        }
        let shares = chain.steady_state().unwrap();
        let full: f64 = (0..=room).map(|first| shares[index(first, room)]).sum();
        let empty: f64 = (0..=room).map(|first| shares[index(first, 0)]).sum();
        let chance = full / (full + empty);
        assert!((chance / known - 1.0).abs() < 5e-5, "C = {room}: {chance:e}");
    }
}

/// The distributed database: what is down, in sets of processors (1 of 2), controllers (2 of 2) and disks (6 of 4). One repairer for each
/// kind mends at one an hour, any part of its kind that is down with the same chance. Lost: two parts of one set.
#[derive(Clone, Default)]
struct Database {
    down: [u32; 9],
}

const SETS: [usize; 9] = [0, 1, 1, 2, 2, 2, 2, 2, 2];
const FAILURES_PER_HOUR: [f64; 3] = [1.0 / 2_000.0, 1.0 / 2_000.0, 1.0 / 6_000.0];
const PARTS: [u32; 3] = [2, 2, 4];

impl Database {
    fn rates(&self) -> impl Iterator<Item = (usize, bool, f64)> + '_ {
        (0..9).flat_map(|set| {
            let kind = SETS[set];
            let of_kind: u32 =
                (0..9).filter(|&other| SETS[other] == kind).map(|other| self.down[other]).sum();
            let fails = f64::from(PARTS[kind] - self.down[set]) * FAILURES_PER_HOUR[kind];
            let mends = if self.down[set] > 0 { f64::from(self.down[set]) / f64::from(of_kind) } else { 0.0 };
            [(set, true, fails), (set, false, mends)]
        })
    }

    fn lost(&self) -> bool {
        self.down.iter().any(|down| *down >= 2)
    }

    /// One transition; gives back how long the state before it lasted.
    fn step(&mut self, chance: &mut Stream) -> f64 {
        let total: f64 = self.rates().map(|(_, _, rate)| rate).sum();
        let hours = -(1.0 - chance.unit()).ln() / total;
        let mut left = chance.unit() * total;
        let all: Vec<_> = self.rates().filter(|(_, _, rate)| *rate > 0.0).collect();
        let chosen = all.iter().find(|(_, _, rate)| {
            left -= rate;
            left < 0.0
        });
        let (set, fails, _) = chosen.or(all.last()).copied().unwrap();
        if fails {
            self.down[set] += 1
        } else {
            self.down[set] -= 1
        }
        hours
    }
}

impl Path for Database {
    fn advance(&mut self, level: u32, chance: &mut Stream) -> Step {
        // Level 1: two parts of some kind are down. Level 2: two of one set are.
        while self.down.iter().any(|down| *down > 0) {
            let kind = |kind| (0..9).filter(|&set| SETS[set] == kind).map(|set| self.down[set]).sum::<u32>();
            if self.lost() || (level == 1 && (0..3).any(|one| kind(one) >= 2)) {
                return Step::Reached;
            }
            self.step(chance);
        }
        Step::Ended
    }
}

/// The nine sets in which the first failure may be, each with its share of all first failures.
fn first_failures() -> Vec<Stratum> {
    let rates: Vec<f64> = Database::default().rates().filter(|one| one.1).map(|one| one.2).collect();
    let total: f64 = rates.iter().sum();
    let name = |set: usize| format!("set-{set}");
    rates.iter().enumerate().map(|(set, rate)| Stratum { name: name(set), weight: rate / total }).collect()
}

#[test]
fn stratifying_over_first_failures_finds_how_long_the_database_is_down() {
    let strata = first_failures();
    // The known share of time down, and from it hours down in each cycle: a cycle is a mean up-time and about an hour's repair.
    let known = 3.513_204e-6;
    let up_hours = 1.0 / 0.007;
    let plan = rare::Effort { pilot_runs: 500, runs: 200_000 };
    let mut repair_hours = 0.0;
    let mut weights = [0_u64; 9];
    let tallies = rare::stratify(&strata, plan, 5, |set, chance| {
        let mut database = Database::default();
        database.down[set] = 1;
        let mut lost_hours = 0.0;
        while database.down.iter().any(|down| *down > 0) {
            let lost = database.lost();
            let hours = database.step(chance);
            repair_hours += hours;
            lost_hours += if lost { hours } else { 0.0 };
        }
        weights[set] += 1;
        lost_hours
    })
    .unwrap();
    let cycle_hours = up_hours + repair_hours / weights.iter().sum::<u64>() as f64;
    let found = rare::mean(&strata, &tallies, 24.0, 0.95).unwrap();
    let unavailability = found.value / cycle_hours;
    let deviation = (found.interval.high - found.interval.low) / (2.0 * 1.96) / cycle_hours;
    assert!((unavailability - known).abs() < 4.42 * deviation, "{unavailability:e}: {found:?}");
    assert!(deviation < 0.2 * known, "{found:?}");
}

#[test]
fn splitting_finds_whether_the_database_is_lost_before_it_is_mended() {
    // Plain cycles are frequent enough here to compare with.
    let mut database = Database::default();
    database.down[1] = 1;
    let cycles = 200_000;
    let mut chance = Stream::named(9, "plain");
    let lost = (0..cycles).filter(|_| database.clone().advance(2, &mut chance) == Step::Reached).count();
    let plain = lost as f64 / f64::from(cycles);
    let found = fixed_effort(&database, effort(2, 2_000, 10), 1, 0.95).unwrap();
    let spread = (plain / f64::from(cycles))
        .sqrt()
        .hypot(found.estimate.value * found.repetition_deviation / 10.0_f64.sqrt());
    assert!((found.estimate.value - plain).abs() < 4.42 * spread, "{plain:e}: {found:?}");
}

/// Did all three nodes go down within 100 hours? Each by itself with 1/1000 h; the shared shock is the stratum.
fn all_down(shock: bool, chance: &mut Stream) -> f64 {
    let own = -(-0.1_f64).exp_m1();
    let fell = (0..3).filter(|_| chance.chance(own)).count();
    f64::from(u8::from(shock || fell == 3))
}

fn shocks() -> Vec<Stratum> {
    let shock = -(-0.005_f64).exp_m1();
    vec![
        Stratum { name: "shock".to_owned(), weight: shock },
        Stratum { name: "no-shock".to_owned(), weight: 1.0 - shock },
    ]
}

#[test]
fn stratifying_over_shocks_finds_the_common_shock_model_and_beats_plain_runs() {
    let known = common_shock(1e-3, 1.0 / 20_000.0, 100.0, 3).unwrap();
    let plan = rare::Effort { pilot_runs: 200, runs: 20_000 };
    let tallies = rare::stratify(&shocks(), plan, 2, |index, chance| all_down(index == 0, chance)).unwrap();
    let found = rare::probability(&shocks(), &tallies, 0.95).unwrap();
    let deviation = (known * (1.0 - known) / found.effective_sample_size).sqrt();
    assert!((found.value - known).abs() < 4.42 * deviation, "{known}: {found:?}");
    assert!(found.interval.contains(known), "{known}: {found:?}");
    assert!(found.effective_sample_size > 4.0 * found.runs as f64, "{found:?}");
}

#[test]
fn stratifying_over_a_typical_year_finds_three_machines_down_together() {
    let known = typical_year::all_down(&FIRST_YEAR, 3).unwrap();
    let strata: Vec<Stratum> = FIRST_YEAR
        .iter()
        .map(|event| Stratum { name: event.name.to_owned(), weight: event.per_year * event.hours / 8_766.0 })
        .collect();
    let plan = rare::Effort { pilot_runs: 2_000, runs: 20_000 };
    let trial = |index: usize, chance: &mut Stream| {
        f64::from(u8::from((0..3).all(|_| chance.chance(FIRST_YEAR[index].share))))
    };
    let found = rare::probability(&strata, &rare::stratify(&strata, plan, 1, trial).unwrap(), 0.95).unwrap();
    assert!(found.interval.contains(known), "{known}: {found:?}");
    assert!(found.relative_half_width() < 0.05, "{found:?}");
}

#[test]
fn intervals_of_both_methods_cover_the_truth() {
    let known = common_shock(1e-3, 1.0 / 20_000.0, 100.0, 3).unwrap();
    let plan = rare::Effort { pilot_runs: 100, runs: 3_000 };
    let stratified = (0..100).filter(|&seed| {
        let tallies =
            rare::stratify(&shocks(), plan, seed, |index, chance| all_down(index == 0, chance)).unwrap();
        rare::probability(&shocks(), &tallies, 0.95).unwrap().interval.contains(known)
    });
    let stratified = stratified.count();
    assert!(stratified >= 93, "{stratified} of 100");
    let known = overflow_before_empty(1.0, 2.0, 10).unwrap();
    let split = (0..100)
        .filter(|&seed| {
            let found = fixed_effort(&QUEUE, effort(9, 60, 12), seed, 0.95).unwrap();
            found.estimate.interval.contains(known)
        })
        .count();
    assert!(split >= 93, "one queue: {split} of 100");
    let split = (0..100)
        .filter(|&seed| {
            let start = Tandem { first: 0, second: 1, room: 8 };
            let found = fixed_effort(&start, effort(7, 60, 12), seed, 0.95);
            // A refusal claims nothing.
            found.map_or(true, |found| found.estimate.interval.contains(5.6024e-6))
        })
        .count();
    assert!(split >= 93, "tandem: {split} of 100");
}
