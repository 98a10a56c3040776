//! Clients: simulated users with pictures, some of them garbage, who want answers and remember what they were told.

mod account;
mod budget;
mod draw;

use crate::http::{HttpClient, HttpError};
use crate::resize::{Codec, Converter, Limits};
use crate::{api, auth, balancer};
use account::Holder;
use budget::Budget;
use bytes::Bytes;
use draw::{Kind, Wish};
use http_body_util::Full;
use hyper::header::RETRY_AFTER;
use hyper::http::request::Builder;
use hyper::{Request, Response};
use sim::history::{Digest, Fact, Id, Stage};
use sim::rng::Stream;
use sim::stack::{Client, Deployment, Operation, Setting, SettingKind};
use sim::time::{Instant, sleep, sleep_until};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The first wait before another try, at most; each next may be twice as long, up to the longest.
const BACK_OFF: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// How long one question for a job's result waits at the server.
const POLL_WAIT_S: u64 = 5;

/// What scenarios can change about users, besides their first settings.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        name: "client.poisonous",
        why: "how many of the clients send nothing but pictures that harm workers which have a `worker.weakness`",
        default: "0",
        kind: SettingKind::Number { least: 0, most: 1_000_000 },
    },
    Setting {
        name: "client.enrol-over",
        why: "over how long the clients make their accounts, evenly; 0s: all at once",
        default: "0s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "client.keeps-connections",
        why: "whether a client keeps its connections for its next requests, or closes each after its answer",
        default: "true",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "client.revoked",
        why: "how many of the clients have their accounts revoked during the run, and go on trying",
        default: "0",
        kind: SettingKind::Number { least: 0, most: 1_000_000 },
    },
    Setting {
        name: "client.revoke-at",
        why: "when they do; what they have under way ends first",
        default: "30s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "client.redrive-at",
        why: "when clients whose jobs were set aside have them put back, at the earliest; 0s is never, and they take it for a no",
        default: "0s",
        kind: SettingKind::Duration,
    },
    Setting {
        name: "client.redrive-done",
        why: "whether clients ask to have jobs put back that are done, too: a mistake, that must change nothing",
        default: "false",
        kind: SettingKind::Flag,
    },
    Setting {
        name: "client.wishes",
        why: "what the other clients send: pictures and some nonsense, to be done now or later (`mixed`), or pictures to be done now (`pictures`)",
        default: "mixed",
        kind: SettingKind::Choice(&["mixed", "pictures"]),
    },
    Setting {
        name: "client.pictures",
        why: "how many different pictures of each of two formats all clients have together",
        default: "12",
        kind: SettingKind::Number { least: 1, most: 10_000 },
    },
];

/// One user.
struct User {
    http: HttpClient,
    servers: Vec<String>,
    converter: Converter,
    deadline: Duration,
    attempts: u64,
    budget: Budget,
    kind: Kind,
    pictures: u64,
    /// Its account, where the service wants to know whose a request is.
    holder: Option<Holder>,
    /// When it has it revoked.
    revoke_at_ns: u64,
    /// From when on it has jobs put back that were set aside.
    redrive_at: Option<Instant>,
    /// Whether it tries that with jobs that are done, too.
    redrives_done: bool,
}

/// Runs one client: each operation at its time, whatever became of those before it, until each has an answer or is given up.
pub async fn run(client: Client) {
    let mut user = User::new(&client.deployment, client.index);
    if client.deployment.of_role(auth::ROLE).next().is_some() {
        sleep(turn_to_enrol(&client.deployment, client.index)).await;
        // In a box of its own: what is done once must not take up room in every user's task for the rest of a run.
        user.holder = Some(Box::pin(Holder::enrol(client.index, &user.http, &user.servers)).await);
    }
    let user = Arc::new(user);
    let mut operations = client.operations;
    let later = operations.split_off(operations.partition_point(|one| one.at_ns < user.revoke_at_ns));
    let (at_work, mut all_done) = mpsc::channel::<()>(1);
    for operation in operations {
        sleep_until(Instant::from_nanos(operation.at_ns)).await;
        let (user, at_work) = (user.clone(), at_work.clone());
        sim::task::spawn(async move {
            user.operate(operation).await;
            drop(at_work);
        });
    }
    drop(at_work);
    if later.is_empty() {
        // Nothing is ever sent: this is the end of the last operation.
        let _ = all_done.recv().await;
    } else {
        user.try_though_revoked(later, all_done).await;
    }
}

/// How long a client waits before it makes its account: they must not all stand at one door.
fn turn_to_enrol(deployment: &Deployment, index: u32) -> Duration {
    let over = deployment.duration("client.enrol-over");
    // By the golden ratio: whoever they are and however many, their turns lie apart.
    over.mul_f64(f64::from(index.wrapping_mul(0x9E37_79B9)) / f64::from(u32::MAX))
}

/// What a user was told in the end.
enum Told {
    Picture(Bytes),
    No(u16),
    Nothing,
}

/// What one answer means for the operation.
enum Answer {
    /// Status 200: the picture.
    Picture(Bytes),
    /// Status 202: the job is kept and not done.
    Accepted,
    /// Status 404: there is no such job.
    Unknown,
    /// A refusal that stays one, with its status.
    No(u16),
    /// The job was set aside, and this status says so.
    SetAside(u16),
    /// Nothing is known, or the server asks to try again: after so long at least.
    Again(Duration),
}

impl User {
    fn new(deployment: &Arc<Deployment>, index: u32) -> Self {
        let is_of = |setting| u64::from(index) < deployment.number(setting);
        let poisonous = is_of("client.poisonous");
        // Who has no account cannot lose it.
        let revoked = is_of("client.revoked") && deployment.of_role(auth::ROLE).next().is_some();
        let revoke_at_ns = deployment.duration("client.revoke-at").as_nanos();
        let redrive_at = Some(deployment.duration("client.redrive-at")).filter(|at| !at.is_zero());
        Self {
            kind: match deployment.setting("client.wishes") {
                _ if poisonous => Kind::Poisonous,
                "pictures" => Kind::Plain,
                _ => Kind::Ordinary,
            },
            pictures: deployment.number("client.pictures"),
            http: if deployment.flag("client.keeps-connections") {
                HttpClient::default()
            } else {
                HttpClient::closing()
            },
            servers: doors(deployment),
            converter: Converter::new(Codec::of(deployment), Limits::default()),
            deadline: deployment.duration("client.deadline"),
            attempts: deployment.number("client.attempts"),
            budget: Budget::new(deployment.number("client.retry-budget")),
            holder: None,
            redrive_at: redrive_at.map(|at| Instant::from_nanos(0) + at),
            redrives_done: deployment.flag("client.redrive-done"),
            revoke_at_ns: u64::try_from(revoke_at_ns).ok().filter(|_| revoked).unwrap_or(u64::MAX),
        }
    }

    /// Has its account revoked once all that it has under way is over, and makes its later requests all the same.
    async fn try_though_revoked(self: Arc<Self>, later: Vec<Operation>, mut all_done: mpsc::Receiver<()>) {
        let Some(holder) = self.holder.clone() else { return };
        sleep_until(Instant::from_nanos(self.revoke_at_ns)).await;
        let user = self.clone();
        let revoked = sim::task::spawn(async move {
            let _ = all_done.recv().await;
            holder.revoke(&user.http, &user.servers).await;
        });
        for operation in later {
            sleep_until(Instant::from_nanos(operation.at_ns)).await;
            let user = self.clone();
            sim::task::spawn(async move {
                let server = operation.chance().pick(&user.servers).cloned();
                if let (Some(holder), Some(server)) = (&user.holder, server) {
                    holder.try_in_vain(operation.id, &user.http, &server).await;
                }
            });
        }
        let _ = revoked.await;
    }

    async fn operate(&self, operation: Operation) {
        let (id, mut chance) = (operation.id, operation.chance());
        let wish = Wish::draw(&mut chance, self.kind, self.pictures);
        let expected = wish.expected(&self.converter);
        sim::node::record(Fact::Expect { id, output: expected.map(|bytes| Digest::of(&bytes)) });
        let deadline = Instant::now() + self.deadline;
        let server = usize::try_from(chance.below(0..self.servers.len() as u64)).expect("an index");
        let redrive_at = self.redrive_at;
        let (wait, wish_of) = (BACK_OFF, &wish);
        let mut want = Want { user: self, id, wish: wish_of, deadline, server, chance, wait, redrive_at };
        let told = if wish.sync { want.picture().await } else { want.job().await };
        if self.redrives_done && matches!(told, Told::Picture(_)) {
            want.put_back_in_vain().await;
        }
        sim::node::record(match told {
            Told::Picture(bytes) => Fact::Receive { id, output: Digest::of(&bytes) },
            Told::No(status) => Fact::Refuse { id, status: status.into() },
            Told::Nothing => Fact::GiveUp { id },
        });
    }
}

/// The names of the nodes that take users' requests: load balancers, or API servers where there are none.
fn doors(deployment: &Deployment) -> Vec<String> {
    let names = |role| deployment.of_role(role).map(|node| node.name.clone()).collect();
    let balancers: Vec<_> = names(balancer::ROLE);
    if balancers.is_empty() { names("api") } else { balancers }
}

/// One operation under way.
struct Want<'a> {
    user: &'a User,
    id: Id,
    wish: &'a Wish,
    deadline: Instant,
    /// The server to ask next.
    server: usize,
    chance: Stream,
    /// How long the next back-off may be.
    wait: Duration,
    /// From when on its job is put back where it was set aside; none where it was once already.
    redrive_at: Option<Instant>,
}

impl Want<'_> {
    /// One request whose answer is the picture.
    async fn picture(&mut self) -> Told {
        match self.submit("/v1/resize").await {
            Answer::Picture(bytes) => {
                sim::node::record(Fact::Acknowledge { id: self.id });
                Told::Picture(bytes)
            }
            Answer::Unknown => Told::No(404),
            Answer::No(status) => Told::No(status),
            Answer::SetAside(_) if self.put_back().await => self.follow().await,
            Answer::SetAside(status) => Told::No(status),
            Answer::Accepted | Answer::Again(_) => Told::Nothing,
        }
    }

    /// A job, and its result once there is one.
    async fn job(&mut self) -> Told {
        match self.submit("/v1/jobs").await {
            Answer::Accepted => sim::node::record(Fact::Acknowledge { id: self.id }),
            Answer::Unknown => return Told::No(404),
            Answer::No(status) | Answer::SetAside(status) => return Told::No(status),
            Answer::Picture(_) | Answer::Again(_) => return Told::Nothing,
        }
        self.follow().await
    }

    /// Asks for the job's result until there is one.
    async fn follow(&mut self) -> Told {
        let path = format!("/v1/jobs/{}?wait={POLL_WAIT_S}", self.id);
        self.wait = BACK_OFF;
        for question in 1.. {
            match self.look(&path, question).await {
                Answer::Picture(bytes) => return Told::Picture(bytes),
                Answer::Accepted if Instant::now() < self.deadline => {}
                // What was accepted is kept, and an answer that does not know it is none.
                Answer::Unknown | Answer::No(404) if self.back_off(Duration::ZERO).await => {}
                Answer::Unknown | Answer::No(404) => return Told::Nothing,
                Answer::SetAside(_) if self.put_back().await => {}
                Answer::No(status) | Answer::SetAside(status) => return Told::No(status),
                Answer::Again(least) if self.back_off(least).await => {}
                Answer::Accepted | Answer::Again(_) => return Told::Nothing,
            }
        }
        Told::Nothing
    }

    /// Has the job put back, when what was wrong is said to be mended, and begins to wait for it anew. False where nobody does
    /// that, or it was done once already.
    async fn put_back(&mut self) -> bool {
        let Some(redrive_at) = self.redrive_at.take() else { return false };
        sleep_until(redrive_at).await;
        (self.deadline, self.wait) = (Instant::now() + self.user.deadline, BACK_OFF);
        loop {
            match self.redrive().await {
                Answer::Accepted => {
                    sim::node::record(Fact::Acknowledge { id: self.id });
                    return true;
                }
                // The answer to an earlier try was lost.
                Answer::No(409) => return true,
                Answer::Again(least) if self.back_off(least).await => {}
                _ => return false,
            }
        }
    }

    /// Asks to have a job put back that is done, which the service refuses.
    async fn put_back_in_vain(&mut self) {
        if matches!(self.redrive().await, Answer::No(409)) {
            sim::sometimes!("a job that is done is not put back");
        }
    }

    async fn redrive(&mut self) -> Answer {
        let path = format!("/v1/jobs/{}/redrive", self.id);
        self.ask(Request::post(&path), Bytes::new()).await
    }

    /// One question how far the job is.
    async fn look(&mut self, path: &str, question: u32) -> Answer {
        let id = self.id;
        sim::node::record(Fact::Look { id, question });
        let answer = self.ask(Request::get(path), Bytes::new()).await;
        let stage = match &answer {
            Answer::Accepted => Some(Stage::Kept),
            Answer::Picture(_) => Some(Stage::Over),
            Answer::Unknown => Some(Stage::Unknown),
            // Some refusals are the job's result, others say that it is not to be had any more.
            Answer::No(_) | Answer::SetAside(_) | Answer::Again(_) => None,
        };
        if let Some(stage) = stage {
            sim::node::record(Fact::See { id, question, stage });
        }
        answer
    }

    /// Sends the picture until a server says something final, within the attempts, the retry budget and the deadline.
    async fn submit(&mut self, door: &str) -> Answer {
        let (path, key) = (format!("{door}?{}", self.wish.query), self.id.to_string());
        let mut attempt = 1;
        loop {
            sim::node::record(Fact::Submit { id: self.id, attempt });
            let request = Request::post(&path).header("idempotency-key", &key);
            let answer = self.ask(request, self.wish.body.clone()).await;
            let Answer::Again(least) = answer else { return answer };
            if u64::from(attempt) >= self.user.attempts || !self.back_off(least).await {
                return answer;
            }
            attempt += 1;
        }
    }

    /// One request to one server; to another one next time where this one does not answer well.
    async fn ask(&mut self, request: Builder, body: Bytes) -> Answer {
        let server = self.user.servers.get(self.server).expect("a deployment has an API server");
        let request = match &self.user.holder {
            Some(holder) => holder.sign(request),
            None => request,
        };
        let request = request.body(Full::new(body)).expect("made of valid parts");
        let answer = Answer::of(self.user.http.request(server, api::PORT, request, self.deadline).await);
        let others = self.user.servers.len() as u64 - 1;
        if others > 0 && matches!(answer, Answer::Again(_)) {
            let step = usize::try_from(self.chance.below(0..others)).expect("an index");
            self.server = (self.server + 1 + step) % self.user.servers.len();
        }
        answer
    }

    /// Waits by chance, longer each time, for `least` at least and for a turn in the retry budget. False, at once, where the
    /// deadline is sooner.
    async fn back_off(&mut self, least: Duration) -> bool {
        let wait = self.chance.duration(Duration::ZERO..self.wait).max(least);
        self.wait = (self.wait * 2).min(BACK_OFF_MAX);
        if Instant::now() + wait >= self.deadline {
            return false;
        }
        sleep(wait).await;
        let Some(turn) = self.user.budget.turn(Instant::now(), self.deadline) else { return false };
        sleep_until(turn).await;
        true
    }
}

impl Answer {
    fn of(response: Result<Response<Bytes>, HttpError>) -> Self {
        let Ok(response) = response else { return Self::Again(Duration::ZERO) };
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        match response.status().as_u16() {
            200 => Self::Picture(response.into_body()),
            202 => Self::Accepted,
            404 if ErrorBody::read(response.body()).is_some_and(|error| error.code == "no-such-job") => {
                Self::Unknown
            }
            status if ErrorBody::read(response.body()).is_some_and(|error| error.code == "quarantined") => {
                Self::SetAside(status)
            }
            status if is_retryable(status, response.body()) => {
                Self::Again(Duration::from_secs(after.unwrap_or_default()))
            }
            status => Self::No(status),
        }
    }
}

/// What the body of an error says to a program.
#[derive(serde::Deserialize)]
struct ErrorBody {
    code: String,
    retryable: bool,
}

impl ErrorBody {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// Whether an error may be none the next time: what its body says, else what its status means.
fn is_retryable(status: u16, body: &[u8]) -> bool {
    ErrorBody::read(body).map_or(matches!(status, 408 | 429 | 500..), |error| error.retryable)
}
