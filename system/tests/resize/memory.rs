//! Bombs are refused before they are paid for: small files that declare, or unfold into, far more than they weigh. Memory is
//! counted by the allocator of this test, so the bounds hold for what was really allocated.
#![expect(unsafe_code, reason = "an allocator that counts has to be an allocator")]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hogwash_system::resize::{Limits, Output, Request, ResizeError, inspect, resize};

use crate::pictures::{bmp, gif, tiff, webp, webp_of_groups};
use crate::poison::{Poison, corpus};

/// Counts what each thread holds, so that tests beside this one do not disturb it.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain cells that allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above, and `pointer` came from the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread that is ending has no cells any more, and nobody asks for its peak.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        PEAK.with(|peak| peak.set(peak.get().max(held.get())));
    });
}

/// The result, and the most bytes that were held on the way to it.
fn measured(input: &[u8], request: &Request) -> (Result<Output, ResizeError>, isize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = resize(input, request, &Limits::default());
    (result, PEAK.get() - before)
}

fn thumbnail() -> Request {
    Request::parse([("w", "100"), ("h", "100")]).expect("both options are in range")
}

/// Refused with this status, for less than a megabyte.
fn check_refused(name: &str, input: &[u8], status: u16) {
    let (result, peak) = measured(input, &thumbnail());
    let refusal = result.map(|output| (output.width, output.height)).expect_err(name);
    assert_eq!(refusal.status(), status, "{name}: {refusal:?}");
    assert!(peak < 1 << 20, "{name} was refused for {peak} bytes of memory: {refusal:?}");
}

/// A JPEG of one grey component, with as many scans as said, each of them empty.
fn jpeg_of_scans(width: u16, height: u16, scans: usize, progressive: bool) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    bytes.extend([1; 64]);
    let ([high, low], [left, right]) = (height.to_be_bytes(), width.to_be_bytes());
    let marker = if progressive { 0xc2 } else { 0xc0 };
    bytes.extend([0xff, marker, 0, 11, 8, high, low, left, right, 1, 1, 0x11, 0]);
    for table in [0x00, 0x10] {
        // One code of one bit: no difference, or the end of the block.
        bytes.extend([0xff, 0xc4, 0, 20, table, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    for _ in 0..scans {
        let last_coefficient = if progressive { 0 } else { 63 };
        bytes.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, last_coefficient, 0, 0, 0]);
    }
    bytes.extend([0xff, 0xd9]);
    bytes
}

/// A chunk of a WebP.
fn chunk(name: &[u8; 4], claimed_bytes: usize, content: &[u8]) -> Vec<u8> {
    [name, (claimed_bytes as u32).to_le_bytes().as_slice(), content].concat()
}

/// An extended WebP of 10 by 10 pixels, not animated.
fn extended_webp(flags: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = chunk(b"VP8X", 10, &[flags, 0, 0, 0, 9, 0, 0, 9, 0, 0]);
    let content = [b"WEBP".to_vec(), header, chunks.concat()].concat();
    chunk(b"RIFF", content.len(), &content)
}

/// The start of a lossy picture that declares these sides.
fn lossy_start(width: u16, height: u16) -> Vec<u8> {
    let ([w0, w1], [h0, h1]) = (width.to_le_bytes(), height.to_le_bytes());
    vec![0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, 0, 0, 0, 0]
}

/// A zlib stream of so many empty blocks, and then, after all, of 100 bytes.
fn tedious_deflate(blocks: usize) -> Vec<u8> {
    let empty = [0, 0, 0, 0xff, 0xff].repeat(blocks);
    let adler = ((35_450u32 << 16) + 701).to_be_bytes();
    [[0x78, 0x01].as_slice(), &empty, &[1, 100, 0, !100, 0xff], &[7; 100], &adler].concat()
}

#[test]
fn floods_of_pixels_are_refused_by_their_header() {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x06\0\0\0".to_vec();
    png.extend([0; 32]);
    check_refused("a PNG of 60000 x 60000", &png, 413);
    check_refused("a JPEG of 64250 x 64250", &jpeg_of_scans(64250, 64250, 1, false), 413);
    check_refused("a GIF of 60000 x 60000", &gif((60000, 60000), (1, 1), 1), 413);
    check_refused("a GIF of 1 x 1 with a frame of 60000 x 60000", &gif((1, 1), (60000, 60000), 1), 413);
    check_refused("a JPEG of 8192 x 4096, over in pixels alone", &jpeg_of_scans(8192, 4096, 1, false), 413);
    let strips = [(256, 60000), (257, 60000), (258, 8), (262, 1), (273, 8), (278, 60000), (279, 1)];
    check_refused("a TIFF of 60000 x 60000", &tiff(&strips, &[0]), 413);
}

#[test]
fn a_webp_whose_inner_picture_is_larger_than_it_says_is_refused() {
    let flood = lossy_start(16383, 16383);
    let still = extended_webp(0, &[chunk(b"VP8 ", flood.len(), &flood)]);
    check_refused("a still", &still, 422);
    let picture = chunk(b"VP8 ", flood.len(), &flood);
    let frame = [[0, 0, 0, 0, 0, 0, 9, 0, 0, 9, 0, 0, 0, 0, 0, 0].as_slice(), &picture].concat();
    let animation = extended_webp(2, &[chunk(b"ANIM", 6, &[0; 6]), chunk(b"ANMF", frame.len(), &frame)]);
    check_refused("an animation", &animation, 422);
}

#[test]
fn a_webp_chunk_that_claims_gigabytes_is_refused() {
    let picture = lossy_start(10, 10);
    for name in [b"EXIF", b"ICCP", b"XMP ", b"ANIM"] {
        let chunks = [chunk(name, 0xffff_fff0, &[]), chunk(b"VP8 ", picture.len(), &picture)];
        check_refused("before the picture", &extended_webp(8, &chunks), 422);
        let [claim, picture] = chunks;
        check_refused("behind the picture", &extended_webp(8, &[picture, claim]), 422);
    }
}

#[test]
fn a_webp_with_more_tables_than_pixels_is_refused() {
    check_refused("65536 groups of codes for 16 pixels", &webp_of_groups(65536, 1), 413);
}

#[test]
fn a_tiff_with_tiles_or_samples_beyond_measure_is_refused() {
    let base = [(256, 10), (257, 10), (258, 8), (262, 1), (324, 8), (325, 1)];
    let with = |tags: &[(u16, u32)]| tiff(&[&base, tags].concat(), &[0]);
    check_refused("tiles of 2 147 483 648 x 16", &with(&[(322, 1 << 31), (323, 16)]), 413);
    check_refused("tiles of 16 x 4 294 967 295", &with(&[(322, 16), (323, u32::MAX)]), 413);
    check_refused("65535 samples a pixel", &with(&[(277, 65535)]), 415);
    check_refused("JPEG inside", &with(&[(259, 7)]), 415);
    check_refused("two widths", &with(&[(256, 60000)]), 422);
}

#[test]
fn a_tiff_whose_strips_all_read_one_tedious_stream_is_given_up() {
    let stream = tedious_deflate(1_900_000);
    let strips: u32 = 2048;
    // Offsets and lengths of strips are tables of their own, behind the stream.
    let offsets = (8u32).to_le_bytes().repeat(strips as usize);
    let lengths = (stream.len() as u32).to_le_bytes().repeat(strips as usize);
    let data = [stream.as_slice(), &offsets, &lengths].concat();
    let tags =
        [(256, 100), (257, strips), (258, 8), (259, 8), (262, 1), (273, 0), (277, 1), (278, 1), (279, 0)];
    let mut bytes = tiff(&tags, &data);
    let directory = 8 + data.len() + 2;
    for (index, start) in [(5, 8 + stream.len()), (8, 8 + stream.len() + offsets.len())] {
        let entry = directory + 12 * index;
        bytes[entry + 4..entry + 8].copy_from_slice(&strips.to_le_bytes());
        bytes[entry + 8..entry + 12].copy_from_slice(&(start as u32).to_le_bytes());
    }
    let (result, peak) = measured(&bytes, &thumbnail());
    let refusal = result.map(|output| output.width).unwrap_err();
    assert!(refusal.message().contains("over and over"), "{refusal:?}");
    assert!(peak < 2 << 20, "{peak} bytes");
}

#[test]
fn a_jpeg_that_would_be_decoded_a_thousand_times_is_refused_and_one_of_a_few_scans_is_not() {
    check_refused("progressive", &jpeg_of_scans(4096, 4096, 1000, true), 413);
    check_refused("baseline", &jpeg_of_scans(4096, 4096, 1000, false), 413);
    for progressive in [false, true] {
        let few = jpeg_of_scans(64, 64, 8, progressive);
        assert_eq!(inspect(&few).unwrap().scans, 8);
        resize(&few, &thumbnail(), &Limits::default()).unwrap();
    }
}

#[test]
fn the_largest_pictures_that_are_accepted_stay_within_the_memory_limit() {
    let (width, height) = (2048, 8192);
    let bytes = width * height * 3;
    let tags =
        [(256, width), (257, height), (258, 8), (262, 2), (273, 8), (277, 3), (278, height), (279, bytes)];
    let picture = tiff(&tags, &vec![7; bytes as usize]);
    let limits = Limits { input_bytes_max: u64::MAX, ..Limits::default() };
    let max = isize::try_from(limits.working_bytes_max).unwrap();
    for (w, h, fit) in [("8192", "2048", "fill"), ("100", "8192", "cover")] {
        let request =
            Request::parse([("w", w), ("h", h), ("fit", fit), ("fmt", "jpeg"), ("q", "10")]).unwrap();
        let before = HELD.get();
        PEAK.set(before);
        let result = resize(&picture, &request, &limits);
        let peak = PEAK.get() - before;
        assert!(
            result.is_ok() && peak <= max,
            "{w} x {h}: {peak} bytes, {:?}",
            result.map(|output| output.width)
        );
    }
}

#[test]
fn what_a_header_says_of_memory_bounds_what_decoding_takes() {
    let dots = |x: u32, y: u32| [(x * y) as u8, x as u8, (x + y) as u8];
    let painted = bmp(600, 400, dots);
    let as_jpeg =
        resize(&painted, &Request::parse([("fmt", "jpeg")]).unwrap(), &Limits::default()).unwrap().bytes;
    let as_png = resize(&painted, &Request::default(), &Limits::default()).unwrap().bytes;
    let inputs: [&[u8]; 7] = [
        &painted,
        &as_jpeg,
        &as_png,
        &webp(&painted),
        &gif((600, 400), (500, 300), 150_000),
        &jpeg_of_scans(2000, 1000, 3, true),
        &webp_of_groups(600, 600),
    ];
    // Codes, tables, and the copy of itself that a JPEG decoder makes.
    let own = |input: &[u8]| input.len() as u64 + (1 << 20);
    for input in inputs {
        let header = inspect(input).unwrap();
        let (result, peak) =
            measured(input, &Request::parse([("w", "1"), ("h", "1"), ("fit", "fill")]).unwrap());
        assert!(result.is_ok(), "{header:?}: {:?}", result.map(|output| output.width));
        let bound = header.working_bytes + own(input);
        assert!(peak as u64 <= bound, "{header:?}: {peak} bytes, at most {bound} were expected");
    }
}

#[test]
fn poisonous_pictures_stay_within_the_memory_limit() {
    for Poison { name, bytes, .. } in corpus().unwrap_or_default() {
        let (result, peak) = measured(&bytes, &thumbnail());
        if matches!(result, Err(ResizeError::Panicked { .. })) {
            continue; // what was counted then is the backtrace of this test's panic hook
        }
        let told = result.as_ref().map(|output| output.bytes.len());
        assert!(peak < 8 << 20, "{name} took {peak} bytes and gave {told:?}");
    }
}
