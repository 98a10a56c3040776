//! A reader that gives up when a decoder keeps reading the same bytes.
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

/// What a decoder may read, all passes together. A file's tables may point every strip at one block of data, or let a
/// decompressor run through megabytes that produce nothing, once a strip; the pixel limit does not see that, this does.
/// Honest files of many small strips come to 32 KiB of read-ahead for each of 8192 rows, and pass.
const READ_BYTES_MAX: u64 = 512 << 20;
/// What a jump costs, so that endless jumping ends too.
const SEEK_BYTES: u64 = 64;

/// A picture's bytes, metered.
pub(super) struct Meter<'a> {
    inner: Cursor<&'a [u8]>,
    left: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { inner: Cursor::new(input), left: READ_BYTES_MAX }
    }

    fn charge(&mut self, bytes: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            io::Error::other("its tables make the decoder read the same bytes over and over")
        })?;
        Ok(())
    }
}

impl Read for Meter<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.charge(count as u64)?;
        Ok(count)
    }
}

impl BufRead for Meter<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.charge(0)?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // This call cannot fail, so an overdraft is kept at zero and the next read reports it.
        self.left = self.left.saturating_sub(amount as u64);
        self.inner.consume(amount);
    }
}

impl Seek for Meter<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.charge(SEEK_BYTES)?;
        self.inner.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_the_same_bytes_over_and_over_ends_in_an_error() {
        let input = vec![0; 1 << 20];
        let mut meter = Meter::new(&input);
        let mut buffer = vec![0; 1 << 20];
        let rounds = (0..1000)
            .take_while(|_| meter.rewind().and_then(|()| meter.read_exact(&mut buffer)).is_ok())
            .count();
        assert_eq!(rounds, 511, "512 MiB less what the jumps cost");
    }

    #[test]
    fn an_overdraft_by_consume_is_reported_by_the_next_read() {
        let input = vec![0; 1 << 20];
        let mut meter = Meter::new(&input);
        let rounds = (0..1000)
            .take_while(|_| {
                meter.consume(1 << 20);
                meter.inner.set_position(0);
                meter.read(&mut [0]).is_ok()
            })
            .count();
        assert_eq!(rounds, 511);
    }
}
