//! `GET /metrics`: what this server has answered, in OpenMetrics text 1.0.0, which Prometheus reads.
//!
//! Written by hand rather than by a client library: those keep their families in hash maps, whose order would differ from one
//! scrape to the next, and a scrape is part of a history like any answer.

use super::Server;
use super::error::ApiError;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sim::time::Instant;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a scrape waits for the queue's numbers; without them it has the server's own.
const QUEUE_WAIT: Duration = Duration::from_secs(1);
/// The upper ends of the latency histogram's buckets, in milliseconds, the last one's left out.
const BUCKETS_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
/// Requests whose address is none of the doors'.
const NO_DOOR: &str = "other";

/// What one server has counted since its process began.
#[derive(Default)]
pub(super) struct Metrics(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    in_flight: u64,
    doors: BTreeMap<String, Door>,
}

/// The answers of one door.
#[derive(Default)]
struct Door {
    /// How many, by status.
    answers: BTreeMap<u16, u64>,
    took: Histogram,
}

#[derive(Default)]
struct Histogram {
    /// One more than there are ends: the last has all that took longer.
    buckets: [u64; BUCKETS_MS.len() + 1],
    sum: Duration,
}

/// A request that is being answered; it ends with this, however it ends.
struct InFlight<'a>(&'a Metrics);

impl Metrics {
    fn begin(&self) -> InFlight<'_> {
        self.counted(|counted| counted.in_flight += 1);
        InFlight(self)
    }

    fn counted<T>(&self, with: impl FnOnce(&mut Counted) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.counted(|counted| counted.in_flight -= 1);
    }
}

/// Counts every answer, whichever door gives it, and has no browser guess what it is.
pub(super) async fn measure(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let door = request.extensions().get::<MatchedPath>().cloned();
    let begun = Instant::now();
    let in_flight = server.metrics.begin();
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    drop(in_flight);
    let door = door.as_ref().map_or(NO_DOOR, MatchedPath::as_str);
    server.metrics.counted(|counted| counted.add(door, response.status().as_u16(), begun.elapsed()));
    response
}

/// `GET /metrics`.
pub(super) async fn scrape(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = server.answer(&headers, async |deadline, _| {
        let depth = server.queue.depth(deadline.min(Instant::now() + QUEUE_WAIT)).await.ok();
        let mut text = server.metrics.counted(|counted| counted.text()).expect("strings take all");
        if let Some(depth) = depth {
            let stages = [
                ("waiting", depth.waiting),
                ("leased", depth.leased),
                ("done", depth.done),
                ("quarantined", depth.quarantined),
            ];
            text += "# TYPE queue_jobs gauge\n# HELP queue_jobs Jobs that the queue knows, by stage.\n";
            for (stage, jobs) in stages {
                writeln!(text, "queue_jobs{{stage=\"{stage}\"}} {jobs}").expect("strings take all");
            }
        }
        text += "# EOF\n";
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
    });
    asked.await
}

impl Door {
    fn add(&mut self, status: u16, took: Duration) {
        *self.answers.entry(status).or_default() += 1;
        let bucket = BUCKETS_MS.partition_point(|end_ms| Duration::from_millis(*end_ms) < took);
        self.took.buckets[bucket] += 1;
        self.took.sum += took;
    }
}

impl Counted {
    fn add(&mut self, door: &str, status: u16, took: Duration) {
        match self.doors.get_mut(door) {
            Some(door) => door.add(status, took),
            None => self.doors.entry(door.to_owned()).or_default().add(status, took),
        }
    }

    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        writeln!(text, "# TYPE http_requests_in_flight gauge")?;
        writeln!(text, "# HELP http_requests_in_flight Requests that are being answered.")?;
        writeln!(text, "http_requests_in_flight {}", self.in_flight)?;
        writeln!(text, "# TYPE http_requests counter")?;
        writeln!(text, "# HELP http_requests Requests that were answered, by door and status.")?;
        for (name, door) in &self.doors {
            for (status, count) in &door.answers {
                writeln!(text, "http_requests_total{{door=\"{name}\",status=\"{status}\"}} {count}")?;
            }
        }
        let name = "http_request_duration_seconds";
        writeln!(text, "# TYPE {name} histogram\n# UNIT {name} seconds")?;
        writeln!(text, "# HELP {name} How long answers took, by door.")?;
        for (door, Door { took: histogram, .. }) in &self.doors {
            let ends = BUCKETS_MS.iter().map(|end_ms| Duration::from_millis(*end_ms).as_secs_f64());
            let ends = ends.map(|end_s| format!("{end_s:?}")).chain(["+Inf".to_owned()]);
            let mut count = 0;
            for (end, in_bucket) in ends.zip(histogram.buckets) {
                count += in_bucket;
                writeln!(text, "{name}_bucket{{door=\"{door}\",le=\"{end}\"}} {count}")?;
            }
            writeln!(text, "{name}_sum{{door=\"{door}\"}} {:?}", histogram.sum.as_secs_f64())?;
            writeln!(text, "{name}_count{{door=\"{door}\"}} {count}")?;
        }
        Ok(text)
    }
}
