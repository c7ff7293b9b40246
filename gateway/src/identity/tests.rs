use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::*;
use crate::config::{RouteAuth, Secret};

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret that is shared with the issuer";

fn issuer(name: &str, key: IssuerKey) -> config::Issuer {
    config::Issuer {
        issuer: name.to_owned(),
        audience: Some("banyan".to_owned()),
        key,
        algorithm: None,
        refresh: Duration::from_secs(300),
        scheme: "Bearer".to_owned(),
    }
}

fn verifier() -> Verifier {
    let settings = config::Auth {
        leeway: Duration::from_secs(30),
        issuers: vec![issuer("shared", IssuerKey::Secret(Secret::new(SECRET)))],
        forward: None,
        ca: None,
    };
    Verifier::new(&settings, None, &Handle::current(), &Arc::default())
}

fn claims() -> Value {
    json!({
        "iss": "shared", "aud": "banyan", "sub": "user-7", "exp": NOW + 60, "roles": ["user"],
    })
}

fn signed(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn bearing(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = format!("Bearer {token}").parse().unwrap();
    headers.insert(header::AUTHORIZATION, value);
    headers
}

async fn identify(token: &str) -> Result<Identity, TokenError> {
    let now = Duration::from_secs(NOW);
    verifier().identify(&bearing(token), now).await
}

async fn identify_claims(change: impl FnOnce(&mut Value)) -> Result<Identity, TokenError> {
    let mut claims = claims();
    change(&mut claims);
    identify(&signed(Algorithm::HS256, SECRET, &claims)).await
}

#[tokio::test]
async fn a_good_token_proves_its_subject_and_roles() {
    let identity = identify_claims(|_| {}).await.unwrap();
    assert_eq!(identity.subject(), Some("user-7"));
    assert_eq!(identity.roles().collect::<Vec<_>>(), ["user"]);
    assert_eq!(identity.standing(), Standing::Valid);
}

#[tokio::test]
async fn no_forgery_is_an_identity() {
    let other_key = signed(Algorithm::HS256, "another secret", &claims());
    assert_eq!(identify(&other_key).await, Err(TokenError::BadSignature));
    let other_algorithm = signed(Algorithm::HS512, SECRET, &claims());
    assert_eq!(
        identify(&other_algorithm).await,
        Err(TokenError::BadSignature)
    );
    let body = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for algorithm in ["none", "None", "NONE"] {
        let header = body(&json!({"alg": algorithm, "typ": "JWT"}));
        let unsigned = format!("{header}.{}.", body(&claims()));
        assert_eq!(identify(&unsigned).await, Err(TokenError::Malformed));
    }
    let good = signed(Algorithm::HS256, SECRET, &claims());
    let (_, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = good.split_once('.').unwrap();
    let mut root = claims();
    root["sub"] = json!("root");
    let swapped = format!("{header}.{}.{signature}", body(&root));
    assert_eq!(identify(&swapped).await, Err(TokenError::BadSignature));
    for garbage in ["a", "a.b", "a.b.c", "....", "e30.e30.e30"] {
        assert_eq!(
            identify(garbage).await,
            Err(TokenError::Malformed),
            "{garbage:?}"
        );
    }
}

#[tokio::test]
async fn issuer_and_audience_must_be_the_expected_ones() {
    let issuer = identify_claims(|claims| claims["iss"] = json!("somebody")).await;
    assert_eq!(issuer, Err(TokenError::UnknownIssuer));
    let audience = identify_claims(|claims| claims["aud"] = json!("others")).await;
    assert_eq!(audience, Err(TokenError::WrongAudience));
    let none = identify_claims(|claims| claims["aud"] = Value::Null).await;
    assert_eq!(none, Err(TokenError::WrongAudience));
    let several = identify_claims(|claims| claims["aud"] = json!(["others", "banyan"])).await;
    assert!(several.is_ok());
}

#[tokio::test]
async fn time_is_judged_with_leeway_and_apart_from_the_signature() {
    let expiring = async |exp: u64| {
        let identity = identify_claims(|claims| claims["exp"] = json!(exp)).await;
        identity.unwrap().standing()
    };
    assert_eq!(expiring(NOW - 29).await, Standing::Valid);
    assert_eq!(expiring(NOW - 30).await, Standing::Expired);
    let early = identify_claims(|claims| claims["nbf"] = json!(NOW + 31)).await;
    assert_eq!(early.unwrap().standing(), Standing::NotYetValid);
    let endless = identify_claims(|claims| {
        claims.as_object_mut().unwrap().remove("exp");
    });
    assert_eq!(endless.await, Err(TokenError::Malformed));
}

#[tokio::test]
async fn a_token_that_was_verified_before_is_still_judged_by_its_time_and_scheme() {
    let verifier = verifier();
    let token = signed(Algorithm::HS256, SECRET, &claims());
    let at = async |seconds| {
        let now = Duration::from_secs(seconds);
        let identity = verifier.identify(&bearing(&token), now).await;
        identity.map(|identity| identity.standing())
    };
    assert_eq!(at(NOW).await, Ok(Standing::Valid));
    assert!(verifier.verified.get(&token).is_some());
    assert_eq!(at(NOW + 1).await, Ok(Standing::Valid));
    assert_eq!(at(NOW + 600).await, Ok(Standing::Expired));
    assert!(verifier.verified.get(&token).is_none());
    assert_eq!(at(NOW + 2).await, Ok(Standing::Valid));
    let mut other = HeaderMap::new();
    let value = format!("Token {token}").parse().unwrap();
    other.insert(header::AUTHORIZATION, value);
    let refused = verifier.identify(&other, Duration::from_secs(NOW)).await;
    assert_eq!(refused, Err(TokenError::Absent));
}

#[tokio::test]
async fn what_was_not_verified_or_is_out_of_its_time_is_not_remembered() {
    let verifier = verifier();
    let now = Duration::from_secs(NOW);
    let forged = signed(Algorithm::HS256, "another secret", &claims());
    let mut late = claims();
    late["exp"] = json!(NOW - 600);
    let late = signed(Algorithm::HS256, SECRET, &late);
    assert!(verifier.identify(&bearing(&forged), now).await.is_err());
    let identity = verifier.identify(&bearing(&late), now).await.unwrap();
    assert_eq!(identity.standing(), Standing::Expired);
    for token in [&forged, &late] {
        assert!(verifier.verified.get(token).is_none());
    }
}

#[tokio::test]
async fn what_is_not_one_bearer_token_is_no_token() {
    let now = Duration::from_secs(NOW);
    let token = signed(Algorithm::HS256, SECRET, &claims());
    let verifier = verifier();
    assert_eq!(
        verifier.identify(&HeaderMap::new(), now).await,
        Err(TokenError::Absent)
    );
    let mut basic = HeaderMap::new();
    basic.insert(header::AUTHORIZATION, "Basic dXNlcjpwdw==".parse().unwrap());
    assert_eq!(
        verifier.identify(&basic, now).await,
        Err(TokenError::Absent)
    );
    let mut two = bearing(&token);
    two.append(header::AUTHORIZATION, two[header::AUTHORIZATION].clone());
    assert_eq!(verifier.identify(&two, now).await, Err(TokenError::Several));
    let mut lower = HeaderMap::new();
    lower.insert(
        header::AUTHORIZATION,
        format!("bearer  {token}").parse().unwrap(),
    );
    assert!(verifier.identify(&lower, now).await.is_ok());
}

#[tokio::test]
async fn a_route_demands_a_token_in_its_time_with_one_of_the_roles() {
    let good = identify_claims(|_| {}).await.unwrap();
    let late = identify_claims(|claims| claims["exp"] = json!(NOW - 60))
        .await
        .unwrap();
    let demand = |required, roles: &[&str]| RouteAuth {
        required,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        scopes: Vec::new(),
    };
    let absent = Err(TokenError::Absent);
    let bad = Err(TokenError::BadSignature);
    assert_eq!(
        authorize(&demand(true, &["user", "admin"]), Ok(&good)),
        Ok(())
    );
    assert_eq!(
        authorize(&demand(true, &["admin"]), Ok(&good)),
        Err(Denied::MissingRole)
    );
    assert_eq!(
        authorize(&demand(true, &[]), Ok(&late)),
        Err(Denied::OutOfTime)
    );
    assert_eq!(
        authorize(&demand(true, &[]), absent),
        Err(Denied::Unauthenticated(TokenError::Absent))
    );
    assert_eq!(authorize(&demand(false, &[]), absent), Ok(()));
    assert!(
        authorize(&demand(false, &[]), bad).is_err(),
        "a bad token is never no token"
    );
    assert!(authorize(&demand(false, &["user"]), absent).is_err());
    assert_eq!(
        authorize(&demand(true, &[]), Err(TokenError::KeysUnavailable)),
        Err(Denied::Unverifiable)
    );
}

#[test]
fn a_public_key_is_read_as_the_kind_it_is() {
    let ed = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    assert_eq!(Key::public(ed, None).unwrap().algorithm(), Algorithm::EdDSA);
    assert!(Key::public(ed, Some(Algorithm::ES256)).is_none());
    assert!(Key::public("no key", None).is_none());
}
