//! Whom a program in a sandbox wants to reach.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Not the form of a host, or of a host with a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not {expected}", text.escape_debug())]
pub struct InvalidDestination {
    text: String,
    expected: &'static str,
}

/// The name of a host, in lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a name below `other`, such as `a.b.example` below `example`.
    pub fn is_below(&self, other: &Self) -> bool {
        let rest = self.0.strip_suffix(&other.0);
        rest.is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for DomainName {
    type Err = InvalidDestination;

    /// Takes names as hosts have them. A name whose last part is a number is refused: resolvers take
    /// some of these for addresses (`127.1`, `0x7f.1`).
    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let last = name.rsplit('.').next().unwrap_or_default();
        // What begins with a digit may be a number in one of several bases; no domain of the top
        // level does.
        let is_number = last.starts_with(|c: char| c.is_ascii_digit());
        if name.len() <= 253 && name.split('.').all(is_label) && !is_number {
            Ok(Self(name))
        } else {
            Err(InvalidDestination { text: text.to_owned(), expected: "the name of a host" })
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host, by name or address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// By its name.
    Name(DomainName),
    /// By its address.
    Address(IpAddr),
}

impl FromStr for Host {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        if let Some(address) = bare {
            let address = address.parse::<Ipv6Addr>();
            return match address {
                Ok(address) => Ok(Self::Address(address.into())),
                Err(_) => Err(InvalidDestination {
                    text: text.to_owned(),
                    expected: "an address in brackets",
                }),
            };
        }
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => Ok(Self::Name(text.parse()?)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A host and a port of it, written `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let split = text.rsplit_once(':').and_then(|(host, port)| {
            let is_plain = port.bytes().all(|c| c.is_ascii_digit());
            Some((host, port.parse().ok().filter(|port| is_plain && *port > 0)?))
        });
        let (host, port) = split.ok_or_else(|| InvalidDestination {
            text: text.to_owned(),
            expected: "a host and a port",
        })?;
        Ok(Self { host: host.parse()?, port })
    }
}

impl TryFrom<String> for Destination {
    type Error = InvalidDestination;

    fn try_from(text: String) -> Result<Self, InvalidDestination> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_and_nothing_that_could_be_taken_for_either() {
        for (text, shown) in [
            ("Example.COM.", "example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("_srv.example", "_srv.example"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[::1]", "[::1]"),
            ("::1", "[::1]"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-.b",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0x7f000001",
            "1.2.3.4.5",
            "017700000001",
            "a b",
            "a/b",
            "a@b",
            "bücher.example",
            "[127.0.0.1]",
            "[::1",
            "a:1",
            "fe80::1%eth0",
            "a\0b",
            "example.com\r\nx",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text:?}");
        }
        assert!("a".repeat(64).parse::<Host>().is_err());
    }

    #[test]
    fn a_destination_has_a_port() {
        assert_eq!("a.b:443".parse::<Destination>().unwrap().to_string(), "a.b:443");
        assert_eq!("[::1]:80".parse::<Destination>().unwrap().to_string(), "[::1]:80");
        for text in ["a.b", "a.b:", "a.b:0", "a.b:65536", "a.b:+80", "a.b: 80", ":80"] {
            assert!(text.parse::<Destination>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(text in "[a-zA-Z0-9.:\\[\\]_-]{1,30}:[0-9]{1,5}") {
            if let Ok(destination) = text.parse::<Destination>() {
                prop_assert_eq!(destination.to_string().parse::<Destination>().unwrap(), destination);
            }
        }
    }
}
