//! The world: all that a service may touch, simulated or real.
//!
//! A service that uses [`net`], [`fs`], [`time`], [`task`], [`cpu`], [`memory`] and [`rng`] instead of the machine's runs
//! unchanged in two worlds. By default (`--cfg madsim`, set in `.cargo/config.toml`) they are simulated: one seed gives
//! one [`history`], bit for bit, and [`fault`]s can be injected. With `--cfg live` they are tokio and the machine.
//!
//! What is absent: no type of any stack, no law, no file format but the history's. Only this crate names madsim and
//! tokio's net, fs and time.

pub mod coverage;
pub mod duration_text;
pub mod fault;
mod files;
#[doc = include_str!("from_tokio.md")]
pub mod from_tokio {}
pub mod history;
mod instant;
pub mod plan;
pub mod rng;
pub mod stack;
pub mod talk;
#[cfg(not(live))]
pub mod trace;
pub mod workload;

#[cfg(live)]
mod live;
#[cfg(not(live))]
mod simulated;

#[cfg(live)]
pub use live::{cpu, fs, memory, net, node, server, task, time};
#[cfg(not(live))]
pub use simulated::{cpu, fs, memory, net, node, profile, task, time, world};
