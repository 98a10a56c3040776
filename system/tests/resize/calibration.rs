//! The modelled codec beside the real one.

use crate::corpus::{cases, parse};
use crate::pictures::{bmp, grey_tiff};
use bytes::Bytes;
use hogwash_system::resize::{
    Codec, Converter, Limits, Request, ResizeError, SampleKind, estimated_cost, inspect, resize, sample_image,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// How far the model's size may be from what it is.
const SIZE_PERCENT: u64 = 15;
/// The same of lossless WebPs of pictures to which nothing was fitted: for half of them, and for nine in ten.
const UNSEEN_PERCENT_HALF: u64 = 10;
const UNSEEN_PERCENT_MOST: u64 = 30;
/// The same where they are grey and their headers say so; and how large a lossless WebP may seem, which never says so.
const GREY_PERCENT_HALF: u64 = 10;
const GREY_PERCENT_MOST: u64 = 20;
const SECRETLY_GREY_PERCENT: u64 = 120;
/// The same of lossless WebPs of a small grey photograph: of a JPEG that small, much is tables.
const SMALL_GREY_PERCENT: u64 = 40;
/// How far the model's cost may be from what was measured.
const COST_PERCENT: u64 = 25;

fn modelled() -> Converter {
    Converter::new(Codec::Modelled, Limits::default())
}

/// How far `model` is from `real`, in percent of it, rounded up.
fn percent(model: u64, real: u64) -> u64 {
    (model.abs_diff(real) * 100).div_ceil(real)
}

#[test]
fn modelled_outputs_have_the_sizes_of_real_ones_within_fifteen_percent() {
    let mut far = Vec::new();
    for case in cases() {
        let real = resize(&case.input, &case.request, &Limits::default()).unwrap();
        let model = modelled().convert(&case.input, &case.request).unwrap();
        assert_eq!((model.format, model.width, model.height), (real.format, real.width, real.height));
        if percent(model.bytes.len() as u64, real.bytes.len() as u64) > SIZE_PERCENT {
            far.push(format!(
                "{}: {} bytes by the model, {}",
                case.name,
                model.bytes.len(),
                real.bytes.len()
            ));
        }
    }
    assert!(far.is_empty(), "{far:#?}");
}

#[test]
fn lossless_webps_of_pictures_that_nothing_was_fitted_to_have_about_their_size_by_the_model() {
    let codings = ["fmt=png", "fmt=webp", "fmt=jpeg&q=50", "fmt=jpeg&q=75", "fmt=jpeg&q=90"];
    let percents = of_hills(&codings, |seed, roughness| bmp(256, 192, |x, y| hills(seed, roughness, x, y)));
    // The rest are the smoothest in coarse JPEGs: their files hold little but the edges of blocks.
    assert!(percents[percents.len() / 2].0 <= UNSEEN_PERCENT_HALF, "{percents:#?}");
    assert!(percents[percents.len() * 9 / 10].0 <= UNSEEN_PERCENT_MOST, "{percents:#?}");
}

#[test]
fn lossless_webps_of_grey_pictures_have_about_their_size_where_headers_say_that_they_are_grey() {
    let drawn = |seed, roughness| grey(256, 192, |x, y| hills(seed, roughness, x, y));
    let percents = of_hills(&["fmt=png", "fmt=jpeg&q=50", "fmt=jpeg&q=75", "fmt=jpeg&q=90"], drawn);
    assert!(percents[percents.len() / 2].0 <= GREY_PERCENT_HALF, "{percents:#?}");
    assert!(percents[percents.len() * 9 / 10].0 <= GREY_PERCENT_MOST, "{percents:#?}");
    let percents = of_hills(&["fmt=webp"], drawn);
    assert!(percents[percents.len() - 1].0 <= SECRETLY_GREY_PERCENT, "{percents:#?}");
}

#[test]
fn a_grey_photograph_has_about_its_size_by_the_model_in_every_format() {
    let photo = include_bytes!("corpus/photo.bmp");
    let (width, height) = (160, 120);
    let drawn = grey(width, height, |x, y| {
        // Behind a head of 54 bytes, rows from the bottom, without gaps.
        let place = 54 + 3 * ((height - 1 - y) * width + x) as usize;
        [photo[place + 2], photo[place + 1], photo[place]]
    });
    let mut far = Vec::new();
    for coding in ["fmt=png", "fmt=jpeg&q=75", "fmt=jpeg&q=90"] {
        let input = resize(&drawn, &parse(coding), &Limits::default()).unwrap().bytes;
        for (wanted, most) in [
            ("fmt=png", SIZE_PERCENT),
            ("fmt=jpeg&q=75", SIZE_PERCENT),
            ("fmt=jpeg&q=50", SIZE_PERCENT),
            ("fmt=webp", SMALL_GREY_PERCENT),
        ] {
            for width in [40, 80, 120, 160] {
                let (off, name) = off(&input, &format!("{wanted}&w={width}"));
                if off > most {
                    far.push(format!("{coding} {name}"));
                }
            }
        }
    }
    assert!(far.is_empty(), "{far:#?}");
}

/// How far the model is from what hills take as lossless WebPs, the nearest first: in several sizes, out of each coding.
fn of_hills(codings: &[&str], drawn: impl Fn(u32, u32) -> Vec<u8>) -> Vec<(u64, String)> {
    let mut percents = Vec::new();
    for (roughness, seed) in [(4, 1), (5, 2), (6, 3), (7, 4)] {
        let drawn = drawn(seed, roughness);
        for coding in codings {
            let input = resize(&drawn, &parse(coding), &Limits::default()).expect("a good picture").bytes;
            for width in [48, 96, 160, 256, 400] {
                let (off, name) = off(&input, &format!("fmt=webp&w={width}"));
                percents.push((off, format!("{roughness} {coding} {name}")));
            }
        }
    }
    percents.sort();
    percents
}

/// How far the model is from the size of what is wanted of a picture, in percent of it; and both sizes, as text.
fn off(input: &Bytes, wanted: &str) -> (u64, String) {
    let request = parse(wanted);
    let real = resize(input, &request, &Limits::default()).expect("a good picture").bytes.len() as u64;
    let model = modelled().convert(input, &request).expect("a good header").bytes.len() as u64;
    (percent(model, real), format!("{wanted}: {model} bytes by the model, {real}"))
}

/// A grey picture, as bright as `color` paints it.
fn grey(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let brightness = places.map(|(x, y)| {
        let [red, green, blue] = color(x, y).map(u32::from);
        ((red + 2 * green + blue) / 4) as u8
    });
    grey_tiff(width, height, 1, &brightness.collect::<Vec<_>>())
}

/// A pixel of a picture with detail at every scale, as photographs have: waves of seven lengths, each a random height at the
/// corners of squares. The waves of half the length are `roughness` eighths as high.
fn hills(seed: u32, roughness: u32, x: u32, y: u32) -> [u8; 3] {
    let (mut height, mut colors, mut most) = (0, [0; 3], 1_u64 << 16);
    for octave in 0..7 {
        let side = 64 >> octave;
        height += (most * wave([seed, octave, 0], side, x, y)) >> 16;
        for (channel, color) in colors.iter_mut().enumerate() {
            *color += (most * wave([seed, octave, channel as u32 + 1], side, x, y)) >> 16;
        }
        most = most * u64::from(roughness) / 8;
    }
    // Brightness differs more than colours do.
    colors.map(|color| ((3 * height + color) / 12).min(255) as u8)
}

/// Between 0 and 255: random at the corners of squares, between them as near to each as the place is.
fn wave(traits: [u32; 3], side: u32, x: u32, y: u32) -> u64 {
    let corner = |across: u32, down: u32| {
        let place = [x / side + across, y / side + down].into_iter().chain(traits);
        let mixed = place.fold(0x9e37_79b9_u32, |mixed, number| {
            let mixed = (mixed ^ number).wrapping_mul(0x85eb_ca6b);
            mixed ^ mixed >> 15
        });
        u64::from(mixed >> 24)
    };
    let (right, below, side) = (u64::from(x % side), u64::from(y % side), u64::from(side));
    let above = corner(0, 0) * (side - right) + corner(1, 0) * right;
    let under = corner(0, 1) * (side - right) + corner(1, 1) * right;
    (above * (side - below) + under * below) / (side * side)
}

/// What the example `codec` measured. A clock has no place in a test, so what it said is kept beside the pictures.
const MEASURED: &str = include_str!("corpus/costs.txt");

#[test]
fn modelled_costs_are_within_a_quarter_of_measured_ones() {
    let measured: BTreeMap<&str, u64> = MEASURED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, steps_ns) = line.split_once(' ').unwrap();
            (name, steps_ns.split(' ').map(|step_ns| step_ns.parse::<u64>().unwrap()).sum())
        })
        .collect();
    let cases = cases();
    assert_eq!(measured.len(), cases.len(), "to be measured again: the example `codec` with `--record`");
    let mut far = Vec::new();
    for case in cases {
        let real_ns = measured[case.name.as_str()];
        let model = estimated_cost(&inspect(&case.input).unwrap(), &case.request);
        let model_ns = u64::try_from(model.as_nanos()).unwrap();
        if percent(model_ns, real_ns) > COST_PERCENT {
            far.push(format!("{}: {model_ns} ns by the model, {real_ns}", case.name));
        }
    }
    assert!(far.is_empty(), "{far:#?}");
}

#[test]
fn the_model_refuses_what_a_header_or_a_question_tells_as_the_real_codec_does() {
    let small = Limits { pixels_max: 100, ..Limits::default() };
    let picture = sample_image(SampleKind::Png, 1);
    let garbage = Bytes::from_static(b"no picture");
    let vast = Request::parse([("w", "8192"), ("h", "8192"), ("fit", "fill")]).unwrap();
    for (input, request, limits) in [
        (&picture, Request::default(), &small),
        (&garbage, Request::default(), &Limits::default()),
        (&picture, vast, &Limits::default()),
    ] {
        let real = Converter::new(Codec::Real, limits.clone()).convert(input, &request).unwrap_err();
        assert_eq!(Converter::new(Codec::Modelled, limits.clone()).convert(input, &request), Err(real));
    }
    // What is broken behind its header it cannot know.
    let broken = picture.slice(..picture.len() / 2);
    assert!(matches!(
        Converter::default().convert(&broken, &Request::default()),
        Err(ResizeError::Undecodable(_))
    ));
    assert!(modelled().convert(&broken, &Request::default()).is_ok());
}

proptest! {
    #[test]
    fn a_modelled_output_depends_on_the_whole_input_and_the_options_and_on_nothing_else(
        seed in 0_u64..50,
        place in any::<prop::sample::Index>(),
        width in 1_u32..64,
    ) {
        let picture = sample_image(SampleKind::Png, seed);
        let request = |width: u32| Request::parse([("w", width.to_string())]).unwrap();
        let output = modelled().convert(&picture, &request(width)).unwrap();
        prop_assert_eq!(&modelled().convert(&Bytes::from(picture.to_vec()), &request(width)).unwrap(), &output);
        prop_assert_ne!(&modelled().convert(&picture, &request(width + 1)).unwrap().bytes, &output.bytes);
        let mut other = picture.to_vec();
        // Behind the header of a PNG, which ends at byte 33.
        let place = 33 + place.index(other.len() - 33);
        other[place] ^= 1;
        prop_assert_ne!(&modelled().convert(&Bytes::from(other), &request(width)).unwrap().bytes, &output.bytes);
    }
}
