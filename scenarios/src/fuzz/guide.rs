//! Guidance: plans made of earlier ones that came into a situation in which no run of theirs had been.
//!
//! Every plan that it makes is one that its scenario could have drawn: it takes faults as they were drawn, mixes those of two
//! plans, gives them to another seed, or moves one in time as far as its block allows. What no seed may do, no guided
//! run does, and so its violations are violations.

use super::Target;
use crate::planner;
use crate::scenario::{FaultSpec, When};
use sim::coverage::Situation;
use sim::fault::Fault;
use sim::plan::Plan;
use sim::rng::Stream;
use sim::stack::Stack;
use std::collections::BTreeMap;

/// Runs are planned so many at a time, from what was learned until the last but one generation: so the plans are the same,
/// however many runs are made at once, and nobody waits for the last run of a generation.
const GENERATION: u64 = 16;

/// The share of plans that are made of others, once there are any; the rest is drawn, or nothing new would come in.
const GUIDED: f64 = 0.5;

/// The nearest and the farthest that a fault is moved to the moment of a mark, in powers of ten of nanoseconds.
const NEAR_TO_FAR: (f64, f64) = (5.0, 9.3);

/// The situations in which a run was, as a ledger keeps them, and when first: simulated nanoseconds.
pub(super) type Learned = BTreeMap<String, u64>;

/// The plan that was first in some situation, and when.
#[derive(Clone)]
struct Known {
    seed: u64,
    faults: Vec<Fault>,
    at_ns: u64,
}

/// What a batch has learned, and the runs that it still has to learn from.
#[derive(Default)]
pub(super) struct Guide {
    /// By target: by situation.
    known: BTreeMap<usize, BTreeMap<String, Known>>,
    /// The runs that ended in generations that are not learned yet, by their number.
    ended: BTreeMap<u64, Option<Lesson>>,
    /// How many generations are learned.
    generations: u64,
}

struct Lesson {
    target: usize,
    seed: u64,
    faults: Vec<Fault>,
    learned: Learned,
}

impl Guide {
    /// Whether run number `job` can be planned: all that it may learn from has ended, and is learned now.
    pub(super) fn is_ready(&mut self, job: u64) -> bool {
        let wanted = (job / GENERATION).saturating_sub(1);
        while self.generations < wanted {
            let jobs = self.generations * GENERATION..(self.generations + 1) * GENERATION;
            if self.ended.range(jobs.clone()).count() < usize::try_from(GENERATION).unwrap_or(usize::MAX) {
                return false;
            }
            for job in jobs {
                if let Some(lesson) = self.ended.remove(&job).flatten() {
                    self.learn(lesson);
                }
            }
            self.generations += 1;
        }
        true
    }

    fn learn(&mut self, lesson: Lesson) {
        let Lesson { target, seed, faults, learned } = lesson;
        let known = self.known.entry(target).or_default();
        for (situation, at_ns) in learned {
            known.entry(situation).or_insert_with(|| Known { seed, faults: faults.clone(), at_ns });
        }
    }

    /// Those of `situations` in which no run of `target` has been so far.
    pub(super) fn news(&self, target: usize, situations: &BTreeMap<Situation, u64>) -> Learned {
        let known = self.known.get(&target);
        let named = situations.iter().map(|(situation, at_ns)| (name(situation), *at_ns));
        named.filter(|(name, _)| !known.is_some_and(|known| known.contains_key(name))).collect()
    }

    /// Run number `job`, of this plan and target, has ended: what it taught is learned in its turn.
    pub(super) fn ended(&mut self, job: u64, target: Option<usize>, plan: &Plan, learned: Learned) {
        let target = target.filter(|_| !learned.is_empty());
        let lesson = |target| Lesson { target, seed: plan.seed, faults: plan.faults.clone(), learned };
        self.ended.insert(job, target.map(lesson));
    }

    /// A plan of `target` made of earlier ones, in place of `drawn`; none where it is `drawn`'s turn.
    pub(super) fn plan(
        &self,
        index: usize,
        target: &Target,
        stack: &dyn Stack,
        drawn: &Plan,
        overrides: &[(String, String)],
    ) -> Option<Plan> {
        let known: Vec<&Known> = self.known.get(&index)?.values().collect();
        let stream = &mut Stream::fixed(drawn.seed, "guide");
        if !stream.chance(GUIDED) {
            return None;
        }
        let one = *stream.pick(&known)?;
        // Of what was drawn for this seed, its clocks and its schedule are kept, or else its faults.
        match stream.below(0..4) {
            0 => Some(Plan { faults: one.faults.clone(), ..drawn.clone() }),
            1 => {
                let other = *stream.pick(&known)?;
                let faults = crossed(&one.faults, &other.faults, &target.scenario.faults, stream);
                Some(Plan { faults, ..drawn.clone() })
            }
            _ => {
                let scenario = &target.scenario;
                let variant = target.variant.as_deref();
                let before = planner::plan(scenario, stack, variant, one.seed, overrides).ok()?;
                let faults = struck(one, &drawn.faults, &scenario.faults, before.duration_ns, stream)?;
                Some(Plan { faults, ..before })
            }
        }
    }
}

fn name(situation: &Situation) -> String {
    let Situation { mark, fault, role } = situation;
    format!("{mark} | {} | {role}", fault.unwrap_or_default())
}

/// Of each block as many faults as `one` or `other` has, each as either has it.
fn crossed(one: &[Fault], other: &[Fault], specs: &[FaultSpec], stream: &mut Stream) -> Vec<Fault> {
    let mut faults = Vec::new();
    for spec in specs {
        let (count, choice) = if stream.chance(0.5) { (one, other) } else { (other, one) };
        for fault in count.iter().filter(|fault| number(spec, &fault.name).is_some()) {
            let same = choice.iter().find(|there| there.name == fault.name && stream.chance(0.5));
            faults.push(same.unwrap_or(fault).clone());
        }
    }
    faults
}

/// The faults of the run that came into a situation, and one of `drawn` besides, which begins at about that moment. Since one
/// plan has one history, all is the same until then.
fn struck(
    one: &Known,
    drawn: &[Fault],
    specs: &[FaultSpec],
    duration_ns: u64,
    stream: &mut Stream,
) -> Option<Vec<Fault>> {
    let movable = |fault: &&Fault| matches!(spec_of(specs, fault).map(|spec| &spec.when), Some(When::At(_)));
    let movable: Vec<&Fault> = drawn.iter().filter(movable).collect();
    let mut fault = (*stream.pick(&movable)?).clone();
    let spec = spec_of(specs, &fault)?;
    let When::At(range) = &spec.when else { return None };
    let (near, far) = NEAR_TO_FAR;
    let distance_ns = 10_f64.powf(near + (far - near) * stream.unit());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0.1 ms to 2 s")]
    let distance_ns = distance_ns as u64;
    let moved_ns = if stream.chance(0.5) {
        one.at_ns.saturating_add(distance_ns)
    } else {
        one.at_ns.saturating_sub(distance_ns)
    };
    let length_ns = fault.end_ns - fault.start_ns;
    fault.start_ns =
        moved_ns.clamp(range.least, range.most.min(duration_ns.saturating_sub(1)).max(range.least));
    fault.end_ns = fault.start_ns.saturating_add(length_ns).min(duration_ns);
    let mut faults = one.faults.clone();
    let of_spec: Vec<&Fault> = faults.iter().filter(|fault| number(spec, &fault.name).is_some()).collect();
    let count = u64::try_from(of_spec.len()).unwrap_or(u64::MAX);
    fault.name = if count < spec.times.most {
        planner::fault_name(spec, count + 1)
    } else {
        // Its block can have no more: the last gives way, since what came before is to stay as it was.
        of_spec.iter().max_by_key(|fault| fault.start_ns)?.name.clone()
    };
    faults.retain(|there| there.name != fault.name);
    faults.push(fault);
    faults.sort_by_cached_key(|fault| {
        let place =
            |(place, spec): (usize, &FaultSpec)| number(spec, &fault.name).map(|number| (place, number));
        specs.iter().enumerate().find_map(place)
    });
    (count + 1 >= spec.times.least).then_some(faults)
}

fn spec_of<'a>(specs: &'a [FaultSpec], fault: &Fault) -> Option<&'a FaultSpec> {
    specs.iter().find(|spec| number(spec, &fault.name).is_some())
}

/// Which time of `spec` the fault of this name is, counting from 1; none where it is no fault of it.
fn number(spec: &FaultSpec, name: &str) -> Option<u64> {
    let rest = name.strip_prefix(&spec.name)?;
    if spec.times.fixed() == Some(1) {
        return rest.is_empty().then_some(1);
    }
    rest.strip_prefix('.')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;
    use std::collections::BTreeSet;
    use system::ImageStack;

    /// What a guide knows after a generation of runs, each of which came into a situation of its own.
    fn guide(target: &Target, runs: u64) -> Guide {
        let mut guide = Guide::default();
        for job in 0..runs {
            let plan = drawn(target, job);
            let learned = [(format!("mark {job} | | queue"), job * 977_000_000)].into();
            guide.ended(job, Some(0), &plan, learned);
        }
        assert!(guide.is_ready(runs + GENERATION));
        guide
    }

    fn target(name: &str) -> Target {
        Target { scenario: library::find(name, &ImageStack).unwrap(), variant: None }
    }

    fn drawn(target: &Target, seed: u64) -> Plan {
        planner::plan(&target.scenario, &ImageStack, None, seed, &[]).unwrap()
    }

    #[test]
    fn a_guided_plan_is_one_that_its_scenario_could_have_drawn() {
        for name in ["swarm/everything", "swarm/anything", "swarm/partitions", "correlated/shared-power-loss"]
        {
            let target = target(name);
            let specs = &target.scenario.faults;
            let guide = guide(&target, 2 * GENERATION);
            let mut guided = 0;
            for seed in 1000..1300 {
                let plain = drawn(&target, seed);
                let Some(plan) = guide.plan(0, &target, &ImageStack, &plain, &[]) else { continue };
                guided += 1;
                assert_eq!(Plan { faults: Vec::new(), ..plan.clone() }, {
                    Plan { faults: Vec::new(), ..drawn(&target, plan.seed) }
                });
                let names: BTreeSet<&str> = plan.faults.iter().map(|fault| fault.name.as_str()).collect();
                assert_eq!(names.len(), plan.faults.len(), "{names:?}");
                for spec in specs {
                    could_be_drawn(spec, &plan);
                }
                assert!(plan.faults.iter().all(|fault| spec_of(specs, fault).is_some()), "{names:?}");
            }
            assert!((100..200).contains(&guided), "{guided} of 300");
        }
    }

    fn could_be_drawn(spec: &FaultSpec, plan: &Plan) {
        let faults: Vec<&Fault> =
            plan.faults.iter().filter(|fault| number(spec, &fault.name).is_some()).collect();
        let count = u64::try_from(faults.len()).unwrap();
        let may_be_absent = spec.chance < 1.0 && count == 0;
        assert!(may_be_absent || (spec.times.least..=spec.times.most).contains(&count), "{faults:?}");
        for (fault, time) in faults.iter().zip(1..) {
            assert_eq!(fault.name, planner::fault_name(spec, time));
            let length_ns = fault.end_ns - fault.start_ns;
            assert!(length_ns <= spec.length_ns.most.max(1), "{fault:?}");
            assert!(length_ns >= spec.length_ns.least || fault.end_ns == plan.duration_ns, "{fault:?}");
            if let When::At(range) = &spec.when {
                assert!((range.least..=range.most).contains(&fault.start_ns), "{fault:?}");
            }
        }
    }

    #[test]
    fn a_generation_learns_from_all_but_the_last_and_in_order() {
        let target = target("swarm/everything");
        let mut guide = Guide::default();
        let situation = || Learned::from([("a mark | | queue".to_owned(), 5)]);
        for job in (0..2 * GENERATION).rev() {
            assert!(guide.is_ready(job) || job >= 2 * GENERATION);
            guide.ended(job, Some(0), &drawn(&target, job), situation());
        }
        assert!(guide.is_ready(2 * GENERATION), "the first generation has ended");
        assert_eq!(
            guide.known[&0]["a mark | | queue"].seed, 0,
            "the first run in order, not the first to end"
        );
        assert!(guide.is_ready(3 * GENERATION));
        assert!(!guide.is_ready(4 * GENERATION), "the third has not");
    }

    #[test]
    fn a_fault_is_moved_to_about_the_moment_of_a_mark_and_all_before_it_stays() {
        let target = target("swarm/everything");
        let mut moved = 0;
        for seed in 0..200 {
            let one = drawn(&target, seed);
            let known = Known { seed, faults: one.faults.clone(), at_ns: 12_000_000_000 };
            let stream = &mut Stream::fixed(seed, "test");
            let other = drawn(&target, seed + 1000).faults;
            let Some(faults) = struck(&known, &other, &target.scenario.faults, one.duration_ns, stream)
            else {
                continue;
            };
            let new: Vec<&Fault> = faults.iter().filter(|fault| !one.faults.contains(fault)).collect();
            let [new] = new[..] else { panic!("one fault is new: {new:?}") };
            assert!(new.start_ns.abs_diff(12_000_000_000) <= 2_000_000_000, "{new:?}");
            moved += 1;
        }
        assert!(moved > 150, "{moved}");
    }
}
