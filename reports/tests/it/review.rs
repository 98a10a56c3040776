//! The reliability review: its files and what is wrong with them, the twin against the formula, a year put together from runs.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads the machine's disk"
)]

use hogwash::review::answer::{Answer, Figure, Verdict};
use hogwash::review::batch::{Batch, Runs, Watcher};
use hogwash::review::file::{Measure, Review};
use hogwash::review::study::Study;
use hogwash::review::{library, page, words};
use scenarios::guarded::Budget;
use sim::stack::Stack;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

const SMALL: &str = include_str!("../files/review.toml");

#[derive(Default)]
struct Counter {
    runs: AtomicU64,
    done_before: AtomicU64,
    ended: AtomicU64,
}

impl Watcher for Counter {
    fn begin(&self, runs: u64, done: u64) {
        self.runs.store(runs, Ordering::Relaxed);
        self.done_before.store(done, Ordering::Relaxed);
    }

    fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

fn stack() -> Arc<dyn Stack> {
    Arc::new(system::ImageStack)
}

fn parse(text: &str) -> Result<Review, String> {
    Review::parse(text.as_bytes(), "review.toml", stack().as_ref()).map_err(|error| error.to_string())
}

fn run(study: &Study<'_>, review: &Review, ledger: Option<&Path>, watcher: &Counter, stop: bool) -> Runs {
    let (stack, stop) = (stack(), AtomicBool::new(stop));
    let budget = Budget::default();
    let batch = Batch { stack: &stack, run: &review.run, budget, jobs: 2, ledger, stop: &stop };
    batch.run(&study.plans(), watcher).unwrap()
}

/// The answer to [`SMALL`], which several tests look at.
static SMALL_ANSWER: LazyLock<Answer> = LazyLock::new(|| answer(SMALL));

fn answer(text: &str) -> Answer {
    let review = parse(text).unwrap();
    let stack = stack();
    let study = Study::new(&review, stack.as_ref()).unwrap();
    let runs = run(&study, &review, None, &Counter::default(), false);
    study.answer(&runs).unwrap()
}

#[track_caller]
fn near(ours: f64, known: f64, relative: f64) {
    assert!((ours - known).abs() <= relative * known.abs(), "{ours} is not {known}");
}

fn computed(figure: &Figure) -> f64 {
    let Figure::Computed { value } = figure else { panic!("{figure:?}") };
    *value
}

#[test]
fn the_independent_twin_agrees_with_the_formula_and_the_world_as_it_is_does_not() {
    let answer = &*SMALL_ANSWER;
    assert_eq!(answer.failed, Vec::<String>::new());
    let [loss, downtime] = &answer.claims[..] else { panic!("{:?}", answer.claims) };
    // By hand: half a feed a year for an hour and 20 crashes of each node for 6 minutes.
    let load = (0.5 * 1.0 + 20.0 * 0.1) / 8_766.0;
    let share = load / (1.0 + load);
    near(downtime.node_unavailability.unwrap(), share, 1e-9);
    let two_or_three = 3.0 * share * share * (1.0 - share) + share.powi(3);
    near(computed(&downtime.formula.figure), two_or_three, 1e-9);
    for claim in [loss, downtime] {
        let [formula, twin, correlated] = &claim.replicas_down;
        // Measured from the histories of runs in which nodes fail one by one, of coincidences weighed by their frequencies.
        near(twin.value().unwrap(), computed(formula), 0.01);
        assert!(correlated.value().unwrap() > 100.0 * computed(formula), "{claim:?}");
    }
    // The service itself is down as long as the formula says, but for the seconds that electing a leader takes.
    near(downtime.twin.figure.value().unwrap(), two_or_three, 0.25);
    // The feed alone takes it for half an hour a year.
    near(downtime.correlated.figure.value().unwrap(), 0.5 / 8_766.0, 0.05);
    assert_eq!(downtime.formula.verdict, Verdict::Met);
    assert!(downtime.effective_replicas.unwrap() < 1.3);
}

#[test]
fn a_feed_under_three_replicas_is_the_cause_and_nothing_is_ever_a_bare_zero() {
    let answer = &*SMALL_ANSWER;
    let first = answer.contributors.iter().find(|one| one.measure == Measure::Downtime).unwrap();
    assert_eq!(first.name, "feed lost");
    assert!(first.share > 0.99 && first.reduction_worth.unwrap() > 100.0);
    let blast = answer.blast_radius.as_ref().unwrap();
    assert_eq!((blast.event.as_str(), blast.nodes, blast.of), ("feed lost", 3, 5));
    let power = answer.common_causes.iter().find(|cause| cause.mechanism == "power-loss").unwrap();
    assert_eq!((computed(&power.beta), power.alphas.as_slice()), (1.0, &[None, None, Some(1.0)][..]));
    let crash = answer.common_causes.iter().find(|cause| cause.mechanism == "crash").unwrap();
    assert_eq!(crash.alphas, [Some(1.0)]);
    assert!(matches!(crash.beta, Figure::Below { below, runs: 6, .. } if below > 0.39), "{:?}", crash.beta);
    let died = answer.events.iter().find(|event| event.name == "process dies").unwrap();
    assert!(
        matches!(died.loss, Figure::Below { below, seen: None, runs: 6, .. } if below > 0.39 && below < 1.0),
        "{:?}",
        died.loss
    );
    let text = words::lines(answer).join("\n");
    assert!(text.contains("(none in 6 runs)"), "{text}");
    let json = serde_json::to_string(answer).unwrap();
    assert!(!json.contains("\"below\":0.0,") && !json.contains("\"below\":0,"), "{json}");
}

#[test]
fn the_page_is_one_file_that_shows_claims_causes_pictures_inputs_and_what_is_left_out() {
    let answer = &*SMALL_ANSWER;
    let page = page::html(answer, "hogwash");
    assert_eq!(page, page::html(answer, "hogwash"), "the same answer, the same bytes");
    // Nothing is fetched from anywhere, and nothing that a file says becomes markup.
    for word in ["http", "src=", "<script", "NaN", "inf "] {
        assert!(!page.contains(word), "{word}");
    }
    let document = page.replacen("<!doctype html>", "", 1);
    // `meta` has no end in HTML; all else is well-formed.
    let document = document.replace("<meta charset=\"utf-8\">", "");
    let document = document.replace("<meta name=\"viewport\" content=\"width=device-width\">", "");
    let document = roxmltree::Document::parse(&document).unwrap();
    let heads: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("h2"))
        .filter_map(|node| node.text())
        .collect();
    assert_eq!(heads[0], "Targets and verdicts");
    assert!(heads.contains(&"Causes") && heads.contains(&"Not in these figures"), "{heads:?}");
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("svg")).count(), 4);
    assert!(page.contains("made up for the test") && page.contains("below 0.393 (none in 6 runs)"), "{page}");
    let hostile = Answer { why: "<script>alert(1)</script>".to_owned(), ..answer.clone() };
    assert!(!page::html(&hostile, "hogwash").contains("<script"));
}

#[test]
fn a_year_is_drawn_from_frequencies_and_outcomes() {
    let curves = &SMALL_ANSWER.curves;
    let year = curves.year.as_ref().unwrap();
    // Half a feed a year, which takes the service whenever it comes: 1 − e^(−1/2) of the years have an hour or more.
    near(year.any, 1.0 - (-0.5_f64).exp(), 0.05);
    assert!(year.exceeded.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{:?}", year.exceeded);
    let [queue] = &curves.down_at_once[..] else { panic!("{:?}", curves.down_at_once) };
    assert!(queue.correlated[2] > 1e5 * queue.formula[2], "{queue:?}");
    assert_eq!(curves.tornado[0].event, "feed lost");
    // Twice as many feeds, twice the hours, but for what coincidences add.
    near(curves.tornado[0].high, 4.0 * curves.tornado[0].low, 0.05);
}

#[test]
fn equal_seeds_give_an_equal_answer_and_an_interrupted_review_goes_on_without_loss() {
    let review = parse(SMALL).unwrap();
    let stack = stack();
    let study = Study::new(&review, stack.as_ref()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("runs.jsonl");
    let (first, again) = (Counter::default(), Counter::default());
    let stopped = run(&study, &review, Some(&ledger), &Counter::default(), true);
    assert!(study.answer(&stopped).unwrap().failed.iter().any(|why| why.contains("interrupted")));
    let whole = study.answer(&run(&study, &review, Some(&ledger), &first, false)).unwrap();
    // Killed in the middle of a line: what was whole is kept, the rest is run again, and the answer is the same.
    let text = std::fs::read_to_string(&ledger).unwrap();
    let lines = text.lines().count();
    std::fs::write(&ledger, &text[..text.len() - 40]).unwrap();
    let resumed = study.answer(&run(&study, &review, Some(&ledger), &again, false)).unwrap();
    assert_eq!(whole, resumed);
    assert_eq!(serde_json::to_string(&whole).unwrap(), serde_json::to_string(&resumed).unwrap());
    // The ledger's first line says which build made it.
    assert_eq!(lines as u64 - 1, first.ended.load(Ordering::Relaxed));
    assert_eq!(again.ended.load(Ordering::Relaxed), 1);
    assert_eq!(again.done_before.load(Ordering::Relaxed) + 1, again.runs.load(Ordering::Relaxed));
}

#[test]
fn mitigations_are_tried_on_the_same_seeds_and_the_floor_and_minimal_sets_name_the_feed() {
    let text = SMALL.replace(
        "[topology]",
        "mitigation-seeds = 2\nfloor = { seeds = 1, replicas = 3 }\nminimal-sets = { seeds = 1 }\n[topology]",
    ) + r#"
        [[mitigation]]
        name = "a feed each"
        why = "Placement."
        nodes = { queue = { domains = { power = "spread:3" } } }
    "#;
    let answer = answer(&text);
    let [placed] = &answer.mitigations[..] else { panic!("{:?}", answer.mitigations) };
    assert_eq!((placed.names.as_slice(), placed.pairs), (&["a feed each".to_owned()][..], 8));
    // The feed's half hour a year is gone; feed A still takes one replica, which the others survive.
    let before = placed.down_hours_before.value().unwrap();
    near(placed.down_hours.value, -before, 0.05);
    assert!(placed.down_hours.interval.low >= -placed.down_hours_before.below().unwrap());
    let floor = answer.floors.iter().find(|floor| floor.claim == "three replicas are always up").unwrap();
    let steps: Vec<_> = floor.steps.iter().map(|step| (step.replicas, step.failures)).collect();
    assert_eq!(steps, [(1, 1), (2, 1), (3, 2)]);
    assert!(floor.steps[2].correlated.value().unwrap() > 50.0 * computed(&floor.steps[2].formula));
    let sets: Vec<(String, bool)> =
        answer.minimal_sets.iter().map(|set| (set.members.join("+"), set.down)).collect();
    assert!(sets.contains(&("power=A".to_owned(), true)), "{sets:?}");
    for pair in ["queue-1+queue-2", "queue-1+queue-3", "queue-2+queue-3"] {
        assert!(sets.contains(&(pair.to_owned(), true)), "{sets:?}");
    }
    assert!(!sets.iter().any(|(members, down)| *down && !members.contains('+') && !members.contains('=')));
}

#[test]
fn production_hours_prove_what_three_over_the_hours_says() {
    let text = SMALL.replace("[topology]", "production = { hours = 8766, source = \"a year\" }\n[topology]");
    let review = parse(&text).unwrap();
    assert_eq!(review.production.as_ref().map(|production| production.losses), Some(0));
    let stack = stack();
    let study = Study::new(&review, stack.as_ref()).unwrap();
    let nothing = run(&study, &review, None, &Counter::default(), true);
    let answer = study.answer(&nothing).unwrap();
    let loss = &answer.claims[0];
    let Figure::Below { below, .. } = loss.production.figure else { panic!("{:?}", loss.production) };
    // 3.69 is the exact two-sided bound after no event; within 8760 of 8766 hours.
    near(below, 1.0 - (-3.688_879_454 * 8_760.0 / 8_766.0_f64).exp(), 1e-6);
    // Downtime needs the hours that its outages took: none given, none bounded but by how long events last.
    let Figure::Below { below, reason, .. } = &answer.claims[1].production.figure else { panic!() };
    assert!(*below > 0.0 && reason.contains("as the events do on the mean"), "{reason}");
    near(loss.clean_hours_needed, 2.995_732_274 * 8_760.0 / 1e-6, 1e-5);
    // Nothing was run, so the simulated columns have no number rather than a zero.
    assert!(
        matches!(loss.correlated.figure, Figure::None { .. }) && loss.correlated.verdict == Verdict::Open
    );
}

#[test]
fn outages_of_production_bound_the_share_of_time_down() {
    let given = "production = { hours = 8766, outages = 4, down-hours = 2, source = \"a log\" }\n[topology]";
    let review = parse(&SMALL.replace("[topology]", given)).unwrap();
    let stack = stack();
    let study = Study::new(&review, stack.as_ref()).unwrap();
    let answer = study.answer(&run(&study, &review, None, &Counter::default(), true)).unwrap();
    let Figure::Estimated { value, interval, .. } = answer.claims[1].production.figure else { panic!() };
    near(value, 2.0 / 8_766.0, 1e-9);
    // 4 outages are 0.9 to 11 at 97.5 %, each of 0.18 to 2.1 h: both factors are wide, and nobody knows better.
    assert!(interval.low < value / 8.0 && interval.high > value * 8.0 && interval.low > 0.0, "{interval:?}");
}

#[test]
fn every_simulated_answer_names_a_plan_that_its_study_has() {
    let review = parse(include_str!("../files/whole-review.toml")).unwrap();
    let stack = stack();
    let study = Study::new(&review, stack.as_ref()).unwrap();
    let mut answer = study.answer(&run(&study, &review, None, &Counter::default(), false)).unwrap();
    let plans = study.plans_by_name();
    let count = answer.replays_mut().into_iter().filter(|name| plans.contains_key(name.as_str())).count();
    assert_eq!(count, answer.replays_mut().len());
    let floors: usize = answer.floors.iter().map(|floor| floor.steps.len()).sum();
    let [claims, events, mitigations] = [answer.claims.len(), answer.events.len(), answer.mitigations.len()];
    let least = 2 * claims + 2 * floors + events + mitigations + answer.contributors.len();
    assert!(count >= least + answer.minimal_sets.len(), "{count} of {least} and more");
    // Alone, the replicas of the floor are as often down as the sum says.
    let floor = answer.floors.iter().find(|floor| floor.claim == "three replicas are always up").unwrap();
    for step in &floor.steps {
        near(step.twin.value().unwrap(), computed(&step.formula), 0.25);
    }
    assert_eq!(floor.steps.iter().map(|step| step.replicas).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn built_in_reviews_are_found_by_name_and_are_those_of_the_repository() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reviews");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), library::BUILT_IN.len());
    for (name, text) in library::BUILT_IN {
        assert_eq!(std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap(), *text);
        for path in [(*name).to_owned(), format!("{name}.toml"), format!("reviews/{name}.toml")] {
            assert_eq!(library::find(Path::new(&path)).unwrap(), text.as_bytes());
        }
    }
    let error = library::find(Path::new("elsewhere/region.toml")).unwrap_err().to_string();
    assert!(error.contains("built-in reviews are `queue` and `region`"), "{error}");
}

#[test]
fn a_wrong_review_is_told_what_is_wrong_all_at_once() {
    let text = SMALL
        .replace("horizon = \"365d\"\n", "")
        .replace("role = \"queue\"\nfailures = 3", "role = \"quue\"\nfailures = 0")
        .replace("target = 1e-4", "target = 1.5")
        .replace("domain = \"power=A\"", "domain = \"power=B\"")
        .replace("per-year-each = 20", "per-year-each = 20\nper-year = 3\nsevere = true");
    insta::assert_snapshot!(parse(&text).unwrap_err());
}

#[test]
fn reviews_that_say_nothing_are_refused() {
    let head = "name = \"x\"\nwhy = \"y\"\nhorizon = \"365d\"\nseeds = 1\n";
    for (text, word) in [
        ("", "needs `name`"),
        (head, "needs `topology`"),
        (&format!("{head}topology = {{ scenario = \"steady/baselin\" }}"), "did you mean `steady/baseline`?"),
        (&format!("{head}topology = {{ scenario = \"steady/baseline\" }}"), "needs at least one `[[claim]]`"),
        (
            &format!("{head}topology = {{ scenario = \"steady/baseline\" }}"),
            "needs at least one `[[initiating-event]]`",
        ),
        (&SMALL.replace("rate = \"5/s\"", "rate = \"1/s\""), "too few to tell up from down"),
        (&SMALL.replace("count = 3", "count = 0"), "0 nodes of role `queue`"),
        (&SMALL.replace("fault = \"8s\"", "fault = \"4s\""), "too short"),
        (&SMALL.replace("seeds = 2", "seeds = 0"), "a whole number from 1"),
        (&SMALL.replace("per-year = 0.5", "per-year = 0"), "a number above 0"),
        (
            &SMALL.replace("name = \"process dies\"", "name = \"feed lost\""),
            "two initiating events are called",
        ),
        (&SMALL.replace("per-year = 0.5", "per-year-each = 0.5"), "drawn among several"),
        (&SMALL.replace("failures = 3", "failures = 4"), "a whole number from 1 to 3"),
        (&SMALL.replace("target = 1e-6", "target = 1e-6\nnode-unavailability = 1.5"), "a number from 0 to 1"),
        (&SMALL.replace("target = 1e-6", "target = -0.1"), "a number above 0, at most 1"),
        (&SMALL.replace("seeds = 2", "seeds = 2\nconfidence = 1"), "a number from 0.5 to 0.999999"),
        (
            &SMALL.replace("seeds = 2", "seeds = 2\nfloor = { seeds = 1, replicas = 0 }"),
            "a whole number from 1 to 32",
        ),
        (
            &SMALL.replace(
                "inject.crash = { role",
                "inject.loss = { probability = 1.5, to = \"all\", from = \"role=queue\" } #",
            ),
            "a number from 0 to 1",
        ),
        (
            &SMALL.replace(
                "seeds = 2",
                "seeds = 2\nproduction = { hours = 9, down-hours = 2, source = \"x\" }",
            ),
            "of which outages?",
        ),
        (
            &SMALL.replace("domain = \"power=A\"", "domain = \"pover\""),
            "no node has a domain of kind `pover`",
        ),
    ] {
        let error = parse(text).expect_err(word);
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn events_that_evidence_wrote_are_read_once_they_say_what_they_inject() {
    let log = "start,end,component,cause\n2024-01-01,2024-01-02,a,power\n2024-03-01,2024-03-02,b,power\n";
    let found = hogwash::review::evidence::evidence(log, "log.csv", &Default::default()).unwrap();
    let written = found.initiating_events_toml();
    let (head, _) = SMALL.split_once("[[initiating-event]]").unwrap();
    let error = parse(&format!("{head}{written}")).unwrap_err();
    assert!(error.contains("needs `inject`") && !error.contains("unknown"), "{error}");
    let whole = written.replace("source =", "inject.power-loss = { domain = \"power=A\" }\nsource =");
    let review = parse(&format!("{head}{whole}")).unwrap();
    assert_eq!(review.events[0].name, "power");
    assert!(review.events[0].rate.per_year_high.unwrap() > review.events[0].rate.per_year);
}

#[test]
fn every_review_of_the_repository_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reviews");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        let review = Review::parse(&text, path.to_str().unwrap(), stack().as_ref());
        let review = review.unwrap_or_else(|error| panic!("{error}"));
        assert!(review.events.iter().all(|event| !event.source.is_empty()));
        found += 1;
    }
    assert!(found > 0);
}

fn hogwash(store: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
    command.arg("--store").arg(store).args(arguments).output().unwrap()
}

#[test]
fn the_review_is_told_in_json_and_its_worst_run_can_be_replayed() {
    let store = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/review.toml");
    let output = hogwash(store.path(), &["review", file.to_str().unwrap(), "--message-format", "json"]);
    // Nothing is missed with so few runs: every column is open.
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["v"], &line["type"]), (&1.into(), &"review-finished".into()));
    let plan = line["events"][0]["replay"].as_str().unwrap().to_owned();
    let again = hogwash(store.path(), &["review", file.to_str().unwrap(), "--message-format", "json"]);
    assert_eq!(output.stdout, again.stdout, "the same seeds, the same bytes");
    let replayed = hogwash(store.path(), &["replay", &plan]);
    assert!(matches!(replayed.status.code(), Some(0 | 1)), "{replayed:?}");
    let checked = hogwash(store.path(), &["check", file.to_str().unwrap()]);
    assert!(String::from_utf8(checked.stdout).unwrap().ends_with("a review without problems\n"));
    let wrong = hogwash(store.path(), &["review", "nowhere.toml"]);
    assert_eq!(wrong.status.code(), Some(2));
}
