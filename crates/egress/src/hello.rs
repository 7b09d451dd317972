//! What a program says first in a tunnel: where that is TLS, for which name.
//!
//! Behind one address there may be many names. So that a rule for one lets nobody reach another, the
//! name that a program asks for inside is judged as the one that it asked the proxy for.

use std::ops::RangeInclusive;

use armor_core::network::Refusal;
use rustls::server::Acceptor;

/// What records of TLS begin with: a kind, of which one is a handshake, and the first number of the
/// version (RFC 8446, section 5.1).
const KINDS: RangeInclusive<u8> = 20..=24;
const HANDSHAKE: u8 = 22;
const MAJOR: u8 = 3;
/// The longest that a first message may be, in bytes.
const LONGEST: usize = 64 << 10;

/// What is known of it so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// There has to come more of it.
    Part,
    /// It is not TLS, or names nobody.
    Nothing,
    /// It asks for this name.
    Name(String),
}

/// The first message, as it comes.
#[derive(Default)]
pub(crate) struct Hello {
    acceptor: Acceptor,
    /// How much of it the acceptor has.
    read: usize,
}

impl Hello {
    /// Looks at all that has come of it.
    ///
    /// # Errors
    /// When it begins as TLS does, and goes on otherwise.
    pub(crate) fn look(&mut self, message: &[u8]) -> Result<Said, Refusal> {
        match message {
            [kind, ..] if !KINDS.contains(kind) => return Ok(Said::Nothing),
            [] | [_] => return Ok(Said::Part),
            [HANDSHAKE, MAJOR, ..] if message.len() <= LONGEST => {}
            // Servers pass over what others may come before a handshake, and we do not.
            [_, MAJOR, ..] => return Err(Refusal::Malformed),
            _ => return Ok(Said::Nothing),
        }
        let mut fresh = message.get(self.read..).unwrap_or_default();
        self.read = message.len();
        while !fresh.is_empty() {
            self.acceptor.read_tls(&mut fresh).map_err(|_| Refusal::Malformed)?;
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let name = accepted.client_hello().server_name().map(str::to_owned);
                    return Ok(name.map_or(Said::Nothing, Said::Name));
                }
                Err(_) => return Err(Refusal::Malformed),
            }
        }
        Ok(Said::Part)
    }
}

#[cfg(test)]
mod tests {
    use armor_testkit::client_hello;

    use super::*;

    fn look(message: &[u8]) -> Result<Said, Refusal> {
        Hello::default().look(message)
    }

    #[test]
    fn the_name_is_found_however_it_comes() {
        let bytes = client_hello("inner.example");
        for piece in [1, 7, 100, bytes.len()] {
            let (mut hello, mut come) = (Hello::default(), 0);
            while come + piece < bytes.len() {
                come += piece;
                assert_eq!(hello.look(&bytes[..come]), Ok(Said::Part));
            }
            assert_eq!(hello.look(&bytes), Ok(Said::Name("inner.example".to_owned())));
        }
        // Addresses are no names.
        assert_eq!(look(&client_hello("127.0.0.1")), Ok(Said::Nothing));
    }

    #[test]
    fn what_is_not_tls_goes_on_and_what_only_begins_so_does_not() {
        for other in [&b"SSH-2.0-x\r\n"[..], b"GET / HTTP/1.1", b"\0", &[22, 9]] {
            assert_eq!(look(other), Ok(Said::Nothing));
        }
        let bytes = client_hello("inner.example");
        let mut broken = bytes.clone();
        broken[5] = 99;
        // A warning, which servers pass over, and what is behind it.
        let warning = [&[21, 3, 1, 0, 2, 1, 90][..], &bytes].concat();
        let long = [&[22, 3][..], &vec![0; LONGEST]].concat();
        for malformed in [&broken[..], &[22, 3, 1, 255, 255], &warning, &long] {
            assert_eq!(look(malformed), Err(Refusal::Malformed));
        }
        assert_eq!(look(&warning[..1]), Ok(Said::Part));
    }
}
