//! Decoding and encoding: the only file that names `image`.
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::error::LimitErrorKind;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader,
};

use super::meter::Meter;
use super::{Header, InputFormat, Limits, OutputFormat, ResizeError};

/// A decoded picture, upright: rows of 8-bit samples without gaps.
pub(super) struct Picture {
    pub(super) channels: Channels,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: Vec<u8>,
}

/// What the samples of a pixel mean, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
}

/// Decodes a picture whose header was admitted, and turns it upright.
pub(super) fn decode(input: &[u8], header: &Header, limits: &Limits) -> Result<Picture, ResizeError> {
    let mut reader = ImageReader::with_format(Meter::new(input), image_format(header.coding.format()));
    let mut image_limits = image::Limits::default();
    image_limits.max_image_width = Some(limits.side_px_max);
    image_limits.max_image_height = Some(limits.side_px_max);
    image_limits.max_alloc = Some(limits.working_bytes_max);
    reader.limits(image_limits);
    let mut decoder = reader.into_decoder().map_err(refusal)?;
    // The limits were held against our reading of the header; a decoder that reads it otherwise must not get past them.
    if decoder.dimensions() != (header.width, header.height) {
        return Err(ResizeError::Undecodable("its header can be read in two ways".to_owned()));
    }
    // `image` checks this in one of its two ways to decode, and not in the one that tells the orientation.
    if decoder.total_bytes() > limits.decoded_bytes_max {
        return Err(ResizeError::TooLarge("the picture is too large when decoded".to_owned()));
    }
    // Broken metadata costs a picture its orientation, not its life.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(refusal)?;
    image.apply_orientation(orientation);
    Ok(Picture::from_image(image))
}

/// Encodes a picture. `quality` matters to JPEG alone.
pub(super) fn encode(picture: &Picture, format: OutputFormat, quality: u8) -> Result<Vec<u8>, ResizeError> {
    let mut bytes = Vec::new();
    let Picture { channels, width, height, samples } = picture;
    let color = channels.color();
    match format {
        OutputFormat::Jpeg => {
            let (opaque, color) =
                (channels.has_alpha().then(|| flattened(picture)), channels.opaque().color());
            let samples = opaque.as_ref().unwrap_or(samples);
            JpegEncoder::new_with_quality(&mut bytes, quality).write_image(samples, *width, *height, color)
        }
        OutputFormat::Png => PngEncoder::new(&mut bytes).write_image(samples, *width, *height, color),
        OutputFormat::WebP => {
            WebPEncoder::new_lossless(&mut bytes).write_image(samples, *width, *height, color)
        }
    }
    .map_err(refusal)?;
    Ok(bytes)
}

impl Picture {
    fn from_image(image: DynamicImage) -> Self {
        let (width, height) = (image.width(), image.height());
        let (channels, samples) = match image {
            DynamicImage::ImageLuma8(_) | DynamicImage::ImageLuma16(_) => {
                (Channels::Grey, image.into_luma8().into_raw())
            }
            DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLumaA16(_) => {
                (Channels::GreyAlpha, image.into_luma_alpha8().into_raw())
            }
            DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgb32F(_) => {
                (Channels::Rgb, image.into_rgb8().into_raw())
            }
            _ => (Channels::Rgba, image.into_rgba8().into_raw()),
        };
        Self { channels, width, height, samples }
    }
}

impl Channels {
    /// Samples a pixel.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::GreyAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    pub(super) fn has_alpha(self) -> bool {
        matches!(self, Self::GreyAlpha | Self::Rgba)
    }

    fn opaque(self) -> Self {
        match self {
            Self::Grey | Self::GreyAlpha => Self::Grey,
            Self::Rgb | Self::Rgba => Self::Rgb,
        }
    }

    fn color(self) -> ExtendedColorType {
        match self {
            Self::Grey => ExtendedColorType::L8,
            Self::GreyAlpha => ExtendedColorType::La8,
            Self::Rgb => ExtendedColorType::Rgb8,
            Self::Rgba => ExtendedColorType::Rgba8,
        }
    }
}

/// The picture laid on white: JPEG has no transparency, and what people see behind most pictures is white.
fn flattened(picture: &Picture) -> Vec<u8> {
    let colors = picture.channels.count() - 1;
    let mut opaque = Vec::with_capacity(picture.samples.len() / picture.channels.count() * colors);
    for pixel in picture.samples.chunks_exact(colors + 1) {
        let alpha = u32::from(pixel[colors]);
        opaque.extend(pixel[..colors].iter().map(|sample| {
            let sum = u32::from(*sample) * alpha + 255 * (255 - alpha) + 127;
            u8::try_from(sum / 255).expect("a mean of two bytes is a byte")
        }));
    }
    opaque
}

fn image_format(format: InputFormat) -> ImageFormat {
    match format {
        InputFormat::Jpeg => ImageFormat::Jpeg,
        InputFormat::Png => ImageFormat::Png,
        InputFormat::WebP => ImageFormat::WebP,
        InputFormat::Gif => ImageFormat::Gif,
        InputFormat::Bmp => ImageFormat::Bmp,
        InputFormat::Tiff => ImageFormat::Tiff,
    }
}

fn refusal(error: ImageError) -> ResizeError {
    match error {
        ImageError::Unsupported(error) => ResizeError::UnsupportedFormat(error.to_string()),
        ImageError::Limits(error) => match error.kind() {
            LimitErrorKind::DimensionError | LimitErrorKind::InsufficientMemory => {
                ResizeError::TooLarge(format!("the picture is too large: {error}"))
            }
            _ => ResizeError::UnsupportedFormat(error.to_string()),
        },
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::IoError(_) => ResizeError::Undecodable(error.to_string()),
    }
}
