//! Users who leave and players who begin again, at any moment of an answer's life; and what is
//! remembered of answers that ended long ago.

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use achievement::{answers::Badges, retention::Retention, store};
use contracts::{
    Difficulty, Event, Payload, QuizMode, Recorded,
    events::{
        AnswerRevoked, AnswerSubmissionCompleted, AnswerSubmitted, UserDeleted, UserStatsReset,
    },
};
use database::{Database, Json, Options, Sql, params};
use event_store::{Handler, Outbox, outbox};
use sagas::{participant, participating::Participating};
use serde_json::{Value, json};
use service::{
    departed,
    duties::{Ask, Duty},
};
use testkit::Backend;
use time::OffsetDateTime;
use uuid::Uuid;

testkit::both_databases!(
    nothing_is_left_of_a_user_who_leaves_at_any_moment_of_an_answer,
    an_answer_after_the_departure_is_refused_and_taking_it_back_is_confirmed,
    the_ledger_names_nobody_once_an_answer_is_decided,
    counters_begin_again_and_badges_stay,
    an_answer_that_was_undecided_at_the_reset_changes_no_counter,
    who_left_is_not_set_back_into_being,
    old_rows_of_ended_answers_are_removed,
);

const ADA: Uuid = Uuid::from_u128(0xada);

struct Bench {
    database: Database,
    badges: Participating<Badges>,
    _home: Backend,
}

/// What happens to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    Submitted,
    Completed,
    Revoked,
}

use Happens::{Completed, Revoked, Submitted};

impl Bench {
    async fn new(home: Backend) -> Self {
        let database = home.open(Options::default()).await;
        for migrations in [
            outbox::migrations(),
            participant::migrations(),
            departed::migrations(),
            store::migrations(),
        ] {
            database.migrate(migrations).await.expect("tables");
        }
        Self {
            database,
            badges: Participating::new(Badges, Outbox::new("achievement")),
            _home: home,
        }
    }

    async fn hears<P: Payload>(&self, saga: Option<Uuid>, payload: &P) {
        let recorded = Recorded {
            epoch: Uuid::nil(),
            position: 1,
            recorded_at: None,
            event: event(saga, payload),
        };
        let mut tx = self.database.begin().await.expect("a transaction");
        let handled = self.badges.handle(&mut tx, &recorded).await;
        handled.expect("handled");
        tx.commit().await.expect("committed");
    }

    async fn happens(&self, what: Happens, answer_id: Uuid, user_id: Uuid) {
        let (quiz_mode, saga) = (QuizMode::Classic, Some(answer_id));
        match what {
            Submitted => {
                let submitted = AnswerSubmitted {
                    answer_id,
                    user_id,
                    display_name: "Ada".into(),
                    question_id: Uuid::from_u128(42),
                    choice_id: "b".to_owned(),
                    quiz_mode,
                    category: "rust".to_owned(),
                    difficulty: Difficulty::Easy,
                    is_correct: true,
                    points: 10,
                    streak: 1,
                };
                self.hears(saga, &submitted).await;
            }
            Completed => {
                let completed = AnswerSubmissionCompleted { answer_id, user_id };
                self.hears(saga, &completed).await;
            }
            Revoked => {
                let reason = "a test".to_owned();
                let revoked = AnswerRevoked {
                    answer_id,
                    user_id,
                    quiz_mode,
                    reason,
                };
                self.hears(saga, &revoked).await;
            }
        }
    }

    async fn leaves(&self, user_id: Uuid) {
        self.hears(None, &UserDeleted { user_id }).await;
    }

    async fn resets(&self, user_id: Uuid) {
        let reason = "asked for".to_owned();
        self.hears(None, &UserStatsReset { user_id, reason }).await;
    }

    /// What the tables say, but for who left and for what is a copy of the log.
    async fn written(&self) -> String {
        let mut text = String::new();
        for sql in [
            Sql::by_dialect(
                "SELECT p::text FROM players p",
                "SELECT hex(user_id) FROM players",
            ),
            Sql::by_dialect(
                "SELECT b::text FROM badges b",
                "SELECT hex(user_id) FROM badges",
            ),
            Sql::by_dialect(
                "SELECT COALESCE(effect::text, '') FROM saga_ledger",
                "SELECT COALESCE(effect, '') FROM saga_ledger",
            ),
        ] {
            let rows: Vec<(String,)> = self.database.fetch_all(sql, params![]).await.expect("rows");
            text.extend(rows.into_iter().map(|(row,)| row + "\n"));
        }
        text.to_lowercase()
    }

    async fn assert_forgotten(&self, user_id: Uuid) {
        let text = self.written().await;
        let names = [user_id.to_string(), user_id.simple().to_string()];
        assert!(!names.iter().any(|name| text.contains(name)), "{text}");
    }

    /// The types of the events that were emitted for an answer.
    async fn told(&self, answer_id: Uuid) -> BTreeSet<String> {
        let rows: Vec<(Json<Event>,)> = self
            .database
            .fetch_all("SELECT event FROM outbox", params![])
            .await
            .expect("events");
        let of = |event: &Event| event.saga_id == Some(answer_id);
        let types = rows.into_iter().map(|(event,)| event.0).filter(of);
        types.map(|event| event.event_type).collect()
    }

    /// Answers that count, and the badges that are shown.
    async fn counted(&self, user_id: Uuid) -> (i64, i64, usize) {
        let players = store::page(&self.database, Uuid::nil(), 100)
            .await
            .expect("players");
        let player = players.into_iter().find(|player| player.user_id == user_id);
        let (answered, answers) = player.map_or((0, 0), |player| (player.answered, player.answers));
        let unlocked = store::unlocked(&self.database, user_id)
            .await
            .expect("badges");
        (answered, answers, unlocked.len())
    }
}

fn event<P: Payload>(saga_id: Option<Uuid>, payload: &P) -> Event {
    let id = Uuid::now_v7();
    Event {
        id,
        event_type: P::TYPE.to_owned(),
        stream: "elsewhere".to_owned(),
        aggregate_id: String::new(),
        version: 1,
        schema_version: P::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: id,
        causation_id: None,
        saga_id,
        step: None,
        service_id: "elsewhere".to_owned(),
        traceparent: None,
    }
}

async fn nothing_is_left_of_a_user_who_leaves_at_any_moment_of_an_answer(home: Backend) {
    let bench = Bench::new(home).await;
    for life in [[Submitted, Completed], [Submitted, Revoked]] {
        for moment in 0..=life.len() {
            for is_first in [true, false] {
                let user_id = Uuid::now_v7();
                if !is_first {
                    let before = Uuid::now_v7();
                    bench.happens(Submitted, before, user_id).await;
                    bench.happens(Completed, before, user_id).await;
                }
                let answer_id = Uuid::now_v7();
                for (number, happens) in life.iter().enumerate() {
                    if number == moment {
                        bench.leaves(user_id).await;
                    }
                    // A saga whose ask was refused never completes.
                    if moment > 0 || *happens != Completed {
                        bench.happens(*happens, answer_id, user_id).await;
                    }
                }
                if moment == life.len() {
                    bench.leaves(user_id).await;
                }
                bench.assert_forgotten(user_id).await;
                if life[1] == Revoked {
                    let told = bench.told(answer_id).await;
                    assert!(told.contains("achievement.revoked"), "{told:?}");
                }
            }
        }
    }
}

async fn an_answer_after_the_departure_is_refused_and_taking_it_back_is_confirmed(home: Backend) {
    let bench = Bench::new(home).await;
    bench.leaves(ADA).await;
    let answer_id = Uuid::now_v7();
    bench.happens(Submitted, answer_id, ADA).await;
    assert_eq!(
        bench.told(answer_id).await,
        BTreeSet::from(["achievement.check_failed".to_owned()])
    );
    // A repeat of the ask is answered as the first time.
    bench.happens(Submitted, answer_id, ADA).await;
    bench.happens(Revoked, answer_id, ADA).await;
    assert!(bench.told(answer_id).await.contains("achievement.revoked"));
    bench.assert_forgotten(ADA).await;
}

async fn the_ledger_names_nobody_once_an_answer_is_decided(home: Backend) {
    let bench = Bench::new(home).await;
    for end in [Completed, Revoked] {
        let answer_id = Uuid::now_v7();
        bench.happens(Submitted, answer_id, ADA).await;
        let undecided = ledger(&bench, answer_id).await;
        assert_eq!(undecided["userId"], ADA.to_string());
        bench.happens(end, answer_id, ADA).await;
        let decided = ledger(&bench, answer_id).await;
        assert_eq!(decided["userId"], Uuid::nil().to_string());
        assert_eq!(decided.get("before"), None, "{decided}");
        // A repeat of either does no harm.
        bench.happens(Submitted, answer_id, ADA).await;
        bench.happens(end, answer_id, ADA).await;
    }
    assert_eq!(bench.counted(ADA).await.1, 1);
}

async fn ledger(bench: &Bench, answer_id: Uuid) -> Value {
    let (effect,): (Json<Value>,) = bench
        .database
        .fetch_one(
            "SELECT effect FROM saga_ledger WHERE saga_id = $1",
            params![answer_id],
        )
        .await
        .expect("a row");
    effect.0
}

async fn counters_begin_again_and_badges_stay(home: Backend) {
    let bench = Bench::new(home).await;
    for _ in 0..3 {
        let answer_id = Uuid::now_v7();
        bench.happens(Submitted, answer_id, ADA).await;
        bench.happens(Completed, answer_id, ADA).await;
    }
    let (answered, answers, badges) = bench.counted(ADA).await;
    assert_eq!((answered, answers), (3, 3));
    assert!(badges > 0);
    bench.resets(ADA).await;
    assert_eq!(bench.counted(ADA).await, (0, 0, badges));

    let answer_id = Uuid::now_v7();
    bench.happens(Submitted, answer_id, ADA).await;
    bench.happens(Completed, answer_id, ADA).await;
    let after = bench.counted(ADA).await;
    assert_eq!(after, (1, 1, badges), "no badge is earned twice");
}

async fn an_answer_that_was_undecided_at_the_reset_changes_no_counter(home: Backend) {
    let bench = Bench::new(home).await;
    for end in [Completed, Revoked] {
        for is_first in [true, false] {
            let user_id = Uuid::now_v7();
            if !is_first {
                let before = Uuid::now_v7();
                bench.happens(Submitted, before, user_id).await;
                bench.happens(Completed, before, user_id).await;
            }
            let answer_id = Uuid::now_v7();
            bench.happens(Submitted, answer_id, user_id).await;
            bench.resets(user_id).await;
            bench.happens(end, answer_id, user_id).await;
            let (answered, answers, badges) = bench.counted(user_id).await;
            assert_eq!((answered, answers), (0, 0), "{end:?}, first: {is_first}");
            let kept = !is_first || end == Completed;
            assert_eq!(badges > 0, kept, "{end:?}, first: {is_first}");
            let next = Uuid::now_v7();
            bench.happens(Submitted, next, user_id).await;
            bench.happens(Revoked, next, user_id).await;
            let (answered, answers, _) = bench.counted(user_id).await;
            assert_eq!((answered, answers), (0, 0), "{end:?}, first: {is_first}");
        }
    }
}

async fn who_left_is_not_set_back_into_being(home: Backend) {
    let bench = Bench::new(home).await;
    bench.leaves(ADA).await;
    bench.resets(ADA).await;
    bench.assert_forgotten(ADA).await;
    assert_eq!(bench.written().await, "");
}

async fn old_rows_of_ended_answers_are_removed(home: Backend) {
    let bench = Bench::new(home).await;
    let (ended, open) = (Uuid::now_v7(), Uuid::now_v7());
    bench.happens(Submitted, ended, ADA).await;
    bench.happens(Completed, ended, ADA).await;
    bench.happens(Submitted, open, ADA).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let long_ago = bench.database.now().await.expect("a time") - 31 * day;
    bench
        .database
        .execute("UPDATE saga_ledger SET updated_at = $1", params![long_ago])
        .await
        .expect("aged");
    let retention = Retention::days(NonZeroU32::new(30).expect("not zero"));
    let ask = Ask {
        run_id: Uuid::nil(),
        round: 1,
        parameters: Value::Null,
    };
    let mut tx = bench.database.begin().await.expect("a transaction");
    let portion = retention.perform(&mut tx, &ask).await.expect("done");
    tx.commit().await.expect("committed");
    assert_eq!(
        (portion.more, portion.detail),
        (false, json!({ "ledgerRows": 1 }))
    );
    bench.happens(Completed, open, ADA).await;
    assert_eq!(bench.counted(ADA).await.1, 2);
}
