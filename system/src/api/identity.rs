//! The doors to the management plane: accounts are made and revoked.

use super::Server;
use super::accounts::no_number;
use super::checks::{self, bad_request};
use super::credentials::credential;
use super::error::ApiError;
use crate::auth::ManagementError;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// A longer description of an account is none.
const BODY_BYTES_MAX: u64 = 1024;

/// What may be said of a new account.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// Its number; any, where there is none.
    account: Option<u32>,
}

/// `POST /v1/accounts`: a new account and its credential. The same `Idempotency-Key` again gives the same, so that a key that others
/// can guess is as bad as no credential.
pub(super) async fn create(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let asked = server.answer(&headers, async |deadline, key| {
        let body = checks::body(body, BODY_BYTES_MAX, deadline).await?;
        let new = match body.is_empty() {
            true => NewAccount::default(),
            false => serde_json::from_slice(&body).map_err(|error| {
                bad_request(format!("the body is empty, or JSON such as `{{\"account\": 7}}`: {error}"))
            })?,
        };
        let (account, credential) = server.management.create(new.account, key.as_deref(), deadline).await?;
        let body = axum::Json(json!({ "account": account, "credential": credential }));
        // Whoever reads it can use it.
        Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], body).into_response())
    });
    asked.await
}

/// `POST /v1/accounts/{account}/revoke`: the account's credential is good for nothing any more, after the bound.
pub(super) async fn revoke(
    State(server): State<Arc<Server>>,
    path: Result<Path<u32>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let asked = server.answer(&headers, async |deadline, _| {
        let credential = credential(&headers)?;
        let Path(account) = path.map_err(|_| no_number("an account"))?;
        server.management.revoke(account, credential, deadline).await?;
        Ok(axum::Json(json!({ "account": account, "status": "revoked" })).into_response())
    });
    asked.await
}

impl From<ManagementError> for ApiError {
    fn from(error: ManagementError) -> Self {
        let (status, code) = match error {
            ManagementError::NoNodes => (StatusCode::NOT_FOUND, "not-found"),
            ManagementError::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            ManagementError::Making => (StatusCode::SERVICE_UNAVAILABLE, "account-begun"),
            ManagementError::Begun => (StatusCode::SERVICE_UNAVAILABLE, "revocation-begun"),
            ManagementError::Taken => (StatusCode::CONFLICT, "account-taken"),
            ManagementError::Full => (StatusCode::SERVICE_UNAVAILABLE, "full"),
            ManagementError::Forged => (StatusCode::UNAUTHORIZED, "bad-credential"),
            ManagementError::NotYours => (StatusCode::FORBIDDEN, "not-yours"),
            ManagementError::NoAccount => (StatusCode::NOT_FOUND, "no-such-account"),
        };
        Self::new(status, code, error.to_string())
    }
}
