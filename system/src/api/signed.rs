//! Signed addresses, which the doors to jobs take in place of a credential.

use super::Server;
use super::checks::{self, Pairs, bad_request};
use super::credentials::Caller;
use super::error::ApiError;
use crate::auth::Address;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use sim::time::{Instant, wall_now};
use std::convert::Infallible;

/// Options of a request, by name, in order.
pub(super) type Options = Vec<(String, String)>;

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

fn bad_signature() -> ApiError {
    let text = "this address is not signed, or not as it is: ask whoever gave it to you for another";
    ApiError::new(StatusCode::UNAUTHORIZED, "bad-signature", text)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
