//! What a user wants, drawn by chance.

use crate::resize::{Converter, Request, SampleKind, sample_image};
use bytes::Bytes;
use sim::rng::Stream;
use std::sync::OnceLock;

/// Pictures that users have: few, so that conversions can be remembered.
const PICTURES: u64 = 24;
/// Widths that users ask for.
const WIDTHS: [u32; 4] = [16, 24, 48, 96];
/// One in so many bodies is no picture.
const GARBAGE_ONE_IN: u64 = 40;
/// One in so many requests has options that make no sense.
const NONSENSE_ONE_IN: u64 = 60;
/// One in so many wants its picture at once.
const SYNC_ONE_IN: u64 = 4;

/// One request's content.
pub(super) struct Wish {
    pub(super) query: String,
    pub(super) body: Bytes,
    /// Whether the answer shall be the picture itself.
    pub(super) sync: bool,
}

impl Wish {
    pub(super) fn draw(chance: &mut Stream) -> Self {
        let kind = if chance.below(0..2) == 0 { SampleKind::Jpeg } else { SampleKind::Png };
        let number = chance.below(0..PICTURES);
        let width = chance.pick(&WIDTHS).expect("there are widths");
        let format = chance.pick(&["", "&fmt=jpeg", "&fmt=png"]).expect("there are formats");
        let garbage = chance.below(0..GARBAGE_ONE_IN) == 0;
        let nonsense = chance.below(0..NONSENSE_ONE_IN) == 0;
        let sync = chance.below(0..SYNC_ONE_IN) == 0;
        let mut body = picture(kind, number);
        if garbage {
            body = spoil(&body, chance);
        }
        let query = if nonsense { "w=wide".to_owned() } else { format!("w={width}{format}") };
        Self { query, body, sync }
    }

    /// The right answer, by the pure function and none of the service; none where it is a refusal.
    pub(super) fn expected(&self, converter: &Converter) -> Option<Bytes> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let request = Request::parse(pairs).ok()?;
        converter.convert(&self.body, &request).ok().map(|output| output.bytes)
    }
}

/// A user's picture, made once a process: it is a pure function of its arguments, so that a static which survives a
/// world cannot tell one world of another.
fn picture(kind: SampleKind, number: u64) -> Bytes {
    static MADE: OnceLock<Vec<[Bytes; 2]>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        (0..PICTURES)
            .map(|number| [SampleKind::Jpeg, SampleKind::Png].map(|kind| sample_image(kind, number)))
            .collect()
    });
    let place = usize::try_from(number).expect("a small number");
    made[place][usize::from(kind == SampleKind::Png)].clone()
}

/// What a broken or hostile user sends: a picture cut short, overwritten in places, or no picture at all.
fn spoil(picture: &Bytes, chance: &mut Stream) -> Bytes {
    let length = picture.len() as u64;
    let mut bytes = picture.to_vec();
    match chance.below(0..3) {
        0 => bytes.truncate(usize::try_from(chance.below(0..length)).expect("an index")),
        1 => {
            for _ in 0..8 {
                let place = usize::try_from(chance.below(0..length)).expect("an index");
                bytes[place] = u8::try_from(chance.below(0..256)).expect("a byte");
            }
        }
        _ => chance.fill(&mut bytes),
    }
    bytes.into()
}
