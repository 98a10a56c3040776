//! The forms that other tools read: each is held to what its reader demands.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::kept;

use hogwash::forms::{github, json, junit, perfetto};
use hogwash::past::PastRun;
use roxmltree::{Document, Node};
use scenarios::expectation::Judgement;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const REPRODUCE: &str = "hogwash replay RUN-DIR";

fn lost(store: &tempfile::TempDir) -> PastRun {
    kept::keep(store.path(), &kept::plan(), kept::LOST)
}

fn trace(run: &PastRun) -> (Value, Vec<Value>) {
    let trace: Value = serde_json::from_str(&perfetto::trace(run)).unwrap();
    let events = trace["traceEvents"].as_array().unwrap().clone();
    (trace, events)
}

/// What the "Trace Event Format" of Chrome demands of an event of each phase that is written here.
fn check_event(event: &Value) {
    let text = |name: &str| assert!(event[name].is_string(), "{name} is no text: {event}");
    let number =
        |name: &str| assert!(event[name].as_f64().is_some_and(|number| number >= 0.0), "{name}: {event}");
    text("name");
    number("pid");
    number("tid");
    let known: &[&str] = match event["ph"].as_str().unwrap() {
        "M" => {
            assert!(
                ["process_name", "process_sort_index", "thread_name", "thread_sort_index"]
                    .contains(&event["name"].as_str().unwrap())
            );
            let argument =
                if event["name"].as_str().unwrap().ends_with("_name") { "name" } else { "sort_index" };
            assert!(event["args"].get(argument).is_some(), "{event}");
            &["args"]
        }
        "X" => {
            number("ts");
            number("dur");
            &["ts", "dur", "cat", "args"]
        }
        "b" | "e" => {
            number("ts");
            text("cat");
            text("id");
            &["ts", "cat", "id", "args"]
        }
        "s" => {
            number("ts");
            number("id");
            &["ts", "cat", "id"]
        }
        "f" => {
            number("ts");
            number("id");
            assert_eq!(event["bp"], "e", "it ends in the slice around it: {event}");
            &["ts", "cat", "id", "bp"]
        }
        "i" => {
            number("ts");
            assert!(["g", "p", "t"].contains(&event["s"].as_str().unwrap()));
            &["ts", "cat", "s", "args"]
        }
        other => panic!("the phase `{other}` is not of those that are written"),
    };
    for (field, value) in event.as_object().unwrap() {
        assert!(
            ["name", "ph", "pid", "tid"].contains(&field.as_str()) || known.contains(&field.as_str()),
            "{field}: {event}"
        );
        assert!(field != "args" || value.is_object(), "{event}");
    }
}

#[test]
fn a_trace_is_of_the_trace_event_format() {
    let store = tempfile::tempdir().unwrap();
    let (trace, events) = trace(&lost(&store));
    let top: BTreeSet<&str> = trace.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(top, BTreeSet::from(["displayTimeUnit", "otherData", "traceEvents"]));
    assert!(["ms", "ns"].contains(&trace["displayTimeUnit"].as_str().unwrap()));
    assert!(events.len() > 30);
    events.iter().for_each(check_event);
}

#[test]
fn slices_of_a_thread_nest_and_asynchronous_ones_end() {
    let store = tempfile::tempdir().unwrap();
    check_slices(&lost(&store));
    check_slices(&kept::run(store.path(), &kept::plan()));
}

fn check_slices(run: &PastRun) {
    let (_, events) = trace(run);
    events.iter().for_each(check_event);
    let mut threads: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    // Microseconds with nanoseconds behind the point, which their sums miss by a little.
    let to_ns = |microseconds: f64| (microseconds * 1000.0).round();
    let mut open: BTreeMap<String, i32> = BTreeMap::new();
    for event in &events {
        let id = format!("{}{}", event["cat"], event["id"]);
        match event["ph"].as_str().unwrap() {
            "X" => {
                let (at, length) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
                threads
                    .entry(event["tid"].as_u64().unwrap())
                    .or_default()
                    .push((to_ns(at), to_ns(at + length)));
            }
            "b" | "s" => *open.entry(id).or_default() += 1,
            "e" | "f" => *open.entry(id).or_default() -= 1,
            _ => {}
        }
    }
    assert!(open.values().all(|count| *count == 0), "what begins, ends: {open:?}");
    for slices in threads.values() {
        for (index, one) in slices.iter().enumerate() {
            for other in &slices[index + 1..] {
                let apart = one.1 <= other.0 || other.1 <= one.0;
                let within = one.0 <= other.0 && other.1 <= one.1 || other.0 <= one.0 && one.1 <= other.1;
                assert!(apart || within, "{one:?} and {other:?} overlap in part");
            }
        }
    }
}

#[test]
fn a_trace_has_the_fault_the_outage_and_the_request_that_was_lost() {
    let store = tempfile::tempdir().unwrap();
    let (_, events) = trace(&lost(&store));
    let find = |phase: &str, name: &str| {
        events
            .iter()
            .find(|event| event["ph"] == phase && event["name"] == name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(find("b", "power-loss-1")["ts"], 2e6);
    assert_eq!(find("e", "power-loss-1")["ts"], 3e6);
    let down = find("X", "down: power-loss");
    assert_eq!((&down["ts"], &down["dur"]), (&Value::from(2e6), &Value::from(1e6)));
    let threads = events.iter().filter(|event| event["name"] == "thread_name");
    let names: BTreeMap<u64, &str> = threads
        .map(|event| (event["tid"].as_u64().unwrap(), event["args"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(names[&down["tid"].as_u64().unwrap()], "queue-1");
    let requests = events.iter().filter(|event| event["cat"] == "request" && event["ph"] == "e");
    let endings: BTreeMap<_, _> = requests
        .map(|event| (event["args"]["request"].as_str().unwrap(), event["args"]["ending"].as_str().unwrap()))
        .collect();
    assert_eq!(endings, BTreeMap::from([("0.1", "receive"), ("0.2", "give-up")]));
    assert_eq!(find("i", "delivery broken")["ts"], 2e7);
    assert!(events.iter().filter(|event| event["ph"] == "s").count() >= 6, "arrows of both requests");
}

/// The elements and attributes of the JUnit schema that Jenkins and others read.
fn check_junit(node: Node<'_, '_>) {
    let (attributes, children): (&[&str], &[&str]) = match node.tag_name().name() {
        "testsuites" => (&["name", "tests", "failures", "errors", "time", "disabled"], &["testsuite"]),
        "testsuite" => (
            &[
                "name",
                "tests",
                "failures",
                "errors",
                "skipped",
                "time",
                "disabled",
                "timestamp",
                "hostname",
                "id",
                "package",
            ],
            &["properties", "testcase", "system-out", "system-err"],
        ),
        "properties" => (&[], &["property"]),
        "property" => (&["name", "value"], &[]),
        "testcase" => (
            &["name", "classname", "time", "assertions", "status"],
            &["skipped", "error", "failure", "system-out", "system-err"],
        ),
        "failure" | "error" => (&["type", "message"], &[]),
        "skipped" => (&["message"], &[]),
        "system-out" | "system-err" => (&[], &[]),
        other => panic!("the schema has no `{other}`"),
    };
    for attribute in node.attributes() {
        assert!(attributes.contains(&attribute.name()), "{attribute:?} of {}", node.tag_name().name());
    }
    let names = node.children().filter(Node::is_element).map(|child| child.tag_name().name());
    let places: Vec<_> = names.map(|name| children.iter().position(|known| *known == name)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "in the schema's order: {places:?}");
    node.children().filter(Node::is_element).for_each(check_junit);
}

#[test]
fn junit_keeps_to_its_schema_and_counts_what_it_holds() {
    let store = tempfile::tempdir().unwrap();
    let mut run = lost(&store);
    let hostile = "a <b> & \"c\" ]]> \u{1} 'd'".to_owned();
    run.capsule.judgements.insert("delivery".to_owned(), Judgement::Unexpected);
    run.capsule.violations[0].evidence.push(hostile.clone());
    run.capsule.scenario = hostile;
    let xml = junit::xml(&run, REPRODUCE);
    let document = Document::parse(&xml).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    check_junit(root);
    let suite = root.first_element_child().unwrap();
    let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
    for (attribute, name) in
        [("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped"), ("errors", "error")]
    {
        assert_eq!(suite.attribute(attribute).unwrap().parse(), Ok(count(name)), "{attribute}");
    }
    assert_eq!((count("testcase"), count("failure")), (run.capsule.verdicts.len(), 1));
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failure.attribute("message"), Some("request 0.2 was acknowledged at 1.902s and is not done"));
    assert!(
        failure.text().unwrap().contains("]]> \u{fffd} 'd'"),
        "what XML cannot hold is replaced, all else is kept"
    );
}

#[test]
fn a_violation_that_is_expected_fails_no_case() {
    let store = tempfile::tempdir().unwrap();
    let xml = junit::xml(&lost(&store), REPRODUCE);
    let document = Document::parse(&xml).unwrap();
    assert!(!document.descendants().any(|node| node.has_tag_name("failure")));
    assert!(xml.contains("request 0.2 was acknowledged"), "and is said all the same");
}

#[test]
fn github_is_told_in_its_own_words() {
    let store = tempfile::tempdir().unwrap();
    let mut run = lost(&store);
    run.capsule.judgements.insert("delivery".to_owned(), Judgement::Unexpected);
    let mut second = run.capsule.violations[0].clone();
    second.invariant = "agreement".to_owned();
    run.capsule.verdicts.insert("agreement".to_owned(), invariants::Verdict::Violated);
    second.message = "100 % of a, b: c::d\r\nand `e` | <f>".to_owned();
    run.capsule.violations.push(second);
    run.capsule.judgements.insert("agreement".to_owned(), Judgement::Expected);
    run.capsule.judgements.retain(|law, _| ["delivery", "agreement"].contains(&law.as_str()));
    run.capsule.verdicts.retain(|law, _| ["delivery", "agreement"].contains(&law.as_str()));
    let annotations = github::annotations(&run, REPRODUCE);
    insta::assert_snapshot!(format!("{annotations}---\n{}", github::summary(&run, REPRODUCE)));
    run.capsule.scenario = "correlated/shared-power-loss".to_owned();
    let annotations = github::annotations(&run, REPRODUCE);
    assert!(
        annotations.starts_with("::error file=scenarios/correlated/shared-power-loss.toml,title="),
        "{annotations}"
    );
}

#[test]
fn github_is_told_no_more_than_it_shows() {
    let store = tempfile::tempdir().unwrap();
    let mut run = lost(&store);
    let violation = run.capsule.violations[0].clone();
    run.capsule.violations = vec![violation; 25];
    let annotations = github::annotations(&run, REPRODUCE);
    assert_eq!(annotations.lines().count(), 10);
    assert!(
        annotations.ends_with("::notice::16 violations more are in the run's result.json\n"),
        "{annotations}"
    );
}

#[test]
fn the_json_line_is_that_of_the_run_with_its_ledger() {
    let store = tempfile::tempdir().unwrap();
    let run = lost(&store);
    let text = json::report(&run);
    assert_eq!(text.lines().count(), 1);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["type"], &line["v"], &line["seed"]), (&"run-finished".into(), &1.into(), &7.into()));
    assert_eq!(line["verdicts"]["delivery"], "violated");
    assert_eq!((&line["ledger"]["acknowledged"], &line["ledger"]["done"]), (&2.into(), &1.into()));
    assert_eq!(line["ledger"]["missing"][0]["id"], "0.2");
    assert_eq!(line["latency-ns"]["max-ns"], 103_000_000);
    assert!(std::path::Path::new(line["plan"].as_str().unwrap()).is_file());
}
