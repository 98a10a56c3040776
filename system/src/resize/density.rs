//! How many bytes a pixel of a lossless WebP takes, out of what a pixel of the original took.
//!
//! The encoder writes what differs from the pixel above, so that a result is as large as its picture is rough. How rough it
//! is, the original's header and length tell: the bytes that a pixel took in its coding. Made smaller, a picture becomes
//! rougher, for what had been far apart lies side by side; made larger, it becomes smoother, for what lies between two
//! pixels is a mean of them.
//!
//! The figures are fitted to the corpus of `tests/resize/calibration.rs` and to twenty public pictures, most of them
//! photographs, in several codings and sizes, each asked for in six sizes: of those half are within 13 %, nine in ten within
//! 36 %. They are worst, and several times too large, for screenshots, for smooth pictures in a coarse JPEG and for grey ones whose
//! header does not say so. Where it does, of drawn hills half are within 10 % and nine in ten within 20 %, and a small photograph is
//! within 40 %. What is uncompressed tells nothing. The corpus is smoother than photographs are: the
//! figures for BMP, TIFF and GIF, of which it has one picture each, lie between the two, 11 % above its sizes and in the
//! middle 16 % below those of photographs. Metadata and an animation's other frames count as if they were pixels of the first.

use super::header::{Coding, Header};

/// What each pixel takes of a picture in which no pixel resembles the one above: nearly all of its three bytes.
const ROUGHEST: f64 = 2.5;
/// Headers and the tables of a picture of one colour.
const ONCE_BYTES: f64 = 60.0;
/// [`Header::coarseness`] at quality 50 (Annex K of the standard, table K.1), and what is assumed where none is given.
const USUAL_COARSENESS: f64 = 3688.0;

/// Bytes of a result of so many pixels, which are so many times those of the part of the original that they show.
pub(super) fn webp_bytes(header: &Header, enlarged: f64, px: f64) -> f64 {
    let roughest = if is_grey(header) { ROUGHEST / 3.0 } else { ROUGHEST };
    let unscaled = unscaled(header).min(roughest);
    let each = if enlarged < 1.0 {
        // An outline on flat colours stays as wide as it is, so that of half as long a side it takes twice the share.
        let outlines = unscaled / enlarged.sqrt();
        outlines.min(roughest - (roughest - unscaled) * power(enlarged, 2))
    } else {
        unscaled / power(enlarged, 4)
    };
    ONCE_BYTES + each * px
}

/// Bytes that a pixel would take if the picture kept its size.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn unscaled(header: &Header) -> f64 {
    let coded = header.coded_bytes as f64 / pixels(header) as f64;
    match header.coding {
        // The coarser, the more of the picture is missing from the file, and the rougher it is for one of its length.
        Coding::JpegBaseline | Coding::JpegProgressive => {
            let coarseness =
                if header.coarseness == 0 { USUAL_COARSENESS } else { f64::from(header.coarseness) };
            let colored = 6.0 * power(coded, 13) * power(coarseness / USUAL_COARSENESS, 6);
            // Of its bytes a coloured one has some for its colours, which its pixels show less of.
            if is_grey(header) { colored / 1.75 } else { colored }
        }
        Coding::WebpLossy => 2.25 * power(coded, 5),
        Coding::WebpLossless => 1.05 * coded,
        Coding::Png => 0.85 * coded,
        // One byte stands for three.
        Coding::Gif => 1.55 * coded,
        // Mostly not compressed at all, and then all pictures are taken to be alike.
        Coding::Bmp | Coding::Tiff => (0.6 * coded).min(1.2),
    }
}

/// Whether the header says that there is no colour in the picture.
pub(super) fn is_grey(header: &Header) -> bool {
    header.decoded_bytes < 3 * pixels(header)
}

fn pixels(header: &Header) -> u64 {
    u64::from(header.width) * u64::from(header.height)
}

/// To the power of so many sixteenths, by square roots alone.
fn power(base: f64, sixteenths: u32) -> f64 {
    let root = base.sqrt().sqrt().sqrt().sqrt();
    (0..sixteenths).fold(1.0, |power, _| power * root)
}
