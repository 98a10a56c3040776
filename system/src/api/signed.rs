//! Signed addresses: `POST /v1/signed-addresses` makes one, and the doors to jobs take it in place of a credential.

use super::Server;
use super::checks::{self, Pairs, bad_request};
use super::credentials::Caller;
use super::error::ApiError;
use crate::auth::Address;
use crate::resize::Request;
use axum::body::Body;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use sim::time::{Instant, wall_now};
use std::convert::Infallible;
use std::sync::Arc;

/// A longer description of an address is none.
const BODY_BYTES_MAX: u64 = 4096;

/// Options of a request, by name, in order.
type Options = Vec<(String, String)>;

/// What an address asks for, parsed once: what is checked is what is done.
pub(super) struct Target {
    method: Method,
    path: String,
    pairs: Pairs,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let pairs = Query::try_from_uri(&parts.uri);
        Ok(Self { method: parts.method.clone(), path: parts.uri.path().to_owned(), pairs })
    }
}

/// What signs an address, beside the options of its request.
#[derive(Debug, PartialEq, Eq)]
struct Seal {
    account: u32,
    expires_s: u64,
    key: u32,
    signature: blake3::Hash,
}

impl Seal {
    /// Takes what signs an address out of its options; none where nothing does.
    ///
    /// # Errors
    /// 401 where a part of it is missing, is there twice, or is written in any other way than the one.
    fn split(pairs: Options) -> Result<(Options, Option<Self>), ApiError> {
        const NAMES: [&str; 4] = ["account", "expires", "key", "signature"];
        let (sealing, options): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(name, _)| NAMES.contains(&name.as_str()));
        if sealing.is_empty() {
            return Ok((options, None));
        }
        let [account, expires, key, signature] = sealing.as_slice() else { return Err(bad_signature()) };
        let in_order = sealing.iter().map(|(name, _)| name.as_str()).eq(NAMES);
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text);
        let seal = || {
            let signature = &signature.1;
            let hash = blake3::Hash::from_hex(signature).ok()?;
            Some(Self {
                account: u32::try_from(number(&account.1)?).ok()?,
                expires_s: number(&expires.1)?,
                key: u32::try_from(number(&key.1)?).ok()?,
                signature: (hash.to_hex().as_str() == signature).then_some(hash)?,
            })
        };
        let seal = seal().filter(|_| in_order).ok_or_else(bad_signature)?;
        Ok((options, Some(seal)))
    }
}

impl Server {
    /// Finds out on whose behalf a request is, by its signed address or by its credential, and lets it in; with its options.
    ///
    /// # Errors
    /// As [`Server::authenticate`]; 400 where it has both, 401 where the signature is not good, 403 where its time is over.
    pub(super) async fn caller(
        &self,
        target: Target,
        headers: &HeaderMap,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<(Caller, Result<Options, ApiError>), ApiError> {
        let pairs = checks::pairs(target.pairs);
        let Some(edge) = &self.edge else { return Ok((Caller::Anybody, pairs)) };
        let (options, seal) = match pairs {
            Ok(pairs) => Seal::split(pairs)?,
            // Whoever asks is told what is wrong once it is known who that is.
            Err(error) => return Ok((self.authenticate(headers, key, deadline).await?, Err(error))),
        };
        let Some(seal) = seal else {
            return Ok((self.authenticate(headers, key, deadline).await?, Ok(options)));
        };
        if headers.contains_key(header::AUTHORIZATION) {
            return Err(bad_request("an address that is signed takes no header `Authorization`"));
        }
        let signing = edge.address_key(Some(seal.key), seal.account, deadline).await?;
        let (method, path) = (target.method.as_str(), target.path.as_str());
        let (account, expires_s) = (seal.account, seal.expires_s);
        let address = Address { method, path, options: &options, account, expires_s };
        if signing.is_none_or(|signing| signing.sign(&address) != seal.signature) {
            return Err(bad_signature());
        }
        if wall_now().as_secs() >= expires_s {
            let text = "the time of this signed address is over: ask whoever gave it to you for another";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "address-expired", text));
        }
        let caller = Caller::Account(account);
        edge.let_in(account, None, caller.id(&self.name_of(key)), deadline).await?;
        self.quota.take(account)?;
        Ok((caller, Ok(options)))
    }
}

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

fn bad_signature() -> ApiError {
    let text = "this address is not signed, or not as it is: ask whoever gave it to you for another";
    ApiError::new(StatusCode::UNAUTHORIZED, "bad-signature", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn there_is_one_way_to_write_what_signs_an_address() {
        let signature = "0a".repeat(32);
        let seal = [("account", "7"), ("expires", "90"), ("key", "0"), ("signature", signature.as_str())];
        let good = [&[("w", "3")][..], &seal].concat();
        let (options, split) = Seal::split(pairs(&good)).unwrap();
        let signature = blake3::Hash::from_hex(&signature).unwrap();
        assert_eq!(options, pairs(&[("w", "3")]));
        assert_eq!(split, Some(Seal { account: 7, expires_s: 90, key: 0, signature }));
        assert_eq!(Seal::split(pairs(&[("w", "3")])).unwrap(), (pairs(&[("w", "3")]), None));
        for place in 0..seal.len() {
            let mut missing = seal.to_vec();
            missing.remove(place);
            let twice = [&seal[..], &seal[place..=place]].concat();
            let upper_case = seal[place].1.to_uppercase();
            let mut otherwise = seal.to_vec();
            let padded = format!("0{upper_case}");
            otherwise[place].1 = if place == 3 { &upper_case } else { &padded };
            let mut turned = seal.to_vec();
            turned.rotate_left(place.max(1));
            for wrong in [missing, twice, otherwise, turned] {
                assert!(Seal::split(pairs(&wrong)).is_err(), "{wrong:?}");
            }
        }
    }

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
