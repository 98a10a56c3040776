//! Presets, signed addresses, entity tags, quotas, and every status that a door can answer with.

use crate::harness::{Setup, assert_all_live, run};
use crate::identity::{Ask, account, error_of, get, known, post, status, whole};
use bytes::Bytes;
use hyper::Response;
use serde_json::Value;
use sim::net::TcpStream;
use sim::time::{sleep, timeout};
use std::time::Duration;
use system::api;
use system::resize::{SampleKind, sample_image};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Sends a request as it is written, and reads until the server closes.
async fn raw(server: &str, request: String, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(server, api::PORT).await.unwrap();
    stream.write_all(&[request.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// What a request without a credential is answered.
async fn openly(method: &str, address: &str, body: Bytes) -> Response<Bytes> {
    Ask(method, address, vec![], body).of("api-2").await
}

/// Has an address signed, for so long.
async fn signed(credential: &str, method: &str, address: &str, seconds: u64) -> String {
    let wish = format!(r#"{{"method":"{method}","address":"{address}","seconds":{seconds}}}"#);
    let answer = post("/v1/signed-addresses", credential, wish).of("api-1").await;
    assert_eq!(status(&answer), 201, "{answer:?}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let made: Value = serde_json::from_slice(answer.body()).unwrap();
    made["address"].as_str().unwrap().to_owned()
}

#[test]
fn every_status_has_its_door_its_name_and_says_whether_to_come_back() {
    let events = run(&whole(&[("api.account-rate", "40")]), async |_| {
        let (_, credential) = account("{\"account\":7}").await;
        known("api-1", &credential).await;
        let (jpeg, png) = (sample_image(SampleKind::Jpeg, 1), sample_image(SampleKind::Png, 1));
        let keyed = |body: Bytes| {
            let mut ask = post("/v1/jobs?w=24", &credential, body);
            ask.2.push(("idempotency-key", "7.1".to_owned()));
            ask
        };
        assert_eq!(status(&keyed(jpeg.clone()).of("api-1").await), 202);
        let cut_short = jpeg.slice(..20);
        let too_much = Bytes::from(vec![0; (10 << 20) + 1]);
        let table = [
            (post("/v1/resize?w=0", &credential, jpeg.clone()), 400, "bad-option"),
            (post("/v1/resize?preset=poster", &credential, jpeg.clone()), 400, "bad-option"),
            (Ask("POST", "/v1/resize", vec![], jpeg.clone()), 401, "no-credential"),
            (get("/v1/usage/8", &credential), 403, "not-yours"),
            (get("/v1/jobs/none", &credential), 404, "no-such-job"),
            (Ask("DELETE", "/v1/jobs/none", vec![], Bytes::new()), 405, "method-not-allowed"),
            (keyed(png), 409, "key-reused"),
            (post("/v1/resize?w=24", &credential, too_much), 413, "too-large"),
            (post("/v1/resize?w=24", &credential, "<svg xmlns=\"\"/>"), 415, "unsupported-format"),
            (post("/v1/resize?w=24", &credential, cut_short), 422, "undecodable"),
        ];
        for (ask, expected, code) in table {
            let answer = ask.of("api-1").await;
            assert_eq!(error_of(&answer), (expected, code.to_owned()));
            assert!(!answer.headers().contains_key("retry-after"), "{answer:?}");
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
            let error: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(error["retryable"], false, "{error}");
        }
        let head = |more: &str| {
            format!(
                "POST /v1/resize?w=24 HTTP/1.1\r\nhost: api\r\nconnection: close\r\nauthorization: Bearer {credential}\r\n{more}\r\n\r\n"
            )
        };
        for (more, expected, code) in [
            ("content-length: 100\r\nx-deadline-ms: 300", "408", "body-too-slow"),
            ("content-length: 0\r\nx-deadline-ms: 0", "504", "deadline-exceeded"),
        ] {
            let answer = raw("api-1", head(more), b"").await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{answer}");
            assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
            assert!(answer.contains("\"retryable\":true"), "{answer}");
        }
    });
    assert_all_live(&events);
    let nobody_knows = Setup { identity: 0, ..whole(&[]) };
    let events = run(&nobody_knows, async |_| {
        let stranger = format!("hog1.7.0.{}", "0".repeat(128));
        let answer = get("/v1/jobs/none", &stranger).of("api-1").await;
        assert_eq!(error_of(&answer), (503, "unavailable".to_owned()));
        assert_eq!(answer.headers()["retry-after"], "1");
    });
    assert_all_live(&events);
}

#[test]
fn an_account_that_asks_for_too_much_is_told_when_to_come_back_and_others_notice_nothing() {
    let events = run(&whole(&[("api.account-rate", "5")]), async |_| {
        let (_, greedy) = account("{\"account\":7}").await;
        let (_, modest) = account("{\"account\":8}").await;
        known("api-1", &greedy).await;
        known("api-1", &modest).await;
        sleep(Duration::from_secs(2)).await;
        let mut refused = Vec::new();
        for _ in 0..20 {
            let answer = get("/v1/jobs/none", &greedy).of("api-1").await;
            if error_of(&answer) == (429, "too-many-requests".to_owned()) {
                refused.push(answer.headers()["retry-after"].to_str().unwrap().to_owned());
            }
        }
        assert!(refused.len() >= 5 && refused.iter().all(|seconds| seconds == "1"), "{refused:?}");
        assert_eq!(status(&get("/v1/jobs/none", &modest).of("api-1").await), 404);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(status(&get("/v1/jobs/none", &greedy).of("api-1").await), 404, "as it was told");
    });
    assert_all_live(&events);
}

#[test]
fn who_has_a_picture_already_is_not_sent_it_again() {
    let setup = Setup { auth: 0, identity: 0, ..whole(&[]) };
    let events = run(&setup, async |_| {
        let picture = sample_image(SampleKind::Jpeg, 1);
        let make = async |address: &'static str, key: &str| {
            let headers = vec![("idempotency-key", key.to_owned())];
            let answer = Ask("POST", address, headers, picture.clone()).of("api-1").await;
            assert_eq!(status(&answer), 200, "{answer:?}");
            answer.headers()["etag"].to_str().unwrap().to_owned()
        };
        let tag = make("/v1/resize?preset=thumbnail", "one").await;
        assert_eq!(tag, make("/v1/resize?fit=cover&h=160&w=160", "two").await, "the same of the same");
        assert_ne!(tag, make("/v1/resize?preset=thumbnail&q=50", "three").await);
        let again = async |known: String| {
            Ask("GET", "/v1/jobs/one", vec![("if-none-match", known)], Bytes::new()).of("api-2").await
        };
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = again(known).await;
            assert_eq!((status(&answer), answer.headers()["etag"].to_str().unwrap()), (304, tag.as_str()));
            assert!(answer.body().is_empty());
        }
        for other in ["\"other\"".to_owned(), tag.replace('"', ""), String::new()] {
            let answer = again(other).await;
            assert_eq!(status(&answer), 200);
            assert!(!answer.body().is_empty());
        }
    });
    assert_all_live(&events);
}

/// Addresses that say something else than these two that were signed, or the same in another way.
fn tampered(resize: &str, result: &str) -> Vec<(&'static str, String)> {
    let (front, signature) = resize.rsplit_once('=').unwrap();
    let flipped = if signature.starts_with('0') { "1" } else { "0" };
    [
        ("POST", resize.replace("w=160", "w=161")),
        ("POST", resize.replace("account=7", "account=8")),
        ("POST", resize.replace("&key=0", "&key=9")),
        ("POST", resize.replace("expires=", "expires=1")),
        ("POST", resize.replace("/v1/resize", "/v1/jobs")),
        ("POST", format!("{front}={flipped}{}", &signature[1..])),
        ("POST", format!("{front}={}", signature.to_uppercase())),
        ("POST", format!("{resize}&w=160")),
        ("POST", format!("{resize}&signature={signature}")),
        ("POST", resize.replace("&signature", &format!("&signature={signature}&signature"))),
        ("POST", format!("{front}=")),
        ("POST", front.rsplit_once('&').unwrap().0.to_owned()),
        ("GET", result.replace("/photo", "/other")),
        ("GET", result.replace("wait=5&", "")),
    ]
    .into()
}

#[test]
fn a_signed_address_is_good_for_what_was_signed_and_for_nothing_else() {
    let events = run(&whole(&[]), async |_| {
        let (_, credential) = account("{\"account\":7}").await;
        known("api-1", &credential).await;
        known("api-2", &credential).await;
        let picture = sample_image(SampleKind::Jpeg, 1);
        let resize = signed(&credential, "POST", "/v1/resize?preset=thumbnail", 600).await;
        assert!(
            resize.starts_with("/v1/resize?w=160&h=160&fit=cover&fmt=same&q=80&account=7&expires="),
            "{resize}"
        );
        let answer = openly("POST", &resize, picture.clone()).await;
        assert_eq!(status(&answer), 200, "{answer:?}");
        let mut ask = post("/v1/jobs?w=24", &credential, picture.clone());
        ask.2.push(("idempotency-key", "photo".to_owned()));
        assert_eq!(status(&ask.of("api-1").await), 202);
        let result = signed(&credential, "GET", "/v1/jobs/photo?wait=5", 600).await;
        let answer = openly("GET", &result, Bytes::new()).await;
        assert_eq!(
            (status(&answer), &answer.headers()["content-type"]),
            (200, &"image/jpeg".parse().unwrap())
        );
        let wrong = tampered(&resize, &result);
        for (method, address) in wrong {
            let answer = openly(method, &address, picture.clone()).await;
            assert_eq!(error_of(&answer), (401, "bad-signature".to_owned()), "{address}");
        }
        let answer = post(&resize, &credential, picture.clone()).of("api-1").await;
        assert_eq!(error_of(&answer), (400, "bad-request".to_owned()), "one proof is enough");
        for wish in [
            "",
            "{}",
            r#"{"method":"GET","address":"/v1/usage/7","seconds":9}"#,
            r#"{"method":"POST","address":"/v1/resize?w=0","seconds":9}"#,
            r#"{"method":"POST","address":"/v1/resize","seconds":0}"#,
            r#"{"method":"POST","address":"/v1/resize","seconds":86401}"#,
        ] {
            let answer = post("/v1/signed-addresses", &credential, wish).of("api-1").await;
            assert_eq!(error_of(&answer).0, 400, "{wish}");
        }
        let soon = signed(&credential, "GET", "/v1/jobs/photo", 1).await;
        sleep(Duration::from_secs(2)).await;
        let answer = openly("GET", &soon, Bytes::new()).await;
        assert_eq!(error_of(&answer), (403, "address-expired".to_owned()));
        let answer = post("/v1/accounts/7/revoke", &credential, "").of("api-1").await;
        assert_eq!(status(&answer), 200);
        sleep(Duration::from_secs(6)).await;
        let answer = openly("POST", &resize, picture).await;
        assert_eq!(
            error_of(&answer),
            (403, "revoked".to_owned()),
            "an address is worth no more than its account"
        );
    });
    assert_all_live(&events);
}

#[test]
fn when_the_key_of_addresses_changes_the_one_before_stays_good_and_the_one_before_that_does_not() {
    let events = run(&whole(&[("auth.address-key-for", "4s")]), async |_| {
        let (_, credential) = account("{\"account\":7}").await;
        known("api-1", &credential).await;
        known("api-2", &credential).await;
        let number = |address: &str| -> u32 {
            address.split_once("&key=").unwrap().1.split_once('&').unwrap().0.parse().unwrap()
        };
        // Made once each second, each good for the longest that can be asked.
        let mut made: Vec<String> = Vec::new();
        for _ in 0..20 {
            made.push(signed(&credential, "GET", "/v1/jobs/none", 4).await);
            sleep(Duration::from_millis(700)).await;
            let young = &made[made.len().saturating_sub(4)..];
            for address in young {
                let answer = openly("GET", address, Bytes::new()).await;
                assert_eq!(error_of(&answer), (404, "no-such-job".to_owned()), "let in: {address}");
            }
        }
        let last = number(&made[made.len() - 1]);
        assert!(last >= number(&made[0]) + 2, "the key changes by itself");
        let oldest = openly("GET", &made[0], Bytes::new()).await;
        assert_eq!(error_of(&oldest), (401, "bad-signature".to_owned()), "its key is retired");
    });
    assert_all_live(&events);
}
