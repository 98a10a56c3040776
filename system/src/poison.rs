//! Poison: requests that harm whoever takes them, and the weakness that they find.
//!
//! A poisonous picture has a header that every door lets pass. Only the codec of a worker that has the weakness finds out
//! what it is, and no other worker that it is handed to next has learnt from that.

use bytes::Bytes;
use sim::stack::Deployment;
use std::time::Duration;

/// How poisonous pictures end.
const MARK: &[u8] = b"poison";
/// What exhausts a core.
const EXHAUSTING: Duration = Duration::from_secs(60);

/// What poison does to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weakness {
    /// Nothing: it is one more picture that cannot be read.
    None,
    /// Ends its process.
    Crash,
    /// Keeps a conversion from ever ending.
    Hang,
    /// Takes a core for a minute, whether anybody still waits or not.
    Exhaust,
}

impl Weakness {
    pub(crate) fn of(deployment: &Deployment) -> Self {
        match deployment.setting("worker.weakness") {
            "crash" => Self::Crash,
            "hang" => Self::Hang,
            "exhaust" => Self::Exhaust,
            _ => Self::None,
        }
    }

    /// Does what `body` does to a worker with this weakness.
    pub(crate) async fn meet(self, body: &Bytes) {
        if self == Self::None || !body.ends_with(MARK) {
            return;
        }
        match self {
            Self::None => {}
            Self::Crash => {
                sim::node::abort();
                std::future::pending().await
            }
            Self::Hang => std::future::pending().await,
            Self::Exhaust => sim::cpu::run(EXHAUSTING, || ()).await,
        }
    }
}

/// `picture` made poisonous: cut short after its header, so that it has no right answer, and marked.
pub(crate) fn poisoned(picture: &Bytes) -> Bytes {
    let half = picture.len() / 2;
    [&picture[..half], MARK].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::{Converter, Limits, Request, SampleKind, inspect, sample_image};

    #[test]
    fn poison_passes_the_door_and_has_no_right_answer() {
        for number in 0..12 {
            let body = poisoned(&sample_image(SampleKind::Png, number));
            let header = inspect(&body).unwrap();
            Limits::default().admit(&body, &header).unwrap();
            let request = Request::parse([("w", "16")]).unwrap();
            assert!(Converter::default().convert(&body, &request).is_err());
        }
    }
}
