//! What a picture's header declares, read without a decoder and without allocating: what limits are held against, and
//! what the modelled codec charges by.
mod jpeg;
mod plain;
mod tiff;
mod webp;

use std::time::Duration;

use super::{OutputFormat, Request, ResizeError};

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
    /// Pixels that a decoder has to produce, with what hangs over the edges and with frames beside the canvas.
    pub coded_px: u64,
    /// Bytes of the decoded picture; a bound where the header does not tell.
    pub decoded_bytes: u64,
    /// Bytes that are held at once while decoding, the decoded picture among them.
    pub working_bytes: u64,
}

impl Header {
    /// A header of a format that is decoded straight into its picture.
    fn plain(coding: Coding, width: u32, height: u32, bytes_per_px: u64) -> Self {
        let coded_px = u64::from(width) * u64::from(height);
        let decoded_bytes = coded_px.saturating_mul(bytes_per_px);
        Self { coding, width, height, scans: 1, coded_px, decoded_bytes, working_bytes: decoded_bytes }
    }
}

/// Reads a picture's header.
///
/// # Errors
/// `UnsupportedFormat` for what is no picture of a known format or uses a corner that is not converted, `Undecodable` for a
/// known format with a broken header.
pub fn inspect(input: &[u8]) -> Result<Header, ResizeError> {
    let header = match sniff(input) {
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

/// What converting this picture would take of one core: by pixels and coding, not by bytes.
///
/// A model with one figure a pixel, never a measurement. The figures come from a bench on one core of a two-core server:
/// medians at 1600 by 1200 pixels of decoding JPEG, PNG and lossy WebP and of encoding JPEG. The other codings were measured
/// on a machine 2.3 times as fast (by what both had measured) and scaled by that.
pub fn estimated_cost(header: &Header, request: &Request) -> Duration {
    let StepCosts { decode, resample, encode } = estimated_steps(header, request);
    decode.saturating_add(resample).saturating_add(encode)
}

/// The parts of a conversion's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepCosts {
    /// From bytes to pixels.
    pub decode: Duration,
    /// From these to as many as were asked for.
    pub resample: Duration,
    /// From those to bytes.
    pub encode: Duration,
}

/// [`estimated_cost`] by its parts.
pub fn estimated_steps(header: &Header, request: &Request) -> StepCosts {
    let source_px = u64::from(header.width) * u64::from(header.height);
    let result_px = request
        .geometry(header.width, header.height)
        .map_or(0, |geometry| u64::from(geometry.width) * u64::from(geometry.height));
    let resample_ns = if result_px == source_px {
        0
    } else {
        source_px.saturating_mul(RESAMPLE_NS_PER_SOURCE_PX)
            + result_px.saturating_mul(RESAMPLE_NS_PER_RESULT_PX)
    };
    let encode_ns_per_px = match request.output_format(header.coding.format()) {
        OutputFormat::Jpeg => ENCODE_JPEG_NS_PER_PX,
        OutputFormat::Png => ENCODE_PNG_NS_PER_PX,
        OutputFormat::WebP => ENCODE_WEBP_NS_PER_PX,
    };
    let encode_ns = result_px.saturating_mul(encode_ns_per_px);
    StepCosts {
        decode: estimated_decode(header),
        resample: Duration::from_nanos(resample_ns),
        encode: Duration::from_nanos(encode_ns),
    }
}

/// Bytes of what converting this picture would give: by format, pixels and, of a JPEG, quality.
///
/// A model, fitted to one photograph and to the pictures of simulated users in several sizes and codings. The more pixels
/// a picture has, the fewer bytes each takes. What is in the picture it does not know; flat colours take far less. It has no
/// more than square roots in it, which are the same on every machine.
///
/// # Errors
/// Where the result's sides do not fit in 32 bits.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive estimate, of at most 2^64 pixels"
)]
pub(super) fn output_size(header: &Header, request: &Request) -> Result<usize, ResizeError> {
    let geometry = request.geometry(header.width, header.height)?;
    let px = (u64::from(geometry.width) * u64::from(geometry.height)) as f64;
    let bytes = match request.output_format(header.coding.format()) {
        OutputFormat::Jpeg => {
            // How coarse the tables of a quality are, as the encoder has it (Annex K of the standard, scaled).
            let quality = f64::from(request.quality());
            let coarse = if quality < 50.0 { 5000.0 / quality } else { (200.0 - 2.0 * quality).max(2.0) };
            let finer = (40.0 / coarse).sqrt();
            590.0 + 2.28 * px / px.sqrt().sqrt() * finer
        }
        OutputFormat::Png => {
            let root = px.sqrt().sqrt().sqrt().sqrt().sqrt();
            7.03 * px / (root * root * root * root * root)
        }
        OutputFormat::WebP => 0.88 * px,
    };
    Ok(bytes.ceil() as usize)
}

const RESAMPLE_NS_PER_SOURCE_PX: u64 = 2;
const RESAMPLE_NS_PER_RESULT_PX: u64 = 3;
const ENCODE_JPEG_NS_PER_PX: u64 = 63;
const ENCODE_PNG_NS_PER_PX: u64 = 17;
const ENCODE_WEBP_NS_PER_PX: u64 = 21;

/// The part of [`estimated_cost`] that decoding takes.
pub(super) fn estimated_decode(header: &Header) -> Duration {
    Duration::from_nanos(header.coded_px.saturating_mul(decode_ns_per_px(header)))
}

fn decode_ns_per_px(header: &Header) -> u64 {
    let scans = u64::from(header.scans);
    match header.coding {
        Coding::JpegBaseline => 6 * scans,
        // A file of the usual ten scans costs 20 ns: most of it for the transform at the end, some for each scan.
        Coding::JpegProgressive => 15 + scans / 2,
        Coding::Png => 12,
        Coding::WebpLossy => 37,
        Coding::WebpLossless => 34,
        Coding::Gif => 6,
        Coding::Bmp => 16,
        Coding::Tiff => 8,
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
