//! TIFF: the first directory's tags that decide what decoding costs.
use std::collections::BTreeMap;

use super::{Coding, Fields, Header, broken, unsupported};
use crate::resize::ResizeError;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS_PER_SAMPLE: u16 = 258;
const COMPRESSION: u16 = 259;
const SAMPLES_PER_PIXEL: u16 = 277;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;

/// JPEG inside TIFF: each strip is a picture with a header of its own, which the TIFF decoder believes without limits.
const JPEG_INSIDE: [u64; 2] = [6, 7];
const SAMPLES_MAX: u64 = 8;
const ENTRIES_MAX: u64 = 4096;

pub(super) fn inspect(input: &[u8]) -> Result<Header, ResizeError> {
    let tags = Directory::open(input)
        .and_then(|directory| directory.tags())
        .ok_or_else(|| broken("the TIFF's first directory is cut off, repeats a tag or is far too long"))?;
    let get = |tag: u16| tags.get(&tag).copied();
    let side = |tag: u16| get(tag).and_then(|value| u32::try_from(value).ok());
    let (Some(width), Some(height)) = (side(WIDTH), side(HEIGHT)) else {
        return Err(broken("the TIFF's first directory does not say how large the picture is"));
    };
    let compression = get(COMPRESSION).unwrap_or(1);
    if JPEG_INSIDE.contains(&compression) {
        return Err(unsupported("TIFFs compressed as JPEG are not converted"));
    }
    let (samples, bits) = (get(SAMPLES_PER_PIXEL).unwrap_or(1), get(BITS_PER_SAMPLE).unwrap_or(1));
    if samples > SAMPLES_MAX || bits > 64 {
        return Err(unsupported("TIFFs with so many samples or bits a pixel are not converted"));
    }
    let bytes_per_px = (samples * bits).div_ceil(8).max(1);
    let mut header = Header::plain(Coding::Tiff, width, height, bytes_per_px);
    let tile_width = tile_side(get(TILE_WIDTH), width)?;
    let tile_height = tile_side(get(TILE_HEIGHT), height)?;
    header.coded_px = padded(width, tile_width).saturating_mul(padded(height, tile_height));
    // The decoder fills a buffer of its own before the picture's, and holds a row of a tile.
    let row_bytes = tile_width.saturating_mul(bytes_per_px);
    header.working_bytes = header.decoded_bytes.saturating_mul(2).saturating_add(row_bytes);
    Ok(header)
}

/// A tile's side; strips are as wide as the picture, and end where it ends.
fn tile_side(tile: Option<u64>, picture: u32) -> Result<u64, ResizeError> {
    match tile {
        Some(0) => Err(broken("the TIFF's tiles have no pixels")),
        Some(side) => Ok(side),
        None => Ok(u64::from(picture).max(1)),
    }
}

fn padded(side: u32, tile: u64) -> u64 {
    u64::from(side).div_ceil(tile).saturating_mul(tile)
}

/// The first image file directory, of either size of TIFF and either order of bytes.
struct Directory<'a> {
    fields: Fields<'a>,
    little_endian: bool,
    big: bool,
    at: usize,
}

impl<'a> Directory<'a> {
    fn open(input: &'a [u8]) -> Option<Self> {
        let fields = Fields(input);
        let little_endian = input.starts_with(b"II");
        let mut directory = Self { fields, little_endian, big: false, at: 0 };
        directory.big = directory.number(2, 2)? == 43;
        let (at, bytes) = if directory.big { (8, 8) } else { (4, 4) };
        directory.at = usize::try_from(directory.number(at, bytes)?).ok()?;
        Some(directory)
    }

    /// Every tag with the first of its values. A tag given twice makes the whole unreadable: readers differ on which counts.
    fn tags(&self) -> Option<BTreeMap<u16, u64>> {
        let (count_bytes, entry_bytes) = if self.big { (8, 20) } else { (2, 12) };
        let count = self.number(self.at, count_bytes)?;
        if count > ENTRIES_MAX {
            return None;
        }
        let mut tags = BTreeMap::new();
        for index in 0..usize::try_from(count).ok()? {
            let at = self.at.checked_add(count_bytes)?.checked_add(index * entry_bytes)?;
            let tag = u16::try_from(self.number(at, 2)?).ok()?;
            let value = self.first_value(at);
            if let Some(value) = value
                && tags.insert(tag, value).is_some()
            {
                return None;
            }
        }
        Some(tags)
    }

    /// The first of an entry's values when it is a whole number.
    fn first_value(&self, at: usize) -> Option<u64> {
        let value_bytes = match self.number(at + 2, 2)? {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 13 => 4,
            16..=18 => 8,
            _ => return None,
        };
        let (word, inline) = if self.big { (8, at + 12) } else { (4, at + 8) };
        let count = usize::try_from(self.number(at + 4, word)?).ok()?;
        let fits = count.checked_mul(value_bytes)? <= word;
        let place = if fits { inline } else { usize::try_from(self.number(inline, word)?).ok()? };
        self.number(place, value_bytes)
    }

    fn number(&self, at: usize, bytes: usize) -> Option<u64> {
        let bytes = self.fields.0.get(at..at.checked_add(bytes)?)?;
        let shift_in = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.little_endian {
            bytes.iter().rev().fold(0, shift_in)
        } else {
            bytes.iter().fold(0, shift_in)
        })
    }
}
