//! Reading for several requests at once: what is asked for while another read is under way is read
//! together, with one statement.
//!
//! Invariants:
//! - A read begins after it was asked for: nobody is told what was so before.
//! - Who gives up waiting takes nobody else's answer along, and where a group cannot be read, each reads
//!   alone.

use std::{collections::HashMap, sync::Arc};

use database::{Database, Dialect, Result};
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Instrument;
use uuid::Uuid;

use super::line::{Duty, Line};

/// Ids in one read at most.
const MAX_GROUP: usize = 256;

/// Reads one by its id.
type One<T> = for<'a> fn(&'a Database, Uuid) -> BoxFuture<'a, Result<Option<T>>>;
/// Reads those of some ids that there are.
type Several<T> = for<'a> fn(&'a Database, Vec<Uuid>) -> BoxFuture<'a, Result<HashMap<Uuid, T>>>;

/// What is read together.
pub(super) struct Gathered<T> {
    db: Database,
    one: One<T>,
    several: Several<T>,
    line: Line<Wanted<T>>,
}

struct Wanted<T> {
    id: Uuid,
    reply: oneshot::Sender<Option<T>>,
}

impl<T: Clone + Send + Sync + 'static> Gathered<T> {
    pub(super) const fn new(db: Database, one: One<T>, several: Several<T>) -> Self {
        Self {
            db,
            one,
            several,
            line: Line::new(),
        }
    }

    /// What has this id, if it is there.
    ///
    /// # Errors
    /// As the database says.
    pub(super) async fn find(self: &Arc<Self>, id: Uuid) -> Result<Option<T>> {
        // SQLite reads where it is asked, without a way to go.
        if self.db.dialect() == Dialect::Sqlite {
            return (self.one)(&self.db, id).await;
        }
        let (reply, answer) = oneshot::channel();
        if self.line.join(Wanted { id, reply }) == Duty::Serve {
            tokio::spawn(Arc::clone(self).serve().in_current_span());
        }
        match answer.await {
            Ok(found) => Ok(found),
            Err(_) => (self.one)(&self.db, id).await,
        }
    }

    async fn serve(self: Arc<Self>) {
        let _serving = self.line.serving();
        loop {
            let mut room = MAX_GROUP;
            let group = self.line.next(|_| {
                let has_room = room > 0;
                room -= usize::from(has_room);
                has_room
            });
            let Some(group) = group else { return };
            let ids = group.iter().map(|wanted| wanted.id).collect();
            match (self.several)(&self.db, ids).await {
                Ok(found) => {
                    for Wanted { id, reply } in group {
                        // Nobody may be there any more.
                        let _ = reply.send(found.get(&id).cloned());
                    }
                }
                Err(error) => tracing::debug!(%error, "not together; one by one"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
