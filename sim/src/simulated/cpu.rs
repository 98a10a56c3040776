//! Cores: work that costs time queues for them.

use super::agenda::Step;
use super::kernel;
use std::collections::BTreeMap;
use std::time::Duration;

/// Does `work` on one of the node's cores and charges `cost` for it: waits for a core in the order of the calls, then for
/// `cost`, longer where the node's cores are slow. The work itself takes no simulated time, and is done at the end.
///
/// In the live world `work` runs on a thread for blocking work, and takes as long as it takes.
pub async fn run<T, F>(cost: Duration, work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (sender, done) = tokio::sync::oneshot::channel::<()>();
    kernel::with(|kernel| {
        let now_ns = kernel.agenda.now_ns();
        let cost_ns = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        let done_ns = kernel.node(kernel::current()).cpu.book(now_ns, cost_ns);
        // The core is true time's, not the clock's: a drifting clock does not compute faster.
        kernel.agenda.push(done_ns, Step::Control(Box::new(move || sender.send(()).unwrap_or(()))));
    });
    // An error means that the world ends; nothing waits for the work any more.
    let _ = done.await;
    work()
}

/// The cores of one node.
pub(crate) struct Cpu {
    /// When each core is free again.
    free_ns: Vec<u64>,
    /// Faults under way and what each does.
    harms: BTreeMap<u32, Harm>,
    /// Time of cores that work took up to `counted_until_ns`, and will take of what is booked.
    busy_ns: u64,
    counted_until_ns: u64,
}

/// What a fault does to a node's cores.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Harm {
    /// All work takes so many times longer.
    Slow { factor: f64 },
    /// Others run for a share of each period, at its beginning.
    Stolen { share: f64, period_ns: u64 },
}

impl Cpu {
    /// So many cores, whose work is counted until `counted_until_ns`.
    pub(crate) fn new(cores: u32, counted_until_ns: u64) -> Self {
        let free_ns = vec![0; cores.max(1) as usize];
        Self { free_ns, harms: BTreeMap::new(), busy_ns: 0, counted_until_ns }
    }

    /// Books the first free core for `cost_ns`; returns when it will be done.
    fn book(&mut self, now_ns: u64, cost_ns: u64) -> u64 {
        let harms = &self.harms;
        let core = self.free_ns.iter_mut().min().expect("a node has a core");
        let begun_ns = (*core).max(now_ns);
        *core = done_ns(begun_ns, cost_ns, harms.values());
        let until_ns = self.counted_until_ns;
        self.busy_ns += (*core).min(until_ns).saturating_sub(begun_ns);
        *core
    }

    /// Time of cores that work took.
    pub(crate) fn busy_ns(&self) -> u64 {
        self.busy_ns
    }

    /// The share of the cores that are at work.
    pub(crate) fn busy(&self, now_ns: u64) -> f64 {
        let busy = self.free_ns.iter().filter(|free_ns| **free_ns > now_ns).count();
        #[expect(clippy::cast_precision_loss, reason = "a few cores")]
        let share = busy as f64 / self.free_ns.len() as f64;
        share
    }

    /// Has `fault` harm the cores: work that is asked for from now on feels it.
    pub(crate) fn harm(&mut self, fault: u32, harm: Harm) {
        self.harms.insert(fault, harm);
    }

    /// Ends what `fault` did.
    pub(crate) fn heal(&mut self, fault: u32) {
        self.harms.remove(&fault);
    }

    /// Forgets all work: its process has ended.
    pub(crate) fn clear(&mut self, now_ns: u64) {
        let undone = |free_ns: &u64| (*free_ns).min(self.counted_until_ns).saturating_sub(now_ns);
        let undone_ns: u64 = self.free_ns.iter().map(undone).sum();
        self.busy_ns = self.busy_ns.saturating_sub(undone_ns);
        self.free_ns.fill(0);
    }
}

/// When work of `cost_ns` is done that a core begins at `start_ns`.
fn done_ns<'a>(start_ns: u64, cost_ns: u64, harms: impl Iterator<Item = &'a Harm>) -> u64 {
    let (mut at_ns, mut left_ns) = (start_ns, cost_ns);
    let mut stolen = None;
    for harm in harms {
        match *harm {
            Harm::Slow { factor } => left_ns = part_of(left_ns, factor),
            // Of several thieves the greediest counts.
            Harm::Stolen { share, period_ns } => {
                let taken_ns = part_of(period_ns, share.clamp(0.0, 0.99));
                if stolen.is_none_or(|(most_ns, _)| taken_ns > most_ns) {
                    stolen = Some((taken_ns, period_ns.max(1)));
                }
            }
        }
    }
    let Some((taken_ns, period_ns)) = stolen else { return at_ns.saturating_add(left_ns) };
    if left_ns == 0 {
        return at_ns;
    }
    // Any whole period gives the same, wherever it begins; at least a little is left for the last.
    let given_ns = (period_ns - taken_ns.min(period_ns)).max(1);
    let whole = (left_ns - 1) / given_ns;
    at_ns = at_ns.saturating_add(whole.saturating_mul(period_ns));
    left_ns -= whole * given_ns;
    let within_ns = at_ns % period_ns;
    if within_ns < taken_ns {
        at_ns += taken_ns - within_ns;
    }
    let until_theft_ns = period_ns - at_ns % period_ns;
    if left_ns > until_theft_ns { at_ns + left_ns + taken_ns } else { at_ns + left_ns }
}

fn part_of(whole_ns: u64, part: f64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "a cost of 104 days is exact")]
    let scaled = whole_ns as f64 * part;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "plans hold no negative part; saturates"
    )]
    let whole = scaled.round() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stolen_time_is_what_a_thief_at_the_beginning_of_each_period_leaves(
            start_ns in 0_u64..5_000,
            cost_ns in 0_u64..5_000,
            percent in 0_u64..99,
        ) {
            let (period_ns, taken_ns) = (1_000, percent * 10);
            let mut at_ns = start_ns;
            let mut left_ns = cost_ns;
            while left_ns > 0 {
                left_ns -= u64::from(at_ns % period_ns >= taken_ns);
                at_ns += 1;
            }
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let harm = Harm::Stolen { share: percent as f64 / 100.0, period_ns };
            let done = done_ns(start_ns, cost_ns, [harm].iter());
            prop_assert_eq!(done, at_ns);
        }
    }

    #[test]
    fn a_slow_core_takes_its_factor_longer() {
        let mut cpu = Cpu::new(1, u64::MAX);
        cpu.harm(0, Harm::Slow { factor: 2.5 });
        assert_eq!(cpu.book(100, 40), 200);
        cpu.heal(0);
        assert_eq!(cpu.book(100, 40), 240);
    }

    #[test]
    fn a_core_is_busy_with_what_it_did_before_the_end_and_not_with_what_a_crash_left_undone() {
        let mut cpu = Cpu::new(2, 1_000);
        cpu.book(100, 300);
        cpu.book(200, 400);
        assert_eq!(cpu.busy_ns(), 700);
        cpu.clear(300);
        assert_eq!(cpu.busy_ns(), 200 + 100);
        cpu.book(900, 400);
        assert_eq!(cpu.busy_ns(), 300 + 100, "the rest is done after the end");
    }
}
