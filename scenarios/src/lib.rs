//! The experiments: scenario files first, then what reads, plans, runs, fuzzes and shrinks them.
//!
//! A [`scenario`] is a TOML file with choices still open; [`planner::plan`] makes them all, from one seed. Every stack is
//! served alike, through [`sim::stack::Stack`].
//!
//! What is absent: no type of any stack, nothing printed.
#![cfg_attr(live, expect(dead_code, reason = "the live build runs no plans, so nothing keeps runs"))]

pub mod describe;
pub mod diagnostics;
#[cfg(not(live))]
pub mod doctor;
pub mod error;
pub mod expectation;
#[cfg(not(live))]
pub mod explain;
#[cfg(not(live))]
pub mod fuzz;
#[cfg(not(live))]
pub mod guarded;
pub mod kinds;
pub mod library;
pub mod plan_file;
pub mod planner;
#[cfg(not(live))]
pub mod replay;
#[cfg(not(live))]
pub mod runner;
pub mod scenario;
pub mod section;
#[cfg(not(live))]
pub mod shrink;
pub mod store;
pub mod target;
pub mod value;

pub use error::ScenarioError;
