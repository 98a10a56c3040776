//! WebP: the container's chunks, as far as the first frame.
use super::{Coding, Fields, Header, broken};
use crate::resize::ResizeError;

const ANIMATED: u8 = 0b10;
const CHUNK_HEADER_BYTES: usize = 8;

pub(super) fn inspect(input: &[u8]) -> Result<Header, ResizeError> {
    let fields = Fields(input);
    let first = Chunk::read(fields, 12).ok_or_else(|| broken("the WebP holds no chunk"))?;
    let header = match &first.name {
        b"VP8 " => lossy_size(fields, &first).map(|(width, height)| still(Coding::WebpLossy, width, height)),
        b"VP8L" => {
            lossless_size(fields, &first).map(|(width, height)| still(Coding::WebpLossless, width, height))
        }
        b"VP8X" => return extended(fields, &first),
        _ => return Err(broken("the WebP starts with a chunk that is no picture")),
    };
    header.ok_or_else(|| broken("the WebP's header is cut off"))
}

fn still(coding: Coding, width: u32, height: u32) -> Header {
    let mut header = Header::plain(coding, width, height, 4);
    // Planes of luma and chroma; or pixels with alpha beside the picture without, predictors, and the map of codes.
    let own_bytes_per_2_px = if coding == Coding::WebpLossy { 3 } else { 10 };
    header.working_bytes += header.coded_px * own_bytes_per_2_px / 2;
    header
}

fn extended(fields: Fields<'_>, first: &Chunk) -> Result<Header, ResizeError> {
    let cut_off = || broken("the WebP's header is cut off");
    let flags = fields.u8(first.start).ok_or_else(cut_off)?;
    let width = fields.le24(first.start + 4).ok_or_else(cut_off)? + 1;
    let height = fields.le24(first.start + 7).ok_or_else(cut_off)? + 1;
    let (mut coding, mut has_alpha_chunk) = (None, false);
    let mut at = first.end;
    while let Some(chunk) = Chunk::read(fields, at) {
        at = chunk.end;
        match &chunk.name {
            b"ANMF" if flags & ANIMATED != 0 => {
                coding = Some(frame_coding(fields, &chunk, width, height)?);
                break;
            }
            b"VP8 " | b"VP8L" if flags & ANIMATED == 0 => {
                // The first of either kind is not the one that is decoded when the other follows, so all are checked.
                coding = Some(picture_coding(fields, &chunk, width, height)?);
            }
            b"ALPH" => has_alpha_chunk = true,
            // Read whole by the decoder, into a buffer of the size that the chunk claims.
            b"EXIF" | b"ICCP" | b"XMP " | b"ANIM" if chunk.end > fields.0.len() + 1 => {
                return Err(broken("a chunk of the WebP claims to be longer than the file"));
            }
            _ => {}
        }
    }
    let coding = coding.ok_or_else(|| broken("the WebP holds no picture"))?;
    let mut header = still(coding, width, height);
    // A chunk of alpha is decoded as a lossless picture and a plane; a frame is drawn on a canvas of its own.
    header.working_bytes += match (flags & ANIMATED == 0, has_alpha_chunk) {
        (true, false) => 0,
        (true, true) => header.coded_px * 5,
        (false, _) => header.coded_px * 9,
    };
    Ok(header)
}

/// An animation's frame: inside the canvas, and holding a picture of the size that it declares.
fn frame_coding(fields: Fields<'_>, frame: &Chunk, width: u32, height: u32) -> Result<Coding, ResizeError> {
    let number = |at: usize| fields.le24(frame.start + at).map(u64::from);
    let place = (|| Some((number(0)? * 2, number(3)? * 2, number(6)? + 1, number(9)? + 1)))();
    let (left, top, frame_width, frame_height) =
        place.ok_or_else(|| broken("the WebP's first frame is cut off"))?;
    if left + frame_width > width.into() || top + frame_height > height.into() {
        return Err(broken("the WebP's first frame sticks out of its canvas"));
    }
    let (frame_width, frame_height) = (frame_width as u32, frame_height as u32);
    let mut at = frame.start + 16;
    // At most an alpha chunk and then the picture.
    for _ in 0..2 {
        let chunk = Chunk::read(fields, at).ok_or_else(|| broken("the WebP's first frame is empty"))?;
        match &chunk.name {
            b"VP8 " | b"VP8L" => return picture_coding(fields, &chunk, frame_width, frame_height),
            _ => at = chunk.end,
        }
    }
    Err(broken("the WebP's first frame holds no picture"))
}

/// The picture's own header must agree with the one around it: the decoder sizes its planes by the inner one, and compares
/// only after decoding.
fn picture_coding(fields: Fields<'_>, chunk: &Chunk, width: u32, height: u32) -> Result<Coding, ResizeError> {
    let (coding, size) = match &chunk.name {
        b"VP8 " => (Coding::WebpLossy, lossy_size(fields, chunk)),
        _ => (Coding::WebpLossless, lossless_size(fields, chunk)),
    };
    match size {
        Some(size) if size == (width, height) => Ok(coding),
        Some(_) => Err(broken("the WebP declares two different sizes")),
        None => Err(broken("the WebP's picture is cut off")),
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
