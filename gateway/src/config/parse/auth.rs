//! `[auth]`.

use std::time::Duration;

use http::{HeaderName, header};
use jsonwebtoken::Algorithm;

use super::{
    super::{
        Auth, Forward, Issuer, IssuerKey, Told,
        reader::{Node, Section},
    },
    scalar::{
        asked_url, certificates, duration, list, one_of, parsed_list, public_key, shared_secret,
        up_to,
    },
};
use crate::headers::{X_AUTH_ROLES, is_reserved_name};
use crate::identity;

/// Clocks that NTP keeps are closer than this.
const LEEWAY: Duration = Duration::from_secs(30);
/// How long a key that its issuer has dropped may still be good here.
const REFRESH: Duration = Duration::from_secs(5 * 60);

const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

pub(super) fn auth(node: Node<'_>) -> Option<Auth> {
    let mut section = node.section()?;
    let auth = Auth {
        leeway: section.read("leeway", duration).unwrap_or(LEEWAY),
        issuers: list(&mut section, "issuers", issuer),
        forward: section.node("forward").and_then(forward),
        ca: section.read("ca", certificates),
    };
    section.finish();
    Some(auth)
}

fn issuer(node: Node<'_>) -> Option<Issuer> {
    let mut section = node.section()?;
    let issuer = section.required("issuer", Node::text);
    let audience = section.read("audience", Node::text);
    let scheme = section
        .read("scheme", scheme)
        .unwrap_or_else(|| "Bearer".to_owned());
    let given = ["jwks_url", "secret", "public_key"].map(|key| section.has(key));
    if given.into_iter().filter(|has| *has).count() != 1 {
        section.fault("", "needs exactly one of jwks_url, secret and public_key");
    }
    let keys = [
        section.read("jwks_url", asked_url).map(IssuerKey::JwksUrl),
        section.read("secret", shared_secret).map(IssuerKey::Secret),
        section
            .read("public_key", public_key)
            .map(IssuerKey::PublicKey),
    ];
    let key = keys.into_iter().flatten().next();
    let algorithm = section.read("algorithm", |node| one_of(node, ALGORITHMS));
    if let (Some(key), Some(algorithm)) = (&key, algorithm)
        && !identity::suits(key, algorithm)
    {
        section.fault("algorithm", "is not one that this kind of key is for");
    }
    let is_fetched = section.has("refresh").then_some(&key);
    if matches!(
        is_fetched,
        Some(Some(IssuerKey::Secret(_) | IssuerKey::PublicKey(_)))
    ) {
        section.fault("refresh", "is for jwks_url: nothing else is fetched");
    }
    let refresh = section.read("refresh", duration).unwrap_or(REFRESH);
    section.finish();
    Some(Issuer {
        issuer: issuer?,
        audience,
        key: key?,
        algorithm,
        refresh,
        scheme,
    })
}

fn forward(node: Node<'_>) -> Option<Forward> {
    let mut section = node.section()?;
    let url = section.required("url", asked_url);
    let subject = told(&mut section, "subject_header", "subject_field");
    let roles = told(&mut section, "roles_header", "roles_field");
    let mut forward = match subject {
        Some(subject) => Forward::of("", subject),
        // Who says nothing of either has a server that was written for the gateway.
        None => Forward {
            roles: Some(Told::Header(X_AUTH_ROLES)),
            ..Forward::of("", Told::default_subject())
        },
    };
    forward.roles = roles.or(forward.roles);
    if let Some(node) = section.node("headers") {
        forward.headers = parsed_list(&node);
        if node.items().is_empty() {
            node.fault("at least one is needed: what would carry a session?");
        }
        for name in forward.headers.iter().filter(|name| !may_be_sent(name)) {
            node.fault(format!("`{name}` cannot carry a session"));
        }
    }
    if let Some(node) = section.node("cookies") {
        if !forward.headers.contains(&header::COOKIE) {
            node.fault("are not sent: `cookie` is not among the headers");
        }
        if node.items().is_empty() {
            node.fault("at least one is needed; leave it out for all");
        }
        forward.cookies = Some(node.texts());
    }
    for (key, time) in [
        ("timeout", &mut forward.timeout),
        ("ttl", &mut forward.ttl),
        ("denied_ttl", &mut forward.denied_ttl),
    ] {
        if let Some(read) = section.read(key, duration) {
            *time = read;
        }
    }
    for (key, most, count) in [
        ("max_asks", 10_000, &mut forward.max_asks),
        ("max_sessions", 1_000_000, &mut forward.max_sessions),
    ] {
        if let Some(read) = section.read(key, |node| up_to(node, most)) {
            *count = read;
        }
    }
    section.finish();
    Some(Forward {
        url: url?,
        ..forward
    })
}

fn told(
    section: &mut Section<'_>,
    by_header: &'static str,
    by_field: &'static str,
) -> Option<Told> {
    if section.has(by_header) && section.has(by_field) {
        section.fault(
            by_field,
            format!("contradicts {by_header}: name one of them"),
        );
    }
    let header: Option<HeaderName> = section.read(by_header, Node::parsed);
    let field = section.read(by_field, field);
    header.map(Told::Header).or(field.map(Told::Field))
}

/// `user.id`: names with dots between them.
fn field(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    if text.split('.').any(str::is_empty) {
        return Err(format!("`{text}` is no field; `user.id` is"));
    }
    Ok(text)
}

/// The word before a token: a token itself, as RFC 9110 §11.4 has it.
fn scheme(node: &Node<'_>) -> Result<String, String> {
    let text = node.text()?;
    // Its characters are those of a header's name.
    if text.parse::<HeaderName>().is_ok() {
        Ok(text)
    } else {
        Err(format!("`{text}` is no scheme; `Bearer` is"))
    }
}

/// What describes the connection or the body, and what clients may not say, asks nothing.
fn may_be_sent(name: &HeaderName) -> bool {
    const NEVER: [HeaderName; 10] = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
        header::ACCEPT,
    ];
    !NEVER.contains(name) && !is_reserved_name(name)
}
