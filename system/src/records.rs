//! Records in a file that is only ever added to: each a length, a check and its bytes, so that a torn end and damage are told
//! from what was written.

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Length and check, before each record.
const HEAD_BYTES: usize = 8;

/// Adds a record behind `bytes`.
pub(crate) fn write<T: Serialize>(record: &T, bytes: &mut BytesMut) {
    let payload = postcard::to_allocvec(record).expect("records have no types that postcard lacks");
    bytes.reserve(HEAD_BYTES + payload.len());
    bytes.put_u32_le(u32::try_from(payload.len()).expect("a record is far smaller"));
    bytes.put_u32_le(crc32fast::hash(&payload));
    bytes.put_slice(&payload);
}

/// The first record of `bytes`, and where the next begins; none where there is no whole one, of at most `payload_bytes_max`.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8], payload_bytes_max: usize) -> Option<(T, usize)> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let check = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let payload = bytes.get(HEAD_BYTES..)?.get(..length).filter(|_| length <= payload_bytes_max)?;
    // The check of nothing is 0: a file that grew and was not written to would be a row of empty records.
    if length == 0 || crc32fast::hash(payload) != check {
        return None;
    }
    Some((postcard::from_bytes(payload).ok()?, HEAD_BYTES + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAYLOAD_BYTES_MAX: usize = 64;
    type Record = (u32, Option<[u8; 16]>);

    fn written(record: &Record) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        write(record, &mut bytes);
        bytes.to_vec()
    }

    fn read_record(bytes: &[u8]) -> Option<(Record, usize)> {
        read(bytes, PAYLOAD_BYTES_MAX)
    }

    #[test]
    fn a_longer_record_than_there_can_be_is_damage() {
        let bytes = written(&(7, Some([5; 16])));
        let payload_bytes = bytes.len() - HEAD_BYTES;
        assert!(read::<Record>(&bytes, payload_bytes).is_some());
        assert!(read::<Record>(&bytes, payload_bytes - 1).is_none());
    }

    #[test]
    fn what_a_file_grew_by_and_nobody_wrote_is_no_record() {
        assert!(read::<()>(&[0; 16], PAYLOAD_BYTES_MAX).is_none());
    }

    proptest! {
        #[test]
        fn records_are_read_one_after_the_other_as_they_were_written(records: Vec<Record>) {
            let mut bytes = BytesMut::new();
            records.iter().for_each(|record| write(record, &mut bytes));
            let (mut read, mut end) = (Vec::new(), 0);
            while let Some((record, length)) = read_record(&bytes[end..]) {
                read.push(record);
                end += length;
            }
            prop_assert_eq!((read, end), (records, bytes.len()));
        }

        #[test]
        fn no_bytes_are_read_as_what_nobody_wrote(bytes: Vec<u8>, record: Record, flip: prop::sample::Index) {
            prop_assert!(read_record(&bytes).is_none());
            let mut bytes = written(&record);
            let place = flip.index(bytes.len() * 8);
            bytes[place / 8] ^= 1 << (place % 8);
            prop_assert!(read_record(&bytes).is_none());
        }

        #[test]
        fn of_a_torn_record_nothing_is_read(record: Record, length: prop::sample::Index) {
            let bytes = written(&record);
            prop_assert!(read_record(&bytes[..length.index(bytes.len())]).is_none());
        }
    }
}
