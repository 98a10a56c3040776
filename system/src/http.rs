//! HTTP/1.1 over the world's streams, real in both worlds: hyper and axum need no runtime of their own. What programs of this stack
//! say to one another has a check, so that what a network damaged is noticed.

mod check;
mod client;
mod io;
mod server;

pub(crate) use check::CHECK_HEADER;
pub use client::{HttpClient, HttpError};
pub use server::{LAST_REQUESTS, serve};

/// Header in which a caller says how many milliseconds it still waits for the answer; who calls on passes on what is left.
pub const DEADLINE_HEADER: &str = "x-deadline-ms";
