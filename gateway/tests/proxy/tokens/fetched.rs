//! Key sets that change, fail, or are behind TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::keys::CERTIFIED;
use crate::scripted::{Act, response};
use crate::stage::PATIENCE;

#[tokio::test]
async fn a_key_set_is_fetched_again_for_a_new_key_and_forgets_a_dropped_one() {
    let set = |id: &str| {
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": ED_X}]});
        Act::Say(response("200 OK", "application/json", &keys.to_string()))
    };
    let legacy = Scripted::saying("welcome").await;
    let issuer = Scripted::always(set("old")).await;
    let stage = stage(&legacy, issuer.address, "refresh = \"100ms\"").await;
    let token = |id: &str| {
        let token = signed(&headed(Algorithm::EdDSA, id), &claims("set"), &ed(ED));
        line("Bearer", &token)
    };
    assert_eq!(stage.get("/", &token("old")).await.status(), 200);
    assert_eq!(stage.get("/", &token("new")).await.status(), 401);
    issuer.now(set("new"));
    becomes(&stage, &token("new"), 200).await;
    assert_eq!(stage.get("/", &token("old")).await.status(), 401);
    // The set is looked at again although its key is known: one that is dropped must go.
    issuer.now(set("newest"));
    becomes(&stage, &token("new"), 401).await;
    // Whoever's keys are known goes on without the endpoint, however often it is asked for.
    for broken in [
        Act::Close,
        Act::Say(response("500 Oops", "text/plain", "no")),
        Act::Say(response("200 OK", "application/json", "<html>")),
        Act::Say(response("200 OK", "application/json", "{\"keys\": []}")),
        Act::SayAndClose(
            "HTTP/1.1 302 Found\r\nlocation: /keys\r\ncontent-length: 0\r\n\r\n".into(),
        ),
    ] {
        let before = issuer.count();
        issuer.now(broken.clone());
        let asked = async {
            while issuer.count() < before + 2 {
                assert_eq!(
                    stage.get("/", &token("newest")).await.status(),
                    200,
                    "{broken:?}"
                );
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("it is asked again");
    }
}

async fn becomes(stage: &Stage, token: &str, status: u16) {
    let changes = async {
        while stage.get("/", token).await.status() != status {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, changes)
        .await
        .expect("in time");
}

/// A TLS server that says the same to everybody, with a certificate of the tests' own authority.
async fn secure(said: String) -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(CERTIFIED.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(CERTIFIED.key.as_bytes());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.expect("a certificate")],
            key.expect("a key"),
        );
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a pair")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, said) = (acceptor.clone(), said.clone());
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.ok()?;
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    match stream.read_buf(&mut asked).await {
                        Ok(read) if read > 0 => {}
                        _ => return None,
                    }
                }
                stream.write_all(said.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()
            });
        }
    });
    address
}

#[tokio::test]
async fn a_key_set_behind_tls_is_believed_only_with_a_certificate_of_a_trusted_authority() {
    let keys = response("200 OK", "application/json", &key_set().to_string());
    let issuer = secure(keys).await;
    let legacy = Scripted::saying("welcome").await;
    let stage = async |ca: &str| {
        Stage::open(&format!(
            "{}\n[auth]\n{ca}\n[[auth.issuers]]\nissuer = \"set\"\naudience = \"banyan\"\n\
             jwks_url = \"https://{issuer}/keys\"\n[[routes]]\nid = \"me\"\nprefix = \"/\"\n\
             legacy = \"legacy\"\nauth = {{ required = true }}\n",
            upstream("legacy", legacy.address, ""),
        ))
        .await
    };
    let token = signed(&headed(Algorithm::EdDSA, "ed"), &claims("set"), &ed(ED));
    let token = line("Bearer", &token);
    let authority = &CERTIFIED.authority;
    let trusting = stage(&format!("ca = \"\"\"\n{authority}\"\"\"")).await;
    assert_eq!(trusting.get("/", &token).await.status(), 200);
    let reply = stage("").await.get("/", &token).await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "auth_unavailable")
    );
    assert_eq!(legacy.count(), 1);
}
