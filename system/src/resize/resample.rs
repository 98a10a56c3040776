//! Changing a picture's size, in integers and in bounded memory.
use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, MulDiv, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::codec::{Channels, Picture};
use super::{Geometry, Rectangle, ResizeError};

/// Cuts `geometry.crop` out of the picture and scales it.
///
/// A two-dimensional scaling is two one-dimensional ones with a picture between them. The order is the one whose middle
/// picture is smaller, hence never more than the geometric mean of the two ends: limits on both ends bound it too.
pub(super) fn resample(picture: Picture, geometry: &Geometry) -> Result<Picture, ResizeError> {
    let Geometry { crop, width, height } = *geometry;
    let whole = Rectangle { left: 0, top: 0, width: picture.width, height: picture.height };
    if crop == whole && (width, height) == (whole.width, whole.height) {
        return Ok(picture);
    }
    let Picture { channels, samples, .. } = picture;
    let mut source =
        Image::from_vec_u8(whole.width, whole.height, samples, pixel_type(channels)).map_err(ours)?;
    let alpha = MulDiv::new();
    if channels.has_alpha() {
        alpha.multiply_alpha_inplace(&mut source).map_err(ours)?;
    }
    let rows_first = u64::from(crop.width) * u64::from(height) > u64::from(width) * u64::from(crop.height);
    let (middle_width, middle_height) = if rows_first { (width, crop.height) } else { (crop.width, height) };
    let middle = scaled(&source, crop, middle_width, middle_height)?;
    drop(source);
    let all = Rectangle { left: 0, top: 0, width: middle_width, height: middle_height };
    let mut result = scaled(&middle, all, width, height)?;
    drop(middle);
    if channels.has_alpha() {
        alpha.divide_alpha_inplace(&mut result).map_err(ours)?;
    }
    Ok(Picture { channels, width, height, samples: result.into_vec() })
}

fn scaled(
    source: &Image<'_>,
    crop: Rectangle,
    width: u32,
    height: u32,
) -> Result<Image<'static>, ResizeError> {
    let mut result = Image::new(width, height, source.pixel_type());
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(crop.left.into(), crop.top.into(), crop.width.into(), crop.height.into())
        .use_alpha(false); // done once, around both passes
    Resizer::new().resize(source, &mut result, &options).map_err(ours)?;
    Ok(result)
}

fn pixel_type(channels: Channels) -> PixelType {
    match channels {
        Channels::Grey => PixelType::U8,
        Channels::GreyAlpha => PixelType::U8x2,
        Channels::Rgb => PixelType::U8x3,
        Channels::Rgba => PixelType::U8x4,
    }
}

/// The resampler only refuses what we got wrong (sizes, pixel types): a bug of ours, contained and counted as one.
fn ours(error: impl std::fmt::Display) -> ResizeError {
    ResizeError::Panicked { detail: error.to_string() }
}
