//! The settings that the format has and this version does not act on.

/// A setting that is refused, since accepting it would promise what does not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// The key's path; `*` stands for any one name.
    pub key: &'static str,
    /// Values that mean what happens anyway, and are therefore accepted.
    pub accepted: &'static [&'static str],
    /// What this version lacks.
    pub what: &'static str,
}

/// What the format has and this version does not act on. Whoever builds one of these deletes its
/// line; the key is parsed and validated already where [`crate::Config`] has a field for it.
pub const UNSUPPORTED: &[Unsupported] = &[missing("routes.*.shadow", "shadow traffic")];

const fn missing(key: &'static str, what: &'static str) -> Unsupported {
    Unsupported {
        key,
        accepted: &[],
        what,
    }
}

impl Unsupported {
    /// Whether the key at this path, with this value where it is a scalar, is refused.
    pub(super) fn refuses(&self, path: &[String], value: Option<&str>) -> bool {
        let mut names = self.key.split('.');
        let same_path = path.iter().all(|name| {
            names
                .next()
                .is_some_and(|expected| expected == "*" || expected == name.as_str())
        }) && names.next().is_none();
        same_path && !value.is_some_and(|value| self.accepted.contains(&value))
    }
}
