//! Pictures built by hand, byte by byte, for the tests of conversions.
use hogwash_system::resize::{Limits, Request, SampleKind, resize, sample_image};

/// A 24-bit BMP whose pixels `color` paints.
pub(crate) fn bmp(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let padding = vec![0; (4 - (width as usize * 3) % 4) % 4];
    let mut pixels = Vec::new();
    for y in (0..height).rev() {
        for x in 0..width {
            let [red, green, blue] = color(x, y);
            pixels.extend([blue, green, red]);
        }
        pixels.extend(&padding);
    }
    let mut bytes = b"BM".to_vec();
    for field in [54 + pixels.len() as u32, 0, 54, 40, width, height, 24 << 16 | 1, 0, 0, 0, 0, 0, 0] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(pixels);
    bytes
}

/// A little-endian TIFF of one strip (or with the given tiles): `tags` are (tag, value), all of them 32-bit numbers, and
/// `data` lies at byte 8.
pub(crate) fn tiff(tags: &[(u16, u32)], data: &[u8]) -> Vec<u8> {
    let mut bytes = b"II\x2a\0".to_vec();
    bytes.extend((8 + data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes.extend((tags.len() as u16).to_le_bytes());
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    for (tag, value) in tags {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(4u16.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    bytes
}

/// A grey, uncompressed TIFF that is to be turned as `orientation` says.
pub(crate) fn grey_tiff(width: u32, height: u32, orientation: u32, samples: &[u8]) -> Vec<u8> {
    assert_eq!(samples.len() as u32, width * height);
    let tags = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (274, orientation),
        (277, 1),
        (278, height),
        (279, width * height),
    ];
    tiff(&tags, samples)
}

/// A GIF of two colours; the frame may differ in size from the screen. Its LZW codes are all 3 bits wide, a clear code in
/// front of each, so that the table never grows.
pub(crate) fn gif(screen: (u16, u16), frame: (u16, u16), pixels: usize) -> Vec<u8> {
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend(screen.0.to_le_bytes());
    bytes.extend(screen.1.to_le_bytes());
    bytes.extend([0x80, 0, 0, 10, 20, 30, 200, 210, 220]);
    bytes.extend([0x2c, 0, 0, 0, 0]);
    bytes.extend(frame.0.to_le_bytes());
    bytes.extend(frame.1.to_le_bytes());
    bytes.extend([0, 2]);
    let (mut bits, mut count, mut codes) = (0u32, 0, Vec::new());
    let all = (0..pixels).flat_map(|index| [4, index as u32 % 2]).chain([5]);
    for code in all {
        bits |= code << count;
        count += 3;
        while count >= 8 {
            codes.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    }
    codes.push(bits as u8);
    for block in codes.chunks(255) {
        bytes.push(block.len() as u8);
        bytes.extend(block);
    }
    bytes.extend([0, 0x3b]);
    bytes
}

/// The same picture as WebP, made by the code under test.
pub(crate) fn webp(picture: &[u8]) -> Vec<u8> {
    let request = Request::parse([("fmt", "webp")]).expect("a known format");
    resize(picture, &request, &Limits::default()).expect("a valid picture").bytes.to_vec()
}

/// One valid picture of every format that can be read.
pub(crate) fn one_of_each(seed: u64) -> Vec<Vec<u8>> {
    let jpeg = sample_image(SampleKind::Jpeg, seed).to_vec();
    let png = sample_image(SampleKind::Png, seed).to_vec();
    let samples: Vec<u8> = (0..24 * 17).map(|index: u32| (index * 7 + seed as u32) as u8).collect();
    let painted = bmp(19, 23, |x, y| [x as u8 * 9, y as u8 * 7, seed as u8]);
    vec![webp(&png), jpeg, png, gif((12, 9), (12, 9), 108), painted, grey_tiff(24, 17, 1, &samples)]
}

/// A lossless WebP of 4 by 4 pixels that declares `groups` groups of prefix codes, each of codes with tables of the
/// largest size, and holds the first `written` of them.
pub(crate) fn webp_of_groups(groups: u32, written: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0x2f, 8);
    bits.push(3, 14);
    bits.push(3, 14);
    bits.push(0, 4); // no alpha, version 0
    bits.push(0, 2); // no transform, no cache of colours
    bits.push(1, 1); // groups, one for each 4 by 4 pixels
    bits.push(0, 3);
    bits.push(0, 1); // the picture of their numbers: one pixel, whose green and red make the last number
    for symbol in [(groups - 1) & 255, (groups - 1) >> 8, 0, 0, 0] {
        bits.push(0b101, 3); // a code of one symbol of eight bits
        bits.push(symbol, 8);
    }
    for _ in 0..written * 5 {
        bits.push_deep_code();
    }
    bits.bytes.extend([0; 64]); // pixels: every code's first symbol
    let content = [b"WEBPVP8L".as_slice(), &(bits.bytes.len() as u32).to_le_bytes(), &bits.bytes].concat();
    [b"RIFF".as_slice(), &(content.len() as u32).to_le_bytes(), &content].concat()
}

/// Bits, the lowest of a byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn push(&mut self, value: u32, count: usize) {
        for place in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("a byte was pushed for this bit");
            *last |= ((value >> place & 1) as u8) << (self.count % 8);
            self.count += 1;
        }
    }

    /// A code of eleven symbols with the lengths 1 to 10, and 10 once more.
    fn push_deep_code(&mut self) {
        self.push(0, 1);
        self.push(10, 4); // 14 lengths of the code for lengths, in the format's own order
        for length in [0, 0, 0, 3, 3, 3, 3, 3, 0, 3, 4, 4, 4, 4] {
            self.push(length, 3);
        }
        self.push(0b11, 1); // only so many symbols have a length:
        self.push(1, 3);
        self.push(11 - 2, 4);
        // Lengths 1 to 6 have codes of three bits from 000 on, 7 to 10 of four from 1100 on, the first bit first.
        for length in (1..=10u32).chain([10]) {
            let (code, bits) = if length <= 6 { (length - 1, 3) } else { (0b1100 + length - 7, 4) };
            self.push(code.reverse_bits() >> (32 - bits), bits);
        }
    }
}
