//! The `hogwash` binary.
fn main() {}
