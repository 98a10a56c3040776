//! Credentials: `hog1.ACCOUNT.KEY.SIGNATURE`, in numbers and lower-case hexadecimal digits.
//!
//! There is one way to write each, and one kind of signature, which a credential has no say in. Signing draws no chance: the same
//! account has the same credential from the same key.

use ed25519_compact::{KeyPair, PublicKey, Seed, Signature};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A public key, as it travels.
pub(super) type Public = [u8; PublicKey::BYTES];

/// What signatures are of, so that one of something else is none of a credential.
const PURPOSE: &str = "hogwash credential";
const VERSION: &str = "hog1";

/// What a credential says, which nobody should believe before [`Credential::is_signed_by`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    /// Whose it is.
    pub(super) account: u32,
    /// Which of the management plane's keys signed it, counted from 0.
    pub(super) key: u32,
    signature: [u8; Signature::BYTES],
}

/// The management plane's secret.
pub(super) struct Signer {
    key: u32,
    pair: KeyPair,
}

impl Credential {
    /// Reads one; none where it is written in any other way.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(VERSION)?.strip_prefix('.')?.split('.');
        let (account, key) = (number(parts.next()?)?, number(parts.next()?)?);
        let signature = from_hex(parts.next()?)?;
        parts.next().is_none().then_some(Self { account, key, signature })
    }

    /// Whether the holder of the secret of `public` made it: from memory where possible.
    pub(super) fn is_signed_by(&self, public: &Public) -> bool {
        let name = self.name(public);
        if lock(&GOOD).contains(&name) {
            return true;
        }
        let good = self.verify(public);
        if good {
            lock(&GOOD).insert(name);
        }
        good
    }

    /// What a credential and the key that is to have signed it are remembered by.
    fn name(&self, public: &Public) -> Name {
        let mut hasher = blake3::Hasher::new();
        hasher.update(public).update(&self.account.to_le_bytes()).update(&self.key.to_le_bytes());
        *hasher.update(&self.signature).finalize().as_bytes()
    }

    fn verify(&self, public: &Public) -> bool {
        let signature = Signature::new(self.signature);
        PublicKey::new(*public).verify(signed(self.account, self.key), &signature).is_ok()
    }
}

impl Signer {
    /// The key number `key`, made of what nobody else knows.
    pub(super) fn new(key: u32, secret: [u8; Seed::BYTES]) -> Self {
        Self { key, pair: KeyPair::from_seed(Seed::new(secret)) }
    }

    /// What its signatures are known by.
    pub(super) fn public(&self) -> Public {
        *self.pair.pk
    }

    /// The account's credential.
    pub(super) fn sign(&self, account: u32) -> String {
        let signature = self.pair.sk.sign(signed(account, self.key), None);
        lock(&GOOD).insert(Credential { account, key: self.key, signature: *signature }.name(&self.public()));
        let mut text = format!("{VERSION}.{account}.{}.", self.key);
        for byte in *signature {
            write!(text, "{byte:02x}").expect("strings take all");
        }
        text
    }
}

/// Credentials that are good: those that were made here, and those that were found to be.
///
/// The memory is a `static` that survives worlds, as that of conversions ([`crate::resize::Converter`]) and for its reason: what
/// it holds is a pure function of its key, and a hit is told from a miss by the wall clock alone. Without it a region of 100 000
/// users would spend half of its time on their signatures.
static GOOD: Mutex<Good> = Mutex::new(Good { young: BTreeSet::new(), old: BTreeSet::new() });

/// So many are remembered, at least: two generations, of which the older is forgotten when the younger is full.
const GENERATION_MAX: usize = 200_000;

type Name = [u8; blake3::OUT_LEN];

struct Good {
    young: BTreeSet<Name>,
    old: BTreeSet<Name>,
}

impl Good {
    fn contains(&self, name: &Name) -> bool {
        self.young.contains(name) || self.old.contains(name)
    }

    fn insert(&mut self, name: Name) {
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name);
    }
}

fn lock(good: &Mutex<Good>) -> MutexGuard<'_, Good> {
    good.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signed(account: u32, key: u32) -> String {
    format!("{PURPOSE} {VERSION}.{account}.{key}")
}

fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    // `+7` and `007` are no other way to write 7.
    (number.to_string() == text).then_some(number)
}

fn from_hex(text: &str) -> Option<[u8; Signature::BYTES]> {
    let digit = |letter: u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_credential_is_good_for_its_account_and_its_key_alone() {
        let (signer, other) = (Signer::new(3, [7; 32]), Signer::new(3, [8; 32]));
        let credential = Credential::parse(&signer.sign(12)).unwrap();
        assert_eq!((credential.account, credential.key), (12, 3));
        // What is remembered when it is made, and what that stands for.
        assert!(credential.is_signed_by(&signer.public()) && credential.verify(&signer.public()));
        assert!(!credential.is_signed_by(&other.public()));
        assert!(!Credential { account: 13, ..credential.clone() }.is_signed_by(&signer.public()));
        assert!(!Credential { key: 4, ..credential }.is_signed_by(&signer.public()));
        assert_eq!(signer.sign(12), signer.sign(12), "no chance is drawn");
    }

    #[test]
    fn there_is_one_way_to_write_a_credential() {
        let text = Signer::new(0, [1; 32]).sign(7);
        let others = [
            text.replace("hog1.7.", "hog1.07."),
            text.replace("hog1.7.", "hog1.+7."),
            text.replace("hog1.7.0.", "hog1.7.00."),
            text.to_uppercase(),
            format!("{text}."),
            format!("{text}00"),
            format!(" {text}"),
            text[..text.len() - 1].to_owned(),
            text.replace("hog1", "hog2"),
        ];
        assert!(Credential::parse(&text).is_some());
        for other in others {
            assert_eq!(Credential::parse(&other), None, "{other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_text_is_a_credential_that_nobody_signed(text: String, account: u32, flip: prop::sample::Index) {
            prop_assert!(Credential::parse(&text).is_none());
            let signer = Signer::new(0, [9; 32]);
            let mut bytes = signer.sign(account).into_bytes();
            let place = flip.index(bytes.len() * 8);
            bytes[place / 8] ^= 1 << (place % 8);
            let read = String::from_utf8(bytes).ok().and_then(|text| Credential::parse(&text));
            prop_assert!(read.is_none_or(|credential| !credential.is_signed_by(&signer.public())));
        }
    }
}
