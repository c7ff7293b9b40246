//! A change of a flag: what is asked for, and what is recorded.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::{FlagState, Percent, Rule, Settings, SubjectSource};

/// What a change sets; what is absent stays. Lists replace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// See [`Settings::percent`].
    pub percent: Option<Percent>,
    /// See [`Settings::salt`]; from the file only, since it deals all buckets anew.
    pub salt: Option<String>,
    /// See [`Settings::subject`]; from the file only.
    pub subject: Option<Vec<SubjectSource>>,
    /// See [`Settings::allow`].
    pub allow: Option<BTreeSet<String>>,
    /// See [`Settings::deny`].
    pub deny: Option<BTreeSet<String>>,
    /// See [`Settings::rules`].
    pub rules: Option<Vec<Rule>>,
    /// See [`Settings::drain`].
    pub drain: Option<bool>,
    /// See [`FlagState::killed`].
    pub killed: Option<bool>,
}

/// One entry of a flag's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The version that the change made; contiguous from 1.
    pub version: u64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The whole state before; absent for the first.
    pub before: Option<FlagState>,
    /// The whole state after.
    pub after: FlagState,
    /// What the change was based on, where it was made on evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
}

impl Patch {
    /// The patch that turns a flag back.
    #[must_use]
    pub fn kill() -> Self {
        Self {
            killed: Some(true),
            ..Self::default()
        }
    }

    /// The fields in which two declarations of a flag differ, with the newer one's values.
    #[must_use]
    pub fn between(old: &Settings, new: &Settings) -> Self {
        fn changed<T: PartialEq + Clone>(old: &T, new: &T) -> Option<T> {
            (old != new).then(|| new.clone())
        }
        Self {
            percent: changed(&old.percent, &new.percent),
            salt: changed(&old.salt, &new.salt),
            subject: changed(&old.subject, &new.subject),
            allow: changed(&old.allow, &new.allow),
            deny: changed(&old.deny, &new.deny),
            rules: changed(&old.rules, &new.rules),
            drain: changed(&old.drain, &new.drain),
            killed: None,
        }
    }

    /// Whether it sets nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it does nothing but turn the flag back, which needs no log.
    #[must_use]
    pub fn is_kill(&self) -> bool {
        *self == Self::kill()
    }

    /// The state that the patch makes of this one, with the next version.
    #[must_use]
    pub fn apply(&self, state: &FlagState) -> FlagState {
        fn set<T: Clone>(target: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                target.clone_from(value);
            }
        }
        let mut next = state.clone();
        set(&mut next.settings.percent, self.percent.as_ref());
        set(&mut next.settings.salt, self.salt.as_ref());
        set(&mut next.settings.subject, self.subject.as_ref());
        set(&mut next.settings.allow, self.allow.as_ref());
        set(&mut next.settings.deny, self.deny.as_ref());
        set(&mut next.settings.rules, self.rules.as_ref());
        set(&mut next.settings.drain, self.drain.as_ref());
        set(&mut next.killed, self.killed.as_ref());
        next.version = state.version + 1;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_changes_only_the_fields_that_differ() {
        let old = Settings::new("f");
        let mut new = old.clone();
        new.percent = Percent::FULL;
        let patch = Patch::between(&old, &new);
        assert_eq!(
            patch,
            Patch {
                percent: Some(Percent::FULL),
                ..Patch::default()
            }
        );

        let mut live = FlagState::declared("f".parse().unwrap(), old);
        live.settings.drain = true;
        let after = patch.apply(&live);
        assert!(
            after.settings.drain,
            "what the operator set meanwhile stays"
        );
        assert_eq!((after.settings.percent, after.version), (Percent::FULL, 2));
    }

    #[test]
    fn only_the_bare_kill_needs_no_log() {
        assert!(Patch::kill().is_kill());
        assert!(
            !Patch {
                percent: Some(Percent::ZERO),
                ..Patch::kill()
            }
            .is_kill()
        );
        assert!(
            !Patch {
                killed: Some(false),
                ..Patch::default()
            }
            .is_kill()
        );
    }
}
