//! Every model can be asked by name, and no question makes it panic.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hogwash::review::calc::{self, AnswerValue, CalcAnswer, CalcError, Kind};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::{BTreeMap, BTreeSet};

fn arguments(text: &str) -> BTreeMap<String, String> {
    text.split_whitespace()
        .map(|word| word.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn ask(name: &str, text: &str) -> Result<CalcAnswer, CalcError> {
    calc::calc(name, &arguments(text))
}

#[track_caller]
fn refused(name: &str, text: &str) -> String {
    ask(name, text).expect_err(&format!("{name} {text}")).to_string()
}

fn value<'a>(answer: &'a CalcAnswer, name: &str) -> &'a AnswerValue {
    &answer.fields.iter().find(|field| field.name == name).unwrap().value
}

#[test]
fn every_model_answers_its_own_example_and_says_what_it_is() {
    let mut names = BTreeSet::new();
    for model in calc::models() {
        assert!(names.insert(model.name), "{} twice", model.name);
        let answer = ask(model.name, model.example).unwrap_or_else(|error| panic!("{}: {error}", model.name));
        assert!(!answer.fields.is_empty() && !model.source.is_empty() && !model.summary.is_empty());
        assert_eq!(answer.arguments.len(), model.arguments.len(), "{}: all arguments are shown", model.name);
        for argument in model.arguments {
            assert!(!argument.meaning.is_empty());
        }
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["model"], model.name);
        assert!(!json.to_string().contains("null"), "{json}");
    }
    assert!(names.len() >= 28);
}

#[test]
fn the_same_question_gives_the_same_answer() {
    for model in calc::models() {
        assert_eq!(ask(model.name, model.example), ask(model.name, model.example));
    }
}

#[test]
fn an_answer_shows_its_defaults() {
    let answer = ask("beta-factor", "failure=1% beta=0.05 nodes=2").unwrap();
    assert_eq!(answer.arguments["failures"], "2");
    assert_eq!(value(&answer, "too-many-fail"), &AnswerValue::Number(5.902_048_75e-4));
    let json = serde_json::to_value(&answer.fields[0]).unwrap();
    assert_eq!(
        json.to_string(),
        r#"{"name":"too-many-fail","unit":"1","value":{"kind":"number","value":0.000590204875}}"#
    );
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    assert_eq!(refused("all_fial", ""), "no model is called `all_fial`; did you mean `all-fail`?");
    assert!(refused("zzzzzzzz", "").contains("`hogwash calc` name all of them"));
    assert_eq!(
        refused("all-fail", "failure=0.1 replica=3"),
        "`all-fail` has no argument `replica`; did you mean `replicas`?"
    );
    assert_eq!(
        refused("all-fail", "failure=0.1 zzzzzzzzzzzz=3"),
        "`all-fail` has no argument `zzzzzzzzzzzz`; it takes `failure`, `replicas`"
    );
    assert_eq!(
        refused("all-fail", "failure=0.1"),
        "`all-fail` needs `replicas` (how many replicas); for example: hogwash calc all-fail failure=0.01 replicas=3"
    );
    assert_eq!(
        refused("replicas-with-repair", "replicas=3 mttf=1e5 mttr=24 repair=both"),
        "`repair=both`: expected one of parallel, serial"
    );
    assert_eq!(
        refused("all-fail", "failure=1.5 replicas=3"),
        "`all-fail`: `failure` is 1.5: it must be a probability between 0 and 1"
    );
}

#[test]
fn every_argument_of_every_model_refuses_what_no_model_can_mean() {
    let probabilities = [
        "failure",
        "beta",
        "letters",
        "alphas",
        "correlation",
        "availability",
        "rack-unavailability",
        "server-unavailability",
        "confidence",
        "quantile",
        "stages",
        "lost-share",
        "burst-takes",
        "all-fail",
    ];
    let never_none = ["replicas", "nodes", "replication", "trials", "racks", "level", "machines", "needed"];
    for model in calc::models() {
        for argument in model.arguments {
            let mut bad = vec!["", "NaN", "inf", "-1", "three"];
            if probabilities.contains(&argument.name) {
                bad.push("1.5");
            }
            if never_none.contains(&argument.name) {
                bad.push("0");
            }
            // An empty list is an error of the model, an empty word is not a number.
            for text in bad {
                let mut given = arguments(model.example);
                given.insert(argument.name.to_owned(), text.to_owned());
                let answer = calc::calc(model.name, &given);
                let may_be_empty = argument.name == "letters" || argument.name.starts_with("burst");
                let fine = text.is_empty() && may_be_empty;
                assert!(answer.is_err() || fine, "{} {}={text:?}: {answer:?}", model.name, argument.name);
            }
        }
    }
}

#[test]
fn nothing_seen_is_never_a_bare_zero() {
    for (name, text) in [
        ("clopper-pearson", "successes=0 trials=100"),
        ("wilson", "successes=0 trials=100"),
        ("garwood", "events=0 exposure=8760"),
    ] {
        let answer = ask(name, text).unwrap();
        assert_eq!(answer.fields.len(), 1);
        assert!(matches!(answer.fields[0].value, AnswerValue::Below(bound) if bound > 0.0), "{answer:?}");
    }
    let answer = ask("exponential", "failures=0 hours=8760").unwrap();
    assert!(matches!(answer.fields[..], [ref only] if matches!(only.value, AnswerValue::AtLeast(_))));
    // Too small to be written down is said, not rounded to none.
    assert!(refused("all-fail", "failure=1e-300 replicas=2").contains("too large or too small"));
    assert!(refused("overflow-before-empty", "arrivals=1 services=2 level=5000").contains("too small"));
}

/// Texts of all sorts: what people mean, what they mistype, and the ends of what numbers can hold.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (0_u64..70).prop_map(|count| count.to_string()),
        any::<u64>().prop_map(|count| count.to_string()),
        (0.0..1.0_f64).prop_map(|share| share.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        (-320..310_i32).prop_map(|exponent| format!("1e{exponent}")),
        (0.0..1000.0_f64).prop_map(|number| format!("{number}%")),
        prop::collection::vec(0.0..2.0_f64, 0..6)
            .prop_map(|list| { list.iter().map(f64::to_string).collect::<Vec<_>>().join(",") }),
        prop::collection::vec((0_u64..50, any::<bool>()), 0..12).prop_map(|list| {
            let word = |(time, ended): &(u64, bool)| format!("{time}{}", if *ended { "" } else { "+" });
            list.iter().map(word).collect::<Vec<_>>().join(",")
        }),
        "[a-z0-9.,+%-]{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_arguments_are_answered_or_refused_but_never_a_panic(
        which in any::<prop::sample::Index>(),
        words in prop::collection::vec(texts(), 12),
        kept in prop::collection::vec(prop::bool::weighted(0.5), 12),
    ) {
        let models: Vec<_> = calc::models().collect();
        let model = models[which.index(models.len())];
        let mut given = arguments(model.example);
        for ((argument, word), keep) in model.arguments.iter().zip(words).zip(kept) {
            if !keep {
                let word = match argument.kind {
                    // Words of a choice are hit too rarely by chance.
                    Kind::Choice(choices) => choices[word.len() % choices.len()].to_owned(),
                    _ => word,
                };
                given.insert(argument.name.to_owned(), word);
            }
        }
        match calc::calc(model.name, &given) {
            Ok(answer) => for field in &answer.fields {
                if let AnswerValue::Number(value) | AnswerValue::Below(value) | AnswerValue::AtLeast(value) = field.value {
                    prop_assert!(value.is_finite(), "{} {given:?}: {field:?}", model.name);
                    prop_assert!(value >= 0.0, "{} {given:?}: {field:?}", model.name);
                }
            },
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
