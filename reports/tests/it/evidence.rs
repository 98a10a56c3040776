//! What an incident log proves: figures done by hand, logs made from a known truth, and every way in which a log can be wrong.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and writes logs to the machine's disk"
)]

use hogwash::review::evidence::{self, Evidence, EvidenceError, Fit, Options, Share};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sim::rng::Stream;
use std::process::{Command, Output};

const HEAD: &str = "start,end,component,cause\n";

/// Four incidents of three disks in ten days; two of them start within a minute, one is still open.
const SMALL: &str = "\
start,end,component,cause
2024-01-01T00:00:00Z,2024-01-01T06:00:00Z,disk-1,power
2024-01-01T00:01:00Z,2024-01-01T02:01:00Z,disk-2,power
2024-01-04T00:00:00Z,2024-01-04T12:00:00Z,disk-1,firmware
2024-01-10T00:00:00Z,,disk-3,firmware
";

fn whole() -> Options {
    Options {
        watched_from: Some("2024-01-01".to_owned()),
        watched_until: Some("2024-01-11".to_owned()),
        components: Some(4),
        ..Options::default()
    }
}

fn read(text: &str, options: &Options) -> Result<Evidence, EvidenceError> {
    evidence::evidence(text, "incidents.csv", options)
}

#[track_caller]
fn refused(text: &str) -> String {
    read(text, &Options::default()).expect_err(text).to_string()
}

#[track_caller]
fn near(ours: f64, known: f64) {
    assert!((ours - known).abs() <= 1e-9 * known.abs().max(1.0), "{ours} is not {known}");
}

#[test]
fn a_small_log_is_read_as_by_hand() {
    let found = read(SMALL, &whole()).unwrap();
    assert_eq!((found.incidents, found.open, found.components), (4, 1, 4));
    assert_eq!(found.assumptions, Vec::<String>::new());
    near(found.watched_hours, 240.0);
    // 4 components for 240 h, less 6 + 2 + 12 + 24 hours down.
    near(found.time_to_failure.exposure_hours, 960.0 - 44.0);
    near(found.time_to_failure.exponential.mean.unwrap(), 916.0 / 4.0);
    // Down for 2, 6, 12 and more than 24 hours.
    assert_eq!(found.time_to_repair.repairs, 3);
    near(found.time_to_repair.median_hours.unwrap(), 6.0);
    assert_eq!(found.time_to_repair.p90_hours, None);
    // Clean from 06:00 on the 1st to the 4th, from 12:00 on the 4th to the 10th.
    near(found.clean.total_hours, 66.0 + 132.0);
    near(found.clean.longest_hours, 132.0);
    assert_eq!((found.clean.current_hours, found.clean.mean_hours_shown), (0.0, None));
    // Three events: two disks at once, and two by themselves.
    assert_eq!(found.clusters.events_by_size, [2, 1]);
    let Share::Seen { value, interval } = found.clusters.beta else { panic!("{:?}", found.clusters) };
    near(value, 2.0 / 4.0);
    assert!(interval.low > 0.0 && interval.contains(0.5) && interval.high < 1.0);
    let Share::Seen { value, .. } = found.clusters.alphas[1] else { panic!() };
    near(value, 1.0 / 3.0);
    let Share::Seen { value, .. } = found.clusters.in_bursts else { panic!("{:?}", found.clusters) };
    near(value, 0.5);
    assert!(found.clusters.in_bursts_if_independent < 0.01);
    let disk = &found.by_component[0];
    assert_eq!((disk.name.as_str(), disk.incidents), ("disk-1", 2));
    near(disk.down_hours, 18.0);
    near(disk.exposure_hours, 222.0);
}

#[test]
fn causes_become_initiating_events_that_a_review_can_read() {
    let found = read(SMALL, &whole()).unwrap();
    let text = found.initiating_events_toml();
    let file: toml::Table = text.parse().unwrap();
    let events = file["initiating-event"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    let power = events.iter().find(|event| event["name"].as_str() == Some("power")).unwrap();
    // One event of two disks in ten days.
    near(power["per-year"].as_float().unwrap(), 8_766.0 / 240.0);
    near(power["components-mean"].as_float().unwrap(), 2.0);
    assert_eq!(power["components-max"].as_integer(), Some(2));
    assert!(power["per-year-low"].as_float().unwrap() < 1.0);
    assert!(power["per-year-high"].as_float().unwrap() > 200.0);
    assert_eq!(
        power["source"].as_str().unwrap(),
        "incidents.csv: 1 events, 2 incidents, 2024-01-01T00:00:00Z to 2024-01-11T00:00:00Z"
    );
    // A cause with quotes and line ends in its name comes back as it was.
    let odd = format!("{HEAD}2024-01-01,2024-01-02,a,\"a \"\"bad\"\"\nthing = [\"\n");
    let table: toml::Table = read(&odd, &whole()).unwrap().initiating_events_toml().parse().unwrap();
    assert_eq!(table["initiating-event"][0]["name"].as_str(), Some("a \"bad\"\nthing = ["));
}

#[test]
fn what_had_to_be_assumed_is_said() {
    let text =
        "team,start,end,component,cause\nx,2024-01-01,2024-01-02,a,power\nx,2024-01-05,2024-01-06,a,power\n";
    let found = read(text, &Options::default()).unwrap();
    let said = found.assumptions.join("\n");
    for part in [
        "the column `team` was not read",
        "`watched-from` was not given: the first incident's start, 2024-01-01T00:00:00Z, is taken",
        "`watched-until` was not given: the last instant of the log, 2024-01-06T00:00:00Z, is taken",
        "only the 1 that failed are counted",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(matches!(found.clusters.beta, Share::Below(bound) if bound > 0.0 && bound <= 1.0));
    assert!(matches!(found.time_to_failure.weibull, Fit::NotFitted(_)));
}

#[test]
fn clean_hours_prove_a_mean_time() {
    let options = Options { watched_until: Some("2025-01-01".to_owned()), ..whole() };
    let text = format!("{HEAD}2024-01-01,2024-01-02,a,power\n");
    let clean = read(&text, &options).unwrap().clean;
    near(clean.current_hours, 365.0 * 24.0);
    assert!((clean.mean_hours_shown.unwrap() - 2_924.16).abs() < 0.01);
}

#[test]
fn all_bad_rows_are_reported_at_once_with_their_lines() {
    let text = "\
start,end,component,cause
2024-01-01,2024-01-02,a,power
yesterday,2024-01-02,b,power

2024-01-05,2024-01-04,b,power
2024-01-05,2024-01-06,,power
2024-01-05,2024-01-06,b
2024-01-05,soon,b,power
#2024-01-05,2024-01-06,b,power
";
    let error = refused(text);
    assert!(error.starts_with("6 rows of the log cannot be used:"), "{error}");
    for part in [
        "line 3: start: `yesterday` is not an instant, such as 2024-03-01T12:00:00Z",
        "line 5: the end, 2024-01-04, is not after the start, 2024-01-05",
        "line 6: the component is empty",
        "line 7: has 3 fields, and the first line names 4",
        "line 8: end: `soon` is not an instant",
        "line 9: start: `#2024-01-05` is not an instant",
    ] {
        assert!(error.contains(part), "no `{part}` in {error}");
    }
}

#[test]
fn incidents_of_one_component_that_overlap_are_refused() {
    let text = format!(
        "{HEAD}2024-01-01,2024-01-10,a,power\n2024-01-02,2024-01-03,a,disk\n2024-01-05,2024-01-06,a,disk\n\
         2024-02-01,,a,disk\n2024-03-01,2024-03-02,a,disk\n2024-03-01,2024-03-02,b,disk\n"
    );
    let error = refused(&text);
    assert!(error.starts_with("3 rows"), "{error}");
    assert!(
        error.contains("line 4: `a` is down already: the incident of line 2 lasts until 2024-01-10T00:00:00Z; merge the two"),
        "{error}"
    );
    assert!(error.contains("line 6: `a` is down already: the incident of line 5 was still open"), "{error}");
    // One that starts as the last one ends is another incident.
    let text = format!("{HEAD}2024-01-01,2024-01-02,a,power\n2024-01-02,2024-01-03,a,disk\n");
    assert_eq!(read(&text, &whole()).unwrap().incidents, 2);
}

#[test]
fn an_empty_log_and_one_without_its_columns_are_refused() {
    assert!(refused(HEAD).contains("the log holds no incident"));
    assert!(refused("").contains("the log has no column `start`"));
    assert!(
        refused("start,end,component\n1,2,a\n").contains("the log has no column `cause`: its first line is")
    );
    assert!(refused("start,start,end,component,cause\n").contains("two columns called `start`"));
}

#[test]
fn options_that_contradict_the_log_are_refused() {
    let error = |options: Options| read(SMALL, &options).unwrap_err().to_string();
    assert!(
        error(Options { components: Some(2), ..whole() }).contains("`components=2`: the log alone names 3")
    );
    let late = Options { watched_from: Some("2024-01-02".to_owned()), ..whole() };
    assert!(error(late).contains("line 2: lies outside of what was watched, 2024-01-02T00:00:00Z to"));
    let backwards = Options { watched_from: Some("2025-01-01".to_owned()), ..whole() };
    assert!(matches!(read(SMALL, &backwards), Err(EvidenceError::Rows(_))));
    assert!(
        error(Options { watched_until: Some("soon".to_owned()), ..whole() }).contains("`watched-until=soon`")
    );
    assert!(error(Options { confidence: 1.0, ..whole() }).contains("`confidence` is 1"));
    assert!(error(Options { burst_seconds: f64::NAN, ..whole() }).contains("`burst_seconds` is NaN"));
    let instant = format!("{HEAD}2024-01-01,,a,power\n");
    assert!(refused(&instant).contains("which is not after its start"));
}

/// A log of a known truth: 20 nodes, each down about every 1000 hours by itself, for a lognormal time with a median of half an hour;
/// every 500 hours a burst takes 5 nodes within a minute. Rows in no order.
fn made(seed: u64, hours: f64) -> String {
    let mut chance = Stream::named(seed, "log");
    let mut rows: Vec<(u64, usize, f64, &str)> = Vec::new();
    let mut draw = |mean: f64| -mean * (1.0 - chance.unit()).ln();
    let (mut now, mut node) = (0.0, 0_usize);
    loop {
        now += draw(1_000.0 / 20.0);
        node = (node + 1 + (draw(1e6) as usize)) % 20;
        if now > hours {
            break;
        }
        let down = 1_800.0 * (draw(1.0) + 0.2);
        rows.push(((now * 3_600.0) as u64, node, down, "node"));
    }
    now = 0.0;
    loop {
        now += draw(500.0);
        if now > hours {
            break;
        }
        for nth in 0..5_u64 {
            rows.push(((now * 3_600.0) as u64 + 10 * nth, (nth * 4) as usize, 900.0, "rack"));
        }
    }
    // One that falls on a node that is down is not another incident.
    rows.sort_by_key(|row| row.0);
    let mut until = [0_u64; 20];
    let mut text = HEAD.to_owned();
    let mut lines: Vec<String> = Vec::new();
    for (start, node, down, cause) in rows {
        let end = start + down as u64;
        if start >= until[node] && (end as f64) < hours * 3_600.0 {
            until[node] = end;
            lines.push(format!("{start},{end},node-{node},{cause}\n"));
        }
    }
    lines.reverse();
    text.extend(lines);
    text
}

#[test]
fn a_log_made_from_a_known_truth_gives_it_back() {
    let hours = 20_000.0;
    let options = Options {
        watched_from: Some("0".to_owned()),
        watched_until: Some(format!("{}", hours * 3_600.0)),
        components: Some(20),
        ..Options::default()
    };
    let mut held = [0; 3];
    for seed in 0..100 {
        let found = read(&made(seed, hours), &options).unwrap();
        let node = found.causes.iter().find(|cause| cause.name == "node").unwrap();
        let rack = found.causes.iter().find(|cause| cause.name == "rack").unwrap();
        let year = 8_766.0;
        held[0] += u32::from(node.per_year_low <= year / 50.0 && year / 50.0 <= node.per_year_high);
        held[1] += u32::from(rack.per_year_low <= year / 500.0 && year / 500.0 <= rack.per_year_high);
        // Of 10 failures in 1000 h, five from a burst every 500 h and 20 by themselves: 10 of 30.
        let Share::Seen { interval, .. } = found.clusters.beta else { panic!("{:?}", found.clusters) };
        held[2] += u32::from(interval.contains(1.0 / 3.0));
        assert!((rack.components_mean - 5.0).abs() < 0.3, "{rack:?}");
    }
    assert!(held.iter().all(|held| *held >= 93), "{held:?} of 100");
}

#[test]
fn failures_by_themselves_are_not_taken_for_bursts() {
    let found = read(&made(1, 20_000.0).replace("rack", "gone"), &Options::default()).unwrap();
    let alone: String = made(1, 20_000.0)
        .lines()
        .filter(|line| !line.ends_with("rack"))
        .map(|line| format!("{line}\n"))
        .collect();
    let without = read(&alone, &Options::default()).unwrap();
    let share = |clusters: &evidence::Clusters| match clusters.in_bursts {
        Share::Seen { value, .. } => value,
        Share::Below(bound) => bound,
    };
    assert!(share(&found.clusters) > 10.0 * found.clusters.in_bursts_if_independent, "{:?}", found.clusters);
    assert!(share(&without.clusters) < 0.03, "{:?}", without.clusters);
    let json = serde_json::to_value(&found).unwrap();
    assert!(json["time-to-failure"]["exponential"]["mean"].is_number());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_log_makes_it_panic(
        rows in prop::collection::vec(
            (-2000_i64..2000, prop::option::of(-2000_i64..4000), 0..4_u8, "[a-z\",\n]{0,3}"), 0..12
        ),
        text in "[-0-9:TZ,\"\n a-z+]{0,60}",
    ) {
        let mut log = HEAD.to_owned();
        for (start, end, component, cause) in &rows {
            let end = end.map_or(String::new(), |end| end.to_string());
            log.push_str(&format!("{start},{end},c{component},{cause}x\n"));
        }
        if let Ok(found) = read(&log, &Options::default()) {
            prop_assert!(found.incidents > 0);
            prop_assert!(found.initiating_events_toml().parse::<toml::Table>().is_ok());
        }
        let _ = read(&text, &Options::default());
        let _ = read(&format!("{HEAD}{text}"), &Options::default());
    }
}

/// A log in a folder of its own, and the command over it.
fn evidence_of(log: &str, flags: &[&str]) -> (tempfile::TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("incidents.csv");
    std::fs::write(&path, log).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_hogwash")).arg("evidence").arg(path).args(flags).output().unwrap();
    (folder, output)
}

#[test]
fn the_evidence_is_told_in_words() {
    let flags = ["--watched-from", "2024-01-01", "--watched-until", "2024-01-11", "--components", "4"];
    let (_folder, output) = evidence_of(SMALL, &flags);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
    let (_folder, output) = evidence_of(SMALL, &["--burst", "10s"]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.contains("beta below "), "no event of several is never a bare zero: {words}");
    assert!(words.contains("note: `components` was not given"), "{words}");
}

#[test]
fn the_evidence_is_told_in_json_and_its_causes_in_a_file() {
    let file = tempfile::tempdir().unwrap();
    let events = file.path().join("events.toml");
    let flags = ["--message-format", "json", "--initiating-events", events.to_str().unwrap()];
    let (_folder, output) = evidence_of(SMALL, &flags);
    assert!(output.status.success(), "{output:?}");
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["v"], &line["type"], &line["incidents"]), (&1.into(), &"evidence".into(), &4.into()));
    assert_eq!(line["clusters"]["events-by-size"], serde_json::json!([2, 1]));
    let table: toml::Table = std::fs::read_to_string(events).unwrap().parse().unwrap();
    assert_eq!(table["initiating-event"].as_array().unwrap().len(), 2);
}

#[test]
fn a_log_that_proves_nothing_ends_with_2_and_every_bad_line() {
    let (_folder, output) = evidence_of(&format!("{HEAD}never,,a,b\n2024-01-01,2023-01-01,a,b\n"), &[]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("line 2: ") && words.contains("line 3: "), "{words}");
    assert_eq!(evidence_of("", &[]).1.status.code(), Some(2));
    assert_eq!(evidence_of(SMALL, &["--confidence", "1"]).1.status.code(), Some(2));
    let missing =
        Command::new(env!("CARGO_BIN_EXE_hogwash")).args(["evidence", "nowhere.csv"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().starts_with("error: cannot read `nowhere.csv`"));
}
