//! The README's sessions, run: each `console` block's commands, in order, say what it shows. `…` stands for any text of a
//! line, or alone for any number of lines.
//!
//! The program under test is the debug build, or what `HOGWASH` names: CI names the release build, with which the sessions
//! that make many runs are tried too.
#![expect(clippy::unwrap_used, reason = "a test fails by its panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

const README: &str = include_str!("../../../README.md");
/// Verbs that make many runs: too slow for a debug build.
const LONG: [&str; 4] = ["fuzz", "shrink", "explain", "review"];

/// One command and what it prints on stdout.
#[derive(Debug)]
struct Session {
    /// The example that it runs; hogwash itself where it is none.
    example: Option<String>,
    arguments: Vec<String>,
    output: Vec<String>,
}

fn sessions() -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut within = false;
    for line in README.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            within = fence == "console";
        } else if let (true, Some(command)) = (within, line.strip_prefix("$ ")) {
            let (example, arguments) = arguments(command);
            sessions.push(Session { example, arguments, output: Vec::new() });
        } else if within {
            sessions.last_mut().expect("a console block begins with a command").output.push(line.to_owned());
        }
    }
    sessions
}

/// The example that a command runs, and what follows the program's name: `hogwash …`, or `cargo run --release -- …`.
fn arguments(command: &str) -> (Option<String>, Vec<String>) {
    let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
    let place = words.iter().position(|word| word == "--").map_or(words.len(), |place| place + 1);
    match words[0].as_str() {
        "hogwash" => (None, words[1..].to_vec()),
        "cargo" if words[..3] == ["cargo", "run", "--release"] => {
            let example =
                words.iter().position(|word| word == "--example").map(|flag| words[flag + 1].clone());
            (example, words[place..].to_vec())
        }
        _ => panic!("`{command}` is not hogwash: show it in another block than `console`"),
    }
}

/// Whether `lines` are what `patterns` show.
fn fits(patterns: &[String], lines: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..]))
        }
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, lines)| line_fits(first, line) && fits(rest, lines))
        }
    }
}

fn line_fits(pattern: &str, line: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('…') else { return pattern == line };
    let Some(rest) = line.strip_prefix(head) else { return false };
    rest.char_indices()
        .map(|(place, _)| place)
        .chain([rest.len()])
        .any(|place| line_fits(tail, &rest[place..]))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn the_readme_shows_what_its_commands_print() {
    let named = std::env::var_os("HOGWASH").map(|path| root().join(path));
    let program = named.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_hogwash").into());
    let sessions = sessions();
    assert!(!sessions.is_empty());
    // Stored runs have the paths that the README shows, wherever this test keeps them.
    let folder = tempfile::tempdir().unwrap();
    for sources in ["scenarios", "reports"] {
        std::os::unix::fs::symlink(root().join(sources), folder.path().join(sources)).unwrap();
    }
    for Session { example, arguments, output } in sessions {
        let long = example.is_none() && arguments.first().is_some_and(|verb| LONG.contains(&verb.as_str()));
        if named.is_none() && long {
            eprintln!(
                "skipped without HOGWASH, which names a release build: hogwash {}",
                arguments.join(" ")
            );
            continue;
        }
        // They are built with this test.
        let examples = Path::new(env!("CARGO_BIN_EXE_hogwash")).with_file_name("examples");
        let program = example.map_or_else(|| program.clone(), |name| examples.join(name));
        assert!(program.is_file(), "{} is not there", program.display());
        let ran = Command::new(program).args(&arguments).current_dir(folder.path()).output().unwrap();
        let printed = String::from_utf8(ran.stdout).unwrap();
        let lines: Vec<_> = printed.lines().collect();
        assert!(
            fits(&output, &lines),
            "hogwash {} prints\n{printed}\nand the README shows\n{}\n{}",
            arguments.join(" "),
            output.join("\n"),
            String::from_utf8_lossy(&ran.stderr),
        );
    }
}

/// The scenario that the README writes from an incident's text.
fn written() -> &'static str {
    let (_, rest) = README.split_once("## From an incident to a scenario").unwrap();
    let (_, block) = rest.split_once("```toml\n").unwrap();
    block.split_once("```").unwrap().0
}

#[test]
fn the_scenario_that_the_readme_writes_is_read_and_does_what_it_says() {
    let scenario =
        scenarios::scenario::Scenario::parse(written().as_bytes(), "README.md", &system::ImageStack);
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    let stack: std::sync::Arc<dyn sim::stack::Stack> = std::sync::Arc::new(system::ImageStack);
    let delivery = |variant: Option<&str>, seed| {
        let plan = scenarios::planner::plan(&scenario, stack.as_ref(), variant, seed, &[]).unwrap();
        let report = scenarios::runner::run(&plan, &stack, scenarios::runner::Options::default()).unwrap();
        report.laws.iter().find(|law| law.law.name == "delivery").unwrap().finding.verdict
    };
    let held = (0..2).all(|seed| delivery(None, seed) == invariants::Verdict::Held);
    assert!(held, "the default does not hold");
    let variant = Some(scenario.variants[0].name.as_str());
    let broken = (0..10).any(|seed| delivery(variant, seed) == invariants::Verdict::Violated);
    assert!(broken, "no seed of ten breaks the variant");
}

#[test]
fn a_line_fits_where_the_text_around_its_gaps_is_there() {
    assert!(line_fits("a … c", "a b c") && line_fits("a…", "a") && line_fits("…", "") && line_fits("x", "x"));
    assert!(!line_fits("a … c", "a b d") && !line_fits("x", "xy") && !line_fits("a…b", "ba"));
    let pattern = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(fits(&pattern(&["one", "…", "four"]), &["one", "two", "three", "four"]));
    assert!(!fits(&pattern(&["one", "…", "four"]), &["one", "two", "three"]) && !fits(&[], &["more"]));
}
