//! `POST /v1/signed-addresses`: makes an address that anybody can use on behalf of an account.

use super::Server;
use super::checks::{self, bad_request};
use super::credentials::Caller;
use super::error::ApiError;
use super::signed::Options;
use crate::auth::Address;
use crate::resize::Request;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use sim::time::wall_now;
use std::sync::Arc;

/// A longer description of an address is none.
const BODY_BYTES_MAX: u64 = 4096;

/// What is to be signed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    method: String,
    /// Path and options, such as `/v1/resize?w=320`.
    address: String,
    /// How long it is to be good.
    seconds: u64,
}

/// `POST /v1/signed-addresses`: an address that anybody can use on behalf of the account whose credential asks for it, for some time.
pub(super) async fn sign(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let asked = server.answer(&headers, async |deadline, key| {
        let caller = server.authenticate(&headers, key.as_deref(), deadline).await?;
        let (Caller::Account(account), Some(edge)) = (caller, &server.edge) else {
            let text = "nobody is asked here who they are, so that no address has to be signed";
            return Err(ApiError::new(StatusCode::NOT_FOUND, "not-found", text));
        };
        let body = checks::body(body, BODY_BYTES_MAX, deadline).await?;
        let example = r#"{"method": "POST", "address": "/v1/resize?w=320", "seconds": 600}"#;
        let wish: Wish = serde_json::from_slice(&body)
            .map_err(|error| bad_request(format!("the body is JSON such as `{example}`: {error}")))?;
        let longest_s = server.address_for.as_secs();
        if !(1..=longest_s).contains(&wish.seconds) {
            return Err(bad_request(format!("`seconds` is a whole number from 1 to {longest_s}")));
        }
        let (path, query) = canonical(&wish.method, &wish.address)?;
        let options: Options = query.iter().flat_map(|query| pairs_of(query)).collect();
        let Some(signing) = edge.address_key(None, account, deadline).await? else {
            let text = "there is no key to sign addresses with yet: try again";
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", text));
        };
        let expires_s = wall_now().as_secs() + wish.seconds;
        let address = Address { method: &wish.method, path: &path, options: &options, account, expires_s };
        let signature = signing.sign(&address).to_hex();
        let query = query.map_or_else(String::new, |query| format!("{query}&"));
        let number = signing.number;
        let signed =
            format!("{path}?{query}account={account}&expires={expires_s}&key={number}&signature={signature}");
        // Whoever reads it can use it.
        let headers = [(header::CACHE_CONTROL, "no-store")];
        let body = json!({ "method": wish.method, "address": signed, "expires": expires_s });
        Ok((StatusCode::CREATED, headers, axum::Json(body)).into_response())
    });
    asked.await
}

/// The path and the options of an address that can be signed, in the one way to write them; every letter stands for itself.
///
/// # Errors
/// 400 where it is none of a door that takes signed addresses.
fn canonical(method: &str, address: &str) -> Result<(String, Option<String>), ApiError> {
    let no_door = || {
        let doors =
            "`POST /v1/resize`, `POST /v1/jobs` and `GET /v1/jobs/{id}` can be signed, with their options";
        bad_request(doors)
    };
    let uri: Uri = address.parse().map_err(|_| no_door())?;
    if uri.authority().is_some() {
        return Err(no_door());
    }
    let pairs = checks::pairs(Query::try_from_uri(&uri))?;
    let path = uri.path();
    match (method, path) {
        ("POST", "/v1/resize" | "/v1/jobs") => {
            Ok((path.to_owned(), Some(Request::parse(pairs)?.canonical())))
        }
        ("GET", _) => {
            let key = path.strip_prefix("/v1/jobs/").filter(|key| checks::is_key(key)).ok_or_else(no_door)?;
            let wait = checks::wait(&pairs)?.as_secs();
            Ok((format!("/v1/jobs/{key}"), (wait > 0).then(|| format!("wait={wait}"))))
        }
        _ => Err(no_door()),
    }
}

/// The pairs of a query whose letters stand for themselves.
fn pairs_of(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_be_signed_has_one_spelling() {
        let spelt = |method, address| canonical(method, address).map_err(drop);
        let resize = |query: &str| Ok(("/v1/resize".to_owned(), Some(query.to_owned())));
        assert_eq!(spelt("POST", "/v1/resize?width=020&q=80"), resize("w=20&fit=contain&fmt=same&q=80"));
        assert_eq!(spelt("POST", "/v1/resize"), resize("fit=contain&fmt=same&q=80"));
        assert_eq!(
            spelt("GET", "/v1/jobs/7.1?wait=3"),
            Ok(("/v1/jobs/7.1".to_owned(), Some("wait=3".to_owned())))
        );
        assert_eq!(spelt("GET", "/v1/jobs/7.1"), Ok(("/v1/jobs/7.1".to_owned(), None)));
        for (method, address) in [
            ("GET", "/v1/resize?w=1"),
            ("POST", "/v1/jobs/7.1"),
            ("DELETE", "/v1/jobs/7.1"),
            ("GET", "/v1/jobs/a%2Fb"),
            ("GET", "/v1/usage/7"),
            ("POST", "http://elsewhere/v1/resize?w=1"),
            ("POST", "/v1/resize?w=0"),
            ("POST", "/v1/resize?account=8"),
            ("POST", ""),
        ] {
            assert_eq!(spelt(method, address), Err(()), "{method} {address}");
        }
    }

    proptest! {
        #[test]
        fn no_address_makes_signing_panic(method in "GET|POST|.{0,3}", address in "(/v1/(jobs|resize)?)?.{0,30}") {
            if let Ok((path, query)) = canonical(&method, &address) {
                // What is signed reads back as itself.
                let again = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
                prop_assert_eq!(canonical(&method, &again).ok(), Some((path.clone(), query)), "{}", again);
                let uri: Uri = again.parse().unwrap();
                prop_assert_eq!(uri.path(), path);
            }
        }
    }
}
