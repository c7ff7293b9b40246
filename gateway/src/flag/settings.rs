//! What an operator sets on a flag, in the shape of the file and of the admin API.

use std::{collections::BTreeSet, fmt, str::FromStr};

use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Percent;

/// The most subjects in `allow` and `deny` each: beyond, a rule on a header does it better.
pub const MAX_LISTED: usize = 1_000;
/// The most rules of a flag: they are tried one by one for each request.
pub const MAX_RULES: usize = 64;
/// The longest subject in a list, salt or rule's value, in bytes.
const MAX_TEXT: usize = 256;
/// The most subject sources: each may cost a look at a header.
const MAX_SOURCES: usize = 8;

/// One of the two upstreams of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The monolith.
    Legacy,
    /// The upstream that the route is moving to.
    Candidate,
}

/// Where a subject is read from; a flag names several, the first that is present counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectSource {
    /// A claim of the token, whose signature was verified: `jwt:sub`.
    Jwt(String),
    /// A cookie: `cookie:banyan_subject`.
    Cookie(String),
    /// A header: `header:x-user-id`.
    Header(HeaderName),
    /// The client's address: `ip`.
    Ip,
}

/// Sends requests with a certain header to one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The header's name.
    pub header: HeaderName,
    /// Its whole value.
    pub equals: String,
    /// Where they go.
    pub side: Side,
}

/// What an operator sets on a flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// The share of the subjects that goes to the candidate.
    pub percent: Percent,
    /// Stands before the subject when the bucket is computed; flags with the same salt move the
    /// same subjects first.
    pub salt: String,
    /// Where the subject is read from, in this order.
    pub subject: Vec<SubjectSource>,
    /// Always on the candidate.
    pub allow: BTreeSet<String>,
    /// Never on the candidate, at 100 % too.
    pub deny: BTreeSet<String>,
    /// Tried in this order; the first that matches decides.
    pub rules: Vec<Rule>,
    /// Who is over stays, nobody new goes.
    pub drain: bool,
}

/// A setting that is outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSetting {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Side {
    /// `legacy` or `candidate`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Candidate => "candidate",
        }
    }

    /// The opposite side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Legacy => Self::Candidate,
            Self::Candidate => Self::Legacy,
        }
    }
}

impl Rule {
    /// Whether the request has the header with exactly this value.
    #[must_use]
    pub fn matches(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(&self.header)
            .iter()
            .any(|value| value.as_bytes() == self.equals.as_bytes())
    }
}

impl Settings {
    /// The settings of a flag that says nothing: nobody goes; the salt is the flag's id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            percent: Percent::ZERO,
            salt: id.to_owned(),
            subject: vec![SubjectSource::Cookie("banyan_subject".to_owned())],
            allow: BTreeSet::new(),
            deny: BTreeSet::new(),
            rules: Vec::new(),
            drain: false,
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// The first setting that is outside its bounds.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        let fault = |field, message: String| Err(InvalidSetting { field, message });
        let bounded = |text: &String| (1..=MAX_TEXT).contains(&text.len());
        if !bounded(&self.salt) {
            return fault("salt", format!("must have 1 to {MAX_TEXT} bytes"));
        }
        if self.subject.len() > MAX_SOURCES {
            return fault("subject", format!("names more than {MAX_SOURCES} sources"));
        }
        for (field, list) in [("allow", &self.allow), ("deny", &self.deny)] {
            if list.len() > MAX_LISTED {
                return fault(field, format!("names more than {MAX_LISTED} subjects"));
            }
            if !list.iter().all(bounded) {
                return fault(
                    field,
                    format!("holds a subject without 1 to {MAX_TEXT} bytes"),
                );
            }
        }
        if let Some(both) = self.allow.intersection(&self.deny).next() {
            return fault("allow", format!("`{both}` is denied too"));
        }
        if self.rules.len() > MAX_RULES {
            return fault("rules", format!("are more than {MAX_RULES}"));
        }
        if !self.rules.iter().all(|rule| rule.equals.len() <= MAX_TEXT) {
            return fault("rules", format!("compare with more than {MAX_TEXT} bytes"));
        }
        Ok(())
    }
}

impl fmt::Display for SubjectSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jwt(claim) => write!(f, "jwt:{claim}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Ip => f.write_str("ip"),
        }
    }
}

impl FromStr for SubjectSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no source; jwt:CLAIM, cookie:NAME, header:NAME and ip are");
        match text.split_once(':') {
            None if text == "ip" => Ok(Self::Ip),
            Some(("jwt", claim)) if !claim.is_empty() => Ok(Self::Jwt(claim.to_owned())),
            Some(("cookie", name)) if is_token(name) => Ok(Self::Cookie(name.to_owned())),
            Some(("header", name)) => name.parse().map(Self::Header).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for SubjectSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubjectSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A rule's shape on the wire.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    header: String,
    equals: String,
    #[serde(default = "RuleBody::candidate")]
    side: Side,
}

impl RuleBody {
    fn candidate() -> Side {
        Side::Candidate
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let header = self.header.as_str().to_owned();
        RuleBody {
            header,
            equals: self.equals.clone(),
            side: self.side,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RuleBody {
            header,
            equals,
            side,
        } = RuleBody::deserialize(deserializer)?;
        let header = header
            .parse()
            .map_err(|_| de::Error::custom(format!("header: `{header}` is no header's name")))?;
        Ok(Self {
            header,
            equals,
            side,
        })
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_written_as_they_are_read() {
        for text in ["jwt:sub", "cookie:banyan_subject", "header:x-user-id", "ip"] {
            assert_eq!(text.parse::<SubjectSource>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "jwt:",
            "cookie:",
            "cookie:a b",
            "header:",
            "header:a b",
            "ip:1",
            "sub",
        ] {
            assert!(wrong.parse::<SubjectSource>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn nobody_is_allowed_and_denied() {
        let mut settings = Settings::new("f");
        settings.allow.insert("ann".to_owned());
        settings.deny.insert("ann".to_owned());
        assert_eq!(settings.validate().unwrap_err().field, "allow");
    }

    #[test]
    fn settings_are_bounded() {
        let mut settings = Settings::new("f");
        settings.deny = (0..=MAX_LISTED).map(|number| number.to_string()).collect();
        assert_eq!(settings.validate().unwrap_err().field, "deny");
        let mut settings = Settings::new("f");
        settings.salt = "x".repeat(257);
        assert_eq!(settings.validate().unwrap_err().field, "salt");
    }
}
