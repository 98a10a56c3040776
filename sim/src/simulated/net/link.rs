//! Links: how long a packet takes from one node to another, and what faults do to it.

use crate::history::NodeIndex;
use crate::plan::{NetworkPlan, NodePlan, Plan};
use crate::rng::Stream;

/// From a node to itself.
const LOOPBACK_NS: u64 = 5_000;
/// How much longer a packet of the slow tail takes.
const SLOW_TAIL_FACTOR: u64 = 10;

/// What a fault does to a link.
#[derive(Clone, Debug)]
pub(crate) enum Harm {
    /// Nothing passes.
    Cut,
    /// Packets take longer: by so much, and evenly up to so much more.
    Delay { by_ns: u64, jitter_ns: u64 },
    /// Packets are lost by chance.
    Loss { probability: f64 },
}

/// All directed links.
pub(super) struct Links {
    seed: u64,
    nodes: Vec<NodePlan>,
    plan: NetworkPlan,
    /// By sender, then receiver; made when first used.
    links: Vec<Option<Box<Link>>>,
    /// Faults under way: which, from, to, what.
    harms: Vec<(u32, NodeIndex, NodeIndex, Harm)>,
}

/// One directed link.
pub(super) struct Link {
    latency_ns: u64,
    jitter_ns: u64,
    slow_tail: f64,
    /// Of packets as such; drawn for each, whatever faults do.
    chance: Stream,
    /// Of faults alone, so that their draws leave the packets' as they were.
    harm_chance: Stream,
    pub(super) cut: bool,
    delay_ns: u64,
    delay_jitter_ns: u64,
    loss: f64,
}

impl Links {
    pub(super) fn new(plan: &Plan) -> Self {
        let count = plan.nodes.len();
        let links = std::iter::repeat_with(|| None).take(count * count).collect();
        Self {
            seed: plan.seed,
            nodes: plan.nodes.clone(),
            plan: plan.network.clone(),
            links,
            harms: Vec::new(),
        }
    }

    pub(super) fn get(&mut self, from: NodeIndex, to: NodeIndex) -> &mut Link {
        let place = from.0 as usize * self.nodes.len() + to.0 as usize;
        if self.links[place].is_none() {
            let mut link = self.make(from, to);
            link.suffer(self.harms.iter().filter(|(_, one, other, _)| (*one, *other) == (from, to)));
            self.links[place] = Some(Box::new(link));
        }
        self.links[place].as_mut().expect("just made")
    }

    pub(super) fn harm(&mut self, fault: u32, from: NodeIndex, to: NodeIndex, harm: &Harm) {
        if from != to {
            self.harms.push((fault, from, to, harm.clone()));
            self.refresh(from, to);
        }
    }

    pub(super) fn heal(&mut self, fault: u32) {
        let healed: Vec<_> = self.harms.extract_if(.., |(of, ..)| *of == fault).collect();
        for (_, from, to, _) in healed {
            self.refresh(from, to);
        }
    }

    fn refresh(&mut self, from: NodeIndex, to: NodeIndex) {
        let place = from.0 as usize * self.nodes.len() + to.0 as usize;
        if let Some(link) = &mut self.links[place] {
            link.suffer(self.harms.iter().filter(|(_, one, other, _)| (*one, *other) == (from, to)));
        }
    }

    fn make(&self, from: NodeIndex, to: NodeIndex) -> Link {
        let (one, other) = (&self.nodes[from.0 as usize], &self.nodes[to.0 as usize]);
        let latency_ns = if from == to { LOOPBACK_NS } else { self.distance_ns(one, other) };
        let name = format!("net/{}>{}", one.name, other.name);
        Link {
            latency_ns,
            jitter_ns: part_of(latency_ns, self.plan.jitter),
            slow_tail: if from == to { 0.0 } else { self.plan.slow_tail },
            chance: Stream::named(self.seed, &name),
            harm_chance: Stream::named(self.seed, &format!("{name}/harm")),
            cut: false,
            delay_ns: 0,
            delay_jitter_ns: 0,
            loss: 0.0,
        }
    }

    fn distance_ns(&self, one: &NodePlan, other: &NodePlan) -> u64 {
        let share = |kind: &str| one.domains.get(kind) == other.domains.get(kind);
        match (share("region"), share("zone"), share("rack")) {
            (false, ..) => self.plan.other_region_ns,
            (true, false, _) => self.plan.same_region_ns,
            (true, true, false) => self.plan.same_zone_ns,
            (true, true, true) => self.plan.same_rack_ns,
        }
    }
}

impl Link {
    /// What a packet takes that is sent now, without the time that its bytes take.
    pub(super) fn latency_ns(&mut self) -> u64 {
        let jitter_ns = self.chance.exponential_ns(self.jitter_ns);
        let slow = self.chance.chance(self.slow_tail);
        let latency_ns = self.latency_ns * if slow { SLOW_TAIL_FACTOR } else { 1 };
        let mut total_ns = latency_ns.saturating_add(jitter_ns).saturating_add(self.delay_ns);
        if self.delay_jitter_ns > 0 {
            total_ns = total_ns.saturating_add(self.harm_chance.below(0..self.delay_jitter_ns));
        }
        total_ns
    }

    /// Whether a packet that is sent now is lost by chance.
    pub(super) fn loses(&mut self) -> bool {
        self.loss > 0.0 && self.harm_chance.chance(self.loss)
    }

    /// Takes on what all faults under way do together: delays add up, and a packet must survive each chance of loss.
    fn suffer<'a>(&mut self, harms: impl Iterator<Item = &'a (u32, NodeIndex, NodeIndex, Harm)>) {
        (self.cut, self.delay_ns, self.delay_jitter_ns) = (false, 0, 0);
        let mut survives = 1.0;
        for (.., harm) in harms {
            match *harm {
                Harm::Cut => self.cut = true,
                Harm::Delay { by_ns, jitter_ns } => {
                    self.delay_ns = self.delay_ns.saturating_add(by_ns);
                    self.delay_jitter_ns = self.delay_jitter_ns.saturating_add(jitter_ns);
                }
                Harm::Loss { probability } => survives *= 1.0 - probability,
            }
        }
        self.loss = 1.0 - survives;
    }
}

fn part_of(whole_ns: u64, part: f64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "a latency of 104 days is exact")]
    let scaled = whole_ns as f64 * part;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "plans hold no negative part; saturates"
    )]
    let whole = scaled.round() as u64;
    whole
}
