//! The answer-submission saga in dtmrs, its coordinator embedded: four local branches behind HTTP, the
//! participants one after the other since its sagas know no steps at the same time. Durable are, on
//! PostgreSQL: the transaction with all its branches, each branch's outcome, the transaction's end, and
//! the rows that the branches write in commits of their own.
//!
//! `dtmrs-peer URL PORT`; URL is a superuser's, everything lies in a database of its own.

#[path = "../../by-hand/src/http.rs"]
mod http;
#[path = "../../by-hand/src/writes.rs"]
mod writes;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use dtmrs::server::{driver::Driver, registry::Registry, saga_rows};
use dtmrs::store::now;
use dtmrs::{BranchCtx, BranchResult, GlobalStatus, SagaStep, Store};
use uuid::Uuid;

use writes::{Write, Writes};

const STEPS: [(&str, Write); 4] = [
    ("record", Write::Record),
    ("achievement", Write::Achievement),
    ("board", Write::Board),
    ("done", Write::Done),
];

/// How often it looks for sagas that nobody drives, as its own server does.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, port] = words.as_slice() else {
        anyhow::bail!("dtmrs-peer URL PORT");
    };
    let writes = Arc::new(Writes::open(url).await?);
    let mut branches = Registry::new();
    for (name, write) in STEPS {
        let writes = Arc::clone(&writes);
        branches.register(name, move |branch: BranchCtx| {
            let writes = Arc::clone(&writes);
            async move {
                match step(&writes, write, &branch).await {
                    Ok(()) => BranchResult::Success,
                    // Tried again by the engine.
                    Err(error) => {
                        eprintln!("{error:#}");
                        BranchResult::Unknown
                    }
                }
            }
        });
    }
    let store = Store::open(&writes.url).await?;
    let driver = Driver::new(store, "dtmrs-peer".to_owned()).with_registry(Arc::new(branches));
    tokio::spawn(driver.clone().run_forever(LOOKS_EVERY));
    let driver = Arc::new(driver);
    http::serve(port.parse()?, move |user| {
        let driver = Arc::clone(&driver);
        async move { saga(&driver, user).await }
    })
    .await
}

async fn step(writes: &Writes, write: Write, branch: &BranchCtx) -> anyhow::Result<()> {
    let (id, user) = (branch.gid.parse()?, branch.payload.parse()?);
    writes.write(write, id, user).await
}

/// Whoever submits a saga drives it, which saves the engine a look for it: what its own server does, but
/// waiting for the end.
async fn saga(driver: &Driver, user: Uuid) -> anyhow::Result<()> {
    let id = Uuid::now_v7().to_string();
    let user = user.to_string();
    let steps =
        STEPS.map(|(name, _)| SagaStep::with_payload(&format!("local://{name}"), "", &user));
    let (mut saga, branches) = saga_rows(&id, &steps);
    saga.owner.clone_from(&driver.owner);
    saga.lease_until = now() + driver.lease;
    saga.next_cron_time = saga.lease_until;
    driver.store.create_global(&saga, &branches).await?;
    driver.process(&saga).await?;
    let ended = driver.store.get_global(&id).await?;
    let status = ended.context("the saga is gone")?.status;
    ensure!(status == GlobalStatus::Succeed, "the saga is {status:?}");
    Ok(())
}
