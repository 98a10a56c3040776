//! The headers that need no walk, or a short one: PNG, BMP, GIF.
use super::{Coding, Fields, Header, broken};
use crate::resize::ResizeError;

pub(super) fn inspect_png(input: &[u8]) -> Result<Header, ResizeError> {
    let fields = Fields(input);
    let header = (|| {
        let first_is_header = fields.be32(8)? == 13 && fields.bytes(12)? == *b"IHDR";
        let (width, height) = (fields.be32(16)?, fields.be32(20)?);
        let (depth, color_type) = (fields.u8(24)?, fields.u8(25)?);
        first_is_header.then_some((width, height, depth, color_type))
    })();
    let (width, height, depth, color_type) =
        header.ok_or_else(|| broken("the PNG does not start with its header"))?;
    let channels = match color_type {
        0 | 4 => 2, // grey may get an alpha channel from a later chunk
        2 | 3 | 6 => 4,
        _ => return Err(broken("the PNG's colour type does not exist")),
    };
    Ok(Header::plain(Coding::Png, width, height, channels * if depth == 16 { 2 } else { 1 }))
}

pub(super) fn inspect_bmp(input: &[u8]) -> Result<Header, ResizeError> {
    let fields = Fields(input);
    let size = (|| match fields.le32(14)? {
        12 => Some((u32::from(fields.le16(18)?), u32::from(fields.le16(20)?))),
        // A negative height says that the rows run from the top; a negative width says nothing.
        _ => Some((
            u32::try_from(fields.le32(18)?.cast_signed()).ok()?,
            fields.le32(22)?.cast_signed().unsigned_abs(),
        )),
    })();
    let (width, height) =
        size.ok_or_else(|| broken("the BMP's header is cut off or has a negative width"))?;
    Ok(Header::plain(Coding::Bmp, width, height, 4))
}

pub(super) fn inspect_gif(input: &[u8]) -> Result<Header, ResizeError> {
    let fields = Fields(input);
    let size = fields.le16(6).zip(fields.le16(8));
    let (width, height) = size.ok_or_else(|| broken("the GIF's header is cut off"))?;
    let mut header = Header::plain(Coding::Gif, width.into(), height.into(), 4);
    let frame_px = first_frame_px(fields).ok_or_else(|| broken("the GIF holds no frame"))?;
    // A frame may be larger than the screen it is shown on; it is decoded in full, beside the screen.
    header.coded_px = header.coded_px.saturating_add(frame_px);
    header.working_bytes = header.coded_px.saturating_mul(4);
    Ok(header)
}

fn first_frame_px(fields: Fields<'_>) -> Option<u64> {
    const EXTENSION: u8 = 0x21;
    const FRAME: u8 = 0x2c;
    let flags = fields.u8(10)?;
    let color_table_bytes = if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + color_table_bytes;
    loop {
        match fields.u8(at)? {
            EXTENSION => {
                at += 2;
                loop {
                    let block_bytes = usize::from(fields.u8(at)?);
                    at += 1 + block_bytes;
                    if block_bytes == 0 {
                        break;
                    }
                }
            }
            FRAME => return Some(u64::from(fields.le16(at + 5)?) * u64::from(fields.le16(at + 7)?)),
            _ => return None,
        }
    }
}
