//! What is read out of a request before anything is done for it. Nothing here trusts the request.

use super::error::ApiError;
use crate::http::DEADLINE_HEADER;
use axum::body::{Body, HttpBody as _};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sim::time::{Instant, timeout};
use std::time::Duration;

/// A query string, or why it is none.
pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Idempotency keys longer than this are refused.
const KEY_BYTES_MAX: usize = 256;

/// When the caller stops waiting: its own deadline, in milliseconds from now, where that is sooner than `most`.
///
/// # Errors
/// 400 where the header is no number, 504 where nothing is left.
pub(crate) fn deadline(most: Duration, headers: &HeaderMap) -> Result<Instant, ApiError> {
    let Some(value) = headers.get(DEADLINE_HEADER) else { return Ok(Instant::now() + most) };
    let milliseconds: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
    let Some(milliseconds) = milliseconds else {
        return Err(bad_request(format!("`{DEADLINE_HEADER}` is a whole number of milliseconds")));
    };
    if milliseconds == 0 {
        let text = "the caller's deadline had passed on arrival";
        return Err(ApiError::new(StatusCode::GATEWAY_TIMEOUT, "deadline-exceeded", text));
    }
    Ok(Instant::now() + Duration::from_millis(milliseconds).min(most))
}

/// The idempotency key, where there is one. Quotation marks around it are not part of it: the header's draft standard has
/// them, most users leave them out.
///
/// # Errors
/// 400 where it is none.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if values.next().is_some() || !is_key(unquoted) {
        return Err(bad_request(format!(
            "there is one `Idempotency-Key`, of 1 to {KEY_BYTES_MAX} letters, digits, `.`, `_`, `:`, `~` or `-`"
        )));
    }
    Ok(Some(unquoted.to_owned()))
}

/// Whether a job can have this key: only what stands for itself in an address.
pub(super) fn is_key(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'~' | b'-');
    (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// The pairs of a query string.
///
/// # Errors
/// 400 where it is none.
pub(super) fn pairs(pairs: Pairs) -> Result<Vec<(String, String)>, ApiError> {
    pairs.map(|Query(pairs)| pairs).map_err(|error| bad_request(error.body_text()))
}

/// How long the caller wants to wait for a job's end.
///
/// # Errors
/// 400 where that is no number, or anything else is asked.
pub(super) fn wait(pairs: &[(String, String)]) -> Result<Duration, ApiError> {
    match pairs {
        [] => Ok(Duration::ZERO),
        [(name, seconds)] if name == "wait" => {
            let seconds: Option<u32> = seconds.parse().ok();
            let seconds = seconds.ok_or_else(|| bad_request("`wait` is a whole number of seconds"))?;
            Ok(Duration::from_secs(seconds.into()))
        }
        _ => Err(bad_request("the only option here is `wait`, once")),
    }
}

/// Whether the caller says by `If-None-Match` that it has what `tag` is of (RFC 9110, 13.1.2: any of a list, or `*`; weak tags
/// compare like strong ones).
pub(super) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// How many bytes the body may turn out to have.
///
/// # Errors
/// 413 where it says itself that it has too many.
pub(crate) fn body_bytes(body: &Body, bytes_max: u64) -> Result<u64, ApiError> {
    let hint = body.size_hint();
    if hint.lower() > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(hint.upper().map_or(bytes_max, |upper| upper.min(bytes_max)))
}

/// The whole body.
///
/// # Errors
/// 408 where it does not arrive in time, 413 where it is too long, 400 where it breaks off.
pub(crate) async fn body(body: Body, bytes_max: u64, deadline: Instant) -> Result<Bytes, ApiError> {
    let most = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    let collected = timeout(deadline - Instant::now(), Limited::new(body, most).collect()).await;
    let late = |_| {
        let text = "the body did not arrive in time: send it again";
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", text)
    };
    let collected = collected.map_err(late)?.map_err(|error| {
        let too_long = error.is::<LengthLimitError>();
        if too_long { too_large(bytes_max) } else { bad_request("the body broke off") }
    })?;
    Ok(collected.to_bytes())
}

pub(super) fn bad_request(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad-request", message)
}

fn too_large(bytes_max: u64) -> ApiError {
    let text = format!("the body is too large: at most {bytes_max} bytes are accepted");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
}
