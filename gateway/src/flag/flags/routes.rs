//! The routes' declarations in the log. The file decides what a route is; the log remembers who
//! served what and when, so that an answer of last week can be explained.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError, atomic::Ordering},
};

use serde_json::Value;
use tokio::time::timeout;

use super::{Backing, FILE_ACTOR, Flags, record::RecordError, record::no_answer};
use crate::{
    flag::journal::{Entry, JOURNAL_TIMEOUT, JournalError, RouteChange},
    id::RouteId,
};

/// The routes as this gateway's file declares them, and as the log has them.
#[derive(Debug, Default)]
pub(super) struct Routes {
    declared: Mutex<Option<BTreeMap<RouteId, Value>>>,
    recorded: Mutex<BTreeMap<RouteId, (u64, Option<Value>)>>,
}

impl Routes {
    /// Takes note of what the log says.
    pub(super) fn apply(&self, change: RouteChange) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = recorded.entry(change.route).or_default();
        if change.version > entry.0 {
            *entry = (change.version, change.after);
        }
    }

    /// Forgets what the log said, before all of it is read anew.
    pub(super) fn forget(&self) {
        self.recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn next(&self) -> Option<RouteChange> {
        let declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        let declared = declared.as_ref()?;
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: BTreeSet<_> = declared.keys().chain(recorded.keys()).collect();
        ids.into_iter().find_map(|id| {
            let (version, before) = recorded.get(id).cloned().unwrap_or_default();
            let after = declared.get(id).cloned();
            (before != after).then(|| RouteChange {
                route: id.clone(),
                version: version + 1,
                actor: FILE_ACTOR.to_owned(),
                before,
                after,
            })
        })
    }
}

impl Flags {
    /// Says how the file declares the routes; the differences from what the log has are recorded
    /// now, or by [`Flags::follow`] once the log answers.
    pub async fn declare_routes(&self, declared: BTreeMap<RouteId, Value>) {
        let routes = &self.0.routes;
        *routes
            .declared
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(declared);
        if self.0.reachable.load(Ordering::Acquire) {
            self.record_routes().await;
        }
    }

    /// Records what differs, once: afterwards a replica with another file may say otherwise without
    /// the two of them contradicting each other for ever.
    pub(super) async fn record_routes(&self) {
        let Backing::Log(journal, _) = &self.0.backing else {
            return;
        };
        let mut cursor = self.0.changing.lock().await;
        while let Some(change) = self.0.routes.next() {
            let entry = Entry::Route(change.clone());
            let appended = timeout(JOURNAL_TIMEOUT, journal.append(&entry)).await;
            let result = match appended {
                Ok(Ok(())) => {
                    self.0.routes.apply(change);
                    Ok(())
                }
                Ok(Err(JournalError::Conflict | JournalError::AnotherLog)) => {
                    self.read_on(&mut cursor, &**journal).await
                }
                Ok(Err(error)) => Err(self.lost(error.to_string())),
                Err(_) => Err(self.lost(no_answer())),
            };
            if let Err(RecordError::Failed(error)) = result {
                tracing::warn!(%error, "the routes are not recorded yet");
                return;
            }
        }
        *self
            .0
            .routes
            .declared
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }
}
