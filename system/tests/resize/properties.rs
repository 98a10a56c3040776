//! What holds for every conversion: of good pictures, of damaged ones, and of bytes that never were a picture.
use bytes::Bytes;
use hogwash_system::resize::{
    Codec, Coding, Converter, Fit, Limits, OutputFormat, Request, ResizeError, SampleKind, estimated_cost,
    inspect, resize, sample_image,
};
use proptest::prelude::*;

use crate::pictures::{bmp, gif, grey_tiff, one_of_each, webp};

const FITS: [&str; 4] = ["contain", "cover", "fill", "scale-down"];
const FORMATS: [&str; 5] = ["same", "jpeg", "jpg", "png", "webp"];

fn convert(input: &[u8], request: &Request) -> Result<hogwash_system::resize::Output, ResizeError> {
    resize(input, request, &Limits::default())
}

/// Any valid request with sides up to `side_max`.
fn request(side_max: u32) -> impl Strategy<Value = Request> {
    let side = || prop::option::of(1..=side_max);
    let formats = prop::option::of(prop::sample::select(&FORMATS[..]));
    let quality = prop::option::of(1u8..=100);
    (side(), side(), prop::option::of(prop::sample::select(&FITS[..])), formats, quality).prop_map(
        |(width, height, fit, format, quality)| {
            let pair = |key: &str, value: Option<String>| value.map(|value| (key.to_owned(), value));
            let pairs = [
                pair("w", width.map(|side| side.to_string())),
                pair("h", height.map(|side| side.to_string())),
                pair("fit", fit.map(str::to_owned)),
                pair("fmt", format.map(str::to_owned)),
                pair("q", quality.map(|quality| quality.to_string())),
            ];
            Request::parse(pairs.into_iter().flatten()).expect("every option is in range")
        },
    )
}

/// A refusal, if it is one, is the client's to fix; and asking twice gives the same.
fn check_is_clean(input: &[u8], request: &Request) -> Result<(), TestCaseError> {
    let result = convert(input, request);
    if let Err(refusal) = &result {
        prop_assert!(matches!(refusal.status(), 413 | 415 | 422), "{refusal:?}");
    }
    prop_assert_eq!(result, convert(input, request));
    let modelled = Converter::new(Codec::Modelled, Limits::default());
    if let Ok(output) = modelled.convert(&Bytes::copy_from_slice(input), request) {
        let pixels = u64::from(output.width) * u64::from(output.height);
        let bytes = output.bytes.len() as u64;
        prop_assert!(bytes > 0 && bytes <= 1000 + 10 * pixels, "{bytes} bytes for {pixels} pixels");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_conversion_panic(
        magic in 0..9usize,
        tail in prop::collection::vec(any::<u8>(), 0..400),
        request in request(300),
    ) {
        const MAGICS: [&[u8]; 9] = [
            b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF\xff\xff\0\0WEBPVP8X\x0a\0\0\0",
            b"RIFF\xff\xff\0\0WEBPVP8L\xff\0\0\0\x2f", b"GIF89a", b"BM", b"II\x2a\0\x08\0\0\0", b"MM\0\x2b\0\x08\0\0",
        ];
        let input = [MAGICS[magic], &tail].concat();
        check_is_clean(&input, &request)?;
    }

    #[test]
    fn damaged_pictures_are_converted_or_refused(
        seed in any::<u64>(),
        kind in 0..6usize,
        cut in prop::option::of(0.0..1.0f64),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        request in request(200),
    ) {
        let mut input = one_of_each(seed).swap_remove(kind);
        if let Some(cut) = cut {
            input.truncate((input.len() as f64 * cut) as usize);
        }
        for (place, byte) in edits {
            if !input.is_empty() {
                let place = place.index(input.len());
                input[place] = byte;
            }
        }
        check_is_clean(&input, &request)?;
    }

    #[test]
    fn any_quantisation_tables_are_read_or_left(
        kind in prop_oneof![Just(0x00), Just(0x10), Just(0x01), any::<u8>()],
        steps in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            prop_oneof![Just(0), Just(0xff)].prop_map(|step| vec![step; 128]),
        ],
        request in request(60),
    ) {
        let picture = sample_image(SampleKind::Jpeg, 1);
        // Behind the picture's own, whose place it takes.
        let scan = picture.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
        let length = u16::try_from(steps.len() + 3).unwrap().to_be_bytes();
        let input = [&picture[..scan], &[0xff, 0xdb], &length, &[kind], &steps, &picture[scan..]].concat();
        check_is_clean(&input, &request)?;
    }

    #[test]
    fn results_have_the_size_that_the_fit_rule_says(
        width in 1u32..90,
        height in 1u32..90,
        w in prop::option::of(1u32..120),
        h in prop::option::of(1u32..120),
        fit in prop::sample::select(&FITS[..]),
        format in prop::sample::select(&FORMATS[..]),
    ) {
        let side = |name: &str, side: Option<u32>| side.map(|side| (name.to_owned(), side.to_string()));
        let options = [("fit".to_owned(), fit.to_owned()), ("fmt".to_owned(), format.to_owned())];
        let request = Request::parse(options.into_iter().chain(side("w", w)).chain(side("h", h))).unwrap();
        let output = convert(&bmp(width, height, |x, y| [x as u8, y as u8, 90]), &request).unwrap();
        let written = inspect(&output.bytes).unwrap();
        prop_assert_eq!((written.width, written.height), (output.width, output.height), "what was encoded is what is told");
        check_size((width, height), (w, h), fit, (output.width, output.height))?;
    }

    #[test]
    fn a_picture_of_one_colour_keeps_it(
        color in any::<[u8; 3]>(), width in 1u32..60, height in 1u32..60, request in request(100),
    ) {
        let canonical = request.canonical();
        let lossless = canonical.replace("fmt=same", "fmt=png").replace("fmt=jpeg", "fmt=webp");
        let request = parse_canonical(&lossless);
        let output = convert(&bmp(width, height, |_, _| color), &request).unwrap();
        let expected = bmp(output.width, output.height, |_, _| color);
        let expected = convert(&expected, &Request::parse([("fmt", request.output_format(Coding::Bmp.format()).name())]).unwrap());
        prop_assert_eq!(output, expected.unwrap());
    }

    #[test]
    fn canonical_requests_read_back_as_themselves(request in request(8192)) {
        let read_back = parse_canonical(&request.canonical());
        prop_assert_eq!(&read_back, &request);
        prop_assert_eq!(read_back.canonical(), request.canonical());
    }

    #[test]
    fn no_options_make_the_parser_panic(
        pairs in prop::collection::vec(("preset|w|h|fit|fmt|q|width|.{0,9}", "[0-9]{0,12}|-1|contain|thumbnail|png|.{0,60}"), 0..6),
    ) {
        if let Err(refusal) = Request::parse(pairs) {
            prop_assert_eq!(refusal.status(), 400);
            prop_assert!(!refusal.message().contains('\n'), "{}", refusal.message());
        }
    }

    #[test]
    fn remembered_conversions_equal_new_ones(seed in any::<u64>(), kind in 0..6usize, request in request(60)) {
        let input = Bytes::from(one_of_each(seed).swap_remove(kind));
        let converter = Converter::default();
        let new = convert(&input, &request);
        prop_assert_eq!(&converter.convert(&input, &request), &new);
        prop_assert_eq!(&converter.convert(&input, &request), &new);
    }
}

fn parse_canonical(canonical: &str) -> Request {
    let pairs = canonical.split('&').map(|pair| pair.split_once('=').expect("each part is a pair"));
    Request::parse(pairs).expect("a canonical form is a valid request")
}

/// The rule of fits, said another way than the code says it: what the result touches, and how far its proportions are off.
fn check_size(
    source: (u32, u32),
    (w, h): (Option<u32>, Option<u32>),
    fit: &str,
    (width, height): (u32, u32),
) -> Result<(), TestCaseError> {
    let inside = w.is_none_or(|w| source.0 <= w) && h.is_none_or(|h| source.1 <= h);
    if w.is_none() && h.is_none() || fit == "scale-down" && inside {
        prop_assert_eq!((width, height), source);
        return Ok(());
    }
    if let (Some(w), Some(h), "cover" | "fill") = (w, h, fit) {
        prop_assert_eq!((width, height), (w, h));
        return Ok(());
    }
    prop_assert!(w.is_none_or(|w| width <= w) && h.is_none_or(|h| height <= h), "it fits inside");
    prop_assert!(w == Some(width) || h == Some(height), "it touches a side");
    // Exact proportions differ from whole pixels by at most half a pixel on the side that follows, or that side is 1.
    let (across, down) = (f64::from(width) * f64::from(source.1), f64::from(height) * f64::from(source.0));
    let off_by_px =
        ((across - down) / f64::from(source.1)).abs().min(((across - down) / f64::from(source.0)).abs());
    prop_assert!(off_by_px <= 0.5 || width == 1 || height == 1, "{off_by_px} pixels off");
    Ok(())
}

#[test]
fn refused_options_say_what_was_typed_and_what_may_be() {
    let text = |pairs: &[(&str, &str)]| Request::parse(pairs.iter().copied()).unwrap_err().to_string();
    assert_eq!(
        text(&[("x", "1")]),
        "unknown option `x`: the options are `preset`, `w`, `h`, `fit`, `fmt`, `q`"
    );
    assert_eq!(text(&[("w", "0")]), "`w=0` is out of range: a whole number from 1 to 8192 is needed");
    assert_eq!(text(&[("q", "101")]), "`q=101` is out of range: a whole number from 1 to 100 is needed");
    assert_eq!(text(&[("h", "+5")]), "`h=+5` is out of range: a whole number from 1 to 8192 is needed");
    assert_eq!(text(&[("w", "1"), ("w", "2")]), "option `w` is given twice: give it once");
    assert_eq!(
        text(&[("fit", "crop")]),
        "`fit=crop` is unknown: the choices are `contain`, `cover`, `fill`, `scale-down`"
    );
    assert_eq!(
        text(&[("fmt", "avif")]),
        "`fmt=avif` is unknown: the choices are `same`, `jpeg`, `png`, `webp`"
    );
    assert_eq!(
        text(&[("preset", "poster")]),
        "`preset=poster` is unknown: the choices are `thumbnail`, `preview`, `screen`"
    );
    assert_eq!(
        text(&[("preset", "screen"), ("preset", "screen")]),
        "option `preset` is given twice: give it once"
    );
}

#[test]
fn requests_for_the_same_work_have_one_canonical_form() {
    let canonical = |pairs: &[(&str, &str)]| Request::parse(pairs.iter().copied()).unwrap().canonical();
    assert_eq!(canonical(&[]), "fit=contain&fmt=same&q=80");
    assert_eq!(
        canonical(&[("format", "jpg"), ("width", "0320")]),
        canonical(&[("w", "320"), ("fmt", "jpeg")])
    );
    assert_eq!(
        canonical(&[("fmt", "png"), ("q", "3")]),
        canonical(&[("fmt", "png")]),
        "quality is nothing to PNG"
    );
    assert_eq!(
        canonical(&[("preset", "thumbnail")]),
        canonical(&[("w", "160"), ("h", "160"), ("fit", "cover")]),
        "a preset is what it stands for"
    );
    assert_eq!(
        canonical(&[("w", "320"), ("preset", "preview"), ("fmt", "png")]),
        canonical(&[("w", "320"), ("h", "640"), ("fit", "scale-down"), ("fmt", "png")]),
        "what is given beside it counts"
    );
}

#[test]
fn results_have_the_format_of_the_original_unless_asked_otherwise() {
    let same = Request::default();
    let formats: Vec<_> = one_of_each(1).iter().map(|input| convert(input, &same).unwrap().format).collect();
    let (jpeg, png, webp) = (OutputFormat::Jpeg, OutputFormat::Png, OutputFormat::WebP);
    assert_eq!(formats, [webp, jpeg, png, png, png, png]);
}

#[test]
fn covering_keeps_the_middle() {
    // Thirds of red, green and blue: the middle third alone has the proportions asked for.
    let flag = bmp(30, 10, |x, _| [[255, 0, 0], [0, 255, 0], [0, 0, 255]][x as usize / 10]);
    let request = Request::parse([("w", "5"), ("h", "5"), ("fit", "cover")]).unwrap();
    let green = bmp(5, 5, |_, _| [0, 255, 0]);
    assert_eq!(convert(&flag, &request).unwrap(), convert(&green, &Request::default()).unwrap());
}

#[test]
fn pictures_are_turned_upright_before_they_are_fitted() {
    // A quarter turn clockwise (6): the row `1 2 3` of the stored picture becomes a column.
    let lying = grey_tiff(3, 1, 6, &[10, 120, 240]);
    let upright = grey_tiff(1, 3, 1, &[10, 120, 240]);
    let (turned, expected) = (convert(&lying, &Request::default()), convert(&upright, &Request::default()));
    assert_eq!(turned, expected);
    assert_eq!(expected.map(|output| (output.width, output.height)), Ok((1, 3)));
}

#[test]
fn transparent_parts_become_white_in_a_jpeg() {
    // The frame covers the left half of its screen, the rest of which is transparent.
    let half = gif((16, 8), (8, 8), 64);
    let dots = [[10, 20, 30], [200, 210, 220]];
    let painted = bmp(16, 8, |x, y| if x < 8 { dots[(y as usize * 8 + x as usize) % 2] } else { [255; 3] });
    let request = Request::parse([("fmt", "jpeg")]).unwrap();
    assert_eq!(convert(&half, &request), convert(&painted, &request));
}

#[test]
fn sample_pictures_are_small_valid_and_differ_by_seed() {
    for kind in [SampleKind::Jpeg, SampleKind::Png] {
        let pictures: Vec<_> = (0..50).map(|seed| sample_image(kind, seed)).collect();
        for (seed, picture) in pictures.iter().enumerate() {
            assert!((1200..3000).contains(&picture.len()), "{kind:?} {seed} has {} bytes", picture.len());
            assert_eq!(*picture, sample_image(kind, seed as u64));
            assert!(!pictures[seed + 1..].contains(picture), "{kind:?} {seed} is given twice");
            convert(picture, &Request::default()).unwrap();
        }
    }
}

#[test]
fn the_estimate_grows_with_pixels_and_with_the_coding() {
    let thumbnail = Request::parse([("w", "10")]).unwrap();
    let cost = |input: &[u8]| estimated_cost(&inspect(input).unwrap(), &thumbnail);
    let (small, large) = (bmp(40, 40, |_, _| [1; 3]), bmp(80, 80, |_, _| [1; 3]));
    assert!(cost(&large) > cost(&small));
    assert!(cost(&webp(&small)) > cost(&small), "a lossless WebP costs more than a BMP of its size");
}

/// The figure stands for every machine, and for debug as for release: a codec or resampler that answers differently on one
/// of them would give a seed two histories. It changes when a codec's version does, and only then.
#[test]
fn conversions_have_the_bytes_they_have_on_every_machine() {
    let mut hasher = blake3::Hasher::new();
    for seed in 0..8 {
        for input in one_of_each(seed) {
            for (fit, format) in FITS.iter().zip(["jpeg", "png", "webp", "same"]) {
                let request =
                    Request::parse([("w", "37"), ("h", "21"), ("fit", fit), ("fmt", format)]).unwrap();
                hasher.update(&convert(&input, &request).unwrap().bytes);
            }
        }
    }
    assert_eq!(
        hasher.finalize().to_hex().as_str(),
        "426aac3c2d8f2d826c720130819a5a08c37fe84003f4b0a36506a49e833c1046"
    );
}

#[test]
fn a_jpeg_tells_how_coarse_it_is_and_nothing_else_does() {
    let coarseness = |wanted: &[(&str, &str)]| {
        let request = Request::parse(wanted.iter().copied()).unwrap();
        let picture = convert(&sample_image(SampleKind::Png, 1), &request).unwrap();
        inspect(&picture.bytes).unwrap().coarseness
    };
    // The sum of table K.1 of the standard, and two fifths of it, step by step rounded.
    assert_eq!(coarseness(&[("fmt", "jpeg"), ("q", "50")]), 3688);
    assert_eq!(coarseness(&[("fmt", "jpeg"), ("q", "80")]), 1477);
    assert_eq!(coarseness(&[("fmt", "webp")]), 0);
    // Steps of two bytes in a second table of a segment, after one of another number.
    let tables = [&[0xff, 0xdb, 0, 196, 1][..], &[9; 64], &[0x10], &[1, 0].repeat(64)].concat();
    let picture = sample_image(SampleKind::Jpeg, 1);
    let scan = picture.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let input = [&picture[..scan], &tables, &picture[scan..]].concat();
    assert_eq!(inspect(&input).unwrap().coarseness, 64 * 256);
}

#[test]
fn fits_have_the_names_that_requests_use() {
    let names: Vec<_> = [Fit::Contain, Fit::Cover, Fit::Fill, Fit::ScaleDown].map(Fit::name).to_vec();
    assert_eq!(names, FITS);
}
