//! A provider of our own that lies on demand.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::browser::parameter;

/// What the provider does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    Nonce,
    NoNonce,
    Audience,
    MoreAudiences,
    Issuer,
    Expired,
    Unsigned,
    SharedSecret,
    ForeignKey,
    StolenKeyId,
    NoIdToken,
    AccessTokenHash,
    SubjectWithNul,
    EmptySubject,
    Garbage,
    Endless,
    ServerError,
    Redirect,
    RefusesUs,
    Slow,
}

pub(crate) struct Liar {
    pub(crate) issuer: String,
    state: Arc<Mutex<Mood>>,
}

struct Mood {
    lie: Lie,
    /// What the discovery document says.
    issuer: String,
    /// Of the sign-in that is under way.
    nonce: String,
    challenge: String,
    keys: Vec<Pair>,
    discoveries: usize,
}

struct Pair {
    id: String,
    private: EncodingKey,
    public: String,
}

impl Pair {
    fn new(id: &str) -> Self {
        let pair = ed25519_dalek::SigningKey::from_bytes(&rand::random::<[u8; 32]>());
        let der = pair.to_pkcs8_der().expect("a key can be written down");
        Self {
            id: id.to_owned(),
            private: EncodingKey::from_ed_der(der.as_bytes()),
            public: URL_SAFE_NO_PAD.encode(pair.verifying_key().as_bytes()),
        }
    }
}

type Shared = Arc<Mutex<Mood>>;

impl Liar {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(Mood {
            lie: Lie::None,
            issuer: issuer.clone(),
            nonce: String::new(),
            challenge: String::new(),
            keys: vec![Pair::new("one")],
            discoveries: 0,
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, state }
    }

    pub(crate) fn tell(&self, lie: Lie) {
        self.mood().lie = lie;
    }

    /// From now on it calls itself something else.
    pub(crate) fn call_itself(&self, issuer: &str) {
        issuer.clone_into(&mut self.mood().issuer);
    }

    /// Signs with a new key, and publishes only that one.
    pub(crate) fn rotate(&self) {
        self.mood().keys = vec![Pair::new("two")];
    }

    pub(crate) fn discoveries(&self) -> usize {
        self.mood().discoveries
    }

    /// Somebody signs in; the callback's query.
    pub(crate) fn approve(&self, authorization: &str) -> String {
        assert_eq!(parameter(authorization, "response_type"), "code");
        assert_eq!(parameter(authorization, "code_challenge_method"), "S256");
        let mut mood = self.mood();
        mood.nonce = parameter(authorization, "nonce");
        mood.challenge = parameter(authorization, "code_challenge");
        format!("?code=good&state={}", parameter(authorization, "state"))
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.state.lock().expect("unspoiled")
    }
}

async fn discovery(State(state): State<Shared>) -> Response {
    let (lie, document) = {
        let mut mood = state.lock().expect("unspoiled");
        mood.discoveries += 1;
        let issuer = &mood.issuer;
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            // It would like everything to be good.
            "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "HS256", "none"],
        });
        (mood.lie, document)
    };
    misbehave(lie)
        .await
        .unwrap_or_else(|| axum::Json(document).into_response())
}

async fn keys(State(state): State<Shared>) -> axum::Json<Value> {
    let mood = state.lock().expect("unspoiled");
    let key = |pair: &Pair| {
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": pair.id, "x": pair.public })
    };
    let keys: Vec<Value> = mood.keys.iter().map(key).collect();
    axum::Json(json!({ "keys": keys }))
}

async fn token(
    State(state): State<Shared>,
    headers: axum::http::HeaderMap,
    form: String,
) -> Response {
    let lie = state.lock().expect("unspoiled").lie;
    if let Some(response) = misbehave(lie).await {
        return response;
    }
    let refuse = |code: &str| {
        let body = axum::Json(json!({ "error": code }));
        (StatusCode::BAD_REQUEST, body).into_response()
    };
    if lie == Lie::RefusesUs || !headers.contains_key(header::AUTHORIZATION) {
        return refuse("invalid_client");
    }
    let mood = state.lock().expect("unspoiled");
    let form = format!("?{form}");
    let verifier = parameter(&form, "code_verifier");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    if parameter(&form, "code") != "good" || challenge != mood.challenge {
        return refuse("invalid_grant");
    }
    let mut body = json!({ "access_token": "opaque", "token_type": "Bearer", "expires_in": 60 });
    if lie != Lie::NoIdToken {
        body["id_token"] = json!(id_token(&mood));
    }
    axum::Json(body).into_response()
}

/// What is wrong before anything is said.
async fn misbehave(lie: Lie) -> Option<Response> {
    match lie {
        Lie::Garbage => Some("<html>Sign in to the hotel's network</html>".into_response()),
        Lie::ServerError => Some(StatusCode::BAD_GATEWAY.into_response()),
        Lie::Redirect => {
            let elsewhere = [(header::LOCATION, "http://127.0.0.1:1/inner")];
            Some((StatusCode::FOUND, elsewhere).into_response())
        }
        Lie::Endless => {
            let chunk = Ok::<_, Infallible>(Bytes::from_static(&[b' '; 4096]));
            let stream = futures::stream::repeat_with(move || chunk.clone());
            Some(Body::from_stream(stream).into_response())
        }
        Lie::Slow => {
            // Longer than anybody waits; being slow is what this is about.
            tokio::time::sleep(Duration::from_secs(3600)).await;
            None
        }
        _ => None,
    }
}

fn id_token(mood: &Mood) -> String {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let mut claims = json!({
        "iss": mood.issuer, "aud": "node-learn", "sub": "ada", "nonce": mood.nonce,
        "iat": now, "exp": now + 300, "name": "Ada", "at_hash": hash_of("opaque"),
    });
    match mood.lie {
        Lie::Nonce => claims["nonce"] = json!("of another sign-in"),
        Lie::NoNonce => claims["nonce"] = Value::Null,
        Lie::Audience => claims["aud"] = json!("another-client"),
        Lie::MoreAudiences => claims["aud"] = json!(["node-learn", "another-client"]),
        Lie::Issuer => claims["iss"] = json!("https://accounts.google.com"),
        Lie::Expired => claims["exp"] = json!(now - 60),
        Lie::AccessTokenHash => claims["at_hash"] = json!(hash_of("another token")),
        Lie::SubjectWithNul => claims["sub"] = json!("ada\0"),
        Lie::EmptySubject => claims["sub"] = json!(""),
        _ => {}
    }
    let signed = |algorithm, id: &str, key: &EncodingKey| {
        let mut header = Header::new(algorithm);
        header.kid = Some(id.to_owned());
        jsonwebtoken::encode(&header, &claims, key).expect("a token")
    };
    let own = &mood.keys[0];
    match mood.lie {
        Lie::Unsigned => {
            let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", part(json!({ "alg": "none" })), part(claims))
        }
        Lie::SharedSecret => {
            let secret = EncodingKey::from_secret(b"secret");
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret).expect("a token")
        }
        Lie::ForeignKey => signed(Algorithm::EdDSA, "unknown", &Pair::new("unknown").private),
        Lie::StolenKeyId => signed(Algorithm::EdDSA, &own.id, &Pair::new("other").private),
        _ => signed(Algorithm::EdDSA, &own.id, &own.private),
    }
}

/// The left half of the hash that the signature's algorithm uses (OpenID Connect Core, 3.1.3.6).
fn hash_of(token: &str) -> String {
    let digest = sha2::Sha512::digest(token);
    URL_SAFE_NO_PAD.encode(&digest[..32])
}
