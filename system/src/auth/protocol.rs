//! What is said between API servers, the data plane and the management plane.

use super::address::Secret;
use super::log::{Entry, Standing};
use super::token::Public;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Make an account, of this number or of any; the same `asked` again is the same account.
    Create { account: Option<u32>, asked: Option<[u8; 32]> },
    /// Revoke an account, for whoever has its credential.
    Revoke { account: u32, credential: String },
    /// What comes after the first so many entries of the log? They are durable at the follower that asks.
    Since { version: u64, follower: Option<String> },
    /// How does an account stand?
    Look { account: u32 },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Response {
    /// The account is there, with this credential.
    Created { account: u32, credential: String },
    /// The account is written down, and too few of the data plane have it yet.
    Making,
    /// Somebody else has the number.
    Taken,
    /// There are as many accounts as there may be.
    Full,
    /// No edge will let it in after the bound.
    Revoked,
    /// It is written down, and too few of the data plane have it yet.
    Begun,
    /// The credential is nobody's.
    Forged,
    /// The credential is another account's.
    NotYours,
    /// There is no such account.
    NoAccount,
    /// Entries of the log, and how many it has in all.
    Entries { entries: Vec<Entry>, end: u64 },
    /// How an account stands as of the first `version` entries, and the keys that sign credentials and addresses.
    Stands { version: u64, standing: Standing, keys: Vec<Public>, address_keys: Vec<(u32, Secret)> },
    /// This node cannot say: it may have lost what it knew, or is not the one to ask.
    NotReady,
}
