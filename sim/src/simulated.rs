//! The simulated world: one kernel a thread, one agenda, on madsim's executor.

mod agenda;
mod alone;
mod clock;
pub mod cpu;
mod disk;
mod faults;
pub mod fs;
mod kernel;
mod limits;
pub mod memory;
mod names;
pub mod net;
pub mod node;
mod panics;
pub mod profile;
pub(crate) mod reached;
pub mod task;
pub mod time;
pub mod world;
