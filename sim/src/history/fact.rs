//! The vocabulary of histories: all that the laws know.
//!
//! Words are those of the field (enqueue, deliver, lead, choose …), not of any one stack, so that a law cannot
//! share the bug that it must catch, and a law written for one stack reads the history of another.

use super::fields::{Down, Show, Stage};
use super::wire::{Malformed, Wire};
use super::{Digest, Id, NodeIndex};

macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal $word:literal { $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty),* $(,)? })+) => {
        /// One thing that happened, of the shared vocabulary.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Fact {
            $($(#[doc = $doc])+ $name { $($(#[doc = $field_doc])+ $field: $type),* },)+
        }

        impl Fact {
            /// The fact's word, as reports and JSON lines write it.
            pub fn word(&self) -> &'static str {
                match self { $(Self::$name { .. } => $word,)+ }
            }

            /// The fact with this `word` and these `fields`, as [`Fact::word`] and [`Fact::fields`] write them; none
            /// where there is no such fact, or a field is missing, unknown or wrong.
            pub fn from_fields(word: &str, fields: &[(String, String)]) -> Option<Self> {
                let field = |name: &str| {
                    let mut values = fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
                    values.next().filter(|_| values.next().is_none())
                };
                let (fact, count) = match word {
                    $($word => {
                        let names: &[&str] = &[$(stringify!($field)),*];
                        (Self::$name { $($field: <$type as Show>::read(field(stringify!($field))?)?),* }, names.len())
                    },)+
                    _ => return None,
                };
                (count == fields.len()).then_some(fact)
            }

            /// The fact's fields by name, as a person reads them.
            pub fn fields(&self) -> Vec<(&'static str, String)> {
                match self { $(Self::$name { $($field),* } => vec![$((stringify!($field), $field.show())),*],)+ }
            }
        }

        impl Wire for Fact {
            fn put(&self, bytes: &mut Vec<u8>) {
                match self { $(Self::$name { $($field),* } => { bytes.push($code); $($field.put(bytes);)* })+ }
            }

            fn take(bytes: &mut &[u8]) -> Result<Self, Malformed> {
                match u8::take(bytes)? {
                    $($code => Ok(Self::$name { $($field: <$type as Wire>::take(bytes)?),* }),)+
                    other => Err(Malformed::Kind(other)),
                }
            }
        }
    };
}

facts! {
    /// A process started on the node.
    Boot = 1 "boot" {
        /// How often the node has started a process, counting from 1.
        incarnation: u32
    }
    /// The node's process ended.
    Exit = 2 "exit" {
        /// Why.
        cause: Down
    }
    /// A task of the node panicked; its process ends with it.
    Panic = 3 "panic" {
        /// The panic's message and place.
        message: String
    }
    /// A fault of the plan began.
    FaultStart = 4 "fault-start" {
        /// Its place in the plan.
        fault: u32,
        /// The nodes that it hits.
        nodes: Vec<NodeIndex>
    }
    /// A fault of the plan ended and is healed.
    FaultEnd = 5 "fault-end" {
        /// Its place in the plan.
        fault: u32
    }
    /// The node lost what it had written and not synced, or its whole disk.
    DiskLoss = 6 "disk-loss" {
        /// Bytes written and not synced that are gone or torn.
        unsynced_bytes: u64,
        /// True where synced data is gone too.
        synced: bool
    }
    /// All faults have ended, everything is healed, and clients start nothing new.
    Healed = 7 "healed" {}
    /// The stack says that nothing is left to do.
    Drained = 8 "drained" {}
    /// The run ended; counters that a leak of nondeterminism would disturb.
    End = 9 "end" {
        /// Messages that the network carried.
        messages: u64,
        /// Steps that the world's agenda took.
        steps: u64
    }
    /// A node says something that a person may want to read: a change of state.
    Note = 10 "note" {
        /// What it says.
        text: String
    }

    /// Something that happened set a fault off; it begins a while later.
    SetOff = 11 "set-off" {
        /// Its place in the plan.
        fault: u32,
        /// The number of the event that did it, in this history, counting from 0; of load, which is no event, the number
        /// of the last one before.
        event: u64,
        /// What it was, in words.
        cause: String
    }

    /// A client sent a request (again, where `attempt` is above 1).
    Submit = 20 "submit" {
        /// The request.
        id: Id,
        /// 1 for the first time.
        attempt: u32
    }
    /// What the answer must be: the pure function of the input, computed outside the stack.
    Expect = 21 "expect" {
        /// The request.
        id: Id,
        /// Digest of the right output; absent where the right answer is a refusal.
        output: Option<Digest>
    }
    /// A client was told that its request is accepted.
    Acknowledge = 22 "acknowledge" {
        /// The request.
        id: Id
    }
    /// A client was told no, for good.
    Refuse = 23 "refuse" {
        /// The request.
        id: Id,
        /// The HTTP status, or another protocol's code.
        status: u32
    }
    /// A client holds its result.
    Receive = 24 "receive" {
        /// The request.
        id: Id,
        /// Digest of what it got.
        output: Digest
    }
    /// A client stopped trying and does not know what became of its request.
    GiveUp = 25 "give-up" {
        /// The request.
        id: Id
    }

    /// A client asks how far its request is.
    Look = 26 "look" {
        /// The request.
        id: Id,
        /// The question's number among those about this request.
        question: u32
    }
    /// A client was told how far its request is; a question without this was not answered.
    See = 27 "see" {
        /// The request.
        id: Id,
        /// The question's number.
        question: u32,
        /// How far it is.
        stage: Stage
    }

    /// The queue took an item and promised to keep it.
    Enqueue = 30 "enqueue" {
        /// The item.
        id: Id,
        /// Its place in the queue's order.
        position: u64
    }
    /// An item that is about to be taken belongs to a group: within it items are handed out one after another, each once
    /// the one before is over.
    Join = 34 "join" {
        /// The item.
        id: Id,
        /// The group.
        group: u32
    }
    /// A consumer got an item to work on.
    Deliver = 31 "deliver" {
        /// The item.
        id: Id,
        /// 1 for the first time.
        delivery: u32,
        /// The hand-out's place among all of its queue: greater than that of any before.
        token: u64
    }
    /// An item's effect took place: its result is stored for good.
    Finish = 32 "finish" {
        /// The item.
        id: Id,
        /// The place, in the queue's order, of the command that did it: replicas that apply one command agree on it.
        position: u64,
        /// Digest of the result; absent where the result is a refusal of the input.
        output: Option<Digest>
    }
    /// An item was set aside as poison.
    Quarantine = 33 "quarantine" {
        /// The item.
        id: Id,
        /// The place, in the queue's order, of the command that did it.
        position: u64,
        /// Why.
        reason: String
    }

    /// An item that was set aside waits again, behind all others.
    Redrive = 35 "redrive" {
        /// The item.
        id: Id,
        /// Its new place in the queue's order, which is that of the command that did it.
        position: u64,
        /// The latest hand-out before: the item's hand-outs are counted anew from there on.
        token: u64
    }

    /// A replica began to lead.
    Lead = 40 "lead" {
        /// The group of replicas.
        group: u32,
        /// The ballot that it leads with.
        ballot: u64
    }
    /// A replica promised, durably, to take part in no lower ballot.
    Promise = 41 "promise" {
        /// The group of replicas.
        group: u32,
        /// The ballot.
        ballot: u64
    }
    /// A replica accepted a value for a slot and says so.
    Accept = 42 "accept" {
        /// The group of replicas.
        group: u32,
        /// The slot.
        slot: u64,
        /// The ballot in which it did.
        ballot: u64,
        /// Digest of the value.
        value: Digest
    }
    /// A replica learnt that a slot's value is chosen.
    Choose = 43 "choose" {
        /// The group of replicas.
        group: u32,
        /// The slot.
        slot: u64,
        /// Digest of the value.
        value: Digest
    }

    /// A replica learnt who votes, or starts with what it knows of that. Where nobody says so, all nodes of its role vote.
    Members = 44 "members" {
        /// The group of replicas.
        group: u32,
        /// They vote on the slots above this one, which holds the change that made it so.
        since: u64,
        /// Those who vote.
        replicas: Vec<NodeIndex>
    }

    /// Work was done, or something used, that a customer's account must show. Whoever repeats it says the same again.
    Use = 50 "use" {
        /// What keeps the account, and in which unit, such as `cpu-ns` or `bytes`.
        ledger: String,
        /// The customer.
        account: u32,
        /// What it was done for: one use each.
        id: Id,
        /// How much.
        amount: u64
    }
    /// A use was entered in the ledger for good.
    Count = 51 "count" {
        /// The ledger.
        ledger: String,
        /// The customer.
        account: u32,
        /// The use.
        id: Id,
        /// How much.
        amount: u64,
        /// The entry's place in the ledger's order: replicas that make one entry agree on it.
        position: u64
    }
    /// Somebody asks a ledger for an account's sum.
    AskTotal = 52 "ask-total" {
        /// The ledger.
        ledger: String,
        /// The customer.
        account: u32,
        /// The question's number in this ledger.
        question: u64
    }
    /// The answer: the sum of the account.
    Total = 53 "total" {
        /// The ledger.
        ledger: String,
        /// The customer.
        account: u32,
        /// The question.
        question: u64,
        /// The sum.
        amount: u64
    }

    /// A node of an archive keeps a copy of an object, durably. Whoever repeats it says the same again.
    Archive = 54 "archive" {
        /// The object's name.
        object: String,
        /// Digest of its content.
        content: Digest
    }
    /// Somebody was told that an object is archived: kept by a majority of the archive's nodes, as it is, until
    /// its retention is over.
    Archived = 55 "archived" {
        /// The object's name.
        object: String,
        /// Digest of its content.
        content: Digest
    }
    /// Somebody asks an archive for an object.
    Recall = 56 "recall" {
        /// The object's name.
        object: String,
        /// The question's number among this node's.
        question: u64
    }
    /// The answer; a question without this was not answered.
    Restore = 57 "restore" {
        /// The object's name.
        object: String,
        /// The question.
        question: u64,
        /// Digest of the object's content; none where there is no such object, or none any more.
        content: Vec<Digest>
    }
    /// A node of an archive read what it has of an object, once all is healed and quiet, and has no receipt instead.
    Inventory = 58 "inventory" {
        /// The object's name.
        object: String,
        /// Digest of its copy's content; none where it has no copy that is whole.
        content: Vec<Digest>
    }
    /// A node of an archive discarded an object's content, which had been kept for long enough, or took that over from another,
    /// and keeps a receipt in its place, durably. Whoever repeats it says the same again.
    Discard = 59 "discard" {
        /// The object's name.
        object: String,
        /// Digest of the content that it had.
        content: Digest,
        /// How long, in nanoseconds, an object has to be kept.
        after_ns: u64
    }

    /// A client asked a store to write. Whoever repeats it says the same again.
    Write = 60 "write" {
        /// The operation.
        id: Id,
        /// Under which key.
        key: String,
        /// Digest of the value, unique to this write.
        value: Digest,
        /// The values that it replaces: those that the client had seen.
        over: Vec<Digest>
    }
    /// A client asked a store to delete what it had seen under a key.
    Delete = 65 "delete" {
        /// The operation.
        id: Id,
        /// The key.
        key: String,
        /// The values that are to go.
        over: Vec<Digest>
    }
    /// A client was told that its write, or its deletion, is kept.
    Written = 61 "written" {
        /// The operation.
        id: Id
    }
    /// A client asked a store for what a key holds.
    Read = 62 "read" {
        /// The operation.
        id: Id,
        /// The key.
        key: String,
        /// Whether the store promises the client its own order: what it wrote and what it saw, and nothing older.
        session: bool
    }
    /// A client was told what a key holds: nothing, a value, or several that nobody has reconciled.
    Found = 63 "found" {
        /// The operation.
        id: Id,
        /// The values.
        values: Vec<Digest>
    }
    /// A replica of a store says what it holds under a key that it owns, once all is healed and quiet; one that does so
    /// for one key does so for all.
    Hold = 64 "hold" {
        /// The key.
        key: String,
        /// The values.
        values: Vec<Digest>
    }

    /// A node began to act as the only holder of something.
    Acquire = 70 "acquire" {
        /// What is held.
        lease: String,
        /// The lease's number: greater than that of any before.
        token: u64
    }
    /// A node stopped acting as the holder.
    Release = 71 "release" {
        /// What was held.
        lease: String,
        /// The lease's number.
        token: u64
    }
    /// What is guarded by a lease took something from a holder.
    Guard = 72 "guard" {
        /// The lease.
        lease: String,
        /// The number of the lease that the holder showed.
        token: u64,
        /// The place, in the order of what is guarded, at which it was taken: replicas that take one thing agree on it.
        position: u64
    }

    /// An account was made: each edge shall know it after so long at the most.
    Enrol = 80 "enrol" {
        /// The account.
        account: u32,
        /// How long an edge may not know it.
        within_ns: u64
    }
    /// An account was revoked: no edge shall let it in after so long.
    Revoke = 81 "revoke" {
        /// The account.
        account: u32,
        /// How long an edge may go on letting it in.
        within_ns: u64
    }
    /// An edge let a request in.
    Admit = 82 "admit" {
        /// Whose it is.
        account: u32,
        /// The request.
        id: Id,
        /// How old, on this node's own clock, what it decided by was.
        age_ns: u64
    }
    /// An edge turned a request away since it knows no such account, or a revoked one.
    Deny = 83 "deny" {
        /// Whose it claims to be.
        account: u32,
        /// The request.
        id: Id
    }

    /// A rollout lets a version onto so much of the nodes of a role.
    Stage = 90 "stage" {
        /// The version.
        version: u64,
        /// The role.
        role: String,
        /// The share, in percent.
        percent: u32
    }
    /// A node began to run a version.
    Adopt = 91 "adopt" {
        /// The version.
        version: u64
    }
    /// Somebody pushes a version that no node may run: what validation is for. Said before any node can have it, out of
    /// what is known of it where it is made, not by validating it.
    Invalid = 93 "invalid" {
        /// The version.
        version: u64
    }
    /// A version was found bad, and is to be taken back.
    Condemn = 92 "condemn" {
        /// The version.
        version: u64
    }
}
