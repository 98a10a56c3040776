//! Clients: simulated users with pictures, some of them garbage, who want answers and remember what they were told.

mod draw;

use crate::api;
use crate::http::{Answer, HttpClient, HttpError};
use crate::resize::{Converter, Limits};
use bytes::Bytes;
use draw::Wish;
use http_body_util::Full;
use sim::history::{Digest, Fact, Id};
use sim::rng::Stream;
use sim::stack::{Client, Deployment, Operation};
use sim::time::{Instant, sleep, sleep_until};
use std::sync::Arc;
use std::time::Duration;

/// The first wait before another try; each next up to twice as long, to the longest.
const BACK_OFF: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// How long one question for a job's result waits at the server.
const POLL_WAIT_S: u64 = 5;

/// One user.
struct User {
    http: HttpClient,
    servers: Vec<String>,
    converter: Converter,
    deadline: Duration,
    attempts: u64,
}

/// Runs one client: each operation at its time, whatever became of those before it.
pub async fn run(client: Client) {
    let user = Arc::new(User::new(&client.deployment));
    let mut tasks = Vec::new();
    for operation in client.operations {
        sleep_until(Instant::from_nanos(operation.at_ns)).await;
        let user = user.clone();
        tasks.push(sim::task::spawn(async move { user.operate(operation).await }));
        tasks.retain(|task| !task.is_finished());
    }
    for task in tasks {
        // An operation that panicked is in the history.
        let _ = task.await;
    }
}

impl User {
    fn new(deployment: &Arc<Deployment>) -> Self {
        Self {
            http: HttpClient::default(),
            servers: deployment.of_role("api").map(|node| node.name.clone()).collect(),
            converter: Converter::new(Limits::default()),
            deadline: deployment.duration("client.deadline"),
            attempts: deployment.number("client.attempts"),
        }
    }

    async fn operate(&self, operation: Operation) {
        let (id, mut chance) = (operation.id, operation.chance());
        let wish = Wish::draw(&mut chance);
        let expected = wish.expected(&self.converter);
        sim::node::record(Fact::Expect { id, output: expected.map(|bytes| Digest::of(&bytes)) });
        let deadline = Instant::now() + self.deadline;
        let told = if wish.sync {
            self.want_picture(id, &wish, deadline, &mut chance).await
        } else {
            self.want_job(id, &wish, deadline, &mut chance).await
        };
        sim::node::record(match told {
            Told::Picture(bytes) => Fact::Receive { id, output: Digest::of(&bytes) },
            Told::No(status) => Fact::Refuse { id, status: status.into() },
            Told::Nothing => Fact::GiveUp { id },
        });
    }

    /// One request whose answer is the picture.
    async fn want_picture(&self, id: Id, wish: &Wish, deadline: Instant, chance: &mut Stream) -> Told {
        let path = format!("/v1/resize?{}", wish.query);
        match self.submit(id, wish, &path, deadline, chance).await {
            Some(Answer { status: 200, body, .. }) => {
                sim::node::record(Fact::Acknowledge { id });
                Told::Picture(body)
            }
            Some(answer) => Told::No(answer.status),
            None => Told::Nothing,
        }
    }

    /// A job, and its result once there is one.
    async fn want_job(&self, id: Id, wish: &Wish, deadline: Instant, chance: &mut Stream) -> Told {
        let path = format!("/v1/jobs?{}", wish.query);
        match self.submit(id, wish, &path, deadline, chance).await {
            Some(Answer { status: 202, .. }) => sim::node::record(Fact::Acknowledge { id }),
            Some(answer) => return Told::No(answer.status),
            None => return Told::Nothing,
        }
        let mut wait = BACK_OFF;
        while Instant::now() < deadline {
            let question = hyper::Request::get(format!("/v1/jobs/{id}?wait={POLL_WAIT_S}"));
            match self.exchange(question, Bytes::new(), deadline, chance).await {
                Ok(Answer { status: 200, body, .. }) => return Told::Picture(body),
                // Accepted is accepted: a server that does not know the job, or cannot say, is asked again.
                Ok(Answer { status: 202, .. }) => continue,
                Ok(Answer { status: 404 | 408 | 429 | 500.., .. }) | Err(_) => {}
                Ok(answer) => return Told::No(answer.status),
            }
            back_off(&mut wait, deadline, chance).await;
        }
        Told::Nothing
    }

    /// Sends the picture until a server says something final, within the attempts and the deadline.
    async fn submit(
        &self,
        id: Id,
        wish: &Wish,
        path: &str,
        deadline: Instant,
        chance: &mut Stream,
    ) -> Option<Answer> {
        let mut wait = BACK_OFF;
        for attempt in 1..=self.attempts {
            sim::node::record(Fact::Submit { id, attempt: u32::try_from(attempt).unwrap_or(u32::MAX) });
            let request = hyper::Request::post(path).header("idempotency-key", id.to_string());
            match self.exchange(request, wish.body.clone(), deadline, chance).await {
                Ok(Answer { status: 408 | 429 | 500.., .. }) | Err(_) => {}
                Ok(answer) => return Some(answer),
            }
            if attempt == self.attempts || !back_off(&mut wait, deadline, chance).await {
                break;
            }
        }
        None
    }

    /// One request to a server drawn by chance.
    async fn exchange(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
        deadline: Instant,
        chance: &mut Stream,
    ) -> Result<Answer, HttpError> {
        let server = chance.pick(&self.servers).expect("a deployment has an API server");
        let request = request.header("host", server.as_str()).body(Full::new(body)).expect("a valid request");
        self.http.request(server, api::PORT, request, deadline).await
    }
}

/// What a user was told in the end.
enum Told {
    Picture(Bytes),
    No(u16),
    Nothing,
}

/// Waits by chance up to `wait`, and doubles it; false where the deadline has passed.
async fn back_off(wait: &mut Duration, deadline: Instant, chance: &mut Stream) -> bool {
    sleep(chance.duration(Duration::ZERO..*wait)).await;
    *wait = (*wait * 2).min(BACK_OFF_MAX);
    Instant::now() < deadline
}
