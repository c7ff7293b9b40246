//! An upstream behind TLS, with certificates made for the test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Whoever signs, and the files that say so.
pub(super) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// What an upstream shows and speaks.
pub(super) struct Shows<'a> {
    pub(super) names: &'a [&'a str],
    pub(super) is_expired: bool,
    pub(super) protocols: &'a [&'a str],
    /// Clients must show a certificate.
    pub(super) asks: bool,
}

/// A running upstream. It answers with the name of the protocol that was spoken.
pub(super) struct Secure {
    pub(super) address: SocketAddr,
    counts: Arc<Counts>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Default for Shows<'_> {
    fn default() -> Self {
        Self {
            names: &["localhost", "127.0.0.1"],
            is_expired: false,
            protocols: &["h2", "http/1.1"],
            asks: false,
        }
    }
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file");
        Self {
            folder,
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A client's certificate and key, as files.
    pub(super) fn client(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.sign(&["gateway"], false);
        let file = |name: &str, text: String| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        (
            file("client.pem", certificate.pem()),
            file("client.key", key.serialize_pem()),
        )
    }

    fn sign(&self, names: &[&str], is_expired: bool) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        if is_expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        (signed, key)
    }

    fn acceptor(&self, shows: &Shows<'_>) -> TlsAcceptor {
        let (certificate, key) = self.sign(shows.names, shows.is_expired);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if shows.asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.certificate.clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let mut config = builder
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate with its key");
        config.alpn_protocols = shows
            .protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        TlsAcceptor::from(Arc::new(config))
    }

    pub(super) async fn serve(&self, shows: &Shows<'_>) -> Secure {
        let acceptor = self.acceptor(shows);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, counts) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, &counts).await;
                    }
                });
            }
        });
        Secure {
            address,
            counts,
            accepting,
        }
    }
}

impl Secure {
    pub(super) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse(stream: TlsStream<TcpStream>, counts: &Counts) {
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        two(stream, counts).await;
    } else {
        one(stream, counts).await;
    }
}

async fn two(stream: TlsStream<TcpStream>, counts: &Counts) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        counts.requests.fetch_add(1, Ordering::SeqCst);
        let body = format!("h2 {}", request.uri().scheme_str().unwrap_or_default());
        let head = http::Response::builder().header("content-length", body.len());
        let head = head.body(()).expect("a head");
        let mut send = respond.send_response(head, false).expect("an open stream");
        send.send_data(Bytes::from(body), true)
            .expect("an open stream");
    }
}

/// `/torn` is answered by a body that the connection's end should end, and torn off.
async fn one(mut stream: TlsStream<TcpStream>, counts: &Counts) {
    let mut buffer = Vec::new();
    loop {
        while !buffer.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut buffer).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        counts.requests.fetch_add(1, Ordering::SeqCst);
        let is_torn = buffer.starts_with(b"GET /torn ");
        buffer.clear();
        let answer: &[u8] = match is_torn {
            true => b"HTTP/1.1 200 OK\r\n\r\nhalf",
            false => b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhttp1",
        };
        if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() || is_torn {
            // Without a word of TLS: anybody on the way could do so.
            return;
        }
    }
}
