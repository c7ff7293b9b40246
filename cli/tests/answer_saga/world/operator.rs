//! What operators do and see, over HTTP, and what the log holds.

use contracts::{
    Event,
    audit::{
        CheckedAnswer, CheckedPlayer, CountedStats, Page, RecordedAnswer, ScoredAnswer, ScoredEntry,
    },
};
use event_store::ReadQuery;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::eventually;

use super::{PARTS, PATIENCE, Part, World, client::read};

/// What all three services hold, as their audits tell.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) answers: Vec<RecordedAnswer>,
    pub(crate) stats: Vec<CountedStats>,
    pub(crate) checked: Vec<CheckedAnswer>,
    pub(crate) players: Vec<CheckedPlayer>,
    pub(crate) scored: Vec<ScoredAnswer>,
    pub(crate) entries: Vec<ScoredEntry>,
}

impl World {
    /// Calls an operator's verb.
    pub(crate) async fn operate(&self, part: Part, path: &str) -> Value {
        let answer = read(
            self.client
                .post(self.url(part, path))
                .send()
                .await
                .expect("an answer"),
        )
        .await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Stops a participant's consumer; nothing reaches the service from then on.
    pub(crate) async fn pause(&self, part: Part) {
        self.operate(part, &format!("/ops/consumers/{}/pause", consumer(part)))
            .await;
    }

    /// Lets a participant's consumer go on.
    pub(crate) async fn resume(&self, part: Part) {
        self.operate(part, &format!("/ops/consumers/{}/resume", consumer(part)))
            .await;
    }

    /// Where a saga stands, as its operator sees it.
    pub(crate) async fn saga(&self, id: &Value) -> Value {
        let id = id.as_str().expect("an id");
        let url = self.url(Part::Quiz, &format!("/ops/sagas/{id}"));
        read(self.client.get(url).send().await.expect("an answer"))
            .await
            .body
    }

    /// Waits until a saga is in a state.
    pub(crate) async fn saga_reaches(&self, id: &Value, state: &str) {
        self.saga_reaches_any(id, &[state]).await;
    }

    /// Waits until a saga is in one of these states.
    pub(crate) async fn saga_reaches_any(&self, id: &Value, states: &[&str]) {
        let there = async || {
            let saga = self.saga(id).await;
            if states.iter().any(|state| saga["state"] == *state) {
                Ok(())
            } else {
                Err(saga.to_string())
            }
        };
        eventually(PATIENCE, there).await;
    }

    /// Waits until nothing is on its way any more: no undecided saga, no unsent event, and every
    /// consumer at the log's head.
    pub(crate) async fn settled(&self) {
        eventually(PATIENCE, async || {
            let before = self.shared.log.head().await.expect("a head").position;
            let open = self.ops_get(Part::Quiz, "/ops/sagas?state=open").await;
            if open["items"]
                .as_array()
                .is_none_or(|items| !items.is_empty())
            {
                return Err(format!("undecided: {open}"));
            }
            for part in PARTS {
                let outbox = self.ops_get(part, "/ops/outbox").await;
                if outbox["unsent"] != 0 {
                    return Err(format!("{part:?}: {outbox}"));
                }
                self.caught_up(part).await;
            }
            let after = self.shared.log.head().await.expect("a head").position;
            if before == after {
                Ok(())
            } else {
                Err("the log moved".to_owned())
            }
        })
        .await;
    }

    /// Waits until every event that a service wrote is in the log.
    pub(crate) async fn settled_outboxes(&self) {
        eventually(PATIENCE, async || {
            for part in PARTS {
                let outbox = self.ops_get(part, "/ops/outbox").await;
                if outbox["unsent"] != 0 {
                    return Err(format!("{part:?}: {outbox}"));
                }
            }
            Ok(())
        })
        .await;
    }

    /// Waits until a service's consumers are at the log's head.
    pub(crate) async fn caught_up(&self, part: Part) {
        let head = self.shared.log.head().await.expect("a head").position;
        let there = async || {
            let path = format!("/ops/audit/answers?limit=1&position={head}");
            let page = self.ops_get(part, &path).await;
            if page["items"].is_array() {
                Ok(())
            } else {
                Err(page.to_string())
            }
        };
        eventually(PATIENCE, there).await;
    }

    /// What the services hold, once nothing is on its way.
    pub(crate) async fn books(&self) -> Books {
        self.settled().await;
        Books {
            answers: self.audit(Part::Quiz, "answers").await,
            stats: self.audit(Part::Quiz, "stats").await,
            checked: self.audit(Part::Achievement, "answers").await,
            players: self.audit(Part::Achievement, "players").await,
            scored: self.audit(Part::Leaderboard, "answers").await,
            entries: self.audit(Part::Leaderboard, "entries").await,
        }
    }

    async fn audit<T: DeserializeOwned>(&self, part: Part, list: &str) -> Vec<T> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/ops/audit/{list}?limit=100{after}");
            let page: Page<T> =
                serde_json::from_value(self.ops_get(part, &path).await).expect("a page");
            items.extend(page.items);
            let Some(cursor) = page.next_cursor else {
                return items;
            };
            after = format!("&after={cursor}");
        }
    }

    /// Every event of the log, in order.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut position = 0;
        loop {
            let read = self
                .shared
                .log
                .read(&ReadQuery::after(position))
                .await
                .expect("a page");
            let Some(last) = read.last() else {
                return events;
            };
            position = last.position;
            events.extend(read.into_iter().map(|recorded| recorded.event));
        }
    }

    async fn ops_get(&self, part: Part, path: &str) -> Value {
        match self.client.get(self.url(part, path)).send().await {
            Ok(answer) => read(answer).await.body,
            Err(error) => json!({ "unreachable": error.to_string() }),
        }
    }
}

fn consumer(part: Part) -> &'static str {
    match part {
        Part::Quiz => sagas::CONSUMER,
        Part::Achievement => "badges",
        Part::Leaderboard => "boards",
    }
}
