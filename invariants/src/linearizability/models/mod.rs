//! Sequential objects that come with the checker. Each is a plain state machine and an example of how to write one.

pub mod counter;
pub mod lock;
pub mod queue;
pub mod register;
pub mod registers;
pub mod store;

pub use counter::{Counter, CounterCall, CounterReturn};
pub use lock::{Lock, LockCall, LockReturn};
pub use queue::{Queue, QueueCall, QueueReturn};
pub use register::{Register, RegisterCall, RegisterReturn};
pub use registers::{Registers, RegistersStep, Seen};
pub use store::{Store, StoreCall, StoreReturn};
