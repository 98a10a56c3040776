//! From a failing run to its smallest form and why it fails, by the binary as a person calls it.
#![cfg(not(live))]
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
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/feed.toml");
        self.says(&["run", scenario.to_str().unwrap(), "--variant", "unsafe"], 1);
        self.store().runs().pop().unwrap().folder
    }
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
