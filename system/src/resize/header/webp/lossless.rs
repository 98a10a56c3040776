//! Lossless WebP: how many groups of prefix codes a picture declares.
//!
//! Each group takes tables of tens of kilobytes and may take as little as sixty bytes of the file. The decoder builds all
//! that are declared, up to 65 536 of them, whatever the size of the picture: 4 MB become 1.3 GB. How many there are stands
//! behind the transforms and a small picture of group numbers, so that much of the format has to be read here: symbols,
//! not pixels, for a copied pixel never names a group that a literal one did not name before.

/// Signature and sides, which an alpha channel has not.
pub(super) const SIGNATURE_BITS: usize = 40;

const CODES: usize = 5;
const ALPHABETS: [usize; CODES] = [LITERALS + LENGTHS, LITERALS, LITERALS, LITERALS, 40];
const LITERALS: usize = 256;
const LENGTHS: usize = 24;
const CODE_LENGTHS: usize = 19;
/// A decoder's first table for one code, in bytes, and its nodes for one symbol with a long code.
const TABLE_BYTES: u64 = 4096 + 128;
const SYMBOL_BYTES: u64 = 32;

/// The most that a decoder's prefix codes take, in bytes. What cannot be read counts as nothing, because the decoder stops
/// at the same place, before it builds any group.
pub(super) fn code_bytes(bits: &[u8], skip_bits: usize, width: u32, height: u32) -> u64 {
    let mut reader = Reader { bytes: bits, at: skip_bits };
    groups_and_cache(&mut reader, width, height).map_or(0, |(groups, cache_symbols)| {
        let symbols = ALPHABETS.iter().sum::<usize>() + cache_symbols;
        groups * (CODES as u64 * TABLE_BYTES + symbols as u64 * SYMBOL_BYTES)
    })
}

fn groups_and_cache(reader: &mut Reader<'_>, width: u32, height: u32) -> Option<(u64, usize)> {
    let mut width = width;
    while reader.bit()? == 1 {
        match reader.bits(2)? {
            // Predictors, or factors between colours: a picture with a pixel for each block.
            0 | 1 => {
                let block_bits = reader.bits(3)? + 2;
                reader.skip_picture(subsampled(width, block_bits), subsampled(height, block_bits))?;
            }
            2 => {}
            // A palette: a picture of one row, after which several pixels may share a byte.
            _ => {
                let colors = reader.bits(8)? + 1;
                reader.skip_picture(colors, 1)?;
                let shared_bits = match colors {
                    1..=2 => 3,
                    3..=4 => 2,
                    5..=16 => 1,
                    _ => 0,
                };
                width = subsampled(width, shared_bits);
            }
        }
    }
    let cache_symbols = reader.cache_symbols()?;
    if reader.bit()? == 0 {
        return Some((1, cache_symbols));
    }
    let block_bits = reader.bits(3)? + 2;
    let last_group = reader.skip_picture(subsampled(width, block_bits), subsampled(height, block_bits))?;
    Some((u64::from(last_group) + 1, cache_symbols))
}

fn subsampled(side: u32, bits: u32) -> u32 {
    side.div_ceil(1 << bits)
}

/// Bits, the lowest of a byte first.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |bits, place| Some(bits | self.bit()? << place))
    }

    /// Symbols that the cache of recent colours adds.
    fn cache_symbols(&mut self) -> Option<usize> {
        match self.bit()? {
            0 => Some(0),
            _ => self.bits(4).filter(|bits| (1..=11).contains(bits)).map(|bits| 1 << bits),
        }
    }

    /// Reads past a picture inside the picture. What red and green make together, at most, is a number of a group.
    fn skip_picture(&mut self, width: u32, height: u32) -> Option<u16> {
        const GREEN: usize = 0;
        const DISTANCE: usize = 4;
        let cache_symbols = self.cache_symbols()?;
        let mut codes = Vec::with_capacity(CODES);
        for (index, alphabet) in ALPHABETS.iter().enumerate() {
            codes.push(self.code(alphabet + if index == GREEN { cache_symbols } else { 0 })?);
        }
        let (mut left, mut number_max) = (u64::from(width) * u64::from(height), 0);
        while left > 0 {
            let before = self.at;
            let green = codes[GREEN].read(self)?;
            let count = if usize::from(green) < LITERALS {
                let red = codes[1].read(self)?;
                codes[2].read(self)?;
                codes[3].read(self)?;
                number_max = number_max.max(red << 8 | green);
                1
            } else if usize::from(green) < LITERALS + LENGTHS {
                let length = self.length(green - LITERALS as u16)?;
                let distance = codes[DISTANCE].read(self)?;
                self.length(distance)?;
                length
            } else {
                1
            };
            left = left.checked_sub(count)?;
            if self.at == before {
                break; // symbols that take no bits repeat to the end, and need not be walked
            }
        }
        Some(number_max)
    }

    /// A length or distance: its order of magnitude is a symbol, the rest are plain bits.
    fn length(&mut self, symbol: u16) -> Option<u64> {
        if symbol < 4 {
            return Some(u64::from(symbol) + 1);
        }
        let extra_bits = u32::from(symbol - 2) >> 1;
        let offset = u64::from(2 + (symbol & 1)) << extra_bits;
        Some(offset + u64::from(self.bits(extra_bits)?) + 1)
    }

    fn code(&mut self, alphabet: usize) -> Option<Code> {
        if self.bit()? == 1 {
            let two = self.bit()? == 1;
            let first_bits = 1 + 7 * self.bit()?;
            let mut symbols = vec![self.symbol(first_bits, alphabet)?];
            if two {
                symbols.push(self.symbol(8, alphabet)?);
            }
            return Some(Code::flat(symbols));
        }
        const ORDER: [usize; CODE_LENGTHS] =
            [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let mut lengths = [0; CODE_LENGTHS];
        let count = 4 + self.bits(4)? as usize;
        for place in &ORDER[..count] {
            lengths[*place] = self.bits(3)?;
        }
        let of_lengths = Code::canonical(&lengths)?;
        Code::canonical(&self.code_lengths(&of_lengths, alphabet)?)
    }

    fn symbol(&mut self, bits: u32, alphabet: usize) -> Option<u16> {
        let symbol = self.bits(bits)?;
        ((symbol as usize) < alphabet).then_some(symbol as u16)
    }

    fn code_lengths(&mut self, code: &Code, alphabet: usize) -> Option<Vec<u32>> {
        let mut left = alphabet;
        if self.bit()? == 1 {
            let bits = 2 + 2 * self.bits(3)?;
            left = 2 + self.bits(bits)? as usize;
        }
        let (mut lengths, mut previous) = (Vec::with_capacity(alphabet), 8);
        while lengths.len() < alphabet && left > 0 {
            left -= 1;
            let (length, times) = match u32::from(code.read(self)?) {
                0 => (0, 1),
                length @ 1..16 => {
                    previous = length;
                    (length, 1)
                }
                16 => (previous, 3 + self.bits(2)?),
                17 => (0, 3 + self.bits(3)?),
                _ => (0, 11 + self.bits(7)?),
            };
            lengths.extend(std::iter::repeat_n(length, times as usize));
        }
        (lengths.len() <= alphabet).then_some(lengths)
    }
}

/// A canonical prefix code: how many symbols have a code of each length, and the symbols in the order of their codes.
struct Code {
    counts: [u16; Self::LENGTH_MAX + 1],
    symbols: Vec<u16>,
}

impl Code {
    const LENGTH_MAX: usize = 15;

    /// One symbol that takes no bits, or two that take one each.
    fn flat(symbols: Vec<u16>) -> Self {
        let mut counts = [0; Self::LENGTH_MAX + 1];
        counts[1] = symbols.len() as u16;
        Self { counts, symbols }
    }

    /// The code with these lengths, if they make a complete one.
    fn canonical(lengths: &[u32]) -> Option<Self> {
        let mut counts = [0; Self::LENGTH_MAX + 1];
        let mut used: Vec<(u32, u16)> = Vec::new();
        for (symbol, length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            counts[*length as usize] += 1;
            used.push((*length, symbol as u16));
        }
        used.sort_unstable();
        let space: u32 = used.iter().map(|(length, _)| 1 << (Self::LENGTH_MAX as u32 - length)).sum();
        let complete = used.len() == 1 || space == 1 << Self::LENGTH_MAX;
        complete.then(|| Self { counts, symbols: used.into_iter().map(|(_, symbol)| symbol).collect() })
    }

    fn read(&self, reader: &mut Reader<'_>) -> Option<u16> {
        if let [only] = *self.symbols.as_slice() {
            return Some(only);
        }
        let (mut code, mut first, mut index) = (0u32, 0u32, 0u32);
        for count in self.counts[1..].iter().map(|count| u32::from(*count)) {
            code |= reader.bit()?;
            if code < first + count {
                return self.symbols.get((index + code - first) as usize).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::{Limits, Request, SampleKind, resize, sample_image};

    #[test]
    fn a_picture_of_one_group_is_read_as_far_as_that() {
        for seed in 0..40 {
            let request = Request::parse([("fmt", "webp"), ("w", "50")]).unwrap();
            let input = sample_image(SampleKind::Png, seed);
            let picture = resize(&input, &request, &Limits::default()).unwrap();
            let bytes = code_bytes(&picture.bytes[20..], SIGNATURE_BITS, picture.width, picture.height);
            let one_group =
                CODES as u64 * TABLE_BYTES + ALPHABETS.iter().sum::<usize>() as u64 * SYMBOL_BYTES;
            assert_eq!(bytes, one_group, "seed {seed}");
        }
    }

    #[test]
    fn lengths_follow_the_table_of_the_format() {
        // Symbols 0 to 3 are the lengths 1 to 4; 4 and 5 take one more bit, 6 and 7 two.
        let length = |symbol: u16, bits: u8| Reader { bytes: &[bits], at: 0 }.length(symbol).unwrap();
        assert_eq!([0, 3].map(|symbol| length(symbol, 0)), [1, 4]);
        assert_eq!([(4, 0), (4, 1), (5, 0), (5, 1)].map(|(symbol, bits)| length(symbol, bits)), [5, 6, 7, 8]);
        assert_eq!(
            [(6, 0), (6, 3), (7, 0), (7, 3)].map(|(symbol, bits)| length(symbol, bits)),
            [9, 12, 13, 16]
        );
    }

    #[test]
    fn codes_are_read_with_their_first_bit_first() {
        // Lengths 2, 1, 3, 3 make the codes 10, 0, 110, 111.
        let code = Code::canonical(&[2, 1, 3, 3]).unwrap();
        let mut reader = Reader { bytes: &[0b1001_1001, 0b11], at: 0 };
        let symbols: Vec<_> = std::iter::from_fn(|| code.read(&mut reader)).take(4).collect();
        assert_eq!(symbols, [0, 1, 2, 1]);
        assert!(Code::canonical(&[2, 2, 2]).is_none(), "an incomplete code is refused");
        assert!(Code::canonical(&[1, 1, 1]).is_none(), "and so is one with too many");
        assert!(Code::canonical(&[0, 0]).is_none(), "and one of nothing");
    }
}
