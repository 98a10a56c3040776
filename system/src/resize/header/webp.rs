//! WebP: the container's chunks, as far as the first frame.
mod lossless;

use super::{Coding, Fields, Header, broken};
use crate::resize::ResizeError;

const ANIMATED: u8 = 0b10;
const ALPHA_COMPRESSED: u8 = 0b11;
const CHUNK_HEADER_BYTES: usize = 8;

pub(super) fn inspect(input: &[u8]) -> Result<Header, ResizeError> {
    let fields = Fields(input);
    let first = Chunk::read(fields, 12).ok_or_else(|| broken("the WebP holds no chunk"))?;
    let size = match &first.name {
        b"VP8 " => lossy_size(fields, &first),
        b"VP8L" => lossless_size(fields, &first),
        b"VP8X" => return extended(fields, &first),
        _ => return Err(broken("the WebP starts with a chunk that is no picture")),
    };
    let (width, height) = size.ok_or_else(|| broken("the WebP's header is cut off"))?;
    let mut parts = Parts::default();
    parts.add(fields, &first, width, height)?;
    parts.header(width, height)
}

fn extended(fields: Fields<'_>, first: &Chunk) -> Result<Header, ResizeError> {
    let cut_off = || broken("the WebP's header is cut off");
    let animated = fields.u8(first.start).ok_or_else(cut_off)? & ANIMATED != 0;
    let width = fields.le24(first.start + 4).ok_or_else(cut_off)? + 1;
    let height = fields.le24(first.start + 7).ok_or_else(cut_off)? + 1;
    let mut parts = Parts { animated, ..Parts::default() };
    let mut at = first.end;
    while let Some(chunk) = Chunk::read(fields, at) {
        at = chunk.end;
        match &chunk.name {
            b"ANMF" if animated => {
                add_frame(&mut parts, fields, &chunk, width, height)?;
                break;
            }
            // Which of several pictures is decoded depends on their kinds, so all are checked.
            _ if !animated => parts.add(fields, &chunk, width, height)?,
            _ => check_claim(fields, &chunk)?,
        }
    }
    parts.header(width, height)
}

/// An animation's frame: inside the canvas, and holding a picture of the size that it declares.
fn add_frame(
    parts: &mut Parts,
    fields: Fields<'_>,
    frame: &Chunk,
    width: u32,
    height: u32,
) -> Result<(), ResizeError> {
    let number = |at: usize| fields.le24(frame.start + at);
    let place = (|| Some((number(0)? * 2, number(3)? * 2, number(6)? + 1, number(9)? + 1)))();
    let (left, top, frame_width, frame_height) =
        place.ok_or_else(|| broken("the WebP's first frame is cut off"))?;
    if left + frame_width > width || top + frame_height > height {
        return Err(broken("the WebP's first frame sticks out of its canvas"));
    }
    let mut at = frame.start + 16;
    // At most an alpha chunk and then the picture.
    for _ in 0..2 {
        let chunk = Chunk::read(fields, at).ok_or_else(|| broken("the WebP's first frame is empty"))?;
        parts.add(fields, &chunk, frame_width, frame_height)?;
        if parts.coding.is_some() {
            break;
        }
        at = chunk.end;
    }
    Ok(())
}

/// A chunk that the decoder reads whole goes into a buffer of the size that it claims.
fn check_claim(fields: Fields<'_>, chunk: &Chunk) -> Result<(), ResizeError> {
    let read_whole = matches!(&chunk.name, b"EXIF" | b"ICCP" | b"XMP " | b"ANIM");
    // A last chunk of odd length may lack its byte of padding.
    if read_whole && chunk.end > fields.0.len() + 1 {
        return Err(broken("a chunk of the WebP claims to be longer than the file"));
    }
    Ok(())
}

/// What a WebP is made of, as far as the first frame.
#[derive(Default)]
struct Parts {
    animated: bool,
    coding: Option<Coding>,
    has_alpha_chunk: bool,
    code_bytes: u64,
}

impl Parts {
    /// Takes a chunk into account. A picture's own header must agree with the one around it: the decoder sizes its planes by
    /// the inner one, and compares only after decoding.
    fn add(&mut self, fields: Fields<'_>, chunk: &Chunk, width: u32, height: u32) -> Result<(), ResizeError> {
        let content = fields.0.get(chunk.start..).unwrap_or_default();
        let (coding, size) = match &chunk.name {
            b"VP8 " => (Coding::WebpLossy, lossy_size(fields, chunk)),
            b"VP8L" => (Coding::WebpLossless, lossless_size(fields, chunk)),
            b"ALPH" => {
                self.has_alpha_chunk = true;
                if content.first().is_some_and(|flags| flags & ALPHA_COMPRESSED != 0) {
                    self.code_bytes += lossless::code_bytes(&content[1..], 0, width, height);
                }
                return Ok(());
            }
            _ => return check_claim(fields, chunk),
        };
        match size {
            Some(size) if size == (width, height) => {}
            Some(_) => return Err(broken("the WebP declares two different sizes")),
            None => return Err(broken("the WebP's picture is cut off")),
        }
        if coding == Coding::WebpLossless {
            self.code_bytes += lossless::code_bytes(content, lossless::SIGNATURE_BITS, width, height);
        }
        self.coding = Some(coding);
        Ok(())
    }

    fn header(&self, width: u32, height: u32) -> Result<Header, ResizeError> {
        let coding = self.coding.ok_or_else(|| broken("the WebP holds no picture"))?;
        let mut header = Header::plain(coding, width, height, 4);
        // Planes of luma and chroma; or pixels with alpha beside those without, predictors, and the map of groups.
        let own_bytes_per_2_px = if coding == Coding::WebpLossy { 3 } else { 10 };
        // A chunk of alpha is decoded as a lossless picture and a plane; a frame is drawn on a canvas of its own.
        let beside_bytes_per_px = match (self.animated, self.has_alpha_chunk) {
            (false, false) => 0,
            (false, true) => 5,
            (true, _) => 9,
        };
        header.working_bytes += header.coded_px * own_bytes_per_2_px / 2;
        header.working_bytes += header.coded_px * beside_bytes_per_px + self.code_bytes;
        Ok(header)
    }
}

fn lossy_size(fields: Fields<'_>, chunk: &Chunk) -> Option<(u32, u32)> {
    let size = |at: usize| fields.le16(chunk.start + at).map(|side| u32::from(side & 0x3fff));
    size(6).zip(size(8))
}

fn lossless_size(fields: Fields<'_>, chunk: &Chunk) -> Option<(u32, u32)> {
    let bits = fields.le32(chunk.start + 1)?;
    Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
}

struct Chunk {
    name: [u8; 4],
    /// Where its content starts.
    start: usize,
    /// Where the next chunk starts, if the file goes on so far.
    end: usize,
}

impl Chunk {
    fn read(fields: Fields<'_>, at: usize) -> Option<Self> {
        let name = fields.bytes(at)?;
        let bytes = usize::try_from(fields.le32(at + 4)?).ok()?;
        let start = at + CHUNK_HEADER_BYTES;
        Some(Self { name, start, end: start.checked_add(bytes)?.checked_add(bytes & 1)? })
    }
}
