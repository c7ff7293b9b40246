//! Who signs access tokens in a test of a service that only verifies them.

use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use contracts::Claims;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use uuid::Uuid;

/// How long its tokens are good: longer than any test.
const LIFETIME_SECONDS: i64 = 3600;

/// The head of a request for the keys is far shorter than this.
const REQUEST_MAX: usize = 8 * 1024;

/// An issuer with one key pair, whose public key it serves on a port of its own until it is
/// dropped.
pub struct Issuer {
    key: EncodingKey,
    key_id: String,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Issuer {
    /// Makes a key and serves it.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start() -> Self {
        let pair = ed25519_dalek::SigningKey::from_bytes(&rand::random::<[u8; 32]>());
        let private = pair.to_pkcs8_der().expect("a key can be written down");
        let key_id = Uuid::new_v4().to_string();
        let keys = json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id,
            "x": URL_SAFE_NO_PAD.encode(pair.verifying_key().as_bytes()),
        }] });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self {
            key: EncodingKey::from_ed_der(private.as_bytes()),
            key_id,
            address,
            serving: tokio::spawn(serve(listener, keys)),
        }
    }

    /// What a service's setting `jwks_url` is.
    pub fn jwks_url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// A token for this user.
    ///
    /// # Panics
    /// Never in practice.
    pub fn token(&self, user_id: Uuid, name: &str, roles: &[&str]) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = i64::try_from(now.expect("a clock after 1970").as_secs()).expect("this age");
        let claims = Claims {
            iss: Claims::ISSUER.to_owned(),
            aud: Claims::AUDIENCE.to_owned(),
            sub: user_id,
            name: name.to_owned(),
            roles: roles.iter().map(ToString::to_string).collect(),
            iat: now,
            exp: now + LIFETIME_SECONDS,
            jti: Uuid::now_v7(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.key_id.clone());
        jsonwebtoken::encode(&header, &claims, &self.key).expect("claims are JSON")
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, keys: Value) {
    let body = keys.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    while let Ok((connection, _)) = listener.accept().await {
        // A client that goes away has had its answer, or did not want it.
        reply(connection, &answer).await.ok();
    }
}

async fn reply(mut connection: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_MAX {
        if connection.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    connection.write_all(answer.as_bytes()).await?;
    connection.shutdown().await
}
