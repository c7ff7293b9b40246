//! The decision which side serves a request. Pure.

use http::HeaderMap;
use serde::Serialize;

use super::{FlagState, Percent, Side};

/// The number of buckets: one for each hundredth of a percent.
const BUCKETS: u32 = 10_000;

/// Which side serves a request, and what decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The side.
    pub side: Side,
    /// What decided.
    pub rule: Rule,
    /// The subject's bucket, 0 to 9999; absent without a subject.
    pub bucket: Option<u16>,
}

/// What decided, in the order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The flag was rolled back.
    Killed,
    /// The subject is on the deny list.
    Deny,
    /// The subject is on the allow list.
    Allow,
    /// A header rule matched.
    Rules,
    /// The flag is draining.
    Drain,
    /// The subject's bucket against the percent.
    Percent,
}

/// Decides. `stamped` says that the client's signed `banyan_subject` cookie shows it was on the
/// candidate under this flag before; it matters while the flag drains, and only then.
///
/// Precedence: killed > deny > allow > rules > percent. Draining replaces the percent, and takes
/// its force from rules that would send somebody new over; `allow` names people one by one and
/// stays in force. Without a subject only 100 % sends a request over.
#[must_use]
pub fn decide(
    state: &FlagState,
    subject: Option<&str>,
    stamped: bool,
    headers: &HeaderMap,
) -> Decision {
    let settings = &state.settings;
    let bucket = subject.map(|subject| bucket(&settings.salt, subject));
    let decided = |side, rule| Decision { side, rule, bucket };
    if state.killed {
        return decided(Side::Legacy, Rule::Killed);
    }
    if subject.is_some_and(|subject| settings.deny.contains(subject)) {
        return decided(Side::Legacy, Rule::Deny);
    }
    if subject.is_some_and(|subject| settings.allow.contains(subject)) {
        return decided(Side::Candidate, Rule::Allow);
    }
    let stays_out = settings.drain && !stamped;
    if let Some(rule) = settings.rules.iter().find(|rule| rule.matches(headers)) {
        match rule.side {
            Side::Candidate if stays_out => return decided(Side::Legacy, Rule::Drain),
            side => return decided(side, Rule::Rules),
        }
    }
    if settings.drain {
        let side = if stamped {
            Side::Candidate
        } else {
            Side::Legacy
        };
        return decided(side, Rule::Drain);
    }
    let is_over = match bucket {
        Some(bucket) => bucket < settings.percent.hundredths(),
        None => settings.percent == Percent::FULL,
    };
    decided(
        if is_over {
            Side::Candidate
        } else {
            Side::Legacy
        },
        Rule::Percent,
    )
}

/// `murmur3_x86_32("{salt}:{subject}", UTF-8, seed 0) mod 10000`.
#[must_use]
pub fn bucket(salt: &str, subject: &str) -> u16 {
    let hash = hash(salt, subject) % BUCKETS;
    u16::try_from(hash).unwrap_or_default()
}

/// The three parts are hashed as one text without being copied together.
fn hash(salt: &str, subject: &str) -> u32 {
    use std::io::Read;
    let mut text = salt.as_bytes().chain(&b":"[..]).chain(subject.as_bytes());
    // Reading from memory cannot fail; a bucket of 0 would be the cautious answer if it did.
    murmur3::murmur3_32(&mut text, 0).unwrap_or_default()
}

impl Decision {
    /// The reason in a sentence, for people.
    #[must_use]
    pub fn why(&self, state: &FlagState, subject: Option<&str>) -> String {
        let percent = state.settings.percent;
        let subject = subject.unwrap_or("nobody");
        match (self.rule, self.side, self.bucket) {
            (Rule::Killed, ..) => "the flag was rolled back: everybody is on legacy".to_owned(),
            (Rule::Deny, ..) => format!("`{subject}` is on the deny list"),
            (Rule::Allow, ..) => format!("`{subject}` is on the allow list"),
            (Rule::Rules, side, _) => format!("a header rule sends it to {}", side.as_str()),
            (Rule::Drain, Side::Candidate, _) => {
                "the flag drains, and the client was over already".to_owned()
            }
            (Rule::Drain, ..) => "the flag drains: nobody new goes over".to_owned(),
            (Rule::Percent, _, None) => {
                format!("no subject, and the flag stands at {percent}: only 100 % takes everybody")
            }
            (Rule::Percent, side, Some(bucket)) => {
                let sign = if side == Side::Candidate {
                    "below"
                } else {
                    "not below"
                };
                let limit = percent.hundredths();
                format!("bucket {bucket} of `{subject}` is {sign} {limit} ({percent})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flag::{Settings, settings};

    fn flag(percent: u16) -> FlagState {
        let mut settings = Settings::new("quiz-cutover");
        settings.percent = Percent::from_hundredths(percent).unwrap();
        FlagState::declared("quiz-cutover".parse().unwrap(), settings)
    }

    fn side(state: &FlagState, subject: &str) -> Side {
        decide(state, Some(subject), false, &HeaderMap::new()).side
    }

    #[test]
    fn buckets_agree_with_the_published_vectors() {
        for (subject, expected_hash, expected_bucket) in
            [("user-7", 0xfdd8_6565, 7381), ("user-1", 0x6039_7057, 7047)]
        {
            assert_eq!(hash("quiz-cutover", subject), expected_hash);
            assert_eq!(bucket("quiz-cutover", subject), expected_bucket);
        }
    }

    #[test]
    fn a_kill_beats_every_other_rule_and_deny_beats_allow() {
        let mut state = flag(10_000);
        state.settings.allow.insert("ann".to_owned());
        state.settings.deny.insert("bob".to_owned());
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-tenant"),
            http::HeaderValue::from_static("acme"),
        )]);
        let rule = settings::Rule {
            header: http::HeaderName::from_static("x-tenant"),
            equals: "acme".to_owned(),
            side: Side::Candidate,
        };
        state.settings.rules.push(rule);
        let by = |state: &FlagState, subject| decide(state, Some(subject), true, &headers).rule;
        assert_eq!(by(&state, "bob"), Rule::Deny);
        assert_eq!(by(&state, "ann"), Rule::Allow);
        assert_eq!(by(&state, "eve"), Rule::Rules);
        state.settings.rules.clear();
        assert_eq!(by(&state, "eve"), Rule::Percent);
        state.killed = true;
        for subject in ["ann", "bob", "eve"] {
            assert_eq!(by(&state, subject), Rule::Killed);
            assert_eq!(side(&state, subject), Side::Legacy);
        }
    }

    #[test]
    fn without_a_subject_only_everybody_includes_it() {
        let anonymous = |percent| decide(&flag(percent), None, false, &HeaderMap::new());
        assert_eq!(anonymous(9_999).side, Side::Legacy);
        assert_eq!(anonymous(10_000).side, Side::Candidate);
        assert_eq!(anonymous(10_000).bucket, None);
    }

    #[test]
    fn draining_keeps_who_is_over_and_takes_nobody_new() {
        let mut state = flag(10_000);
        state.settings.drain = true;
        let with = |state: &FlagState, stamped| {
            decide(state, Some("ann"), stamped, &HeaderMap::new()).side
        };
        assert_eq!(with(&state, false), Side::Legacy);
        assert_eq!(with(&state, true), Side::Candidate);
        state.settings.percent = Percent::ZERO;
        assert_eq!(with(&state, true), Side::Candidate);
        state.settings.drain = false;
        assert_eq!(
            with(&state, true),
            Side::Legacy,
            "a stamp means nothing without drain"
        );
    }

    #[test]
    fn the_share_that_goes_over_is_the_percent() {
        let state = flag(2_500);
        let over = (0..20_000)
            .filter(|number| side(&state, &format!("user-{number}")) == Side::Candidate)
            .count();
        assert!((4_700..5_300).contains(&over), "{over} of 20000 at 25 %");
    }

    proptest! {
        #[test]
        fn raising_a_percent_moves_nobody_back_and_lowering_it_moves_nobody_over(
            subject in ".{0,40}", low in 0u16..=10_000, high in 0u16..=10_000,
        ) {
            let (low, high) = (low.min(high), low.max(high));
            if side(&flag(low), &subject) == Side::Candidate {
                prop_assert_eq!(side(&flag(high), &subject), Side::Candidate);
            }
            if side(&flag(high), &subject) == Side::Legacy {
                prop_assert_eq!(side(&flag(low), &subject), Side::Legacy);
            }
        }

        #[test]
        fn nobody_goes_at_0_and_everybody_at_100(subject in ".{0,40}") {
            prop_assert_eq!(side(&flag(0), &subject), Side::Legacy);
            prop_assert_eq!(side(&flag(10_000), &subject), Side::Candidate);
        }

        #[test]
        fn the_bucket_is_the_hash_of_the_joined_text(salt in ".{1,20}", subject in ".{0,80}") {
            let mut joined = std::io::Cursor::new(format!("{salt}:{subject}"));
            let expected = murmur3::murmur3_32(&mut joined, 0).unwrap() % 10_000;
            prop_assert_eq!(u32::from(bucket(&salt, &subject)), expected);
        }
    }
}
