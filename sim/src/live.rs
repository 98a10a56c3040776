//! The real world: tokio and the machine, under the names that the simulated world has.

pub mod cpu;
pub mod fs;
mod host;
pub mod memory;
pub mod net;
pub mod node;
mod record;
pub mod server;
pub mod task;
pub mod time;
