//! JPEG: the frame header, and how often the decoder will go over the picture.
use super::{Coding, Fields, Header, broken, unsupported};
use crate::resize::ResizeError;

pub(super) fn inspect(input: &[u8]) -> Result<Header, ResizeError> {
    let frame = Frame::find(Fields(input))?;
    frame.check()?;
    let scans = scans_at_most(input);
    let interleaved = frame.components_in_first_scan == frame.components.len();
    let coding =
        if frame.progressive || !interleaved { Coding::JpegProgressive } else { Coding::JpegBaseline };
    let channels = if frame.components.len() == 1 { 1 } else { 3 };
    let mut header = Header::plain(coding, frame.width.into(), frame.height.into(), channels);
    header.scans = scans;
    header.coarseness = frame.coarseness;
    if coding == Coding::JpegProgressive {
        header.working_bytes += frame.coefficient_bytes();
    }
    Ok(header)
}

#[derive(Default)]
struct Frame {
    progressive: bool,
    precision: u8,
    width: u16,
    height: u16,
    /// Samples per unit, across and down, of each component.
    components: Vec<(u8, u8)>,
    components_in_first_scan: usize,
    /// [`Header::coarseness`]
    coarseness: u32,
}

impl Frame {
    /// Walks the segments up to the first scan.
    fn find(fields: Fields<'_>) -> Result<Self, ResizeError> {
        let (mut frame, mut coarseness) = (None, 0);
        let mut at = 2;
        loop {
            let (marker, body) =
                next_segment(fields, &mut at).ok_or_else(|| broken("the JPEG ends before its first scan"))?;
            match marker {
                0xc0..=0xc2 if frame.is_some() => return Err(broken("the JPEG has two frame headers")),
                0xc0..=0xc2 => {
                    let parsed = Self::parse(Fields(body), marker == 0xc2);
                    frame = Some(parsed.ok_or_else(|| broken("the JPEG's frame header is cut off"))?);
                }
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                    return Err(unsupported(
                        "lossless, hierarchical and arithmetic-coded JPEGs are not converted",
                    ));
                }
                0xdb => coarseness = steps_of_brightness(Fields(body)).unwrap_or(coarseness),
                0xda => {
                    let mut frame: Self =
                        frame.ok_or_else(|| broken("the JPEG has a scan but no frame header"))?;
                    frame.components_in_first_scan = body.first().copied().unwrap_or(0).into();
                    frame.coarseness = coarseness;
                    return Ok(frame);
                }
                _ => {}
            }
        }
    }

    fn parse(body: Fields<'_>, progressive: bool) -> Option<Self> {
        let (precision, height, width) = (body.u8(0)?, body.be16(1)?, body.be16(3)?);
        let count = usize::from(body.u8(5)?);
        let components = (0..count)
            .map(|index| body.u8(7 + 3 * index).map(|factors| (factors >> 4, factors & 15)))
            .collect::<Option<_>>()?;
        Some(Self { progressive, precision, width, height, components, ..Self::default() })
    }

    /// Refuses what the decoder does not do alike on every machine. zune-jpeg 0.5.15 was compared with itself, vector code
    /// against scalar code, on 12 000 pictures and damaged ones: equal for all that this accepts, while other samplings
    /// gave 246 differences (a panic on one side, an error or a picture on the other) and some two thousand panics.
    fn check(&self) -> Result<(), ResizeError> {
        if self.precision != 8 {
            return Err(unsupported("JPEGs of other than 8 bits a sample are not converted"));
        }
        let in_range = |factor: u8| (1..=4).contains(&factor);
        if self.components.iter().any(|(across, down)| !in_range(*across) || !in_range(*down)) {
            return Err(broken("the JPEG's sampling factors are out of range"));
        }
        let usual = match *self.components.as_slice() {
            [_] => true,
            [luma, blue, red] => luma == blue && luma == red || blue == (1, 1) && red == (1, 1),
            [luma, blue, red, key] => {
                luma == key && (luma == blue && luma == red || blue == (1, 1) && red == (1, 1))
            }
            _ => return Err(unsupported("JPEGs of other than 1, 3 or 4 components are not converted")),
        };
        if usual {
            Ok(())
        } else {
            Err(unsupported("JPEGs with this unusual sampling of colours are not converted"))
        }
    }

    /// What a decoder holds when it must see all scans before the first row: every coefficient, 2 bytes each.
    fn coefficient_bytes(&self) -> u64 {
        let across_max = self.components.iter().map(|(across, _)| u64::from(*across)).max().unwrap_or(1);
        let down_max = self.components.iter().map(|(_, down)| u64::from(*down)).max().unwrap_or(1);
        let units =
            u64::from(self.width).div_ceil(8 * across_max) * u64::from(self.height).div_ceil(8 * down_max);
        let blocks_per_unit: u64 =
            self.components.iter().map(|(across, down)| u64::from(across * down)).sum();
        units * blocks_per_unit * 64 * 2
    }
}

/// The steps of quantisation table 0, which encoders use for brightness, added up. A segment may hold several tables, of steps
/// of one byte or two.
fn steps_of_brightness(body: Fields<'_>) -> Option<u32> {
    const STEPS: usize = 64;
    let mut at = 0;
    loop {
        let kind = body.u8(at)?;
        let (wide, first) = (kind >> 4 != 0, at + 1);
        if kind & 15 == 0 {
            let narrow_step = |index: usize| body.u8(first + index).map(u32::from);
            let wide_step = |index: usize| body.be16(first + 2 * index).map(u32::from);
            return (0..STEPS).map(|index| if wide { wide_step(index) } else { narrow_step(index) }).sum();
        }
        at = first + if wide { 2 * STEPS } else { STEPS };
    }
}

/// The next marker and its segment's body; `at` moves behind it. Bytes between segments are skipped, as decoders do.
fn next_segment<'a>(fields: Fields<'a>, at: &mut usize) -> Option<(u8, &'a [u8])> {
    loop {
        *at += fields.0.get(*at..)?.iter().position(|byte| *byte == 0xff)?;
        let marker = fields.u8(*at + 1)?;
        match marker {
            0x00 | 0x01 | 0xd0..=0xd8 => *at += 2, // stand alone
            0xff => *at += 1,                      // padding
            0xd9 => return None,
            _ => {
                let length = usize::from(fields.be16(*at + 2)?);
                let body = fields.0.get(*at + 4..(*at + 2).checked_add(length)?)?;
                *at += 2 + length;
                return Some((marker, body));
            }
        }
    }
}

/// Scans, counted by their marker anywhere in the file: no way of reading the segments finds more of them. Inside coded
/// data the pair cannot occur; inside metadata it adds one now and then (a thumbnail has one), which the limit has room for.
fn scans_at_most(input: &[u8]) -> u32 {
    let pairs = input.iter().zip(input.iter().skip(1));
    // Without a branch, so that many are looked at at once.
    let pairs: usize = pairs.map(|(one, next)| usize::from((*one == 0xff) & (*next == 0xda))).sum();
    u32::try_from(pairs).unwrap_or(u32::MAX).max(1)
}
