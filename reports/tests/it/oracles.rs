//! The known answers that this build reproduces, each as a row: what it is, the figure in its source, what we compute.
//!
//! A printed figure is met to half a unit of its last digit; a closed form also to 1e-9 of the value computed with 40 digits.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hogwash::review::models::bursts::{self, CALIBRATED, FAILURES_PER_DAY, REPAIRS_PER_DAY};
use hogwash::review::models::capacity::too_few_servers;
use hogwash::review::models::collapse::{Recovery, Safeguard, Stall};
use hogwash::review::models::common_cause::{self as common, Testing};
use hogwash::review::models::copysets::{self, Outage};
use hogwash::review::models::intervals as bounds;
use hogwash::review::models::lifetimes::{self, Observation};
use hogwash::review::models::markov::Chain;
use hogwash::review::models::poison::Poison;
use hogwash::review::models::queueing::{Queue, overflow_before_empty};
use hogwash::review::models::redundancy as claim;
use hogwash::review::models::repair::{Group, Repair};
use hogwash::review::models::rollout::Rollout;
use hogwash::review::models::survival::kaplan_meier;
use hogwash::review::models::{HOURS_PER_YEAR, Interval, binomial, typical_year};

/// A row of figures as printed: name, the source's text, ours.
type Printed<'a> = (&'a str, &'a str, f64);
/// A row of closed forms: name, value with 40 digits, ours.
type Exact<'a> = (&'a str, f64, f64);

#[track_caller]
fn printed(rows: &[Printed]) {
    for (name, text, ours) in rows {
        let figure: f64 = text.parse().unwrap();
        let half_unit = half_unit(text);
        assert!(
            (ours - figure).abs() <= half_unit * (1.0 + 1e-9),
            "{name}: printed {text}, ours {ours:e}, half a unit is {half_unit:e}"
        );
    }
}

/// Half a unit of the last digit of a number as it is written.
fn half_unit(text: &str) -> f64 {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let decimals = digits.split_once('.').map_or(0, |(_, after)| after.len());
    0.5 * 10.0_f64.powi(exponent.parse::<i32>().unwrap() - i32::try_from(decimals).unwrap())
}

#[track_caller]
fn exact(rows: &[Exact]) {
    for (name, value, ours) in rows {
        assert!((ours / value - 1.0).abs() <= 1e-9, "{name}: {value:e} with 40 digits, ours {ours:e}");
    }
}

#[test]
fn the_tolerance_of_a_printed_figure_is_half_a_unit_of_its_last_digit() {
    assert!((half_unit("5.9020e-4") - 5e-9).abs() < 1e-20);
    assert!((half_unit("1735166.667") - 5e-4).abs() < 1e-12);
    assert!((half_unit("8") - 0.5).abs() < 1e-12);
}

#[test]
fn the_claim_and_k_of_n() {
    let down =
        |availability, needed, nodes| claim::k_of_n_unavailability(availability, needed, nodes).unwrap();
    exact(&[
        ("P^N", 1e-10, claim::all_fail(0.01, 5).unwrap()),
        ("1 of 2 at .99", 1e-4, down(0.99, 1, 2)),
        ("2 of 3 at .99", 2.98e-4, down(0.99, 2, 3)),
        ("3 of 5 at .99", 9.8506e-6, down(0.99, 3, 5)),
        ("2 of 3 at .995", 7.475e-5, down(0.995, 2, 3)),
        ("2 of 3 at .999", 2.998e-6, down(0.999, 2, 3)),
        ("3 of 5 at .999", 9.985_006e-9, down(0.999, 3, 5)),
        ("fewer than 32 of 40", 4.644_205_767_699_688e-13, down(0.995, 32, 40)),
    ]);
    let minutes = HOURS_PER_YEAR * 60.0;
    printed(&[
        ("2 of 3 at .995, minutes a year", "39.3", down(0.995, 2, 3) * minutes),
        ("2 of 3 at .999, minutes a year", "1.577", down(0.999, 2, 3) * minutes),
        ("fewer than 32 of 40", "4.64e-13", down(0.995, 32, 40)),
    ]);
}

#[test]
fn replicas_with_repair() {
    let group = |replicas, failure_rate_per_hour, repair_rate_per_hour, repair| Group {
        replicas,
        failure_rate_per_hour,
        repair_rate_per_hour,
        repair,
    };
    let quick = |replicas, repair| group(replicas, 1e-3, 0.1, repair).mean_hours_to_loss().unwrap();
    let years = |replicas, repair| {
        let one = group(replicas, 1.0 / (10.0 * HOURS_PER_YEAR), 1.0 / 24.0, repair);
        one.mean_hours_to_loss().unwrap() / HOURS_PER_YEAR
    };
    exact(&[
        ("2 copies", 51_500.0, quick(2, Repair::Parallel)),
        ("3 copies, parallel", 3_451_833.333_333_333, quick(3, Repair::Parallel)),
        ("3 copies, serial", 1_735_166.666_666_667, quick(3, Repair::Serial)),
        ("2 copies, 10 y and 24 h", 18_277.5, years(2, Repair::Parallel)),
        ("3 copies, 10 y and 24 h, parallel", 44_511_818.333_333_33, years(3, Repair::Parallel)),
        ("3 copies, 10 y and 24 h, serial", 22_258_962.083_333_33, years(3, Repair::Serial)),
    ]);
    printed(&[
        ("3 copies, parallel, years", "4.451182e7", years(3, Repair::Parallel)),
        ("3 copies, serial, years", "2.225896e7", years(3, Repair::Serial)),
    ]);
}

#[test]
fn beta_factor_and_effective_replicas() {
    let all = |nodes| common::beta_factor(0.01, 0.05, nodes, nodes).unwrap();
    exact(&[
        ("N = 2", 5.902_048_75e-4, all(2)),
        ("N = 3", 5.008_569_463_125e-4, all(3)),
        ("N = 4", 5.000_081_409_899_687e-4, all(4)),
        ("N = 5", 5.000_000_773_394_047e-4, all(5)),
        ("effective at N = 5", 1.650_514_964_243_916, claim::effective_replicas(all(5), 0.01).unwrap()),
        ("2 of 3 fail", 5.270_564_996_073_75e-5, common::beta_factor(1e-3, 0.05, 3, 2).unwrap()),
        ("2 of 3 fail, naive", 2.998e-6, common::beta_factor(1e-3, 0.0, 3, 2).unwrap()),
    ]);
    printed(&[
        ("N = 2", "5.9020e-4", all(2)),
        ("N = 3", "5.0086e-4", all(3)),
        ("N = 4", "5.0001e-4", all(4)),
        ("N = 5", "5.0000e-4", all(5)),
        ("effective at N = 5", "1.65", claim::effective_replicas(all(5), 0.01).unwrap()),
        ("2 of 3 fail", "5.270565e-5", common::beta_factor(1e-3, 0.05, 3, 2).unwrap()),
    ]);
}

#[test]
fn greek_letters_and_alpha_factors() {
    let greek = common::multiple_greek_letter(1e-3, &[0.1, 0.5, 0.9]).unwrap();
    let alpha = common::alpha_factor(1e-3, &[0.95, 0.03, 0.02], Testing::NonStaggered).unwrap();
    let all = common::group_failure(&alpha, 3).unwrap();
    let two = common::group_failure(&alpha, 2).unwrap();
    exact(&[
        ("Q1 of 4", 9e-4, greek[0]),
        ("Q2 of 4", 1e-4 / 6.0, greek[1]),
        ("Q3 of 4", 1e-5 / 6.0, greek[2]),
        ("Q4 of 4", 4.5e-5, greek[3]),
        ("Q1 of 3", 8.878_504_672_897_196e-4, alpha[0]),
        ("Q2 of 3", 2.803_738_317_757_009e-5, alpha[1]),
        ("Q3 of 3", 5.607_476_635_514_019e-5, alpha[2]),
        ("all 3", 5.615_249_487_501_738e-5, all),
        ("2 or more", 1.425_429_454_924_174e-4, two),
    ]);
    printed(&[
        ("Q2 of 4", "1.66667e-5", greek[1]),
        ("Q3 of 4", "1.66667e-6", greek[2]),
        ("Q1 of 3", "8.878505e-4", alpha[0]),
        ("Q2 of 3", "2.803738e-5", alpha[1]),
        ("Q3 of 3", "5.607477e-5", alpha[2]),
        ("all 3", "5.615249e-5", all),
        ("2 or more", "1.425429e-4", two),
    ]);
    let estimates = common::alpha_estimates(&[95, 3, 2]).unwrap();
    exact(&[
        ("alpha from a log", 0.03, estimates[1]),
        ("beta from a log", 2.0 * 3.0 / (10.0 + 2.0 * 3.0), common::beta_estimate(&[10, 3]).unwrap()),
    ]);
}

#[test]
fn common_shocks_and_beta_binomial() {
    let shock = |nodes| common::common_shock(1e-3, 1.0 / 20_000.0, 100.0, nodes).unwrap();
    let alone = |nodes| common::common_shock(1e-3, 0.0, 100.0, nodes).unwrap();
    let varied = |nodes| common::beta_binomial(0.01, 0.05, nodes, nodes).unwrap();
    exact(&[
        ("shock, N = 1", 0.099_675_477_413_734_39, shock(1)),
        ("shock, N = 2", 0.013_998_271_238_883_32, shock(2)),
        ("shock, N = 3", 0.005_845_007_083_819_064, shock(3)),
        ("alone, N = 1", 0.095_162_581_964_040_43, alone(1)),
        ("alone, N = 2", 0.009_055_917_006_062_712, alone(2)),
        ("alone, N = 3", 0.000_861_784_444_348_990_5, alone(3)),
        ("beta-binomial, N = 2", 5.95e-4, varied(2)),
        ("beta-binomial, N = 3", 6.205e-5, varied(3)),
    ]);
    printed(&[
        ("shock", ".0996755", shock(1)),
        ("shock", ".0139983", shock(2)),
        ("shock", ".00584501", shock(3)),
    ]);
    printed(&[
        ("alone", ".0951626", alone(1)),
        ("alone", ".00905592", alone(2)),
        ("alone", ".000861784", alone(3)),
    ]);
}

#[test]
fn copysets_and_random_placement() {
    let facebook = Outage { nodes: 5_000, replication: 3, failed: 50 };
    let window = copysets::window_copysets(5_000, 3, 10).unwrap();
    let random = facebook.loss_with_copysets(window).unwrap();
    let few = facebook.loss_with_copysets(copysets::permutation_copysets(5_000, 3, 10).unwrap()).unwrap();
    let ram = facebook.loss_with_copysets(copysets::permutation_copysets(5_000, 3, 2).unwrap()).unwrap();
    // RAMCloud: 8000 chunks of 8 MB a node, each on three.
    let scattered = facebook.loss_with_random_placement(5_000.0 * 8_000.0 / 3.0).unwrap();
    exact(&[
        ("copysets of the window", 275_000.0, window),
        ("Facebook", 0.228_082_047_762_359_6, random),
        ("Facebook with copysets", 0.007_814_018_348_329_187, few),
        ("RAMCloud with copysets", 0.001_567_711_157_044_825, ram),
        (
            "disjoint groups",
            3.0 / 84.0,
            Outage { nodes: 9, replication: 3, failed: 3 }.loss_with_disjoint_groups().unwrap(),
        ),
    ]);
    printed(&[("Facebook, %", "22.808", random * 100.0), ("Facebook, %", "22.8", random * 100.0)]);
    printed(&[("copysets, %", "0.78140", few * 100.0), ("copysets, %", "0.78", few * 100.0)]);
    printed(&[("RAMCloud, %", "0.15677", ram * 100.0)]);
    printed(&[("one in", "625", copysets::years_between_losses(1.0, 0.0016).unwrap())]);
    assert!(scattered >= 0.9999, "{scattered}");
    printed(&[("ratio of chances", "6.4e2", scattered / ram)]);
}

#[test]
fn bursts_of_node_failures() {
    let alone =
        |replicas| bursts::stripe_days_to_loss(replicas, FAILURES_PER_DAY, REPAIRS_PER_DAY, &[]).unwrap();
    let bursty = |replicas| {
        bursts::stripe_days_to_loss(replicas, FAILURES_PER_DAY, REPAIRS_PER_DAY, &CALIBRATED).unwrap()
    };
    exact(&[
        ("R = 2 alone", 499_000.403_736_036_9, alone(2)),
        ("R = 3 alone", 1_350_002_105.057_582, alone(3)),
        ("R = 4 alone", 2_739_234_575_519.409, alone(4)),
        ("R = 5 alone", 4_446_455_984_188_450.0, alone(5)),
        ("R = 2 in bursts", 146_998.562_557_540_3, bursty(2)),
        ("R = 3 in bursts", 6_819_907.805_399_462, bursty(3)),
        ("R = 4 in bursts", 139_998_282.827_204_9, bursty(4)),
        ("R = 5 in bursts", 2_409_972_601.274_199, bursty(5)),
    ]);
    printed(&[("R = 2 alone", "4.99E5", alone(2)), ("R = 3 alone", "1.35E9", alone(3))]);
    printed(&[("R = 4 alone", "2.739E12", alone(4))]);
    printed(&[("R = 2", "1.47E5", bursty(2)), ("R = 3", "6.82E6", bursty(3))]);
    printed(&[("R = 4", "1.40E8", bursty(4)), ("R = 5", "2.41E9", bursty(5))]);
}

#[test]
fn a_typical_year() {
    let events = &typical_year::FIRST_YEAR;
    let one = typical_year::correlated_unavailability(events).unwrap();
    let three = typical_year::all_down(events, 3).unwrap();
    let naive = claim::all_fail(one, 3).unwrap();
    printed(&[
        ("unavailability, %", "0.288", one * 100.0),
        ("naive", "2.39e-8", naive),
        ("three together", "2.10e-3", three),
        ("ratio", "8.8e4", three / naive),
    ]);
    for shares in [&typical_year::OUTAGE_TRIGGERS[..], &typical_year::NETWORK_CAUSES[..]] {
        assert_eq!(shares.iter().map(|share| share.percent).sum::<u32>(), 100);
    }
}

#[test]
fn the_essays_service() {
    let queue = Queue::solve(10_000.0, 10.0, 1_024).unwrap();
    let racks = |racks, each| too_few_servers(racks, each, 32, 5e-4, 0.0).unwrap();
    let rollout = Rollout {
        stages: vec![0.01, 0.1, 0.5, 1.0],
        soak_hours: 1.0,
        detection_hours_mean: 1.0,
        dormant_hours: 0.0,
    };
    let reach = rollout.reach().unwrap();
    let poison = Poison { requests_per_minute: 1.0, retries: 3, restart_seconds: 120.0 };
    exact(&[
        ("utilisation", 0.976_562_5, queue.utilisation),
        ("Erlang C", 0.341_119_023_136_741_3, queue.wait_probability),
        ("p99", 0.014_706_859_853_522_47, queue.wait_seconds_quantile(0.99).unwrap()),
        ("4 racks", 0.001_998_500_499_937_5, racks(4, 10)),
        ("5 racks", 2.497_500_937_375e-6, racks(5, 8)),
        ("8 racks", 6.986_013_118_002_187e-6, racks(8, 5)),
        ("share hit", 0.122_136_797_184_006_9, reach.share_expected),
        ("all hit", 0.049_787_068_367_863_94, reach.last_stage),
        ("servers down", 8.0, poison.servers_down_mean().unwrap()),
        ("more than 8 down", 0.407_452_658_562_408_6, poison.more_down_than(8).unwrap()),
    ]);
    printed(&[
        ("utilisation", ".9766", queue.utilisation),
        ("p99, ms", "14.7", queue.wait_seconds_quantile(0.99).unwrap() * 1e3),
        ("4 racks of 10", "2.0e-3", racks(4, 10)),
        ("5 racks of 8", "2.5e-6", racks(5, 8)),
        ("8 racks of 5", "7.0e-6", racks(8, 5)),
        ("share hit", ".122137", reach.share_expected),
        ("all hit", ".049787", reach.last_stage),
        ("more than 8 down", ".4075", poison.more_down_than(8).unwrap()),
    ]);
    // One more server lost: 31 of 32 cores each cannot carry the load.
    assert!(Queue::solve(10_000.0, 10.0, 31 * 32).unwrap_err().to_string().contains("unstable"));
}

#[test]
fn overflow_of_one_queue() {
    let chance = |level| overflow_before_empty(1.0, 2.0, level).unwrap();
    exact(&[("L = 10", 1.0 / 1_023.0, chance(10)), ("L = 20", 1.0 / 1_048_575.0, chance(20))]);
    printed(&[("L = 10", "9.7751711e-4", chance(10)), ("L = 20", "9.5367523e-7", chance(20))]);
}

#[test]
fn the_distributed_database_is_up_without_repair() {
    let survives = |rate: f64| (-rate * 840.0).exp();
    let pair = binomial::at_least(1, 2, survives(1.0 / 2_000.0)).unwrap();
    let cluster = binomial::at_least(3, 4, survives(1.0 / 6_000.0)).unwrap();
    printed(&[("R(840 h)", ".402017571", pair.powi(3) * cluster.powi(6))]);
}

#[test]
fn the_distributed_database_is_down_for_a_few_parts_in_a_million() {
    let up = |failed_sets: fn(&[u64]) -> bool, sets, size, rate| {
        unavailability_of_sets(sets, size, rate, failed_sets)
    };
    let pair_lost = |sets: &[u64]| sets.contains(&2);
    let cluster_lost = |sets: &[u64]| sets.iter().any(|down| *down >= 2);
    let processors = up(pair_lost, 1, 2, 1.0 / 2_000.0);
    let controllers = up(pair_lost, 2, 2, 1.0 / 2_000.0);
    let disks = up(cluster_lost, 6, 4, 1.0 / 6_000.0);
    let down = processors + (1.0 - processors) * (controllers + (1.0 - controllers) * disks);
    printed(&[("steady unavailability", "3.513204e-6", down)]);
}

/// The long-run share of time in states for which `lost` holds: `sets` alike sets of `size` parts, and one repairer for all of them that
/// mends at one an hour and picks any part that is down with the same chance. States are the sorted numbers of parts down in each set.
fn unavailability_of_sets(sets: usize, size: u64, rate: f64, lost: fn(&[u64]) -> bool) -> f64 {
    let mut states: Vec<Vec<u64>> = vec![vec![0; sets]];
    let mut moves: Vec<(usize, usize, f64)> = Vec::new();
    let mut from = 0;
    while from < states.len() {
        let state = states[from].clone();
        let down: u64 = state.iter().sum();
        for set in 0..sets {
            let mut step = |change: &dyn Fn(u64) -> u64, rate: f64| {
                let mut next = state.clone();
                next[set] = change(next[set]);
                next.sort_unstable();
                let to = states.iter().position(|known| *known == next).unwrap_or_else(|| {
                    states.push(next);
                    states.len() - 1
                });
                moves.push((from, to, rate));
            };
            if state[set] < size {
                step(&|down| down + 1, (size - state[set]) as f64 * rate);
            }
            if state[set] > 0 {
                step(&|down| down - 1, state[set] as f64 / down as f64);
            }
        }
        from += 1;
    }
    let mut chain = Chain::new(states.len()).unwrap();
    for (from, to, rate) in moves {
        chain.add(from, to, rate).unwrap();
    }
    let shares = chain.steady_state().unwrap();
    states.iter().zip(shares).filter(|(state, _)| lost(state)).map(|(_, share)| share).sum()
}

#[test]
fn failure_biasing_keeps_the_relative_variance_however_rare_the_loss() {
    for ratio in [1e-3, 1e-4, 1e-5] {
        let group = Group {
            replicas: 3,
            failure_rate_per_hour: ratio,
            repair_rate_per_hour: 1.0,
            repair: Repair::Parallel,
        };
        let known = group.loss_before_repair().unwrap();
        let cycles = group.biased_cycles(0.5, 200_000, 1).unwrap();
        let deviation = (cycles.relative_variance / 200_000.0).sqrt() * known;
        assert!((cycles.probability - known).abs() < 4.42 * deviation, "{ratio}: {cycles:?} against {known}");
        // A cycle's weight is almost always 0, or four times its mean with chance 1/4.
        assert!((cycles.relative_variance - 3.0).abs() < 0.05, "{ratio}: {cycles:?}");
    }
}

fn ends(name: &str, text: [&str; 2], interval: Interval) {
    printed(&[(name, text[0], interval.low), (name, text[1], interval.high)]);
}

#[test]
fn intervals_for_probabilities() {
    let exactly = |hits, of| bounds::clopper_pearson(hits, of, 0.95).unwrap();
    let wilson = |hits, of| bounds::wilson(hits, of, 0.95).unwrap();
    ends("0 of 100", ["0", ".03621669"], exactly(0, 100));
    ends("0 of 100, Wilson", ["0", ".03699350"], wilson(0, 100));
    ends("3 of 1000", ["6.190999e-4", "8.742023e-3"], exactly(3, 1_000));
    ends("50 of 1e4", ["3.713306e-3", "6.586626e-3"], exactly(50, 10_000));
    ends("50 of 1e4, Wilson", ["3.794901e-3", "6.585257e-3"], wilson(50, 10_000));
    exact(&[
        ("0 of 100", 0.036_216_692_645_176_42, exactly(0, 100).high),
        ("3 of 1000, low", 6.190_999_316_495_713e-4, exactly(3, 1_000).low),
        ("3 of 1000, high", 8.742_023_238_478_304e-3, exactly(3, 1_000).high),
        ("50 of 1e4, low", 3.713_306_179_555_488e-3, exactly(50, 10_000).low),
        ("50 of 1e4, high", 6.586_626_429_079_919e-3, exactly(50, 10_000).high),
        ("0 of 100, Wilson", 0.036_993_498_206_985_68, wilson(0, 100).high),
        ("50 of 1e4, Wilson, low", 3.794_901_070_838_226e-3, wilson(50, 10_000).low),
        ("50 of 1e4, Wilson, high", 6.585_257_316_131_604e-3, wilson(50, 10_000).high),
    ]);
}

#[test]
fn what_clean_hours_prove() {
    let rate = bounds::garwood(3, 1.0, 0.95).unwrap();
    let mean = lifetimes::exponential(5, 1_000.0, 0.95).unwrap().interval;
    exact(&[
        ("8760 clean hours", 2_924.159_838_091_126, bounds::mean_hours_shown(8_760.0, 0.95).unwrap()),
        ("to show 1e4 h", 29_957.322_735_539_91, bounds::clean_hours_needed(1e4, 0.95).unwrap()),
        ("Garwood, 3 events, low", 0.618_672_122_895_601_3, rate.low),
        ("Garwood, 3 events, high", 8.767_273_069_742_326, rate.high),
        ("5 failures in 1000 h, low", 85.702_051_775_856_6, mean.low),
        ("5 failures in 1000 h, high", 615.958_351_167_365_1, mean.high),
    ]);
    printed(&[
        ("8760 clean hours", "2924", bounds::mean_hours_shown(8_760.0, 0.95).unwrap()),
        ("to show 1e4 h", "29957", bounds::clean_hours_needed(1e4, 0.95).unwrap()),
        ("divisor", "2.9957", 1.0 / bounds::mean_hours_shown(1.0, 0.95).unwrap()),
    ]);
    ends("5 failures in 1000 h", ["85.7021", "615.9584"], mean);
}

/// Remission times in weeks of 21 patients (Freireich et al. 1963); a plus is a time cut off.
fn remission() -> Vec<Observation> {
    let text = "6,6,6,6+,7,9+,10,10+,11+,13,16,17+,19+,20+,22,23,25+,32+,32+,34+,35+";
    text.split(',')
        .map(|word| match word.strip_suffix('+') {
            Some(time) => Observation::censored(time.parse().unwrap()),
            None => Observation::event(word.parse().unwrap()),
        })
        .collect()
}

#[test]
fn survival_and_wear() {
    let steps = kaplan_meier(&remission(), 0.95).unwrap();
    let figures = [".857143", ".806723", ".752941", ".690196", ".627451", ".537815", ".448179"];
    assert_eq!(steps.len(), figures.len());
    for (step, figure) in steps.iter().zip(figures) {
        printed(&[("Kaplan–Meier", figure, step.survival)]);
    }
    let fit = lifetimes::weibull(&remission(), 0.95).unwrap();
    // The shape is also told as 1.353732; the root of the score, solved with 30 digits, is the one below.
    printed(&[("Weibull scale", "33.7652", fit.scale), ("Weibull shape", "1.3537", fit.shape)]);
    exact(&[("scale", 33.765_150_967_634_97, fit.scale), ("shape", 1.353_734_523_826_221, fit.shape)]);
}

const STALL: Stall = Stall {
    arrivals_per_second: 280.0,
    services_per_second: 300.0,
    timeout_seconds: 1.0,
    stall_seconds: 10.0,
};

#[test]
fn collapse_that_outlives_its_cause() {
    let after = |arrivals_per_second| match (Stall { arrivals_per_second, ..STALL }).recovery().unwrap() {
        Recovery::After(seconds) => seconds,
        Recovery::Never => f64::INFINITY,
    };
    printed(&[("100/s", "16.0", after(100.0)), ("140/s", "118.0", after(140.0))]);
    assert!(after(151.0).is_infinite());
    let stall = |stall_seconds| Stall { stall_seconds, ..STALL }.recovery().unwrap();
    assert_eq!(stall(1.0), Recovery::After(0.0));
    assert_eq!(stall(1.2), Recovery::Never);
    // Request by request, the same.
    let simulated = |stall: Stall, horizon| {
        stall.simulate(Safeguard::None, horizon, 0).unwrap().first_attempts_recover_seconds
    };
    for (arrivals_per_second, known) in [(100.0, 16.0), (140.0, 118.0)] {
        let found = simulated(Stall { arrivals_per_second, ..STALL }, 300.0).unwrap();
        assert!((found - known).abs() < 0.2, "{arrivals_per_second}/s: {found} s");
    }
    assert_eq!(simulated(Stall { arrivals_per_second: 151.0, ..STALL }, 600.0), None);
    assert_eq!(simulated(Stall { stall_seconds: 1.0, ..STALL }, 300.0), Some(0.0));
    assert_eq!(simulated(Stall { stall_seconds: 1.2, ..STALL }, 300.0), None);
}

#[test]
fn safeguards_against_collapse() {
    let run = |safeguard, horizon| STALL.simulate(safeguard, horizon, 0).unwrap();
    let whole_seconds = |safeguard| run(safeguard, 700.0).first_attempts_recover_seconds.map(f64::ceil);
    assert_eq!(whole_seconds(Safeguard::None), None);
    assert_eq!(whole_seconds(Safeguard::NoRetries), Some(126.0));
    // Fifty saved retries: the figure's source does not say how many its budget kept.
    assert_eq!(whole_seconds(Safeguard::RetryBudget { share: 0.05, burst: 50.0 }), Some(447.0));
    assert_eq!(whole_seconds(Safeguard::RetryBudget { share: 0.1, burst: 50.0 }), None);
    assert_eq!(whole_seconds(Safeguard::QueueCap(310)), None);
    // How long these two take depends on how arrivals and retries interleave; the source's figures bound them.
    for cap in [150, 250, 290] {
        let outcome = run(Safeguard::QueueCap(cap), 300.0);
        assert!(outcome.requests_recover_seconds.unwrap() <= 2.0, "{cap}: {outcome:?}");
    }
    assert!(run(Safeguard::NewestFirst, 300.0).requests_recover_seconds.unwrap() <= 6.0);
    // Dropping what has expired is no help where what has almost expired is still started; dropping what cannot end in time is.
    let expired = run(Safeguard::DropExpired, 600.0);
    assert_eq!(expired.requests_recover_seconds, None);
    assert!(expired.answered_at_the_end < 0.1, "{expired:?}");
    let hopeless = run(Safeguard::DropHopeless, 600.0);
    assert!(hopeless.first_attempts_recover_seconds.unwrap() < 20.0, "{hopeless:?}");
}
