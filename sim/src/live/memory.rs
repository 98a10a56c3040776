//! A node's memory: kept by the machine's kernel; the simulated world kills a process that goes over its budget.

/// Notes that `bytes` of memory are in use until the reservation is dropped. The real kernel keeps account by itself.
pub fn reserve(bytes: u64) -> Reservation {
    Reservation { bytes }
}

/// Memory in use; given back when dropped.
#[derive(Debug)]
#[must_use = "memory is given back when the reservation is dropped"]
pub struct Reservation {
    #[expect(dead_code, reason = "shown by Debug")]
    bytes: u64,
}
