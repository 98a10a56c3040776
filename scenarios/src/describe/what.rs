//! What each kind of fault does, as the beginning of a sentence.

use sim::duration_text::readable as duration;
use sim::fault::Inject;

/// What goes wrong, and where.
pub(super) fn what(inject: &Inject) -> String {
    process(inject)
        .or_else(|| links(inject))
        .or_else(|| disk(inject))
        .or_else(|| clock(inject))
        .unwrap_or_else(|| host(inject))
}

fn process(inject: &Inject) -> Option<String> {
    Some(match inject {
        Inject::PowerLoss(on) => format!("{} {} power", list(&on.nodes), verb(&on.nodes, "loses", "lose")),
        Inject::MainsLoss(mains) => {
            let generator = match mains.generator_fails {
                1.0 => String::new(),
                fails => format!(" and a generator that fails {:.0} times in 100", fails * 100.0),
            };
            let battery = duration(mains.battery_ns);
            format!("the mains of {} fail, with {battery} of battery{generator},", list(&mains.nodes))
        }
        Inject::Crash(on) => {
            format!("{} {} killed", thing("process", &on.nodes), verb(&on.nodes, "is", "are"))
        }
        Inject::CrashLoop(again) => {
            let are = verb(&again.nodes, "is", "are");
            format!(
                "{} {are} killed after every {}",
                thing("process", &again.nodes),
                duration(again.lives_ns)
            )
        }
        Inject::Restart(on) => {
            format!("{} {} restarted", thing("process", &on.nodes), verb(&on.nodes, "is", "are"))
        }
        Inject::GracefulStop(stop) => {
            let are = verb(&stop.nodes, "is", "are");
            format!(
                "{} {are} asked to stop within {}",
                thing("process", &stop.nodes),
                duration(stop.grace_ns)
            )
        }
        Inject::Pause(on) => {
            format!("{} {} still", thing("process", &on.nodes), verb(&on.nodes, "stands", "stand"))
        }
        _ => return None,
    })
}

fn links(inject: &Inject) -> Option<String> {
    let percent = |probability: f64| format!("{:.3} %", probability * 100.0);
    let (what, both_ways) = match inject {
        Inject::Cut(cut) => ("nothing passes".to_owned(), cut.both_ways),
        Inject::Flap(flap) => {
            let (down, up) = (duration(flap.down_ns), duration(flap.up_ns));
            (format!("by turns nothing passes for {down} and all for {up}"), flap.both_ways)
        }
        Inject::Clog(links) => ("packets are held back".to_owned(), links.both_ways),
        Inject::SwizzleClog(on) => {
            return Some(format!("packets from and to {} are held back by turns", list(&on.nodes)));
        }
        Inject::Delay(delay) => {
            let jitter = match delay.jitter_ns {
                0 => String::new(),
                jitter_ns => format!(" to {}", duration(delay.by_ns + jitter_ns)),
            };
            (format!("packets take {}{jitter} longer", duration(delay.by_ns)), delay.both_ways)
        }
        Inject::Loss(loss) => (format!("{} of packets are lost", percent(loss.probability)), loss.both_ways),
        Inject::Duplicate(twice) => {
            (format!("{} of packets arrive twice", percent(twice.probability)), twice.both_ways)
        }
        Inject::Reorder(late) => {
            let by = duration(late.by_ns);
            (format!("{} of packets are overtaken by up to {by}", percent(late.probability)), late.both_ways)
        }
        Inject::Corrupt(bad) => {
            let unseen = match bad.undetected {
                0.0 => String::new(),
                share => format!(", {} of them unnoticed,", percent(share)),
            };
            (format!("{} of packets are damaged{unseen}", percent(bad.probability)), bad.both_ways)
        }
        Inject::Bandwidth(narrow) => {
            (format!("{:.0} bytes a second pass", narrow.bytes_per_second), narrow.both_ways)
        }
        _ => return None,
    };
    let (from, to) = inject.links()?;
    Some(format!("{what} {}", link(from, to, both_ways)))
}

fn disk(inject: &Inject) -> Option<String> {
    let percent = |probability: f64| format!("{:.2} %", probability * 100.0);
    Some(match inject {
        Inject::SlowDisk(slow) => {
            let are = verb(&slow.nodes, "is", "are");
            format!("{} {are} {} times slower", thing("disk", &slow.nodes), slow.factor)
        }
        Inject::StuckDisk(on) => {
            format!("{} {} not answer", thing("disk", &on.nodes), verb(&on.nodes, "does", "do"))
        }
        Inject::FullDisk(on) => format!("{} {} full", thing("disk", &on.nodes), verb(&on.nodes, "is", "are")),
        Inject::DiskError(error) => {
            let once = if error.once { ", once," } else { "" };
            let (percent, disks) = (percent(error.probability), thing("disk", &error.nodes));
            format!("{percent} of the operations fail{once} on {disks}")
        }
        Inject::FailedSync(on) => {
            let (percent, disks) = (percent(on.probability), thing("disk", &on.nodes));
            format!("{percent} of the syncs fail and forget their data on {disks}")
        }
        Inject::BitRot(on) => {
            format!("{} of the sectors rot on {}", percent(on.probability), thing("disk", &on.nodes))
        }
        Inject::MisdirectedWrite(on) => {
            format!("{} of the writes go astray on {}", percent(on.probability), thing("disk", &on.nodes))
        }
        Inject::TornWrite(on) => {
            format!("{} of the writes are torn on {}", percent(on.probability), thing("disk", &on.nodes))
        }
        Inject::LostDisk(on) => format!("{} {} lost", thing("disk", &on.nodes), verb(&on.nodes, "is", "are")),
        Inject::DiskDeath(death) => {
            let dies = verb(&death.nodes, "dies", "die");
            format!("{} {dies} within {}", thing("disk", &death.nodes), duration(death.spread_ns))
        }
        _ => return None,
    })
}

fn clock(inject: &Inject) -> Option<String> {
    Some(match inject {
        Inject::ClockStep(step) => {
            let direction = if step.by_ns < 0 { "back" } else { "forward" };
            let (clocks, are) = (thing("wall clock", &step.nodes), verb(&step.nodes, "is", "are"));
            format!("{clocks} {are} stepped {direction} by {}", duration(step.by_ns.unsigned_abs()))
        }
        Inject::ClockDrift(drift) => {
            let gain = verb(&drift.nodes, "gains", "gain");
            format!("{} {gain} {} µs a second", thing("clock", &drift.nodes), drift.parts_per_million)
        }
        Inject::ClockFreeze(on) => {
            format!("{} {} still", thing("clock", &on.nodes), verb(&on.nodes, "stands", "stand"))
        }
        Inject::ClockLeap(leap) => {
            let (clocks, leaps) = (thing("wall clock", &leap.nodes), verb(&leap.nodes, "leaps", "leap"));
            format!("{clocks} {leaps} by up to {} every {}", duration(leap.by_ns), duration(leap.every_ns))
        }
        Inject::BadTimeSource(source) => {
            let direction = if source.by_ns < 0 { "behind" } else { "ahead" };
            let off = duration(source.by_ns.unsigned_abs());
            format!("the time source of {} is {off} {direction}", list(&source.nodes))
        }
        _ => return None,
    })
}

fn host(inject: &Inject) -> String {
    match inject {
        Inject::SlowCpu(slow) => {
            format!("all work takes {} times longer on {}", slow.factor, list(&slow.nodes))
        }
        Inject::StolenCpu(stolen) => {
            let cores = list(&stolen.nodes);
            format!("others take {:.0} % of the cores' time of {cores}", stolen.share * 100.0)
        }
        Inject::MemoryPressure(pressure) => {
            let memory = list(&pressure.nodes);
            format!("others take {:.0} % of the memory of {memory}", pressure.share * 100.0)
        }
        Inject::NoNames(on) => format!("names lead nowhere for {}", list(&on.nodes)),
        Inject::StaleNames(on) => format!("names lead to dead addresses for {}", list(&on.nodes)),
        Inject::WrongNames(on) => format!("names lead to other nodes for {}", list(&on.nodes)),
        other => format!("{} hits {}", other.word(), other.targets().join(", ")),
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
