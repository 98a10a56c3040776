//! Whose a request is, and what is theirs.

use super::Server;
use super::error::ApiError;
use crate::auth::Refusal;
use axum::http::{HeaderMap, StatusCode, header};
use sim::history::Id;
use sim::time::Instant;

/// Who asks. What accounts call their jobs is their own business: two may use the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Nobody is asked who they are.
    Anybody,
    /// Whoever has this account's credential.
    Account(u32),
}

impl Caller {
    /// What the queue knows the caller's job `key` by.
    pub(super) fn key(self, key: &str) -> String {
        match self {
            Self::Anybody => key.to_owned(),
            Self::Account(account) => format!("{account}:{key}"),
        }
    }

    /// The identity of the caller's job `key`. It is one of the account, to which its use is charged.
    pub(super) fn id(self, key: &str) -> Id {
        let id = Id::of_key(key);
        match self {
            Self::Account(account) if id.client() != account => {
                Id::new(account, Id::of_key(&self.key(key)).operation())
            }
            Self::Account(_) | Self::Anybody => id,
        }
    }

    /// Whether the caller may see what `account` used.
    ///
    /// # Errors
    /// 403 where it is another's.
    pub(super) fn sees(self, account: u32) -> Result<(), ApiError> {
        match self {
            Self::Account(own) if own != account => {
                let text = "this is another account's: each sees its own";
                Err(ApiError::new(StatusCode::FORBIDDEN, "not-yours", text))
            }
            Self::Account(_) | Self::Anybody => Ok(()),
        }
    }
}

impl Server {
    /// Finds out whose a request is, and lets it in.
    ///
    /// # Errors
    /// 401 without a credential that is known to be good, 403 with one that was revoked, 429 where the account asks for too
    /// much, 503 where nobody can say.
    pub(super) async fn authenticate(
        &self,
        headers: &HeaderMap,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<Caller, ApiError> {
        let Some(edge) = &self.edge else { return Ok(Caller::Anybody) };
        let credential = credential(headers)?;
        let name = self.name_of(key);
        let admitted = edge.admit(credential, |account| Caller::Account(account).id(&name), deadline).await;
        let account = admitted?;
        self.quota.take(account)?;
        Ok(Caller::Account(account))
    }

    /// What a request is called: by its key, or by a name of its own.
    pub(super) fn name_of(&self, key: Option<&str>) -> String {
        key.map_or_else(|| self.name_request(), str::to_owned)
    }
}

/// The credential that a request brings.
///
/// # Errors
/// 401 where there is none.
pub(super) fn credential(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value.filter(|_| more.is_none()) else {
        let text = "this address wants one header `Authorization: Bearer CREDENTIAL`: `POST /v1/accounts` gives credentials";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "no-credential", text));
    };
    let (scheme, credential) = value.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        let text = "the header `Authorization` is `Bearer`, a space and the credential";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "bad-credential", text));
    }
    Ok(credential.trim())
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forged => {
                let text = "this is no credential, or none that was given out here";
                Self::new(StatusCode::UNAUTHORIZED, "bad-credential", text)
            }
            Refusal::Unknown => {
                let text = "this account is not known here: if it was just made, try again";
                Self::new(StatusCode::UNAUTHORIZED, "unknown-account", text).passing()
            }
            Refusal::Revoked => Self::new(StatusCode::FORBIDDEN, "revoked", "this account was revoked"),
            Refusal::Unclear => {
                let text = "nobody can say whether this credential is good: try again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_charged_to_whoever_has_the_credential_whatever_its_key_says() {
        let (seven, eight) = (Caller::Account(7), Caller::Account(8));
        assert_eq!(seven.id("7.3"), Id::new(7, 3));
        assert_eq!(eight.id("7.3").client(), 8);
        assert_ne!(eight.id("7.3"), eight.id("8.3"), "and not by its number");
        assert_eq!(seven.id("photo").client(), 7);
        assert_ne!(seven.key("photo"), eight.key("photo"), "keys are each account's own");
        assert_eq!(Caller::Anybody.key("photo"), "photo");
        assert_eq!(Caller::Anybody.id("7.3"), Id::new(7, 3));
    }
}
