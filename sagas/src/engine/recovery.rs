//! Sagas whose definition is not registered wait, and go on when it is there again; what was marked
//! for erasure while it ran is erased after its end. Everything else needs no recovery: the tables
//! of sagas and deadlines are all there is.

use std::time::Duration;

use chassis::{Shutdown, shutdown::Slept};
use database::Tx;
use faults::Write;
use uuid::Uuid;

use super::{
    Inner,
    guard::{Trouble, guarded},
    moves::TIMERS,
};
use crate::{
    Error, Saga, Workflow,
    store::{self, Suspended},
};

/// How often parked sagas are looked for that can run here: during a rolling update an older
/// replica parks what it does not know whenever it is handed a reply, and a saga must not miss its
/// deadlines for that.
const RESUME_EVERY: Duration = Duration::from_millis(250);

/// Ids read in one look at the table, 16 bytes each. Many, since each look may pass over all sagas of
/// the definition to find the next in order.
const BATCH: i64 = 10_000;

/// Sagas sorted out in one transaction: a commit is what costs, and whoever else writes must not
/// wait long behind it.
const TOGETHER: usize = 64;

/// Parks what cannot run here, once, resumes what can and erases what is due, until the shutdown.
///
/// What is started later by a newer replica is parked only when a reply or a timer of it comes this
/// way: the newer replica is most likely still there.
pub(super) async fn run(inner: &Inner, shutdown: &Shutdown) {
    let mut parked = false;
    let mut trouble = Trouble::default();
    loop {
        let sorted = async {
            if !parked {
                inner.park_unknown(&mut trouble, shutdown).await?;
            }
            inner.resume_known(&mut trouble, shutdown).await?;
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
    async fn park_unknown(&self, trouble: &mut Trouble, shutdown: &Shutdown) -> Result<(), Error> {
        for (name, version) in store::open_definitions(&self.database).await? {
            if !self.workflows.has(&name, version) {
                let key = (name.as_str(), version);
                self.sort_out(key, Suspended::No, trouble, shutdown).await?;
            }
        }
        Ok(())
    }

    async fn resume_known(&self, trouble: &mut Trouble, shutdown: &Shutdown) -> Result<(), Error> {
        for (name, version) in self.workflows.by_key.keys() {
            let key = (name.as_str(), *version);
            self.sort_out(key, Suspended::Yes, trouble, shutdown)
                .await?;
        }
        Ok(())
    }

    async fn sort_out(
        &self,
        key: (&str, u32),
        wanted: Suspended,
        trouble: &mut Trouble,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let mut after = Uuid::nil();
        loop {
            let mut ids = store::open_of(&self.database, key, wanted, after, BATCH).await?;
            let Some(last) = ids.last() else {
                return Ok(());
            };
            after = *last;
            ids.retain(|id| !trouble.rests(*id));
            for some in ids.chunks(TOGETHER) {
                if shutdown.is_cancelled() {
                    return Ok(());
                }
                // One that fails takes the others' transaction with it, so each has its own then.
                let sorted = guarded("recovery", self.sort_out_some(key, wanted, some));
                if sorted.await.is_err() {
                    self.sort_out_each(some, trouble).await;
                }
            }
        }
    }

    async fn sort_out_some(
        &self,
        (name, version): (&str, u32),
        wanted: Suspended,
        ids: &[Uuid],
    ) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let now = self.clock.now_within(&mut tx).await?;
        match wanted {
            Suspended::No => {
                let why = missing(name, version);
                let parked = store::park(&mut tx, ids.to_vec(), &why, now).await?;
                committed(tx, Write::SagaPark).await?;
                tracing::warn!(parked, why, "sagas parked");
            }
            Suspended::Yes => {
                let parked = store::lock_parked(&mut tx, ids.to_vec()).await?;
                let ids: Vec<Uuid> = parked.iter().map(|saga| saga.id).collect();
                let answered = store::with_replies(&mut tx, ids).await?;
                let (mut answered, silent): (Vec<Saga>, Vec<Saga>) = parked
                    .into_iter()
                    .partition(|saga| answered.contains(&saga.id));
                for saga in &mut answered {
                    if let Some(workflow) = self.workflows.of(saga).cloned() {
                        self.resume(&mut tx, saga, workflow.as_ref()).await?;
                    }
                }
                self.write(&mut tx, &mut answered).await?;
                store::resume(&mut tx, &silent, now).await?;
                tx.signal(TIMERS);
                committed(tx, Write::SagaResume).await?;
                tracing::info!(resumed = silent.len(), definition = name, "sagas resumed");
            }
        }
        Ok(())
    }

    async fn sort_out_each(&self, ids: &[Uuid], trouble: &mut Trouble) {
        for id in ids {
            match guarded("recovery", self.sort_out_one(*id)).await {
                Ok(()) => trouble.is_well(*id),
                Err(error) => {
                    trouble.failed(*id);
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
        let write = match self.workflows.of(&saga).cloned() {
            Some(workflow) => {
                self.resume(&mut tx, &mut saga, workflow.as_ref()).await?;
                Write::SagaResume
            }
            None => {
                self.suspend(&mut tx, &mut saga).await?;
                Write::SagaPark
            }
        };
        self.write(&mut tx, [&mut saga]).await?;
        committed(tx, write).await
    }

    /// Parks a locked saga whose definition is missing; nothing when it is parked already.
    pub(super) async fn suspend(&self, tx: &mut Tx, saga: &mut Saga) -> Result<(), Error> {
        let why = missing(&saga.definition, saga.definition_version);
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

    /// Moves a locked saga to a state that no definition was needed for.
    pub(super) async fn replace(
        &self,
        tx: &mut Tx,
        saga: &mut Saga,
        state: crate::State,
    ) -> Result<(), Error> {
        saga.about_to_move();
        let (phase, was_decided) = (saga.state.phase, saga.is_decided());
        saga.updated_at = self.clock.now_within(tx).await?;
        saga.state = state;
        if saga.state.phase.is_end() {
            saga.ended_at = Some(saga.updated_at);
        }
        saga.has_moved(&[])?;
        if !was_decided {
            self.tell_decision(tx, saga);
        }
        self.metrics.moved(saga, phase);
        Ok(())
    }
}

async fn committed(tx: Tx, write: Write) -> Result<(), Error> {
    faults::before(write);
    tx.commit().await?;
    faults::after(write);
    Ok(())
}

fn missing(name: &str, version: u32) -> String {
    format!("definition {name} version {version} is not registered")
}
