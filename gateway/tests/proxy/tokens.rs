//! What a token proves, by every kind of key, and what no forgery proves.

mod fetched;
mod forgeries;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::keys::{P256, P384, RSA, WEAK};
use crate::scripted::{Act, Scripted, response};
use crate::stage::{Stage, upstream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Key pairs of RFC 8032, §7.1, which everybody knows.
const ED: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER_ED: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ/T+RuXe8OUm/sLFnGmpXg2ZylDJ2cK/3Ti+L1AUMGJ\n\
    -----END PRIVATE KEY-----\n";

/// A key set with a key of every kind, and some that must not count.
fn key_set() -> Value {
    let (es, es384, n, weak) = (&P256, &P384, &RSA.n, &WEAK.n);
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": ED_X, "use": "sig"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed-named", "x": ED_X, "alg": "Ed25519"},
        {"kty": "RSA", "kid": "rs", "n": n, "e": "AQAB"},
        {"kty": "RSA", "kid": "rs512", "n": n, "e": "AQAB", "alg": "RS512"},
        {"kty": "RSA", "kid": "ps", "n": n, "e": "AQAB", "alg": "PS256", "key_ops": ["verify"]},
        {"kty": "EC", "crv": "P-256", "kid": "es", "x": es.x, "y": es.y, "alg": "ES256"},
        {"kty": "EC", "crv": "P-384", "kid": "es384", "x": es384.x, "y": es384.y},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "weak", "n": weak, "e": "AQAB"},
        {"kty": "RSA", "kid": "encrypts", "n": n, "e": "AQAB", "use": "enc"},
        {"kty": "RSA", "kid": "signs", "n": n, "e": "AQAB", "key_ops": ["sign"]},
        {"kty": "RSA", "kid": "mislabelled", "n": n, "e": "AQAB", "alg": "ES256"},
        {"kty": "unheard-of", "kid": "new"},
    ]})
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock").as_secs()
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "aud": "banyan", "sub": "user-7", "exp": now() + 600})
}

fn headed(algorithm: Algorithm, id: &str) -> Header {
    Header {
        kid: Some(id.to_owned()),
        ..Header::new(algorithm)
    }
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("a token")
}

fn ed(pem: &str) -> EncodingKey {
    EncodingKey::from_ed_pem(pem.as_bytes()).expect("a key")
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA.private.as_bytes()).expect("a key")
}

fn ec(pem: &str) -> EncodingKey {
    EncodingKey::from_ec_pem(pem.as_bytes()).expect("a key")
}

fn secret(secret: impl AsRef<[u8]>) -> EncodingKey {
    EncodingKey::from_secret(secret.as_ref())
}

fn line(scheme: &str, token: &str) -> String {
    format!("authorization: {scheme} {token}\r\n")
}

/// Three issuers: `set` by its key set, `fixed` by its public key and another word, `shared` by a
/// secret. `/` demands a token, `/open` none, `/write` scopes.
async fn stage(legacy: &Scripted, issuer: SocketAddr, more: &str) -> Stage {
    let public = &RSA.public;
    let auth = format!(
        "[auth]\nleeway = \"5s\"\n\
         [[auth.issuers]]\nissuer = \"set\"\naudience = \"banyan\"\n\
         jwks_url = \"http://{issuer}/keys\"\n{more}\n\
         [[auth.issuers]]\nissuer = \"fixed\"\naudience = \"banyan\"\nscheme = \"Token\"\n\
         public_key = \"\"\"\n{public}\"\"\"\n\
         [[auth.issuers]]\nissuer = \"shared\"\naudience = \"banyan\"\nsecret = \"{SECRET}\"\n"
    );
    let route = |id: &str, prefix: &str, auth: &str| {
        format!(
            "[[routes]]\nid = \"{id}\"\nprefix = \"{prefix}\"\nlegacy = \"legacy\"\nauth = {auth}\n"
        )
    };
    Stage::open(&format!(
        "{}\n{auth}{}{}{}",
        upstream("legacy", legacy.address, ""),
        route("all", "/", "{ required = true }"),
        route("open", "/open", "{ required = false }"),
        route("write", "/write", "{ scopes = [\"read\", \"write\"] }"),
    ))
    .await
}

async fn issuing() -> Scripted {
    let keys = response("200 OK", "application/json", &key_set().to_string());
    Scripted::always(Act::Say(keys)).await
}

#[tokio::test]
async fn every_kind_of_key_proves_its_tokens() {
    let legacy = Scripted::saying("welcome").await;
    let issuer = issuing().await;
    let stage = stage(&legacy, issuer.address, "").await;
    let set = claims("set");
    let by_set = |algorithm, id: &str, key: &EncodingKey| {
        line("Bearer", &signed(&headed(algorithm, id), &set, key))
    };
    let fixed = signed(&Header::new(Algorithm::RS256), &claims("fixed"), &rsa());
    let shared = signed(
        &Header::new(Algorithm::HS256),
        &claims("shared"),
        &secret(SECRET),
    );
    let nameless = signed(&Header::new(Algorithm::EdDSA), &set, &ed(ED));
    let tokens = [
        by_set(Algorithm::EdDSA, "ed", &ed(ED)),
        by_set(Algorithm::EdDSA, "ed-named", &ed(ED)),
        by_set(Algorithm::RS256, "rs", &rsa()),
        by_set(Algorithm::RS512, "rs512", &rsa()),
        by_set(Algorithm::PS256, "ps", &rsa()),
        by_set(Algorithm::ES256, "es", &ec(&P256.private)),
        by_set(Algorithm::ES384, "es384", &ec(&P384.private)),
        line("Bearer", &nameless),
        line("bearer", &shared),
        line("Token", &fixed),
        line("TOKEN", &fixed),
    ];
    for token in &tokens {
        assert_eq!(stage.get("/", token).await.status(), 200, "{token}");
        let seen = legacy.seen();
        let subject = seen.last().expect("a request").header("x-auth-subject");
        assert_eq!(subject, Some("user-7"), "{token}");
    }
    assert_eq!(legacy.count(), tokens.len());
}

#[tokio::test]
async fn a_route_may_demand_scopes_however_the_issuer_writes_them() {
    let legacy = Scripted::saying("welcome").await;
    let issuer = issuing().await;
    let stage = stage(&legacy, issuer.address, "").await;
    let cases = [
        (json!({"scope": "read write"}), 200),
        (json!({"scope": "openid write read"}), 200),
        (json!({"scp": ["read", "write"]}), 200),
        (json!({"scp": "write read"}), 200),
        (json!({"scope": "read", "scp": ["write"]}), 200),
        (json!({}), 403),
        (json!({"scope": "read"}), 403),
        (json!({"scope": "read writes"}), 403),
        (json!({"scope": "read,write"}), 403),
        (json!({"scope": ["read write"]}), 403),
        (json!({"scope": {"read": true, "write": true}}), 403),
        (json!({"roles": ["read", "write"]}), 403),
    ];
    for (more, status) in cases {
        let mut claims = claims("shared");
        let all = claims.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        let token = signed(&Header::new(Algorithm::HS256), &claims, &secret(SECRET));
        let reply = stage.get("/write", &line("Bearer", &token)).await;
        assert_eq!(reply.status(), status, "{more}");
        if status == 403 {
            assert_eq!(reply.code(), "forbidden");
        }
    }
    assert_eq!(stage.get("/write", "").await.status(), 401);
}

#[tokio::test]
async fn a_secret_may_be_for_a_longer_hash_and_a_clock_may_be_off_by_the_leeway() {
    let legacy = Scripted::saying("welcome").await;
    let stage = Stage::open(&format!(
        "{}\n[auth]\nleeway = \"1h\"\n[[auth.issuers]]\nissuer = \"shared\"\n\
         algorithm = \"HS512\"\nsecret = \"{SECRET}\"\n[[routes]]\nid = \"me\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\nauth = {{ required = true }}\n",
        upstream("legacy", legacy.address, ""),
    ))
    .await;
    let hour = Duration::from_secs(3600).as_secs();
    for (algorithm, exp, status) in [
        (Algorithm::HS512, now() + 60, 200),
        (Algorithm::HS512, now() - hour / 2, 200),
        (Algorithm::HS512, now() - 2 * hour, 401),
        (Algorithm::HS256, now() + 60, 401),
    ] {
        let mut claims = claims("shared");
        claims["exp"] = json!(exp);
        let token = signed(&Header::new(algorithm), &claims, &secret(SECRET));
        let reply = stage.get("/", &line("Bearer", &token)).await;
        assert_eq!(reply.status(), status, "{algorithm:?} {exp}");
    }
}
