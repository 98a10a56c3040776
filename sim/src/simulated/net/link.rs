//! Links: how long a packet takes from one node to another, and what faults do to it.

use crate::history::NodeIndex;
use crate::plan::{NetworkPlan, NodePlan, Plan};
use crate::rng::Stream;
use bytes::Bytes;

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
    /// Nothing arrives before this.
    Clog { until_ns: u64 },
    /// Packets arrive twice by chance.
    Duplicate { probability: f64 },
    /// Packets are held back by chance, evenly up to so long.
    Reorder { probability: f64, by_ns: u64 },
    /// Packets are damaged by chance; checksums miss a share of that.
    Corrupt { probability: f64, undetected: f64 },
    /// So many bytes a second pass.
    Bandwidth { bytes_per_second: f64 },
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
    /// Nothing arrives before this.
    pub(super) clogged_until_ns: u64,
    delay_ns: u64,
    delay_jitter_ns: u64,
    loss: f64,
    /// The chances of being damaged without a checksum finding it, of arriving twice, of being held back and up to when.
    corruption: f64,
    duplication: f64,
    reordering: Vec<(f64, u64)>,
    /// Bytes a second, where a fault bounds them, and when the last byte will have passed.
    bytes_per_second: Option<f64>,
    passed_ns: u64,
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
            clogged_until_ns: 0,
            delay_ns: 0,
            delay_jitter_ns: 0,
            loss: 0.0,
            corruption: 0.0,
            duplication: 0.0,
            reordering: Vec::new(),
            bytes_per_second: None,
            passed_ns: 0,
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
        for (probability, by_ns) in &self.reordering {
            if self.harm_chance.chance(*probability) {
                total_ns = total_ns.saturating_add(self.harm_chance.below(0..*by_ns));
            }
        }
        total_ns
    }

    /// When so many bytes, handed over at `ready_ns`, have passed a bound on the link's bandwidth.
    pub(super) fn passed_ns(&mut self, ready_ns: u64, bytes: usize) -> u64 {
        let Some(bytes_per_second) = self.bytes_per_second else { return ready_ns };
        #[expect(clippy::cast_precision_loss, reason = "a packet's length is exact")]
        let takes = std::time::Duration::from_secs_f64(bytes as f64 / bytes_per_second);
        let takes_ns = u64::try_from(takes.as_nanos()).unwrap_or(u64::MAX);
        self.passed_ns = self.passed_ns.max(ready_ns).saturating_add(takes_ns);
        self.passed_ns
    }

    /// Whether a packet that is sent now arrives twice by chance.
    pub(super) fn duplicates(&mut self) -> bool {
        self.duplication > 0.0 && self.harm_chance.chance(self.duplication)
    }

    /// What arrives of `bytes` that are sent now: by chance with a bit changed.
    pub(super) fn carried(&mut self, bytes: Bytes) -> Bytes {
        if self.corruption == 0.0 || bytes.is_empty() || !self.harm_chance.chance(self.corruption) {
            return bytes;
        }
        let mut damaged = bytes.to_vec();
        let bit = self.harm_chance.below(0..bytes.len() as u64 * 8);
        let place = usize::try_from(bit / 8).expect("a place in the packet");
        damaged[place] ^= 1 << (bit % 8);
        damaged.into()
    }

    /// Whether a packet that is sent now is lost by chance.
    pub(super) fn loses(&mut self) -> bool {
        self.loss > 0.0 && self.harm_chance.chance(self.loss)
    }

    /// Takes on what all faults under way do together: delays add up, a packet must survive each chance of loss, and the
    /// narrowest bound on bandwidth counts.
    fn suffer<'a>(&mut self, harms: impl Iterator<Item = &'a (u32, NodeIndex, NodeIndex, Harm)>) {
        (self.cut, self.clogged_until_ns, self.delay_ns, self.delay_jitter_ns) = (false, 0, 0, 0);
        self.bytes_per_second = None;
        self.reordering.clear();
        let (mut survives, mut unharmed, mut single) = (1.0, 1.0, 1.0);
        for (.., harm) in harms {
            match *harm {
                Harm::Cut => self.cut = true,
                Harm::Clog { until_ns } => self.clogged_until_ns = self.clogged_until_ns.max(until_ns),
                Harm::Delay { by_ns, jitter_ns } => {
                    self.delay_ns = self.delay_ns.saturating_add(by_ns);
                    self.delay_jitter_ns = self.delay_jitter_ns.saturating_add(jitter_ns);
                }
                Harm::Loss { probability } => survives *= 1.0 - probability,
                Harm::Duplicate { probability } => single *= 1.0 - probability,
                Harm::Reorder { probability, by_ns } => self.reordering.push((probability, by_ns)),
                Harm::Corrupt { probability, undetected } => {
                    survives *= 1.0 - probability * (1.0 - undetected);
                    unharmed *= 1.0 - probability * undetected;
                }
                Harm::Bandwidth { bytes_per_second } => {
                    let narrowest = self.bytes_per_second.unwrap_or(f64::INFINITY).min(bytes_per_second);
                    self.bytes_per_second = Some(narrowest.max(1.0));
                }
            }
        }
        (self.loss, self.corruption, self.duplication) = (1.0 - survives, 1.0 - unharmed, 1.0 - single);
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
