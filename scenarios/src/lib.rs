//! Scenarios, plans and runs.
