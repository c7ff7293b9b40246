//! Which providers there are: `[oidc.<name>]` of the configuration.

use std::collections::BTreeMap;

use openidconnect::url::{Host, Url};
use serde::{Deserialize, Serialize};

/// Characters of a provider's name, which is part of paths.
const NAME_MAX: usize = 32;

/// One provider. Not printable: it holds a secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The provider's issuer, exactly as its tokens say it.
    pub issuer: String,
    /// As registered with the provider.
    pub client_id: String,
    /// Absent for a public client, which PKCE alone protects.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// What is asked for beside `openid`.
    #[serde(default = "usual_scopes")]
    pub scopes: Vec<String>,
    /// What the button says; absent: the name.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Whether an address that the provider calls verified belongs to whoever signs in: such an
    /// account is then taken over, and new accounts have the address.
    #[serde(default)]
    pub trust_email: bool,
}

/// What is wrong with the providers and with where they send browsers back to.
pub(super) fn faults(providers: &BTreeMap<String, Settings>, public_url: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let is_base = Url::parse(public_url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if !is_base {
        faults.push(format!(
            "public_url: {public_url:?} is no http or https address without query and fragment"
        ));
    }
    for (name, settings) in providers {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
            faults.push(format!(
                "oidc.{name}: a provider's name has 1 to {NAME_MAX} of a-z, 0-9 and -"
            ));
        }
        if name == "session" {
            faults.push("oidc.session: this name is a path already".to_owned());
        }
        if !is_issuer(&settings.issuer) {
            faults.push(format!(
                "oidc.{name}.issuer: {:?} is no https address (http: on loopback only)",
                settings.issuer
            ));
        }
        if settings.client_id.is_empty() {
            faults.push(format!("oidc.{name}.client_id: is empty"));
        }
    }
    faults
}

/// Whoever answers for an issuer says who somebody is; without TLS that could be anybody between.
fn is_issuer(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Domain(name))) => name == "localhost",
        ("http", Some(Host::Ipv4(address))) => address.is_loopback(),
        ("http", Some(Host::Ipv6(address))) => address.is_loopback(),
        _ => false,
    })
}

fn usual_scopes() -> Vec<String> {
    vec!["profile".to_owned(), "email".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, issuer: &str) -> Vec<String> {
        let settings = Settings {
            issuer: issuer.to_owned(),
            client_id: "client".to_owned(),
            client_secret: None,
            scopes: usual_scopes(),
            display_name: None,
            trust_email: false,
        };
        let providers = BTreeMap::from([(name.to_owned(), settings)]);
        faults(&providers, "http://127.0.0.1:8080")
    }

    #[test]
    fn an_issuer_speaks_tls_unless_it_is_on_this_machine() {
        assert!(named("google", "https://accounts.google.com").is_empty());
        assert!(named("own", "http://127.0.0.1:9400").is_empty());
        for issuer in ["http://id.example", "ftp://localhost", "id.example", ""] {
            assert_eq!(named("own", issuer).len(), 1, "{issuer}");
        }
    }

    #[test]
    fn names_are_parts_of_paths() {
        for name in ["", "Google", "a/b", "session", &"x".repeat(33)] {
            assert_eq!(named(name, "https://id.example").len(), 1, "{name}");
        }
    }

    #[test]
    fn browsers_are_sent_back_to_an_address() {
        assert_eq!(faults(&BTreeMap::new(), "play.example").len(), 1);
        assert_eq!(
            faults(&BTreeMap::new(), "https://play.example?a=b").len(),
            1
        );
        assert!(faults(&BTreeMap::new(), "https://play.example/").is_empty());
    }
}
