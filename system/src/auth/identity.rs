//! The management plane: makes accounts and revokes them.
//!
//! An account is given out once a majority of the data plane keeps it durably: else the loss of this disk could give its number
//! to somebody else, who would be let in by the first one's credential. A revocation is made once a majority of the data plane keeps it durably, since every edge asks a majority too. Until then whoever
//! asked for it is told that it has begun.
//!
//! In the history an account's enrolment is noted before it is written, and so is that a revocation begins, without a bound: what a
//! crash leaves undone then accuses nobody, and what it leaves done nobody sees before it is noted. With its bound a revocation
//! is noted when it is made.

use super::log::{Entry, Log, Standing, Writer, secret};
use super::protocol::{Request, Response};
use super::replica::since;
use super::token::{Credential, Signer};
use super::{PATIENCE, PORT, ROLE};
use crate::config::Agent;
use crate::rpc::{self, Incoming, Remote};
use bytes::Bytes;
use sim::history::Fact;
use sim::net::TcpListener;
use sim::stack::{Deployment, Process};
use sim::task;
use sim::time::{Instant, sleep, timeout, wall_now};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How often in its life the age of the key for addresses is looked at, and how often at the most.
const ADDRESS_KEY_LOOKS: u32 = 16;
const ADDRESS_KEY_LOOK_MIN: Duration = Duration::from_secs(1);

/// How long to wait before the data plane is asked again for what is lost here.
const RESTORE_PAUSE: Duration = Duration::from_millis(200);

struct Identity {
    log: Log,
    signer: Signer,
    accounts_max: u64,
    enrolled_within_ns: u64,
    revoked_within_ns: u64,
    spread: Mutex<Spread>,
    /// Accounts that wait for the log.
    wanted: Mutex<Vec<Wanted>>,
}

/// An account that somebody wants.
struct Wanted {
    account: Option<u32>,
    /// How it was asked for.
    asked: Option<[u8; 32]>,
    told: oneshot::Sender<Result<u32, Response>>,
}

/// Accounts that are about to be written together.
#[derive(Default)]
struct Made {
    entries: Vec<Entry>,
    accounts: BTreeSet<u32>,
    asked: BTreeMap<[u8; 32], u32>,
}

/// How far the log has come in the data plane.
#[derive(Default)]
struct Spread {
    /// How much is durable at each of its nodes.
    durable: BTreeMap<String, u64>,
    /// What waits until a majority has so much. Each has no permits, and is closed then: that wakes all who wait.
    kept: BTreeMap<u64, Arc<Semaphore>>,
    /// Revocations that too few have yet.
    begun: BTreeMap<u32, Begun>,
    /// Those that this process has noted as made.
    made: BTreeSet<u32>,
}

/// A revocation that too few of the data plane have.
struct Begun {
    /// The version that has it.
    version: u64,
    /// Has no permits, and is closed once it is made: that wakes all who wait.
    made: Arc<Semaphore>,
}

/// Answers until the disk or the port fails.
pub(super) async fn run(process: &Process, agent: &Arc<Agent>) -> io::Result<()> {
    let deployment = &process.deployment;
    let listener = TcpListener::bind(PORT).await?;
    let (log, whole) = Log::open().await?;
    if !whole {
        restore(&log, deployment).await?;
    }
    let signer = signer(&log).await?;
    let nanoseconds = |name| u64::try_from(deployment.duration(name).as_nanos()).unwrap_or(u64::MAX);
    let durable = deployment.of_role(ROLE).map(|node| (node.name.clone(), 0)).collect();
    let identity = Arc::new(Identity {
        log,
        signer,
        accounts_max: deployment.number("auth.accounts-max"),
        enrolled_within_ns: nanoseconds("auth.enrolment-bound"),
        revoked_within_ns: nanoseconds("auth.revocation-bound"),
        spread: Mutex::new(Spread { durable, ..Spread::default() }),
        wanted: Mutex::new(Vec::new()),
    });
    let (failed, mut failures) = mpsc::unbounded_channel();
    let lifetime = deployment.duration("auth.address-key-for");
    task::spawn(renew_address_key(identity.clone(), lifetime, failed.clone()));
    let door = agent.door(
        move |incoming: Incoming<Request, Response>| match incoming.request {
            Request::Since { version, follower } => {
                if let Some(follower) = follower {
                    identity.hear(&follower, version);
                }
                incoming.replier.reply(since(&identity.log, version), Bytes::new());
            }
            _ => drop(task::spawn(answer(identity.clone(), incoming, failed.clone()))),
        },
        |reply| matches!(reply, Response::NotReady | Response::Full),
    );
    let served = rpc::listen(listener, door);
    tokio::select! {
        biased;
        served = served => served,
        error = failures.recv() => Err(error.unwrap_or_else(|| io::Error::other("a task ended"))),
    }
}

/// Gets back what was lost here from the data plane, which follows. All of it must answer: there may be one that has what no
/// other has, and two accounts must never have one number.
async fn restore(log: &Log, deployment: &Deployment) -> io::Result<()> {
    let followers: Vec<Remote<Request, Response>> =
        deployment.of_role(ROLE).map(|node| Remote::new(&node.name, PORT, PATIENCE)).collect();
    for follower in followers {
        loop {
            let version = log.known().version();
            let ask = Request::Since { version, follower: None };
            let asked = follower.call(ask, Bytes::new(), Instant::now() + PATIENCE);
            match timeout(PATIENCE, asked).await {
                Ok(Ok((Response::Entries { entries, .. }, _))) if entries.is_empty() => break,
                Ok(Ok((Response::Entries { entries, .. }, _))) => {
                    sim::sometimes!("the management plane gets lost accounts back from the data plane");
                    log.writer().await.append(entries).await?;
                }
                _ => sleep(RESTORE_PAUSE).await,
            }
        }
    }
    Ok(())
}

/// What to sign with: the secret on disk where its public half is in the log, else a new one.
async fn signer(log: &Log) -> io::Result<Signer> {
    let keys = log.known().keys.clone();
    let number = |place: usize| u32::try_from(place).expect("fewer keys than 2^32");
    if let Some(secret) = secret::read().await {
        let public = Signer::new(0, secret).public();
        if let Some(place) = keys.iter().position(|key| *key == public) {
            return Ok(Signer::new(number(place), secret));
        }
    }
    let mut secret = [0; 32];
    sim::node::stream("identity-key").fill(&mut secret);
    let signer = Signer::new(number(keys.len()), secret);
    // The secret first: a key in the log that nobody has would only be in the way.
    secret::keep(secret).await?;
    log.writer().await.append(vec![Entry::Key { public: signer.public() }]).await?;
    Ok(signer)
}

/// Makes another key for addresses whenever the newest has been that for so long, until the disk fails.
async fn renew_address_key(
    identity: Arc<Identity>,
    lifetime: Duration,
    failed: mpsc::UnboundedSender<io::Error>,
) {
    let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut chance = sim::node::stream("address-key");
    loop {
        let (now_ns, made_ns) = (nanoseconds(wall_now()), identity.log.known().address_key_made_ns());
        // A clock that was far ahead for a while must not keep its key for ever.
        if made_ns.is_none_or(|made_ns| now_ns.abs_diff(made_ns) >= nanoseconds(lifetime)) {
            let mut secret = [0; 32];
            chance.fill(&mut secret);
            let key = Entry::AddressKey { secret, made_ns: now_ns };
            if let Err(error) = identity.log.writer().await.append(vec![key]).await {
                return drop(failed.send(error));
            }
        }
        sleep((lifetime / ADDRESS_KEY_LOOKS).max(ADDRESS_KEY_LOOK_MIN)).await;
    }
}

async fn answer(
    identity: Arc<Identity>,
    incoming: Incoming<Request, Response>,
    failed: mpsc::UnboundedSender<io::Error>,
) {
    let Incoming { request, replier, deadline, .. } = incoming;
    let answered = match request {
        Request::Create { account, asked } => identity.create(account, asked, deadline).await,
        Request::Revoke { account, credential } => identity.revoke(account, &credential, deadline).await,
        Request::Since { .. } | Request::Look { .. } => Ok(Response::NotReady),
    };
    match answered {
        Ok(response) => replier.reply(response, Bytes::new()),
        // The process ends.
        Err(error) => drop(failed.send(error)),
    }
}

impl Identity {
    async fn create(
        &self,
        account: Option<u32>,
        asked: Option<[u8; 32]>,
        deadline: Instant,
    ) -> io::Result<Response> {
        let account = match self.write_account(account, asked).await? {
            Ok(account) => account,
            Err(refusal) => return Ok(refusal),
        };
        let created = self.log.known().accounts.get(&account).map(|account| account.created);
        let Some(kept) = self.spread().keep(created.unwrap_or(0)) else { return Ok(self.created(account)) };
        // The rest of the time is the answer's.
        let waited = timeout((deadline - Instant::now()) * 3 / 4, kept.acquire()).await;
        sim::sometimes!(waited.is_err(), "a new account waits for the data plane");
        Ok(if waited.is_err() { Response::Making } else { self.created(account) })
    }

    /// Writes an account down, unless it is there; its number, or why there is none. Those who come while others are written
    /// go together, with one sync.
    async fn write_account(
        &self,
        account: Option<u32>,
        asked: Option<[u8; 32]>,
    ) -> io::Result<Result<u32, Response>> {
        let (told, answer) = oneshot::channel();
        self.wanted().push(Wanted { account, asked, told });
        let mut writer = self.log.writer().await;
        self.write_wanted(&mut writer).await?;
        drop(writer);
        // Whoever had the log before may have written it; where it could not, the process ends.
        Ok(answer.await.unwrap_or(Err(Response::NotReady)))
    }

    async fn write_wanted(&self, writer: &mut Writer<'_>) -> io::Result<()> {
        let wanted = std::mem::take(&mut *self.wanted());
        let mut made = Made::default();
        let mut answers = Vec::with_capacity(wanted.len());
        for Wanted { account, asked, told } in wanted {
            answers.push((told, self.make(&mut made, account, asked)));
        }
        if !made.entries.is_empty() {
            writer.append(made.entries).await?;
        }
        for (told, answer) in answers {
            // Nobody may be waiting any more.
            let _ = told.send(answer);
        }
        Ok(())
    }

    /// The account that somebody gets, which is noted and not yet written; or why none.
    fn make(&self, made: &mut Made, account: Option<u32>, asked: Option<[u8; 32]>) -> Result<u32, Response> {
        let known = self.log.known();
        let of_asked = |asked| known.asked.get(&asked).or_else(|| made.asked.get(&asked)).copied();
        if let Some(same) = asked.and_then(of_asked) {
            let again = account.is_none_or(|account| account == same);
            let good = made.accounts.contains(&same) || known.standing(same) == Standing::Good;
            return if again && good { Ok(same) } else { Err(Response::Taken) };
        }
        let is_taken =
            |account: u32| known.accounts.contains_key(&account) || made.accounts.contains(&account);
        let account = match account {
            Some(account) if is_taken(account) => return Err(Response::Taken),
            _ if (known.accounts.len() + made.accounts.len()) as u64 >= self.accounts_max => {
                return Err(Response::Full);
            }
            Some(account) => account,
            None => known.free_number(&made.accounts),
        };
        sim::node::record(Fact::Enrol { account, within_ns: self.enrolled_within_ns });
        made.accounts.insert(account);
        if let Some(asked) = asked {
            made.asked.insert(asked, account);
        }
        made.entries.push(Entry::Create { account, asked });
        Ok(account)
    }

    fn wanted(&self) -> MutexGuard<'_, Vec<Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn created(&self, account: u32) -> Response {
        Response::Created { account, credential: self.signer.sign(account) }
    }

    async fn revoke(&self, account: u32, credential: &str, deadline: Instant) -> io::Result<Response> {
        if let Err(refusal) = self.is_holder(account, credential) {
            return Ok(refusal);
        }
        {
            let mut writer = self.log.writer().await;
            if self.log.known().standing(account) == Standing::Good {
                sim::node::record(Fact::Revoke { account, within_ns: u64::MAX });
                writer.append(vec![Entry::Revoke { account }]).await?;
            }
        }
        let version = self.log.known().accounts.get(&account).and_then(|account| account.revoked);
        let Some(version) = version else { return Ok(Response::NoAccount) };
        let Some(made) = self.spread().begin(account, version) else { return Ok(Response::Revoked) };
        self.settle();
        // The rest of the time is the answer's.
        let waited = timeout((deadline - Instant::now()) * 3 / 4, made.acquire()).await;
        sim::sometimes!(waited.is_err(), "a revocation waits for the data plane");
        Ok(if waited.is_err() { Response::Begun } else { Response::Revoked })
    }

    /// Whether `credential` is one of `account`, revoked or not; else why not.
    fn is_holder(&self, account: u32, credential: &str) -> Result<(), Response> {
        let known = self.log.known();
        let key = |credential: &Credential| known.keys.get(usize::try_from(credential.key).ok()?).copied();
        let credential = Credential::parse(credential);
        let signed = credential
            .filter(|credential| key(credential).is_some_and(|public| credential.is_signed_by(&public)));
        match signed {
            None => Err(Response::Forged),
            Some(_) if known.standing(account) == Standing::Unknown => Err(Response::NoAccount),
            Some(credential) if credential.account != account => Err(Response::NotYours),
            Some(_) => Ok(()),
        }
    }

    /// Notes how much is durable at a node of the data plane: less than before, where it lost its disk.
    fn hear(&self, follower: &str, version: u64) {
        if let Some(durable) = self.spread().durable.get_mut(follower) {
            *durable = version;
        }
        self.settle();
    }

    /// Notes the revocations as made that a majority of the data plane keeps.
    fn settle(&self) {
        let mut spread = self.spread();
        let version = spread.of_majority();
        let Spread { begun, made, kept, .. } = &mut *spread;
        kept.retain(|wanted, kept| {
            let waits = *wanted > version;
            if !waits {
                kept.close();
            }
            waits
        });
        begun.retain(|account, begun| {
            let waits = begun.version > version;
            if !waits && made.insert(*account) {
                sim::node::record(Fact::Revoke { account: *account, within_ns: self.revoked_within_ns });
                begun.made.close();
            }
            waits
        });
    }

    fn spread(&self) -> MutexGuard<'_, Spread> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spread {
    /// What says when a revocation is made; none where this process has noted that.
    fn begin(&mut self, account: u32, version: u64) -> Option<Arc<Semaphore>> {
        if self.made.contains(&account) {
            return None;
        }
        let begin = || Begun { version, made: Arc::new(Semaphore::new(0)) };
        Some(self.begun.entry(account).or_insert_with(begin).made.clone())
    }

    /// What says when a majority keeps so much; none where one does.
    fn keep(&mut self, version: u64) -> Option<Arc<Semaphore>> {
        let waits = self.of_majority() < version;
        waits.then(|| self.kept.entry(version).or_insert_with(|| Arc::new(Semaphore::new(0))).clone())
    }

    /// How much is durable at a majority. Where there is no data plane, everything is.
    fn of_majority(&self) -> u64 {
        let mut versions: Vec<u64> = self.durable.values().copied().collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        versions.get(versions.len() / 2).copied().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_has_what_the_one_in_the_middle_has() {
        let of_majority = |versions: &[u64]| {
            let durable = versions.iter().enumerate().map(|(node, version)| (node.to_string(), *version));
            Spread { durable: durable.collect(), ..Spread::default() }.of_majority()
        };
        assert_eq!(of_majority(&[5, 0, 3]), 3);
        assert_eq!(of_majority(&[5, 5, 3, 0]), 3, "three of four");
        assert_eq!(of_majority(&[2]), 2);
        assert_eq!(of_majority(&[]), u64::MAX);
    }
}
