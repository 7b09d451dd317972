//! A rule: which hosts, and which ports of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};
use crate::network::address::canonical;
use crate::network::{Destination, DomainName, Host, PRESETS};

/// Not the form of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// No hosts, or no ports, can be made of it.
    #[error("`{}` is no rule for a network", .0.escape_debug())]
    Malformed(String),
    /// No such preset.
    #[error("there is no preset `{}`", .0.escape_debug())]
    UnknownPreset(String),
}

impl Diagnostic for InvalidRule {
    fn code(&self) -> Code {
        Code::NetworkInvalidRule
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Malformed(_) => "Write it as host[:port], such as example.com, *.example.com:8443, 192.0.2.0/24:22, or preset:pypi. Without a port it is 80 and 443; :* is every port.".to_owned(),
            Self::UnknownPreset(_) => {
                let names: Vec<_> = PRESETS.iter().map(|preset| preset.name).collect();
                format!("Use one of {}.", names.join(", "))
            }
        })
    }
}

/// Which hosts a rule is about, and which ports of them. Written `host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    hosts: Hosts,
    ports: Ports,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Hosts {
    /// Every host that has a name.
    Named,
    Name(DomainName),
    /// Every name below this one.
    Below(DomainName),
    Network(IpNet),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ports {
    /// Those of the web: 80 and 443.
    Web,
    One(u16),
    Any,
}

impl Rule {
    /// Whether the rule, as one that allows, is about this destination, as it was named.
    pub fn allows(&self, destination: &Destination) -> bool {
        self.ports.contain(destination.port) && self.is_about(&destination.host)
    }

    /// The same as one that denies: without a port it is about every port, not those of the web alone.
    pub fn denies(&self, destination: &Destination) -> bool {
        self.is_about(&destination.host)
            && (self.ports == Ports::Web || self.ports.contain(destination.port))
    }

    fn is_about(&self, host: &Host) -> bool {
        match (&self.hosts, host) {
            (Hosts::Named, Host::Name(_)) => true,
            (Hosts::Name(ours), Host::Name(name)) => ours == name,
            (Hosts::Below(ours), Host::Name(name)) => name.is_below(ours),
            // By the one form that counts: else a block of IPv6 would hold addresses of IPv4.
            (Hosts::Network(network), Host::Address(address)) => {
                network.contains(&canonical(*address))
            }
            _ => false,
        }
    }
}

impl Ports {
    const fn contain(self, port: u16) -> bool {
        match self {
            Self::Web => port == 80 || port == 443,
            Self::One(one) => port == one,
            Self::Any => true,
        }
    }
}

/// The rules that a text stands for: itself, or those of a preset, `preset:<name>`.
///
/// # Errors
/// When it is neither.
pub fn rules(text: &str) -> Result<Vec<Rule>, InvalidRule> {
    let Some(name) = text.strip_prefix("preset:") else { return Ok(vec![text.parse()?]) };
    let preset = PRESETS.iter().find(|preset| preset.name == name);
    let preset = preset.ok_or_else(|| InvalidRule::UnknownPreset(name.to_owned()))?;
    preset.rules.iter().map(|rule| rule.parse()).collect()
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let parsed = hosts(text).map(|hosts| Self { hosts, ports: Ports::Web }).or_else(|| {
            let (before, port) = text.rsplit_once(':')?;
            Some(Self { hosts: hosts(before)?, ports: ports(port)? })
        });
        parsed.ok_or_else(|| InvalidRule::Malformed(text.to_owned()))
    }
}

fn hosts(text: &str) -> Option<Hosts> {
    if text == "*" {
        return Some(Hosts::Named);
    }
    if let Some(name) = text.strip_prefix("*.") {
        return Some(Hosts::Below(name.parse().ok()?));
    }
    if let Some(name) = text.parse::<Host>().ok().and_then(name_of) {
        return Some(Hosts::Name(name));
    }
    // An address of IPv6 stands in brackets, or its end could be a port.
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let bare = bracketed.unwrap_or(text);
    let network =
        bare.parse::<IpNet>().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from)).ok()?;
    let is_v6 = matches!(network, IpNet::V6(_));
    (is_v6 == bracketed.is_some()).then(|| Hosts::Network(network.trunc()))
}

fn name_of(host: Host) -> Option<DomainName> {
    match host {
        Host::Name(name) => Some(name),
        Host::Address(_) => None,
    }
}

fn ports(text: &str) -> Option<Ports> {
    if text == "*" {
        return Some(Ports::Any);
    }
    let is_plain = text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|port| is_plain && *port > 0).map(Ports::One)
}

impl TryFrom<String> for Rule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Named => f.write_str("*")?,
            Hosts::Name(name) => name.fmt(f)?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
            Hosts::Network(network) => {
                let is_one = network.prefix_len() == network.max_prefix_len();
                let text = if is_one { network.addr().to_string() } else { network.to_string() };
                match network {
                    IpNet::V4(_) => f.write_str(&text)?,
                    IpNet::V6(_) => write!(f, "[{text}]")?,
                }
            }
        }
        match self.ports {
            Ports::Web => Ok(()),
            Ports::One(port) => write!(f, ":{port}"),
            Ports::Any => f.write_str(":*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(rule: &str, destination: &str) -> bool {
        rule.parse::<Rule>().unwrap().allows(&destination.parse().unwrap())
    }

    #[test]
    fn a_rule_is_about_the_hosts_and_ports_that_it_names() {
        for (rule, destination) in [
            ("example.com", "example.com:443"),
            ("example.com", "EXAMPLE.com.:80"),
            ("example.com:22", "example.com:22"),
            ("example.com:*", "example.com:9"),
            ("*.example.com", "a.b.example.com:443"),
            ("*", "example.com:443"),
            ("192.0.2.0/24:22", "192.0.2.7:22"),
            ("192.0.2.7", "[::ffff:192.0.2.7]:80"),
            ("[2001:db8::/32]:*", "[2001:db8::1]:9"),
        ] {
            assert!(matches(rule, destination), "{rule} {destination}");
        }
        for (rule, destination) in [
            ("example.com", "example.com:8080"),
            ("example.com", "a.example.com:443"),
            ("example.com", "notexample.com:443"),
            ("*.example.com", "example.com:443"),
            ("*.example.com", "evilexample.com:443"),
            ("*", "192.0.2.1:443"),
            ("192.0.2.0/24", "192.0.3.1:443"),
            ("192.0.2.7", "example.com:443"),
            ("[::/0]:*", "[::ffff:169.254.169.254]:80"),
            ("[64:ff9b::/96]", "[64:ff9b::a9fe:a9fe]:80"),
        ] {
            assert!(!matches(rule, destination), "{rule} {destination}");
        }
    }

    // Whoever denies a host means all of it.
    #[test]
    fn a_rule_that_denies_is_about_every_port_unless_it_names_one() {
        let denies = |rule: &str, destination: &str| {
            rule.parse::<Rule>().unwrap().denies(&destination.parse().unwrap())
        };
        assert!(denies("example.com", "example.com:8443"));
        assert!(denies("192.0.2.7", "[64:ff9b::c000:207]:22"));
        assert!(denies("example.com:22", "example.com:22"));
        assert!(!denies("example.com:22", "example.com:443"));
        assert!(!denies("example.com", "a.example.com:443"));
    }

    #[test]
    fn what_is_no_rule_is_refused_and_what_is_one_reads_as_it_is_shown() {
        for text in [
            "",
            "*.",
            "**",
            "a.*.b",
            "*example.com",
            "http://example.com",
            "example.com/x",
            ":443",
            "example.com:",
            "example.com:0",
            "example.com:65536",
            "example.com:443:443",
            "::1",
            "[192.0.2.1]",
            "192.0.2.0/33",
            "1.2.3",
            "a b",
            "preset:pypi",
        ] {
            assert!(text.parse::<Rule>().is_err(), "{text:?}");
        }
        for text in [
            "example.com",
            "*.a:*",
            "*:443",
            "10.0.0.0/8:22",
            "192.0.2.1",
            "[::1]:80",
            "[fd00::/8]",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        // The bits beyond the prefix say nothing.
        assert_eq!("10.1.2.3/8".parse::<Rule>().unwrap().to_string(), "10.0.0.0/8");
    }

    #[test]
    fn every_preset_is_made_of_rules() {
        for preset in PRESETS {
            assert!(!rules(&format!("preset:{}", preset.name)).unwrap().is_empty());
        }
        let error = rules("preset:nothing").unwrap_err();
        assert!(error.next_step().unwrap().contains("pypi"));
    }
}
