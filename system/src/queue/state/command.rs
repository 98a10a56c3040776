//! What goes into the state machine and what comes out.

use super::outbox::Amounts;
use super::{BlobRef, Grant, Limits};
use serde::{Deserialize, Serialize};
use sim::history::{Digest, Id};

/// What a slot holds: commands, and how much time has passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Since the leader's entry before, or since it began to lead.
    pub elapsed_ns: u64,
    /// In order.
    pub commands: Vec<Command>,
}

/// What the leader is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Take a job.
    Enqueue(NewJob),
    /// Hand jobs out.
    Lease {
        /// To whom.
        worker: String,
        /// A number that nobody else uses, so that asking again gives the same jobs.
        attempt: u64,
        /// How many at most.
        most: u32,
        /// For how long.
        lease_ns: u64,
    },
    /// Keep a job for longer.
    Extend {
        /// The job's key.
        key: String,
        /// Its lease's token.
        token: u64,
        /// For how long from now on.
        lease_ns: u64,
    },
    /// Give a job back undone.
    GiveBack {
        /// The job's key.
        key: String,
        /// Its lease's token.
        token: u64,
        /// Not to be handed out again before.
        delay_ns: u64,
    },
    /// End a job.
    Finish {
        /// The job's key.
        key: String,
        /// Its lease's token.
        token: u64,
        /// With what.
        result: JobResult,
        /// What it used.
        amounts: Amounts,
    },
    /// Put a job that was set aside back, at the end.
    Redrive {
        /// Its key.
        key: String,
        /// A number that nobody else uses, so that asking again does it once.
        attempt: u64,
    },
    /// Pass time on, and say how far accounts are complete.
    Pass,
    /// Forget a batch of uses: the usage store has it.
    ForgetUses {
        /// The batch's number.
        number: u64,
    },
    /// Give a job back whose body its worker could not get. That says nothing of the job, and is not counted against it.
    Return {
        /// The job's key.
        key: String,
        /// Its lease's token.
        token: u64,
        /// Not to be handed out again before.
        delay_ns: u64,
    },
    /// Bound the state otherwise from here on: the leader is configured so.
    Limit(Limits),
}

/// A job to take, whose body is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// Its identity.
    pub id: Id,
    /// Its idempotency key.
    pub key: String,
    /// The group within which jobs are handed out one after another; none where it waits for no other.
    pub group: Option<u32>,
    /// What to do.
    pub request: String,
    /// With what.
    pub body: BlobRef,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobResult {
    /// With an output.
    Output {
        /// Its media type.
        content_type: String,
        /// Where it is.
        output: BlobRef,
    },
    /// With a refusal of the input.
    Refused {
        /// The HTTP status that says so.
        status: u16,
        /// A word for machines.
        code: String,
        /// A sentence for people.
        message: String,
    },
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The job has this place.
    Enqueued {
        /// Its place.
        position: u64,
        /// Whether it had it before.
        duplicate: bool,
    },
    /// The key belongs to another job.
    KeyReused,
    /// Too many jobs wait.
    Overloaded,
    /// The blob may be gone by now: store it again.
    BlobGone,
    /// These jobs were handed out.
    Leased(Vec<Grant>),
    /// The usage store was given all uses that ended before this, in the state's time.
    CompleteUntil(u64),
    /// The job waits again, at this place.
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
}

/// What follows from an entry, beside the replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A job was taken.
    Enqueued {
        /// Its identity.
        id: Id,
        /// Its place.
        position: u64,
        /// Its group.
        group: Option<u32>,
    },
    /// A job ended well, or with a refusal.
    Finished {
        /// Its identity.
        id: Id,
        /// The place of the command that ended it.
        position: u64,
        /// Its output; none with a refusal.
        output: Option<Digest>,
        /// Its key.
        key: String,
    },
    /// The holder of a job's lease had its way with the job.
    Guarded {
        /// The job.
        id: Id,
        /// The lease's token.
        token: u64,
        /// The place of the holder's command.
        position: u64,
    },
    /// A job's use was entered.
    Used {
        /// The job.
        id: Id,
        /// What it used.
        amounts: Amounts,
    },
    /// A job was set aside.
    Quarantined {
        /// Its identity.
        id: Id,
        /// The place of the command, or of the moment, that did it.
        position: u64,
        /// Why.
        reason: String,
        /// Its key.
        key: String,
    },
    /// A job that was set aside waits again.
    Redriven {
        /// Its identity.
        id: Id,
        /// Its new place.
        position: u64,
        /// Its group.
        group: Option<u32>,
        /// The latest token that was given out before.
        token: u64,
    },
    /// A blob is needed.
    Hold(Digest),
    /// A blob is not needed any more.
    Drop {
        /// Which.
        digest: Digest,
        /// Where in the order that is so; what was stored after this is another matter.
        position: u64,
    },
}
