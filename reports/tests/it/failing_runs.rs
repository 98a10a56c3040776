//! From a failing run to its smallest form and why it fails, by the binary as a person calls it.
#![expect(clippy::disallowed_methods, reason = "tests write files of the machine")]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use scenarios::store::Store;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder to work in, so that nothing of the repository is touched.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> Store {
        Store::new(self.0.path().join("target/hogwash"))
    }

    fn hogwash(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
        command.args(arguments).current_dir(self.0.path()).env_remove("NO_COLOR").output().unwrap()
    }

    /// What it writes to stdout, having ended with `code`.
    fn says(&self, arguments: &[&str], code: i32) -> String {
        let output = self.hogwash(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}{errors}");
        text
    }

    /// The only run in its store, which fails: three replicas on one feed, acknowledging from memory.
    fn failing(&self) -> PathBuf {
        self.says(&["run", scenario().to_str().unwrap(), "--variant", "unsafe"], 1);
        self.store().runs().pop().unwrap().folder
    }
}

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/feed.toml")
}

/// `text` with `N` for each number and digest, which change with every change of the world or the stack.
fn without_numbers(text: &str) -> String {
    let is_number = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
    let is_digest = |word: &str| word.len() >= 8 && word.chars().all(|letter| letter.is_ascii_hexdigit());
    let mut masked = String::new();
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        if letter.is_ascii_alphanumeric() || letter == '.' {
            word.push(letter);
            continue;
        }
        let known = if is_number(&word) || is_digest(&word) { "N" } else { &word };
        masked.push_str(known);
        masked.push(letter);
        word.clear();
    }
    masked.trim_end().to_owned()
}

fn last_line(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn shrinking_says_why_what_is_left_fails_and_keeps_it() {
    let place = Place::new();
    let run = place.failing();
    let text = place.says(&["shrink", run.to_str().unwrap(), "--jobs", "1"], 0);
    insta::assert_snapshot!("shrink", without_numbers(&text));
    let kept = text.lines().last().unwrap().rsplit(' ').next().unwrap();
    let stored = place.store().find(place.0.path().join(kept).to_str().unwrap()).unwrap();
    let explanation = stored.explanation().unwrap().unwrap();
    assert_eq!((explanation.v, explanation.invariant.as_str()), (1, "agreement"));
    assert!(explanation.lines().iter().all(|line| text.contains(line)));
    // The run that was shrunk was not explained.
    assert_eq!(scenarios::store::StoredRun { folder: run }.explanation().unwrap(), None);

    let quiet = place.says(&["shrink", kept, "--no-explain"], 0);
    insta::assert_snapshot!("shrink-without-explanation", without_numbers(&quiet));
}

#[test]
fn any_failing_run_or_plan_is_explained_and_others_are_refused() {
    let place = Place::new();
    let run = place.failing();
    let plan = run.join("plan.toml");
    let text = place.says(&["explain", run.to_str().unwrap(), "--message-format", "json"], 0);
    let explained = last_line(&text);
    assert_eq!(explained["type"], "explained");
    assert_eq!(explained["faults"][0]["passes"], true);
    assert_eq!(explained["safeguards"][0]["setting"], "queue.durability");
    let stored = scenarios::store::StoredRun { folder: run.clone() };
    let explanation = stored.explanation().unwrap().unwrap();
    assert_eq!(serde_json::to_value(&explanation.no_return).unwrap(), explained["no-return"]);

    // A plan by itself is run first, and explained where it is kept then.
    let alone = place.0.path().join("alone.toml");
    std::fs::copy(&plan, &alone).unwrap();
    let other = place.0.path().join("other");
    let text = place.says(&["explain", alone.to_str().unwrap(), "--store", other.to_str().unwrap()], 0);
    assert!(text.contains("why agreement is broken:"), "{text}");
    let kept = Store::new(&other).runs().pop().unwrap();
    assert_eq!(kept.explanation().unwrap(), Some(explanation));

    let of_version_2 =
        std::fs::read_to_string(run.join("explanation.json")).unwrap().replace("\"v\": 1", "\"v\": 2");
    std::fs::write(run.join("explanation.json"), of_version_2).unwrap();
    let error = stored.explanation().unwrap_err().to_string();
    assert!(error.contains("it is of version 2, this hogwash reads 1: explain the run again"), "{error}");

    let held = std::fs::read_to_string(&plan).unwrap().replace("= \"memory\"", "= \"disk\"");
    std::fs::write(&alone, held).unwrap();
    let output = place.hogwash(&["explain", alone.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no law is broken in this run"), "{error}");
}

#[test]
fn a_replay_says_what_made_the_recorded_run_and_is_no_longer_so() {
    let place = Place::new();
    let run = place.0.path().join("of-old");
    std::fs::rename(place.failing(), &run).unwrap();
    let replay = ["replay", run.to_str().unwrap()];
    let text = place.says(&replay, 1);
    assert!(text.contains("same history: digest ") && !text.contains("note: "), "{text}");

    let capsule = run.join("result.json");
    let before = std::fs::read_to_string(&capsule).unwrap();
    let mut old: Value = serde_json::from_str(&before).unwrap();
    old["provenance"]["hogwash"] = "0.0.9".into();
    old["provenance"]["toolchain"] = "rustc 1.89.0".into();
    old["provenance"]["target"] = "sparc-sun-solaris".into();
    old["provenance"]["lock-digest"] = "0123456789abcdef".into();
    std::fs::write(&capsule, old.to_string()).unwrap();
    let text = place.says(&replay, 1);
    for words in [
        concat!("note: hogwash: ", env!("CARGO_PKG_VERSION"), " now, 0.0.9 when it was recorded"),
        ", rustc 1.89.0 when it was recorded",
        ", sparc-sun-solaris when it was recorded",
        ", 0123456789abcdef when it was recorded",
        "same history: digest ",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }

    // Another history of it was recorded, as by a version in which the code was another.
    old["digest"] = "0".repeat(64).into();
    std::fs::write(&capsule, old.to_string()).unwrap();
    let text = place.says(&replay, 3);
    assert!(text.contains("that alone may change a history"), "{text}");
    assert!(text.contains("the violation that was recorded is there again: agreement-"), "{text}");
    let json = place.says(&[&replay[..], &["--message-format", "json"]].concat(), 3);
    let compared: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&compared["type"], &compared["result"]), (&"replay-compared".into(), &"different".into()));
    assert_eq!(compared["changed"][0]["what"], "hogwash");
    assert_eq!(last_line(&json)["type"], "run-finished");
}

#[test]
fn a_plan_of_another_version_and_one_that_was_edited_are_not_replayed_as_what_they_are_not() {
    let place = Place::new();
    let run = place.failing();
    let plan = run.join("plan.toml");
    let text = std::fs::read_to_string(&plan).unwrap();
    std::fs::write(&plan, text.replace("seed = 0", "seed = 1")).unwrap();
    let said = place.says(&["replay", run.to_str().unwrap()], 1);
    assert!(said.contains("nothing was recorded to compare with"), "{said}");
    std::fs::write(&plan, text.replace("version = 1", "version = 2")).unwrap();
    for verb in ["replay", "shrink", "explain"] {
        let output = place.hogwash(&[verb, run.to_str().unwrap()]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains("this plan is of version 2") && error.contains("this hogwash reads version 1"),
            "{error}"
        );
    }
}

#[test]
fn what_was_shrunk_and_saved_is_what_fuzz_runs_first() {
    let place = Place::new();
    let run = place.failing();
    let said = place.says(&["shrink", run.to_str().unwrap(), "--save", "--no-explain"], 0);
    let saved = said.lines().find_map(|line| line.trim().strip_prefix("saved as ")).unwrap();
    assert!(saved.starts_with("scenarios/regressions/tests-feed-agreement-"), "{said}");
    let text = std::fs::read_to_string(place.0.path().join(saved)).unwrap();
    assert!(text.starts_with("# agreement: ") && text.contains("\nversion = 1\n"), "{text}");

    let scenario = scenario();
    let fuzz =
        ["fuzz", scenario.to_str().unwrap(), "--seeds", "2", "--jobs", "1", "--message-format", "json"];
    let said = place.says(&fuzz, 0);
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let order: Vec<&str> = lines.iter().filter_map(|line| line["scenario"].as_str()).collect();
    assert_eq!(order, [saved, "tests/feed", "tests/feed"]);
    assert_eq!(lines[0]["verdicts"]["agreement"], "violated");
    // It was saved from a variant that is meant to fail; where it no longer does, the batch says so.
    assert_eq!(lines.last().unwrap()["expected"], 1);
    let mended = text.replace("\"memory\"", "\"disk\"");
    std::fs::write(place.0.path().join(saved), mended).unwrap();
    let said = place.says(&fuzz, 1);
    assert_eq!(last_line(&said)["missing"][0][1], "agreement", "{said}");

    std::fs::write(place.0.path().join(saved), text.replace("version = 1", "version = 2")).unwrap();
    let output = place.hogwash(&fuzz);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("this plan is of version 2"));
}
