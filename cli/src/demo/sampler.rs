//! What the system says of itself, read once a second: the log's head, the sagas' outcomes as the
//! log counts them, and how far consumers are behind.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis::{Shutdown, shutdown::Slept};
use contracts::{
    Payload,
    events::{AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmissionFailed, AnswerSubmitted},
};
use reqwest::Method;
use serde_json::Value;

use crate::client::Client;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);

/// Services whose consumers are worth watching.
const CONSUMING: [&str; 4] = ["question", "quiz", "achievement", "leaderboard"];

/// What the system said at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The log's newest position.
    pub(crate) head: i64,
    /// Sagas begun.
    pub(crate) submitted: i64,
    /// Sagas that completed.
    pub(crate) completed: i64,
    /// Answers rolled back.
    pub(crate) revoked: i64,
    /// Sagas that ended compensated.
    pub(crate) compensated: i64,
    /// Each service's slowest consumer: positions behind the head.
    pub(crate) lag: Vec<(&'static str, i64)>,
}

impl Sample {
    /// Sagas that have ended.
    pub(crate) fn ended(&self) -> i64 {
        self.completed + self.compensated
    }

    /// Sagas that have not.
    pub(crate) fn undecided(&self) -> i64 {
        self.submitted - self.ended()
    }
}

/// The last sample; none while the system does not answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latest(Arc<Mutex<Option<Sample>>>);

impl Latest {
    /// The last sample.
    pub(crate) fn get(&self) -> Option<Sample> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads samples until the shutdown.
    pub(crate) async fn keep(self, client: Client, shutdown: Shutdown) {
        loop {
            let sample = sample(&client).await.ok();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sample;
            if shutdown.sleep(EVERY).await == Slept::ShutDown {
                return;
            }
        }
    }
}

/// Asks the system.
///
/// # Errors
/// When the log does not answer; a service that does not is left out.
pub(crate) async fn sample(client: &Client) -> anyhow::Result<Sample> {
    let stats = client
        .ops("log", Method::GET, "/ops/events/stats", None)
        .await?;
    let mut sample = counted(&stats);
    for service in CONSUMING {
        if let Ok(list) = client
            .ops(service, Method::GET, "/ops/consumers", None)
            .await
        {
            let lags = list["items"].as_array().into_iter().flatten();
            let lag = lags.filter_map(|item| item["lag"].as_i64()).max();
            sample.lag.extend(lag.map(|lag| (service, lag)));
        }
    }
    Ok(sample)
}

fn counted(stats: &Value) -> Sample {
    let items = stats["items"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let of = |event_type: &str| {
        let item = items.iter().find(|item| item["type"] == event_type);
        item.and_then(|item| item["events"].as_i64())
            .unwrap_or_default()
    };
    Sample {
        head: stats["head"].as_i64().unwrap_or_default(),
        submitted: of(AnswerSubmitted::TYPE),
        completed: of(AnswerSubmissionCompleted::TYPE),
        revoked: of(AnswerRevoked::TYPE),
        compensated: of(AnswerSubmissionFailed::TYPE),
        lag: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outcomes_are_counted_from_the_log() {
        let stats = json!({ "head": 30, "items": [
            { "type": "answer.submitted", "events": 10, "lastPosition": 28 },
            { "type": "answer_submission.completed", "events": 7, "lastPosition": 29 },
            { "type": "answer_submission.failed", "events": 2, "lastPosition": 30 },
        ]});
        let sample = counted(&stats);
        assert_eq!(
            (sample.head, sample.ended(), sample.undecided()),
            (30, 9, 1)
        );
        assert_eq!(counted(&json!({})), Sample::default());
    }
}
