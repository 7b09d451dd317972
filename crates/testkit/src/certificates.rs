//! Certificates for an engine over TLS.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Writes into a folder what both sides need: `ca.pem`, for the engine `server.pem` and
/// `server-key.pem`, for who calls it `cert.pem` and `key.pem`. The engine is at 127.0.0.1.
pub fn write_certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::create_dir_all(folder).unwrap();
    let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    write("ca.pem", authority.pem());
    for (certificate, key) in [("server.pem", "server-key.pem"), ("cert.pem", "key.pem")] {
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let own = KeyPair::generate().unwrap();
        write(certificate, params.signed_by(&own, &authority).unwrap().pem());
        write(key, own.serialize_pem());
    }
}
