//! Which certificates of servers are accepted.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use seawall_core::InvalidConfig;

/// Whose certificates a client accepts.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    /// As PEM: each may hold several certificates.
    pub(super) roots: Vec<Vec<u8>>,
    pub(super) system_roots: bool,
    pub(super) is_verified: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            system_roots: true,
            is_verified: true,
        }
    }
}

impl Tls {
    /// Where it is not `used`, no certificates are read.
    pub(super) fn config(&self, used: bool) -> Result<ClientConfig, InvalidConfig> {
        let provider = Arc::new(crypto::ring::default_provider());
        let accepted = "what the provider of cryptography supports";
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| InvalidConfig::new("tls_versions", error, accepted))?;
        if !self.is_verified {
            let verifier = Arc::new(AcceptAny(provider.signature_verification_algorithms));
            let dangerous = config
                .dangerous()
                .with_custom_certificate_verifier(verifier);
            return Ok(dangerous.with_no_client_auth());
        }
        let roots = if used {
            self.store()?
        } else {
            RootCertStore::empty()
        };
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    fn store(&self) -> Result<RootCertStore, InvalidConfig> {
        let mut store = RootCertStore::empty();
        for pem in &self.roots {
            add_pem(&mut store, pem)?;
        }
        if self.system_roots {
            let system = rustls_native_certs::load_native_certs();
            // Stores of systems have certificates that nobody can read; each of the others counts.
            store.add_parsable_certificates(system.certs);
            if store.is_empty() {
                let why = system.errors.first().map(ToString::to_string);
                return Err(InvalidConfig::new(
                    "root_certificates",
                    why.unwrap_or_else(|| "none on this system".into()),
                    "those of the system (`ca-certificates`, or `SSL_CERT_FILE`), or your own",
                ));
            }
        }
        if store.is_empty() {
            let accepted = "at least one without those of the system";
            return Err(InvalidConfig::new("root_certificates", "none", accepted));
        }
        Ok(store)
    }
}

fn add_pem(store: &mut RootCertStore, pem: &[u8]) -> Result<(), InvalidConfig> {
    const ACCEPTED: &str = "certificates in PEM: `-----BEGIN CERTIFICATE-----`";
    let invalid = |error: &dyn fmt::Display| {
        InvalidConfig::new(
            "root_certificates",
            format!("not readable ({error})"),
            ACCEPTED,
        )
    };
    let before = store.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| invalid(&error))?;
        store.add(certificate).map_err(|error| invalid(&error))?;
    }
    if store.len() == before {
        return Err(invalid(&"no certificate in it"));
    }
    Ok(())
}

/// Accepts any certificate.
#[derive(Debug)]
struct AcceptAny(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(roots: &[&str]) -> Result<ClientConfig, InvalidConfig> {
        let tls = Tls {
            roots: roots.iter().map(|pem| pem.as_bytes().to_vec()).collect(),
            system_roots: false,
            is_verified: true,
        };
        tls.config(true)
    }

    #[test]
    fn roots_that_cannot_be_read_are_named() {
        for roots in [
            &[][..],
            &["no pem"],
            &["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
            &["-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"],
        ] {
            assert_eq!(own(roots).unwrap_err().field(), "root_certificates");
        }
    }
}
