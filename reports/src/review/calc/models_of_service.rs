//! Models of a service under load and change: queues, rollouts, poison, collapse.

use super::{AnswerField, AnswerValue, Argument, Given, Kind, Model, number, words};
use crate::review::models::collapse::{Recovery, Safeguard, Stall};
use crate::review::models::poison::Poison;
use crate::review::models::queueing::{self, Queue};
use crate::review::models::rollout::Rollout;
use crate::review::models::{ModelError, count, non_negative};

const ARRIVALS: Argument = Argument::new("arrivals", Kind::Number, "1/s", "requests that come").positive();

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "m-m-c",
        summary: "servers that share one queue: utilisation and waiting time",
        source: "Erlang 1917; Gross et al. 2008, chapter 2",
        arguments: &[
            ARRIVALS,
            Argument::new("services", Kind::Number, "1/s", "requests that one server can do").positive(),
            Argument::new("servers", Kind::Count, "1", "how many servers").whole(1, 10_000_000),
            Argument::new("quantile", Kind::Number, "1", "which percentile of the wait").open().or("0.99"),
        ],
        example: "arrivals=10000 services=10 servers=1024",
        answer: |given| {
            let queue =
                Queue::solve(given.number("arrivals"), given.number("services"), given.count("servers"))?;
            Ok(vec![
                number("utilisation", queue.utilisation, "1"),
                number("has-to-wait", queue.wait_probability, "1"),
                number("wait-mean", queue.wait_seconds_mean, "s"),
                number("wait-quantile", queue.wait_seconds_quantile(given.number("quantile"))?, "s"),
            ])
        },
    },
    Model {
        name: "overflow-before-empty",
        summary: "one queue: the chance to reach a level before running empty, starting from one request",
        source: "gambler's ruin; the known answer of rare-event methods",
        arguments: &[
            ARRIVALS,
            Argument::new("services", Kind::Number, "1/s", "requests that the server can do").positive(),
            Argument::new("level", Kind::Count, "1", "the level").whole(1, 1_000_000),
        ],
        example: "arrivals=1 services=2 level=20",
        answer: |given| {
            let (arrivals, services) = (given.number("arrivals"), given.number("services"));
            let chance = queueing::overflow_before_empty(arrivals, services, given.count("level"))?;
            if chance == 0.0 {
                return Err(ModelError::NotRepresentable { answer: "probability" });
            }
            Ok(vec![number("overflow", chance, "1")])
        },
    },
    Model {
        name: "staged-rollout",
        summary: "how far a bad change gets before it is noticed",
        source: "SRE Workbook 2018, chapter 16, with exponential detection",
        arguments: &[
            Argument::new("stages", Kind::Numbers, "1", "share of the fleet at each stage").probability(),
            Argument::new("soak", Kind::Number, "h", "how long each stage is watched"),
            Argument::new("detection", Kind::Number, "h", "mean time to notice, once there is a symptom")
                .positive(),
            Argument::new("dormant", Kind::Number, "h", "how long the fault shows no symptom").or("0"),
        ],
        example: "stages=1%,10%,50%,100% soak=1 detection=1",
        answer: |given| {
            let rollout = Rollout {
                stages: given.numbers("stages").to_vec(),
                soak_hours: given.number("soak"),
                detection_hours_mean: given.number("detection"),
                dormant_hours: given.number("dormant"),
            };
            let reach = rollout.reach()?;
            Ok(vec![
                number("share-hit-expected", reach.share_expected, "1"),
                number("last-stage-reached", reach.last_stage, "1"),
            ])
        },
    },
    Model {
        name: "poison",
        summary: "servers down at once for requests that crash them, and their retries",
        source: "M/G/∞ (Takács 1962)",
        arguments: &[
            Argument::new("requests", Kind::Number, "1/min", "poison requests"),
            Argument::new("retries", Kind::Count, "1", "retries of each, on other servers")
                .whole(0, 1_000_000),
            Argument::new("restart", Kind::Number, "s", "how long a crashed server is away").positive(),
            Argument::new("servers", Kind::Count, "1", "servers that may be down").whole(0, 1_000_000),
        ],
        example: "requests=1 retries=3 restart=120 servers=8",
        answer: |given| {
            let poison = Poison {
                requests_per_minute: given.number("requests"),
                retries: given.count("retries"),
                restart_seconds: given.number("restart"),
            };
            Ok(vec![
                number("servers-down-mean", poison.servers_down_mean()?, "1"),
                number("more-down", poison.more_down_than(given.count("servers"))?, "1"),
            ])
        },
    },
    Model {
        name: "retry-collapse",
        summary: "whether a service recovers from a stall, or its retries keep it down",
        source: "Bronson et al., HotOS 2021, section 2",
        arguments: &[
            ARRIVALS,
            Argument::new("services", Kind::Number, "1/s", "requests that the server can do").positive(),
            Argument::new("timeout", Kind::Number, "s", "how long a client waits").positive(),
            Argument::new("stall", Kind::Number, "s", "how long the server stops"),
            Argument::new("safeguard", Kind::Choice(SAFEGUARDS), "", "what stands against it").or("none"),
            Argument::new("queue-cap", Kind::Count, "1", "places in the queue, for `queue-cap`")
                .whole(1, 1_000_000_000)
                .or("250"),
            Argument::new("retry-share", Kind::Number, "1", "retries a new request, for `retry-budget`")
                .or("0.05"),
            Argument::new("retry-burst", Kind::Number, "1", "unused retries kept, for `retry-budget`")
                .or("50"),
            Argument::new("horizon", Kind::Number, "s", "how long is looked on after the stall")
                .positive()
                .or("600"),
            Argument::new("seed", Kind::Count, "", "seed of the arrivals").or("0"),
        ],
        example: "arrivals=280 services=300 timeout=1 stall=10 safeguard=newest-first",
        answer: retry_collapse,
    },
];

const SAFEGUARDS: &[&str] =
    &["none", "no-retries", "newest-first", "queue-cap", "drop-expired", "drop-hopeless", "retry-budget"];

fn retry_collapse(given: &Given) -> Result<Vec<AnswerField>, ModelError> {
    let stall = Stall {
        arrivals_per_second: given.number("arrivals"),
        services_per_second: given.number("services"),
        timeout_seconds: given.number("timeout"),
        stall_seconds: given.number("stall"),
    };
    // Checked even where the safeguard chosen does not use them: what is typed is never ignored in silence.
    let share = non_negative("retry-share", given.number("retry-share"))?;
    let burst = non_negative("retry-burst", given.number("retry-burst"))?;
    let cap = count("queue-cap", given.count("queue-cap"), 1, 1_000_000_000)?;
    let safeguard = match given.choice("safeguard") {
        "no-retries" => Safeguard::NoRetries,
        "newest-first" => Safeguard::NewestFirst,
        "queue-cap" => Safeguard::QueueCap(cap),
        "drop-expired" => Safeguard::DropExpired,
        "drop-hopeless" => Safeguard::DropHopeless,
        "retry-budget" => Safeguard::RetryBudget { share, burst },
        _ => Safeguard::None,
    };
    let mut fields = Vec::new();
    if safeguard == Safeguard::None {
        fields.push(match stall.recovery()? {
            Recovery::After(seconds) => number("recovers-after-closed-form", seconds, "s"),
            Recovery::Never => words("recovers-after-closed-form", "never"),
        });
        fields.push(number("longest-stall-survived", stall.stall_seconds_survived()?, "s"));
    }
    let horizon = given.number("horizon");
    let outcome = stall.simulate(safeguard, horizon, given.count("seed"))?;
    let recovery = |name: &str, seconds: Option<f64>| AnswerField {
        name: name.to_owned(),
        value: seconds.map_or(AnswerValue::AtLeast(horizon), AnswerValue::Number),
        unit: "s",
    };
    fields.push(recovery("first-attempts-recover-after", outcome.first_attempts_recover_seconds));
    fields.push(recovery("requests-recover-after", outcome.requests_recover_seconds));
    fields.push(number("answered-at-the-end", outcome.answered_at_the_end, "1"));
    Ok(fields)
}
