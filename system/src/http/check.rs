//! A check of requests and answers between programs of this stack. Of TCP's segments some get through damaged (Stone & Partridge,
//! SIGCOMM 2000), and a picture, a key or a version with one other digit would be believed.
//!
//! ```text
//! x-check: HEAD.BODY      two CRC-32s, in hexadecimal digits
//! ```
//! The head's is of what its first line says and of its headers, in whatever order, but for those of one connection. Callers
//! without it, browsers and curl among them, are served as they are: what checks their bytes is TLS.

use axum::body::Body as AxumBody;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// The header's name.
pub(crate) const CHECK_HEADER: HeaderName = HeaderName::from_static("x-check");

/// Headers that hyper and axum write by themselves, or that are about one connection.
const OF_ONE_CONNECTION: [HeaderName; 6] =
    [CHECK_HEADER, CONNECTION, CONTENT_LENGTH, DATE, HOST, TRANSFER_ENCODING];

/// What arrived is not what was sent.
#[derive(Debug, thiserror::Error)]
#[error("the message was damaged on the way")]
pub(super) struct Damaged;

/// The check of a request.
pub(super) fn of_request(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> HeaderValue {
    write(of_head(&[method.as_str(), target(uri)], headers), crc32fast::hash(body))
}

/// The check of an answer.
pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> HeaderValue {
    write(of_head(&[status.as_str()], headers), crc32fast::hash(body))
}

/// What the body of a request must come to; none where its sender writes no checks.
///
/// # Errors
/// Where its head is not what was sent.
pub(super) fn read_request(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Option<u32>, Damaged> {
    if !headers.contains_key(CHECK_HEADER) {
        return Ok(None);
    }
    let (head, body) = read(headers)?;
    if of_head(&[method.as_str(), target(uri)], headers) == head { Ok(Some(body)) } else { Err(Damaged) }
}

/// Checks an answer, which must have a check.
///
/// # Errors
/// Where it is not what was sent.
pub(super) fn check_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<(), Damaged> {
    let (head, of_body) = read(headers)?;
    let whole = of_head(&[status.as_str()], headers) == head && crc32fast::hash(body) == of_body;
    if whole { Ok(()) } else { Err(Damaged) }
}

fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |target| target.as_str())
}

fn of_head(first_line: &[&str], headers: &HeaderMap) -> u32 {
    let mut first = crc32fast::Hasher::new();
    for part in first_line {
        first.update(part.as_bytes());
        first.update(b" ");
    }
    let checked = headers.iter().filter(|(name, _)| !OF_ONE_CONNECTION.contains(name));
    checked.fold(first.finalize(), |sum, (name, value)| {
        let mut line = crc32fast::Hasher::new();
        line.update(name.as_str().as_bytes());
        line.update(b":");
        // White space around a value is none of it (RFC 9110, 5.5).
        line.update(value.as_bytes().trim_ascii());
        sum.wrapping_add(line.finalize())
    })
}

fn write(head: u32, body: u32) -> HeaderValue {
    HeaderValue::from_str(&format!("{head:08x}.{body:08x}")).expect("digits and a dot")
}

fn read(headers: &HeaderMap) -> Result<(u32, u32), Damaged> {
    let mut values = headers.get_all(CHECK_HEADER).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Damaged) };
    let number =
        |text: &str| u32::from_str_radix(text, 16).ok().filter(|number| format!("{number:08x}") == text);
    let read = || {
        let (head, body) = value.to_str().ok()?.split_once('.')?;
        Some((number(head)?, number(body)?))
    };
    read().ok_or(Damaged)
}

/// A body that breaks off at its end where it does not come to what it must.
pub(super) struct Checked {
    body: AxumBody,
    so_far: crc32fast::Hasher,
    expected: u32,
    damaged: Arc<AtomicBool>,
}

impl Checked {
    /// `damaged` is set where it is.
    pub(super) fn new(body: AxumBody, expected: u32, damaged: Arc<AtomicBool>) -> Self {
        Self { body, so_far: crc32fast::Hasher::new(), expected, damaged }
    }
}

impl Body for Checked {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.so_far.update(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None if self.so_far.clone().finalize() == self.expected => Poll::Ready(None),
            None => {
                self.damaged.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(Damaged.into())))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The whole body of an answer that is made here.
///
/// # Errors
/// Where whatever makes it fails.
pub(super) async fn whole(body: AxumBody) -> Result<Bytes, axum::Error> {
    Ok(body.collect().await?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_check_is_of_everything_but_the_connection_and_in_any_order() {
        let uri: Uri = "/v1/jobs?w=3".parse().unwrap();
        let sent = headers(&[("idempotency-key", "7.1"), ("x-deadline-ms", "300")]);
        let check = of_request(&Method::POST, &uri, &sent, b"picture");
        let arrives = |pairs: &[(&'static str, &'static str)], method: &Method, target: &str| {
            let mut headers = headers(pairs);
            headers.insert(CHECK_HEADER, check.clone());
            read_request(method, &target.parse().unwrap(), &headers)
        };
        let pairs = [
            ("x-deadline-ms", "300"),
            ("host", "api-1"),
            ("content-length", "7"),
            ("idempotency-key", "7.1"),
        ];
        let body = crc32fast::hash(b"picture");
        assert_eq!(arrives(&pairs, &Method::POST, "/v1/jobs?w=3").unwrap(), Some(body));
        assert!(arrives(&pairs, &Method::PUT, "/v1/jobs?w=3").is_err());
        assert!(arrives(&pairs, &Method::POST, "/v1/jobs?w=7").is_err());
        assert!(arrives(&pairs[..3], &Method::POST, "/v1/jobs?w=3").is_err(), "a header is gone");
        let other = [("x-deadline-ms", "300"), ("idempotency-key", "7.3")];
        assert!(arrives(&other, &Method::POST, "/v1/jobs?w=3").is_err());
        assert_eq!(read_request(&Method::POST, &uri, &sent).unwrap(), None, "who writes no check is served");
        assert!(check_answer(StatusCode::OK, &sent, b"").is_err(), "an answer without one is none");
    }

    proptest! {
        #[test]
        fn one_bit_of_an_answer_changes_its_check(body: Vec<u8>, flip: prop::sample::Index, value in "[a-z]{1,9}") {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_str(&value).unwrap());
            headers.insert(CHECK_HEADER, of_answer(StatusCode::OK, &headers, &body));
            prop_assert!(check_answer(StatusCode::OK, &headers, &body).is_ok());
            prop_assert!(check_answer(StatusCode::CREATED, &headers, &body).is_err());
            if !body.is_empty() {
                let (mut damaged, place) = (body.clone(), flip.index(body.len() * 8));
                damaged[place / 8] ^= 1 << (place % 8);
                prop_assert!(check_answer(StatusCode::OK, &headers, &damaged).is_err());
            }
            let mut bytes = value.into_bytes();
            let place = flip.index(bytes.len());
            bytes[place] ^= 1;
            if let Ok(other) = HeaderValue::from_bytes(&bytes) {
                headers.insert("content-type", other);
                prop_assert!(check_answer(StatusCode::OK, &headers, &body).is_err());
            }
        }
    }
}
