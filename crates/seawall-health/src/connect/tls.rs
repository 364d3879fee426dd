//! The handshake, and whose certificates are accepted.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use seawall_core::InvalidConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are accepted beside those of the system, as PEM.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots(Vec<Vec<u8>>);

impl Roots {
    pub(super) fn add(&mut self, pem: Vec<u8>) {
        self.0.push(pem);
    }

    pub(super) fn connector(&self, host: &str) -> Result<Connector, InvalidConfig> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| InvalidConfig::new("url", error, "the name of a host"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let accepted = "what the provider of cryptography supports";
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidConfig::new("tls_versions", error, accepted))?
            .with_root_certificates(self.store()?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Connector {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    fn store(&self) -> Result<RootCertStore, InvalidConfig> {
        let mut store = RootCertStore::empty();
        for pem in &self.0 {
            let before = store.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                store.add(certificate).map_err(|error| unreadable(&error))?;
            }
            if store.len() == before {
                return Err(unreadable(&"no certificate in it"));
            }
        }
        let system = rustls_native_certs::load_native_certs();
        // Stores of systems have certificates that nobody can read; each of the others counts.
        store.add_parsable_certificates(system.certs);
        if store.is_empty() {
            let accepted =
                "those of the system (`ca-certificates`, or `SSL_CERT_FILE`), or your own";
            let why = system.errors.first().map(ToString::to_string);
            let why = why.unwrap_or_else(|| "none on this system".to_owned());
            return Err(InvalidConfig::new("root_certificates", why, accepted));
        }
        Ok(store)
    }
}

fn unreadable(error: &dyn fmt::Display) -> InvalidConfig {
    let accepted = "certificates in PEM: `-----BEGIN CERTIFICATE-----`";
    let value = format!("not readable ({error})");
    InvalidConfig::new("root_certificates", value, accepted)
}

/// Makes handshakes with one host.
pub(super) struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}
