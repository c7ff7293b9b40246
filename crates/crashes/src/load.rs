//! The clients, and the operator who clears up after them.

use std::{ops::Range, time::Duration};

use anyhow::Context;
use contracts::Recorded;
use database::{Database, params};
use faults::Write;
use sagas::{Error, Intervention, NewSaga, Verb};
use serde_json::json;
use uuid::Uuid;

use crate::{
    operator,
    order::{Fate, Order},
    system::System,
};

/// Clients at once.
const CLIENTS: u64 = 2;

/// Between two looks at whether all is done.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Starts sagas, and waits until nothing is left to do.
pub(crate) async fn drive(system: &System, numbers: Range<u64>) -> anyhow::Result<()> {
    let run = numbers.end;
    operator::prepares(system, run).await?;
    let clients = (0..CLIENTS).map(|client| {
        let mine = numbers
            .clone()
            .filter(move |number| number % CLIENTS == client);
        async move {
            for number in mine {
                place(system, number).await?;
            }
            anyhow::Ok(())
        }
    });
    let mut clients: Vec<_> = clients.collect();
    let (one, two) = (clients.remove(0), clients.remove(0));
    tokio::try_join!(one, two)?;
    settled(system).await?;
    operator::acts(system, run).await?;
    system.relent();
    for consumers in &system.consumers {
        for parked in consumers.parked(None, 1_000).await? {
            let retried = consumers.retry(&parked.consumer, parked.event_id).await?;
            anyhow::ensure!(retried.error.is_none(), "{} stays parked", parked.event_id);
        }
    }
    settled(system).await
}

/// The saga of a number: the same whenever a client asks for it.
fn saga_of(number: u64) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | u128::from(number))
}

/// Asks for one saga, also for one that there is: a client repeats what it has no answer to.
async fn place(system: &System, number: u64) -> anyhow::Result<()> {
    let id = saga_of(number);
    let mut tx = system.owner.begin().await?;
    let new = NewSaga::new(Order::NAME, id, json!(number));
    match system.engine.start(&mut tx, new).await {
        Ok(_) => {
            faults::before(Write::ServiceCommit);
            tx.commit().await?;
            faults::after(Write::ServiceCommit);
        }
        Err(Error::AlreadyStarted(_)) => tx.rollback().await?,
        Err(error) => return Err(error.into()),
    }
    println!("acknowledged {number}");
    if Fate::of(number) == Fate::TurnedBack {
        let by = Intervention {
            verb: Verb::ForceCompensation,
            actor: "ops".to_owned(),
            reason: "it is to be turned back".to_owned(),
        };
        match system.engine.intervene(id, by, None).await {
            // It may have come to its end, or turned back by itself.
            Ok(_) | Err(Error::Illegal(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until all sagas have ended, all outboxes are empty, and everybody has read all of the log.
async fn settled(system: &System) -> anyhow::Result<()> {
    loop {
        let open = count(
            &system.owner,
            "SELECT COUNT(*) FROM sagas WHERE ended_at IS NULL",
        );
        let unsent = "SELECT COUNT(*) FROM outbox WHERE sent_position IS NULL
            AND stream NOT IN (SELECT stream FROM outbox WHERE error IS NOT NULL)";
        let (owner, till) = (count(&system.owner, unsent), count(&system.till, unsent));
        let left = tokio::try_join!(open, owner, till)?;
        let head = system.log.head().await?.position;
        let read = |consumers: &event_store::Consumers| {
            let all = consumers.all_progress();
            all.iter().all(|progress| progress.position() >= head)
        };
        // A bus that is not connected yet does not have it yet.
        let newest = system.bus.newest().await.ok().flatten();
        let is_on_bus = |newest: Recorded| newest.position == head;
        if left == (0, 0, 0) && system.consumers.iter().all(read) && newest.is_some_and(is_on_bus) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn count(database: &Database, sql: &'static str) -> anyhow::Result<i64> {
    let (count,): (i64,) = database.fetch_one(sql, params![]).await.context(sql)?;
    Ok(count)
}
