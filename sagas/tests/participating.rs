//! What repeats, late asks and ends mean to a participant, whatever its own code does.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use contracts::{
    Event, Payload, Recorded,
    events::{AnswerSubmissionCompleted, AnswerSubmissionFailed, QuestionDeleted, UserDeleted},
};
use database::{Database, Options, Tx, params};
use event_store::{Handler, HandlerError, NewEvent, Outbox, consumer::Fault, outbox};
use sagas::{
    participant::{self, Ledger},
    participating::{self, Applied, Finished, Participant, Participating, Role},
};
use serde::{Deserialize, Serialize};
use testkit::Backend;
use time::OffsetDateTime;
use uuid::Uuid;

testkit::both_databases!(
    an_ask_is_done_once_and_answered_as_often_as_it_comes,
    a_revocation_takes_the_effect_back_and_is_confirmed_each_time,
    an_ask_after_its_revocation_does_nothing,
    an_ask_after_its_completion_is_done_for_good,
    a_refusal_is_told_again_and_leaves_nothing_to_undo,
    a_completed_effect_cannot_be_taken_back,
    what_comes_in_one_batch_is_what_comes_one_by_one,
    a_batch_that_is_refused_leaves_nothing,
    the_participant_looks_ahead_once_for_all_that_come_together,
);

const SAGA: Uuid = Uuid::from_u128(7);

/// Counts sagas in a table: an ask adds one, an undo takes it off, an end marks it.
struct Counter {
    refuses: bool,
    looked: Looked,
}

/// For how many events the participant looked ahead, each time, and how many sagas had done something.
type Looked = Arc<Mutex<Vec<(usize, usize)>>>;

#[derive(Serialize, Deserialize)]
struct Effect {
    is_final: bool,
}

// The payloads are borrowed: an ask, a revocation and a completion only have to differ.
type Ask = QuestionDeleted;
type Revocation = UserDeleted;
type Completion = AnswerSubmissionCompleted;

const ASK: Ask = Ask {
    question_id: SAGA,
    version: 1,
};
const REVOCATION: Revocation = Revocation { user_id: SAGA };
const COMPLETION: Completion = Completion {
    answer_id: SAGA,
    user_id: SAGA,
};

#[async_trait]
impl Participant for Counter {
    type Effect = Effect;

    fn name(&self) -> &'static str {
        "counter"
    }

    fn step(&self) -> &'static str {
        "count"
    }

    fn types(&self) -> &'static [&'static str] {
        &[Ask::TYPE, Revocation::TYPE, Completion::TYPE]
    }

    fn role(&self, event_type: &str) -> Role {
        match event_type {
            Ask::TYPE => Role::Ask,
            Revocation::TYPE => Role::Revocation,
            Completion::TYPE => Role::Completion,
            _ => Role::Other,
        }
    }

    async fn look_ahead(&self, tx: &mut Tx, events: &[&Recorded]) -> Result<(), HandlerError> {
        let done = Ledger.kept(tx, SAGA, self.step()).await?;
        let mut looked = self.looked.lock().expect("nobody panicked");
        looked.push((events.len(), done.iter().count()));
        Ok(())
    }

    async fn apply(&self, tx: &mut Tx, _: &Recorded) -> Result<Applied<Effect>, HandlerError> {
        if self.refuses {
            return Ok(Applied::Refused("no more room".to_owned()));
        }
        tx.execute("INSERT INTO counted (n) VALUES (1)", params![])
            .await?;
        Ok(Applied::Done(Effect { is_final: false }))
    }

    fn applied(&self, _: &Recorded, _: &Effect) -> Result<Vec<NewEvent>, HandlerError> {
        Ok(vec![told("done")])
    }

    fn refused(&self, _: &Recorded, reason: &str) -> Result<Vec<NewEvent>, HandlerError> {
        Ok(vec![told(reason)])
    }

    async fn undo(
        &self,
        tx: &mut Tx,
        _: &Recorded,
        effect: Option<&Effect>,
    ) -> Result<Vec<NewEvent>, HandlerError> {
        if effect.is_some() {
            tx.execute("DELETE FROM counted", params![]).await?;
        }
        Ok(vec![told("undone")])
    }

    async fn finish(
        &self,
        _: &mut Tx,
        _: &Recorded,
        _: Effect,
    ) -> Result<Finished<Effect>, HandlerError> {
        Ok(Finished {
            effect: Effect { is_final: true },
            events: vec![told("final")],
        })
    }

    async fn other(&self, _: &mut Tx, _: &Recorded) -> Result<(), HandlerError> {
        Ok(())
    }
}

fn told(what: &str) -> NewEvent {
    NewEvent::of(&AnswerSubmissionFailed {
        answer_id: SAGA,
        user_id: SAGA,
        reason: what.to_owned(),
    })
    .stream("counter")
}

struct Bench {
    database: Database,
    looked: Looked,
    consumer: Participating<Counter>,
    _home: Backend,
}

impl Bench {
    async fn new(home: Backend, refuses: bool) -> Self {
        let database = home.open(Options::default()).await;
        database
            .migrate(outbox::migrations())
            .await
            .expect("tables");
        database
            .migrate(participant::migrations())
            .await
            .expect("tables");
        database
            .execute("CREATE TABLE counted (n BIGINT)", params![])
            .await
            .expect("a table");
        let looked = Looked::default();
        let counter = Counter {
            refuses,
            looked: Arc::clone(&looked),
        };
        let consumer = Participating::new(counter, Outbox::new("counter"));
        Self {
            database,
            looked,
            consumer,
            _home: home,
        }
    }

    async fn hears<P: Payload>(&self, payload: &P) -> Result<(), HandlerError> {
        let mut tx = self.database.begin().await?;
        self.consumer.handle(&mut tx, &recorded(payload)).await?;
        Ok(tx.commit().await?)
    }

    /// All of them in one transaction.
    async fn hears_at_once(&self, events: &[Recorded]) -> Result<(), HandlerError> {
        let mut tx = self.database.begin().await?;
        let events: Vec<&Recorded> = events.iter().collect();
        self.consumer.handle_batch(&mut tx, &events).await?;
        Ok(tx.commit().await?)
    }

    async fn asked(&self) {
        self.hears(&ASK).await.expect("handled");
    }

    async fn revoked(&self) {
        self.hears(&REVOCATION).await.expect("handled");
    }

    async fn completed(&self) {
        self.hears(&COMPLETION).await.expect("handled");
    }

    async fn counted(&self) -> i64 {
        let row = self
            .database
            .fetch_one::<(i64,)>("SELECT COUNT(*) FROM counted", params![]);
        row.await.expect("a count").0
    }

    /// What was told, in order.
    async fn told(&self) -> Vec<String> {
        let sql = "SELECT event FROM outbox ORDER BY version";
        let rows: Vec<(database::Json<Event>,)> = self
            .database
            .fetch_all(sql, params![])
            .await
            .expect("events");
        let reason = |event: &Event| {
            assert_eq!(
                (event.saga_id, event.step.as_deref()),
                (Some(SAGA), Some("count"))
            );
            event
                .payload::<AnswerSubmissionFailed>()
                .expect("a payload")
                .reason
        };
        rows.iter().map(|(event,)| reason(event)).collect()
    }

    async fn final_effects(&self) -> Vec<bool> {
        let page = participating::page::<Effect>(&self.database, "count", Uuid::nil(), 10);
        page.await
            .expect("a page")
            .iter()
            .map(|entry| entry.effect.is_final)
            .collect()
    }
}

fn recorded<P: Payload>(payload: &P) -> Recorded {
    let id = Uuid::now_v7();
    let event = Event {
        id,
        event_type: P::TYPE.to_owned(),
        stream: "asks".to_owned(),
        aggregate_id: String::new(),
        version: 1,
        schema_version: P::SCHEMA_VERSION,
        payload: serde_json::to_value(payload).expect("JSON"),
        timestamp: OffsetDateTime::UNIX_EPOCH,
        correlation_id: id,
        causation_id: None,
        saga_id: Some(SAGA),
        step: None,
        service_id: "owner".to_owned(),
        traceparent: None,
    };
    Recorded {
        epoch: Uuid::nil(),
        position: 1,
        recorded_at: None,
        event,
    }
}

async fn an_ask_is_done_once_and_answered_as_often_as_it_comes(home: Backend) {
    let bench = Bench::new(home, false).await;
    bench.asked().await;
    bench.asked().await;
    assert_eq!(
        (bench.counted().await, bench.final_effects().await),
        (1, vec![false])
    );
    bench.completed().await;
    bench.completed().await;
    assert_eq!(
        (bench.counted().await, bench.final_effects().await),
        (1, vec![true])
    );
    assert_eq!(bench.told().await, ["done", "done", "final"]);
}

async fn a_revocation_takes_the_effect_back_and_is_confirmed_each_time(home: Backend) {
    let bench = Bench::new(home, false).await;
    bench.asked().await;
    bench.revoked().await;
    bench.revoked().await;
    assert_eq!(bench.counted().await, 0);
    assert_eq!(bench.told().await, ["done", "undone", "undone"]);
}

async fn an_ask_after_its_revocation_does_nothing(home: Backend) {
    let bench = Bench::new(home, false).await;
    bench.revoked().await;
    bench.asked().await;
    assert_eq!(bench.counted().await, 0);
    assert_eq!(bench.told().await, ["undone"]);
}

async fn an_ask_after_its_completion_is_done_for_good(home: Backend) {
    let bench = Bench::new(home, false).await;
    bench.completed().await;
    bench.asked().await;
    assert_eq!(
        (bench.counted().await, bench.final_effects().await),
        (1, vec![true])
    );
    assert_eq!(bench.told().await, ["done", "final"]);
}

async fn a_refusal_is_told_again_and_leaves_nothing_to_undo(home: Backend) {
    let bench = Bench::new(home, true).await;
    bench.asked().await;
    bench.asked().await;
    bench.revoked().await;
    assert_eq!(
        (bench.counted().await, bench.final_effects().await),
        (0, Vec::new())
    );
    assert_eq!(
        bench.told().await,
        ["no more room", "no more room", "undone"]
    );
}

async fn a_completed_effect_cannot_be_taken_back(home: Backend) {
    let bench = Bench::new(home, false).await;
    bench.asked().await;
    bench.completed().await;
    let refused = bench.hears(&REVOCATION).await.expect_err("refused");
    assert_eq!(refused.fault(), Fault::Poison);
    assert_eq!(
        (bench.counted().await, bench.final_effects().await),
        (1, vec![true])
    );
}

async fn what_comes_in_one_batch_is_what_comes_one_by_one(home: Backend) {
    let bench = Bench::new(home, false).await;
    let (ask, completion) = (recorded(&ASK), recorded(&COMPLETION));
    let twice = [ask.clone(), ask.clone(), completion.clone(), completion];
    bench.hears_at_once(&twice).await.expect("handled");
    assert_eq!(
        (bench.counted().await, bench.final_effects().await),
        (1, vec![true])
    );
    // The same event twice has the same answer, whose id is the same: it is told once.
    assert_eq!(bench.told().await, ["done", "final"]);
}

async fn a_batch_that_is_refused_leaves_nothing(home: Backend) {
    let bench = Bench::new(home, false).await;
    let contradiction = [recorded(&ASK), recorded(&COMPLETION), recorded(&REVOCATION)];
    let refused = bench.hears_at_once(&contradiction).await;
    assert_eq!(refused.expect_err("refused").fault(), Fault::Poison);
    assert_eq!(bench.counted().await, 0);
    assert_eq!(bench.told().await, Vec::<String>::new());
}

async fn the_participant_looks_ahead_once_for_all_that_come_together(home: Backend) {
    let bench = Bench::new(home, false).await;
    let both = [recorded(&ASK), recorded(&COMPLETION)];
    bench.hears_at_once(&both).await.expect("handled");
    bench.asked().await;
    // What the ledger knew is there by then, what the events do is not.
    let looked = bench.looked.lock().expect("nobody panicked");
    assert_eq!(*looked, [(2, 0), (1, 1)]);
}
