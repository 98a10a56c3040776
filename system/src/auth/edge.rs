//! The edge: decides in an API server whose a request is and whether it is let in.
//!
//! A signature is checked once and then known by the credential's hash. An account is asked for once, however many requests wait for
//! the answer: whoever comes meanwhile waits too. Whoever is remembered as good waits a moment only, and is then let in by that.

use super::address::{AddressKey, Secret};
use super::cache::{Cache, Remembered, Rules, Verdict};
use super::log::Standing;
use super::protocol::{Request, Response};
use super::token::{Credential, Public};
use super::{PATIENCE, PORT, ROLE};
use crate::rpc::{self, Remote};
use bytes::Bytes;
use sim::history::{Fact, Id};
use sim::stack::Deployment;
use sim::task;
use sim::time::{Instant, timeout};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long the data plane may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How long a request waits for it that could be let in by what is remembered.
const STALE_WAIT: Duration = Duration::from_millis(250);
/// For so long after a question without an answer, requests that can do without one ask nothing.
const SILENCE: Duration = Duration::from_secs(1);
/// Accounts that are asked for at once; whoever has a credential for more is asked to come back.
const QUESTIONS_MAX: usize = 1000;
/// A key that nobody has heard of is asked for no more often.
const KEYS_EVERY: Duration = Duration::from_secs(1);

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// What it has is no credential, or nobody signed it.
    Forged,
    /// The account is not known.
    Unknown,
    /// It was revoked.
    Revoked,
    /// Nobody can say.
    Unclear,
}

/// The edge of one API server.
pub(crate) struct Edge {
    rules: Rules,
    data_plane: Vec<Remote<Request, Response>>,
    state: Mutex<State>,
}

struct State {
    cache: Cache,
    keys: Vec<Public>,
    /// What addresses are signed with, by number, the newest last.
    address_keys: Vec<(u32, Secret)>,
    /// How much the data plane knew when it told of these keys.
    version: u64,
    /// When it was asked that told of keys last.
    keys_at: Option<Instant>,
    /// Accounts that are asked for now. Each has no permits, and is closed when there is an answer, or none: that wakes all who
    /// wait in the order in which they came, where tokio's `watch` has an order of its own.
    questions: BTreeMap<u32, Arc<Semaphore>>,
    /// Until when it is no use to ask.
    silent_until: Option<Instant>,
}

/// What the data plane says: of an account, of keys of credentials and of addresses; after how much it knows.
type Said = (u64, Standing, Vec<Public>, Vec<(u32, Secret)>);

impl Edge {
    /// The edge of a server of `deployment`; none where everybody is let in.
    pub(crate) fn new(deployment: &Deployment) -> Option<Arc<Self>> {
        let data_plane: Vec<_> =
            deployment.of_role(ROLE).map(|node| Remote::new(&node.name, PORT, PATIENCE)).collect();
        if data_plane.is_empty() {
            return None;
        }
        let bounded = deployment.flag("auth.bounded");
        let rules = Rules {
            // What came in time for the request that asked is good for it.
            keep: deployment.duration("auth.cache-for").max(ANSWER_WAIT),
            keep_refusals: deployment.duration("auth.cache-refusals-for").max(ANSWER_WAIT),
            serve_stale: deployment.flag("auth.serve-stale"),
            bound: bounded.then(|| deployment.duration("auth.revocation-bound")),
        };
        let state = State {
            cache: Cache::new(deployment.number("auth.cache-entries")),
            keys: Vec::new(),
            address_keys: Vec::new(),
            version: 0,
            keys_at: None,
            questions: BTreeMap::new(),
            silent_until: None,
        };
        Some(Arc::new(Self { rules, data_plane, state: Mutex::new(state) }))
    }

    /// Whose a request is, by its credential; `id` is what the request is called as this account's.
    ///
    /// # Errors
    /// Where it is not let in.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        credential: &str,
        id: impl FnOnce(u32) -> Id,
        deadline: Instant,
    ) -> Result<u32, Refusal> {
        let hash = blake3::hash(credential.as_bytes());
        let credential = Credential::parse(credential).ok_or(Refusal::Forged)?;
        self.prove(&credential, hash, deadline).await?;
        let account = credential.account;
        self.let_in(account, Some(hash), id(account), deadline).await?;
        Ok(account)
    }

    /// The key number `number` that addresses are signed with, or the newest; none where there is none of that number, or it
    /// is not good any more. An account is asked for beside it.
    ///
    /// # Errors
    /// [`Refusal::Unclear`] where nobody can say.
    pub(crate) async fn address_key(
        self: &Arc<Self>,
        number: Option<u32>,
        account: u32,
        deadline: Instant,
    ) -> Result<Option<AddressKey>, Refusal> {
        let known = |state: &State| {
            let mut newest_first = state.address_keys.iter().rev();
            let key = newest_first.find(|(known, _)| number.is_none_or(|number| *known == number));
            key.map(|(number, secret)| AddressKey { number: *number, secret: *secret })
        };
        let (key, asked) = {
            let state = self.state();
            (known(&state), state.keys_at.is_some_and(|keys_at| keys_at.elapsed() < KEYS_EVERY))
        };
        if key.is_some() {
            return Ok(key);
        }
        if asked {
            // The one after the newest may just have been made.
            let newest = self.state().address_keys.last().map(|(newest, _)| *newest);
            let next =
                number.is_none_or(|number| newest.is_none_or(|newest| number == newest.wrapping_add(1)));
            return if next { Err(Refusal::Unclear) } else { Ok(None) };
        }
        let answered = self.ask(account, ANSWER_WAIT, deadline).await;
        let key = known(&self.state());
        if key.is_some() || answered { Ok(key) } else { Err(Refusal::Unclear) }
    }

    /// Lets in the request `id` of an account, on whose behalf it was proven to be: by a credential of this hash, or by a signed
    /// address.
    ///
    /// # Errors
    /// Where the account is not good, or nobody can say.
    pub(crate) async fn let_in(
        self: &Arc<Self>,
        account: u32,
        credential: Option<blake3::Hash>,
        id: Id,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        match self.judge(account, credential, deadline).await {
            Verdict::Admit { age } => {
                let age_ns = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
                sim::node::record(Fact::Admit { account, id, age_ns });
                Ok(())
            }
            Verdict::Deny { revoked } => {
                sim::node::record(Fact::Deny { account, id });
                sim::sometimes!(!revoked, "an account is so new that the data plane does not know it");
                Err(if revoked { Refusal::Revoked } else { Refusal::Unknown })
            }
            Verdict::Unclear => Err(Refusal::Unclear),
        }
    }

    /// Finds out whether the management plane signed a credential.
    async fn prove(
        self: &Arc<Self>,
        credential: &Credential,
        hash: blake3::Hash,
        deadline: Instant,
    ) -> Result<(), Refusal> {
        let place = usize::try_from(credential.key).unwrap_or(usize::MAX);
        let (key, next, asked) = {
            let mut state = self.state();
            let remembered = state.cache.get(credential.account);
            if remembered.is_some_and(|remembered| remembered.proven == Some(hash)) {
                return Ok(());
            }
            let asked = state.keys_at.is_some_and(|keys_at| keys_at.elapsed() < KEYS_EVERY);
            (state.keys.get(place).copied(), state.keys.len(), asked)
        };
        let key = match key {
            Some(key) => Some(key),
            // The one after the newest may just have been made.
            None if asked && place == next => return Err(Refusal::Unclear),
            // Else anybody could have the data plane asked for what nobody has.
            None if asked => None,
            None => {
                let answered = self.ask(credential.account, ANSWER_WAIT, deadline).await;
                let key = self.state().keys.get(place).copied();
                if key.is_none() && !answered {
                    return Err(Refusal::Unclear);
                }
                key
            }
        };
        let signed = key.is_some_and(|key| credential.is_signed_by(&key));
        if signed { Ok(()) } else { Err(Refusal::Forged) }
    }

    /// What to do with a request of an account whose credential is good.
    async fn judge(
        self: &Arc<Self>,
        account: u32,
        credential: Option<blake3::Hash>,
        deadline: Instant,
    ) -> Verdict {
        let (fresh, stale, silent) = self.remembered(account, credential);
        if fresh != Verdict::Unclear {
            return fresh;
        }
        let can_wait = stale == Verdict::Unclear;
        if can_wait || !silent {
            self.ask(account, if can_wait { ANSWER_WAIT } else { STALE_WAIT }, deadline).await;
        }
        let (fresh, stale, _) = self.remembered(account, credential);
        if fresh != Verdict::Unclear {
            return fresh;
        }
        let admits = matches!(stale, Verdict::Admit { .. });
        sim::sometimes!(admits, "an account is let in by what is remembered since the data plane is silent");
        sim::sometimes!(!admits && !can_wait, "what is remembered of an account gets too old to let it in");
        stale
    }

    /// What the cache says of an account now: by itself, and where nobody can be asked; and whether nobody can.
    fn remembered(&self, account: u32, credential: Option<blake3::Hash>) -> (Verdict, Verdict, bool) {
        let (mut state, now) = (self.state(), Instant::now());
        let silent = state.silent_until.is_some_and(|until| now < until);
        let Some(remembered) = state.cache.get(account) else {
            return (Verdict::Unclear, Verdict::Unclear, silent);
        };
        remembered.proven = credential.or(remembered.proven);
        (self.rules.fresh(remembered, now), self.rules.stale(remembered, now), silent)
    }

    /// Asks the data plane for an account, unless somebody does already, and waits for the answer for a while; whether there is
    /// one. It may still come.
    async fn ask(self: &Arc<Self>, account: u32, wait: Duration, deadline: Instant) -> bool {
        let begun = Instant::now();
        let question = {
            let mut state = self.state();
            if let Some(question) = state.questions.get(&account) {
                sim::sometimes!("a request waits for what another has asked of the data plane");
                question.clone()
            } else if state.questions.len() >= QUESTIONS_MAX {
                return false;
            } else {
                let question = Arc::new(Semaphore::new(0));
                state.questions.insert(account, question.clone());
                let (edge, answered) = (self.clone(), question.clone());
                // By itself: whoever asked may hang up, and others wait.
                task::spawn(async move {
                    edge.fetch(account).await;
                    edge.state().questions.remove(&account);
                    answered.close();
                });
                question
            }
        };
        let _ = timeout(wait.min(deadline - begun), question.acquire()).await;
        let state = self.state();
        state.keys_at.is_some_and(|keys_at| keys_at >= begun)
    }

    /// Asks all of the data plane, and remembers what the newest of a majority says.
    async fn fetch(&self, account: u32) {
        let asked_at = Instant::now();
        let answer = self.majority(account, asked_at + ANSWER_WAIT).await;
        let mut state = self.state();
        match answer {
            Some((version, standing, keys, address_keys)) => {
                let proven = state.cache.get(account).and_then(|remembered| remembered.proven);
                state.cache.put(account, Remembered { standing, asked_at, proven });
                // A question about another account may have been overtaken by this one, or by a later.
                if version >= state.version {
                    (state.version, state.keys, state.address_keys) = (version, keys, address_keys);
                    state.keys_at = state.keys_at.max(Some(asked_at));
                }
                state.silent_until = None;
            }
            None => state.silent_until = Some(Instant::now() + SILENCE),
        }
    }

    async fn majority(&self, account: u32, deadline: Instant) -> Option<Said> {
        let call = |node: &Remote<_, _>| Some(node.call(Request::Look { account }, Bytes::new(), deadline));
        let mut calls: Vec<_> = self.data_plane.iter().map(call).collect();
        let mut answers = Vec::new();
        while answers.len() <= self.data_plane.len() / 2 {
            let (_, answer) =
                timeout(deadline - Instant::now(), rpc::next_answer(&mut calls)).await.ok()??;
            if let Ok((Response::Stands { version, standing, keys, address_keys }, _)) = answer {
                answers.push((version, standing, keys, address_keys));
            }
        }
        answers.into_iter().max_by_key(|(version, ..)| *version)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
