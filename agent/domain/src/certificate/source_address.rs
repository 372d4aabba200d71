//! The `source-address` option of a certificate: a comma list of addresses and CIDR blocks
//! (OpenSSH, `PROTOCOL.certkeys`).

use std::net::IpAddr;

/// The list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed source-address list; write addresses and blocks like 10.0.0.0/8,192.0.2.7")]
pub struct SourceAddressError;

/// Whether `peer` is in the list. An IPv4-mapped peer counts as the IPv4 address it is.
///
/// # Errors
/// [`SourceAddressError`] when any entry is malformed, even after one that matches: a list that is
/// not understood restricts nothing reliably.
pub fn source_allowed(list: &str, peer: IpAddr) -> Result<bool, SourceAddressError> {
    let peer = peer.to_canonical();
    let mut allowed = false;
    for entry in list.split(',') {
        allowed |= entry_matches(entry.trim(), peer)?;
    }
    Ok(allowed)
}

fn entry_matches(entry: &str, peer: IpAddr) -> Result<bool, SourceAddressError> {
    let (address, length) = match entry.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| SourceAddressError)?)),
        None => (entry, None),
    };
    let address: IpAddr = address.parse().map_err(|_| SourceAddressError)?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(width);
    if length > width {
        return Err(SourceAddressError);
    }
    Ok(match (address, peer) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            shared_prefix(u128::from(a.to_bits()) << 96, u128::from(b.to_bits()) << 96, length)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => shared_prefix(a.to_bits(), b.to_bits(), length),
        _ => false,
    })
}

/// Whether the first `length` bits are the same.
fn shared_prefix(a: u128, b: u128, length: u32) -> bool {
    length == 0 || (a ^ b).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allowed(list: &str, peer: &str) -> Result<bool, SourceAddressError> {
        source_allowed(list, peer.parse().unwrap())
    }

    #[test]
    fn blocks_and_addresses_match() {
        assert_eq!(allowed("10.0.0.0/8,192.168.1.7", "10.200.3.4"), Ok(true));
        assert_eq!(allowed("10.0.0.0/8, 192.168.1.7", "192.168.1.7"), Ok(true));
        assert_eq!(allowed("10.0.0.0/8", "11.0.0.1"), Ok(false));
        assert_eq!(allowed("0.0.0.0/0", "8.8.8.8"), Ok(true));
        assert_eq!(allowed("2001:db8::/32", "2001:db8::1"), Ok(true));
        assert_eq!(allowed("10.0.0.1", "::ffff:10.0.0.1"), Ok(true));
        assert_eq!(allowed("0.0.0.0/0", "2001:db8::1"), Ok(false), "families do not mix");
    }

    #[test]
    fn a_malformed_entry_spoils_the_list() {
        for list in ["", "10.0.0.0/33", "10.0.0.1,", "example.com", "10.0.0.0/-1", "2001:db8::/129"] {
            assert_eq!(allowed(list, "10.0.0.1"), Err(SourceAddressError), "{list:?}");
        }
    }

    proptest! {
        #[test]
        fn no_list_panics(list in "[0-9a-f:./, ]{0,40}", peer in any::<u32>()) {
            let _ = source_allowed(&list, IpAddr::V4(peer.into()));
        }
    }
}
