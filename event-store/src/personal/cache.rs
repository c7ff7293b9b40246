//! The keys in use, for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::SubjectKey;

/// How long a process may use a key without asking for it again: so long an erased one lives in a
/// process that does not hear of it, because its consumers stand still.
pub const FRESH_FOR: Duration = Duration::from_secs(60);

/// Keys kept at most: some megabytes.
const ROOM: usize = 10_000;

/// What is known of a person's key.
#[derive(Clone)]
pub(crate) enum Held {
    /// It is there.
    Key(Arc<SubjectKey>),
    /// It was erased.
    Erased,
}

#[derive(Default)]
pub(super) struct Cache {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Rises with each key that is forgotten.
    generation: u64,
    held: HashMap<String, (Held, Instant)>,
}

impl Cache {
    pub(super) fn get(&self, subject: &str) -> Option<Held> {
        let state = self.state();
        let (held, since) = state.held.get(subject)?;
        (since.elapsed() < FRESH_FOR).then(|| held.clone())
    }

    /// What [`Cache::put`] must be told, asked for before the database is.
    pub(super) fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Keeps what was asked for after `generation`; not when something was forgotten since, which may
    /// have been this.
    pub(super) fn put(&self, generation: u64, subject: &str, held: Held) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        if state.held.len() >= ROOM {
            state
                .held
                .retain(|_, (_, since)| since.elapsed() < FRESH_FOR);
        }
        if state.held.len() >= ROOM {
            state.held.clear();
        }
        state
            .held
            .insert(subject.to_owned(), (held, Instant::now()));
    }

    pub(super) fn forget(&self, subject: &str) {
        let mut state = self.state();
        state.generation += 1;
        state.held.remove(subject);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_kept_for_a_while_and_forgotten_at_once_when_told() {
        let cache = Cache::default();
        cache.put(cache.generation(), "ada", Held::Erased);
        tokio::time::advance(FRESH_FOR - Duration::from_millis(1)).await;
        assert!(cache.get("ada").is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(cache.get("ada").is_none());
        cache.put(cache.generation(), "ada", Held::Erased);
        cache.forget("ada");
        assert!(cache.get("ada").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_something_was_forgotten_is_not_kept() {
        let cache = Cache::default();
        let before = cache.generation();
        cache.forget("ada");
        cache.put(before, "ada", Held::Erased);
        assert!(cache.get("ada").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_grow_without_bound() {
        let cache = Cache::default();
        for number in 0..2 * ROOM + 1 {
            cache.put(cache.generation(), &number.to_string(), Held::Erased);
            assert!(cache.state().held.len() <= ROOM);
        }
        assert!(cache.get(&(2 * ROOM).to_string()).is_some());
    }
}
