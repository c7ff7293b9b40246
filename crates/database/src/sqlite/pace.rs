//! How long commits take on this disk, and how far the write-ahead log has grown.

use std::{cell::Cell, time::Duration};

use rusqlite::{Connection, hooks::Wal};

/// A commit that takes no longer is done where it is asked for. Handing it to a thread that may wait costs
/// two switches between threads, about what it takes on such a disk; and nobody is held up for longer than
/// by any other work.
const QUICK: Duration = Duration::from_millis(1);

/// Pages in the write-ahead log after which they are copied into the file: 16 MiB. Pages that are written
/// again and again are copied once for all of it.
const PAGES: i32 = 4_000;

thread_local! {
    /// Pages in the write-ahead log after the last commit on this thread: SQLite tells it there, and a plain
    /// function.
    static WRITTEN_AHEAD: Cell<i32> = const { Cell::new(0) };
}

/// What is known of one file's commits.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// A moving average.
    usual: Duration,
    pages: i32,
}

impl Pace {
    /// Lets SQLite tell the pages, in place of copying them within the commit that made them many.
    pub(super) fn watch(connection: &Connection) {
        connection.wal_hook(Some(|_: &Wal, pages| {
            WRITTEN_AHEAD.set(pages);
            Ok(())
        }));
    }

    /// A commit on this thread took so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.usual = (self.usual * 7 + time) / 8;
        self.pages = WRITTEN_AHEAD.replace(0).max(self.pages);
    }

    /// The pages were copied, as far as nobody needs them.
    pub(super) fn copied(&mut self) {
        self.pages = 0;
    }

    /// Whether whoever asks for a commit may wait for it.
    pub(super) fn is_quick(&self) -> bool {
        self.usual <= QUICK
    }

    pub(super) fn is_much_ahead(&self) -> bool {
        self.pages >= PAGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_disk_is_noticed_and_so_is_one_that_is_quick_again() {
        let mut pace = Pace::default();
        assert!(pace.is_quick());
        pace.took(QUICK);
        assert!(pace.is_quick(), "one says little");
        for _ in 0..8 {
            pace.took(QUICK * 4);
        }
        assert!(!pace.is_quick());
        for _ in 0..32 {
            pace.took(QUICK / 10);
        }
        assert!(pace.is_quick());
    }
}
