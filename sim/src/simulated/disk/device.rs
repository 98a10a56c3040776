//! The medium under the cache, as far as time goes: how long it takes, and who waits for whom.

use crate::plan::DiskPlan;
use crate::rng::Stream;
use std::collections::BTreeMap;
use std::time::Duration;

/// The speed of one disk. Latencies of operations under way overlap, as deep as the queue is; their bytes share the
/// bandwidth.
pub(crate) struct Device {
    bandwidth_bytes_per_s: f64,
    /// When each place in the queue is free again.
    places_free_ns: Vec<u64>,
    /// When all bytes asked for so far have passed.
    passed_ns: u64,
    /// Faults under way and how many times longer each makes everything take.
    slow_by: BTreeMap<u32, f64>,
    /// Faults under way that let nothing come to its end, and until when.
    stuck_until_ns: BTreeMap<u32, u64>,
    chance: Stream,
}

impl Device {
    pub(crate) fn new(plan: &DiskPlan, chance: Stream) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a speed needs no more than 53 bits")]
        let bandwidth_bytes_per_s = plan.bandwidth_bytes_per_s.max(1) as f64;
        let places_free_ns = vec![0; plan.queue_depth.max(1) as usize];
        Self {
            bandwidth_bytes_per_s,
            places_free_ns,
            passed_ns: 0,
            slow_by: BTreeMap::new(),
            stuck_until_ns: BTreeMap::new(),
            chance,
        }
    }

    /// Takes an operation of this mean latency and many bytes at `now_ns`; returns when it will be done.
    pub(crate) fn take(&mut self, now_ns: u64, latency_ns: u64, bytes: u64) -> u64 {
        // Not their product: of several that overlap it would have one write go on for hours after all is healed.
        let factor = self.slow_by.values().copied().reduce(f64::max).unwrap_or(1.0);
        let now_ns = self.stuck_until_ns.values().copied().fold(now_ns, u64::max);
        // Half is fixed and half exponential: real devices have a floor and a tail.
        let half = Duration::from_nanos(latency_ns / 2);
        let latency = scaled(half + self.chance.exponential(half), factor);
        #[expect(clippy::cast_precision_loss, reason = "a time needs no more than 53 bits")]
        let transfer = Duration::from_secs_f64(bytes as f64 / self.bandwidth_bytes_per_s);
        let transfer = scaled(transfer, factor);
        let place = self.places_free_ns.iter_mut().min().expect("the queue has a place");
        let ready_ns = (*place).max(now_ns).saturating_add(nanos(latency));
        let done_ns = ready_ns.max(self.passed_ns).saturating_add(nanos(transfer));
        *place = done_ns;
        if bytes > 0 {
            self.passed_ns = done_ns;
        }
        done_ns
    }

    /// Forgets operations under way: the power is gone.
    pub(crate) fn clear(&mut self) {
        self.places_free_ns.fill(0);
        self.passed_ns = 0;
    }

    /// Has `fault` make every operation take `factor` times as long. Of several faults the worst counts.
    pub(crate) fn slow_by(&mut self, fault: u32, factor: f64) {
        self.slow_by.insert(fault, factor);
    }

    /// Has `fault` let nothing that is asked for from now on come to its end before `until_ns`.
    pub(crate) fn stick(&mut self, fault: u32, until_ns: u64) {
        self.stuck_until_ns.insert(fault, until_ns);
    }

    /// Ends what `fault` did.
    pub(crate) fn heal(&mut self, fault: u32) {
        self.slow_by.remove(&fault);
        self.stuck_until_ns.remove(&fault);
    }
}

/// `factor` times `duration`; for ever where no duration is so long, or the factor is no number.
fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(factor * duration.as_secs_f64()).unwrap_or(Duration::MAX)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
