//! Sagas whose definition is not registered wait, and go on when it is there again; what was marked
//! for erasure while it ran is erased after its end. Everything else needs no recovery: the tables
//! of sagas and deadlines are all there is.

use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};
use database::Tx;
use uuid::Uuid;

use super::{
    Inner,
    moves::{DECIDED, TIMERS},
};
use crate::{
    Error, Saga, Workflow,
    store::{self, Suspended},
};

/// How often parked sagas are looked for that can run here: during a rolling update an older
/// replica parks what it does not know whenever it is handed a reply, and a saga must not miss its
/// deadlines for that.
const RESUME_EVERY: Duration = Duration::from_millis(250);

/// Sagas per look at a table; each is a transaction of its own.
const BATCH: i64 = 256;

/// Parks what cannot run here, once, resumes what can and erases what is due, until the shutdown.
///
/// What is started later by a newer replica is parked only when a reply or a timer of it comes this
/// way: the newer replica is most likely still there.
pub(super) async fn run(inner: &Inner, shutdown: &Shutdown) {
    let mut parked = false;
    loop {
        let sorted = async {
            if !parked {
                inner.park_unknown(shutdown).await?;
            }
            inner.resume_known(shutdown).await?;
            inner.erase_ended().await
        };
        match sorted.await {
            Ok(()) => parked = true,
            Err(error) => {
                tracing::warn!(%error, "parked and marked sagas could not be looked through");
            }
        }
        if shutdown.sleep(RESUME_EVERY).await == Slept::ShutDown {
            return;
        }
    }
}

impl Inner {
    async fn park_unknown(&self, shutdown: &Shutdown) -> Result<(), Error> {
        for (name, version) in store::open_definitions(&self.database).await? {
            if !self.workflows.has(&name, version) {
                self.sort_out((&name, version), Suspended::No, shutdown)
                    .await?;
            }
        }
        Ok(())
    }

    async fn resume_known(&self, shutdown: &Shutdown) -> Result<(), Error> {
        for (name, version) in self.workflows.by_key.keys() {
            self.sort_out((name, *version), Suspended::Yes, shutdown)
                .await?;
        }
        Ok(())
    }

    async fn sort_out(
        &self,
        key: (&str, u32),
        wanted: Suspended,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        loop {
            let ids = store::open_of(&self.database, key, wanted, after, BATCH).await?;
            let Some(last) = ids.last() else {
                return Ok(());
            };
            after = *last;
            for id in ids {
                if shutdown.is_cancelled() {
                    return Ok(());
                }
                if let Err(error) = self.sort_out_one(id).await {
                    tracing::error!(saga = %id, %error, "a saga could not be parked or resumed");
                }
            }
        }
    }

    async fn sort_out_one(&self, id: Uuid) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let Some(mut saga) = store::lock(&mut tx, id).await? else {
            return Ok(());
        };
        match self.workflows.of(&saga).cloned() {
            Some(workflow) => self.resume(&mut tx, &mut saga, workflow.as_ref()).await?,
            None => self.suspend(&mut tx, &mut saga).await?,
        }
        Ok(tx.commit().await?)
    }

    /// Parks a locked saga whose definition is missing; nothing when it is parked already.
    pub(super) async fn suspend(&self, tx: &mut Tx, saga: &mut Saga) -> Result<(), Error> {
        let Saga {
            definition,
            definition_version,
            ..
        } = &*saga;
        let why = format!("definition {definition} version {definition_version} is not registered");
        let Some(state) = saga.state.suspended(&why) else {
            return Ok(());
        };
        tracing::warn!(saga = %saga.id, why, "saga parked");
        self.replace(tx, saga, state).await
    }

    /// Takes a locked saga back to where it stood, and feeds it the replies that were kept.
    pub(super) async fn resume(
        &self,
        tx: &mut Tx,
        saga: &mut Saga,
        workflow: &dyn Workflow,
    ) -> Result<(), Error> {
        let Some(state) = saga.state.resumed() else {
            return Ok(());
        };
        tracing::info!(saga = %saga.id, "saga resumed");
        self.replace(tx, saga, state).await?;
        for event in store::replies(tx, saga.id).await? {
            if saga.state.phase.is_end() {
                break;
            }
            self.apply_reply(tx, saga, workflow, &event).await?;
        }
        saga.moment.cause = None;
        store::drop_replies(tx, saga.id).await
    }

    /// Writes a state that no definition was needed for.
    pub(super) async fn replace(
        &self,
        tx: &mut Tx,
        saga: &mut Saga,
        state: crate::State,
    ) -> Result<(), Error> {
        let timers = store::timers_of(&saga.state);
        let (phase, was_decided) = (saga.state.phase, saga.is_decided());
        saga.updated_at = self.clock.now_within(tx).await?;
        saga.state = state;
        if saga.state.phase.is_end() {
            saga.ended_at = Some(saga.updated_at);
        }
        store::update(tx, saga).await?;
        store::add_entry(tx, saga, &[]).await?;
        if store::sync_timers(tx, saga.id, &timers, &saga.state).await? {
            tx.signal(TIMERS);
        }
        if saga.is_decided() && !was_decided {
            tx.signal(DECIDED);
        }
        self.metrics.moved(saga, phase);
        Ok(())
    }
}
