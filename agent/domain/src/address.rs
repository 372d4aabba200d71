//! What kind of place an IP address is: whether a service of ours may be made to connect there by
//! somebody who is not trusted with the network it stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Anywhere on the Internet.
    Public,
    /// Networks of one's own: RFC 1918, RFC 4193, and shared address space (RFC 6598).
    Private,
    /// This machine.
    Loopback,
    /// The link alone (RFC 3927, RFC 4291 section 2.5.6), and the other addresses where clouds tell machines
    /// about themselves, their credentials among it.
    LinkLocal,
    /// Never a service: multicast, unspecified, reserved.
    Forbidden,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local or metadata",
            Self::Forbidden => "multicast, unspecified or reserved",
        })
    }
}

/// Where two clouds (Azure, Alibaba) answer about the machine itself; others do so at link-local addresses.
const METADATA: [[u8; 4]; 2] = [[168, 63, 129, 16], [100, 100, 100, 200]];

/// The kind of place an address is. An IPv6 address that only wraps an IPv4 address (mapped, compatible,
/// 6to4, NAT64's well-known prefix) is what the address inside is. Which of the public addresses are this
/// machine's own is not known here.
pub fn place(ip: IpAddr) -> Place {
    match ip {
        IpAddr::V4(v4) => place_v4(v4),
        IpAddr::V6(v6) => wrapped(v6).map_or_else(|| place_v6(v6), place_v4),
    }
}

fn wrapped(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(mapped) = v6.to_ipv4_mapped() {
        return Some(mapped);
    }
    let inner = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(inner(high, low)),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(inner(high, low)),
        _ => None,
    }
}

fn place_v4(v4: Ipv4Addr) -> Place {
    let [first, second, third, _] = v4.octets();
    let reserved = first == 0 || first >= 240 || (first, second, third) == (192, 0, 0);
    if v4.is_link_local() || METADATA.contains(&v4.octets()) {
        Place::LinkLocal
    } else if v4.is_multicast() || reserved {
        Place::Forbidden
    } else if v4.is_loopback() {
        Place::Loopback
    } else if v4.is_private()
        || (first == 100 && second & 0xc0 == 64)
        || (first == 198 && second & 0xfe == 18)
    {
        Place::Private
    } else {
        Place::Public
    }
}

fn place_v6(v6: Ipv6Addr) -> Place {
    let [first, second, third, ..] = v6.segments();
    // fe80::/10, and where two clouds answer about the machine: fd00:ec2::/32 and fd20:ce::/32.
    let link_local =
        first & 0xffc0 == 0xfe80 || matches!((first, second), (0xfd00, 0x0ec2) | (0xfd20, 0x00ce));
    // Translation of one's own network (RFC 8215), and Teredo: what is behind cannot be told.
    let translated = (first, second, third) == (0x64, 0xff9b, 1) || (first, second) == (0x2001, 0);
    if v6.is_loopback() {
        Place::Loopback
    } else if link_local {
        Place::LinkLocal
    } else if translated || v6.is_unspecified() || v6.is_multicast() {
        Place::Forbidden
    } else if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 {
        Place::Private
    } else {
        Place::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_an_address_is_the_same_place() {
        let cases: [(&str, Place); 37] = [
            ("8.8.8.8", Place::Public),
            ("2606:4700::1", Place::Public),
            ("10.0.0.1", Place::Private),
            ("172.31.0.1", Place::Private),
            ("192.168.1.1", Place::Private),
            ("100.64.0.1", Place::Private),
            ("198.18.0.1", Place::Private),
            ("fd12::1", Place::Private),
            ("fec0::1", Place::Private),
            ("127.0.0.1", Place::Loopback),
            ("127.255.255.254", Place::Loopback),
            ("::1", Place::Loopback),
            ("::ffff:127.0.0.1", Place::Loopback),
            ("64:ff9b::7f00:1", Place::Loopback),
            ("2002:7f00:1::", Place::Loopback),
            ("::ffff:10.0.0.1", Place::Private),
            ("64:ff9b::a00:1", Place::Private),
            ("169.254.169.254", Place::LinkLocal),
            ("::ffff:169.254.169.254", Place::LinkLocal),
            ("64:ff9b::a9fe:a9fe", Place::LinkLocal),
            ("2002:a9fe:a9fe::1", Place::LinkLocal),
            ("168.63.129.16", Place::LinkLocal),
            ("100.100.100.200", Place::LinkLocal),
            ("fd00:ec2::254", Place::LinkLocal),
            ("fd20:ce::254", Place::LinkLocal),
            ("64:ff9b:1::a00:1", Place::Forbidden),
            ("2001:0:4136:e378::1", Place::Forbidden),
            ("::127.0.0.1", Place::Loopback),
            ("::10.0.0.1", Place::Private),
            ("fe80::1", Place::LinkLocal),
            ("0.0.0.0", Place::Forbidden),
            ("0.1.2.3", Place::Forbidden),
            ("::", Place::Forbidden),
            ("224.0.0.1", Place::Forbidden),
            ("ff02::1", Place::Forbidden),
            ("255.255.255.255", Place::Forbidden),
            ("240.0.0.1", Place::Forbidden),
        ];
        for (text, expected) in cases {
            assert_eq!(place(text.parse().unwrap()), expected, "{text}");
        }
    }
}
