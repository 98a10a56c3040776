//! `GET /metrics` of a load balancer: its own numbers, in OpenMetrics text; each API server tells its own at its own door.

use super::Balancer;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::fmt::{self, Write as _};
use std::sync::Arc;

pub(super) async fn scrape(State(balancer): State<Arc<Balancer>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = balancer.text().expect("strings take all");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

impl Balancer {
    fn text(&self) -> Result<String, fmt::Error> {
        let servers = self.pool.load();
        let mut text = String::new();
        writeln!(text, "# TYPE balancer_requests_in_flight gauge")?;
        writeln!(text, "# HELP balancer_requests_in_flight Requests that wait for an answer, by server.")?;
        for (name, under_way, _) in &servers {
            writeln!(text, "balancer_requests_in_flight{{server=\"{name}\"}} {under_way}")?;
        }
        writeln!(text, "# TYPE balancer_server_left_out gauge")?;
        writeln!(
            text,
            "# HELP balancer_server_left_out Whether a server gets no requests, unless too many are."
        )?;
        for (name, _, left_out) in &servers {
            writeln!(text, "balancer_server_left_out{{server=\"{name}\"}} {}", u8::from(*left_out))?;
        }
        writeln!(text, "# TYPE balancer_retries_saved gauge")?;
        writeln!(text, "# HELP balancer_retries_saved Second tries that the budget has saved up.")?;
        writeln!(text, "balancer_retries_saved {}\n# EOF", self.retries.saved())?;
        Ok(text)
    }
}
