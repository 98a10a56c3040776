//! What the command line, its reports and the reviews say and do. One program: each of its own would take longer to link than to run.
#![cfg(not(live))]

mod batches;
mod calc;
mod compare;
mod coverage;
mod evidence;
mod failing_runs;
mod forms;
mod house;
mod kept;
mod metastable;
mod object_store;
mod oracles;
mod page;
mod pipes;
mod raft_store;
mod rare_events;
mod rare_runs;
mod readme;
mod review;
mod review_runs;
mod seeds;
mod templates;
mod watching;
