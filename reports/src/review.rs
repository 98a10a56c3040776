//! What the reliability review computes with: models whose answers are known, estimators for rare events, and what an
//! incident log proves.
//!
//! What is absent: output, clocks, hidden randomness. Every function returns data or an error that names the argument;
//! where chance is needed, the caller gives a seed.

pub mod calc;
pub mod evidence;
pub mod figures;
pub mod models;
pub mod rare;
pub mod splitting;
