//! What gets past a guard: paths, tokens, roles.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::scripted::{Act, Scripted, response};
use crate::stage::{Stage, upstream};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An Ed25519 key pair made for these tests: PKCS#8 and the public key's `x`.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const PUBLIC_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

async fn guarded(legacy: &Scripted) -> Stage {
    Stage::open(&format!(
        "{}\n[auth]\nleeway = \"5s\"\n[[auth.issuers]]\nissuer = \"banyan-auth\"\n\
         audience = \"banyan\"\nsecret = \"{SECRET}\"\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n\
         [[routes]]\nid = \"admin\"\nprefix = \"/api/admin\"\nlegacy = \"legacy\"\n\
         auth = {{ required = true, roles = [\"admin\"] }}\n\
         [[routes]]\nid = \"me\"\nprefix = \"/api/me\"\nlegacy = \"legacy\"\n\
         auth = {{ required = true }}\n",
        upstream("legacy", legacy.address, "")
    ))
    .await
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock")
        .as_secs()
}

fn claims(roles: &[&str]) -> Value {
    json!({
        "iss": "banyan-auth", "aud": "banyan", "sub": "user-7", "exp": now() + 600, "roles": roles,
    })
}

fn bearer(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key);
    format!("authorization: Bearer {}\r\n", token.expect("a token"))
}

#[tokio::test]
async fn no_spelling_of_a_path_slips_past_its_guard() {
    let legacy = Scripted::saying("secret").await;
    let stage = guarded(&legacy).await;
    for path in [
        "/api/admin",
        "/api/admin/",
        "/api/admin/users",
        "//api/admin",
        "/api//admin",
        "/api/./admin",
        "/x/../api/admin",
        "/public/..//api/admin",
        "/%61pi/admin",
        "/api/%2e/admin",
        "/x/%2e%2e/api/admin",
        "/x/.%2E/api/admin",
        "/api;v=1/admin",
        "/api/admin;x=1",
        "/x/..;/api/admin",
        "/api/admin?x=1",
        "/api/admin/../admin/users",
    ] {
        let reply = stage.get(path, "").await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (401, "unauthorized"),
            "{path}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    for path in [
        "/api%2fadmin",
        "/api/..%2fadmin",
        "/api%5cadmin",
        "/api/admin%00",
        "/a\\b",
        "/%zz",
    ] {
        assert_eq!(stage.get(path, "").await.status(), 400, "{path}");
    }
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn the_path_is_forwarded_as_it_was_judged() {
    let legacy = Scripted::saying("public").await;
    let stage = guarded(&legacy).await;
    for (sent, forwarded) in [
        ("/a/../b?x=/../y", "/b?x=/../y"),
        ("//a///b/", "/a/b/"),
        ("/api/administrators", "/api/administrators"),
        ("/a%20b/%7Ec", "/a%20b/~c"),
        ("/..", "/"),
    ] {
        assert_eq!(stage.get(sent, "").await.status(), 200, "{sent}");
        let line = legacy.seen().last().expect("a request").line().to_owned();
        assert_eq!(line, format!("GET {forwarded} HTTP/1.1"), "{sent}");
    }
}

#[tokio::test]
async fn a_good_token_passes_and_its_claims_are_told_to_the_upstream() {
    let legacy = Scripted::saying("welcome").await;
    let stage = guarded(&legacy).await;
    let token = bearer(&claims(&["user", "admin"]));
    let forged = format!("{token}x-auth-subject: root\r\nX_Auth_Roles: root\r\n");
    assert_eq!(stage.get("/api/admin", &forged).await.status(), 200);
    let seen = &legacy.seen()[0];
    assert_eq!(seen.header("x-auth-subject"), Some("user-7"));
    assert_eq!(seen.header("x-auth-roles"), Some("user,admin"));
    assert!(!seen.head.contains("root"));
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused() {
    let legacy = Scripted::saying("welcome").await;
    let stage = guarded(&legacy).await;
    let changed = |name: &str, value: Value| {
        let mut claims = claims(&["admin"]);
        claims[name] = value;
        bearer(&claims)
    };
    let mut broken = bearer(&claims(&["admin"]));
    broken.insert(broken.len() - 10, 'x');
    let none = "authorization: Bearer eyJhbGciOiJub25lIn0.\
                eyJpc3MiOiJiYW55YW4tYXV0aCIsImF1ZCI6ImJhbnlhbiIsInN1YiI6InUifQ.\r\n";
    for (case, token) in [
        ("expired", changed("exp", json!(now() - 60))),
        ("not yet valid", changed("nbf", json!(now() + 60))),
        ("wrong issuer", changed("iss", json!("somebody"))),
        ("wrong audience", changed("aud", json!("others"))),
        ("bad signature", broken),
        ("none", none.to_owned()),
        ("another scheme", "authorization: Basic dTpw\r\n".to_owned()),
    ] {
        assert_eq!(stage.get("/api/me", &token).await.status(), 401, "{case}");
    }
    let reply = stage.get("/api/admin", &bearer(&claims(&["user"]))).await;
    assert_eq!((reply.status(), reply.code().as_str()), (403, "forbidden"));
    assert_eq!(legacy.count(), 0);
    let stats = stage.stats("me");
    assert_eq!(stats.unauthenticated, 7);
    assert_eq!(stage.stats("admin").forbidden, 1);
}

#[tokio::test]
async fn an_expired_token_still_keeps_its_subject_on_its_side() {
    let legacy = Scripted::saying("legacy").await;
    let candidate = Scripted::saying("candidate").await;
    let stage = Stage::open(&format!(
        "{}\n{}\n[auth]\nleeway = \"5s\"\n[[auth.issuers]]\nissuer = \"banyan-auth\"\n\
         audience = \"banyan\"\nsecret = \"{SECRET}\"\n[flags.move]\npercent = 0.0\n\
         allow = [\"user-7\"]\nsubject = [\"jwt:sub\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\ncandidate = \"quiz\"\n\
         flag = \"move\"\n",
        upstream("legacy", legacy.address, ""),
        upstream("quiz", candidate.address, ""),
    ))
    .await;
    let mut late = claims(&[]);
    late["exp"] = json!(now() - 600);
    let mut forged = bearer(&claims(&[]));
    forged.insert(forged.len() - 10, 'x');
    assert_eq!(
        stage.get("/", &bearer(&claims(&[]))).await.body,
        "candidate"
    );
    assert_eq!(stage.get("/", &bearer(&late)).await.body, "candidate");
    assert_eq!(stage.get("/", &forged).await.body, "legacy");
    let seen = candidate.seen();
    assert_eq!(seen[0].header("x-auth-subject"), Some("user-7"));
    assert_eq!(
        seen[1].header("x-auth-subject"),
        None,
        "expired claims are not vouched for"
    );
}

#[tokio::test]
async fn keys_are_fetched_once_and_outlive_their_endpoint() {
    let set = json!({"keys": [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": PUBLIC_X, "use": "sig"},
        {"kty": "unheard-of", "kid": "k2"},
    ]});
    let keys = response("200 OK", "application/json", &set.to_string());
    let issuer = Scripted::always(Act::Say(keys)).await;
    let legacy = Scripted::saying("welcome").await;
    let stage = Stage::open(&format!(
        "{}\n[auth]\n[[auth.issuers]]\nissuer = \"banyan-auth\"\naudience = \"banyan\"\n\
         jwks_url = \"http://{}/keys\"\n[[routes]]\nid = \"me\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\nauth = {{ required = true }}\n",
        upstream("legacy", legacy.address, ""),
        issuer.address,
    ))
    .await;
    let token = |id: &str| {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id.to_owned());
        let key = EncodingKey::from_ed_pem(PRIVATE.as_bytes()).expect("a key");
        let token = jsonwebtoken::encode(&header, &claims(&[]), &key).expect("a token");
        format!("authorization: Bearer {token}\r\n")
    };
    assert_eq!(stage.get("/", &token("k1")).await.status(), 200);
    issuer.now(Act::Close);
    for _ in 0..5 {
        assert_eq!(stage.get("/", &token("made-up")).await.status(), 401);
    }
    assert_eq!(stage.get("/", &token("k1")).await.status(), 200);
    assert!(issuer.count() <= 2, "{} fetches", issuer.count());
    // A public key is no shared secret, whatever the token's header says.
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("k1".to_owned());
    let confused = EncodingKey::from_secret(PUBLIC_X.as_bytes());
    let confused = jsonwebtoken::encode(&header, &claims(&[]), &confused).expect("a token");
    let reply = stage
        .get("/", &format!("authorization: Bearer {confused}\r\n"))
        .await;
    assert_eq!(reply.status(), 401);
}

#[tokio::test]
async fn a_key_that_its_issuer_drops_takes_its_verified_tokens_with_it() {
    let set = |id: &str| {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": PUBLIC_X});
        let set = json!({"keys": [key]}).to_string();
        Act::Say(response("200 OK", "application/json", &set))
    };
    let issuer = Scripted::always(set("old")).await;
    let legacy = Scripted::saying("welcome").await;
    let stage = Stage::open(&format!(
        "{}\n[auth]\n[[auth.issuers]]\nissuer = \"banyan-auth\"\naudience = \"banyan\"\n\
         jwks_url = \"http://{}/keys\"\n[[routes]]\nid = \"me\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\nauth = {{ required = true }}\n",
        upstream("legacy", legacy.address, ""),
        issuer.address,
    ))
    .await;
    let token = |id: &str| {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id.to_owned());
        let key = EncodingKey::from_ed_pem(PRIVATE.as_bytes()).expect("a key");
        let token = jsonwebtoken::encode(&header, &claims(&[]), &key).expect("a token");
        format!("authorization: Bearer {token}\r\n")
    };
    let (old, new) = (token("old"), token("new"));
    for _ in 0..2 {
        assert_eq!(stage.get("/", &old).await.status(), 200);
    }
    issuer.now(set("new"));
    // Unknown keys are asked for some seconds apart; until then the old ones count.
    let fetched = async {
        while stage.get("/", &new).await.status() != 200 {
            // Between two looks at a condition that is bounded below.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::stage::PATIENCE, fetched)
        .await
        .unwrap();
    assert_eq!(stage.get("/", &old).await.status(), 401);
}

#[tokio::test]
async fn a_path_that_no_route_takes_is_404() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"api\"\nprefix = \"/api\"\nmethods = [\"GET\"]\n\
         legacy = \"legacy\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    assert_eq!(stage.get("/api/x", "").await.status(), 200);
    for reply in [
        stage.get("/apis", "").await,
        stage.post("/api", "", "").await,
    ] {
        assert_eq!((reply.status(), reply.code().as_str()), (404, "no_route"));
    }
    assert_eq!(stage.data.stats().unmatched(), 2);
}

#[tokio::test]
async fn a_route_may_keep_paths_and_encoded_slashes_but_hides_no_dots_behind_them() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\npath = \"keep\"\n\
         encoded_slash = \"keep\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    for path in ["/a//b/./c;v=1", "/a%2Fb", "/%41"] {
        assert_eq!(stage.get(path, "").await.status(), 200, "{path}");
        let line = legacy.seen().last().expect("a request").line().to_owned();
        assert_eq!(line, format!("GET {path} HTTP/1.1"));
    }
    for path in [
        "/a%2F..%2Fb",
        "/a;x%2F..%2Fb",
        "/a%2F..;x/b",
        "/a;%zz",
        "/a;\\b",
    ] {
        assert_eq!(stage.get(path, "").await.code(), "bad_path", "{path}");
    }
}

#[tokio::test]
async fn a_route_that_keeps_paths_lets_nothing_hide_in_their_params() {
    let legacy = Scripted::saying("hello").await;
    let stage = Stage::open(&format!(
        "{}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\npath = \"keep\"\n",
        upstream("legacy", legacy.address, "")
    ))
    .await;
    assert_eq!(stage.get("/a;v=%20/b", "").await.status(), 200);
    for path in [
        "/a;x%2Fb", "/a;%5Cb", "/a;x=%00", "/a;\\b", "/a;%zz", "/a;%2",
    ] {
        assert_eq!(stage.get(path, "").await.status(), 400, "{path}");
    }
    assert_eq!(legacy.count(), 1);
}

/// Everybody may POST and GET, only who has a token may DELETE; PUT knows no override.
async fn overridable(legacy: &Scripted) -> Stage {
    Stage::open(&format!(
        "{}\n[auth]\n[[auth.issuers]]\nissuer = \"banyan-auth\"\nsecret = \"{SECRET}\"\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\npublic = true\n\
         method_override = true\n\
         [[routes]]\nid = \"delete\"\nprefix = \"/\"\nmethods = [\"DELETE\"]\n\
         legacy = \"legacy\"\nauth = {{ required = true }}\nmethod_override = true\n\
         [[routes]]\nid = \"put\"\nprefix = \"/\"\nmethods = [\"PUT\"]\nlegacy = \"legacy\"\n\
         public = true\n",
        upstream("legacy", legacy.address, "")
    ))
    .await
}

#[tokio::test]
async fn an_overridden_request_meets_the_demands_of_both_its_methods() {
    let legacy = Scripted::saying("hello").await;
    let stage = overridable(&legacy).await;
    assert_eq!(stage.post("/1", "", "").await.status(), 200);
    let token = bearer(&claims(&[]));
    for (sent, acts_as) in [("POST", "delete"), ("DELETE", "GET"), ("DELETE", "DELETE")] {
        let ask = |token: &str| {
            format!(
                "{sent} /1 HTTP/1.1\r\nhost: a\r\nx-http-method-override: {acts_as}\r\n{token}\r\n"
            )
        };
        let reply = stage.ask(&ask("")).await;
        assert_eq!(reply.status(), 401, "{sent} as {acts_as}");
        let reply = stage.ask(&ask(&token)).await;
        assert_eq!(reply.status(), 200, "{sent} as {acts_as}");
    }
    assert_eq!(legacy.count(), 4);
}

#[tokio::test]
async fn a_method_override_with_several_readings_or_for_a_route_without_it_is_refused() {
    let legacy = Scripted::saying("hello").await;
    let stage = overridable(&legacy).await;
    for headers in [
        "x-http-method-override: GET\r\nx-http-method: PATCH\r\n",
        "x-http-method-override: GET\r\nx-http-method-override: GET\r\n",
        "x_http_method_override: PATCH\r\n",
        "x-http-method: GET, DELETE\r\n",
        "x-http-method: PUT\r\n",
    ] {
        let reply = stage.post("/1", headers, "").await;
        assert_eq!(
            (reply.status(), reply.code().as_str()),
            (400, "bad_method_override"),
            "{headers}"
        );
    }
    assert_eq!(legacy.count(), 0);
}

#[tokio::test]
async fn an_issuer_that_starts_later_is_found_and_until_then_nobody_is_refused_for_good() {
    let address = Scripted::absent().await;
    let legacy = Scripted::saying("welcome").await;
    let stage = Stage::open(&format!(
        "{}\n[auth]\n[[auth.issuers]]\nissuer = \"banyan-auth\"\naudience = \"banyan\"\n\
         jwks_url = \"http://{address}/keys\"\n[[routes]]\nid = \"me\"\nprefix = \"/\"\n\
         legacy = \"legacy\"\nauth = {{ required = true }}\n",
        upstream("legacy", legacy.address, ""),
    ))
    .await;
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("k1".to_owned());
    let key = EncodingKey::from_ed_pem(PRIVATE.as_bytes()).expect("a key");
    let token = jsonwebtoken::encode(&header, &claims(&[]), &key).expect("a token");
    let token = format!("authorization: Bearer {token}\r\n");
    let early = stage.get("/", &token).await;
    assert_eq!(
        (early.status(), early.code().as_str()),
        (503, "auth_unavailable")
    );
    assert!(early.header("retry-after").is_some());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": PUBLIC_X}]});
    let keys = response("200 OK", "application/json", &set.to_string());
    let _issuer = Scripted::at(address, Act::Say(keys)).await;
    let found = async {
        while stage.get("/", &token).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::stage::PATIENCE, found)
        .await
        .unwrap();
}
