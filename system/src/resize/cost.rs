//! What a conversion costs and how large its result is, by a model: from the header alone, never a measurement.
//!
//! The figures are fitted to what the real codec takes on one core of a server (AMD EPYC, family 25 model 17) for each
//! picture of a corpus: the example `codec` measures and writes down, `tests/resize/calibration.rs` holds the model to it.
//! What a machine of another age takes is, in the first place, another factor for all of them.

use std::time::Duration;

use super::density;
use super::header::{Coding, Header};
use super::{OutputFormat, Request, ResizeError};

/// What converting this picture would take of one core.
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

/// [`estimated_cost`] by its parts. A result whose sides do not fit in 32 bits is never made: only decoding costs.
pub fn estimated_steps(header: &Header, request: &Request) -> StepCosts {
    let decode = decode_cost(header);
    let Ok(geometry) = request.geometry(header.width, header.height) else {
        return StepCosts { decode, resample: Duration::ZERO, encode: Duration::ZERO };
    };
    let px = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let (crop, width, height) = (geometry.crop, geometry.width, geometry.height);
    let resample = if (crop.width, crop.height) == (width, height) {
        Duration::ZERO
    } else {
        // Of the two passes one makes the picture between; where pictures become smaller, the other reads more than it makes.
        let (source_px, middle_px) = (px(crop.width, crop.height), px(width, crop.height));
        total(3_570, [(source_px, 635), (middle_px, 6_620), (px(width, height), 1_830)])
    };
    let result_px = px(width, height);
    let encode = match request.output_format(header.coding.format()) {
        OutputFormat::Jpeg => total(2_140, [(result_px, 27_640)]),
        OutputFormat::Png => total(1_020, [(result_px, 16_980)]),
        OutputFormat::WebP => total(0, [(result_px, 12_840)]),
    };
    StepCosts { decode, resample, encode }
}

fn decode_cost(header: &Header) -> Duration {
    let Header { coded_px, coded_bytes, scans, .. } = *header;
    match header.coding {
        Coding::JpegBaseline => total(14_570, [(coded_px, 1_940), (coded_bytes, 11_770)]),
        // Measured with the usual ten scans; most of it is for the transform at the end.
        Coding::JpegProgressive => {
            total(0, [(coded_px, 7_410), (coded_px.saturating_mul(scans.into()), 250)])
        }
        Coding::Png => total(4_290, [(coded_px, 8_220)]),
        Coding::WebpLossy => total(0, [(coded_px, 18_490)]),
        Coding::WebpLossless => total(0, [(coded_px, 23_660)]),
        Coding::Gif => total(0, [(coded_px, 5_300)]),
        Coding::Bmp => total(0, [(coded_px, 9_530)]),
        Coding::Tiff => total(0, [(coded_px, 480)]),
    }
}

/// So many nanoseconds once, and so many picoseconds for each of so many.
fn total<const N: usize>(once_ns: u64, parts: [(u64, u64); N]) -> Duration {
    let parts = parts.iter().map(|(count, each_ps)| count.saturating_mul(*each_ps) / 1_000);
    Duration::from_nanos(parts.fold(once_ns, u64::saturating_add))
}

/// Bytes of what converting this picture would give: by format, pixels and, of a JPEG, quality; of a lossless WebP by
/// what is in the picture too, as far as its own coding tells.
///
/// A model, fitted to one photograph and to the pictures of simulated users in several sizes and codings; for WebP to
/// photographs and drawings beside them. The more pixels a JPEG or PNG has, the fewer bytes each takes. What is in the picture
/// neither knows, but that it is grey where its header says so; flat colours take far less. It has no more than square roots in it,
/// which are the same on every machine.
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
    let is_grey = density::is_grey(header);
    let bytes = match request.output_format(header.coding.format()) {
        OutputFormat::Jpeg => {
            // How coarse the tables of a quality are, as the encoder has it (Annex K of the standard, scaled).
            let quality = f64::from(request.quality());
            let coarse = if quality < 50.0 { 5000.0 / quality } else { (200.0 - 2.0 * quality).max(2.0) };
            let finer = (40.0 / coarse).sqrt();
            let colored = 590.0 + 2.28 * px / px.sqrt().sqrt() * finer;
            if is_grey { colored / 1.9 } else { colored }
        }
        OutputFormat::Png => {
            let root = px.sqrt().sqrt().sqrt().sqrt().sqrt();
            let colored = 7.03 * px / (root * root * root * root * root);
            if is_grey { colored / 3.0 } else { colored }
        }
        OutputFormat::WebP => {
            let crop = geometry.crop;
            density::webp_bytes(header, px / (u64::from(crop.width) * u64::from(crop.height)) as f64, px)
        }
    };
    Ok(bytes.ceil() as usize)
}
