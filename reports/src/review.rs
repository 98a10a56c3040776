//! What the reliability review computes with: models whose answers are known, estimators for rare events, and what an
//! incident log proves.
//!
//! A review goes from its [`mod@file`] to [`strata`], each with a frequency and runs of the real stack, through a [`batch`] of runs
//! to [`outcome`]s, which [`compose`] weighs to an [`answer`].
//!
//! What is absent: output, clocks, hidden randomness. Every function returns data or an error that names the argument;
//! where chance is needed, the caller gives a seed.

#[cfg(not(live))]
pub mod answer;
#[cfg(not(live))]
pub mod batch;
pub mod calc;
#[cfg(not(live))]
pub mod compose;
pub mod evidence;
pub mod figures;
#[cfg(not(live))]
pub mod file;
#[cfg(not(live))]
pub mod harm;
pub mod known;
#[cfg(not(live))]
pub mod library;
pub mod models;
#[cfg(not(live))]
pub mod outcome;
#[cfg(not(live))]
pub mod page;
pub mod rare;
#[cfg(not(live))]
pub mod replayed;
pub mod splitting;
#[cfg(not(live))]
pub mod strata;
#[cfg(not(live))]
pub mod study;
#[cfg(not(live))]
pub mod words;
