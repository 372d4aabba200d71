//! `teleport.ciphers`, `kex_algos` and `mac_algos`: which SSH algorithms are offered.
//!
//! An operator may narrow or reorder what the product offers, never widen it: algorithms that are
//! broken or too short are refused with the reason, wherever they come from.

use crate::field::Field;
use crate::section::Section;
use crate::shown::{not_one_of, shown};

/// Ciphers there are, the preferred first. AES-GCM leads because it is about three times as fast as
/// ChaCha20 on machines with AES instructions.
pub const CIPHERS: &[&str] = &[
    "aes256-gcm@openssh.com",
    "aes128-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
];

/// Key exchanges there are, the preferred first.
pub const KEX: &[&str] = &[
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
];

/// Message authentication codes there are, the preferred first.
pub const MACS: &[&str] =
    &["hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512", "hmac-sha2-256"];

/// Families that are refused, by a part of the name, and why.
const LEGACY: &[(&str, &str)] = &[
    ("arcfour", "RC4 leaks its plaintext (RFC 8758)"),
    ("3des", "its 64-bit blocks collide after a few gigabytes (RFC 8429)"),
    ("blowfish", "its 64-bit blocks collide after a few gigabytes"),
    ("cast128", "its 64-bit blocks collide after a few gigabytes"),
    ("-cbc", "CBC mode in SSH gives plaintext away (CVE-2008-5161)"),
    ("group1-sha1", "its 1024-bit group can be broken (RFC 9142)"),
    ("md5", "MD5 is broken (RFC 9142)"),
    ("sha1", "SHA-1 is broken (RFC 9142)"),
    ("ripemd", "RIPEMD-160 is too short and no longer offered by anyone"),
    ("umac-64", "its tag is too short"),
    ("none", "it protects nothing"),
];

/// The algorithms to offer, the preferred first; none of the lists is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms {
    /// Of [`CIPHERS`].
    pub ciphers: Vec<&'static str>,
    /// Of [`KEX`].
    pub kex: Vec<&'static str>,
    /// Of [`MACS`].
    pub macs: Vec<&'static str>,
}

impl Default for Algorithms {
    fn default() -> Self {
        Self { ciphers: CIPHERS.to_vec(), kex: KEX.to_vec(), macs: MACS.to_vec() }
    }
}

/// Reads the three lists of the `teleport` section.
pub(crate) fn read(teleport: &mut Section<'_>) -> Algorithms {
    let mut list = |key, offered: &'static [&'static str]| {
        let chosen = teleport.field(key).and_then(|field| chosen(&field, offered));
        chosen.unwrap_or_else(|| offered.to_vec())
    };
    Algorithms {
        ciphers: list("ciphers", CIPHERS),
        kex: list("kex_algos", KEX),
        macs: list("mac_algos", MACS),
    }
}

fn chosen(field: &Field<'_>, offered: &[&'static str]) -> Option<Vec<&'static str>> {
    let mut chosen: Vec<&'static str> = Vec::new();
    let items = field.list()?;
    if items.is_empty() {
        field.problem("is empty; list at least one algorithm or remove the key");
    }
    for item in items {
        let Some(text) = item.text() else { continue };
        match offered.iter().find(|name| **name == text) {
            Some(name) if chosen.contains(name) => item.problem(format!("{} is listed twice", shown(text))),
            Some(name) => chosen.push(name),
            None => item.problem(refusal(text, offered)),
        }
    }
    Some(chosen)
}

fn refusal(name: &str, offered: &[&str]) -> String {
    match LEGACY.iter().find(|(part, _)| name.contains(part)) {
        Some((_, reason)) => format!("{} is refused: {reason}; remove it", shown(name)),
        None => not_one_of(name, offered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_offered_is_on_the_refused_list() {
        for name in CIPHERS.iter().chain(KEX).chain(MACS) {
            assert!(!LEGACY.iter().any(|(part, _)| name.contains(part)), "{name}");
        }
    }

    #[test]
    fn legacy_names_get_the_reason_and_typos_the_name() {
        assert!(refusal("arcfour256", CIPHERS).contains("RC4"));
        assert!(refusal("diffie-hellman-group1-sha1", KEX).contains("1024-bit"));
        assert!(refusal("diffie-hellman-group14-sha1", KEX).contains("SHA-1"));
        assert!(refusal("aes256-crt", CIPHERS).contains("did you mean `aes256-ctr`?"));
    }
}
