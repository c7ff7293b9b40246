//! The version that an edit was made on: in the body or the query, or as `If-Match: "7"`.

use super::question::{Fault, VERSION_MAX};

/// The header's name, as faults tell it.
pub const IF_MATCH: &str = "If-Match";

/// The version that the current one must be; none: whatever is there is overwritten.
///
/// # Errors
/// A version out of bounds, a header of another form, or two that differ.
pub fn expected_version(named: Option<i64>, if_match: Option<&str>) -> Result<Option<i64>, Fault> {
    if let Some(version) = named.filter(|version| !(1..=VERSION_MAX).contains(version)) {
        let rule = format!("is {version}, not 1 to {VERSION_MAX}");
        return Err(Fault::new("version", rule));
    }
    let matched = match if_match.map(str::trim) {
        // Any version that there is.
        None | Some("*") => None,
        Some(tag) => Some(tagged(tag).ok_or_else(|| {
            Fault::new(
                IF_MATCH,
                "is neither `*` nor a version in quotes, such as `\"7\"`",
            )
        })?),
    };
    match (named, matched) {
        (Some(named), Some(matched)) if named != matched => Err(Fault::new(
            IF_MATCH,
            "names another version than the request itself",
        )),
        (named, matched) => Ok(named.or(matched)),
    }
}

fn tagged(tag: &str) -> Option<i64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.starts_with('0') {
        return None;
    }
    digits
        .parse()
        .ok()
        .filter(|version| *version <= VERSION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_from_either_place() {
        assert_eq!(expected_version(None, None), Ok(None));
        assert_eq!(expected_version(Some(7), None), Ok(Some(7)));
        assert_eq!(expected_version(None, Some("\"7\"")), Ok(Some(7)));
        assert_eq!(expected_version(Some(7), Some("\"7\"")), Ok(Some(7)));
        assert_eq!(expected_version(None, Some("*")), Ok(None));
    }

    #[test]
    fn what_is_no_version_is_refused_and_named() {
        let field = |named, tag| expected_version(named, tag).expect_err("refused").field;
        assert_eq!(field(Some(0), None), "version");
        assert_eq!(field(Some(i64::MAX), None), "version");
        for tag in [
            "7",
            "W/\"7\"",
            "\"07\"",
            "\"\"",
            "\"x\"",
            "\"9999999999999999\"",
            "",
        ] {
            assert_eq!(field(None, Some(tag)), IF_MATCH, "{tag:?}");
        }
        assert_eq!(field(Some(6), Some("\"7\"")), IF_MATCH);
    }
}
