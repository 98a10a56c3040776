//! stub
use crate::plan::DiskPlan;
use crate::rng::Stream;
pub(crate) struct Disk;
impl Disk {
    pub(crate) fn new(_: &DiskPlan, _: Stream) -> Self {
        Self
    }
    pub(crate) fn process_ended(&mut self) {}
    pub(crate) fn power_loss(&mut self) -> u64 {
        0
    }
    pub(crate) fn slow_by(&mut self, _: u32, _: f64) {}
    pub(crate) fn heal(&mut self, _: u32) {}
}
