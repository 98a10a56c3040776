//! Models of what fails together: the claim, common causes, repair, placement, bursts.

use super::{AnswerField, AnswerValue, Argument, Given, Kind, Model, number};
use crate::review::models::bursts::{self, Burst};
use crate::review::models::common_cause::{self, Testing};
use crate::review::models::copysets::{self, Outage};
use crate::review::models::intervals::bound_after_none;
use crate::review::models::repair::{Group, Repair};
use crate::review::models::{
    HOURS_PER_YEAR, ModelError, capacity, out_of_range, real, redundancy, typical_year,
};

const FAILURE: Argument =
    Argument::new("failure", Kind::Number, "1", "probability that one node fails in the period meant")
        .probability();
const REPLICAS: Argument =
    Argument::new("replicas", Kind::Count, "1", "how many replicas").whole(1, 1_000_000);
const NODES: Argument = Argument::new("nodes", Kind::Count, "1", "how many nodes").whole(1, 1_000_000);
const FAILURES: Argument = Argument::new("failures", Kind::Count, "1", "how many failures are too many")
    .whole(1, 1_000_000)
    .or("nodes");
const REPLICATION: Argument =
    Argument::new("replication", Kind::Count, "1", "replicas of each chunk").whole(1, 32);
const FAILED: Argument = Argument::new("failed", Kind::Count, "1", "nodes down at once").whole(0, 1_000_000);

pub(super) const MODELS: &[Model] = &[
    Model {
        name: "all-fail",
        summary: "P^N: the probability that all replicas fail, if they fail independently",
        source: "the claim under review; any textbook",
        arguments: &[FAILURE, REPLICAS],
        example: "failure=0.01 replicas=3",
        answer: |given| {
            let all = redundancy::all_fail(given.number("failure"), given.count("replicas"))?;
            Ok(vec![number("all-fail", all, "1")])
        },
    },
    Model {
        name: "k-of-n",
        summary: "the share of time that fewer than the needed nodes are up, if they fail independently",
        source: "Barlow & Proschan 1975, k-out-of-n systems",
        arguments: &[
            Argument::new("availability", Kind::Number, "1", "share of time that one node is up")
                .probability(),
            Argument::new("needed", Kind::Count, "1", "nodes that must be up").whole(1, 100_000_000),
            NODES,
        ],
        example: "availability=0.999 needed=2 nodes=3",
        answer: |given| {
            let (needed, nodes) = (given.count("needed"), given.count("nodes"));
            let down = redundancy::k_of_n_unavailability(given.number("availability"), needed, nodes)?;
            Ok(vec![
                number("unavailability", down, "1"),
                number("downtime", down * HOURS_PER_YEAR * 60.0, "min/year"),
            ])
        },
    },
    Model {
        name: "effective-replicas",
        summary: "how many independent replicas would fail together as rarely",
        source: "ln P(all) / ln P, after NUREG/CR-5485",
        arguments: &[
            Argument::new("all-fail", Kind::Number, "1", "probability that all replicas fail").open(),
            FAILURE,
        ],
        example: "all-fail=5e-4 failure=0.01",
        answer: |given| {
            let worth = redundancy::effective_replicas(given.number("all-fail"), given.number("failure"))?;
            Ok(vec![number("effective-replicas", worth, "1")])
        },
    },
    Model {
        name: "beta-factor",
        summary: "failures of which a share beta has one cause that takes all nodes",
        source: "NUREG/CR-4780 (Mosleh et al. 1988)",
        arguments: &[
            FAILURE,
            Argument::new("beta", Kind::Number, "1", "share of a node's failures that take all")
                .probability(),
            NODES,
            FAILURES,
        ],
        example: "failure=0.01 beta=5% nodes=3",
        answer: |given| {
            let (failure, nodes, failures) =
                (given.number("failure"), given.count("nodes"), given.count("failures"));
            let shared = common_cause::beta_factor(failure, given.number("beta"), nodes, failures)?;
            let naive = common_cause::beta_factor(failure, 0.0, nodes, failures)?;
            Ok(compared("too-many-fail", shared, naive))
        },
    },
    Model {
        name: "multiple-greek-letter",
        summary: "failures that take one, two, … all nodes of a group, from conditional chances",
        source: "NUREG/CR-4780 (Mosleh et al. 1988), section 3",
        arguments: &[
            FAILURE,
            Argument::new(
                "letters",
                Kind::Numbers,
                "1",
                "beta,gamma,…: chance that a cause which took k nodes takes one more",
            )
            .probability(),
            Argument::new("failures", Kind::Count, "1", "how many failures are too many")
                .whole(1, 1_000_000)
                .or("1"),
        ],
        example: "failure=1e-3 letters=0.1,0.5,0.9 failures=4",
        answer: |given| {
            let basic =
                common_cause::multiple_greek_letter(given.number("failure"), given.numbers("letters"))?;
            group(&basic, given.count("failures"))
        },
    },
    Model {
        name: "alpha-factor",
        summary: "failures that take one, two, … all nodes of a group, from shares of events",
        source: "NUREG/CR-5485 (Mosleh et al. 1998), section 5",
        arguments: &[
            FAILURE,
            Argument::new(
                "alphas",
                Kind::Numbers,
                "1",
                "share of failure events that took exactly 1, 2, … m nodes",
            )
            .probability(),
            Argument::new(
                "testing",
                Kind::Choice(&["non-staggered", "staggered"]),
                "",
                "how nodes were tested",
            )
            .or("non-staggered"),
            Argument::new("failures", Kind::Count, "1", "how many failures are too many")
                .whole(1, 1_000_000)
                .or("1"),
        ],
        example: "failure=1e-3 alphas=0.95,0.03,0.02 failures=3",
        answer: |given| {
            let testing = if given.choice("testing") == "staggered" {
                Testing::Staggered
            } else {
                Testing::NonStaggered
            };
            let basic =
                common_cause::alpha_factor(given.number("failure"), given.numbers("alphas"), testing)?;
            group(&basic, given.count("failures"))
        },
    },
    Model {
        name: "common-cause-estimates",
        summary: "alpha and beta factors from counts of failure events",
        source: "NUREG/CR-5485 (Mosleh et al. 1998), equation 5.11",
        arguments: &[Argument::new("events", Kind::Counts, "1", "events that took exactly 1, 2, … m nodes")],
        example: "events=95,3,2",
        answer: |given| {
            let events = given.counts("events");
            let (alphas, beta) =
                (common_cause::alpha_estimates(events)?, common_cause::beta_estimate(events)?);
            // Of one sort of event among all, none was seen: as many as that can hide, each of so many nodes.
            let hidden = bound_after_none(events.iter().sum::<u64>().max(1), 0.95)?;
            let seen = |name: String, share: f64, nodes: f64| match share {
                0.0 => {
                    let bound = hidden * nodes / (1.0 - hidden + hidden * nodes);
                    AnswerField { name, value: AnswerValue::Below(bound), unit: "1" }
                }
                share => number(name, share, "1"),
            };
            let nodes = real(events.len() as u64);
            let mut fields: Vec<AnswerField> =
                (1..).zip(alphas).map(|(k, alpha)| seen(format!("alpha-{k}"), alpha, 1.0)).collect();
            fields.push(seen("beta".to_owned(), beta, nodes));
            Ok(fields)
        },
    },
    Model {
        name: "common-shock",
        summary: "the probability that all nodes are down by a time, with shocks that take all",
        source: "Marshall & Olkin 1967",
        arguments: &[
            Argument::new("rate", Kind::Number, "1/h", "failures of one node by itself"),
            Argument::new("common-rate", Kind::Number, "1/h", "shocks that take all nodes"),
            Argument::new("time", Kind::Number, "h", "how long is looked ahead"),
            NODES,
        ],
        example: "rate=0.001 common-rate=5e-5 time=100 nodes=3",
        answer: |given| {
            let (rate, time, nodes) = (given.number("rate"), given.number("time"), given.count("nodes"));
            let shared = common_cause::common_shock(rate, given.number("common-rate"), time, nodes)?;
            let naive = common_cause::common_shock(rate, 0.0, time, nodes)?;
            Ok(compared("all-down", shared, naive))
        },
    },
    Model {
        name: "beta-binomial",
        summary: "failures whose probability varies from one occasion to the next",
        source: "Skellam 1948",
        arguments: &[
            FAILURE,
            Argument::new("correlation", Kind::Number, "1", "correlation of two nodes' failures")
                .probability(),
            NODES,
            FAILURES,
        ],
        example: "failure=0.01 correlation=0.05 nodes=3",
        answer: |given| {
            let (failure, nodes, failures) =
                (given.number("failure"), given.count("nodes"), given.count("failures"));
            let shared = common_cause::beta_binomial(failure, given.number("correlation"), nodes, failures)?;
            let naive = common_cause::beta_binomial(failure, 0.0, nodes, failures)?;
            Ok(compared("too-many-fail", shared, naive))
        },
    },
    Model {
        name: "replicas-with-repair",
        summary: "data loss of a group of replicas that fail and are rebuilt",
        source: "Markov chain; NOMDL of Greenan, Plank & Wylie, HotStorage 2010",
        arguments: &[
            REPLICAS.whole(1, 32),
            Argument::new("mttf", Kind::Number, "h", "mean time to failure of a replica").positive(),
            Argument::new("mttr", Kind::Number, "h", "mean time to rebuild a replica").positive(),
            Argument::new(
                "repair",
                Kind::Choice(&["parallel", "serial"]),
                "",
                "all failed ones at once, or one by one",
            )
            .or("parallel"),
            Argument::new("horizon", Kind::Number, "h", "how long is looked ahead").positive().or("8766"),
            Argument::new("lost-share", Kind::Number, "1", "share of the group's bytes that a loss takes")
                .probability()
                .or("1"),
        ],
        example: "replicas=3 mttf=87660 mttr=24",
        answer: replicas_with_repair,
    },
    Model {
        name: "copysets",
        summary: "the chance of any loss when some nodes are down at once, for copysets and for windows",
        source: "Cidon et al., USENIX ATC 2013, sections 2 to 4",
        arguments: &[
            NODES,
            REPLICATION,
            FAILED,
            Argument::new("scatter-width", Kind::Count, "1", "nodes that hold replicas of one node's chunks")
                .whole(1, 999_999),
        ],
        example: "nodes=5000 replication=3 failed=50 scatter-width=10",
        answer: copysets_and_windows,
    },
    Model {
        name: "random-placement",
        summary: "the chance of any loss when some nodes are down at once, each chunk on nodes drawn anew; exact",
        source: "Cidon et al., USENIX ATC 2013, section 2",
        arguments: &[
            NODES,
            REPLICATION,
            FAILED,
            Argument::new("chunks", Kind::Number, "1", "chunks stored").positive(),
        ],
        example: "nodes=5000 replication=3 failed=50 chunks=1.3e7",
        answer: |given| {
            let outage = outage(given);
            let chunks = given.number("chunks");
            let copysets = copysets::random_copysets(outage.nodes, outage.replication, chunks)?;
            Ok(vec![
                number("any-loss", outage.loss_with_random_placement(chunks)?, "1"),
                number("any-loss-approximate", outage.loss_with_copysets(copysets)?, "1"),
                number("chunks-lost-expected", outage.expected_share_lost()? * chunks, "1"),
            ])
        },
    },
    Model {
        name: "disjoint-groups",
        summary: "the chance of any loss when some nodes are down at once, nodes cut into groups; exact",
        source: "counting; Cidon et al., USENIX ATC 2013, section 4, at its least scatter width",
        arguments: &[NODES, REPLICATION, FAILED],
        example: "nodes=9 replication=3 failed=3",
        answer: |given| {
            let outage = outage(given);
            Ok(vec![
                number("any-loss", outage.loss_with_disjoint_groups()?, "1"),
                number("share-lost-expected", outage.expected_share_lost()?, "1"),
            ])
        },
    },
    Model {
        name: "bursts",
        summary: "mean time until a stripe of replicas is lost, under bursts of node failures",
        source: "Ford et al., OSDI 2010, section 6; the defaults are calibrated to its table",
        arguments: &[
            REPLICAS.whole(1, 32),
            Argument::new("failures-per-day", Kind::Number, "1/d", "failures of one replica by itself")
                .positive()
                .or("0.0081345"),
            Argument::new("repairs-per-day", Kind::Number, "1/d", "repairs, one at a time")
                .positive()
                .or("66.0134"),
            Argument::new("burst-every", Kind::Numbers, "d", "mean time between bursts, for each class")
                .positive()
                .or("47.80,2069.8"),
            Argument::new(
                "burst-takes",
                Kind::Numbers,
                "1",
                "chance that a burst takes a replica, for each class",
            )
            .probability()
            .or("0.0117274,0.0608053"),
        ],
        example: "replicas=3",
        answer: stripe_under_bursts,
    },
    Model {
        name: "too-few-servers",
        summary: "the share of time that too few servers are up, when racks fail whole",
        source: "total probability over the racks that are down",
        arguments: &[
            Argument::new("racks", Kind::Count, "1", "how many racks").whole(1, 10_000),
            Argument::new("servers-per-rack", Kind::Count, "1", "servers in each").whole(1, 10_000),
            Argument::new("needed", Kind::Count, "1", "servers that must be up").whole(1, 100_000_000),
            Argument::new("rack-unavailability", Kind::Number, "1", "share of time that a rack is down")
                .probability(),
            Argument::new(
                "server-unavailability",
                Kind::Number,
                "1",
                "share of time that a server is down by itself",
            )
            .probability()
            .or("0"),
        ],
        example: "racks=5 servers-per-rack=8 needed=32 rack-unavailability=5e-4",
        answer: |given| {
            let down = capacity::too_few_servers(
                given.count("racks"),
                given.count("servers-per-rack"),
                given.count("needed"),
                given.number("rack-unavailability"),
                given.number("server-unavailability"),
            )?;
            Ok(vec![
                number("unavailability", down, "1"),
                number("downtime", down * HOURS_PER_YEAR * 60.0, "min/year"),
            ])
        },
    },
    Model {
        name: "typical-year",
        summary: "machines down together for the shared events of a cluster's first year",
        source: "Dean 2008, a new cluster of 1800 machines",
        arguments: &[Argument::new("machines", Kind::Count, "1", "machines drawn at random").whole(1, 1_000)],
        example: "machines=3",
        answer: |given| {
            let machines = given.count("machines");
            let events = &typical_year::FIRST_YEAR;
            let one = typical_year::correlated_unavailability(events)?;
            let mut fields = vec![number("one-down", one, "1")];
            let naive = redundancy::all_fail(one, machines)?;
            fields.extend(compared("all-down", typical_year::all_down(events, machines)?, naive));
            Ok(fields)
        },
    },
];

/// What sharing makes of a probability, beside the independent one.
fn compared(name: &str, shared: f64, naive: f64) -> Vec<AnswerField> {
    let mut fields = vec![number(name, shared, "1"), number(format!("{name}-if-independent"), naive, "1")];
    if naive > 0.0 {
        fields.push(number("ratio", shared / naive, "1"));
    }
    fields
}

fn group(basic: &[f64], failures: u64) -> Result<Vec<AnswerField>, ModelError> {
    let mut fields: Vec<AnswerField> =
        (1..).zip(basic).map(|(k, event)| number(format!("q-{k}"), *event, "1")).collect();
    fields.push(number("too-many-fail", common_cause::group_failure(basic, failures)?, "1"));
    Ok(fields)
}

fn outage(given: &Given) -> Outage {
    Outage {
        nodes: given.count("nodes"),
        replication: given.count("replication"),
        failed: given.count("failed"),
    }
}

fn replicas_with_repair(given: &Given) -> Result<Vec<AnswerField>, ModelError> {
    let positive = |name| crate::review::models::positive(name, given.number(name));
    let group = Group {
        replicas: given.count("replicas"),
        failure_rate_per_hour: 1.0 / positive("mttf")?,
        repair_rate_per_hour: 1.0 / positive("mttr")?,
        repair: if given.choice("repair") == "serial" { Repair::Serial } else { Repair::Parallel },
    };
    let mean = group.mean_hours_to_loss()?;
    let losses = group.over(given.number("horizon"), given.number("lost-share"))?;
    Ok(vec![
        number("mean-time-to-loss", mean, "h"),
        number("mean-time-to-loss-years", mean / HOURS_PER_YEAR, "year"),
        number("loss-within-horizon", losses.probability, "1"),
        number("losses-expected", losses.expected, "1"),
        number("nomdl", losses.nomdl_bytes_per_terabyte, "B/TB"),
    ])
}

fn copysets_and_windows(given: &Given) -> Result<Vec<AnswerField>, ModelError> {
    let outage = outage(given);
    let width = given.count("scatter-width");
    let few = copysets::permutation_copysets(outage.nodes, outage.replication, width)?;
    let mut fields =
        vec![number("copysets", few, "1"), number("any-loss", outage.loss_with_copysets(few)?, "1")];
    if width == outage.replication - 1 {
        fields.push(number("any-loss-exact", outage.loss_with_disjoint_groups()?, "1"));
    }
    let many = copysets::window_copysets(outage.nodes, outage.replication, width)?;
    // A window as wide as a small cluster names some sets twice: then every set of nodes is a copyset.
    if let Ok(loss) = outage.loss_with_copysets(many) {
        fields.push(number("window-copysets", many, "1"));
        fields.push(number("any-loss-with-windows", loss, "1"));
    }
    fields.push(number("share-lost-expected", outage.expected_share_lost()?, "1"));
    Ok(fields)
}

fn stripe_under_bursts(given: &Given) -> Result<Vec<AnswerField>, ModelError> {
    let (every, takes) = (given.numbers("burst-every"), given.numbers("burst-takes"));
    if every.len() != takes.len() || every.len() > 100 {
        let allowed = format!("as many entries as `burst-every`, which has {}, and at most 100", every.len());
        return Err(out_of_range("burst-takes", format!("{} entries", takes.len()), allowed));
    }
    let classes: Vec<Burst> =
        every.iter().zip(takes).map(|(&every_days, &takes)| Burst { every_days, takes }).collect();
    let replicas = given.count("replicas");
    let (fails, repairs) = (given.number("failures-per-day"), given.number("repairs-per-day"));
    let together = bursts::stripe_days_to_loss(replicas, fails, repairs, &classes)?;
    let alone = bursts::stripe_days_to_loss(replicas, fails, repairs, &[])?;
    Ok(vec![
        number("mean-time-to-loss", together, "d"),
        number("mean-time-to-loss-without-bursts", alone, "d"),
        number("ratio", alone / together, "1"),
        number("losses-a-year-of-1e6-stripes", real(1_000_000) * 365.25 / together, "1/year"),
    ])
}
