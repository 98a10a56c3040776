//! A user's account: made before anything else, and revoked where the plan says so.

use super::{BACK_OFF, BACK_OFF_MAX};
use crate::api;
use crate::http::HttpClient;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Builder;
use sim::history::Id;
use sim::rng::Stream;
use sim::time::{Instant, sleep};
use std::time::Duration;

/// How long one request to the management plane may take, and one question of somebody revoked.
const PATIENCE: Duration = Duration::from_secs(5);

/// A user with an account.
#[derive(Clone)]
pub(super) struct Holder {
    account: u32,
    credential: String,
}

/// What the management plane says of a new account.
#[derive(serde::Deserialize)]
struct NewAccount {
    credential: String,
}

impl Holder {
    /// Has the account `account` made, however long that takes.
    pub(super) async fn enrol(account: u32, http: &HttpClient, servers: &[String]) -> Self {
        let mut chance = sim::node::stream(&format!("account-{account}"));
        // Nobody else can guess it.
        let key = format!("account-{account}-{:016x}", chance.next_u64());
        let body = Bytes::from(format!("{{\"account\":{account}}}"));
        let request = || Request::post("/v1/accounts").header("idempotency-key", &key);
        let answer = insist(&mut chance, http, servers, request, &body, 201).await;
        let made: NewAccount = serde_json::from_slice(&answer).expect("the door answers with a credential");
        Self { account, credential: made.credential }
    }

    /// Says whose a request is.
    pub(super) fn sign(&self, request: Builder) -> Builder {
        request.header(AUTHORIZATION, format!("Bearer {}", self.credential))
    }

    /// Revokes the account, however long that takes.
    pub(super) async fn revoke(&self, http: &HttpClient, servers: &[String]) {
        let mut chance = sim::node::stream(&format!("revoke-{}", self.account));
        let path = format!("/v1/accounts/{}/revoke", self.account);
        insist(&mut chance, http, servers, || self.sign(Request::post(&path)), &Bytes::new(), 200).await;
    }

    /// Tries one of the servers as if nothing had happened. Asks for what is not there, so that being let in changes nothing.
    pub(super) async fn try_in_vain(&self, id: Id, http: &HttpClient, server: &str) {
        let request = self.sign(Request::get(format!("/v1/jobs/{id}"))).body(Full::default());
        let request = request.expect("made of valid parts");
        let _ = http.request(server, api::PORT, request, Instant::now() + PATIENCE).await;
    }
}

/// Asks one server after the other until one answers with `status`; the body of that answer.
async fn insist(
    chance: &mut Stream,
    http: &HttpClient,
    servers: &[String],
    request: impl Fn() -> Builder,
    body: &Bytes,
    status: u16,
) -> Bytes {
    let mut wait = BACK_OFF;
    loop {
        let server = chance.pick(servers).expect("a deployment has an API server");
        let request = request().body(Full::new(body.clone())).expect("made of valid parts");
        if let Ok(answer) = http.request(server, api::PORT, request, Instant::now() + PATIENCE).await
            && answer.status() == status
        {
            return answer.into_body();
        }
        sleep(chance.duration(wait / 2..wait)).await;
        wait = (wait * 2).min(BACK_OFF_MAX);
    }
}
