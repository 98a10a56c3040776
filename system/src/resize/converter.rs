//! Conversions, remembered.
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::{Limits, Output, Request, ResizeError, modelled, resize};
use sim::stack::Deployment;

/// What is remembered, in bytes of inputs and results (each with an allowance for the rest).
const REMEMBERED_BYTES_MAX: usize = 64 << 20;
const ENTRY_BYTES: usize = 256;

/// What converts pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Decodes, resizes and encodes.
    #[default]
    Real,
    /// Makes up an output of about the same size out of the header, and of the rest's digest.
    Modelled,
}

impl Codec {
    /// That of a deployment, by the setting `worker.codec`.
    pub(crate) fn of(deployment: &Deployment) -> Self {
        if deployment.setting("worker.codec") == "modelled" { Self::Modelled } else { Self::Real }
    }
}

/// Converts pictures, and does not convert the same one twice in a process.
///
/// The memory is a `static` that survives worlds and seeds and is shared by the threads of a fuzzing batch. That is safe
/// where other statics are not, because what it holds is a pure function of its key: input, options and limits lead to
/// the one result that converting again would give, be it a picture, a refusal or a panic. A hit is told from a
/// miss by nothing but the wall clock, which no world can see; simulated CPU is charged by the caller, hit or miss.
/// Threads that meet only at the lock cannot see each other's order either: eviction changes what is recomputed, not
/// what is returned.
#[derive(Debug, Clone)]
pub struct Converter {
    codec: Codec,
    limits: Limits,
    /// The limits' part of a key.
    limits_hash: [u8; blake3::OUT_LEN],
}

impl Default for Converter {
    fn default() -> Self {
        Self::new(Codec::Real, Limits::default())
    }
}

impl Converter {
    /// A converter that refuses what is over `limits`.
    pub fn new(codec: Codec, limits: Limits) -> Self {
        let limits_hash = blake3::hash(format!("{limits:?}").as_bytes()).into();
        Self { codec, limits, limits_hash }
    }

    /// [`resize`], from memory where possible; or what the model makes of it, which is computed sooner than remembered.
    ///
    /// # Errors
    /// Those of [`resize`].
    pub fn convert(&self, input: &Bytes, request: &Request) -> Result<Output, ResizeError> {
        if self.codec == Codec::Modelled {
            return modelled::resize(input, request, &self.limits);
        }
        let key = self.key(input, request);
        if let Some(result) = memory().get(&key) {
            return result;
        }
        // Outside the lock: two threads may do the same work once each, none waits for another's.
        let result = resize(input, request, &self.limits);
        // A copy, since the input may be a part of much more.
        let key = Key { input: Bytes::copy_from_slice(input), ..key };
        memory().insert(key, &result);
        result
    }

    fn key(&self, input: &Bytes, request: &Request) -> Key {
        let check = crc32fast::hash(input);
        Key { check, request: request.clone(), limits_hash: self.limits_hash, input: input.clone() }
    }
}

/// What a conversion is given, all of it: nothing that is remembered can be taken for anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Of the input. It comes first, so that hardly any two inputs are compared.
    check: u32,
    request: Request,
    limits_hash: [u8; blake3::OUT_LEN],
    input: Bytes,
}

fn memory() -> MutexGuard<'static, Memory> {
    static MEMORY: OnceLock<Mutex<Memory>> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| Mutex::new(Memory::new(REMEMBERED_BYTES_MAX)));
    // Nothing in here can panic half-way; and if it did, the worst is an entry that is computed again.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Results by key, the oldest forgotten first.
struct Memory {
    results: BTreeMap<Key, Result<Output, ResizeError>>,
    by_age: BTreeMap<u64, Key>,
    inserted: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Memory {
    fn new(bytes_max: usize) -> Self {
        Self { results: BTreeMap::new(), by_age: BTreeMap::new(), inserted: 0, bytes: 0, bytes_max }
    }

    fn get(&self, key: &Key) -> Option<Result<Output, ResizeError>> {
        self.results.get(key).cloned()
    }

    fn insert(&mut self, key: Key, result: &Result<Output, ResizeError>) {
        let bytes = bytes_of(&key, result);
        if bytes > self.bytes_max || self.results.contains_key(&key) {
            return;
        }
        self.results.insert(key.clone(), result.clone());
        self.by_age.insert(self.inserted, key);
        self.inserted += 1;
        self.bytes += bytes;
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            let forgotten = self.results.remove(&oldest).expect("every key has an age and a result");
            self.bytes -= bytes_of(&oldest, &forgotten);
        }
    }
}

fn bytes_of(key: &Key, result: &Result<Output, ResizeError>) -> usize {
    ENTRY_BYTES
        + key.input.len()
        + result.as_ref().map_or_else(|refusal| refusal.to_string().len(), |output| output.bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resize::OutputFormat;

    fn result_of(bytes: usize) -> Result<Output, ResizeError> {
        Ok(Output { bytes: vec![7; bytes].into(), format: OutputFormat::Png, width: 1, height: 1 })
    }

    fn key(number: u8) -> Key {
        Converter::default().key(&Bytes::from(vec![number; 10]), &Request::default())
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest_first() {
        let mut memory = Memory::new(3 * (ENTRY_BYTES + 110));
        for index in 0..5 {
            memory.insert(key(index), &result_of(100));
        }
        let kept: Vec<_> = (0..5).filter(|index| memory.get(&key(*index)).is_some()).collect();
        assert_eq!(kept, [2, 3, 4]);
        assert_eq!(
            (memory.results.len(), memory.by_age.len(), memory.bytes),
            (3, 3, 3 * (ENTRY_BYTES + 110))
        );
    }

    #[test]
    fn a_result_larger_than_the_memory_evicts_nothing() {
        let mut memory = Memory::new(1000);
        memory.insert(key(1), &result_of(10));
        memory.insert(key(2), &result_of(2000));
        assert!(memory.get(&key(1)).is_some() && memory.get(&key(2)).is_none());
    }

    #[test]
    fn inserting_a_known_key_counts_its_bytes_once() {
        let mut memory = Memory::new(1000);
        memory.insert(key(1), &result_of(10));
        memory.insert(key(1), &result_of(10));
        assert_eq!((memory.by_age.len(), memory.bytes), (1, ENTRY_BYTES + 20));
    }

    #[test]
    fn the_key_tells_inputs_options_and_limits_apart() {
        let tight = Converter::new(Codec::Real, Limits { pixels_max: 1, ..Limits::default() });
        let (free, narrow) = (Converter::default(), Request::parse([("w", "1")]).unwrap());
        let any = Request::default();
        let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        let keys = [free.key(&a, &any), free.key(&b, &any), free.key(&a, &narrow), tight.key(&a, &any)];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key), "key {index} is given twice");
        }
    }
}
