//! Every model can be asked by name, and no question makes it panic.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hogwash::review::calc::{self, AnswerValue, CalcAnswer, CalcError, Kind, Range};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

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
    assert!(refused("zzzzzzzz", "").contains("`hogwash calc` names all of them"));
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
fn every_argument_of_every_model_refuses_what_lies_outside_of_its_range() {
    for model in calc::models() {
        for argument in model.arguments {
            let mut bad = ["", "NaN", "inf", "-1", "three"].map(str::to_owned).to_vec();
            match argument.range {
                Range::Probability => bad.push("1.5".to_owned()),
                Range::Open => bad.extend(["0", "1", "1.5"].map(str::to_owned)),
                Range::Positive => bad.push("0".to_owned()),
                Range::Whole(least, most) => {
                    bad.extend(
                        least
                            .checked_sub(1)
                            .into_iter()
                            .chain(most.checked_add(1))
                            .map(|one| one.to_string()),
                    );
                }
                Range::NotNegative | Range::Words(_) => {}
            }
            for text in bad {
                let mut given = arguments(model.example);
                given.insert(argument.name.to_owned(), text.clone());
                let answer = calc::calc(model.name, &given);
                // An empty list is an error of the model, an empty word is not a number.
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
    let answer = ask("common-cause-estimates", "events=95,3,0").unwrap();
    assert!(
        matches!(value(&answer, "alpha-3"), AnswerValue::Below(bound) if *bound > 0.03 && *bound < 0.031)
    );
    let answer = ask("common-cause-estimates", "events=95,0").unwrap();
    assert!(matches!(value(&answer, "beta"), AnswerValue::Below(bound) if *bound > 0.03), "{answer:?}");
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

fn hogwash(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hogwash")).args(line.split_whitespace()).output().unwrap()
}

/// What a command that ends well prints.
#[track_caller]
fn printed(line: &str) -> String {
    let output = hogwash(line);
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn calc_lists_every_model_with_keys_units_ranges_and_source() {
    insta::assert_snapshot!(printed("calc"));
    let lines: Vec<serde_json::Value> = printed("calc --message-format json")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), calc::models().count());
    for (line, model) in lines.iter().zip(calc::models()) {
        assert_eq!(
            (&line["v"], &line["type"], &line["model"]),
            (&1.into(), &"model".into(), &model.name.into())
        );
        assert_eq!(line["arguments"][0]["name"], model.arguments[0].name);
        assert!(line["arguments"][0]["range"] != serde_json::Value::Null, "{line}");
    }
    // A model without its arguments is asked what it takes.
    insta::assert_snapshot!("calc_describes_k_of_n", printed("calc k-of-n"));
}

#[test]
fn calc_answers_in_words_and_in_json() {
    insta::assert_snapshot!("calc_of_k_of_n", printed("calc k-of-n availability=0.999 needed=2 nodes=3"));
    insta::assert_snapshot!("calc_of_nothing_seen", printed("calc garwood events=0 exposure=8760"));
    insta::assert_snapshot!(
        "calc_in_json",
        printed("calc beta-factor failure=1% beta=5% nodes=3 --message-format json")
    );
}

#[test]
fn calc_refuses_with_the_way_out_and_ends_with_2() {
    for (line, error) in [
        ("calc k-of-m a=1", "error: no model is called `k-of-m`; did you mean `k-of-n`?\n"),
        (
            "calc k-of-n availability=0.99 neded=2 nodes=3",
            "error: `k-of-n` has no argument `neded`; did you mean `needed`?\n",
        ),
        (
            "calc k-of-n availability=2 needed=2 nodes=3",
            "error: `k-of-n`: `availability` is 2: it must be a probability between 0 and 1\n",
        ),
        ("calc k-of-n nodes=3 nodes=4", "error: `nodes` is given twice: leave one out\n"),
    ] {
        let output = hogwash(line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(
            (String::from_utf8(output.stderr).unwrap().as_str(), output.stdout.as_slice()),
            (error, &b""[..])
        );
    }
    assert!(
        String::from_utf8(hogwash("calc k-of-n nodes").stderr)
            .unwrap()
            .contains("KEY=VALUE, such as nodes=3")
    );
}
