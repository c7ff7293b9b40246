//! The headers that ask a server to act as if the method were another one.

use http::{HeaderMap, Method};

use super::{equals_with_underscores, remove_where};

/// The method-override headers do not name one method in one way, so that servers would differ in
/// what they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the method-override headers do not name one method")]
pub struct AmbiguousOverride;

/// Removes the method-override headers, which would let a client choose another method than the
/// one that the route and its `auth` were judged by.
pub fn remove_method_overrides(headers: &mut HeaderMap) {
    remove_where(headers, is_method_override);
}

/// The method that the override headers ask for, where a route lets them decide.
///
/// # Errors
///
/// When one of them is repeated, is written with `_`, names no method, or contradicts another.
pub fn method_override(headers: &HeaderMap) -> Result<Option<Method>, AmbiguousOverride> {
    let mut asked = None;
    for name in headers
        .keys()
        .filter(|name| is_method_override(name.as_str()))
    {
        let mut values = headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        // Whether a server takes `_` for `-`, and which of several values it takes, is its own affair.
        if values.next().is_some() || name.as_str().contains('_') {
            return Err(AmbiguousOverride);
        }
        let value = value.ok_or(AmbiguousOverride)?.trim().to_ascii_uppercase();
        let method = value.parse::<Method>().map_err(|_| AmbiguousOverride)?;
        if asked
            .replace(method.clone())
            .is_some_and(|other| other != method)
        {
            return Err(AmbiguousOverride);
        }
    }
    Ok(asked)
}

/// What frameworks read as "act as if this were the method".
const METHOD_OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

fn is_method_override(name: &str) -> bool {
    METHOD_OVERRIDES
        .iter()
        .any(|known| equals_with_underscores(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::tests::headers;

    #[test]
    fn method_overrides_are_removed_in_every_spelling() {
        let mut map = headers(&[
            ("X-HTTP-Method-Override", "delete"),
            ("x_http_method", "PUT"),
        ]);
        remove_method_overrides(&mut map);
        assert!(map.is_empty());
    }

    #[test]
    fn a_method_override_is_believed_only_when_it_has_one_reading() {
        const LONG: &str = "x-http-method-override";
        let method = |pairs: &[(&str, &str)]| method_override(&headers(pairs));
        assert_eq!(method(&[("x-other", "PUT")]), Ok(None));
        assert_eq!(method(&[(LONG, "delete")]), Ok(Some(Method::DELETE)));
        let agreeing = [(LONG, "PUT"), ("x-method-override", " put ")];
        assert_eq!(method(&agreeing), Ok(Some(Method::PUT)));
        for ambiguous in [
            &[(LONG, "DELETE"), ("x-http-method", "PUT")][..],
            &[(LONG, "DELETE"), (LONG, "DELETE")],
            &[("x_http_method", "PUT")],
            &[(LONG, "PUT"), ("x-http_method", "PUT")],
            &[(LONG, "")],
            &[(LONG, "GET, DELETE")],
        ] {
            assert_eq!(method(ambiguous), Err(AmbiguousOverride), "{ambiguous:?}");
        }
    }
}
