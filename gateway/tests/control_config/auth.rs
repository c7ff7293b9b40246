//! `[auth]`: what verifies tokens and knows sessions.

use super::{faults, keys, small};
use crate::pairs::{CERTIFIED, P256, P384, RSA, WEAK};

#[test]
fn an_issuer_whose_tokens_could_never_be_verified_is_refused() {
    let issuer = |key: &str| small(&format!("[[auth.issuers]]\nissuer = \"i\"\n{key}"));
    for (key, name) in [
        ("jwks_url = \"ftp://login.example/keys\"", "jwks_url"),
        ("jwks_url = \"https://u:p@login.example/keys\"", "jwks_url"),
        ("secret = \"\"", "secret"),
        ("secret = \"fifteen letters\"", "secret"),
        ("public_key = \"\"", "public_key"),
        (
            "public_key = \"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\"",
            "public_key",
        ),
    ] {
        assert_eq!(
            keys(&issuer(key)),
            [format!("auth.issuers[0].{name}")],
            "{key}"
        );
    }
    let weak = &WEAK.public;
    let weak = keys(&issuer(&format!("public_key = \"\"\"{weak}\"\"\"")));
    assert_eq!(
        weak,
        ["auth.issuers[0].public_key"],
        "1024 bits are too few"
    );
    let public = "-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\\n-----END PUBLIC KEY-----";
    assert_eq!(faults(&issuer(&format!("public_key = \"{public}\""))), []);
}

#[test]
fn a_key_is_for_an_algorithm_of_its_kind() {
    let issuer = |more: &str| small(&format!("[[auth.issuers]]\nissuer = \"i\"\n{more}"));
    let secret = "secret = \"0123456789abcdef\"";
    let url = "jwks_url = \"https://login.example/keys\"\nrefresh = \"1m\"";
    let key = |name: &str| {
        let pem = match name {
            "rsa" => &RSA.public,
            "p256" => &P256.public,
            _ => &P384.public,
        };
        format!("public_key = \"\"\"{pem}\"\"\"")
    };
    for (key, fits, misfits) in [
        (
            secret.to_owned(),
            &["HS256", "HS512"][..],
            &["RS256", "none"][..],
        ),
        (url.to_owned(), &["RS256", "PS512"], &["HS256", "EdDSA"]),
        (
            key("rsa"),
            &["RS256", "RS512", "PS384"],
            &["HS256", "ES256"],
        ),
        (key("p256"), &["ES256"], &["ES384", "HS256"]),
        (key("p384"), &["ES384"], &["ES256", "RS256"]),
    ] {
        assert_eq!(faults(&issuer(&key)), [], "{key}");
        let said = |algorithm: &str| keys(&issuer(&format!("algorithm = \"{algorithm}\"\n{key}")));
        for algorithm in fits {
            assert_eq!(said(algorithm), [""; 0], "{algorithm}: {key}");
        }
        for algorithm in misfits {
            assert_eq!(
                said(algorithm),
                ["auth.issuers[0].algorithm"],
                "{algorithm}: {key}"
            );
        }
    }
    let fetched = issuer(&format!("refresh = \"1m\"\n{secret}"));
    assert_eq!(keys(&fetched), ["auth.issuers[0].refresh"]);
    let scheme = issuer(&format!("scheme = \"My Token\"\n{secret}"));
    assert_eq!(keys(&scheme), ["auth.issuers[0].scheme"]);
}

#[test]
fn a_session_check_is_read_whole_and_its_faults_are_told() {
    let forward = |more: &str| {
        small(&format!(
            "auth = {{ required = true }}\n[auth.forward]\nurl = \"http://legacy/session\"\n{more}"
        ))
    };
    for sound in [
        "",
        "subject_header = \"x-user\"\nroles_header = \"x-roles\"",
        "subject_field = \"user.id\"\nroles_field = \"user.roles\"",
        "headers = [\"cookie\", \"x-session\"]\ncookies = [\"sid\"]",
        "timeout = \"1s\"\nttl = \"1m\"\ndenied_ttl = \"1s\"\nmax_asks = 8\nmax_sessions = 100",
    ] {
        assert_eq!(faults(&forward(sound)), [], "{sound}");
    }
    for (more, key) in [
        ("headers = []", "headers"),
        ("headers = [\"host\"]", "headers"),
        ("headers = [\"X_Auth_Subject\"]", "headers"),
        ("headers = [\"a b\"]", "headers[0]"),
        ("cookies = []", "cookies"),
        (
            "headers = [\"authorization\"]\ncookies = [\"sid\"]",
            "cookies",
        ),
        ("subject_field = \"user..id\"", "subject_field"),
        (
            "subject_header = \"a\"\nsubject_field = \"b\"",
            "subject_field",
        ),
        ("max_asks = 0", "max_asks"),
        ("max_sessions = 100000000", "max_sessions"),
        ("ttl = \"0s\"", "ttl"),
        ("method = \"POST\"", "method"),
    ] {
        assert_eq!(
            keys(&forward(more)),
            [format!("auth.forward.{key}")],
            "{more}"
        );
    }
    let url = |url: &str| small(&format!("[auth.forward]\nurl = \"{url}\""));
    for wrong in ["legacy/session", "ftp://legacy", "http://u:p@legacy/"] {
        assert_eq!(keys(&url(wrong)), ["auth.forward.url"], "{wrong}");
    }
    assert_eq!(
        keys(&small("[auth]\nca = \"no certificate\"")),
        ["auth.ca", "auth.issuers"]
    );
    let authority = &CERTIFIED.authority;
    let trusting =
        format!("[auth]\nca = \"\"\"{authority}\"\"\"\n[auth.forward]\nurl = \"https://a/\"");
    assert_eq!(faults(&small(&trusting)), []);
}

#[test]
fn scopes_need_a_token_and_are_words() {
    let route = |auth: &str| {
        small(&format!(
            "auth = {auth}\n[[auth.issuers]]\nissuer = \"i\"\nsecret = \"0123456789abcdef\""
        ))
    };
    assert_eq!(faults(&route("{ scopes = [\"read\", \"write\"] }")), []);
    for wrong in [
        "{ required = false, scopes = [\"read\"] }",
        "{ scopes = [\"read write\"] }",
        "{ scopes = [\"\"] }",
    ] {
        assert_eq!(keys(&route(wrong)), ["routes.all.auth.scopes"], "{wrong}");
    }
}

#[test]
fn auth_and_claims_need_an_issuer() {
    let text = small(
        "auth = { required = true }\ncandidate = \"quiz\"\nflag = \"f\"\n[flags.f]\nsubject = [\"jwt:sub\"]",
    );
    assert_eq!(keys(&text), ["flags.f.subject", "routes.all.auth"]);
    let issuer = "[[auth.issuers]]\nissuer = \"i\"\nsecret = \"0123456789abcdef\"";
    assert!(faults(&format!("{text}\n{issuer}")).is_empty());
    let two_keys = format!("{text}\n{issuer}\njwks_url = \"http://127.0.0.1:9001/keys\"");
    assert_eq!(keys(&two_keys), ["auth.issuers[0]"]);
}
