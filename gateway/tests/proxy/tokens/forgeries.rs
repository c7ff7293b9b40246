//! Tokens that prove nothing, and look as if they did.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

/// What is sent, by name.
type Forgeries = Vec<(&'static str, String)>;

#[tokio::test]
async fn no_forgery_gets_in_and_none_passes_for_no_token() {
    let legacy = Scripted::saying("welcome").await;
    let issuer = issuing().await;
    let stage = stage(&legacy, issuer.address, "").await;
    let mut wrong = Vec::new();
    for (name, headers) in forgeries() {
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

/// Each is refused wherever a token counts, and no upstream sees it.
fn forgeries() -> Forgeries {
    [
        unsigned(),
        confused(),
        misnamed(),
        pointing_elsewhere(),
        claiming(),
        ambiguous(),
    ]
    .concat()
}

/// A token written by hand.
fn by_hand(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// Without a signature, or with one that is none.
fn unsigned() -> Forgeries {
    let set = claims("set");
    let bearer = |token: &str| line("Bearer", token);
    let good = signed(&headed(Algorithm::EdDSA, "ed"), &set, &ed(ED));
    let (body, signature) = good.rsplit_once('.').expect("a token");
    let none = |alg: &str| {
        let header = json!({"alg": alg, "typ": "JWT", "kid": "ed"});
        bearer(&by_hand(&header, &set, ""))
    };
    let es = json!({"alg": "ES256", "typ": "JWT", "kid": "es"});
    vec![
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("alg NONE", none("NONE")),
        (
            "alg nOnE with a signature",
            bearer(&by_hand(&json!({"alg": "nOnE"}), &set, signature)),
        ),
        (
            "no alg",
            bearer(&by_hand(&json!({"typ": "JWT"}), &set, signature)),
        ),
        ("no signature", bearer(&format!("{body}."))),
        ("no signature and no dot", bearer(body)),
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
    ]
}

/// A key or an algorithm that is for something else.
fn confused() -> Forgeries {
    let set = claims("set");
    let bearer = |token: &str| line("Bearer", token);
    let with =
        |algorithm, id: &str, key: &EncodingKey| bearer(&signed(&headed(algorithm, id), &set, key));
    let shared = |claims: &Value, with: &str| {
        bearer(&signed(
            &Header::new(Algorithm::HS256),
            claims,
            &secret(with),
        ))
    };
    vec![
        (
            "the public PEM as a secret",
            with(Algorithm::HS256, "rs", &secret(&RSA.public)),
        ),
        (
            "the modulus as a secret",
            with(Algorithm::HS256, "rs", &secret(&RSA.n)),
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
                    &secret(&RSA.public),
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
    ]
}

/// Another key's name, or the name of a key that is for something else.
fn misnamed() -> Forgeries {
    let set = claims("set");
    let with = |algorithm, id: &str, key: &EncodingKey| {
        line("Bearer", &signed(&headed(algorithm, id), &set, key))
    };
    vec![
        (
            "RS256 by the name of an Ed25519 key",
            with(Algorithm::RS256, "ed", &rsa()),
        ),
        (
            "ES256 by the name of an RSA key",
            with(Algorithm::ES256, "rs", &ec(&P256.private)),
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
    ]
}

/// The token says itself what it is to be checked with.
fn pointing_elsewhere() -> Forgeries {
    let set = claims("set");
    let bearer = |token: &str| line("Bearer", token);
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
    vec![
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
    ]
}

/// A sound signature below claims that do not count.
fn claiming() -> Forgeries {
    let set = claims("set");
    let bearer = |token: &str| line("Bearer", token);
    let changed = |name: &str, value: Value| {
        let mut claims = set.clone();
        claims[name] = value;
        bearer(&signed(&headed(Algorithm::EdDSA, "ed"), &claims, &ed(ED)))
    };
    let shared = |claims: &Value, with: &str| {
        bearer(&signed(
            &Header::new(Algorithm::HS256),
            claims,
            &secret(with),
        ))
    };
    vec![
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
    ]
}

/// What two readers could read differently.
fn ambiguous() -> Forgeries {
    let set = claims("set");
    let bearer = |token: &str| line("Bearer", token);
    let good = || signed(&headed(Algorithm::EdDSA, "ed"), &set, &ed(ED));
    vec![
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
