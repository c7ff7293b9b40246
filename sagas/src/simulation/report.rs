//! What came of a script.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    outline::Outline,
    state::{Phase, State},
};

/// What came of a script. JSON in camelCase; times in microseconds since the start.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was run.
    pub outline: Outline,
    /// What the saga was started with.
    pub data: Value,
    /// What happened, in order.
    pub timeline: Vec<Entry>,
    /// Where the saga stands at the end; nowhere when its first local step failed, and with it the
    /// start: nothing was started then, and the caller was told.
    pub outcome: Option<Phase>,
    /// Where it was to stand.
    pub expected: Option<Phase>,
    /// Whether it stands there; always where nothing was expected.
    pub holds: bool,
    /// All of where it stands.
    pub state: State,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When, since the start.
    #[serde(rename = "atMicros", serialize_with = "micros")]
    pub at: Duration,
    /// What it was.
    pub what: What,
    /// What moved the saga, in words: the script's or a timer's input, and after it what local
    /// steps made of it.
    pub inputs: Vec<String>,
    /// Why it changed nothing, where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// The saga's version after it.
    pub version: i64,
    /// Where the saga stands after it.
    pub state: Phase,
    /// What was to be done, in words, in order.
    pub effects: Vec<String>,
    /// What is waited for after it: step, timer and when that is due since the start, the nearest first.
    pub waits_for: Vec<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The saga was started.
    Start,
    /// A participant said something.
    Reply,
    /// An operator did something.
    Operator,
    /// A timer ran out.
    Timer,
}

impl What {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reply => "reply",
            Self::Operator => "operator",
            Self::Timer => "timer",
        }
    }
}

fn micros<S: Serializer>(at: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(at.as_micros()).unwrap_or(u64::MAX))
}

/// For people: a line for what happened, and below it what was to be done.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} v{}", self.outline.name, self.outline.version)?;
        for entry in &self.timeline {
            let what = entry.what.as_str();
            let at = since_start(entry.at);
            let said = entry.inputs.join("; ");
            match &entry.ignored {
                Some(why) => writeln!(f, "{at:>12}  {what:<8}  {said}: nothing, {why}")?,
                None => {
                    let state = entry.state.as_str();
                    writeln!(
                        f,
                        "{at:>12}  {what:<8}  {said}  [v{} {state}]",
                        entry.version
                    )?;
                }
            }
            for effect in &entry.effects {
                writeln!(f, "{:>12}  {:<8}  → {effect}", "", "")?;
            }
            if entry.ignored.is_none() && !entry.waits_for.is_empty() {
                let waits = entry.waits_for.join(", ");
                writeln!(f, "{:>12}  {:<8}  ⏱ {waits}", "", "")?;
            }
        }
        let name = |phase: Option<Phase>| phase.map_or("not started", Phase::as_str);
        write!(f, "outcome: {}", name(self.outcome))?;
        match self.expected {
            Some(_) if self.holds => write!(f, ", as expected"),
            Some(expected) => write!(f, ", and {} was expected", expected.as_str()),
            None => Ok(()),
        }
    }
}

/// A time since the start, as people read it.
pub(super) fn since_start(at: Duration) -> String {
    let (seconds, micros) = (at.as_secs(), at.subsec_micros());
    if micros == 0 {
        return format!("{seconds} s");
    }
    let digits = format!("{micros:06}");
    format!("{seconds}.{} s", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_as_many_digits_as_they_need() {
        let shown = |micros| since_start(Duration::from_micros(micros));
        assert_eq!(shown(0), "0 s");
        assert_eq!(shown(5_000_000), "5 s");
        assert_eq!(shown(120_000), "0.12 s");
        assert_eq!(shown(5_000_001), "5.000001 s");
    }
}
