//! Which addresses are those of the internet at large.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Blocks of IPv4 that lead to this machine, to private networks or to a cloud's own services, or
/// nowhere: address and length of the prefix. From the IANA IPv4 Special-Purpose Address Registry
/// (RFC 6890 and later), but for the blocks for documentation, which lead nobody anywhere.
const CLOSED_V4: &[(Ipv4Addr, u32)] = &[
    // This network; Linux takes 0.0.0.0 for this machine.
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carriers' own networks; some clouds' metadata.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, and most clouds' metadata.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // A cloud's own services, at an address that is nobody else's.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Relays to IPv6 networks, deprecated.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast, reserved, broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// The same for IPv6, within the block of the internet at large, `2000::/3`: what is outside of it is
/// none of it. From the IANA IPv6 Special-Purpose Address Registry.
const CLOSED_V6: &[(Ipv6Addr, u32)] = &[
    // Teredo, benchmarking, ORCHID and other protocols' own.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // 6to4: an IPv4 address in disguise.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    // Documentation, and segment routing, outside or inside of it.
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address is one of the internet at large: not this machine's loopback, not private, not
/// of the link, not a cloud's metadata. An IPv6 address that stands for one of IPv4 is judged as that
/// one.
pub fn is_public(address: IpAddr) -> bool {
    match canonical(address) {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|(block, length)| {
            let beyond = 32 - length;
            address.to_bits() >> beyond == block.to_bits() >> beyond
        }),
        IpAddr::V6(address) => {
            let is_global = address.segments()[0] & 0xe000 == 0x2000;
            is_global
                && !CLOSED_V6.iter().any(|(block, length)| {
                    let beyond = 128 - length;
                    address.to_bits() >> beyond == block.to_bits() >> beyond
                })
        }
    }
}

/// The one address that all of its forms stand for.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
    }
}

/// The IPv4 address that an address of IPv6 stands for: mapped (RFC 4291) or translated (RFC 6052).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    const TRANSLATED: u128 = 0x0064_ff9b_0000_0000_0000_0000_0000_0000;
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    let bits = address.to_bits();
    let low = u32::try_from(bits & 0xffff_ffff).ok()?;
    (bits >> 32 == TRANSLATED >> 32).then(|| Ipv4Addr::from_bits(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    // R54: metadata addresses, the host's and private ones are none of the internet's.
    #[test]
    fn addresses_of_this_machine_private_networks_and_clouds_are_not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.0.1",
            "224.0.0.251",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "203.0.113.80",
            "2606:4700:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
