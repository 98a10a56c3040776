//! The doors to the accounts: what a customer used so far, and what it was billed for a period.

use super::Server;
use super::error::ApiError;
use crate::archive::ArchiveError;
use crate::billing::{Bill, Invoice, Part, object_of};
use crate::usage::UsageError;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// `GET /v1/usage/{account}`: the sum of what the account used.
pub(super) async fn usage(
    State(server): State<Arc<Server>>,
    path: Result<Path<u32>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let asked = server.answer(&headers, async |deadline, key| {
        let caller = server.authenticate(&headers, key.as_deref(), deadline).await?;
        let Path(account) = path.map_err(|_| no_number("an account"))?;
        caller.sees(account)?;
        let total = server.usage.total(account, deadline).await?;
        Ok(Json(json!({ "account": account, "cpu-ns": total.cpu_ns, "bytes": total.bytes })))
    });
    asked.await
}

/// `GET /v1/bills/{period}/{account}`: the account's invoice for a period, each line with its job.
pub(super) async fn invoice(
    State(server): State<Arc<Server>>,
    path: Result<Path<(u64, u32)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let asked = server.answer(&headers, async |deadline, key| {
        let caller = server.authenticate(&headers, key.as_deref(), deadline).await?;
        let Path((period, account)) = path.map_err(|_| no_number("a period and an account"))?;
        caller.sees(account)?;
        let bill: Option<Bill> = server.archived(&object_of(period)).await?;
        let bill = bill.ok_or_else(|| nothing("this period is not billed yet"))?;
        let (from_ns, until_ns) = (bill.from_ns, bill.until_ns);
        let mut objects: Vec<Part> = Vec::new();
        for object in bill.part_of(account) {
            objects.push(server.archived(object).await?.ok_or_else(|| {
                let text = "a part of this period's bill cannot be had: try again";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
            })?);
        }
        let invoice = Invoice::of_account(account, objects);
        let invoice = invoice.ok_or_else(|| nothing("this account used nothing in this period"))?;
        let line = |line: &crate::queue::Line| {
            json!({ "job": line.id.to_string(), "cpu-ns": line.amounts.cpu_ns, "bytes": line.amounts.bytes })
        };
        let lines: Vec<Value> = invoice.lines.iter().map(line).collect();
        let (cpu_ns, bytes) = (invoice.total.cpu_ns, invoice.total.bytes);
        let period = json!({ "number": period, "from-ns": from_ns, "until-ns": until_ns });
        Ok(Json(
            json!({ "account": account, "period": period, "cpu-ns": cpu_ns, "bytes": bytes, "lines": lines }),
        ))
    });
    asked.await
}

impl Server {
    /// An object of the archive; none where there is none, or none that is of this kind.
    async fn archived<T: DeserializeOwned>(&self, object: &str) -> Result<Option<T>, ApiError> {
        let content = self.archive.get(object).await?;
        Ok(content.and_then(|content| serde_json::from_slice(&content).ok()))
    }
}

pub(super) fn no_number(what: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad-request", format!("{what} is a whole number"))
}

fn nothing(text: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not-found", text)
}

impl From<UsageError> for ApiError {
    fn from(error: UsageError) -> Self {
        let (status, code) = match error {
            UsageError::NoNodes => (StatusCode::NOT_FOUND, "not-found"),
            UsageError::TooFew { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        let (status, code) = match error {
            ArchiveError::Discarded { .. } => (StatusCode::GONE, "gone"),
            ArchiveError::Unavailable | ArchiveError::Taken(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
        };
        Self::new(status, code, error.to_string())
    }
}
