//! How verbs ask over HTTP.

use database::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What stands after the `?`.
pub(super) fn query(asked: &[(&str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(asked)
        .finish()
}

/// A time as it is typed: RFC 3339.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(Into::into)
        .map_err(|_| "give a time like 2026-03-01T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_typed_with_its_zone_and_asked_for_escaped() {
        let at = time("2026-03-01T12:00:00+01:00").unwrap();
        let asked = query(&[("since", at.to_string()), ("stream", "a&b c".to_owned())]);
        assert_eq!(asked, "since=2026-03-01T11%3A00%3A00Z&stream=a%26b+c");
        assert!(time("yesterday").unwrap_err().contains("2026-"));
        assert!(time("2026-03-01").is_err());
    }
}
