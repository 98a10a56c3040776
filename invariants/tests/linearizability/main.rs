//! The linearizability checker against public histories, against brute force, and against itself.

mod agreement;
mod conventions;
mod histories;
mod nh;
mod random;
