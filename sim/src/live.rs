//! The real world: tokio and the machine.
