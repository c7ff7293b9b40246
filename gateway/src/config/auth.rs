//! Who sends a request, and who may use a route.

use std::time::Duration;

use http::{HeaderName, header};
use jsonwebtoken::Algorithm;

use super::Secret;

/// How tokens are verified and sessions are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// Whose tokens are accepted; at least one, or else `forward`.
    pub issuers: Vec<Issuer>,
    /// Who is asked about sessions that are no token.
    pub forward: Option<Forward>,
    /// The roots that `https` is verified with here, in PEM; else those that this machine trusts.
    pub ca: Option<String>,
}

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim, where it is checked.
    pub audience: Option<String>,
    /// What verifies the signature.
    pub key: IssuerKey,
    /// What the key is for where the key itself leaves that open; absent: HS256 or RS256.
    pub algorithm: Option<Algorithm>,
    /// After how long a key set is fetched again.
    pub refresh: Duration,
    /// What stands before the token in `Authorization`.
    pub scheme: String,
}

/// What verifies an issuer's signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerKey {
    /// A key set that is fetched (and fetched again when a key is unknown).
    JwksUrl(String),
    /// A shared secret, HS256.
    Secret(Secret),
    /// A public key in PEM.
    PublicKey(String),
}

/// Who is asked about sessions that are no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// What is asked, by GET.
    pub url: String,
    /// The request's headers that carry a session: these are sent, and no others.
    pub headers: Vec<HeaderName>,
    /// The cookies that do; absent: all but the gateway's own.
    pub cookies: Option<Vec<String>>,
    /// Where the answer says whose session it is.
    pub subject: Told,
    /// Where it says which roles come with it.
    pub roles: Option<Told>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long a session is known without asking again, at most.
    pub ttl: Duration,
    /// How long it is known that there is none.
    pub denied_ttl: Duration,
    /// Questions under way at a time.
    pub max_asks: u32,
    /// Answers that are kept.
    pub max_sessions: u32,
}

/// Where an answer says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// In a header.
    Header(HeaderName),
    /// In a field of its JSON, `user.id`.
    Field(String),
}

/// Who may use a route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteAuth {
    /// Whether a valid token is needed; without, one that is present must still be valid.
    pub required: bool,
    /// One of these is needed; empty: none.
    pub roles: Vec<String>,
    /// All of these are needed: a token's scopes say what it is good for.
    pub scopes: Vec<String>,
}

/// A user notices no more, and the monolith answers a session from its memory.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a logout may go unnoticed.
const TTL: Duration = Duration::from_secs(30);
/// A login is noticed sooner: its cookie is mostly another one anyway.
const DENIED_TTL: Duration = Duration::from_secs(5);
/// A monolith's whole pool of workers, in most.
const MAX_ASKS: u32 = 64;
/// About 300 bytes each.
const MAX_SESSIONS: u32 = 10_000;

impl Forward {
    /// The settings for this URL with every default.
    #[must_use]
    pub fn of(url: &str, subject: Told) -> Self {
        Self {
            url: url.to_owned(),
            headers: vec![header::COOKIE, header::AUTHORIZATION],
            cookies: None,
            subject,
            roles: None,
            timeout: TIMEOUT,
            ttl: TTL,
            denied_ttl: DENIED_TTL,
            max_asks: MAX_ASKS,
            max_sessions: MAX_SESSIONS,
        }
    }
}

impl Told {
    /// What a session server says that was written for us.
    #[must_use]
    pub fn default_subject() -> Self {
        Self::Header(crate::headers::X_AUTH_SUBJECT)
    }
}
