//! The answer-submission saga as an orchestration of duroxide: four activities behind HTTP. Durable are,
//! on PostgreSQL: the orchestration with its input and result, each activity's request and outcome as
//! events of its history, the queues between both, and the rows that the activities write in commits of
//! their own.
//!
//! `duroxide-peer URL PORT`; URL is a superuser's, everything lies in a database of its own.

#[path = "../../by-hand/src/http.rs"]
mod http;
#[path = "../../by-hand/src/writes.rs"]
mod writes;

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use duroxide::providers::Provider;
use duroxide::runtime::registry::ActivityRegistry;
use duroxide::runtime::{ObservabilityConfig, Runtime, RuntimeOptions};
use duroxide::{
    ActivityContext, Client, OrchestrationContext, OrchestrationRegistry, OrchestrationStatus,
};
use duroxide_pg::PostgresProvider;
use uuid::Uuid;

use writes::{Write, Writes};

const SUBMISSION: &str = "answer-submission";
const RECORD: &str = "record";
const ACHIEVEMENT: &str = "achievement";
const BOARD: &str = "board";
const DONE: &str = "done";

/// A saga that takes longer has failed.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// How often an idle dispatcher asks for work: its provider has nothing that wakes one. A tenth of what
/// duroxide does unless told, since a saga waits for seven of their turns or more.
const LOOKS_EVERY: Duration = Duration::from_millis(10);
/// Orchestrations, each with two activities: about as many dispatchers as the provider has connections.
const AT_ONCE: usize = 4;

/// An answer and its user.
type Answer = (Uuid, Uuid);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, port] = words.as_slice() else {
        bail!("duroxide-peer URL PORT");
    };
    let writes = Arc::new(Writes::open(url).await?);
    let store: Arc<dyn Provider> = Arc::new(PostgresProvider::new(&writes.url).await?);
    let options = RuntimeOptions {
        dispatcher_min_poll_interval: LOOKS_EVERY,
        orchestration_concurrency: AT_ONCE,
        worker_concurrency: 2 * AT_ONCE,
        observability: ObservabilityConfig {
            log_level: "error".to_owned(),
            ..ObservabilityConfig::default()
        },
        ..RuntimeOptions::default()
    };
    let orchestrations = OrchestrationRegistry::builder()
        .register_typed(SUBMISSION, submission)
        .build();
    let _runtime = Runtime::start_with_options(
        Arc::clone(&store),
        activities(&writes),
        orchestrations,
        options,
    )
    .await;
    let client = Arc::new(Client::new(store));
    http::serve(port.parse()?, move |user| {
        let client = Arc::clone(&client);
        async move {
            let id = Uuid::now_v7();
            let instance = id.to_string();
            client
                .start_orchestration_typed(&instance, SUBMISSION, (id, user))
                .await?;
            let ended = client.wait_for_orchestration(&instance, ENDS_WITHIN);
            match ended.await? {
                OrchestrationStatus::Completed { .. } => Ok(()),
                other => bail!("the saga did not succeed: {other:?}"),
            }
        }
    })
    .await
}

fn activities(writes: &Arc<Writes>) -> ActivityRegistry {
    let steps = [
        (RECORD, Write::Record),
        (ACHIEVEMENT, Write::Achievement),
        (BOARD, Write::Board),
        (DONE, Write::Done),
    ];
    let mut activities = ActivityRegistry::builder();
    for (name, write) in steps {
        let writes = Arc::clone(writes);
        activities = activities.register_typed(name, move |_: ActivityContext, answer: Answer| {
            let writes = Arc::clone(&writes);
            async move {
                let written = writes.write(write, answer.0, answer.1).await;
                written.map_err(|error| format!("{error:#}"))
            }
        });
    }
    activities.build()
}

async fn submission(saga: OrchestrationContext, answer: Answer) -> Result<(), String> {
    let once = |name: &str| saga.schedule_activity_typed::<Answer, ()>(name, &answer);
    once(RECORD).await?;
    let (achievement, board) = saga.join2(once(ACHIEVEMENT), once(BOARD)).await;
    achievement?;
    board?;
    once(DONE).await
}
