//! What a user wants, drawn by chance.

use crate::poison::poisoned;
use crate::resize::{Converter, Request, SampleKind, sample_image};
use bytes::Bytes;
use sim::rng::Stream;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What users want of their pictures: little, so that conversions can be remembered.
const WANTED: [&str; 5] =
    ["w=16", "w=48&fmt=jpeg", "w=24&h=24&fit=cover", "h=30&fmt=png", "w=80&h=80&fit=scale-down&q=60"];
/// What makes no sense.
const NONSENSE: [&str; 4] = ["w=wide", "w=0", "w=10&fit=sideways", "w=10&w=20"];
/// One in so many bodies is no picture.
const GARBAGE_ONE_IN: u64 = 40;
/// One in so many requests has options that make no sense.
const NONSENSE_ONE_IN: u64 = 60;
/// One in so many wants its picture at once; the others hand a job in and ask for it.
const SYNC_ONE_IN: u64 = 4;

/// What users are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Most of what it sends makes sense.
    Ordinary,
    /// All that it sends is a picture, and all that it wants is another at once.
    Plain,
    /// All that it sends is poison.
    Poisonous,
}

/// One request's content.
pub(super) struct Wish {
    pub(super) query: &'static str,
    pub(super) body: Bytes,
    /// Whether the answer shall be the picture itself.
    pub(super) sync: bool,
}

impl Wish {
    /// What a user of this kind wants next. There are so many `pictures` of each format.
    pub(super) fn draw(chance: &mut Stream, kind_of_user: Kind, pictures: u64) -> Self {
        // All is drawn at all times, so that one choice moves no other.
        let kind = if chance.below(0..2) == 0 { SampleKind::Jpeg } else { SampleKind::Png };
        let number = chance.below(0..pictures);
        let wanted = chance.pick(&WANTED).expect("there are wishes");
        let senseless = chance.pick(&NONSENSE).expect("there is nonsense");
        let garbage = chance.below(0..GARBAGE_ONE_IN) == 0;
        let nonsense = chance.below(0..NONSENSE_ONE_IN) == 0;
        let sync = chance.below(0..SYNC_ONE_IN) == 0;
        let drawn = picture(kind, number);
        let body = match kind_of_user {
            Kind::Poisonous => poisoned(&picture(SampleKind::Png, number)),
            Kind::Ordinary if garbage => spoil(&drawn, chance),
            Kind::Ordinary | Kind::Plain => drawn,
        };
        let nonsense = nonsense && kind_of_user == Kind::Ordinary;
        let sync = sync || kind_of_user == Kind::Plain;
        Self { query: if nonsense { senseless } else { wanted }, body, sync }
    }

    /// The right answer, by the pure function and none of the service; none where it is a refusal.
    pub(super) fn expected(&self, converter: &Converter) -> Option<Bytes> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let request = Request::parse(pairs).ok()?;
        converter.convert(&self.body, &request).ok().map(|output| output.bytes)
    }
}

/// A user's picture, made once a process: it is a pure function of its arguments, so that a static which survives a
/// world cannot tell one world of another. Of 2 KB each, and as many as `client.pictures` lets be.
fn picture(kind: SampleKind, number: u64) -> Bytes {
    static MADE: Mutex<BTreeMap<(bool, u64), Bytes>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = (kind == SampleKind::Png, number);
    made.entry(name).or_insert_with(|| sample_image(kind, number)).clone()
}

/// What a broken or hostile user sends: a picture cut short or overwritten in places, one that declares more pixels than
/// anybody has memory for, bytes of no meaning, nothing.
fn spoil(picture: &Bytes, chance: &mut Stream) -> Bytes {
    let length = picture.len() as u64;
    let mut bytes = picture.to_vec();
    match chance.below(0..5) {
        0 => bytes.truncate(usize::try_from(chance.below(0..length)).expect("an index")),
        1 => {
            for _ in 0..8 {
                let place = usize::try_from(chance.below(0..length)).expect("an index");
                bytes[place] = u8::try_from(chance.below(0..256)).expect("a byte");
            }
        }
        2 => bytes = vast_png(),
        3 => chance.fill(&mut bytes),
        _ => bytes.clear(),
    }
    bytes.into()
}

/// The header of a PNG of 60 000 by 60 000 pixels, and nothing more.
fn vast_png() -> Vec<u8> {
    let side = 60_000_u32.to_be_bytes();
    let declared = [&side[..], &side, &[8, 6, 0, 0, 0]].concat();
    // The last four bytes are the chunk's CRC, which no reader of headers needs to be right.
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &declared[..], &[0; 4]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::{Limits, ResizeError, inspect};

    #[test]
    fn most_wishes_have_a_picture_for_an_answer_and_some_have_none() {
        let converter = Converter::default();
        let wishes =
            (0..2000).map(|number| Wish::draw(&mut Stream::named(number, "client-0/0"), Kind::Ordinary, 12));
        let refused = wishes.filter(|wish| wish.expected(&converter).is_none()).count();
        assert!((40..160).contains(&refused), "{refused} of 2000");
    }

    #[test]
    fn the_vast_picture_is_refused_for_its_size() {
        let bomb = vast_png();
        let header = inspect(&bomb).unwrap();
        assert!(matches!(Limits::default().admit(&bomb, &header), Err(ResizeError::TooLarge(_))));
    }
}
