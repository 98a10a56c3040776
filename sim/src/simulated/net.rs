//! stub
use super::kernel::Kernel;
use crate::history::NodeIndex;
use crate::plan::Plan;
pub(crate) enum Step {}
/// What a fault does to a link.
#[derive(Clone, Debug)]
pub(crate) enum Harm {
    Cut,
    Delay { by_ns: u64, jitter_ns: u64 },
    Loss { probability: f64 },
}
pub(crate) struct Network;
impl Network {
    pub(crate) fn new(_: &Plan) -> Self {
        Self
    }
    pub(crate) fn messages(&self) -> u64 {
        0
    }
    pub(crate) fn harm(&mut self, _: u32, _: NodeIndex, _: NodeIndex, _: &Harm) {}
    pub(crate) fn heal(&mut self, _: u32) {}
}
pub(crate) fn take_step(_: &mut Kernel, step: Step) {
    match step {}
}
pub(crate) fn host_lost(_: &mut Kernel, _: NodeIndex) {}
pub(crate) fn process_ended(_: &mut Kernel, _: NodeIndex) {}
