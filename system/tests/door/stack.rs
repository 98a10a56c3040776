//! The whole stack behind the door: clients' pictures in, the right pictures or clear refusals out.

use crate::harness::{Setup, assert_all_live, pick, run};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use serde_json::Value;
use sim::history::{Fact, Id};
use sim::time::{Instant, sleep};
use std::collections::BTreeMap;
use std::time::Duration;
use system::api;
use system::http::HttpClient;
use system::resize::{self, Limits, SampleKind, sample_image};

/// A small deployment, whole.
fn whole() -> Setup {
    Setup { api: 2, queue: 3, worker: 2, duration_s: 200, ..Setup::alone() }
}

fn with(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A request under construction.
struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

fn post(path: &str, body: impl Into<Bytes>) -> Ask {
    Ask { method: "POST", path: path.to_owned(), headers: Vec::new(), body: body.into() }
}

fn get(path: &str) -> Ask {
    Ask { method: "GET", path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
}

impl Ask {
    fn key(mut self, key: &str) -> Self {
        self.headers.push(("idempotency-key", key.to_owned()));
        self
    }

    async fn of(self, server: &str) -> Response<Bytes> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        HttpClient::default().request(server, api::PORT, request, deadline).await.unwrap()
    }

    /// As [`Ask::of`], once the stack is up.
    async fn once_ready(self, server: &str) -> Response<Bytes> {
        ready(server).await;
        self.of(server).await
    }
}

async fn ready(server: &str) {
    for _ in 0..100 {
        let request = Request::get("/readyz").body(Full::default()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let asked = HttpClient::default().request(server, api::PORT, request, deadline).await;
        if asked.is_ok_and(|answer| answer.status() == 200) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("the stack does not get ready");
}

/// The error's code, having checked that it has all that an error has.
fn code_of(answer: &Response<Bytes>) -> String {
    let error: Value = serde_json::from_slice(answer.body()).unwrap();
    let fields: Vec<_> = error.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["code", "message", "request_id", "retryable"]);
    assert!(!error["request_id"].as_str().unwrap().is_empty(), "{error}");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
    let retryable = matches!(answer.status().as_u16(), 408 | 429 | 503 | 504);
    assert_eq!(error["retryable"].as_bool(), Some(retryable), "{error}");
    error["code"].as_str().unwrap().to_owned()
}

fn converted(body: &[u8], pairs: &[(&str, &str)]) -> Bytes {
    let request = resize::Request::parse(pairs.iter().copied()).unwrap();
    resize::resize(body, &request, &Limits::default()).unwrap().bytes
}

#[test]
fn the_one_door_gives_the_picture_and_the_other_a_job_and_then_the_picture() {
    let events = run(&whole(), async |_| {
        let picture = sample_image(SampleKind::Jpeg, 1);
        let right = converted(&picture, &[("w", "24")]);
        let answer = post("/v1/resize?w=24", picture.clone()).key("photo-1").once_ready("api-1").await;
        assert_eq!((answer.status().as_u16(), answer.body()), (200, &right));
        assert_eq!(answer.headers()["content-type"], "image/jpeg");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");

        let answer = post("/v1/jobs?w=24", picture.clone()).key("photo-2").of("api-1").await;
        assert_eq!(answer.status(), 202);
        assert_eq!(answer.headers()["location"], "/v1/jobs/photo-2");
        // Any server knows any job.
        let answer = get("/v1/jobs/photo-2?wait=5").of("api-2").await;
        assert_eq!((answer.status().as_u16(), answer.body()), (200, &right));
        assert_eq!(get("/v1/jobs/photo-2").of("api-1").await.body(), &right);

        // Without a key, what is equal is one job.
        let first = post("/v1/jobs?w=24&fit=contain", picture.clone()).of("api-1").await;
        let second = post("/v1/jobs?w=24", picture).of("api-2").await;
        assert_eq!((first.status().as_u16(), first.body()), (202, second.body()));
    });
    assert_all_live(&events);
}

#[test]
fn the_same_key_is_the_same_job_and_with_another_request_a_conflict() {
    let events = run(&whole(), async |_| {
        let (one, other) = (sample_image(SampleKind::Png, 1), sample_image(SampleKind::Png, 2));
        let first = post("/v1/resize?w=24", one.clone()).key("1.7").once_ready("api-1").await;
        let again = post("/v1/resize?w=24", one.clone()).key("1.7").of("api-2").await;
        assert_eq!((first.status().as_u16(), again.status().as_u16()), (200, 200));
        assert_eq!(first.body(), again.body());
        // The header's draft standard has quotation marks around it.
        let quoted = post("/v1/jobs?w=24", one.clone()).key("\"1.7\"").of("api-2").await;
        assert_eq!(quoted.status(), 202);

        let body = post("/v1/resize?w=24", other).key("1.7").of("api-1").await;
        assert_eq!((body.status().as_u16(), code_of(&body).as_str()), (409, "key-reused"));
        let options = post("/v1/jobs?w=25", one).key("1.7").of("api-2").await;
        assert_eq!((options.status().as_u16(), code_of(&options).as_str()), (409, "key-reused"));
    });
    let of_it = Id::new(1, 7);
    let mut effects = pick(&events, |_, fact| match fact {
        Fact::Finish { id, position, .. } if *id == of_it => Some(*position),
        _ => None,
    });
    effects.dedup();
    assert_eq!(effects.len(), 1, "one effect");
    let delivered =
        pick(&events, |_, fact| matches!(fact, Fact::Deliver { id, .. } if *id == of_it).then_some(()));
    assert_eq!(delivered.len(), 1, "converted once");
}

#[test]
fn what_cannot_be_done_is_refused_clearly() {
    let events = run(&whole(), async |_| {
        ready("api-1").await;
        let picture = sample_image(SampleKind::Jpeg, 3);
        let cut = picture.slice(..picture.len() / 2);
        let mut wrong_deadline = post("/v1/resize", picture.clone());
        wrong_deadline.headers.push(("accept", "image/*".to_owned()));
        assert_eq!(wrong_deadline.of("api-1").await.status(), 200);
        let put = Ask { method: "PUT", ..post("/v1/jobs", picture.clone()) };
        for (ask, status, code) in [
            (post("/v1/resize?w=wide", picture.clone()), 400, "bad-option"),
            (post("/v1/resize?w=9999999999999", picture.clone()), 400, "bad-option"),
            (post("/v1/resize?w=10&w=20", picture.clone()), 400, "bad-option"),
            (post("/v1/resize?crop=yes", picture.clone()), 400, "bad-option"),
            (post("/v1/jobs", picture.clone()).key("no spaces"), 400, "bad-request"),
            (post("/v1/jobs", picture.clone()).key(""), 400, "bad-request"),
            (post("/v1/jobs", picture.clone()).key("one").key("two"), 400, "bad-request"),
            (post("/v1/jobs", picture.clone()).key(&"k".repeat(257)), 400, "bad-request"),
            (get("/v1/jobs/there-is-none"), 404, "no-such-job"),
            (get("/v1/jobs/%ff"), 404, "no-such-job"),
            (get("/v1/jobs/a?wait=soon"), 400, "bad-request"),
            (get("/v1/jobs/a?weight=1"), 400, "bad-request"),
            (get("/v2/jobs"), 404, "not-found"),
            (put, 405, "method-not-allowed"),
            (post("/v1/resize", vec![0xff; 10_000_001]), 413, "too-large"),
            (post("/v1/resize", ""), 415, "unsupported-format"),
            (post("/v1/resize", "BM\0"), 422, "undecodable"),
            (
                post("/v1/resize", &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..]),
                415,
                "unsupported-format",
            ),
            (post("/v1/resize", picture.slice(..20)), 422, "undecodable"),
        ] {
            let what = format!("{} {}", ask.method, ask.path);
            let answer = ask.of("api-1").await;
            assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (status, code), "{what}");
        }
        // A refusal by a worker says the same at both doors, and again when it is asked again.
        if resize::resize(&cut, &resize::Request::default(), &Limits::default()).is_err() {
            for _ in 0..2 {
                let answer = post("/v1/resize", cut.clone()).key("cut").of("api-1").await;
                assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (422, "undecodable"));
            }
            let answer = get("/v1/jobs/cut?wait=5").of("api-2").await;
            assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (422, "undecodable"));
        }
    });
    assert_all_live(&events);
}

#[test]
fn a_deadline_is_kept_where_nothing_behind_the_door_answers() {
    let setup = Setup { api: 1, queue: 3, ..Setup::alone() };
    // The replicas are there and no worker is: jobs are taken and never end.
    let events = run(&setup, async |_| {
        let picture = sample_image(SampleKind::Jpeg, 4);
        ready("api-1").await;
        let begun = Instant::now();
        let answer = post("/v1/resize", picture.clone()).of("api-1").await;
        assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (504, "deadline-exceeded"));
        let waited = begun.elapsed();
        assert!((Duration::from_secs(9)..Duration::from_secs(12)).contains(&waited), "{waited:?}");

        let job = post("/v1/jobs", picture).key("taken").of("api-1").await;
        assert_eq!(job.status(), 202);
        let begun = Instant::now();
        let waiting = get("/v1/jobs/taken?wait=3").of("api-1").await;
        assert_eq!(waiting.status(), 202);
        let waited = begun.elapsed();
        assert!((Duration::from_secs(3)..Duration::from_secs(4)).contains(&waited), "{waited:?}");
        let at_once = get("/v1/jobs/taken").of("api-1").await;
        let state: Value = serde_json::from_slice(at_once.body()).unwrap();
        assert_eq!((state["id"].as_str(), state["status"].as_str()), (Some("taken"), Some("waiting")));
    });
    assert_all_live(&events);
}

#[test]
fn without_a_queue_the_server_lives_and_says_that_it_cannot() {
    let events = run(&Setup { api: 1, ..Setup::alone() }, async |_| {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(get("/healthz").of("api-1").await.status(), 200);
        let answer = get("/readyz").of("api-1").await;
        assert!(matches!(answer.status().as_u16(), 503 | 504), "{answer:?}");
        let answer = post("/v1/jobs", sample_image(SampleKind::Jpeg, 5)).of("api-1").await;
        assert!(matches!(answer.status().as_u16(), 503 | 504), "{answer:?}");
        let _ = code_of(&answer);
    });
    assert_all_live(&events);
}

/// The samples of OpenMetrics text, by their names and labels, with the rules that a reader relies on: each family is declared
/// before its samples and once, counters end in `_total`, a histogram's buckets add up, the text ends with its end.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, family, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match kind {
                "TYPE" => assert_eq!(kinds.insert(family.to_owned(), rest.to_owned()), None, "{line}"),
                "HELP" | "UNIT" => assert!(kinds.contains_key(family), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let metric = name.split('{').next().unwrap();
        let declared = kinds.iter().any(|(family, kind)| match kind.as_str() {
            "counter" => metric == format!("{family}_total"),
            "gauge" => metric == family,
            "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| metric == format!("{family}{end}")),
            _ => panic!("{kind}"),
        });
        assert!(declared, "{line}");
        assert_eq!(samples.insert(name.to_owned(), value.parse().unwrap()), None, "{line}");
    }
    samples
}

#[test]
fn what_a_server_has_answered_is_to_be_scraped_in_openmetrics_text() {
    let events = run(&whole(), async |_| {
        let picture = sample_image(SampleKind::Png, 1);
        assert_eq!(post("/v1/resize?w=24", picture).once_ready("api-1").await.status(), 200);
        assert_eq!(post("/v1/resize?w=none", "no picture").of("api-1").await.status(), 400);
        assert_eq!(get("/nowhere").of("api-1").await.status(), 404);
        let answer = get("/metrics").of("api-1").await;
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.headers()["content-type"], kind);
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        let samples = samples(&text);
        let resize = "door=\"/v1/resize\"";
        assert_eq!(samples[&format!("http_requests_total{{{resize},status=\"200\"}}")], 1.0, "{text}");
        assert_eq!(samples[&format!("http_requests_total{{{resize},status=\"400\"}}")], 1.0, "{text}");
        assert_eq!(samples["http_requests_total{door=\"other\",status=\"404\"}"], 1.0, "{text}");
        // The scrape itself.
        assert_eq!(samples["http_requests_in_flight"], 1.0, "{text}");
        assert_eq!(samples["queue_jobs{stage=\"done\"}"], 1.0, "{text}");
        let buckets =
            |end: &str| samples[&format!("http_request_duration_seconds_bucket{{{resize},le=\"{end}\"}}")];
        let ends =
            ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"];
        assert!(ends.windows(2).all(|pair| buckets(pair[0]) <= buckets(pair[1])), "{text}");
        assert_eq!(buckets("+Inf"), samples[&format!("http_request_duration_seconds_count{{{resize}}}")]);
        assert!(samples[&format!("http_request_duration_seconds_sum{{{resize}}}")] > 0.0, "{text}");
    });
    assert_all_live(&events);
}

#[test]
fn a_full_queue_is_said_to_be_full() {
    let settings = with(&[("queue.max-waiting", "3")]);
    let setup = Setup { api: 1, queue: 3, settings, ..Setup::alone() };
    run(&setup, async |_| {
        ready("api-1").await;
        for number in 0..3 {
            let answer = post("/v1/jobs", sample_image(SampleKind::Jpeg, number)).of("api-1").await;
            assert_eq!(answer.status(), 202);
        }
        let answer = post("/v1/jobs", sample_image(SampleKind::Jpeg, 3)).of("api-1").await;
        assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (503, "overloaded"));
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(get("/readyz").of("api-1").await.status(), 503);
        // What is there already is no new job.
        let answer = post("/v1/jobs", sample_image(SampleKind::Jpeg, 2)).of("api-1").await;
        assert_eq!(answer.status(), 202);
    });
}

#[test]
fn more_pictures_than_a_server_takes_at_once_are_sent_away_at_once() {
    use tokio::io::AsyncWriteExt as _;
    let settings = with(&[("api.max-in-flight", "2")]);
    run(&Setup { api: 1, queue: 3, worker: 1, settings, ..Setup::alone() }, async |_| {
        ready("api-1").await;
        // Two that announce a body and let the server wait for it.
        let mut slow = Vec::new();
        for _ in 0..2 {
            let mut stream = sim::net::TcpStream::connect("api-1", api::PORT).await.unwrap();
            stream
                .write_all(b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
                .await
                .unwrap();
            slow.push(stream);
        }
        sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        let answer = post("/v1/jobs", sample_image(SampleKind::Jpeg, 6)).of("api-1").await;
        assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (503, "overloaded"));
        assert!(begun.elapsed() < Duration::from_secs(1));
        drop(slow);
        sleep(Duration::from_millis(100)).await;
        let answer = post("/v1/jobs", sample_image(SampleKind::Jpeg, 6)).of("api-1").await;
        assert_eq!(answer.status(), 202, "their places are free again");
    });
}

#[test]
fn pictures_wait_for_a_workers_memory_and_too_great_ones_are_set_aside_until_they_are_put_back() {
    // 18 megabytes to decode; the worker has 64 for its four cores, then 16.
    let png = vast_but_allowed();
    let settings = with(&[("queue.max-deliveries", "2"), ("worker.conversion-cost", "1s")]);
    let setup = Setup { api: 1, queue: 3, worker: 1, settings, ..Setup::alone() };
    let body = png.clone();
    let roomy = Setup { worker_memory_bytes: 64 << 20, ..setup.clone() };
    let events = run(&roomy, move |_| {
        let body = body.clone();
        async move {
            ready("api-1").await;
            for number in 0..4 {
                let accepted =
                    post("/v1/jobs?w=20", body.clone()).key(&format!("vast-{number}")).of("api-1").await;
                assert_eq!(accepted.status(), 202);
            }
            for number in 0..4 {
                let answer = get(&format!("/v1/jobs/vast-{number}?wait=5")).of("api-1").await;
                assert_eq!(answer.status(), 200, "{answer:?}");
            }
        }
    });
    assert_all_live(&events);

    let cramped = Setup { worker_memory_bytes: 16 << 20, ..setup };
    let events = run(&cramped, move |_| {
        let body = png.clone();
        async move {
            let accepted = post("/v1/jobs?w=20", body).key("too-vast").once_ready("api-1").await;
            assert_eq!(accepted.status(), 202);
            let mut answer = get("/v1/jobs/too-vast?wait=5").of("api-1").await;
            while answer.status() == 202 {
                answer = get("/v1/jobs/too-vast?wait=5").of("api-1").await;
            }
            assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (500, "quarantined"));

            // Put back, it waits again; twice at once, or what nobody knows, is not put back.
            let redrive = |key: &str| post(&format!("/v1/jobs/{key}/redrive"), Bytes::new());
            assert_eq!(redrive("too-vast").of("api-1").await.status(), 202);
            let answer = redrive("too-vast").of("api-1").await;
            assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (409, "not-set-aside"));
            let answer = redrive("unheard-of").of("api-1").await;
            assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (404, "no-such-job"));
            let mut answer = get("/v1/jobs/too-vast?wait=5").of("api-1").await;
            while answer.status() == 202 {
                answer = get("/v1/jobs/too-vast?wait=5").of("api-1").await;
            }
            assert_eq!(answer.status(), 500, "this worker has no more memory than before");
        }
    });
    assert_all_live(&events);
    // Replicas that lag may not have come to it when the last answer is there.
    let places: std::collections::BTreeSet<u64> = events
        .iter()
        .filter_map(|event| match event.fact {
            Fact::Quarantine { position, .. } => Some(position),
            _ => None,
        })
        .collect();
    assert_eq!(places.len(), 2, "twice, at one place each on all replicas that say so: {places:?}");
}

/// A picture of one colour, 3000 by 2000: few bytes that need 18 megabytes.
fn vast_but_allowed() -> Bytes {
    let small = sample_image(SampleKind::Png, 1);
    converted(&small, &[("w", "3000"), ("h", "2000"), ("fit", "fill"), ("fmt", "png")])
}

#[test]
fn every_poisonous_picture_gets_a_picture_or_a_4xx_and_costs_no_process() {
    let Some(corpus) = corpus() else { return };
    let pictures = corpus.clone();
    let events = run(&Setup { duration_s: 600, ..whole() }, move |_| {
        let corpus = pictures.clone();
        async move {
            ready("api-1").await;
            for (number, (name, bytes)) in corpus.into_iter().enumerate() {
                let right = resize::resize(
                    &bytes,
                    &resize::Request::parse([("w", "320")]).unwrap(),
                    &Limits::default(),
                );
                let server = format!("api-{}", 1 + number % 2);
                let answer =
                    post("/v1/resize?w=320", bytes).key(&format!("poison-{number}")).of(&server).await;
                match right {
                    Ok(output) => {
                        assert_eq!(answer.status(), 200, "{name}");
                        assert_eq!(answer.body(), &output.bytes, "{name}");
                    }
                    Err(refusal) => {
                        assert_eq!(answer.status().as_u16(), refusal.status(), "{name}: {answer:?}");
                        assert_eq!(code_of(&answer), refusal.code(), "{name}");
                    }
                }
            }
        }
    });
    assert_all_live(&events);
    let contained = pick(&events, |_, fact| match fact {
        Fact::Note { text } if text.starts_with("a codec panicked") => Some(text.clone()),
        _ => None,
    });
    assert_eq!(contained.len(), 1, "the one file on which the codec panics is counted: {contained:?}");
    assert!(corpus.len() > 60);
}

/// The corpus lies beside the repository, not in it; without it there is nothing to test here, and that is said.
#[expect(clippy::disallowed_methods, reason = "reads a corpus of real files")]
#[expect(clippy::print_stderr, reason = "says why it skips when the corpus is not there")]
fn corpus() -> Option<Vec<(String, Bytes)>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/poison_images");
    let Ok(manifest) = std::fs::read_to_string(format!("{folder}/MANIFEST.tsv")) else {
        eprintln!("skipped: no corpus of poisonous pictures at {folder}");
        return None;
    };
    let names = manifest.lines().skip(1).filter_map(|line| line.split('\t').next());
    Some(
        names
            .map(|name| (name.to_owned(), std::fs::read(format!("{folder}/{name}")).unwrap().into()))
            .collect(),
    )
}

#[cfg(not(live))]
#[test]
fn under_steady_load_everybody_gets_the_right_answer() {
    let setup = Setup { api: 3, worker: 4, clients: 8, rate_per_s: 20.0, duration_s: 60, ..whole() };
    let events = run(&setup, async |_| {});
    assert_all_live(&events);
    let expected: BTreeMap<_, _> = pick(&events, |_, fact| match fact {
        Fact::Expect { id, output } => Some((*id, *output)),
        _ => None,
    })
    .into_iter()
    .collect();
    assert!(expected.len() > 1000, "{} requests", expected.len());
    let answers: BTreeMap<_, _> = pick(&events, |_, fact| match fact {
        Fact::Receive { id, output } => Some((*id, Some(*output))),
        Fact::Refuse { id, .. } => Some((*id, None)),
        _ => None,
    })
    .into_iter()
    .collect();
    // What was asked before the first leader was chosen is answered late, and all the same.
    assert_eq!(answers, expected);
    let drained = pick(&events, |_, fact| matches!(fact, Fact::Drained {}).then_some(()));
    assert_eq!(drained.len(), 1);
}

/// Asks until the answer is 200. Before that there may be nothing yet, or too few nodes that have started.
async fn until_found(path: impl Fn(u32) -> String) -> Value {
    for attempt in 0..200 {
        let answer = get(&path(attempt)).of("api-1").await;
        if answer.status() == 200 {
            return serde_json::from_slice(answer.body()).unwrap();
        }
        assert!(matches!(answer.status().as_u16(), 404 | 503), "{answer:?}");
        sleep(Duration::from_millis(100)).await;
    }
    panic!("it is never found");
}

#[test]
fn what_a_customer_used_and_was_billed_is_to_be_read_at_the_door() {
    let settings =
        with(&[("usage.batch-wait", "200ms"), ("billing.period", "1s"), ("worker.conversion-cost", "10ms")]);
    let setup = Setup { accounts: 3, settings, ..whole() };
    let events = run(&setup, async |_| {
        let picture = sample_image(SampleKind::Png, 1);
        let answer = post("/v1/resize?w=24", picture.clone()).key("5.1").once_ready("api-1").await;
        let bytes = picture.len() + answer.body().len();
        // In whichever period it came to lie.
        let invoice = until_found(|attempt| format!("/v1/bills/{}/5", attempt % 10)).await;
        let line = serde_json::json!({ "job": "5.1", "cpu-ns": 10_000_000, "bytes": bytes });
        assert_eq!(
            (&invoice["lines"], &invoice["cpu-ns"]),
            (&Value::from(vec![line]), &Value::from(10_000_000))
        );
        let usage = until_found(|_| "/v1/usage/5".to_owned()).await;
        assert_eq!(usage, serde_json::json!({ "account": 5, "cpu-ns": 10_000_000, "bytes": bytes }));

        for wrong in
            ["/v1/usage/me", "/v1/usage/-1", "/v1/usage/4294967296", "/v1/bills/x/5", "/v1/bills/1/y"]
        {
            let answer = get(wrong).of("api-1").await;
            assert_eq!(
                (answer.status().as_u16(), code_of(&answer).as_str()),
                (400, "bad-request"),
                "{wrong}"
            );
        }
        let answer = get("/v1/bills/0/77").of("api-2").await;
        assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (404, "not-found"));
    });
    assert_all_live(&events);
}

#[test]
fn a_bill_whose_retention_is_over_is_gone_at_the_door() {
    let settings = with(&[("billing.period", "1s"), ("archive.retention", "3s")]);
    run(&Setup { settings, accounts: 3, ..whole() }, async |_| {
        ready("api-1").await;
        for _ in 0..200 {
            let answer = get("/v1/bills/0/5").of("api-1").await;
            if answer.status() == 410 {
                let body: Value = serde_json::from_slice(answer.body()).unwrap();
                assert_eq!((&body["code"], &body["retryable"]), (&"gone".into(), &false.into()), "{body}");
                return;
            }
            // Before, nobody used anything, or nobody can tell.
            assert!(matches!(answer.status().as_u16(), 404 | 503), "{answer:?}");
            sleep(Duration::from_millis(100)).await;
        }
        panic!("it is never gone");
    });
}

#[test]
fn where_nobody_keeps_accounts_the_door_says_so() {
    run(&whole(), async |_| {
        ready("api-1").await;
        let answer = get("/v1/usage/5").of("api-1").await;
        assert_eq!((answer.status().as_u16(), code_of(&answer).as_str()), (404, "not-found"));
    });
}
