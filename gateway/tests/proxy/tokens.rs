//! What a token proves, by every kind of key, and what no forgery proves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::scripted::{Act, Scripted, response};
use crate::stage::{PATIENCE, Stage, upstream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Key pairs made for these tests.
const ED: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER_ED: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ/T+RuXe8OUm/sLFnGmpXg2ZylDJ2cK/3Ti+L1AUMGJ\n\
    -----END PRIVATE KEY-----\n";
const RSA: &str = include_str!("keys/rsa.key.pem");
const RSA_PUBLIC: &str = include_str!("keys/rsa.pem");
const RSA_N: &str = "nXjicaCAvTLcKg-PxMXV9iUmX5xlza0j1IYCql85F7rlmEwMkKLRWOEBjcv2NcFruZ1aR8r5Z\
    abZmlS-xeDqnYsuXhvCrfo5uUM2-u562LOgIjAaKcmnE-5mBGw8IrFDrweAPPPmRDyDh1MDk6snCBdof-bGReRW8NTE1gx1\
    KU7rhaEl1FJUyf-J3GMTbhlBdY0x0iDeJioQImQS_Tp3ifnsEH4wJsSINJ2kSJYcCi5CInkxXiCfwNSnAh4_jc8Ch5I03TWl\
    dR1w2zgAX7teVXX_MZKLnubJsK3o2Fbwx5itly_t_hpyXO5u-6D-F3raKlcfds8R_omKImEFLi5xjQ";
const WEAK_N: &str = "vfI7GqRu_X88r_FXFJfHAK8vBvDL9EuMxnUrmIxnP8iJi4Er56o-_YgriktvEydwbHDTnfe1ZPRpja\
    Aay39XhxxdDatpQiLPGrLOuX_McaxkwZU_q3EAmi0hSopEbJmXSjMGCLiJDnjZKW-g8xu_vgKrFtah9fOfSriJ7cr3uY0";
const P256: &str = include_str!("keys/p256.key.pem");
const P384: &str = include_str!("keys/p384.key.pem");

/// A key set with a key of every kind, and some that must not count.
fn key_set() -> Value {
    let (x, y) = (
        "BS6UPfmhuesovJ1nyAvO-kNlgND2pggnX03JobnAa1Q",
        "vMzRae89Nb_B-z-Re3lH6GdRR3-LZHhGnJcYM2opuo4",
    );
    let (x384, y384) = (
        "Hyno-8ZNiposIA4jMYZDpujOhM0HFKm49BlgShXE1TvpH1CcD3mz7WT3XwWejYYx",
        "rZgM3xBh38X5AsqIKA2tLDUZiOFG1wRvzc8yV4UyRRe0oMMU-M8wHQyS4ua4sTHu",
    );
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": ED_X, "use": "sig"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed-named", "x": ED_X, "alg": "Ed25519"},
        {"kty": "RSA", "kid": "rs", "n": RSA_N, "e": "AQAB"},
        {"kty": "RSA", "kid": "rs512", "n": RSA_N, "e": "AQAB", "alg": "RS512"},
        {"kty": "RSA", "kid": "ps", "n": RSA_N, "e": "AQAB", "alg": "PS256", "key_ops": ["verify"]},
        {"kty": "EC", "crv": "P-256", "kid": "es", "x": x, "y": y, "alg": "ES256"},
        {"kty": "EC", "crv": "P-384", "kid": "es384", "x": x384, "y": y384},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "weak", "n": WEAK_N, "e": "AQAB"},
        {"kty": "RSA", "kid": "encrypts", "n": RSA_N, "e": "AQAB", "use": "enc"},
        {"kty": "RSA", "kid": "signs", "n": RSA_N, "e": "AQAB", "key_ops": ["sign"]},
        {"kty": "RSA", "kid": "mislabelled", "n": RSA_N, "e": "AQAB", "alg": "ES256"},
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
    EncodingKey::from_rsa_pem(RSA.as_bytes()).expect("a key")
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
    let auth = format!(
        "[auth]\nleeway = \"5s\"\n\
         [[auth.issuers]]\nissuer = \"set\"\naudience = \"banyan\"\n\
         jwks_url = \"http://{issuer}/keys\"\n{more}\n\
         [[auth.issuers]]\nissuer = \"fixed\"\naudience = \"banyan\"\nscheme = \"Token\"\n\
         public_key = \"\"\"\n{RSA_PUBLIC}\"\"\"\n\
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
        by_set(Algorithm::ES256, "es", &ec(P256)),
        by_set(Algorithm::ES384, "es384", &ec(P384)),
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

/// A token written by hand.
fn by_hand(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// Each is refused wherever a token counts, and no upstream sees it.
fn attacks() -> Vec<(&'static str, String)> {
    let set = claims("set");
    let good = || signed(&headed(Algorithm::EdDSA, "ed"), &set, &ed(ED));
    let (body, signature) = {
        let good = good();
        let (body, signature) = good.rsplit_once('.').expect("a token");
        (body.to_owned(), signature.to_owned())
    };
    let bearer = |token: &str| line("Bearer", token);
    let with =
        |algorithm, id: &str, key: &EncodingKey| bearer(&signed(&headed(algorithm, id), &set, key));
    let changed = |name: &str, value: Value| {
        let mut claims = set.clone();
        claims[name] = value;
        bearer(&signed(&headed(Algorithm::EdDSA, "ed"), &claims, &ed(ED)))
    };
    let own: Jwk = serde_json::from_value(json!({
        "kty": "OKP", "crv": "Ed25519", "x": "HUlU3LQuI8qOodFnDKcaL2FVbmfnrlEHouo04rxovrc"
    }))
    .expect("a key");
    let pointing = |change: &dyn Fn(&mut Header)| {
        let mut header = headed(Algorithm::EdDSA, "ed");
        change(&mut header);
        bearer(&signed(&header, &set, &ed(OTHER_ED)))
    };
    let mut critical = headed(Algorithm::EdDSA, "ed");
    critical.crit = Some(vec!["b64".to_owned()]);
    let none = |alg: &str| {
        let header = json!({"alg": alg, "typ": "JWT", "kid": "ed"});
        bearer(&by_hand(&header, &set, ""))
    };
    let es = json!({"alg": "ES256", "typ": "JWT", "kid": "es"});
    let shared = |claims: &Value, with: &str| {
        bearer(&signed(
            &Header::new(Algorithm::HS256),
            claims,
            &secret(with),
        ))
    };
    vec![
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("alg NONE", none("NONE")),
        (
            "alg nOnE with a signature",
            bearer(&by_hand(&json!({"alg": "nOnE"}), &set, &signature)),
        ),
        (
            "no alg",
            bearer(&by_hand(&json!({"typ": "JWT"}), &set, &signature)),
        ),
        ("no signature", bearer(&format!("{body}."))),
        ("no signature and no dot", bearer(&body)),
        (
            "a signature of zeros",
            bearer(&by_hand(&es, &set, &URL_SAFE_NO_PAD.encode([0; 64]))),
        ),
        (
            "half a signature",
            bearer(&format!("{body}.{}", &signature[..40])),
        ),
        (
            "a padded signature",
            bearer(&format!("{body}.{signature}==")),
        ),
        (
            "a fourth part",
            bearer(&format!("{body}.{signature}.{signature}")),
        ),
        (
            "an encrypted token's parts",
            bearer(&format!("{body}.{signature}.a.b")),
        ),
        (
            "somebody else's claims",
            bearer(&format!(
                "{}.{signature}",
                body.replace(
                    &URL_SAFE_NO_PAD.encode(set.to_string()),
                    &URL_SAFE_NO_PAD.encode(
                        json!({"iss": "set", "aud": "banyan", "sub": "root", "exp": now() + 600})
                            .to_string()
                    )
                )
            )),
        ),
        (
            "the public PEM as a secret",
            with(Algorithm::HS256, "rs", &secret(RSA_PUBLIC)),
        ),
        (
            "the modulus as a secret",
            with(Algorithm::HS256, "rs", &secret(RSA_N)),
        ),
        (
            "the Ed25519 point as a secret",
            with(
                Algorithm::HS256,
                "ed",
                &secret(URL_SAFE_NO_PAD.decode(ED_X).expect("a point")),
            ),
        ),
        (
            "the fixed key's PEM as a secret",
            line(
                "Token",
                &signed(
                    &Header::new(Algorithm::HS256),
                    &claims("fixed"),
                    &secret(RSA_PUBLIC),
                ),
            ),
        ),
        ("an empty secret", shared(&claims("shared"), "")),
        (
            "HS512 where HS256 is for",
            bearer(&signed(
                &Header::new(Algorithm::HS512),
                &claims("shared"),
                &secret(SECRET),
            )),
        ),
        (
            "a shared key of the set",
            with(Algorithm::HS256, "shared", &secret("secret")),
        ),
        (
            "PS256 with a key for RS256",
            with(Algorithm::PS256, "rs", &rsa()),
        ),
        (
            "RS256 with a key for PS256",
            with(Algorithm::RS256, "ps", &rsa()),
        ),
        (
            "RS384 with a key for RS512",
            with(Algorithm::RS384, "rs512", &rsa()),
        ),
        (
            "RS256 by the name of an Ed25519 key",
            with(Algorithm::RS256, "ed", &rsa()),
        ),
        (
            "ES256 by the name of an RSA key",
            with(Algorithm::ES256, "rs", &ec(P256)),
        ),
        (
            "EdDSA by the name of a P-256 key",
            with(Algorithm::EdDSA, "es", &ed(ED)),
        ),
        (
            "a key that encrypts",
            with(Algorithm::RS256, "encrypts", &rsa()),
        ),
        (
            "a key that only signs",
            with(Algorithm::RS256, "signs", &rsa()),
        ),
        (
            "a key with another's name of an algorithm",
            with(Algorithm::RS256, "mislabelled", &rsa()),
        ),
        (
            "a key of the attacker",
            with(Algorithm::EdDSA, "ed", &ed(OTHER_ED)),
        ),
        (
            "a key that is not there",
            with(Algorithm::EdDSA, "made-up", &ed(ED)),
        ),
        (
            "a key's name that is a path",
            with(Algorithm::EdDSA, "../../dev/null", &ed(OTHER_ED)),
        ),
        (
            "a key in the header",
            pointing(&|header| header.jwk = Some(own.clone())),
        ),
        (
            "a key set in the header",
            pointing(&|header| {
                header.jku = Some("http://127.0.0.1:1/keys".to_owned());
            }),
        ),
        (
            "a certificate's address in the header",
            pointing(&|header| {
                header.x5u = Some("http://127.0.0.1:1/cert".to_owned());
            }),
        ),
        (
            "a certificate in the header",
            pointing(&|header| {
                header.x5c = Some(vec!["MIIB".to_owned()]);
            }),
        ),
        (
            "something critical",
            bearer(&signed(&critical, &set, &ed(ED))),
        ),
        ("another issuer's key", shared(&set, SECRET)),
        (
            "the set's key for another issuer",
            bearer(&signed(
                &headed(Algorithm::EdDSA, "ed"),
                &claims("shared"),
                &ed(ED),
            )),
        ),
        (
            "another issuer's scheme",
            bearer(&signed(
                &Header::new(Algorithm::RS256),
                &claims("fixed"),
                &rsa(),
            )),
        ),
        (
            "an issuer that nobody knows",
            changed("iss", json!("somebody")),
        ),
        ("a list of issuers", changed("iss", json!(["set"]))),
        ("another audience", changed("aud", json!("others"))),
        ("no audience", changed("aud", json!([]))),
        (
            "an audience that is an object",
            changed("aud", json!({"banyan": true})),
        ),
        ("expired", changed("exp", json!(now() - 60))),
        ("no end", changed("exp", Value::Null)),
        ("an end that is a text", changed("exp", json!("9999999999"))),
        ("not yet", changed("nbf", json!(now() + 60))),
        ("a beginning that is a list", changed("nbf", json!([0]))),
        ("two headers", [bearer(&good()), bearer(&good())].concat()),
        (
            "two headers, the first bad",
            [bearer("a.b.c"), bearer(&good())].concat(),
        ),
        (
            "two tokens in one header",
            bearer(&format!("{}, Bearer {}", good(), good())),
        ),
        (
            "two tokens with a space",
            bearer(&format!("{} {}", good(), good())),
        ),
        ("a space within", bearer(&good().replacen('.', ". ", 1))),
        (
            "JSON",
            bearer(&json!({"payload": "e30", "signatures": []}).to_string()),
        ),
        (
            "nothing behind the word",
            "authorization: Bearer .\r\n".to_owned(),
        ),
        (
            "a very long token",
            bearer(&format!("{}{}", good(), "A".repeat(20_000))),
        ),
    ]
}

#[tokio::test]
async fn no_forgery_gets_in_and_none_passes_for_no_token() {
    let legacy = Scripted::saying("welcome").await;
    let issuer = issuing().await;
    let stage = stage(&legacy, issuer.address, "").await;
    let mut wrong = Vec::new();
    for (name, headers) in attacks() {
        for path in ["/", "/open"] {
            let reply = stage.get(path, &headers).await;
            if reply.status() != 401 {
                wrong.push(format!("{name} at {path}: {}", reply.status()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(legacy.count(), 0);
    assert_eq!(
        stage.get("/open", "").await.status(),
        200,
        "no token at all"
    );
    let other = "authorization: Basic dXNlcjpwdw==\r\n";
    assert_eq!(
        stage.get("/open", other).await.status(),
        200,
        "not ours to judge"
    );
    assert_eq!(stage.get("/", other).await.status(), 401);
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
    let certificate = CertificateDer::from_pem_slice(include_bytes!("keys/server.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("keys/server.key.pem"));
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
                let mut buffer = [0; 4096];
                let _asked = stream.read(&mut buffer).await.ok()?;
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
    let authority = include_str!("keys/authority.pem");
    let trusting = stage(&format!("ca = \"\"\"\n{authority}\"\"\"")).await;
    assert_eq!(trusting.get("/", &token).await.status(), 200);
    let reply = stage("").await.get("/", &token).await;
    assert_eq!(
        (reply.status(), reply.code().as_str()),
        (503, "auth_unavailable")
    );
    assert_eq!(legacy.count(), 1);
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
