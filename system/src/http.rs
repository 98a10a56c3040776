//! HTTP/1.1 over the world's streams, real in both worlds: hyper and axum need no runtime of their own.

mod client;
mod io;
mod server;

pub use client::{Answer, HttpClient, HttpError};
pub use server::serve;
