//! The marks of this stack: moments that a batch of runs should reach. A test compares the list with the code.

/// All of them, in order.
pub(crate) const MARKS: &[&str] = &[
    "a client of the queue asks a replica that does not lead",
    "a connection falls silent",
    "a job is set aside as poison",
    "a leader gives up leading",
    "a leader hears no majority",
    "a lease expires",
    "a log ends within a record",
    "a new leader proposes again what may have been chosen before it",
    "a peer's snapshot takes the place of the state",
    "a replica lags behind what the others' logs hold",
    "a replica learns what it missed",
    "a replica that lost its disk takes part again",
    "a request is given to a second server since the first takes long",
    "a worker answers for a lease that is over",
    "a worker gives a job back",
    "a worker loses the lease of the job that it works on",
    "connecting takes too long",
    "leader changed during a snapshot",
    "more is to be sent than the other end takes",
];
