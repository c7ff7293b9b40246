//! Which answers of a route are compressed.

use serde_json::{Value, json};

/// How answers are compressed, for clients that accept it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// What the gateway speaks, the preferred first.
    pub codings: Vec<Coding>,
    /// A shorter body is not worth it.
    pub min_size: u32,
    /// Which contents.
    pub types: Vec<ContentType>,
}

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `br`, RFC 7932.
    Brotli,
    /// `zstd`, RFC 8878.
    Zstd,
    /// `gzip`, RFC 1952.
    Gzip,
}

/// Media types: `application/json`, `text/*` or `*+json`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType(pub(super) String);

impl Compress {
    /// Fits a packet: compressed, it would still take one.
    pub(super) const MIN_SIZE: u32 = 1024;
    /// What people write and programs print; pictures, films and archives are compressed already.
    pub(super) const TYPES: [&str; 8] = [
        "text/*",
        "application/json",
        "application/javascript",
        "application/xml",
        "application/wasm",
        "image/svg+xml",
        "*+json",
        "*+xml",
    ];

    pub(super) fn declaration(&self) -> Value {
        json!({
            "codings": self.codings.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
            "minSize": self.min_size,
            "types": self.types.iter().map(|it| &it.0).collect::<Vec<_>>(),
        })
    }
}

impl Coding {
    /// As it stands in headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl ContentType {
    /// Whether a media type, without parameters and in any case, is one of these.
    pub(crate) fn contains(&self, essence: &str) -> bool {
        let is_end = |end: &str| {
            let at = essence.len().checked_sub(end.len());
            at.and_then(|at| essence.get(at..))
                .is_some_and(|found| found.eq_ignore_ascii_case(end))
        };
        match (self.0.strip_prefix('*'), self.0.strip_suffix('*')) {
            (Some(end), _) => is_end(end),
            (_, Some(start)) => essence
                .get(..start.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(start)),
            _ => essence.eq_ignore_ascii_case(&self.0),
        }
    }
}
