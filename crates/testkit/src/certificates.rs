//! Certificates for an engine and a server of files over TLS.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::file_server;

/// Writes into a folder what both sides need: `ca.pem`, for the server `server.pem` and
/// `server-key.pem`, for who calls an engine `cert.pem` and `key.pem`. An engine is at 127.0.0.1, and
/// [`serve_files_tls`](crate::serve_files_tls) at its own address.
pub fn write_certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // With the name of what it signs, OpenSSL would take that for signed by itself; with that of another
    // authority, it would find a signature broken where nothing is known of who signed.
    let name = format!("Authority of a test in {}", folder.display());
    params.distinguished_name.push(DnType::CommonName, name);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    write("ca.pem", authority.pem());
    for (certificate, key) in [("server.pem", "server-key.pem"), ("cert.pem", "key.pem")] {
        let addresses = ["127.0.0.1".to_owned(), file_server::ADDRESS.to_string()];
        let params = CertificateParams::new(addresses).unwrap();
        let own = KeyPair::generate().unwrap();
        write(certificate, params.signed_by(&own, &authority).unwrap().pem());
        write(key, own.serialize_pem());
    }
}
