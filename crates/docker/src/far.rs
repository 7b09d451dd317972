//! Engines behind something else than a socket of this machine or plain HTTP: TLS, ssh.

use std::time::Duration;

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{ClientConfig, RootCertStore};

use crate::endpoint::Certificates;

/// How long a connection that nobody uses is kept, and how many: each costs a handshake or a login.
const IDLE: Duration = Duration::from_secs(20);
const MOST_IDLE: usize = 4;

/// A client whose connections are made by a connector, for an engine at an address of this form:
/// `https://host:port`.
pub(crate) fn connect<C>(
    connector: C,
    address: &str,
    limit: u64,
    version: &ClientVersion,
) -> Result<Docker, Error>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .build(connector);
    let transport = move |request: BollardRequest| {
        let answer = client.request(request);
        async move { answer.await.map_err(Error::from) }
    };
    Docker::connect_with_custom_transport(transport, Some(address), limit, version)
}

/// The files for TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// One cannot be read, or holds something else.
    #[error("a certificate or key cannot be read")]
    File(#[from] pem::Error),
    /// They do not fit.
    #[error("the certificates and the key cannot be used")]
    Use(#[from] rustls::Error),
}

/// What makes connections over TLS. Nobody else's signature than that of the authority counts for the
/// engine, whomever this machine trusts.
pub(crate) fn over_tls(
    files: &Certificates,
) -> Result<impl Connect + Clone + Send + Sync + 'static, TlsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&files.authority)? {
        authorities.add(certificate?)?;
    }
    let own: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.certificate)?.collect();
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let config = ClientConfig::builder()
        .with_root_certificates(authorities)
        .with_client_auth_cert(own?, key)?;
    Ok(HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build())
}
