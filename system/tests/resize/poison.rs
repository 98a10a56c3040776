//! Every poisonous picture of the shared corpus gets what its manifest expects, and costs no more than it may.
#![expect(clippy::disallowed_methods, reason = "reads a corpus of real files, outside any world")]
#![expect(clippy::print_stderr, reason = "says why it skips when the corpus is not there")]
use std::path::PathBuf;

use hogwash_system::resize::{Limits, Request, ResizeError, inspect, resize};

/// One line of the manifest.
pub(crate) struct Poison {
    pub(crate) name: String,
    expected: String,
    pub(crate) bytes: Vec<u8>,
}

/// The corpus lies beside the repository, not in it; without it there is nothing to test here, and that is said.
pub(crate) fn corpus() -> Option<Vec<Poison>> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/poison_images"));
    let Ok(manifest) = std::fs::read_to_string(folder.join("MANIFEST.tsv")) else {
        eprintln!("skipped: no corpus of poisonous pictures at {}", folder.display());
        return None;
    };
    let lines = manifest.lines().skip(1).map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        let name = columns[0].to_owned();
        let bytes = std::fs::read(folder.join(&name)).expect("a file that the manifest lists can be read");
        Poison { expected: columns[7].to_owned(), bytes, name }
    });
    let corpus: Vec<_> = lines.collect();
    assert!(corpus.len() > 60, "the manifest lists {} files", corpus.len());
    Some(corpus)
}

#[test]
fn every_poisonous_picture_gets_what_its_manifest_expects() {
    let request = Request::parse([("w", "320")]).unwrap();
    for Poison { name, expected, bytes } in corpus().unwrap_or_default() {
        let result = resize(&bytes, &request, &Limits::default());
        let shown = result.as_ref().map(|output| (output.width, output.height));
        match expected.as_str() {
            "decodes" => assert!(result.is_ok(), "{name}: {shown:?}"),
            _ if expected.starts_with("clean error") => assert!(result.is_err(), "{name}: {shown:?}"),
            _ if expected.starts_with("either") || expected.starts_with("decodes or clean error") => {}
            _ => panic!("{name}: the manifest expects `{expected}`, which this test does not know"),
        }
    }
}

#[test]
fn every_refusal_of_the_corpus_is_a_4xx_with_a_message_on_one_line() {
    for Poison { name, bytes, .. } in corpus().unwrap_or_default() {
        if let Err(refusal) = resize(&bytes, &Request::default(), &Limits::default()) {
            assert!(matches!(refusal.status(), 413 | 415 | 422), "{name}: {refusal:?}");
            let message = refusal.message();
            assert!(
                !message.is_empty() && !message.contains('\n') && message.len() < 300,
                "{name}: {message}"
            );
        }
    }
}

#[test]
fn only_the_one_known_file_makes_a_codec_panic() {
    let Some(corpus) = corpus() else { return };
    let panicking: Vec<_> = corpus
        .into_iter()
        .filter(|poison| {
            let result = resize(&poison.bytes, &Request::default(), &Limits::default());
            matches!(result, Err(ResizeError::Panicked { .. }))
        })
        .map(|poison| poison.name)
        .collect();
    assert_eq!(panicking, ["000_panic_tiff_tiled_planar_16bit_RGB.tiff"]);
}

#[test]
fn the_headers_of_all_that_decodes_are_read_alike_by_us_and_by_the_decoder() {
    for Poison { name, bytes, .. } in corpus().unwrap_or_default() {
        let Ok(output) = resize(&bytes, &Request::default(), &Limits::default()) else { continue };
        let header = inspect(&bytes).unwrap();
        let (mut ours, mut decoded) = ([header.width, header.height], [output.width, output.height]);
        ours.sort_unstable();
        decoded.sort_unstable();
        assert_eq!(ours, decoded, "{name}, but for a quarter turn");
    }
}
