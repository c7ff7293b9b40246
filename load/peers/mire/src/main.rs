//! The answer-submission saga in mire-sagas: four steps with effects in this process, behind HTTP.
//! Durable are, on PostgreSQL: the saga's start, each step's request and its answer as events of the
//! saga's stream, and the rows that the effects write in commits of their own.
//!
//! `mire-peer URL PORT`; URL is a superuser's, everything lies in a database of its own.

#[path = "../../by-hand/src/http.rs"]
mod http;
#[path = "../../by-hand/src/writes.rs"]
mod writes;

use std::sync::Arc;

use anyhow::ensure;
use mire::{Aggregate, EventData, EventStore};
use mire_sagas::{Dep, Emit, PgSagaRunner, Req, Saga, SagaBuilder, Start, State, task};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use writes::{Write, Writes};

#[derive(Clone, Serialize, Deserialize, EventData)]
#[mire(event_type = "answer.given")]
struct AnswerGiven {
    id: Uuid,
    user: Uuid,
}

#[derive(Default)]
struct Answers;

impl Aggregate for Answers {
    type Event = AnswerGiven;

    fn stream_category() -> &'static str {
        "answers"
    }

    fn apply(&mut self, _: &AnswerGiven) {}
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Submission {
    id: Uuid,
    user: Uuid,
}

/// A step: what it asks for, its answer, and the effect between them.
macro_rules! step {
    ($ask:ident, $answer:ident, $effect:ident, $request:ident, $asked:literal, $answered:literal, $write:expr) => {
        #[derive(Clone, Serialize, Deserialize, EventData)]
        #[mire(event_type = $asked)]
        struct $ask {
            id: Uuid,
            user: Uuid,
        }

        #[derive(Clone, Serialize, Deserialize, EventData)]
        #[mire(event_type = $answered)]
        struct $answer {}

        fn $request(State(it): State<Submission>) -> Emit {
            Emit::event($ask {
                id: it.id,
                user: it.user,
            })
        }

        async fn $effect(Req(it): Req<$ask>, Dep(writes): Dep<Arc<Writes>>) -> $answer {
            let written = writes.write($write, it.id, it.user).await;
            // What fails here is tried again by the engine.
            written.expect("the write succeeds");
            $answer {}
        }
    };
}

step!(
    Record,
    Recorded,
    record,
    ask_record,
    "record",
    "recorded",
    Write::Record
);
step!(
    Check,
    Checked,
    check,
    ask_check,
    "check",
    "checked",
    Write::Achievement
);
step!(
    Place,
    Placed,
    place,
    ask_place,
    "place",
    "placed",
    Write::Board
);
step!(
    Finish,
    Finished,
    finish,
    ask_finish,
    "finish",
    "finished",
    Write::Done
);

struct SubmissionSaga;

impl Saga for SubmissionSaga {
    type State = Submission;

    fn name() -> &'static str {
        "answer-submission"
    }

    fn build(builder: SagaBuilder<Self>) -> SagaBuilder<Self> {
        builder
            .start_on::<Answers, _>(|given: &AnswerGiven| {
                Some(Start {
                    instance_id: given.id.to_string(),
                    state: Submission {
                        id: given.id,
                        user: given.user,
                    },
                })
            })
            .step(
                "record",
                task(ask_record)
                    .effect(record)
                    .on_response_event::<Recorded>(),
            )
            .step(
                "achievement",
                task(ask_check)
                    .after("record")
                    .effect(check)
                    .on_response_event::<Checked>(),
            )
            .step(
                "board",
                task(ask_place)
                    .after("record")
                    .effect(place)
                    .on_response_event::<Placed>(),
            )
            .step(
                "done",
                task(ask_finish)
                    .after(["achievement", "board"])
                    .effect(finish)
                    .on_response_event::<Finished>()
                    .terminal_success(),
            )
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, port] = words.as_slice() else {
        anyhow::bail!("mire-peer URL PORT");
    };
    let writes = Arc::new(Writes::open(url).await?);
    let pool = PgPoolOptions::new()
        .max_connections(40)
        .connect(&writes.url)
        .await?;
    let store = EventStore::new(pool);
    store.migrate().await?;
    mire_sagas::migrate(&store).await?;
    let topology = SubmissionSaga::build(SagaBuilder::for_saga()).dep(writes);
    let runner = Arc::new(PgSagaRunner::<SubmissionSaga>::new(topology, store));
    http::serve(port.parse()?, move |user| {
        let runner = Arc::clone(&runner);
        async move {
            let given = AnswerGiven {
                id: Uuid::now_v7(),
                user,
            };
            runner.trigger::<Answers>(&given).await?;
            let is_done = runner.is_succeeded(&given.id.to_string()).await?;
            ensure!(is_done, "the saga did not succeed");
            Ok(())
        }
    })
    .await
}
