//! Plans in plain words.

use sim::duration_text::format as duration;
use sim::fault::{Fault, Inject};
use sim::plan::Plan;

/// `fault` as one sentence: what goes wrong, where, from when to when, through what shared cause.
pub fn fault(fault: &Fault) -> String {
    let shared = fault.shared.as_ref().map_or(String::new(), |domain| format!(" (they share {domain})"));
    let (from, to) = (duration(fault.start_ns), duration(fault.end_ns));
    format!("{}{shared} from {from} to {to}", what(&fault.inject))
}

/// What was drawn for a plan, one line a fault.
pub fn faults(plan: &Plan) -> Vec<String> {
    let width = plan.faults.iter().map(|fault| fault.name.chars().count()).max().unwrap_or(0);
    plan.faults.iter().map(|one| format!("{:width$}  {}", one.name, fault(one))).collect()
}

fn what(inject: &Inject) -> String {
    match inject {
        Inject::PowerLoss(on) => format!("{} lose power", list(&on.nodes)),
        Inject::Crash(on) => format!("the processes of {} are killed", list(&on.nodes)),
        Inject::Pause(on) => format!("the processes of {} stand still", list(&on.nodes)),
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
            format!("the disks of {} are {} times slower", list(&slow.nodes), slow.factor)
        }
        Inject::ClockStep(step) => {
            let direction = if step.by_ns < 0 { "back" } else { "forward" };
            format!(
                "the wall clocks of {} are stepped {direction} by {}",
                list(&step.nodes),
                duration(step.by_ns.unsigned_abs())
            )
        }
        Inject::ClockDrift(drift) => {
            format!("the clocks of {} gain {} µs a second", list(&drift.nodes), drift.parts_per_million)
        }
    }
}

fn link(from: &[String], to: &[String], both_ways: bool) -> String {
    if both_ways {
        format!("between {} and {}", list(from), list(to))
    } else {
        format!("from {} to {}", list(from), list(to))
    }
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
    use sim::fault::{ClockStep, Cut, On};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn faults_read_as_sentences() {
        let spell = |shared: Option<&str>, inject| {
            let shared = shared.map(str::to_owned);
            fault(&Fault {
                name: "f".to_owned(),
                start_ns: 20_500_000_000,
                end_ns: 30_000_000_000,
                shared,
                inject,
            })
        };
        assert_eq!(
            spell(
                Some("power=A"),
                Inject::PowerLoss(On { nodes: names(&["queue-1", "queue-2", "queue-3"]) })
            ),
            "queue-1, queue-2 and queue-3 lose power (they share power=A) from 20.5s to 30s"
        );
        let cut = Cut { from: names(&["queue-1"]), to: names(&["queue-2", "queue-3"]), both_ways: false };
        assert_eq!(
            spell(None, Inject::Cut(cut)),
            "nothing passes from queue-1 to queue-2 and queue-3 from 20.5s to 30s"
        );
        let step = ClockStep { nodes: names(&["api-1"]), by_ns: -2_000_000_000 };
        assert_eq!(
            spell(None, Inject::ClockStep(step)),
            "the wall clocks of api-1 are stepped back by 2s from 20.5s to 30s"
        );
    }
}
