//! Plans in plain words.

mod what;

use sim::duration_text::readable as duration;
use sim::fault::{Cause, Fault, Inject};
use sim::plan::Plan;

/// `fault` as one sentence: what goes wrong, where, from when to when, through what shared cause.
pub fn fault(fault: &Fault) -> String {
    let they_share = if sharers(&fault.inject) > 1 { "they share " } else { "" };
    let shared = fault.shared.as_ref().map_or(String::new(), |domain| format!(" ({they_share}{domain})"));
    let what = what::what(&fault.inject);
    let (from, to) = (duration(fault.start_ns), duration(fault.end_ns));
    match &fault.after {
        None => format!("{what}{shared} from {from} to {to}"),
        Some(after) => {
            let (delay, length) = (duration(after.delay_ns), duration(after.length_ns));
            format!(
                "{what}{shared} for {length}, {delay} after {}, between {from} and {to}",
                cause(&after.event)
            )
        }
    }
}

/// What sets a fault off, as the end of a sentence.
fn cause(cause: &Cause) -> String {
    match cause {
        Cause::FaultStart(name) => format!("`{name}` begins"),
        Cause::FaultEnd(name) => format!("`{name}` ends"),
        Cause::Lead(role) => format!("a {role} node begins to lead"),
        Cause::Exit(role) => format!("the process of a {role} node ends"),
        Cause::Boot(role) => format!("the process of a {role} node starts again"),
        Cause::Load(load) => format!(
            "{:.0} % of the cores of a {} node have been busy for {}",
            load.share * 100.0,
            load.role,
            duration(load.lasts_ns)
        ),
    }
}

/// What was drawn for a plan, one line a fault.
pub fn faults(plan: &Plan) -> Vec<String> {
    let width = plan.faults.iter().map(|fault| fault.name.chars().count()).max().unwrap_or(0);
    plan.faults.iter().map(|one| format!("{:width$}  {}", one.name, fault(one))).collect()
}

/// How many nodes the fault's domain is of: on links, those of one side.
fn sharers(inject: &Inject) -> usize {
    inject.links().map_or_else(|| inject.targets().len(), |(from, _)| from.len())
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
        fault(&Fault { name, start_ns: 20_500_000_000, end_ns: 30_000_000_000, after: None, shared, inject })
    }

    #[test]
    fn faults_read_as_sentences() {
        let on = On { nodes: names(&["queue-1", "queue-2", "queue-3"]) };
        let (name, shared) = ("f".to_owned(), Some("power=A".to_owned()));
        let inject = Inject::PowerLoss(on);
        assert_eq!(
            fault(&Fault {
                name,
                start_ns: 20_500_000_400,
                end_ns: 30_000_000_000,
                after: None,
                shared,
                inject
            }),
            "queue-1, queue-2 and queue-3 lose power (they share power=A) from 20.5s to 30s"
        );
        let (name, shared) = ("f".to_owned(), Some("power=A".to_owned()));
        let inject = Inject::PowerLoss(On { nodes: names(&["queue-1"]) });
        assert_eq!(
            fault(&Fault { name, start_ns: 0, end_ns: 30_000_000_000, after: None, shared, inject }),
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
