//! Answers known from elsewhere, and what this build makes of the same questions: a reader's reason to believe the rest.

use super::calc::{self, AnswerValue};
use serde::Serialize;
use std::collections::BTreeMap;

/// One known answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Known {
    /// The question, as `hogwash calc` takes it.
    pub question: &'static str,
    /// The field of its answer.
    pub field: &'static str,
    /// The known answer.
    pub known: f64,
    /// How far from it an answer may be, relatively: half a unit of the last digit of what is printed elsewhere.
    pub tolerance: f64,
    /// This build's answer.
    pub ours: Option<f64>,
    /// Whether it is near enough.
    pub reproduced: bool,
    /// Where the known answer comes from.
    pub source: &'static str,
}

const KNOWN: [(&str, &str, f64, f64, &str); 10] = [
    (
        "k-of-n availability=0.999 needed=2 nodes=3",
        "unavailability",
        2.998e-6,
        1e-9,
        "computed with 40 digits",
    ),
    ("beta-factor failure=1e-2 beta=5% nodes=3", "too-many-fail", 5.0086e-4, 1e-5, "computed with 40 digits"),
    (
        "alpha-factor failure=1e-3 alphas=0.95,0.03,0.02 failures=3",
        "too-many-fail",
        5.615_249e-5,
        1e-6,
        "NUREG/CR-5485, computed",
    ),
    (
        "common-shock rate=0.001 common-rate=5e-5 time=100 nodes=3",
        "all-down",
        0.005_845_01,
        1e-6,
        "Marshall & Olkin 1967, computed",
    ),
    (
        "replicas-with-repair replicas=3 mttf=1000 mttr=10",
        "mean-time-to-loss",
        3_451_833.333,
        1e-9,
        "Markov chain, computed",
    ),
    (
        "copysets nodes=5000 replication=3 failed=50 scatter-width=10",
        "any-loss-with-windows",
        0.228_08,
        1e-4,
        "Cidon et al. 2013, printed 22.8 %",
    ),
    ("bursts replicas=4", "mean-time-to-loss", 1.40e8, 0.005, "Ford et al. 2010, printed"),
    (
        "staged-rollout stages=1%,10%,50%,100% soak=1 detection=1",
        "share-hit-expected",
        0.122_137,
        1e-5,
        "computed with 40 digits",
    ),
    (
        "clopper-pearson successes=3 trials=1000",
        "probability-high",
        8.742_023e-3,
        1e-6,
        "Clopper & Pearson 1934, computed",
    ),
    (
        "overflow-before-empty arrivals=1 services=2 level=20",
        "overflow",
        9.536_752_3e-7,
        1e-7,
        "gambler's ruin",
    ),
];

/// All known answers beside this build's.
pub fn answers() -> Vec<Known> {
    KNOWN
        .into_iter()
        .map(|(question, field, known, tolerance, source)| {
            let ours = ask(question, field);
            let reproduced = ours.is_some_and(|ours| (ours - known).abs() <= tolerance * known);
            Known { question, field, known, tolerance, ours, reproduced, source }
        })
        .collect()
}

fn ask(question: &str, field: &str) -> Option<f64> {
    let (model, arguments) = question.split_once(' ')?;
    let arguments: BTreeMap<String, String> = arguments
        .split(' ')
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let answer = calc::calc(model, &arguments).ok()?;
    match answer.fields.iter().find(|one| one.name == field)?.value {
        AnswerValue::Number(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_known_answer_is_reproduced() {
        for known in super::answers() {
            assert!(known.reproduced, "{known:?}");
        }
    }
}
