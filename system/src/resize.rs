//! The pure function of a conversion: bytes of a picture and a request in, bytes of a picture or a refusal out.
//!
//! Equal input gives equal output on every machine of a target, in debug and in release, because the result is part of a
//! history. That decides three things here. Resampling is integer arithmetic (`fast_image_resize` on 8-bit samples, whose
//! SIMD and scalar paths agree bit for bit) with the Catmull-Rom kernel, a polynomial: Lanczos asks libm for `sin`,
//! which picks its code by the processor. JPEGs whose components are sampled in ways on which the decoder's vector and
//! scalar paths disagree are refused. The codecs are built without overflow checks in every profile.
//!
//! Nothing here trusts a picture: [`inspect`] reads the header by itself, [`Limits`] are held against it before a
//! decoder allocates anything, and a decoder that panics is contained and told apart ([`ResizeError::Panicked`]).
mod codec;
mod contain;
mod converter;
mod cost;
mod density;
mod error;
mod header;
mod limits;
mod meter;
mod modelled;
mod request;
mod resample;
mod sample;

pub use contain::panic_is_contained;
pub use converter::{Codec, Converter};
pub use cost::{StepCosts, estimated_cost, estimated_steps};
pub use error::ResizeError;
pub use header::{Coding, Header, InputFormat, inspect};
pub use limits::Limits;
pub use request::{Fit, Geometry, OutputFormat, Rectangle, Request};
pub use sample::{SampleKind, sample_image};

use bytes::Bytes;

/// A converted picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The encoded picture, without any metadata of the original.
    pub bytes: Bytes,
    /// How it is encoded.
    pub format: OutputFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Decodes `input`, turns it upright, fits it to `request`, encodes it. A pure function of its arguments.
///
/// # Errors
/// A refusal the client can act on, never a panic: see [`ResizeError`].
pub fn resize(input: &[u8], request: &Request, limits: &Limits) -> Result<Output, ResizeError> {
    resize_by_steps(input, request, limits, |_| {})
}

/// A part of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// From bytes to upright pixels.
    Decode,
    /// From these to as many as were asked for.
    Resample,
    /// From those to bytes.
    Encode,
}

/// As [`resize`]; says after each step that it is `done`, for whoever has a clock.
///
/// # Errors
/// Those of [`resize`].
pub fn resize_by_steps(
    input: &[u8],
    request: &Request,
    limits: &Limits,
    mut done: impl FnMut(Step),
) -> Result<Output, ResizeError> {
    contain::contain(|| {
        let header = inspect(input)?;
        limits.admit(input, &header)?;
        let picture = codec::decode(input, &header, limits)?;
        done(Step::Decode);
        let geometry = request.geometry(picture.width, picture.height)?;
        limits.admit_output(&geometry)?;
        let picture = resample::resample(picture, &geometry)?;
        done(Step::Resample);
        let format = request.output_format(header.coding.format());
        let bytes = codec::encode(&picture, format, request.quality())?;
        done(Step::Encode);
        Ok(Output { bytes: bytes.into(), format, width: picture.width, height: picture.height })
    })
}
