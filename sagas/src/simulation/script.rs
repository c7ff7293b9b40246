//! What a script says: data, read from TOML, YAML or JSON.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;
use thiserror::Error;

use crate::{
    definition::{Action, Definition, OnTimeout},
    state::Phase,
    transition::{Resolution, Verb},
};

/// Replies of one entry at most.
const MAX_TIMES: u32 = 1000;

/// What happens to one saga: how local steps go, what participants say and when, what operators do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// The definition's name; whoever runs the script finds it by this.
    pub definition: String,
    /// What it shows, for people.
    pub about: String,
    /// What the saga is started with; kept for the timeline, since no transition looks at it.
    pub data: Value,
    /// What a passed deadline means, by step, where an operator changed it before the start.
    pub policy: BTreeMap<String, OnTimeout>,
    /// How local steps go, by step; those that are not named are done, and undone, at once.
    pub local: BTreeMap<String, Local>,
    /// What participants say.
    pub replies: Vec<Reply>,
    /// What operators do.
    pub operator: Vec<Act>,
    /// Where the saga must stand at the end.
    pub expect: Option<Phase>,
}

/// How a local step goes, attempt by attempt; the last word holds for all that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Local {
    /// Each attempt to do it.
    pub act: Vec<Ran>,
    /// Each attempt to take it back; it cannot be refused.
    pub undo: Vec<Ran>,
}

/// How one attempt of a local step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ran {
    /// It was done.
    Done,
    /// It cannot be done.
    Refused,
    /// It failed, and is tried again as its policy says.
    Fails,
}

/// What a participant says, once or several times.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// About which step.
    pub step: String,
    /// What.
    pub says: Says,
    /// When, since the start.
    #[serde(default, deserialize_with = "duration")]
    pub at: Option<Duration>,
    /// When, since the participant was asked: at each ask, or at that of `attempt`.
    #[serde(default, deserialize_with = "duration")]
    pub after: Option<Duration>,
    /// The attempt that `after` counts from.
    #[serde(default)]
    pub attempt: Option<u32>,
    /// How often: the same event again, as logs and buses may bring it.
    #[serde(default = "once")]
    pub times: u32,
    /// Why it was refused.
    #[serde(default)]
    pub reason: Option<String>,
    /// What came with it.
    #[serde(default)]
    pub result: Option<Value>,
}

/// What a participant says about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It was done.
    Done,
    /// It was not done and will not be.
    Refused,
    /// It was taken back.
    Undone,
    /// It cannot be taken back.
    UndoRefused,
    /// Nothing: the same as no entry, for scripts that say so.
    None,
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// When, since the start.
    #[serde(deserialize_with = "some_duration")]
    pub at: Duration,
    /// `retry`, `resolve`, `compensate` or `abandon`, as on the command line.
    pub verb: ActVerb,
    /// For `retry` and `resolve`.
    #[serde(default)]
    pub step: Option<String>,
    /// For `resolve`.
    #[serde(default)]
    pub outcome: Option<Resolution>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only if the saga is still at this version.
    #[serde(default)]
    pub if_version: Option<i64>,
}

/// An operator's verb, as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActVerb {
    /// A step again, or without one the compensation.
    Retry,
    /// What is known about a step from elsewhere.
    Resolve,
    /// Turn back.
    Compensate,
    /// Give it up.
    Abandon,
}

/// What is wrong with a script: where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {fault}")]
pub struct ScriptFault {
    /// The entry, as it is called in the script.
    pub place: String,
    /// What is wrong, and what would be right.
    pub fault: String,
}

impl Script {
    pub(super) fn check(&self, definition: &Definition) -> Result<(), Vec<ScriptFault>> {
        let mut faults = Vec::new();
        let mut fault = |place: String, fault: String| faults.push(ScriptFault { place, fault });
        let names: Vec<_> = definition.steps().map(|step| step.name()).collect();
        let unknown = |step: &str| {
            let known = names.join(", ");
            format!("there is no step {step}; {} has {known}", definition.name())
        };
        let action = |step: &str| definition.find(step).map(|step| step.action());
        for step in self.policy.keys() {
            if action(step) != Some(Action::Ask) {
                let why = "only an ask has a deadline, and so a policy";
                fault(format!("policy.{step}"), why.to_owned());
            }
        }
        for (step, local) in &self.local {
            let undo = definition
                .find(step)
                .and_then(|step| step.undoing().action());
            if action(step).is_none() {
                fault(format!("local.{step}"), unknown(step));
            } else if !local.act.is_empty() && action(step) != Some(Action::Local) {
                let why = "a participant does it: say what it answers in `replies`";
                fault(format!("local.{step}.act"), why.to_owned());
            } else if !local.undo.is_empty() && undo != Some(Action::Local) {
                let why = "its undo is not local";
                fault(format!("local.{step}.undo"), why.to_owned());
            } else if local.undo.contains(&Ran::Refused) {
                let why = "a local undo is `done` or `fails`";
                fault(format!("local.{step}.undo"), why.to_owned());
            }
        }
        for (number, reply) in self.replies.iter().enumerate() {
            let place = format!("replies[{number}]");
            if action(&reply.step).is_none() {
                fault(place.clone(), unknown(&reply.step));
            }
            if reply.at.is_some() == reply.after.is_some() && reply.says != Says::None {
                let why = "give `at` (since the start) or `after` (since the ask), one of them";
                fault(place.clone(), why.to_owned());
            }
            if reply.attempt.is_some() && reply.after.is_none() {
                fault(place.clone(), "`attempt` needs `after`".to_owned());
            }
            if !(1..=MAX_TIMES).contains(&reply.times) {
                fault(place, format!("`times` must be 1 to {MAX_TIMES}"));
            }
        }
        for (number, act) in self.operator.iter().enumerate() {
            let place = format!("operator[{number}]");
            if let Some(step) = act.step.as_deref().filter(|step| action(step).is_none()) {
                fault(place.clone(), unknown(step));
            }
            if let Err(why) = act.verb() {
                fault(place, why.to_owned());
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

impl Act {
    pub(super) fn verb(&self) -> Result<Verb, &'static str> {
        let step = || self.step.clone().ok_or("`resolve` needs `step`");
        let takes_none = self.step.is_none();
        let verb = match self.verb {
            ActVerb::Resolve => Verb::ResolveStep {
                step: step()?,
                outcome: self.outcome.ok_or("`resolve` needs `outcome`")?,
            },
            _ if self.outcome.is_some() => return Err("only `resolve` takes `outcome`"),
            ActVerb::Retry => match self.step.clone() {
                Some(step) => Verb::RetryStep { step },
                None => Verb::RetryCompensation,
            },
            ActVerb::Compensate if takes_none => Verb::ForceCompensation,
            ActVerb::Abandon if takes_none => Verb::Abandon,
            ActVerb::Compensate | ActVerb::Abandon => return Err("this verb takes no `step`"),
        };
        Ok(verb)
    }
}

const fn once() -> u32 {
    1
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    some_duration(from).map(Some)
}

fn some_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).ok_or_else(|| {
        let say = "a whole number with its unit: us, ms, s or m";
        D::Error::custom(format!("{text:?} is no duration: give {say}"))
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let micros = match &text[digits.len()..] {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return None,
    };
    // Longer than a saga's deadlines by far, and nowhere near the end of time.
    const LONGEST: u64 = 366 * 24 * 3600 * 1_000_000;
    let micros = number.checked_mul(micros)?;
    (micros <= LONGEST).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(parse_duration("120ms"), Some(Duration::from_millis(120)));
        assert_eq!(parse_duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_duration("0us"), Some(Duration::ZERO));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        for bad in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5 s",
            "1h",
            "99999999999999999999s",
            "9999999m",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
