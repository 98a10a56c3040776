//! The built-in scenarios: all there, all right, all with a reason.

use crate::support::Named;
use hogwash_scenarios as scenarios;
use scenarios::library;
use std::path::Path;

#[test]
fn every_scenario_on_disk_is_built_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let areas = root.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let skipped = ["src", "tests", "regressions", "benches", "examples"].map(|name| root.join(name));
    for area in areas.filter(|path| path.is_dir() && !skipped.contains(path)) {
        for file in area.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.strip_prefix(root).unwrap().with_extension("");
            found.push(name.to_str().unwrap().replace('\\', "/"));
        }
    }
    found.sort();
    let built_in: Vec<_> = library::BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, built_in, "the list in library.rs is in order of name and complete");
}

#[test]
fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
    let error = |name: &str| library::find(name, &Named).unwrap_err().to_string();
    assert_eq!(
        error("correlated/shared-powerloss"),
        "there is no scenario `correlated/shared-powerloss`: did you mean `correlated/shared-power-loss`?"
    );
    assert_eq!(error("leader-cut"), "there is no scenario `leader-cut`: did you mean `network/leader-cut`?");
    assert!(error("no/where.toml").starts_with("cannot read `no/where.toml`: "));
    assert!(error("banana").contains("hogwash list"));
}

#[test]
fn a_file_of_ones_own_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, crate::support::FULL).unwrap();
    assert_eq!(library::find(path.to_str().unwrap(), &Named).unwrap().name, "correlated/everything");
}
