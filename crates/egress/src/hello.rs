//! What a program says first in a tunnel: where that is TLS, for which name.
//!
//! Behind one address there may be many names. So that a rule for one lets nobody reach another, the
//! name that a program asks for inside is judged as the one that it asked the proxy for.

use std::io;
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
    taken: usize,
    /// The first byte, if it is one of a record's and alone.
    kind: Option<u8>,
}

impl Hello {
    /// Takes what comes next.
    ///
    /// # Errors
    /// When it begins as TLS does, and goes on otherwise.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<Said, Refusal> {
        if self.taken == 0 || self.kind.is_some() {
            let (kind, major) = match (self.kind.take(), bytes) {
                (None, [kind, ..]) if !KINDS.contains(kind) => return Ok(Said::Nothing),
                (None, [kind]) => {
                    self.kind = Some(*kind);
                    (*kind, None)
                }
                (None, [kind, major, ..]) => (*kind, Some(*major)),
                (Some(kind), [major, ..]) => (kind, Some(*major)),
                (kind, []) => {
                    self.kind = kind;
                    return Ok(Said::Part);
                }
            };
            match major {
                Some(MAJOR) if kind == HANDSHAKE => {}
                // Servers pass over what others may come before a handshake, and we do not.
                Some(MAJOR) => return Err(Refusal::Malformed),
                Some(_) => return Ok(Said::Nothing),
                None => {}
            }
        }
        self.taken += bytes.len();
        if self.taken > LONGEST {
            return Err(Refusal::Malformed);
        }
        let broken = |_: io::Error| Refusal::Malformed;
        while !bytes.is_empty() {
            self.acceptor.read_tls(&mut bytes).map_err(broken)?;
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
    use std::sync::Arc;

    use rustls::crypto::ring;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// What a program says to a server of this name.
    fn hello(name: &'static str) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(name).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_name_is_found_however_it_comes() {
        let bytes = hello("inner.example");
        let named = Said::Name("inner.example".to_owned());
        assert_eq!(Hello::default().take(&bytes), Ok(named));
        for piece in [1, 7, 100] {
            let mut hello = Hello::default();
            let said: Vec<_> =
                bytes.chunks(piece).map(|bytes| hello.take(bytes).unwrap()).collect();
            let (last, parts) = said.split_last().unwrap();
            assert_eq!(last, &Said::Name("inner.example".to_owned()));
            assert!(parts.iter().all(|part| *part == Said::Part));
        }
        // Addresses are no names.
        assert_eq!(Hello::default().take(&hello("127.0.0.1")), Ok(Said::Nothing));
    }

    #[test]
    fn what_is_not_tls_goes_on_and_what_only_begins_so_does_not() {
        for other in [&b"SSH-2.0-x\r\n"[..], b"GET / HTTP/1.1", b"\0"] {
            assert_eq!(Hello::default().take(other), Ok(Said::Nothing));
        }
        let mut bytes = hello("inner.example");
        bytes[5] = 99;
        assert_eq!(Hello::default().take(&bytes), Err(Refusal::Malformed));
        let mut hello = Hello::default();
        assert_eq!(hello.take(&[22, 3, 1, 255, 255]), Err(Refusal::Malformed));
        // A warning, which servers pass over, and what is behind it.
        let warning = [&[21, 3, 1, 0, 2, 1, 90][..], &bytes].concat();
        assert_eq!(Hello::default().take(&warning), Err(Refusal::Malformed));
        let mut hello = Hello::default();
        assert_eq!(hello.take(&warning[..1]), Ok(Said::Part));
        assert_eq!(hello.take(&warning[1..]), Err(Refusal::Malformed));
        let mut hello = Hello::default();
        assert_eq!((hello.take(&[22]), hello.take(&[9])), (Ok(Said::Part), Ok(Said::Nothing)));
    }
}
