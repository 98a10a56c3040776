//! Photographs that the modelled codec is held against: one photograph of 640 by 480 pixels, and the pictures that simulated users
//! have, each in several sizes and codings.

use bytes::Bytes;
use hogwash_system::resize::{Limits, Request, SampleKind, resize, sample_image};

const PHOTO: &[u8] = include_bytes!("../../../.ci/photo.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("corpus/progressive.jpg");
const LOSSY_WEBP: &[u8] = include_bytes!("corpus/lossy.webp");
const BMP: &[u8] = include_bytes!("corpus/photo.bmp");
const TIFF: &[u8] = include_bytes!("corpus/photo.tiff");
const GIF: &[u8] = include_bytes!("corpus/photo.gif");

/// What is asked of each.
pub(crate) const WANTED: [&str; 6] =
    ["w=160&fmt=jpeg", "w=320&fmt=jpeg", "w=320&fmt=jpeg&q=50", "w=320&fmt=png", "w=320&fmt=webp", "w=480"];

/// A conversion: a picture by its name, what is asked of it, and the question as read.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) input: Bytes,
    pub(crate) request: Request,
}

/// All conversions.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, input) in pictures() {
        for wanted in WANTED {
            cases.push(Case {
                name: format!("{name}?{wanted}"),
                input: input.clone(),
                request: parse(wanted),
            });
        }
    }
    for (name, input) in users_pictures() {
        for wanted in ["w=16", "w=48&fmt=jpeg", "w=24&h=24&fit=cover", "h=30&fmt=png"] {
            cases.push(Case {
                name: format!("{name}?{wanted}"),
                input: input.clone(),
                request: parse(wanted),
            });
        }
    }
    cases
}

fn pictures() -> Vec<(String, Bytes)> {
    let of_photo = |wanted: &str| Bytes::from(made(PHOTO, wanted));
    let mut pictures: Vec<(String, Bytes)> = vec![
        ("photo.jpg".to_owned(), Bytes::from_static(PHOTO)),
        ("progressive.jpg".to_owned(), Bytes::from_static(PROGRESSIVE)),
        ("lossy.webp".to_owned(), Bytes::from_static(LOSSY_WEBP)),
        ("photo.gif".to_owned(), Bytes::from_static(GIF)),
        ("photo.bmp".to_owned(), Bytes::from_static(BMP)),
        ("photo.tiff".to_owned(), Bytes::from_static(TIFF)),
    ];
    for wanted in ["w=640&fmt=png", "w=640&fmt=webp", "w=640&q=60", "w=1600", "w=1600&fmt=png"] {
        pictures.push((format!("photo[{wanted}]"), of_photo(wanted)));
    }
    pictures
}

fn users_pictures() -> Vec<(String, Bytes)> {
    let kinds = [("jpeg", SampleKind::Jpeg), ("png", SampleKind::Png)];
    let numbers = kinds.into_iter().flat_map(|(name, kind)| (0..2).map(move |seed| (name, kind, seed)));
    numbers.map(|(name, kind, seed)| (format!("user's-{name}-{seed}"), sample_image(kind, seed))).collect()
}

/// A question as it is typed.
pub(crate) fn parse(wanted: &str) -> Request {
    Request::parse(wanted.split('&').filter_map(|pair| pair.split_once('='))).expect("a good question")
}

fn made(input: &[u8], wanted: &str) -> Vec<u8> {
    resize(input, &parse(wanted), &Limits::default()).expect("a good picture").bytes.to_vec()
}
