//! Models of what data prove: intervals, clean hours, fitted laws.

use super::{AnswerField, AnswerValue, Argument, Given, Kind, Model, Range, number, words};
use crate::review::models::lifetimes::{self, Observation};
use crate::review::models::survival::{kaplan_meier, percentile};
use crate::review::models::{Interval, ModelError, intervals, real};

const CONFIDENCE: Argument = Argument {
    name: "confidence",
    meaning: "how often such an interval covers the truth",
    unit: "1",
    default: Some("0.95"),
    kind: Kind::Number,
    range: Range::Open,
};
const SUCCESSES: Argument =
    Argument::new("successes", Kind::Count, "1", "how often it happened").whole(0, 1_000_000_000);
const TRIALS: Argument =
    Argument::new("trials", Kind::Count, "1", "how often it could have").whole(1, 1_000_000_000);
const TIMES: Argument =
    Argument::new("times", Kind::Times, "any", "times; a plus after one means that watching ended there");

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "clopper-pearson",
        summary: "interval for a probability that covers it with at least the stated confidence",
        source: "Clopper & Pearson 1934",
        arguments: &[SUCCESSES, TRIALS, CONFIDENCE],
        example: "successes=3 trials=1000",
        answer: |given| proportion(given, intervals::clopper_pearson),
    },
    Model {
        name: "wilson",
        summary: "interval for a probability that covers it about as often as stated",
        source: "Wilson 1927",
        arguments: &[SUCCESSES.whole(0, u64::MAX), TRIALS.whole(1, u64::MAX), CONFIDENCE],
        example: "successes=3 trials=1000",
        answer: |given| proportion(given, intervals::wilson),
    },
    Model {
        name: "garwood",
        summary: "interval for the rate of events that come at random",
        source: "Garwood 1936",
        arguments: &[
            Argument::new("events", Kind::Count, "1", "events seen").whole(0, 1_000_000),
            Argument::new("exposure", Kind::Number, "h", "how long was watched, all units together")
                .positive(),
            CONFIDENCE,
        ],
        example: "events=3 exposure=8760",
        answer: |given| {
            let (events, exposure) = (given.count("events"), given.number("exposure"));
            let interval = intervals::garwood(events, exposure, given.number("confidence"))?;
            let estimate = real(events) / exposure;
            Ok(estimated("rate", (events > 0).then_some(estimate), interval, "1/h"))
        },
    },
    Model {
        name: "clean-hours",
        summary: "what hours without a failure prove, and how many would prove a target",
        source: "the zero-failure bound, MTTF >= T / −ln(1 − confidence)",
        arguments: &[
            Argument::new("hours", Kind::Number, "h", "hours watched without a failure").positive(),
            Argument::new("target", Kind::Number, "h", "mean time to failure to be shown")
                .positive()
                .or("hours"),
            CONFIDENCE,
        ],
        example: "hours=8760 target=10000",
        answer: |given| {
            let confidence = given.number("confidence");
            let shown = intervals::mean_hours_shown(given.number("hours"), confidence)?;
            let needed = intervals::clean_hours_needed(given.number("target"), confidence)?;
            let field = AnswerField {
                name: "mean-time-to-failure".to_owned(),
                value: AnswerValue::AtLeast(shown),
                unit: "h",
            };
            Ok(vec![field, number("clean-hours-needed-for-target", needed, "h")])
        },
    },
    Model {
        name: "exponential",
        summary: "mean time to failure at a constant rate, watched for a fixed time",
        source: "Meeker & Escobar 1998, chapter 7; time-terminated",
        arguments: &[
            Argument::new("failures", Kind::Count, "1", "failures seen").whole(0, 1_000_000),
            Argument::new("hours", Kind::Number, "h", "how long was watched, all units together").positive(),
            CONFIDENCE,
        ],
        example: "failures=5 hours=1000",
        answer: |given| {
            let fit = lifetimes::exponential(
                given.count("failures"),
                given.number("hours"),
                given.number("confidence"),
            )?;
            let mut fields: Vec<AnswerField> =
                fit.mean.map(|mean| number("mean", mean, "h")).into_iter().collect();
            if fit.interval.high.is_finite() {
                fields.extend(ends("mean", fit.interval, "h"));
            } else {
                let value = AnswerValue::AtLeast(fit.interval.low);
                fields.push(AnswerField { name: "mean".to_owned(), value, unit: "h" });
            }
            Ok(fields)
        },
    },
    Model {
        name: "weibull",
        summary: "Weibull law of times, some of them cut off: wear-out or infant mortality",
        source: "Cohen 1965; Meeker & Escobar 1998, chapter 8",
        arguments: &[TIMES, CONFIDENCE],
        example: "times=6,6,6,6+,7,9+,10,10+,11+,13,16",
        answer: |given| {
            let fit = lifetimes::weibull(given.times("times"), given.number("confidence"))?;
            let mut fields = vec![number("shape", fit.shape, "1")];
            fields.extend(ends("shape", fit.shape_interval, "1"));
            fields.push(number("scale", fit.scale, "any"));
            fields.extend(ends("scale", fit.scale_interval, "any"));
            Ok(fields)
        },
    },
    Model {
        name: "lognormal",
        summary: "lognormal law of times, some of them cut off: times to repair",
        source: "Meeker & Escobar 1998, chapter 8, by expectation and maximisation",
        arguments: &[TIMES, CONFIDENCE],
        example: "times=12,30,45,50,600+",
        answer: |given| {
            let fit = lifetimes::lognormal(given.times("times"), given.number("confidence"))?;
            let mut fields = vec![number("median", fit.median, "any")];
            fields.extend(ends("median", fit.median_interval, "any"));
            fields.push(number("p90", fit.p90, "any"));
            fields.push(number("p99", fit.p99, "any"));
            fields.push(number("sigma", fit.sigma, "1"));
            Ok(fields)
        },
    },
    Model {
        name: "kaplan-meier",
        summary: "what share lasts longer than a time, assuming no law",
        source: "Kaplan & Meier 1958, Greenwood's variance on the log-log scale",
        arguments: &[TIMES, CONFIDENCE],
        example: "times=6,6,6,6+,7,9+,10,10+,11+,13,16",
        answer: survival,
    },
];

fn proportion(
    given: &Given,
    interval: fn(u64, u64, f64) -> Result<Interval, ModelError>,
) -> Result<Vec<AnswerField>, ModelError> {
    let (successes, trials) = (given.count("successes"), given.count("trials"));
    let interval = interval(successes, trials, given.number("confidence"))?;
    let estimate = real(successes) / real(trials);
    Ok(estimated("probability", (successes > 0).then_some(estimate), interval, "1"))
}

/// An estimate and its interval; where nothing was seen, a bound in place of a bare zero.
fn estimated(name: &str, estimate: Option<f64>, interval: Interval, unit: &'static str) -> Vec<AnswerField> {
    match estimate {
        Some(estimate) => {
            let mut fields = vec![number(name, estimate, unit)];
            fields.extend(ends(name, interval, unit));
            fields
        }
        None => {
            vec![AnswerField { name: name.to_owned(), value: AnswerValue::Below(interval.high), unit }]
        }
    }
}

fn ends(name: &str, interval: Interval, unit: &'static str) -> [AnswerField; 2] {
    [number(format!("{name}-low"), interval.low, unit), number(format!("{name}-high"), interval.high, unit)]
}

fn survival(given: &Given) -> Result<Vec<AnswerField>, ModelError> {
    let times: &[Observation] = given.times("times");
    let steps = kaplan_meier(times, given.number("confidence"))?;
    let mut fields = Vec::new();
    for step in &steps {
        let name = format!("survival-after-{}", step.time);
        fields.push(number(&name, step.survival, "1"));
        fields.extend(ends(&name, step.interval, "1"));
    }
    for (name, share) in [("median", 0.5), ("p90", 0.9), ("p99", 0.99)] {
        fields.push(match percentile(&steps, share) {
            Some(time) => number(name, time, "any"),
            None => words(name, "later than all that was watched"),
        });
    }
    Ok(fields)
}
