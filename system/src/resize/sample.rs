//! Pictures for simulated clients to upload: made up, not stored.
use bytes::Bytes;

use super::OutputFormat;
use super::codec::{Channels, Picture, encode};

/// What kind of picture to make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SampleKind {
    /// 64 by 48 pixels of grain over a slope, as JPEG.
    Jpeg,
    /// 32 by 24 pixels of the same, as PNG.
    Png,
}

/// A small picture, about 2 KB, photograph-like (slopes of colour, a bright round thing, grain), the same for the same `seed`.
pub fn sample_image(kind: SampleKind, seed: u64) -> Bytes {
    let (width, height, grain_bits, format) = match kind {
        SampleKind::Jpeg => (64, 48, 5, OutputFormat::Jpeg),
        SampleKind::Png => (32, 24, 5, OutputFormat::Png),
    };
    let picture = draw(seed, width, height, grain_bits);
    encode(&picture, format, 85).expect("a small picture with valid sides can be encoded").into()
}

fn draw(seed: u64, width: u32, height: u32, grain_bits: u32) -> Picture {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"hogwash sample image").update(&seed.to_le_bytes());
    let mut stream = hasher.finalize_xof();
    let mut traits = [0; 16];
    stream.fill(&mut traits);
    let (corners, thing) = traits.split_at(12);
    let center =
        (i64::from(thing[0]) * i64::from(width) / 256, i64::from(thing[1]) * i64::from(height) / 256);
    let radius = 2 + i64::from(thing[2]) * i64::from(height) / 768;
    let mut samples = Vec::with_capacity(width as usize * height as usize * 3);
    let mut grain = [0; 3];
    for y in 0..height {
        for x in 0..width {
            stream.fill(&mut grain);
            let (dx, dy) = (i64::from(x) - center.0, i64::from(y) - center.1);
            let light = if dx * dx + dy * dy <= radius * radius { 60 } else { 0 };
            for (channel, grain) in grain.iter().enumerate() {
                let slope = slope(corners, channel, x, y, width, height) + light;
                let sample = slope + u32::from(grain >> (8 - grain_bits));
                samples.push(u8::try_from(sample.min(255)).expect("bounded by the line itself"));
            }
        }
    }
    Picture { channels: Channels::Rgb, width, height, samples }
}

/// Between the colours of the four corners, in integers.
fn slope(corners: &[u8], channel: usize, x: u32, y: u32, width: u32, height: u32) -> u32 {
    let corner = |index: usize| u32::from(corners[3 * index + channel]);
    let top = corner(0) * (width - x) + corner(1) * x;
    let bottom = corner(2) * (width - x) + corner(3) * x;
    (top * (height - y) + bottom * y) / (width * height)
}
