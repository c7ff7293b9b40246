//! Which paths a route takes: all below a prefix, or those of a template.
//!
//! Invariant: a pattern is in the normal form of paths, with which it is compared; one that would
//! never match is refused when the file is read.

use std::fmt::{self, Write as _};

/// The most segments of a pattern. [`crate::table`] keeps two bits for each in one word; addresses
/// that people write have a tenth of it.
pub const MAX_SEGMENTS: usize = 60;

/// The paths that a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `/api/answers`: this path and all below it; no slash at the end (but `/` itself).
    Prefix(String),
    /// `/users/{id}/orders`: exactly these segments, of which each `{name}` is any one. With
    /// `{*rest}` at the end all paths below, too.
    Template(String),
}

/// One segment of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// This text.
    Literal(&'a str),
    /// Any text.
    Name,
}

impl Pattern {
    /// As it stands in the file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Prefix(text) | Self::Template(text) => text,
        }
    }

    /// Its segments from the left, without `{*rest}`.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let is_template = matches!(self, Self::Template(_));
        let parts = self.as_str().split('/').filter(|part| !part.is_empty());
        parts
            .filter(move |part| !is_template || !part.starts_with("{*"))
            .map(move |part| match part.strip_prefix('{') {
                Some(_) if is_template => Segment::Name,
                _ => Segment::Literal(part),
            })
    }

    /// Whether it takes what is below its last segment.
    pub(crate) fn takes_below(&self) -> bool {
        match self {
            Self::Prefix(_) => true,
            Self::Template(text) => last(text).starts_with("{*"),
        }
    }

    /// The same for two patterns exactly when they take the same paths (apart from letters' case).
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in self.segments() {
            match segment {
                Segment::Literal(text) => write!(shape, "/{text}"),
                Segment::Name => write!(shape, "/{{}}"),
            }
            .ok();
        }
        if self.takes_below() {
            // No literal segment holds a brace.
            shape.push_str("/{*}");
        }
        shape
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Checks the names of a template and puts a plain segment in the place of each, for whoever checks
/// what is left.
pub(super) fn without_names(text: &str) -> Result<String, String> {
    let mut names: Vec<&str> = Vec::new();
    let mut plain = Vec::new();
    let parts: Vec<&str> = text.split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        if !part.contains(['{', '}']) {
            plain.push(*part);
            continue;
        }
        let inner = part
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .filter(|inner| !inner.contains(['{', '}']));
        let Some(inner) = inner else {
            return Err(format!(
                "`{text}`: `{part}` is no name; one takes a whole segment, `/users/{{id}}/orders`"
            ));
        };
        let name = inner.strip_prefix('*').unwrap_or(inner);
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name
                .chars()
                .all(|one| one.is_ascii_alphanumeric() || one == '_');
        if !is_name {
            return Err(format!(
                "`{text}`: `{part}` is no name: letters, digits and _ are"
            ));
        }
        if inner.starts_with('*') && index + 1 != parts.len() {
            return Err(format!("`{text}`: `{part}` stands at the end only"));
        }
        if names.contains(&name) {
            return Err(format!("`{text}`: `{name}` stands there twice"));
        }
        names.push(name);
        plain.push("x");
    }
    Ok(plain.join("/"))
}

fn last(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(pattern: &Pattern) -> String {
        pattern.shape()
    }

    #[test]
    fn patterns_of_the_same_paths_have_one_shape() {
        let template = |text: &str| Pattern::Template(text.to_owned());
        let prefix = |text: &str| Pattern::Prefix(text.to_owned());
        assert_eq!(
            shape(&template("/users/{id}")),
            shape(&template("/users/{name}"))
        );
        assert_eq!(shape(&prefix("/files")), shape(&template("/files/{*rest}")));
        assert_eq!(shape(&prefix("/")), shape(&template("/{*all}")));
        assert_ne!(shape(&prefix("/users")), shape(&template("/users")));
        assert_ne!(
            shape(&template("/users/{id}")),
            shape(&template("/users/id"))
        );
    }

    #[test]
    fn a_name_takes_a_whole_segment_and_stands_once() {
        assert_eq!(
            without_names("/users/{id}/{*rest}").as_deref(),
            Ok("/users/x/x")
        );
        for wrong in [
            "/users/{id}.json",
            "/users/{}",
            "/users/{1d}",
            "/users/{i-d}",
            "/users/{id",
            "/users/id}",
            "/{id}/{id}",
            "/{*rest}/a",
            "/{{id}}",
            "/{**rest}",
            "/{*}",
        ] {
            assert!(without_names(wrong).is_err(), "{wrong}");
        }
    }
}
