//! Signed addresses: whoever has one makes one request on an account's behalf, until a moment, without its credential.
//!
//! What is signed is never the text of an address: two readers may take one text for two requests (a signature that was cut
//! out of the text wherever it came let thumbor sign one address and serve another, CVE-2026-53501). An address is parsed
//! once, what it says is written down in the one way below, and that is signed. The key is the management plane's and changes
//! by itself; the one before it stays good, so that a change costs nobody an address.

use serde::Serialize;

/// A secret that API servers and the data plane share.
pub(super) type Secret = [u8; blake3::KEY_LEN];

/// How many of the last keys are good.
pub(super) const KEYS_LIVE: usize = 2;
/// What signatures are of, so that one of something else is none of an address.
const PURPOSE: &str = "hogwash address 1";

/// What a signed address says.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Address<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The options of the request, in order.
    pub(crate) options: &'a [(String, String)],
    /// On whose behalf.
    pub(crate) account: u32,
    /// Until when, in seconds since 1970 by the servers' wall clocks.
    pub(crate) expires_s: u64,
}

/// One of the keys.
#[derive(Clone, Copy)]
pub(crate) struct AddressKey {
    pub(crate) number: u32,
    pub(super) secret: Secret,
}

impl AddressKey {
    /// The signature of an address. Hashes are compared in constant time.
    pub(crate) fn sign(&self, address: &Address<'_>) -> blake3::Hash {
        // Each part with its length before it: no two addresses are written alike.
        let bytes = postcard::to_allocvec(&(PURPOSE, self.number, address));
        blake3::keyed_hash(&self.secret, &bytes.expect("an address has no types that postcard lacks"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Said = (String, String, Vec<(String, String)>, u32, u64);

    fn said() -> impl Strategy<Value = Said> {
        let option = ("[a-z=&]{0,3}", "[a-z0-9=&]{0,3}");
        ("GET|POST", "/[a-z/]{0,4}", prop::collection::vec(option, 0..4), 0_u32..3, 0_u64..3)
    }

    fn sign(number: u32, secret: Secret, (method, path, options, account, expires_s): &Said) -> blake3::Hash {
        let address = Address { method, path, options, account: *account, expires_s: *expires_s };
        AddressKey { number, secret }.sign(&address)
    }

    proptest! {
        #[test]
        fn addresses_have_one_signature_exactly_where_they_say_the_same(one in said(), other in said()) {
            prop_assert_eq!(sign(1, [7; 32], &one) == sign(1, [7; 32], &other), one == other);
            prop_assert_ne!(sign(1, [7; 32], &one), sign(1, [8; 32], &one));
            prop_assert_ne!(sign(1, [7; 32], &one), sign(2, [7; 32], &one));
        }
    }
}
