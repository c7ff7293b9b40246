//! The consumer with a database of its own, and all that it wrote there.

use std::collections::BTreeMap;

use contracts::{Event, Recorded};
use database::{Database, Json, Options, Timestamp, Tx, params};
use event_store::{Handler, Outbox, outbox};
use leaderboard::{
    SERVICE,
    answers::Boards,
    config::Bonus,
    store::{self, tree},
};
use sagas::{participant, participating::Participating};
use serde_json::Value;
use service::departed;
use testkit::Backend;
use uuid::Uuid;

pub(crate) struct Bench {
    pub(crate) database: Database,
    pub(crate) boards: Participating<Boards>,
    _home: Backend,
}

impl Bench {
    pub(crate) async fn new(home: Backend) -> Self {
        let database = home.open(Options::default()).await;
        for migrations in [
            outbox::migrations(),
            participant::migrations(),
            departed::migrations(),
            store::migrations(),
        ] {
            database.migrate(migrations).await.expect("tables");
        }
        let bonus = Bonus {
            default: 0,
            badges: BTreeMap::from([("first-answer".to_owned(), 50)]),
        };
        Self {
            database,
            boards: Participating::new(Boards { bonus }, Outbox::new(SERVICE)),
            _home: home,
        }
    }

    pub(crate) async fn begin(&self) -> Tx {
        self.database.begin().await.expect("a transaction")
    }

    pub(crate) async fn takes(&self, tx: &mut Tx, events: &[Recorded]) {
        let events: Vec<&Recorded> = events.iter().collect();
        let handled = self.boards.handle_batch(tx, &events).await;
        handled.expect("handled");
    }

    pub(crate) async fn hears_at_once(&self, events: &[Recorded]) {
        let mut tx = self.begin().await;
        self.takes(&mut tx, events).await;
        tx.commit().await.expect("committed");
    }

    pub(crate) async fn hears_each(&self, events: &[Recorded]) {
        for event in events {
            let mut tx = self.begin().await;
            self.boards.handle(&mut tx, event).await.expect("handled");
            tx.commit().await.expect("committed");
        }
    }

    /// All that the tables say, but for when it was written. The trees count what is there.
    pub(crate) async fn written(&self) -> Written {
        let lines: Vec<Line> = self
            .database
            .fetch_all(
                "SELECT user_id, board, base, points, bonus, score, reached_at, rank_key
                 FROM standings ORDER BY board, rank_key",
                params![],
            )
            .await
            .expect("lines");
        let mut tx = self.begin().await;
        for line in &lines {
            let wrong = tree::wrong(&mut tx, line.1).await.expect("checked");
            assert_eq!(wrong, 0, "nodes that do not count what is there");
        }
        tx.rollback().await.expect("rolled back");
        Written {
            lines,
            players: self
                .database
                .fetch_all(
                    "SELECT user_id, display_name, source, resets FROM players ORDER BY user_id",
                    params![],
                )
                .await
                .expect("players"),
            ledger: self
                .database
                .fetch_all(
                    "SELECT saga_id, outcome, effect, ending FROM saga_ledger ORDER BY saga_id",
                    params![],
                )
                .await
                .expect("a ledger"),
            told: self.told().await,
        }
    }

    pub(crate) async fn told(&self) -> Vec<Told> {
        let sql = "SELECT event FROM outbox ORDER BY stream, version";
        let rows: Vec<(Json<Event>,)> = self
            .database
            .fetch_all(sql, params![])
            .await
            .expect("events");
        let told = |(Json(event),): (Json<Event>,)| {
            (event.id, event.event_type, event.version, event.payload)
        };
        rows.into_iter().map(told).collect()
    }

    /// The places that were told, by the answers they were told for.
    pub(crate) async fn places(&self) -> BTreeMap<String, i64> {
        let place = |(_, _, _, payload): Told| {
            let answer = payload["answerId"].as_str()?.to_owned();
            Some((answer, payload["position"].as_i64()?))
        };
        self.told().await.into_iter().filter_map(place).collect()
    }
}

pub(crate) type Told = (Uuid, String, i64, Value);
pub(crate) type Line = (Uuid, i64, i64, i64, i64, i64, Timestamp, Vec<u8>);

type Ledger = (Uuid, Option<String>, Option<Json<Value>>, Option<String>);

#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) lines: Vec<Line>,
    pub(crate) players: Vec<(Uuid, String, String, i64)>,
    pub(crate) ledger: Vec<Ledger>,
    pub(crate) told: Vec<Told>,
}
