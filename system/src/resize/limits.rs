//! What a picture may cost, held against its header before a decoder sees it.
use std::time::Duration;

use super::{Coding, Geometry, Header, ResizeError};

/// The largest side any decoder or encoder here is asked to handle.
pub(super) const SIDE_PX_MAX: u32 = 8192;

/// Bounds on one conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the encoded picture.
    pub input_bytes_max: u64,
    /// Pixels along one side, of the original and of the result.
    pub side_px_max: u32,
    /// Width times height, of the original and of the result.
    pub pixels_max: u64,
    /// The decoded picture, in bytes.
    pub decoded_bytes_max: u64,
    /// All that is held at once, in bytes: the decoded picture, the decoder's own buffers, what resizing needs between.
    pub working_bytes_max: u64,
    /// What decoding may take of one slow core. An estimate from the header, never a measurement: the same picture is
    /// refused or accepted everywhere and every time.
    pub decode_estimate_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes_max: 10_000_000,
            side_px_max: SIDE_PX_MAX,
            pixels_max: 16 << 20,
            decoded_bytes_max: 64 << 20,
            working_bytes_max: 256 << 20,
            decode_estimate_max: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// Refuses a picture by its size in bytes and by what its header declares.
    ///
    /// # Errors
    /// [`ResizeError::TooLarge`], naming the bound.
    pub fn admit(&self, input: &[u8], header: &Header) -> Result<(), ResizeError> {
        let Header { width, height, .. } = *header;
        check(input.len() as u64, self.input_bytes_max, "bytes in the file")?;
        check(u64::from(width.max(height)), u64::from(self.side_px_max), "pixels along a side")?;
        check(u64::from(width) * u64::from(height), self.pixels_max, "pixels")?;
        check(header.decoded_bytes, self.decoded_bytes_max, "bytes when decoded")?;
        // Tiles and frames that hang over the edge are decoded as well; twice the picture is more than any honest file has.
        check(header.coded_px, self.pixels_max.saturating_mul(2), "pixels in its tiles or frames")?;
        check(header.working_bytes, self.working_bytes_max, "bytes of memory to decode")?;
        let estimate = slow_decode(header);
        check(millis(estimate), millis(self.decode_estimate_max), "ms to decode (estimated)")
    }

    /// Refuses a request by what it would make of this picture.
    pub(super) fn admit_output(&self, geometry: &Geometry) -> Result<(), ResizeError> {
        let Geometry { width, height, .. } = *geometry;
        check(
            u64::from(width.max(height)),
            u64::from(self.side_px_max),
            "pixels along a side of the result",
        )?;
        check(u64::from(width) * u64::from(height), self.pixels_max, "pixels in the result")
    }
}

/// What decoding takes of a slow core: about twice what [`estimated_cost`](super::estimated_cost) has, and more for what
/// a header may promise without keeping it.
fn slow_decode(header: &Header) -> Duration {
    let scans = u64::from(header.scans);
    let ns_per_px = match header.coding {
        // As often as there may be scans, whether the file needs them or not.
        Coding::JpegBaseline => 6 * scans,
        Coding::JpegProgressive => 15 + scans / 2,
        Coding::Png => 12,
        Coding::WebpLossy => 37,
        Coding::WebpLossless => 34,
        Coding::Gif => 6,
        Coding::Bmp => 16,
        Coding::Tiff => 8,
    };
    Duration::from_nanos(header.coded_px.saturating_mul(ns_per_px))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn check(value: u64, max: u64, what: &str) -> Result<(), ResizeError> {
    if value > max {
        return Err(ResizeError::TooLarge(format!(
            "the picture is too large: {value} {what}, at most {max} are accepted"
        )));
    }
    Ok(())
}
