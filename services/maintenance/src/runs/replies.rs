//! What services answer, and what follows from it.

use contracts::{Recorded, events::MaintenanceDone, http::RunStatus};
use database::Tx;
use event_store::HandlerError;
use serde_json::{Map, Value, json};

use super::Runs;
use crate::{
    config::Job,
    domain::{self, Work},
    store::{
        jobs,
        participants::{self, Participant},
        runs::{self, End, Run},
    },
};

/// Rounds of one run at most: at some hundred rows a round far more than a night brings; a service
/// that always has more is at fault.
const ROUNDS: i64 = 1_000;

impl Runs {
    /// Takes a service's answer. One that comes late, twice or uncalled-for changes nothing.
    ///
    /// # Errors
    /// As the database says.
    pub async fn reply(&self, tx: &mut Tx, recorded: &Recorded) -> Result<(), HandlerError> {
        let done: MaintenanceDone = recorded.event.payload()?;
        let Some(run) = runs::find_in(tx, done.run_id).await? else {
            return Ok(());
        };
        let Some(job) = self.jobs().get(&run.job) else {
            return Ok(());
        };
        jobs::hold(tx, job.name()).await?;
        // Read again: another replica may have ended it before the row was ours.
        let Some(run) = runs::find_in(tx, done.run_id).await? else {
            return Ok(());
        };
        if run.status() != RunStatus::Running || done.round != run.round {
            tracing::info!(job = run.job, run = %run.id, service = done.service, "late answer");
            runs::note_late(tx, run.id).await?;
            return Ok(());
        }
        let mut services = participants::all(tx, run.id).await?;
        let Some(service) = services.iter_mut().find(|one| one.service == done.service) else {
            return Ok(());
        };
        if service.round >= done.round {
            return Ok(());
        }
        service.round = done.round;
        service.more = done.more && done.error.is_none();
        service.error = done.error.or(service.error.take());
        domain::add(&mut service.detail.0, done.detail);
        participants::answered(tx, run.id, service).await?;
        Ok(self.advance(tx, job, &run, &services).await?)
    }

    /// Asks once more, ends the run, or goes on waiting.
    async fn advance(
        &self,
        tx: &mut Tx,
        job: &Job,
        run: &Run,
        services: &[Participant],
    ) -> database::Result<()> {
        let is_waiting = |one: &Participant| one.more && one.round < run.round;
        if services.iter().any(is_waiting) {
            return Ok(());
        }
        let is_last = run.round >= ROUNDS;
        let failed = services.iter().filter_map(|one| failure(one, is_last));
        let failed: Vec<String> = failed.collect();
        let end = if matches!(job.definition.work, Work::Survey(_)) {
            self.surveyed(services)
        } else if !failed.is_empty() {
            End {
                status: RunStatus::Failed,
                detail: Self::account(services),
                error: Some(failed.join("; ")),
            }
        } else if services.iter().any(|one| one.more) {
            let round = run.round + 1;
            runs::set_round(tx, run.id, round).await?;
            return self.ask(tx, job, run.id, round, &run.parameters.0).await;
        } else {
            End {
                status: RunStatus::Completed,
                detail: Self::account(services),
                error: None,
            }
        };
        self.end(tx, job, run.id, None, &end).await?;
        Ok(())
    }

    /// What the services did, by their names.
    pub(super) fn account(services: &[Participant]) -> Value {
        let accounts: Map<String, Value> = services
            .iter()
            .filter(|one| one.round > 0)
            .map(|one| (one.service.clone(), one.detail.0.clone()))
            .collect();
        json!({ "services": accounts })
    }

    /// A survey completes whatever it found; that somebody is silent is what it found.
    pub(super) fn surveyed(&self, services: &[Participant]) -> End {
        let mut detail = Self::account(services);
        let mut findings = Vec::new();
        for one in services {
            let report = (one.round > 0).then_some(&one.detail.0);
            findings.extend(domain::findings(&one.service, report, &self.inner.limits));
            findings.extend(one.error.as_ref().map(|error| domain::Finding {
                service: one.service.clone(),
                kind: "failed".to_owned(),
                text: error.clone(),
            }));
        }
        detail["findings"] = json!(findings);
        End {
            status: RunStatus::Completed,
            detail,
            error: None,
        }
    }
}

fn failure(one: &Participant, is_last: bool) -> Option<String> {
    let service = &one.service;
    match &one.error {
        Some(error) => Some(format!("{service}: {error}")),
        None if one.more && is_last => {
            Some(format!("{service} has more to do after {ROUNDS} rounds"))
        }
        None => None,
    }
}
