//! Whom a flag decides for, and the signed cookie that remembers a client without a name.
//!
//! Invariant: a `banyan_subject` cookie counts only when this gateway (or a replica with the same
//! key) signed it; a tampered one is the same as none. So no client can choose its bucket with it,
//! or claim that it was on the candidate before.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{self, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;
use crate::flag::{Settings, SubjectSource};
use crate::identity::Identity;

/// The cookie that the gateway signs itself.
pub const COOKIE: &str = "banyan_subject";

/// Signs and checks the cookie.
pub struct CookieSigner {
    keyed: Hmac<Sha256>,
}

/// What a signed cookie says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The subject: random, or the address that the client first came from where the flag reads
    /// addresses, so that it stays on its side when it moves to another network. Empty where
    /// another source names the client: the cookie then carries stamps and names nobody.
    pub subject: String,
    /// The flags on whose candidate side this client has been, for `drain`.
    pub stamps: Vec<String>,
}

/// The subject of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One of the flag's sources named it.
    Found(String),
    /// No source did, but the flag reads the gateway's cookie: it is to be given one.
    ToMint,
    /// No source did, and none ever will.
    Nobody,
}

/// The most stamps that a cookie carries: with 64 bytes each it stays within what browsers keep.
const MAX_STAMPS: usize = 24;

/// A subject from a header or claim that is longer is no name; hashing it per request costs.
const MAX_SUBJECT: usize = 256;

/// A year, the longest that matters to a migration.
const MAX_AGE_SECONDS: u32 = 365 * 24 * 60 * 60;

impl CookieSigner {
    /// A signer with this key; without one, with a key that does not outlive the process.
    pub fn new(key: Option<&Secret>) -> Self {
        let random: [u8; 32] = rand::random();
        let key = key.map_or(&random[..], |key| key.expose().as_bytes());
        // HMAC's own rule for long keys (RFC 2104), so that any key has the one length wanted here.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&Sha256::digest(key));
        Self {
            keyed: Hmac::new(&block.into()),
        }
    }

    /// The valid `banyan_subject` among the request's cookies.
    pub fn read(&self, headers: &HeaderMap) -> Option<Remembered> {
        cookies(headers, COOKIE).find_map(|value| self.open(value))
    }

    /// The cookie's value for this client.
    pub fn seal(&self, remembered: &Remembered) -> String {
        let text = format!("v1:{}:{}", remembered.subject, remembered.stamps.join("~"));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&text));
        format!("{text}:{signature}")
    }

    /// A whole `Set-Cookie` for this client.
    pub fn set_cookie(&self, remembered: &Remembered, is_secure: bool) -> Option<HeaderValue> {
        let secure = if is_secure { "; Secure" } else { "" };
        let value = self.seal(remembered);
        let cookie = format!(
            "{COOKIE}={value}; Path=/; Max-Age={MAX_AGE_SECONDS}; HttpOnly; SameSite=Lax{secure}"
        );
        HeaderValue::from_str(&cookie).ok()
    }

    fn open(&self, value: &str) -> Option<Remembered> {
        let (text, signature) = value.rsplit_once(':')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let is_ours: bool = self.sign(text)[..].ct_eq(&signature).into();
        if !is_ours {
            return None;
        }
        // A subject may hold colons (an IPv6 address does), stamps cannot.
        let (subject, stamps) = text.strip_prefix("v1:")?.rsplit_once(':')?;
        Some(Remembered {
            subject: subject.to_owned(),
            stamps: stamps
                .split('~')
                .filter(|stamp| !stamp.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }

    fn sign(&self, text: &str) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        // The purpose is part of what is signed: another use of the same key cannot be replayed.
        mac.update(b"banyan_subject\0");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for CookieSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieSigner(…)")
    }
}

impl Remembered {
    /// A client that was never seen before.
    pub fn new(random: [u8; 16]) -> Self {
        Self {
            subject: URL_SAFE_NO_PAD.encode(random),
            stamps: Vec::new(),
        }
    }

    /// A client that was known by its address alone.
    pub fn addressed(address: IpAddr) -> Self {
        Self {
            subject: address.to_string(),
            stamps: Vec::new(),
        }
    }

    /// A client that something else names; the cookie must not become another name for it.
    pub fn nameless() -> Self {
        Self {
            subject: String::new(),
            stamps: Vec::new(),
        }
    }

    /// True when this client was on the candidate under that flag.
    pub fn is_stamped(&self, flag: &str) -> bool {
        self.stamps.iter().any(|stamp| stamp == flag)
    }

    /// Remembers the candidate side of a flag; the oldest stamp gives way when there are too many.
    pub fn stamp(&mut self, flag: &str) {
        if !self.is_stamped(flag) {
            if self.stamps.len() >= MAX_STAMPS {
                self.stamps.remove(0);
            }
            self.stamps.push(flag.to_owned());
        }
    }

    /// Forgets the candidate side of a flag: the client is back on legacy.
    pub fn unstamp(&mut self, flag: &str) {
        self.stamps.retain(|stamp| stamp != flag);
    }
}

/// The subject by the flag's sources, the first that is present.
///
/// `identity` is a token whose signature holds, expired or not. `remembered` is the client's
/// checked cookie. `address` is the client's own, behind trusted proxies.
pub fn find(
    settings: &Settings,
    headers: &HeaderMap,
    identity: Option<&Identity>,
    remembered: Option<&Remembered>,
    address: IpAddr,
) -> Subject {
    let mut reads_own_cookie = false;
    for source in &settings.subject {
        let found = match source {
            SubjectSource::Jwt(claim) => identity.and_then(|identity| identity.claim(claim)),
            SubjectSource::Cookie(name) if name == COOKIE => {
                reads_own_cookie = true;
                remembered.map(|remembered| remembered.subject.clone())
            }
            SubjectSource::Cookie(name) => cookies(headers, name).next().map(str::to_owned),
            SubjectSource::Header(name) => headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(|value| value.trim().to_owned()),
            SubjectSource::Ip => Some(address.to_string()),
        };
        if let Some(subject) = found.filter(|it| (1..=MAX_SUBJECT).contains(&it.len())) {
            return Subject::Found(subject);
        }
    }
    if reads_own_cookie {
        Subject::ToMint
    } else {
        Subject::Nobody
    }
}

/// True when a shared cache may store the response, so that a `Set-Cookie` in it would be handed
/// to strangers (RFC 9111 §3).
pub fn is_publicly_cacheable(headers: &HeaderMap) -> bool {
    let mut has_lifetime = headers.contains_key(header::EXPIRES);
    let directives = headers
        .get_all(header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for directive in directives {
        let name = directive.split('=').next().unwrap_or_default().trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("no-store") || is("private") {
            return false;
        }
        has_lifetime |= is("public") || is("s-maxage");
        has_lifetime |= is("max-age") && !directive.trim().ends_with("=0");
    }
    has_lifetime
}

/// The values of a cookie, in the order they were sent.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> CookieSigner {
        CookieSigner::new(Some(&Secret::new("a key that is long enough")))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            })
            .collect()
    }

    fn settings(sources: &[&str]) -> Settings {
        let mut settings = Settings::new("flag");
        settings.subject = sources.iter().map(|text| text.parse().unwrap()).collect();
        settings
    }

    fn find_in(sources: &[&str], headers: &HeaderMap) -> Subject {
        let remembered = signer().read(headers);
        let address = "1.2.3.4".parse().unwrap();
        find(
            &settings(sources),
            headers,
            None,
            remembered.as_ref(),
            address,
        )
    }

    #[test]
    fn a_sealed_cookie_is_read_back_with_its_stamps() {
        let mut remembered = Remembered::new([7; 16]);
        remembered.stamp("quiz-cutover");
        remembered.stamp("auth.1");
        remembered.stamp("auth.1");
        let cookie = format!("other=1; {COOKIE}={}", signer().seal(&remembered));
        let read = signer().read(&headers(&[("cookie", &cookie)])).unwrap();
        assert_eq!(read, remembered);
        assert!(read.is_stamped("auth.1") && !read.is_stamped("auth"));
        assert_eq!(read.stamps.len(), 2);
    }

    #[test]
    fn an_address_is_sealed_and_read_back() {
        for address in ["1.2.3.4", "2001:db8::1"] {
            let mut remembered = Remembered::addressed(address.parse().unwrap());
            remembered.stamp("a");
            let cookie = format!("{COOKIE}={}", signer().seal(&remembered));
            let read = signer().read(&headers(&[("cookie", &cookie)]));
            assert_eq!(read, Some(remembered));
        }
    }

    #[test]
    fn a_nameless_cookie_carries_stamps_and_names_nobody() {
        let mut remembered = Remembered::nameless();
        remembered.stamp("a");
        let cookie = format!("{COOKIE}={}", signer().seal(&remembered));
        let map = headers(&[("cookie", &cookie), ("x-user-id", "ann")]);
        assert_eq!(signer().read(&map), Some(remembered));
        assert_eq!(find_in(&["cookie:banyan_subject"], &map), Subject::ToMint);
        assert_eq!(
            find_in(&["cookie:banyan_subject", "header:x-user-id"], &map),
            Subject::Found("ann".to_owned())
        );
    }

    #[test]
    fn a_tampered_cookie_is_the_same_as_none() {
        let sealed = signer().seal(&Remembered::new([7; 16]));
        let foreign = CookieSigner::new(Some(&Secret::new("another key")));
        let mut wrong: Vec<String> = (0..sealed.len())
            .map(|at| {
                let mut octets = sealed.clone().into_bytes();
                octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
                String::from_utf8(octets).unwrap()
            })
            .collect();
        wrong.push(foreign.seal(&Remembered::new([7; 16])));
        wrong.push(String::new());
        wrong.push("user-7".to_owned());
        for value in wrong {
            // The last character of unpadded base64 has bits that mean nothing; those are refused
            // by the decoder, so that each signature has one spelling.
            let cookie = format!("{COOKIE}={value}");
            let map = headers(&[("cookie", &cookie)]);
            assert_eq!(signer().read(&map), None, "{value}");
            assert_eq!(find_in(&["cookie:banyan_subject"], &map), Subject::ToMint);
        }
    }

    #[test]
    fn the_first_source_that_is_present_wins() {
        let map = headers(&[("x-user-id", "ann"), ("cookie", "sid=s1")]);
        let found = |sources: &[&str]| find_in(sources, &map);
        assert_eq!(
            found(&["header:x-user-id", "ip"]),
            Subject::Found("ann".to_owned())
        );
        assert_eq!(
            found(&["ip", "header:x-user-id"]),
            Subject::Found("1.2.3.4".to_owned())
        );
        assert_eq!(
            found(&["jwt:sub", "cookie:sid"]),
            Subject::Found("s1".to_owned())
        );
        assert_eq!(found(&["header:x-none"]), Subject::Nobody);
        assert_eq!(
            found(&["header:x-none", "cookie:banyan_subject"]),
            Subject::ToMint
        );
    }

    #[test]
    fn only_what_a_shared_cache_may_store_is_publicly_cacheable() {
        for (value, expected) in [
            ("public", true),
            ("max-age=60", true),
            ("s-maxage=1, max-age=0", true),
            ("private, max-age=60", false),
            ("no-store", false),
            ("max-age=0", false),
            ("no-cache", false),
        ] {
            let map = headers(&[("cache-control", value)]);
            assert_eq!(is_publicly_cacheable(&map), expected, "{value}");
        }
        assert!(is_publicly_cacheable(&headers(&[(
            "expires",
            "Thu, 01 Jan 2099 00:00:00 GMT"
        )])));
        assert!(!is_publicly_cacheable(&HeaderMap::new()));
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts() {
        let cookie = signer()
            .set_cookie(&Remembered::new([1; 16]), true)
            .unwrap();
        let cookie = cookie.to_str().unwrap();
        for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
    }
}
