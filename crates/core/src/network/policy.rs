//! What rules add up to. Nothing is allowed that no rule allows; what a rule denies, no rule allows.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::network::address::canonical;
use crate::network::{Destination, Host, Rule, is_public};

/// Whether a rule lets what it is about through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It does.
    Allow,
    /// It does not, whatever other rules say.
    Deny,
}

/// Why a destination is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No rule allows it.
    NotAllowed,
    /// A rule denies it.
    Denied,
    /// Its address is this machine's, private, or a cloud's own, and no rule allows that address.
    Private,
    /// It is no destination, or could be taken for more than one.
    Malformed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAllowed => "no rule allows it",
            Self::Denied => "a rule denies it",
            Self::Malformed => "it is no destination",
            Self::Private => "its address is private, and no rule allows that address",
        })
    }
}

/// Rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPolicy {
    /// What may be reached.
    #[serde(default)]
    pub allow: Vec<Rule>,
    /// What may not, whatever else is allowed.
    #[serde(default)]
    pub deny: Vec<Rule>,
}

impl NetworkPolicy {
    /// Whether there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Adds a rule, in the place of the same one of the other verdict.
    pub fn set(&mut self, rule: Rule, verdict: Verdict) {
        let (to, from) = match verdict {
            Verdict::Allow => (&mut self.allow, &mut self.deny),
            Verdict::Deny => (&mut self.deny, &mut self.allow),
        };
        from.retain(|other| *other != rule);
        if !to.contains(&rule) {
            to.push(rule);
        }
    }

    /// These rules and those of another together, each once. What one of them denies stays denied.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (to, from) in [(&mut both.allow, &other.allow), (&mut both.deny, &other.deny)] {
            for rule in from {
                if !to.contains(rule) {
                    to.push(rule.clone());
                }
            }
        }
        both
    }

    /// Whether a destination may be reached, as it was named. Its addresses are
    /// [another matter](Self::judge_address).
    ///
    /// # Errors
    /// When it may not.
    pub fn judge(&self, destination: &Destination) -> Result<(), Refusal> {
        if self.denies(destination) {
            Err(Refusal::Denied)
        } else if self.allows(destination) {
            Ok(())
        } else {
            Err(Refusal::NotAllowed)
        }
    }

    /// Whether a connection may go to this address, whatever name led there: so no name makes a way
    /// to this machine or its networks, however it is answered. `own` are this machine's addresses.
    ///
    /// # Errors
    /// When it may not.
    pub fn judge_address(&self, address: IpAddr, port: u16, own: &[IpAddr]) -> Result<(), Refusal> {
        let is_own = own.iter().any(|own| canonical(*own) == canonical(address));
        let destination = Destination { host: Host::Address(address), port };
        if self.denies(&destination) {
            Err(Refusal::Denied)
        } else if is_public(address) && !is_own || self.allows(&destination) {
            Ok(())
        } else {
            Err(Refusal::Private)
        }
    }

    fn allows(&self, destination: &Destination) -> bool {
        self.allow.iter().any(|rule| rule.allows(destination))
    }

    fn denies(&self, destination: &Destination) -> bool {
        self.deny.iter().any(|rule| rule.denies(destination))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(allow: &[&str], deny: &[&str]) -> NetworkPolicy {
        let rules = |rules: &[&str]| rules.iter().map(|rule| rule.parse().unwrap()).collect();
        NetworkPolicy { allow: rules(allow), deny: rules(deny) }
    }

    #[test]
    fn nothing_is_allowed_that_no_rule_allows_and_what_is_denied_is_not() {
        let policy = policy(&["*.example.com"], &["secret.example.com"]);
        let judge = |text: &str| policy.judge(&text.parse().unwrap());
        assert_eq!(judge("a.example.com:443"), Ok(()));
        assert_eq!(judge("secret.example.com:443"), Err(Refusal::Denied));
        assert_eq!(judge("example.org:443"), Err(Refusal::NotAllowed));
        assert_eq!(
            NetworkPolicy::default().judge(&"a.b:443".parse().unwrap()),
            Err(Refusal::NotAllowed)
        );
    }

    // A name that is allowed may be answered with any address.
    #[test]
    fn an_address_that_is_not_the_internets_needs_a_rule_of_its_own() {
        let plain = policy(&["example.com"], &[]);
        let own = ["198.51.100.7".parse().unwrap()];
        let judge = |policy: &NetworkPolicy, address: &str| {
            policy.judge_address(address.parse().unwrap(), 443, &own)
        };
        assert_eq!(judge(&plain, "1.1.1.1"), Ok(()));
        for address in
            ["127.0.0.1", "169.254.169.254", "10.0.0.1", "198.51.100.7", "::ffff:198.51.100.7"]
        {
            assert_eq!(judge(&plain, address), Err(Refusal::Private), "{address}");
        }
        let wider = policy(&["example.com", "10.0.0.0/8"], &["10.0.0.1"]);
        assert_eq!(judge(&wider, "10.0.0.2"), Ok(()));
        assert_eq!(judge(&wider, "10.0.0.1"), Err(Refusal::Denied));
        assert_eq!(judge(&wider, "127.0.0.1"), Err(Refusal::Private));
    }

    proptest! {
        // R54: whatever else is allowed.
        #[test]
        fn what_a_rule_denies_stays_denied(
            others in prop::collection::vec("[a-c]{1,2}\\.[xy]", 0..6), denied in "[a-c]{1,2}\\.[xy]",
        ) {
            let mut policy = NetworkPolicy::default();
            policy.set(denied.parse().unwrap(), Verdict::Deny);
            for other in others.iter().filter(|other| **other != denied) {
                policy.set(other.parse().unwrap(), Verdict::Allow);
            }
            let destination = format!("{denied}:443").parse().unwrap();
            prop_assert_eq!(policy.judge(&destination), Err(Refusal::Denied));
            policy.set(denied.parse().unwrap(), Verdict::Allow);
            prop_assert_eq!(policy.judge(&destination), Ok(()));
        }
    }
}
