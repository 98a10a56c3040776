//! What each kind of fault does, and what undoes it.

use super::resolve;
use crate::fault::{BadTimeSource, ClockLeap, CrashLoop, Fault, Flap, Inject, MainsLoss};
use crate::history::{Down, Fact, NodeIndex};
use crate::rng::Stream;
use crate::simulated::agenda::Step;
use crate::simulated::kernel::{self, Kernel};
use crate::simulated::net::Harm as LinkHarm;
use crate::simulated::{cpu, disk, names, time};
use std::sync::{Arc, Mutex};

pub(super) type Heal = Box<dyn FnOnce() + Send>;

/// A fault under way.
struct Harmful<'a> {
    index: u32,
    end_ns: u64,
    nodes: Vec<NodeIndex>,
    place: Option<NodeIndex>,
    fault: &'a Fault,
}

/// Does the harm of `fault`, number `index` of the plan; what comes back undoes it.
pub(super) fn inject(
    index: u32,
    fault: &Fault,
    end_ns: u64,
    nodes: Vec<NodeIndex>,
    place: Option<NodeIndex>,
) -> Heal {
    let harmful = Harmful { index, end_ns, nodes, place, fault };
    harmful
        .process()
        .or_else(|| harmful.link())
        .or_else(|| harmful.disk())
        .or_else(|| harmful.clock())
        .unwrap_or_else(|| harmful.host())
}

impl Harmful<'_> {
    /// Power and processes.
    fn process(&self) -> Option<Heal> {
        let index = self.index;
        Some(match &self.fault.inject {
            Inject::PowerLoss(_) => {
                self.each(move |node| kernel::power_off(node, index));
                self.heal_each(move |node| kernel::power_on(node, index))
            }
            Inject::MainsLoss(mains) => self.mains_loss(mains),
            Inject::LostDisk(_) => {
                self.each(move |node| kernel::lose_disk(node, index));
                self.heal_each(move |node| kernel::power_on(node, index))
            }
            Inject::Crash(_) => {
                self.each(move |node| kernel::crash(node, index));
                self.heal_each(move |node| kernel::uncrash(node, index))
            }
            Inject::CrashLoop(again) => self.crash_loop(again),
            Inject::Restart(_) => {
                self.each(|node| kernel::stop(node, Down::Crash));
                self.each(kernel::start);
                Box::new(|| {})
            }
            Inject::GracefulStop(stop) => {
                let grace_ns = stop.grace_ns;
                self.each(move |node| kernel::ask_to_stop(node, index, grace_ns));
                // One that has not stopped by the end is killed, so that what runs then is fresh.
                self.heal_each(move |node| {
                    kernel::stop(node, Down::Crash);
                    kernel::uncrash(node, index);
                })
            }
            Inject::Pause(_) => {
                self.each(move |node| kernel::pause(node, index));
                self.heal_each(move |node| kernel::resume(node, index))
            }
            _ => return None,
        })
    }

    fn link(&self) -> Option<Heal> {
        let until_ns = self.end_ns;
        Some(match &self.fault.inject {
            Inject::Cut(cut) => self.harm_links(cut.both_ways, &LinkHarm::Cut),
            Inject::Flap(flap) => self.flap(flap),
            Inject::Clog(links) => self.harm_links(links.both_ways, &LinkHarm::Clog { until_ns }),
            Inject::SwizzleClog(_) => self.swizzle_clog(),
            Inject::Delay(delay) => {
                let slow = LinkHarm::Delay { by_ns: delay.by_ns, jitter_ns: delay.jitter_ns };
                self.harm_links(delay.both_ways, &slow)
            }
            Inject::Loss(loss) => {
                self.harm_links(loss.both_ways, &LinkHarm::Loss { probability: loss.probability })
            }
            Inject::Duplicate(twice) => {
                self.harm_links(twice.both_ways, &LinkHarm::Duplicate { probability: twice.probability })
            }
            Inject::Reorder(late) => {
                let held = LinkHarm::Reorder { probability: late.probability, by_ns: late.by_ns };
                self.harm_links(late.both_ways, &held)
            }
            Inject::Corrupt(bad) => {
                let (probability, undetected) = (bad.probability, bad.undetected);
                self.harm_links(bad.both_ways, &LinkHarm::Corrupt { probability, undetected })
            }
            Inject::Bandwidth(narrow) => {
                let bytes_per_second = narrow.bytes_per_second;
                self.harm_links(narrow.both_ways, &LinkHarm::Bandwidth { bytes_per_second })
            }
            _ => return None,
        })
    }

    fn disk(&self) -> Option<Heal> {
        let index = self.index;
        let harm = match &self.fault.inject {
            Inject::SlowDisk(slow) => {
                let factor = slow.factor;
                self.each_with(|kernel, node| kernel.node(node).disk.slow_by(index, factor));
                return Some(self.heal_disks());
            }
            Inject::StuckDisk(_) => {
                let until_ns = self.end_ns;
                self.each_with(|kernel, node| kernel.node(node).disk.stick(index, until_ns));
                return Some(self.heal_disks());
            }
            Inject::BitRot(rot) => {
                let probability = rot.probability;
                self.each_with(|kernel, node| {
                    if kernel.node(node).disk.rot(probability) > 0 {
                        kernel.record(node, Fact::DiskLoss { unsynced_bytes: 0, synced: true });
                    }
                });
                return Some(Box::new(|| {}));
            }
            Inject::DiskDeath(death) => return Some(self.disk_death(death.spread_ns)),
            Inject::FullDisk(_) => disk::Harm::Full,
            Inject::DiskError(error) => {
                disk::Harm::Error { probability: error.probability, once: error.once }
            }
            Inject::FailedSync(on) => disk::Harm::FailedSync { probability: on.probability },
            Inject::MisdirectedWrite(on) => disk::Harm::Misdirect { probability: on.probability },
            Inject::TornWrite(on) => disk::Harm::Tear { probability: on.probability },
            _ => return None,
        };
        self.each_with(|kernel, node| kernel.node(node).disk.harm(index, harm));
        Some(self.heal_disks())
    }

    fn clock(&self) -> Option<Heal> {
        Some(match &self.fault.inject {
            Inject::ClockStep(step) => {
                let by_ns = step.by_ns;
                self.each_with(|kernel, node| kernel.node(node).clock.step(by_ns));
                self.heal_each_with(move |kernel, node| kernel.node(node).clock.step(-by_ns))
            }
            Inject::ClockDrift(drift) => {
                let rate = drift.parts_per_million;
                self.each_with(|kernel, node| change_drift(kernel, node, rate));
                self.heal_each_with(move |kernel, node| change_drift(kernel, node, -rate))
            }
            Inject::ClockFreeze(_) => {
                self.each_with(|kernel, node| freeze(kernel, node, true));
                self.heal_each_with(|kernel, node| freeze(kernel, node, false))
            }
            Inject::ClockLeap(leap) => self.clock_leap(leap),
            Inject::BadTimeSource(source) => self.bad_time_source(source),
            _ => return None,
        })
    }

    /// Cores, memory and names.
    fn host(&self) -> Heal {
        let index = self.index;
        let harm = match &self.fault.inject {
            Inject::MemoryPressure(pressure) => {
                let share = pressure.share;
                self.each(move |node| {
                    let bytes = kernel::with(|kernel| part_of(kernel.node(node).plan.memory_bytes, share));
                    kernel::take_memory(node, index, bytes);
                });
                return self.heal_each_with(move |kernel, node| {
                    kernel.node(node).memory_taken_bytes.remove(&index);
                });
            }
            Inject::SlowCpu(slow) => return self.harm_cores(cpu::Harm::Slow { factor: slow.factor }),
            Inject::StolenCpu(stolen) => {
                let (share, period_ns) = (stolen.share, stolen.period_ns);
                return self.harm_cores(cpu::Harm::Stolen { share, period_ns });
            }
            Inject::NoNames(_) => names::Harm::Empty,
            Inject::StaleNames(_) => names::Harm::Stale,
            _ => names::Harm::Wrong { stream: format!("fault/{}", self.fault.name) },
        };
        self.each_with(|kernel, node| kernel.node(node).names.harm(index, harm.clone()));
        self.heal_each_with(move |kernel, node| kernel.node(node).names.heal(index))
    }

    fn each(&self, act: impl Fn(NodeIndex)) {
        self.nodes.iter().for_each(|node| act(*node));
    }

    fn each_with(&self, act: impl Fn(&mut Kernel, NodeIndex)) {
        kernel::with(|kernel| self.nodes.iter().for_each(|node| act(kernel, *node)));
    }

    fn heal_each(&self, act: impl Fn(NodeIndex) + Send + 'static) -> Heal {
        let nodes = self.nodes.clone();
        Box::new(move || nodes.into_iter().for_each(act))
    }

    fn heal_each_with(&self, act: impl Fn(&mut Kernel, NodeIndex) + Send + 'static) -> Heal {
        let nodes = self.nodes.clone();
        Box::new(move || kernel::with(|kernel| nodes.into_iter().for_each(|node| act(kernel, node))))
    }

    fn heal_disks(&self) -> Heal {
        let index = self.index;
        self.heal_each_with(move |kernel, node| kernel.node(node).disk.heal(index))
    }

    fn harm_cores(&self, harm: cpu::Harm) -> Heal {
        let index = self.index;
        self.each_with(|kernel, node| kernel.node(node).cpu.harm(index, harm));
        self.heal_each_with(move |kernel, node| kernel.node(node).cpu.heal(index))
    }

    /// Chance of this fault's own, for one use of it.
    fn stream(&self, what: &str) -> Stream {
        let seed = kernel::with(|kernel| kernel.seed);
        Stream::named(seed, &format!("fault/{}/{what}", self.fault.name))
    }

    /// Every link from a node of one side to a node of the other that is not on both sides.
    fn links(&self, both_ways: bool) -> Vec<(NodeIndex, NodeIndex)> {
        let Some((from, to)) = self.fault.inject.links() else { return Vec::new() };
        let names = |side: &[String]| -> Vec<NodeIndex> {
            let names: Vec<&str> = side.iter().map(String::as_str).collect();
            kernel::with(|kernel| resolve(kernel, &names, self.place))
        };
        let (from, to) = (names(from), names(to));
        let mut links = Vec::new();
        for one in &from {
            for other in to.iter().filter(|other| !(from.contains(other) && to.contains(one))) {
                links.push((*one, *other));
                links.extend(both_ways.then_some((*other, *one)));
            }
        }
        links
    }

    fn harm_links(&self, both_ways: bool, harm: &LinkHarm) -> Heal {
        let index = self.index;
        let links = self.links(both_ways);
        kernel::with(|kernel| links.iter().for_each(|(from, to)| kernel.net.harm(index, *from, *to, harm)));
        Box::new(move || kernel::with(|kernel| kernel.net.heal(index)))
    }

    fn flap(&self, flap: &Flap) -> Heal {
        let (index, end_ns) = (self.index, self.end_ns);
        let swing = Swing {
            index,
            end_ns,
            links: self.links(flap.both_ways).into(),
            // A flap that never rests is a cut, and one that takes no time would take all of the run's.
            down_ns: flap.down_ns.max(1_000_000),
            up_ns: flap.up_ns.max(1_000_000),
        };
        swing_down(swing);
        Box::new(move || kernel::with(|kernel| kernel.net.heal(index)))
    }

    /// Stops the links of one node after the other, each at a moment of the first third, and sets them free in the last
    /// third, in another order (FoundationDB's swizzle-clogging).
    fn swizzle_clog(&self) -> Heal {
        let index = self.index;
        let (now_ns, count) =
            kernel::with(|kernel| (kernel.agenda.now_ns(), u32::try_from(kernel.nodes.len()).expect("few")));
        let third_ns = self.end_ns.saturating_sub(now_ns) / 3;
        for node in &self.nodes {
            let node = *node;
            let mut chance = self.stream(&format!("swizzle/{}", node.0));
            let from_ns = now_ns + chance.below(0..third_ns);
            let until_ns = self.end_ns - chance.below(0..third_ns);
            let clog = move || {
                kernel::with(|kernel| {
                    for other in (0..count).map(NodeIndex) {
                        kernel.net.harm(index, node, other, &LinkHarm::Clog { until_ns });
                        kernel.net.harm(index, other, node, &LinkHarm::Clog { until_ns });
                    }
                });
            };
            kernel::with(|kernel| kernel.agenda.push(from_ns, Step::Control(Box::new(clog))));
        }
        Box::new(move || kernel::with(|kernel| kernel.net.heal(index)))
    }

    fn mains_loss(&self, mains: &MainsLoss) -> Heal {
        let index = self.index;
        let generator_runs = !self.stream("generator").chance(mains.generator_fails);
        let empty_ns = kernel::with(|kernel| kernel.agenda.now_ns()).saturating_add(mains.battery_ns);
        if generator_runs {
            self.each_with(|kernel, node| {
                kernel.record(
                    node,
                    Fact::Note { text: "the mains fail, and a generator takes over".to_owned() },
                );
            });
        } else if empty_ns < self.end_ns {
            for node in self.nodes.clone() {
                let dark = move || kernel::power_off(node, index);
                kernel::with(|kernel| kernel.agenda.push(empty_ns, Step::Control(Box::new(dark))));
            }
        }
        self.heal_each(move |node| kernel::power_on(node, index))
    }

    fn crash_loop(&self, again: &CrashLoop) -> Heal {
        for node in &self.nodes {
            crash_again(*node, again.lives_ns.max(1_000_000), self.end_ns);
        }
        self.heal_each(kernel::start)
    }

    fn disk_death(&self, spread_ns: u64) -> Heal {
        let index = self.index;
        let now_ns = kernel::with(|kernel| kernel.agenda.now_ns());
        for node in self.nodes.clone() {
            let dies_ns =
                now_ns + self.stream(&format!("dies/{}", node.0)).below(0..spread_ns.saturating_add(1));
            if dies_ns >= self.end_ns {
                continue;
            }
            let die = move || {
                kernel::with(|kernel| {
                    kernel.node(node).disk.harm(index, disk::Harm::Dead);
                    kernel.record(node, Fact::DiskLoss { unsynced_bytes: 0, synced: true });
                });
            };
            kernel::with(|kernel| kernel.agenda.push(dies_ns, Step::Control(Box::new(die))));
        }
        self.heal_each(move |node| {
            let died = kernel::with(|kernel| kernel.node(node).disk.is_dead(index));
            if died {
                kernel::lose_disk(node, index);
                kernel::with(|kernel| kernel.node(node).disk.heal(index));
                kernel::power_on(node, index);
            }
        })
    }

    fn clock_leap(&self, leap: &ClockLeap) -> Heal {
        let every_ns = leap.every_ns.max(1_000_000);
        let mut leaps = Vec::new();
        for node in &self.nodes {
            let off_ns = Arc::new(Mutex::new(0));
            let chance = self.stream(&format!("leap/{}", node.0));
            let leaper = Leaper {
                node: *node,
                by_ns: leap.by_ns,
                every_ns,
                end_ns: self.end_ns,
                off_ns: off_ns.clone(),
            };
            leap_again(leaper, chance);
            leaps.push((*node, off_ns));
        }
        Box::new(move || {
            kernel::with(|kernel| {
                for (node, off_ns) in leaps {
                    let off_ns = *off_ns.lock().expect("nobody panics with it");
                    kernel.node(node).clock.step(-off_ns);
                }
            });
        })
    }

    fn bad_time_source(&self, source: &BadTimeSource) -> Heal {
        let by_ns = source.by_ns;
        let now_ns = kernel::with(|kernel| kernel.agenda.now_ns());
        let misled = Arc::new(Mutex::new(Vec::new()));
        for node in self.nodes.clone() {
            let polls_ns = now_ns + self.stream(&format!("poll/{}", node.0)).below(0..source.poll_ns.max(1));
            let misled = misled.clone();
            if polls_ns < self.end_ns {
                let believe = move || {
                    kernel::with(|kernel| kernel.node(node).clock.step(by_ns));
                    misled.lock().expect("nobody panics with it").push(node);
                };
                kernel::with(|kernel| kernel.agenda.push(polls_ns, Step::Control(Box::new(believe))));
            }
        }
        Box::new(move || {
            let misled = std::mem::take(&mut *misled.lock().expect("nobody panics with it"));
            kernel::with(|kernel| misled.into_iter().for_each(|node| kernel.node(node).clock.step(-by_ns)));
        })
    }
}

/// Links that go down and up.
#[derive(Clone)]
struct Swing {
    index: u32,
    end_ns: u64,
    links: Arc<[(NodeIndex, NodeIndex)]>,
    down_ns: u64,
    up_ns: u64,
}

fn swing_down(swing: Swing) {
    kernel::with(|kernel| {
        for (from, to) in swing.links.iter() {
            kernel.net.harm(swing.index, *from, *to, &LinkHarm::Cut);
        }
        let up_ns = kernel.agenda.now_ns().saturating_add(swing.down_ns);
        if up_ns < swing.end_ns {
            kernel.agenda.push(up_ns, Step::Control(Box::new(move || swing_up(swing))));
        }
    });
}

fn swing_up(swing: Swing) {
    kernel::with(|kernel| {
        kernel.net.heal(swing.index);
        let down_ns = kernel.agenda.now_ns().saturating_add(swing.up_ns);
        if down_ns < swing.end_ns {
            kernel.agenda.push(down_ns, Step::Control(Box::new(move || swing_down(swing))));
        }
    });
}

/// Kills the process of `node` now and whenever its next one has lived for so long, until the fault's end.
fn crash_again(node: NodeIndex, lives_ns: u64, end_ns: u64) {
    kernel::stop(node, Down::Crash);
    kernel::with(|kernel| {
        let starts_ns = kernel.agenda.now_ns() + kernel::SUPERVISOR_DELAY_NS;
        let dies_ns = starts_ns.saturating_add(lives_ns);
        if starts_ns < end_ns {
            kernel.agenda.push(starts_ns, Step::Control(Box::new(move || kernel::start(node))));
        }
        if dies_ns < end_ns {
            let again = move || crash_again(node, lives_ns, end_ns);
            kernel.agenda.push(dies_ns, Step::Control(Box::new(again)));
        }
    });
}

/// A clock that leaps.
struct Leaper {
    node: NodeIndex,
    by_ns: u64,
    every_ns: u64,
    end_ns: u64,
    /// How far it is now from where it was before.
    off_ns: Arc<Mutex<i64>>,
}

fn leap_again(leaper: Leaper, mut chance: Stream) {
    kernel::with(|kernel| {
        let reach = i64::try_from(leaper.by_ns).unwrap_or(i64::MAX / 2);
        let drawn = chance.below(0..leaper.by_ns.saturating_mul(2).saturating_add(1));
        let next_ns = i64::try_from(drawn).unwrap_or(i64::MAX) - reach;
        let mut off_ns = leaper.off_ns.lock().expect("nobody panics with it");
        kernel.node(leaper.node).clock.step(next_ns - *off_ns);
        *off_ns = next_ns;
        drop(off_ns);
        let again_ns = kernel.agenda.now_ns().saturating_add(leaper.every_ns);
        if again_ns < leaper.end_ns {
            kernel.agenda.push(again_ns, Step::Control(Box::new(move || leap_again(leaper, chance))));
        }
    });
}

fn change_drift(kernel: &mut Kernel, node: NodeIndex, by_parts_per_million: f64) {
    let now_ns = kernel.agenda.now_ns();
    kernel.node(node).clock.drift(now_ns, by_parts_per_million);
    time::clock_changed(kernel, node);
}

fn freeze(kernel: &mut Kernel, node: NodeIndex, begins: bool) {
    let now_ns = kernel.agenda.now_ns();
    kernel.node(node).clock.freeze(now_ns, begins);
    time::clock_changed(kernel, node);
}

fn part_of(whole: u64, part: f64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "a share of a machine's memory")]
    let scaled = whole as f64 * part;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share; saturates")]
    let bytes = scaled as u64;
    bytes
}
