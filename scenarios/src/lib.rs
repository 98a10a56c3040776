//! The experiments: scenario files first, then what reads, plans, runs, fuzzes and shrinks them.
//!
//! A [`scenario`] is a TOML file with choices still open; [`planner::plan`] makes them all, from one seed. Every stack is
//! served alike, through [`sim::stack::Stack`].
//!
//! ```
//! use hogwash_scenarios::runner::{self, Options};
//! use hogwash_scenarios::{describe, plan_file, planner, scenario::Scenario};
//! use invariants::Verdict;
//! use sim::stack::{Client, Process, Role, Setting, Stack, Task};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! /// A server that keeps what it is told in memory, and calls that kept.
//! struct Forgetful;
//!
//! impl Stack for Forgetful {
//!     fn name(&self) -> &'static str {
//!         "forgetful"
//!     }
//!     fn roles(&self) -> &'static [Role] {
//!         &[Role { name: "server", why: "answers", count: 1, cores: 1 }]
//!     }
//!     fn settings(&self) -> &'static [Setting] {
//!         &[]
//!     }
//!     fn boot(&self, _: Process) -> Task {
//!         Box::pin(async {
//!             let _ = sim::talk::answer(7, |_| async { "kept" }).await;
//!         })
//!     }
//!     fn client(&self, client: Client) -> Task {
//!         Box::pin(client.submit_each(3, Duration::from_secs(1), |_, _| async {
//!             sim::talk::ask("server-1", 7, b"keep this", Duration::from_secs(1)).await.is_some()
//!         }))
//!     }
//! }
//!
//! let scenario = r#"
//! name = "forgetful/crash"
//! why = "Its only process dies."
//! duration = "10s"
//! nodes = { server = { count = 1 }, client = { count = 1 } }
//! workload = { clients = 1, rate = "1/s" }
//! [[fault]]
//! at = "3s..5s"
//! for = "1s"
//! inject.crash = { any = 1 }
//! "#;
//! let stack: Arc<dyn Stack> = Arc::new(Forgetful);
//! let scenario = Scenario::parse(scenario.as_bytes(), "crash.toml", stack.as_ref())?;
//! let plan = planner::plan(&scenario, stack.as_ref(), None, 7, &[])?;
//! assert!(describe::fault(&plan.faults[0]).starts_with("the process of server-1 is killed from "));
//!
//! let report = runner::run(&plan, &stack, Options::default())?;
//! let delivery = report.laws.iter().find(|law| law.law.name == "delivery").expect("it is a law");
//! assert_eq!(delivery.finding.verdict, Verdict::Violated);
//!
//! // The plan, kept as a file, is the same run again.
//! let kept = plan_file::write(&plan);
//! let again = plan_file::read(kept.as_bytes(), "plan.toml", stack.as_ref())?;
//! assert_eq!(runner::run(&again, &stack, Options::default())?.digest, report.digest);
//! # Ok::<(), hogwash_scenarios::ScenarioError>(())
//! ```
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
pub mod reference;
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
