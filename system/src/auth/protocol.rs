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

#[cfg(test)]
mod message_tests {
    use super::*;
    use crate::wire::messages::{are_no_reason_to_panic, is_never_misread};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written_or_not_at_all(
            place: prop::sample::Index,
            bytes in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..80),
        ) {
            for message in [
                Request::Create { account: Some(7), asked: Some([3; 32]) },
                Request::Revoke { account: 7, credential: "hog1.7.0.00".to_owned() },
                Request::Since { version: 300, follower: Some("auth-1".to_owned()) },
                Request::Look { account: 7 },
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Request>(&bytes);
            for message in [
                Response::Created { account: 7, credential: "hog1".to_owned() },
                Response::Entries { entries: vec![Entry::Revoke { account: 7 }, Entry::Key { public: [1; 32] }], end: 2 },
                Response::Stands { version: 2, standing: Standing::Good, keys: vec![[1; 32]], address_keys: vec![(0, [2; 32])] },
            ] {
                is_never_misread(&message, place);
            }
            are_no_reason_to_panic::<Response>(&bytes);
        }
    }
}
