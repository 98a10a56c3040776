//! The linearizability checker against public histories, against brute force, and against itself.

mod histories;
mod nh;
