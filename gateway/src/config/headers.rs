//! What a route changes about headers, and whose pages may read its answers.
//!
//! Invariant: no rule names a header that frames a message, describes one connection, or is the
//! gateway's own word; the file that says so is faulty.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

/// Which headers are changed; in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Taken away.
    pub remove: Vec<HeaderName>,
    /// Put in the place of what was there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Put beside what was there.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

/// Which pages of other origins may use a route (the Fetch standard's CORS protocol).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages.
    pub origins: Origins,
    /// What they may send.
    pub methods: Vec<Method>,
    /// Which headers they may add.
    pub headers: Names,
    /// Whether cookies and the like go with it.
    pub credentials: bool,
    /// How long a browser remembers the answer to its question.
    pub max_age: Option<Duration>,
    /// Which headers of an answer they may read.
    pub expose: Names,
}

/// Origins as browsers write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// These: `https://app.example.org`, in lower case.
    Some(Vec<HeaderValue>),
}

/// Names of headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// All that are asked for; never together with credentials.
    Any,
    /// These.
    Some(Vec<HeaderName>),
}

impl HeaderRules {
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }

    /// The names alone: a value may be a secret of the upstream's.
    pub(super) fn declaration(&self) -> Value {
        let names = |pairs: &[(HeaderName, HeaderValue)]| {
            let names = pairs.iter().map(|(name, _)| name.as_str().to_owned());
            names.collect::<Vec<_>>()
        };
        json!({
            "remove": texts(&self.remove),
            "set": names(&self.set),
            "add": names(&self.add),
        })
    }
}

impl Cors {
    pub(super) fn declaration(&self) -> Value {
        json!({
            "origins": match &self.origins {
                Origins::Any => json!("*"),
                Origins::Some(origins) => {
                    let texts = origins.iter().filter_map(|origin| origin.to_str().ok());
                    json!(texts.collect::<Vec<_>>())
                }
            },
            "methods": self.methods.iter().map(Method::as_str).collect::<Vec<_>>(),
            "headers": self.headers.declaration(),
            "credentials": self.credentials,
            "maxAgeSeconds": self.max_age.map(|age| age.as_secs()),
            "expose": self.expose.declaration(),
        })
    }
}

impl Origins {
    pub(crate) fn contain(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Some(origins) => origins.contains(origin),
        }
    }
}

impl Names {
    fn declaration(&self) -> Value {
        match self {
            Self::Any => json!("*"),
            Self::Some(names) => json!(texts(names)),
        }
    }
}

fn texts(names: &[HeaderName]) -> Vec<&str> {
    names.iter().map(HeaderName::as_str).collect()
}
