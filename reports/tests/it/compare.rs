//! Two runs side by side, and the verbs that read stored runs.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and reads the machine's disk"
)]

use crate::kept;

use hogwash::compare::Comparison;
use std::process::{Command, Output};

fn hogwash(store: &tempfile::TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
    command
        .arg("--store")
        .arg(store.path())
        .args(arguments)
        .env_remove("GITHUB_STEP_SUMMARY")
        .output()
        .unwrap()
}

#[test]
fn a_run_is_equal_to_itself() {
    let store = tempfile::tempdir().unwrap();
    let run = kept::keep(store.path(), &kept::plan(), kept::LOST);
    let comparison = Comparison::of(&run, &run).unwrap();
    assert!(comparison.same_history && comparison.same_verdicts);
    let lines = comparison.lines();
    assert!(!lines.iter().any(|line| line.contains("differs")), "{lines:#?}");
    assert!(lines.contains(&"the histories are equal, bit for bit".to_owned()));
    assert!(lines.contains(&"the plans are equal".to_owned()));
}

#[test]
fn a_run_and_the_same_with_its_safeguard_on_part_where_the_power_is_lost() {
    let store = tempfile::tempdir().unwrap();
    let unsafe_run = kept::keep(store.path(), &kept::plan(), kept::LOST);
    let mut plan = kept::plan();
    plan.settings.clear();
    plan.faults[0].end_ns = 4_000_000_000;
    plan.expect.clear();
    plan.nodes.push(sim::plan::NodePlan { name: "worker-2".to_owned(), ..plan.nodes[2].clone() });
    let saved = kept::LOST
        .replace("unsynced_bytes=4096", "unsynced_bytes=0")
        .replace("8s client-1 submit id=0.2 attempt=2\n", "")
        .replace(
            "9s client-1 give-up id=0.2",
            "4s queue-1 finish id=0.2 position=4 output=b2\n4.1s client-1 receive id=0.2 output=b2",
        );
    let safe_run = kept::keep(store.path(), &plan, &saved);
    let comparison = Comparison::of(&unsafe_run, &safe_run).unwrap();
    assert!(!comparison.same_verdicts && !comparison.same_history);
    let text = comparison.lines().join("\n");
    let text = text
        .replace(&unsafe_run.capsule.digest[..16], "DIGEST-A........")
        .replace(&safe_run.capsule.digest[..16], "DIGEST-B........");
    insta::assert_snapshot!(text);
    let json = comparison.json();
    assert_eq!(
        (&json["v"], &json["type"], &json["same-verdicts"]),
        (&1.into(), &"compared".into(), &false.into())
    );
    assert_eq!(json["first-difference"]["equal"], 18);
    assert_eq!(json["b"]["latency-ns"]["max-ns"], 2_200_000_000_u64);
    assert!(
        json["plan"].as_array().unwrap().iter().any(|one| one["place"] == "fault.power-loss-1.end"),
        "{}",
        json["plan"]
    );
}

#[test]
fn runs_of_one_plan_are_equal_and_of_another_seed_are_not() {
    let store = tempfile::tempdir().unwrap();
    let mut plan = kept::plan();
    let (one, again) = (kept::run(&store.path().join("a"), &plan), kept::run(&store.path().join("b"), &plan));
    assert!(Comparison::of(&one, &again).unwrap().same_history);
    plan.seed += 1;
    let other = kept::run(&store.path().join("b"), &plan);
    let comparison = Comparison::of(&one, &other).unwrap();
    assert!(!comparison.same_history);
    assert!(
        comparison.lines().iter().any(|line| line == "  seed: A has 7, B has 8"),
        "{:#?}",
        comparison.lines()
    );
}

#[test]
fn compare_ends_with_one_where_verdicts_differ_and_with_zero_where_they_do_not() {
    let store = tempfile::tempdir().unwrap();
    let broken = kept::keep(store.path(), &kept::plan(), kept::LOST);
    let mended =
        kept::LOST.replace("9s client-1 give-up id=0.2", "9s queue-1 finish id=0.2 position=4 output=b2");
    let whole = kept::keep(store.path(), &kept::plan(), &mended);
    let [broken, whole] = [broken, whole].map(|run| run.folder.to_str().unwrap().to_owned());
    let output = hogwash(&store, &["compare", &broken, &whole]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = hogwash(&store, &["compare", &broken, &broken, "--message-format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["same-history"], true);
    let output = hogwash(&store, &["compare", &broken, "nowhere"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("`nowhere`"), "{output:?}");
}

#[test]
fn report_writes_a_page_beside_its_run_and_all_else_to_stdout() {
    let store = tempfile::tempdir().unwrap();
    let run = kept::keep(store.path(), &kept::plan(), kept::LOST);
    let output = hogwash(&store, &["report", "latest"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(std::path::Path::new(page.trim()), run.folder.join("report.html"));
    assert!(std::fs::read_to_string(page.trim()).unwrap().starts_with("<!doctype html>"));
    for (format, beginning) in
        [("perfetto", "{\""), ("junit", "<?xml"), ("json", "{\""), ("github", "::notice")]
    {
        let output = hogwash(&store, &["report", "latest", "--format", format]);
        assert!(
            output.status.success() && output.stdout.starts_with(beginning.as_bytes()),
            "{format}: {output:?}"
        );
        let file = store.path().join("output");
        let output =
            hogwash(&store, &["report", "latest", "--format", format, "--output", file.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        assert!(std::fs::read(file).unwrap().starts_with(beginning.as_bytes()));
    }
}

#[test]
fn within_a_workflow_the_summary_is_added_to_what_is_there() {
    let store = tempfile::tempdir().unwrap();
    kept::keep(store.path(), &kept::plan(), kept::LOST);
    let summary = store.path().join("summary.md");
    std::fs::write(&summary, "before\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
    command.arg("--store").arg(store.path()).args(["report", "latest", "--format", "github"]);
    assert!(command.env("GITHUB_STEP_SUMMARY", &summary).output().unwrap().status.success());
    let text = std::fs::read_to_string(summary).unwrap();
    assert!(text.starts_with("before\n### test/lost, seed 7\n"), "{text}");
}
