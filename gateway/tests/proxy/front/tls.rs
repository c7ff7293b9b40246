//! TLS on the data port, and its certificate's life.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::Config;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::scripted::Scripted;
use crate::stage::{PATIENCE, Stage, upstream};

/// Certificates that only tests believe.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().expect("a folder"));
        let text = "[req]\ndistinguished_name=name\nx509_extensions=more\nprompt=no\n\
                    [name]\nCN=localhost\n\
                    [more]\nbasicConstraints=critical,CA:FALSE\n\
                    subjectAltName=DNS:localhost,IP:127.0.0.1\n\
                    [ca]\ndefault_ca=own\n\
                    [own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\npolicy=any\n\
                    [any]\ncommonName=supplied\n";
        std::fs::write(this.path("openssl.cnf"), text).expect("writable");
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes `NAME.crt` and `NAME.key`.
    fn make(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30 \
             -config openssl.cnf -keyout {name}.key -out {name}.crt"
        ));
    }

    /// The same, long over.
    fn make_expired(&self, name: &str) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc \
             -config openssl.cnf -keyout {name}.key -out {name}.csr"
        ));
        std::fs::write(self.path("index"), "").expect("writable");
        self.openssl(&format!(
            "ca -batch -config openssl.cnf -selfsign -in {name}.csr -keyfile {name}.key \
             -startdate 20200101000000Z -enddate 20200201000000Z -rand_serial -out {name}.crt"
        ));
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl is there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {said}");
    }

    /// Puts the pair NAME where the gateway looks.
    fn install(&self, name: &str) {
        for part in ["crt", "key"] {
            let from = self.path(&format!("{name}.{part}"));
            std::fs::copy(from, self.path(&format!("live.{part}"))).expect("a copy");
        }
    }

    fn der(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{name}.crt"))).expect("a certificate")
    }

    fn setting(&self) -> String {
        let path = |part: &str| self.path(&format!("live.{part}")).display().to_string();
        format!(
            "tls = {{ cert = \"{}\", key = \"{}\" }}",
            path("crt"),
            path("key")
        )
    }

    /// A client that believes these certificates and offers these protocols.
    fn client(
        &self,
        believed: &[&str],
        offered: &[&str],
        version: &'static SupportedProtocolVersion,
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        for name in believed {
            roots.add(self.der(name)).expect("a root");
        }
        let provider = Arc::new(ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = offered.iter().map(|it| it.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(client))
    }
}

async fn stage(certificates: &Certificates, legacy: &Scripted, more: &str) -> Stage {
    Stage::open(&format!(
        "{}\n{more}\n{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n",
        certificates.setting(),
        upstream("legacy", legacy.address, "")
    ))
    .await
}

async fn connect(stage: &Stage, client: &TlsConnector) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(stage.address).await.expect("it accepts");
    let name = ServerName::try_from("localhost").expect("a name");
    let shaking = tokio::time::timeout(PATIENCE, client.connect(name, tcp)).await;
    shaking.expect("in time").expect("a handshake")
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("open");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("a whole answer, and a clean end");
    answer
}

#[tokio::test]
async fn http1_is_spoken_over_each_version_and_the_upstream_is_told() {
    let certificates = Certificates::new();
    certificates.make("one");
    certificates.install("one");
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&certificates, &legacy, "").await;
    for version in [&version::TLS12, &version::TLS13] {
        for offered in [&[][..], &["http/1.1"][..]] {
            let client = certificates.client(&["one"], offered, version);
            let answer = ask(&mut connect(&stage, &client).await).await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
                "{answer}"
            );
        }
    }
    for seen in legacy.seen() {
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    }
}

#[tokio::test]
async fn http2_is_preferred_where_the_client_offers_it() {
    let certificates = Certificates::new();
    certificates.make("one");
    certificates.install("one");
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&certificates, &legacy, "").await;
    let client = certificates.client(&["one"], &["http/1.1", "h2"], &version::TLS13);
    let stream = connect(&stage, &client).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) = h2::client::handshake(stream).await.expect("a preface");
    tokio::spawn(async move { drop(connection.await) });
    let request = http::Request::get("https://localhost/a").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("via"), Some("2.0 banyan"));
}

#[tokio::test]
async fn our_cookie_is_kept_to_tls() {
    let certificates = Certificates::new();
    certificates.make("one");
    certificates.install("one");
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n{}\n{}\n[flags.move]\npercent = 0.0\n[[routes]]\nid = \"all\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\ncandidate = \"quiz\"\nflag = \"move\"\n",
        certificates.setting(),
        upstream("legacy", legacy.address, ""),
        upstream("quiz", legacy.address, ""),
    ))
    .await;
    let client = certificates.client(&["one"], &[], &version::TLS13);
    let answer = ask(&mut connect(&stage, &client).await).await;
    let cookie = answer.lines().find(|line| line.starts_with("set-cookie"));
    assert!(cookie.is_some_and(|it| it.contains("; Secure")), "{answer}");
}

#[tokio::test]
async fn plain_http_is_told_to_come_back_with_tls() {
    let certificates = Certificates::new();
    certificates.make("one");
    certificates.install("one");
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&certificates, &legacy, "").await;
    let mut client = stage.connect().await;
    let reply = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (400, "tls_required")
    );
    assert!(client.rest().await.is_empty());
    assert_eq!(legacy.count(), 0);
    let ended = "banyan_gateway_client_connections_ended_total{reason=\"plain\"}";
    stage.shows(ended, "1");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let certificates = Certificates::new();
    certificates.make("one");
    certificates.install("one");
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&certificates, &legacy, "[limits]\nheader_timeout = \"1s\"").await;
    let mut client = stage.connect().await;
    client.send(&[0x16, 3, 1, 0, 200, 1]).await;
    assert!(client.rest().await.is_empty());
    let ended = "banyan_gateway_client_connections_ended_total{reason=\"handshake\"}";
    let line = format!("{ended} 1\n");
    testkit::eventually(PATIENCE, || async { stage.metrics().contains(&line) }).await;
    // And one that is nonsense at once.
    let mut client = stage.connect().await;
    client.send(&[0x16; 600]).await;
    client.rest().await;
    let line = format!("{ended} 2\n");
    testkit::eventually(PATIENCE, || async { stage.metrics().contains(&line) }).await;
}

/// As many as a worker shakes hands with at a time have begun to speak and do not go on.
#[tokio::test]
async fn who_does_not_finish_its_hello_keeps_nobody_waiting() {
    let certificates = Certificates::new();
    certificates.make("one");
    certificates.install("one");
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&certificates, &legacy, "").await;
    let mut stalled = Vec::new();
    for _ in 0..1_200 {
        let mut client = stage.connect().await;
        client.send(&[0x16, 3, 1, 0, 200, 1]).await;
        stalled.push(client);
    }
    let client = certificates.client(&["one"], &["http/1.1"], &version::TLS13);
    let asking = async { ask(&mut connect(&stage, &client).await).await };
    // They are let go after ten seconds, which is no time to wait for.
    let answer = tokio::time::timeout(Duration::from_secs(8), asking).await;
    assert!(answer.expect("in time").ends_with("hello"));
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_and_a_broken_one_is_not() {
    let certificates = Certificates::new();
    for name in ["one", "two"] {
        certificates.make(name);
    }
    certificates.make_expired("old");
    certificates.install("one");
    let legacy = Scripted::saying("hello").await;
    let stage = stage(&certificates, &legacy, "").await;
    let client = certificates.client(&["one", "two"], &[], &version::TLS13);
    let shown = || async {
        let stream = connect(&stage, &client).await;
        let chain = stream.get_ref().1.peer_certificates().expect("a chain");
        chain[0].clone().into_owned()
    };
    let counted = |result: &str, count: u64| {
        let series = "banyan_gateway_tls_certificate_reloads_total";
        format!("{series}{{result=\"{result}\"}} {count}\n")
    };
    assert_eq!(shown().await, certificates.der("one"));
    let mut held = connect(&stage, &client).await;
    // A certificate without its key, then one that is over: both are refused.
    std::fs::copy(certificates.path("two.crt"), certificates.path("live.crt")).unwrap();
    let line = counted("refused", 1);
    testkit::eventually(PATIENCE, || async { stage.metrics().contains(&line) }).await;
    assert_eq!(shown().await, certificates.der("one"));
    certificates.install("old");
    let line = counted("refused", 2);
    testkit::eventually(PATIENCE, || async { stage.metrics().contains(&line) }).await;
    assert_eq!(shown().await, certificates.der("one"));
    // The whole pair.
    certificates.install("two");
    let line = counted("applied", 1);
    testkit::eventually(PATIENCE, || async { stage.metrics().contains(&line) }).await;
    assert_eq!(shown().await, certificates.der("two"));
    // Connections from before live on.
    assert!(ask(&mut held).await.ends_with("hello"));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let expires: u64 = stage
        .metrics()
        .lines()
        .find_map(|line| {
            line.strip_prefix("banyan_gateway_tls_certificate_expires_timestamp_seconds ")
        })
        .and_then(|value| value.parse().ok())
        .expect("a time");
    let month = Duration::from_secs(30 * 24 * 60 * 60).as_secs();
    assert!(
        (now..=now + month + 1).contains(&expires),
        "{expires} at {now}"
    );
}

/// The faults of a configuration with this pair.
fn faults(folder: &Path, cert: &str, key: &str) -> Vec<(String, String)> {
    let path = folder.join("gateway.toml");
    let (cert, key) = (folder.join(cert), folder.join(key));
    let text = format!(
        "tls = {{ cert = \"{}\", key = \"{}\" }}\n\
         upstreams.legacy.endpoints = [\"http://127.0.0.1:9000\"]\n\
         routes = [{{ id = \"all\", prefix = \"/\", legacy = \"legacy\" }}]\n",
        cert.display(),
        key.display()
    );
    std::fs::write(&path, text).expect("writable");
    let faults = Config::load(&path)
        .err()
        .map_or_else(Vec::new, |faults| faults.0);
    faults
        .into_iter()
        .map(|fault| (fault.key, fault.message))
        .collect()
}

#[test]
fn a_pair_that_cannot_be_served_with_is_a_fault_that_names_the_file() {
    let certificates = Certificates::new();
    for name in ["one", "two"] {
        certificates.make(name);
    }
    certificates.make_expired("old");
    std::fs::write(certificates.path("none.crt"), "no certificate").unwrap();
    let folder = certificates.0.path();
    assert_eq!(faults(folder, "one.crt", "one.key"), []);
    for (cert, key, setting, file, why) in [
        (
            "gone.crt",
            "one.key",
            "tls.cert",
            "gone.crt",
            "No such file",
        ),
        ("one.crt", "gone.key", "tls.key", "gone.key", "No such file"),
        (
            "none.crt",
            "one.key",
            "tls.cert",
            "none.crt",
            "holds no certificate",
        ),
        (
            "one.key",
            "one.key",
            "tls.cert",
            "one.key",
            "holds no certificate",
        ),
        (
            "one.crt",
            "one.crt",
            "tls.key",
            "one.crt",
            "holds no private key",
        ),
        (
            "one.crt",
            "two.key",
            "tls.key",
            "two.key",
            "is not the key of",
        ),
        ("old.crt", "old.key", "tls.cert", "old.crt", "expired at"),
    ] {
        let told = faults(folder, cert, key);
        let [(at, message)] = &told[..] else {
            panic!("{cert} and {key}: {told:?}");
        };
        assert_eq!(at, setting, "{cert} and {key}");
        assert!(message.contains(file) && message.contains(why), "{message}");
    }
}

#[test]
fn a_file_for_another_machine_is_not_judged_by_what_this_one_has() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(faults(folder.path(), "gone.crt", "gone.key").len(), 1);
    let path = folder.path().join("gateway.toml");
    assert!(Config::load_for_elsewhere(&path).is_ok());
}
