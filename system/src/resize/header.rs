//! What a picture's header declares, read without a decoder and without allocating: what limits are held against, and
//! what the modelled codec charges by.
mod jpeg;
mod plain;
mod tiff;
mod webp;

use super::ResizeError;

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputFormat {
    /// JPEG, baseline or progressive, 8 bits.
    Jpeg,
    /// PNG; of an animated one the default picture.
    Png,
    /// WebP; of an animated one the first frame.
    WebP,
    /// GIF, its first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// TIFF, its first page.
    Tiff,
}

/// How the pixels are coded, which decides what a pixel costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// JPEG that can be decoded row by row.
    JpegBaseline,
    /// JPEG in several scans, held in memory until the last.
    JpegProgressive,
    /// PNG.
    Png,
    /// WebP, lossy.
    WebpLossy,
    /// WebP, lossless.
    WebpLossless,
    /// GIF.
    Gif,
    /// BMP.
    Bmp,
    /// TIFF.
    Tiff,
}

impl Coding {
    /// The format this coding belongs to.
    pub fn format(self) -> InputFormat {
        match self {
            Self::JpegBaseline | Self::JpegProgressive => InputFormat::Jpeg,
            Self::Png => InputFormat::Png,
            Self::WebpLossy | Self::WebpLossless => InputFormat::WebP,
            Self::Gif => InputFormat::Gif,
            Self::Bmp => InputFormat::Bmp,
            Self::Tiff => InputFormat::Tiff,
        }
    }
}

/// What a picture declares about itself. Nothing of it is proven until the picture is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How the pixels are coded.
    pub coding: Coding,
    /// Width in pixels as stored, before it is turned upright.
    pub width: u32,
    /// Height in pixels as stored.
    pub height: u32,
    /// How often a decoder goes over all pixels: the scans of a JPEG, at least 1. Never too low.
    pub scans: u32,
    /// How coarse a JPEG is: the steps by which it quantises brightness, added up. 0 where it gives none, and of the rest.
    pub coarseness: u32,
    /// Pixels that a decoder has to produce, with what hangs over the edges and with frames beside the canvas.
    pub coded_px: u64,
    /// Bytes of the whole file.
    pub coded_bytes: u64,
    /// Bytes of the decoded picture; a bound where the header does not tell.
    pub decoded_bytes: u64,
    /// Bytes that are held at once while decoding, the decoded picture among them.
    pub working_bytes: u64,
}

impl Header {
    /// A header of a format that is decoded straight into its picture; of a file whose size is still to be told.
    fn plain(coding: Coding, width: u32, height: u32, bytes_per_px: u64) -> Self {
        let coded_px = u64::from(width) * u64::from(height);
        let decoded_bytes = coded_px.saturating_mul(bytes_per_px);
        Self {
            coding,
            width,
            height,
            scans: 1,
            coarseness: 0,
            coded_px,
            coded_bytes: 0,
            decoded_bytes,
            working_bytes: decoded_bytes,
        }
    }
}

/// Reads a picture's header.
///
/// # Errors
/// `UnsupportedFormat` for what is no picture of a known format or uses a corner that is not converted, `Undecodable` for a
/// known format with a broken header.
pub fn inspect(input: &[u8]) -> Result<Header, ResizeError> {
    let mut header = match sniff(input) {
        Some(InputFormat::Jpeg) => jpeg::inspect(input),
        Some(InputFormat::Png) => plain::inspect_png(input),
        Some(InputFormat::WebP) => webp::inspect(input),
        Some(InputFormat::Gif) => plain::inspect_gif(input),
        Some(InputFormat::Bmp) => plain::inspect_bmp(input),
        Some(InputFormat::Tiff) => tiff::inspect(input),
        None => Err(unsupported("these bytes are not a JPEG, PNG, WebP, GIF, BMP or TIFF picture")),
    }?;
    if header.width == 0 || header.height == 0 {
        return Err(broken("the picture has no pixels"));
    }
    header.coded_bytes = input.len() as u64;
    Ok(header)
}

fn sniff(input: &[u8]) -> Option<InputFormat> {
    const JPEG: &[u8] = b"\xff\xd8\xff";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    match input {
        _ if input.starts_with(JPEG) => Some(InputFormat::Jpeg),
        _ if input.starts_with(PNG) => Some(InputFormat::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(InputFormat::WebP),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(InputFormat::Gif),
        [b'B', b'M', ..] => Some(InputFormat::Bmp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(InputFormat::Tiff),
        _ => None,
    }
}

fn broken(text: &str) -> ResizeError {
    ResizeError::Undecodable(text.to_owned())
}

fn unsupported(text: &str) -> ResizeError {
    ResizeError::UnsupportedFormat(text.to_owned())
}

/// Numbers out of a picture's bytes, or nothing where the bytes end.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn le16(self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn be16(self, at: usize) -> Option<u16> {
        self.bytes(at).map(u16::from_be_bytes)
    }

    fn le24(self, at: usize) -> Option<u32> {
        self.bytes(at).map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]))
    }

    fn le32(self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    fn be32(self, at: usize) -> Option<u32> {
        self.bytes(at).map(u32::from_be_bytes)
    }
}
