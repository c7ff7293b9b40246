//! RFC 9110 and 9112 as an intermediary has to keep them, byte by byte: each case names its section,
//! and says what becomes of the message, of the connection, and what the upstream sees.
//!
//! Behind every message that must be refused comes one that nobody may ever answer; behind every
//! one that passes comes one that must be answered in its turn.

mod answers;
mod chunks;
mod codings;
mod fields;
mod hops;
mod hosts;
mod lengths;
mod limits;
mod lines;
mod methods;
mod paths;
mod targets;

use crate::scripted::Scripted;
use crate::stage::Stage;

/// One message of a client.
struct Case {
    /// The RFC and its section.
    rfc: &'static str,
    name: &'static str,
    sent: &'static [u8],
    fate: Fate,
}

/// What becomes of it.
enum Fate {
    /// Answered with one of these, the connection closes, and no upstream sees anything.
    Refused(&'static [u16]),
    /// The connection closes without an answer, and no upstream sees anything.
    Closed,
    /// Answered with this status by the gateway alone, and the connection goes on.
    Answered(u16),
    /// The upstream gets it as with [`Fate::Passes`], and then the connection ends.
    Last {
        line: &'static str,
        has: &'static [&'static str],
        lacks: &'static [&'static str],
    },
    /// The upstream gets it, with this request line and head lines that have and have not these
    /// beginnings (in lower case).
    Passes {
        line: &'static str,
        has: &'static [&'static str],
        lacks: &'static [&'static str],
        body: &'static [u8],
    },
}

/// A message that arrives with this request line and without a body.
const fn arrives(line: &'static str) -> Fate {
    Fate::Passes {
        line,
        has: &[],
        lacks: &[],
        body: b"",
    }
}

/// A message without a body that arrives with this request line, with and without such head lines.
const fn carries(
    line: &'static str,
    has: &'static [&'static str],
    lacks: &'static [&'static str],
) -> Fate {
    Fate::Passes {
        line,
        has,
        lacks,
        body: b"",
    }
}

/// A case in one line.
const fn case(rfc: &'static str, name: &'static str, sent: &'static [u8], fate: Fate) -> Case {
    Case {
        rfc,
        name,
        sent,
        fate,
    }
}

const BAD: Fate = Fate::Refused(&[400]);

/// What nobody may ever see behind a message that is refused.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
/// What is answered in its turn behind one that passes.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Tries all cases and tells of all that went otherwise.
async fn judge(cases: &[Case]) {
    let legacy = Scripted::saying("answer").await;
    let stage = Stage::simple(legacy.address).await;
    let mut wrong = Vec::new();
    for case in cases {
        if let Err(what) = case.judge(&stage, &legacy).await {
            let text = String::from_utf8_lossy(case.sent).into_owned();
            wrong.push(format!(
                "{} ({}): {what}\n    {text:?}",
                case.name, case.rfc
            ));
        }
    }
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} cases:\n{}", wrong.join("\n"));
}

impl Case {
    async fn judge(&self, stage: &Stage, legacy: &Scripted) -> Result<(), String> {
        let before = legacy.count();
        let behind = match self.fate {
            Fate::Refused(_) | Fate::Closed => SMUGGLED,
            Fate::Answered(_) | Fate::Passes { .. } | Fate::Last { .. } => NEXT,
        };
        let mut client = stage.connect().await;
        client.send(&[self.sent, behind].concat()).await;
        let said = client.rest().await;
        let said = String::from_utf8_lossy(&said);
        let statuses = statuses(&said);
        let seen = legacy.seen().split_off(before);
        let lines: Vec<&str> = seen.iter().map(|seen| seen.line()).collect();
        let said = || format!("answered {statuses:?}, and the upstream saw {lines:?}");
        let is_right = match &self.fate {
            Fate::Refused(allowed) => {
                matches!(statuses[..], [one] if allowed.contains(&one)) && seen.is_empty()
            }
            Fate::Closed => statuses.is_empty() && seen.is_empty(),
            Fate::Answered(status) => statuses == [*status, 200] && lines == ["GET /next HTTP/1.1"],
            Fate::Last { line, .. } => statuses == [200] && lines == [*line],
            Fate::Passes { line, .. } => {
                statuses == [200, 200] && lines == [*line, "GET /next HTTP/1.1"]
            }
        };
        if !is_right {
            return Err(said());
        }
        let (has, lacks, body) = match &self.fate {
            Fate::Passes {
                has, lacks, body, ..
            } => (has, lacks, *body),
            Fate::Last { has, lacks, .. } => (has, lacks, &b""[..]),
            _ => return Ok(()),
        };
        let head = seen[0].head.to_lowercase();
        let starts = |wanted: &&&str| head.lines().any(|line| line.starts_with(**wanted));
        if let Some(absent) = has.iter().find(|wanted| !starts(wanted)) {
            return Err(format!("the upstream did not get {absent:?} in {head:?}"));
        }
        if let Some(present) = lacks.iter().find(starts) {
            return Err(format!("the upstream got {present:?} in {head:?}"));
        }
        if seen[0].body != body {
            return Err(format!("the upstream got the body {:?}", seen[0].body));
        }
        Ok(())
    }
}

/// The statuses of all answers, in their order; interim ones are left out.
fn statuses(said: &str) -> Vec<u16> {
    let starts = said.match_indices("HTTP/1.");
    let status = |(at, _): (usize, &str)| said.get(at + 9..at + 12)?.parse().ok();
    starts
        .filter_map(status)
        .filter(|status| *status >= 200)
        .collect()
}
