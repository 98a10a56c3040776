//! Accounts and credentials, as those see them who have none, have one, or have somebody else's.

use crate::harness::{Setup, assert_all_live, pick, run};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use serde_json::Value;
use sim::history::Fact;
use sim::time::{Instant, sleep};
use std::collections::BTreeMap;
use std::time::Duration;
use system::api;
use system::http::HttpClient;
use system::resize::{SampleKind, sample_image};

pub(crate) fn whole(settings: &[(&str, &str)]) -> Setup {
    let settings: BTreeMap<_, _> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Setup { api: 2, queue: 3, worker: 1, auth: 3, identity: 1, settings, ..Setup::alone() }
}

/// A request: method, address, headers, body.
pub(crate) struct Ask<'a>(
    pub(crate) &'a str,
    pub(crate) &'a str,
    pub(crate) Vec<(&'a str, String)>,
    pub(crate) Bytes,
);

pub(crate) fn get<'a>(path: &'a str, credential: &str) -> Ask<'a> {
    Ask("GET", path, vec![("authorization", format!("Bearer {credential}"))], Bytes::new())
}

pub(crate) fn post<'a>(path: &'a str, credential: &str, body: impl Into<Bytes>) -> Ask<'a> {
    Ask("POST", path, vec![("authorization", format!("Bearer {credential}"))], body.into())
}

pub(crate) fn create<'a>(body: &'static str, key: &[&str]) -> Ask<'a> {
    let keys = key.iter().map(|key| ("idempotency-key", (*key).to_owned())).collect();
    Ask("POST", "/v1/accounts", keys, Bytes::from(body))
}

impl Ask<'_> {
    pub(crate) async fn of(self, server: &str) -> Response<Bytes> {
        let mut request = Request::builder().method(self.0).uri(self.1);
        for (name, value) in self.2 {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.3)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        HttpClient::default().request(server, api::PORT, request, deadline).await.unwrap()
    }
}

pub(crate) fn status(answer: &Response<Bytes>) -> u16 {
    answer.status().as_u16()
}

/// Status and code of an error, having checked what every error has.
pub(crate) fn error_of(answer: &Response<Bytes>) -> (u16, String) {
    let error: Value = serde_json::from_slice(answer.body()).unwrap();
    let fields: Vec<_> = error.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["code", "message", "request_id", "retryable"]);
    let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap());
    assert_eq!(challenge, (status(answer) == 401).then_some("Bearer"), "{error}");
    (status(answer), error["code"].as_str().unwrap().to_owned())
}

/// A new account and its credential, once the management plane answers.
pub(crate) async fn account(body: &'static str) -> (u64, String) {
    for _ in 0..100 {
        let answer = create(body, &[]).of("api-1").await;
        if status(&answer) == 201 {
            assert_eq!(answer.headers()["cache-control"], "no-store");
            let made: Value = serde_json::from_slice(answer.body()).unwrap();
            return (made["account"].as_u64().unwrap(), made["credential"].as_str().unwrap().to_owned());
        }
        assert_eq!(error_of(&answer).0, 503);
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the management plane does not get ready");
}

/// Waits until `server` lets `credential` in.
pub(crate) async fn known(server: &str, credential: &str) {
    let begun = Instant::now();
    while status(&get("/v1/jobs/none", credential).of(server).await) != 404 {
        assert!(begun.elapsed() < Duration::from_secs(10), "a new user waits a few seconds");
        sleep(Duration::from_millis(200)).await;
    }
}

#[test]
fn whoever_has_a_credential_gets_a_picture_and_nobody_else_does() {
    let events = run(&whole(&[]), async |_| {
        let picture = sample_image(SampleKind::Jpeg, 1);
        let (seven, credential) = account("{\"account\": 7}").await;
        assert_eq!(seven, 7);
        for server in ["api-1", "api-2"] {
            known(server, &credential).await;
            let answer = post("/v1/resize?w=24", &credential, picture.clone()).of(server).await;
            assert_eq!(status(&answer), 200, "{answer:?}");
        }
        let flipped = match credential.as_bytes().last() {
            Some(b'0') => format!("{}1", &credential[..credential.len() - 1]),
            _ => format!("{}0", &credential[..credential.len() - 1]),
        };
        let forged = credential.replace("hog1.7.", "hog1.8.");
        for wrong in [flipped.as_str(), &forged, "", "hog1", &"x".repeat(10_000), "hog1.7.0.00", "\u{fc}"] {
            for path in ["/v1/resize?w=24", "/v1/jobs?w=24"] {
                let answer = post(path, wrong, picture.clone()).of("api-1").await;
                assert_eq!(error_of(&answer), (401, "bad-credential".to_owned()), "{wrong}");
            }
            for path in ["/v1/jobs/one", "/v1/usage/7", "/v1/bills/0/7"] {
                let answer = get(path, wrong).of("api-1").await;
                assert_eq!(error_of(&answer), (401, "bad-credential".to_owned()), "{wrong}");
            }
        }
        let of = |headers: Vec<(&'static str, String)>| Ask("GET", "/v1/usage/7", headers, Bytes::new());
        let bearer = ("authorization", format!("Bearer {credential}"));
        for (headers, code) in [
            (vec![], "no-credential"),
            (vec![bearer.clone(), bearer.clone()], "no-credential"),
            (vec![("authorization", credential.clone())], "bad-credential"),
            (vec![("authorization", format!("Basic {credential}"))], "bad-credential"),
        ] {
            let answer = of(headers).of("api-1").await;
            assert_eq!(error_of(&answer), (401, code.to_owned()));
        }
        let lower_case = ("authorization", format!("bearer {credential}"));
        assert_eq!(error_of(&of(vec![lower_case]).of("api-1").await).0, 404, "nobody keeps accounts here");
        for open in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(status(&Ask("GET", open, vec![], Bytes::new()).of("api-1").await), 200);
        }
    });
    let denied = pick(&events, |_, fact| matches!(fact, Fact::Deny { account: 8, .. }).then_some(()));
    assert!(denied.is_empty(), "what nobody signed is nobody's request");
    assert_all_live(&events);
}

#[test]
fn each_account_has_jobs_of_its_own_and_sees_its_own() {
    let events = run(&whole(&[]), async |_| {
        let (seven, of_seven) = account("{\"account\":7}").await;
        let (other, of_other) = account("").await;
        assert_ne!(seven, other);
        known("api-1", &of_seven).await;
        known("api-1", &of_other).await;
        let job = |credential: &str, picture: u64| {
            let mut ask = post("/v1/jobs?w=24", credential, sample_image(SampleKind::Png, picture));
            ask.2.push(("idempotency-key", "7.1".to_owned()));
            ask
        };
        let answer = job(&of_seven, 1).of("api-1").await;
        assert_eq!((status(&answer), &answer.headers()["location"]), (202, &"/v1/jobs/7.1".parse().unwrap()));
        let first = get("/v1/jobs/7.1?wait=5", &of_seven).of("api-1").await;
        assert_eq!(status(&first), 200);
        let unseen = get("/v1/jobs/7.1", &of_other).of("api-1").await;
        assert_eq!(error_of(&unseen), (404, "no-such-job".to_owned()), "jobs of others are not there");
        assert_eq!(status(&job(&of_other, 2).of("api-1").await), 202, "the same key is no conflict");
        let second = get("/v1/jobs/7.1?wait=5", &of_other).of("api-1").await;
        assert_ne!(first.body(), second.body());
        let others = get("/v1/usage/7", &of_other).of("api-1").await;
        assert_eq!(error_of(&others), (403, "not-yours".to_owned()));
        let others = get("/v1/bills/1/7", &of_other).of("api-1").await;
        assert_eq!(error_of(&others), (403, "not-yours".to_owned()));
    });
    let charged = pick(&events, |_, fact| match fact {
        Fact::Enqueue { id, .. } => Some(id.client()),
        _ => None,
    });
    assert!(charged.contains(&7) && charged.iter().any(|account| *account != 7), "{charged:?}");
    assert_all_live(&events);
}

#[test]
fn accounts_are_made_once_and_bad_ones_not_at_all() {
    let settings = [("auth.accounts-max", "3")];
    let events = run(&whole(&settings), async |_| {
        let (_, first) = account("{\"account\":1}").await;
        let keyed = create("{\"account\":2}", &["secret"]).of("api-1").await;
        let again = create("{\"account\":2}", &["secret"]).of("api-2").await;
        assert_eq!((status(&keyed), status(&again)), (201, 201));
        assert_eq!(keyed.body(), again.body(), "an answer that was lost is had again");
        let any = create("{}", &["secret"]).of("api-1").await;
        assert_eq!(any.body(), keyed.body());
        for (ask, code) in [
            (create("{\"account\":1}", &[]), (409, "account-taken")),
            (create("{\"account\":1}", &["another"]), (409, "account-taken")),
            (create("{\"account\":3}", &["secret"]), (409, "account-taken")),
            (create("{\"account\":-1}", &[]), (400, "bad-request")),
            (create("{\"account\":4294967296}", &[]), (400, "bad-request")),
            (create("{\"account\":\"seven\"}", &[]), (400, "bad-request")),
            (create("{\"acount\":7}", &[]), (400, "bad-request")),
            (create("seven", &[]), (400, "bad-request")),
            (create("{\"account\":7", &[]), (400, "bad-request")),
            (create("", &["two", "keys"]), (400, "bad-request")),
            (Ask("POST", "/v1/accounts", vec![], Bytes::from(vec![b' '; 2000])), (413, "too-large")),
            (Ask("GET", "/v1/accounts", vec![], Bytes::new()), (405, "method-not-allowed")),
            (post("/v1/accounts/seven/revoke", &first, ""), (400, "bad-request")),
            (post("/v1/accounts/-1/revoke", &first, ""), (400, "bad-request")),
            (post("/v1/accounts/99/revoke", &first, ""), (404, "no-such-account")),
            (post("/v1/accounts/2/revoke", &first, ""), (403, "not-yours")),
            (post("/v1/accounts/1/revoke", "hog1.1.0.00", ""), (401, "bad-credential")),
            (Ask("POST", "/v1/accounts/1/revoke", vec![], Bytes::new()), (401, "no-credential")),
        ] {
            let what = format!("{} {} {:?}", ask.0, ask.1, ask.3);
            assert_eq!(error_of(&ask.of("api-1").await), (code.0, code.1.to_owned()), "{what}");
        }
        assert_eq!(status(&create("", &[]).of("api-1").await), 201);
        assert_eq!(error_of(&create("", &[]).of("api-1").await), (503, "full".to_owned()));
    });
    let enrolled = pick(&events, |_, fact| match fact {
        Fact::Enrol { account, .. } => Some(*account),
        _ => None,
    });
    assert_eq!(enrolled.len(), 3, "{enrolled:?}");
    assert_all_live(&events);
}

#[test]
fn who_is_revoked_is_turned_away_soon_and_for_good() {
    let events = run(&whole(&[]), async |_| {
        let (_, credential) = account("{\"account\":5}").await;
        known("api-1", &credential).await;
        known("api-2", &credential).await;
        for _ in 0..2 {
            let answer = post("/v1/accounts/5/revoke", &credential, "").of("api-1").await;
            assert_eq!(status(&answer), 200, "twice is no error: {answer:?}");
        }
        // What is remembered of an account is good for five seconds.
        sleep(Duration::from_secs(6)).await;
        for server in ["api-1", "api-2"] {
            let answer = get("/v1/jobs/none", &credential).of(server).await;
            assert_eq!(error_of(&answer), (403, "revoked".to_owned()));
        }
        let again = create("{\"account\":5}", &[]).of("api-1").await;
        assert_eq!(error_of(&again), (409, "account-taken".to_owned()), "a number is used once");
    });
    assert_all_live(&events);
}

#[test]
fn where_nobody_can_say_who_is_who_everybody_is_asked_to_come_back() {
    // Nobody makes accounts, and so the data plane never catches up.
    let setup = Setup { identity: 0, ..whole(&[]) };
    let events = run(&setup, async |_| {
        sleep(Duration::from_secs(2)).await;
        let stranger = format!("hog1.7.0.{}", "0".repeat(128));
        let answer = get("/v1/jobs/none", &stranger).of("api-1").await;
        assert_eq!(error_of(&answer), (503, "unavailable".to_owned()));
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(error_of(&create("", &[]).of("api-1").await), (404, "not-found".to_owned()));
    });
    assert_all_live(&events);
}
