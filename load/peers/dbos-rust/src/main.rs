//! The answer-submission saga as a workflow of DBOS for Rust: four steps behind HTTP. Durable are, on
//! PostgreSQL: the workflow with its input and result, each step's outcome, and the rows that the steps
//! write in commits of their own.
//!
//! `dbos-rust URL PORT`; URL is a superuser's, everything lies in a database of its own.

#[path = "../../by-hand/src/http.rs"]
mod http;
#[path = "../../by-hand/src/writes.rs"]
mod writes;

use std::sync::Arc;

use dbos::{Config, DBOS, step};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use writes::{Write, Writes};

#[derive(Clone, Debug, Deserialize, Serialize, thiserror::Error)]
#[error("{0}")]
struct Fault(String);

type Outcome = dbos::Result<(), Fault>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, port] = words.as_slice() else {
        anyhow::bail!("dbos-rust URL PORT");
    };
    let writes = Arc::new(Writes::open(url).await?);
    let config = Config {
        app_version: Some("1".to_owned()),
        max_connections: 20,
        ..Config::new("answer-submission", writes.url.clone())
    };
    let dbos = DBOS::new(config);
    let submission = dbos.register_workflow("answer-submission", move |(id, user)| {
        submission(Arc::clone(&writes), id, user)
    })?;
    dbos.launch().await?;
    let submission = Arc::new(submission);
    http::serve(port.parse()?, move |user| {
        let submission = Arc::clone(&submission);
        async move { Ok(submission.run((Uuid::now_v7(), user)).await?) }
    })
    .await
}

async fn submission(writes: Arc<Writes>, id: Uuid, user: Uuid) -> Outcome {
    let writes = &writes;
    let once = |name: &str, write: Write| {
        step(name, move || async move {
            let written = writes.write(write, id, user).await;
            written.map_err(|error| dbos::Error::Application(Fault(format!("{error:#}"))))
        })
    };
    once("record", Write::Record).await?;
    let (achievement, board) = (
        once("achievement", Write::Achievement),
        once("board", Write::Board),
    );
    tokio::try_join!(achievement, board)?;
    once("done", Write::Done).await
}
