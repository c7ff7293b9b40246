//! A log in memory that can be taken away.

use std::sync::{Mutex, atomic::AtomicBool};

use async_trait::async_trait;
use tokio::sync::Notify;
use uuid::Uuid;

use super::*;
use crate::flag::{Entry, JournalError, Page, RouteChange};

/// A log in memory that can be taken away.
#[derive(Debug)]
pub(super) struct FakeLog {
    epoch: Uuid,
    entries: Mutex<Vec<Entry>>,
    down: AtomicBool,
    hangs: AtomicBool,
    appended: Notify,
}

impl FakeLog {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            epoch: Uuid::from_u128(1),
            entries: Mutex::default(),
            down: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            appended: Notify::new(),
        })
    }

    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
        self.appended.notify_waiters();
    }

    /// The log as a backup had it that was taken after so many entries.
    pub(super) fn restored_to(&self, entries: usize) -> Arc<Self> {
        Arc::new(Self {
            epoch: Uuid::from_u128(self.epoch.as_u128() + 1),
            entries: Mutex::new(self.entries.lock().unwrap()[..entries].to_vec()),
            down: AtomicBool::new(false),
            hangs: AtomicBool::new(false),
            appended: Notify::new(),
        })
    }

    /// From now on it takes calls and never answers them.
    pub(super) fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    fn answer(&self) -> Result<(), JournalError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(JournalError::Unavailable("refused".to_owned()));
        }
        Ok(())
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        let entries = self.entries.lock().unwrap();
        let flag = |entry: &Entry| match entry {
            Entry::Flag(_, change) => Some((**change).clone()),
            Entry::Route(_) => None,
        };
        entries.iter().filter_map(flag).collect()
    }

    pub(super) fn routes(&self) -> Vec<RouteChange> {
        let entries = self.entries.lock().unwrap();
        let route = |entry: &Entry| match entry {
            Entry::Flag(..) => None,
            Entry::Route(change) => Some(change.clone()),
        };
        entries.iter().filter_map(route).collect()
    }
}

fn stream(entry: &Entry) -> (String, u64) {
    match entry {
        Entry::Flag(id, change) => (format!("flag-{id}"), change.version),
        Entry::Route(change) => (format!("route-{}", change.route), change.version),
    }
}

#[async_trait]
impl Journal for FakeLog {
    async fn append(&self, entry: &Entry) -> Result<(), JournalError> {
        if self.hangs.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        self.answer()?;
        let mut entries = self.entries.lock().unwrap();
        let (name, version) = stream(entry);
        let count = entries.iter().filter(|it| stream(it).0 == name).count() as u64;
        if version != count + 1 {
            return Err(JournalError::Conflict);
        }
        entries.push(entry.clone());
        drop(entries);
        self.appended.notify_waiters();
        Ok(())
    }

    async fn read(&self, after: Cursor) -> Result<Page, JournalError> {
        self.answer()?;
        let entries = self.entries.lock().unwrap();
        let known = after == Cursor::default() || after.epoch == self.epoch;
        let from = usize::try_from(after.position).unwrap();
        if !known || from > entries.len() {
            return Err(JournalError::AnotherLog);
        }
        // Small pages, so that paging is tested too.
        let page: Vec<_> = entries[from..].iter().take(2).cloned().collect();
        let position = from + page.len();
        let next = Cursor {
            epoch: self.epoch,
            position: i64::try_from(position).unwrap(),
        };
        Ok(Page {
            entries: page,
            next,
            is_last: position == entries.len(),
        })
    }

    async fn changed(&self) {
        // The real log polls as well, so that a lost notification only costs time.
        let poll = tokio::time::sleep(std::time::Duration::from_millis(20));
        tokio::select! {
            () = self.appended.notified() => {}
            () = poll => {}
        }
    }
}
