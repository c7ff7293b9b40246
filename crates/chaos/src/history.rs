//! What clients asked and what they heard: every call, as lines of JSON.
//!
//! Invariant: a call is in the file when it is in memory, so that a run that is killed leaves its
//! history behind.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::Context;
use contracts::QuizMode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One call of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Who called: two clients may be the same player.
    pub client: usize,
    /// In whose name.
    pub user_id: Uuid,
    /// Microseconds from the run's begin to the call's,
    pub began: u64,
    /// and to its end.
    pub ended: u64,
    /// What was asked.
    pub asked: Asked,
    /// What was heard.
    pub heard: Heard,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Asked {
    /// `POST /api/answers`
    Answer {
        /// The Idempotency-Key: the same again when a call is repeated.
        key: Uuid,
        /// The question.
        question_id: Uuid,
        /// The choice.
        choice_id: String,
        /// How it is played.
        quiz_mode: QuizMode,
    },
    /// `GET /api/answers/{id}`
    Look {
        /// The answer.
        answer_id: Uuid,
    },
    /// `GET /api/stats/me`
    Stats,
    /// `GET /api/leaderboard`
    Board {
        /// Which one.
        quiz_mode: QuizMode,
    },
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Heard {
    /// The answer counts.
    Completed {
        /// Its id.
        answer_id: Uuid,
        /// Whether it was right.
        is_correct: bool,
        /// The streak with it.
        streak: i64,
        /// What it was worth.
        points: i64,
        /// The score on the board with it, where that was told.
        score: Option<i64>,
    },
    /// The answer counts nowhere.
    Compensated {
        /// Its id.
        answer_id: Uuid,
    },
    /// The answer is recorded and not decided yet.
    Pending {
        /// Its id.
        answer_id: Uuid,
    },
    /// Refused before anything was done.
    Refused {
        /// The status: 4xx.
        status: u16,
        /// The problem's code.
        code: String,
    },
    /// The player's counts.
    Stats {
        /// Answers.
        answered: i64,
        /// Right ones.
        correct: i64,
    },
    /// The player's line on the board.
    Board {
        /// None while there is none.
        score: Option<i64>,
    },
    /// Nothing that tells what was done: no answer, or an error that does not say.
    Unknown {
        /// What it was.
        how: String,
    },
}

/// The calls of a run.
pub struct History {
    begun: Instant,
    kept: Mutex<Kept>,
}

struct Kept {
    calls: Vec<Call>,
    has_counted: bool,
    file: File,
}

impl History {
    /// An empty one, which is written to this file.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let kept = Kept {
            calls: Vec::new(),
            has_counted: false,
            file,
        };
        Ok(Self {
            begun: Instant::now(),
            kept: Mutex::new(kept),
        })
    }

    /// Microseconds since the begin.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Keeps a call.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, call: Call) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&call)?;
        line.push(b'\n');
        let mut kept = self.lock();
        kept.file.write_all(&line).context("the history")?;
        kept.has_counted |= matches!(call.heard, Heard::Completed { .. });
        kept.calls.push(call);
        Ok(())
    }

    /// Whether anybody was told that an answer counts.
    pub fn has_counted(&self) -> bool {
        self.lock().has_counted
    }

    /// All calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a history back.
///
/// # Errors
/// When the file cannot be read, or a line of it is no call.
pub fn read(path: &Path) -> anyhow::Result<Vec<Call>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = BufReader::new(file).lines().enumerate();
    lines
        .map(|(number, line)| {
            serde_json::from_str(&line?)
                .with_context(|| format!("{}, line {}", path.display(), number + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_a_line_that_can_be_read_again() {
        let folder = testkit::temp_dir();
        let path = folder.path().join("history.jsonl");
        let history = History::create(&path).unwrap();
        let call = |asked, heard| Call {
            client: 3,
            user_id: Uuid::from_u128(1),
            began: 10,
            ended: 20,
            asked,
            heard,
        };
        let key = Uuid::from_u128(2);
        let answer = Asked::Answer {
            key,
            question_id: Uuid::from_u128(3),
            choice_id: "b".to_owned(),
            quiz_mode: QuizMode::Timed,
        };
        let how = "timeout".to_owned();
        let calls = [
            call(answer, Heard::Unknown { how }),
            call(
                Asked::Stats,
                Heard::Stats {
                    answered: 2,
                    correct: 1,
                },
            ),
        ];
        for call in calls.clone() {
            history.keep(call).unwrap();
        }
        assert_eq!(read(&path).unwrap(), calls);
        assert_eq!(history.calls(), calls);
        let text = std::fs::read_to_string(&path).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["asked"]["answer"]["key"], key.to_string());
        assert_eq!(first["heard"]["unknown"]["how"], "timeout");
    }

    #[test]
    fn a_line_that_is_no_call_is_named() {
        let folder = testkit::temp_dir();
        let path = folder.path().join("history.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("line 1"), "{error}");
    }
}
