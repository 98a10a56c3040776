//! What clients ask of a replica, and what it answers.

use super::client::Depth;
use super::paxos::Replica;
use super::state::{Amounts, Batch, Grant, JobResult, NewJob};
use serde::{Deserialize, Serialize};
use sim::history::Digest;

/// The port of a queue's node that clients call.
pub const CLIENTS_PORT: u16 = 72;
/// The port of a queue's node that its peers call.
pub const PEERS_PORT: u16 = 71;

/// What clients ask. Asking twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Take a job whose body is stored.
    Enqueue(NewJob),
    /// Hand jobs out.
    Lease {
        /// To whom.
        worker: String,
        /// A number that nobody else uses; the same when the same jobs are asked for again.
        attempt: u64,
        /// How many at most.
        most: u32,
        /// How long to wait for the first.
        wait_ns: u64,
    },
    /// Keep a job.
    Extend {
        /// Its key.
        key: String,
        /// Its lease's token.
        token: u64,
    },
    /// Give a job back.
    GiveBack {
        /// Its key.
        key: String,
        /// Its lease's token.
        token: u64,
        /// Not to be handed out again before.
        delay_ns: u64,
    },
    /// End a job.
    Finish {
        /// Its key.
        key: String,
        /// Its lease's token.
        token: u64,
        /// With what; the output is stored.
        result: JobResult,
        /// What it used.
        amounts: Amounts,
    },
    /// Put a job that was set aside back, at the end.
    Redrive {
        /// Its key.
        key: String,
        /// A number that nobody else uses.
        attempt: u64,
    },
    /// Which uses does the usage store not have? The oldest batches. Linearizable.
    UnsentUses {
        /// How many at most.
        most: u32,
    },
    /// Until when does the usage store have all uses? The queue's time goes on with it.
    CompleteUntil,
    /// The usage store has a batch.
    ForgetUses {
        /// Its number.
        number: u64,
    },
    /// How far is a job?
    Status {
        /// Its key.
        key: String,
        /// How long to wait for its end.
        wait_ns: u64,
    },
    /// How many jobs are there?
    Depth,
    /// Give a job back whose body could not be had.
    Return {
        /// Its key.
        key: String,
        /// Its lease's token.
        token: u64,
        /// Not to be handed out again before.
        delay_ns: u64,
    },
}

/// What a replica answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// Another replica leads, or none.
    NotLeader(Option<Replica>),
    /// The job is kept.
    Enqueued {
        /// Its place.
        position: u64,
        /// Whether it was there before.
        duplicate: bool,
    },
    /// The key belongs to another job.
    KeyReused,
    /// Too many jobs wait.
    Overloaded,
    /// The command is longer than the log takes.
    TooLarge,
    /// The blob may be gone by now: store it again.
    BlobGone,
    /// These jobs were handed out.
    Leased {
        /// They.
        grants: Vec<Grant>,
        /// How long the question had waited when they were, on the leader's clock.
        waited_ns: u64,
    },
    /// The lease lasts so long from now on.
    Extended {
        /// In nanoseconds.
        lease_ns: u64,
    },
    /// The job waits again.
    Redriven {
        /// Its new place.
        position: u64,
    },
    /// There is no such job.
    NoSuchJob,
    /// The job was not set aside.
    NotSetAside,
    /// It is done.
    Done,
    /// The lease is over.
    Fenced,
    /// How far the job is; none where there is no such job.
    Status(Option<Progress>),
    /// How many jobs there are.
    Depth(Depth),
    /// The batches.
    UnsentUses(Vec<Batch>),
    /// The store was given all uses that ended before, in the queue's time.
    CompleteUntil {
        /// In nanoseconds.
        ended_ns: u64,
    },
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// No worker has it.
    Waiting,
    /// A worker has it.
    Running,
    /// It has an output.
    Done {
        /// The output's media type.
        content_type: String,
        /// The output.
        output: Digest,
    },
    /// Its input was refused.
    Refused {
        /// The HTTP status that says so.
        status: u16,
        /// A word for machines.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// It was set aside.
    Quarantined {
        /// Why.
        reason: String,
    },
}

#[cfg(test)]
mod message_tests {
    use super::*;
    use crate::wire::messages::{are_no_reason_to_panic, is_never_misread};
    use proptest::prelude::*;
    use sim::history::Digest;

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_or_not_at_all(
            place: prop::sample::Index,
            bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80),
        ) {
            for message in [
                Request::Lease { worker: "worker-1/3".to_owned(), attempt: 900, most: 4, wait_ns: 1 },
                Request::Depth,
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Request>(&bytes);
            for message in [
                Response::NotLeader(Some(2)),
                Response::Enqueued { position: 70_000, duplicate: true },
                Response::Extended { lease_ns: u64::MAX },
                Response::Status(Some(Progress::Done { content_type: "image/png".to_owned(), output: Digest([9; 16]) })),
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Response>(&bytes);
        }
    }
}
