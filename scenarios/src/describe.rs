//! Plans in plain words.

use sim::duration_text::readable as duration;
use sim::fault::{Fault, Inject};
use sim::plan::Plan;

/// `fault` as one sentence: what goes wrong, where, from when to when, through what shared cause.
pub fn fault(fault: &Fault) -> String {
    let they_share = if sharers(&fault.inject) > 1 { "they share " } else { "" };
    let shared = fault.shared.as_ref().map_or(String::new(), |domain| format!(" ({they_share}{domain})"));
    let (from, to) = (duration(fault.start_ns), duration(fault.end_ns));
    format!("{}{shared} from {from} to {to}", what(&fault.inject))
}

/// What was drawn for a plan, one line a fault.
pub fn faults(plan: &Plan) -> Vec<String> {
    let width = plan.faults.iter().map(|fault| fault.name.chars().count()).max().unwrap_or(0);
    plan.faults.iter().map(|one| format!("{:width$}  {}", one.name, fault(one))).collect()
}

/// How many nodes the fault's domain is of: on links, those of one side.
fn sharers(inject: &Inject) -> usize {
    match inject {
        Inject::Cut(cut) => cut.from.len(),
        Inject::Delay(delay) => delay.from.len(),
        Inject::Loss(loss) => loss.from.len(),
        other => other.targets().len(),
    }
}

fn what(inject: &Inject) -> String {
    match inject {
        Inject::PowerLoss(on) => format!("{} {} power", list(&on.nodes), verb(&on.nodes, "loses", "lose")),
        Inject::Crash(on) => {
            format!("{} {} killed", thing("process", &on.nodes), verb(&on.nodes, "is", "are"))
        }
        Inject::Pause(on) => {
            format!("{} {} still", thing("process", &on.nodes), verb(&on.nodes, "stands", "stand"))
        }
        Inject::Cut(cut) => format!("nothing passes {}", link(&cut.from, &cut.to, cut.both_ways)),
        Inject::Delay(delay) => {
            let jitter = if delay.jitter_ns == 0 {
                String::new()
            } else {
                format!(" to {}", duration(delay.by_ns + delay.jitter_ns))
            };
            format!(
                "packets take {}{jitter} longer {}",
                duration(delay.by_ns),
                link(&delay.from, &delay.to, delay.both_ways)
            )
        }
        Inject::Loss(loss) => {
            format!(
                "{:.3} % of packets are lost {}",
                loss.probability * 100.0,
                link(&loss.from, &loss.to, loss.both_ways)
            )
        }
        Inject::SlowDisk(slow) => {
            let are = verb(&slow.nodes, "is", "are");
            format!("{} {are} {} times slower", thing("disk", &slow.nodes), slow.factor)
        }
        Inject::ClockStep(step) => {
            let direction = if step.by_ns < 0 { "back" } else { "forward" };
            format!(
                "{} {} stepped {direction} by {}",
                thing("wall clock", &step.nodes),
                verb(&step.nodes, "is", "are"),
                duration(step.by_ns.unsigned_abs())
            )
        }
        Inject::ClockDrift(drift) => {
            let gain = verb(&drift.nodes, "gains", "gain");
            format!("{} {gain} {} µs a second", thing("clock", &drift.nodes), drift.parts_per_million)
        }
    }
}

fn link(from: &[String], to: &[String], both_ways: bool) -> String {
    // Those on both sides keep their links among themselves, so that "a rack and all" is a rack and the others.
    let within = from.iter().all(|node| to.contains(node));
    let others: Vec<String> = to.iter().filter(|node| !(within && from.contains(node))).cloned().collect();
    let to = &others;
    if both_ways && (from.len() > 1 || to.len() > 1) {
        format!("between {} on one side and {} on the other", list(from), list(to))
    } else if both_ways {
        format!("between {} and {}", list(from), list(to))
    } else {
        format!("from {} to {}", list(from), list(to))
    }
}

/// `the disk of a`, `the disks of a and b`.
fn thing(noun: &str, nodes: &[String]) -> String {
    let plural = match nodes {
        [_] | [] => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("the {noun}{plural} of {}", list(nodes))
}

/// The verb of a sentence about `nodes`.
fn verb<'a>(nodes: &[String], one: &'a str, many: &'a str) -> &'a str {
    if nodes.len() > 1 { many } else { one }
}

/// `a`, `a and b`, `a, b and c`.
fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::fault::{ClockDrift, ClockStep, Cut, On, SlowDisk};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn spell(inject: Inject) -> String {
        let (name, shared) = ("f".to_owned(), None);
        fault(&Fault { name, start_ns: 20_500_000_000, end_ns: 30_000_000_000, shared, inject })
    }

    #[test]
    fn faults_read_as_sentences() {
        let on = On { nodes: names(&["queue-1", "queue-2", "queue-3"]) };
        let (name, shared) = ("f".to_owned(), Some("power=A".to_owned()));
        let inject = Inject::PowerLoss(on);
        assert_eq!(
            fault(&Fault { name, start_ns: 20_500_000_400, end_ns: 30_000_000_000, shared, inject }),
            "queue-1, queue-2 and queue-3 lose power (they share power=A) from 20.5s to 30s"
        );
        let (name, shared) = ("f".to_owned(), Some("power=A".to_owned()));
        let inject = Inject::PowerLoss(On { nodes: names(&["queue-1"]) });
        assert_eq!(
            fault(&Fault { name, start_ns: 0, end_ns: 30_000_000_000, shared, inject }),
            "queue-1 loses power (power=A) from 0s to 30s"
        );
        let cut = Cut { from: names(&["queue-1"]), to: names(&["queue-2", "queue-3"]), both_ways: false };
        assert_eq!(
            spell(Inject::Cut(cut)),
            "nothing passes from queue-1 to queue-2 and queue-3 from 20.5s to 30s"
        );
        let to = names(&["queue-1", "queue-2", "queue-3"]);
        let cut = Cut { from: names(&["queue-2"]), to, both_ways: true };
        assert_eq!(
            spell(Inject::Cut(cut)),
            "nothing passes between queue-2 on one side and queue-1 and queue-3 on the other from 20.5s to 30s"
        );
        let step = ClockStep { nodes: names(&["api-1"]), by_ns: -2_000_000_000 };
        assert_eq!(
            spell(Inject::ClockStep(step)),
            "the wall clock of api-1 is stepped back by 2s from 20.5s to 30s"
        );
    }

    #[test]
    fn one_node_and_many_have_their_own_words() {
        let (one, many) = (names(&["api-1"]), names(&["api-1", "api-2"]));
        let on = |nodes: &[String]| On { nodes: nodes.to_vec() };
        let slow = |nodes: &[String]| SlowDisk { nodes: nodes.to_vec(), factor: 10.0 };
        let drift = |nodes: &[String]| ClockDrift { nodes: nodes.to_vec(), parts_per_million: 50.0 };
        for (inject, words) in [
            (Inject::PowerLoss(on(&one)), "api-1 loses power"),
            (Inject::Crash(on(&one)), "the process of api-1 is killed"),
            (Inject::Crash(on(&many)), "the processes of api-1 and api-2 are killed"),
            (Inject::Pause(on(&one)), "the process of api-1 stands still"),
            (Inject::Pause(on(&many)), "the processes of api-1 and api-2 stand still"),
            (Inject::SlowDisk(slow(&one)), "the disk of api-1 is 10 times slower"),
            (Inject::SlowDisk(slow(&many)), "the disks of api-1 and api-2 are 10 times slower"),
            (Inject::ClockDrift(drift(&one)), "the clock of api-1 gains 50 µs a second"),
            (Inject::ClockDrift(drift(&many)), "the clocks of api-1 and api-2 gain 50 µs a second"),
        ] {
            assert_eq!(spell(inject), format!("{words} from 20.5s to 30s"));
        }
    }
}
