//! A count that is built a second time beside the one in use, and takes its place or is given up.

use async_trait::async_trait;
use contracts::Recorded;
use database::{Tx, params};
use event_store::{
    Consumers, HandlerError,
    consumer::{Beside, OperatorError, second_of},
};

use crate::{
    load::LOOK_AGAIN,
    system::{NARROW, System},
    tally::count,
};

/// The second copy of this consumer's count.
pub(crate) struct Second(pub(crate) &'static str);

impl Second {
    async fn remove(&self, tx: &mut Tx, whose: &str) -> Result<(), HandlerError> {
        let sql = "DELETE FROM tallies WHERE consumer = $1";
        tx.execute(sql, params![whose]).await?;
        Ok(())
    }
}

#[async_trait]
impl Beside for Second {
    async fn begin(&self, _: &mut Tx) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        count(tx, &second_of(self.0), event).await
    }

    async fn swap(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        self.remove(tx, self.0).await?;
        let sql = "UPDATE tallies SET consumer = $1 WHERE consumer = $2";
        tx.execute(sql, params![self.0, second_of(self.0)]).await?;
        Ok(())
    }

    async fn abandon(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        self.remove(tx, &second_of(self.0)).await
    }
}

/// Gives up what a run that died was building.
pub(crate) async fn clears_up(system: &System) -> anyhow::Result<()> {
    for consumers in &system.consumers {
        match consumers.abandon(NARROW).await {
            Ok(()) | Err(OperatorError::NotBuiltBeside(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Builds one that takes the place of the one in use, and one that does not.
pub(crate) async fn rebuilds(system: &System) -> anyhow::Result<()> {
    for consumers in &system.consumers {
        built(system, consumers).await?;
        swapped(consumers).await?;
        built(system, consumers).await?;
        consumers.abandon(NARROW).await?;
    }
    Ok(())
}

/// Builds one as far as the log is.
async fn built(system: &System, consumers: &Consumers) -> anyhow::Result<()> {
    consumers.rebuild(NARROW).await?;
    let head = system.log.head().await?.position;
    if let Some(second) = consumers.progress(&second_of(NARROW)) {
        second.caught_up_to(head).await;
    }
    Ok(())
}

/// Swaps it, once it is not too far behind.
async fn swapped(consumers: &Consumers) -> anyhow::Result<()> {
    loop {
        match consumers.swap(NARROW).await {
            Err(OperatorError::NotBuiltBeside(_)) => tokio::time::sleep(LOOK_AGAIN).await,
            swapped => return Ok(swapped?),
        }
    }
}
