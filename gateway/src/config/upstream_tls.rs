//! What is spoken to an upstream, and how it is known to be the right one.

use std::path::PathBuf;

use super::{Config, reader::Reader};
use crate::upstream::check_tls;

/// What is spoken to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, over TLS where the endpoint says `https://`.
    Http1,
    /// HTTP/2 with prior knowledge, in clear text.
    H2c,
    /// TLS, HTTP/2 or HTTP/1.1 by ALPN.
    Https,
    /// By the endpoint's scheme: HTTP/1.1 in clear text, or as [`Protocol::Https`].
    Auto,
}

/// Whom an upstream is taken for when it is reached by TLS. Its name is always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Certificates in PEM, one of which must have signed the upstream's; absent: the system's.
    pub ca: Option<PathBuf>,
    /// How the gateway names itself, where the upstream asks.
    pub client: Option<ClientCertificate>,
}

/// The gateway's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and what leads to its authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Reads the files that the upstreams name, so that a missing one is known now.
pub(super) fn read_files(config: &Config, reader: &Reader<'_>) {
    for (id, upstream) in &config.upstreams {
        if let Err(error) = check_tls(&upstream.tls) {
            reader.fault(&format!("upstreams.{id}.{}", error.key), error.reason);
        }
    }
}
