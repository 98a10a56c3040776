//! The command line.

pub mod exit;
pub mod review;
pub mod sharing;
