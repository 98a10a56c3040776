//! The templates for other people's CI: they are YAML, the commands in them are hogwash's, and the Slurm script's tasks
//! together make a whole batch.
#![cfg(unix)]

use clap::Parser as _;
use hogwash::cli::Cli;
use serde_yaml_ng::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/templates")
}

/// All texts in a YAML value, at any depth.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Sequence(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Mapping(values) => values.iter().for_each(|(_, value)| texts(value, found)),
        _ => {}
    }
}

/// The calls of hogwash in a script, with what its variables stand for.
fn calls(script: &str) -> Vec<Vec<String>> {
    let variables = [
        ("${PUBLISH:+--publish \"$PUBLISH/$shard\"}", "--publish s3://bucket/2"),
        ("${{ github.sha }}", "0123456789abcdef0123"),
        ("$CI_COMMIT_SHA", "0123456789abcdef0123"),
        ("${{ matrix.shard }}", "2"),
        ("$CI_NODE_INDEX", "2"),
        ("$CI_NODE_TOTAL", "4"),
        ("$SLURM_ARRAY_TASK_COUNT", "64"),
        ("${SLURM_CPUS_PER_TASK:-1}", "2"),
        ("${SCENARIOS:-}", ""),
        ("$SEEDS", "1000000"),
        ("$STORE", "store"),
        ("$shard", "2"),
        ("$run", "latest"),
        ("\"", ""),
    ];
    let script = variables.iter().fold(script.to_owned(), |text, (name, value)| text.replace(name, value));
    let commands = script.split(['\n', ';']).filter_map(|line| {
        let line = line.trim().trim_start_matches("do ").trim_start_matches("exec ");
        line.strip_prefix("$HOGWASH ").or_else(|| line.strip_prefix("/hogwash "))
    });
    commands.map(|command| command.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn the_templates_are_yaml_and_their_commands_are_ours() {
    for (name, verbs) in [
        ("github.yml", ["fuzz", "report", "merge"].as_slice()),
        ("gitlab.yml", &["fuzz", "report", "merge"]),
        ("kubernetes.yaml", &["fuzz"]),
        ("slurm.sh", &["fuzz"]),
    ] {
        let text = std::fs::read_to_string(templates().join(name)).unwrap();
        let scripts = if name.ends_with(".sh") {
            vec![text]
        } else {
            let mut found = Vec::new();
            texts(
                &serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")),
                &mut found,
            );
            found
        };
        let found: Vec<_> = scripts.iter().flat_map(|script| calls(script)).collect();
        assert_eq!(found.iter().map(|call| call[0].as_str()).collect::<Vec<_>>(), verbs, "{name}");
        for call in found {
            assert!(!call.iter().any(|word| word.contains('$')), "{name}: what stands for this? {call:?}");
            let words = std::iter::once("hogwash").chain(call.iter().map(String::as_str));
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn the_pods_of_the_job_are_the_shards_of_the_batch() {
    let text = std::fs::read_to_string(templates().join("kubernetes.yaml")).unwrap();
    let job: Value = serde_yaml_ng::from_str(&text).unwrap();
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"], Value::from("Indexed"));
    assert_eq!(spec["completions"], Value::from(64));
    let script = spec["template"]["spec"]["containers"][0]["args"][0].as_str().unwrap();
    assert!(script.contains("--shard $shard/64 "), "{script}");
}

#[test]
fn the_tasks_of_the_array_make_a_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files/feed.toml");
    let task = |number: u32| {
        let mut command = Command::new("sh");
        command.arg(templates().join("slurm.sh")).current_dir(folder.path());
        command.env("HOGWASH", env!("CARGO_BIN_EXE_hogwash")).env("SCENARIOS", &scenario).env("SEEDS", "4");
        command.env("SLURM_ARRAY_TASK_ID", number.to_string()).env("SLURM_ARRAY_TASK_COUNT", "2");
        command.env("SLURM_CPUS_PER_TASK", "1").output().unwrap()
    };
    let merge = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hogwash"));
        let stores =
            std::fs::read_dir(folder.path().join("store")).unwrap().map(|entry| entry.unwrap().path());
        command.arg("merge").args(stores).output().unwrap()
    };
    assert!(task(1).status.success());
    assert_eq!(merge().status.code(), Some(2), "a task is missing");
    assert!(task(2).status.success());
    let merged = merge();
    assert!(merged.status.success(), "{}", String::from_utf8_lossy(&merged.stderr));
    assert!(String::from_utf8(merged.stdout).unwrap().starts_with("4 runs: 4 held"));
}
