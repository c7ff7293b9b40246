use std::sync::{Arc, Mutex, PoisonError};

use database::{CommitHook, Error, Result};
use tokio::sync::Notify;

/// Lets a program die at its n-th commit; given to `database::Options::commit_hook`.
///
/// From the death on every commit fails, as nothing more would come from a dead process, until
/// [`CommitFaults::revive`]. The error is the one of a lost connection: the caller cannot know
/// whether the commit happened.
#[derive(Debug, Default)]
pub struct CommitFaults {
    state: Mutex<State>,
    death: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Commits that became durable.
    done: u64,
    plan: Option<Plan>,
    dead: bool,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Commits still to come, the fatal one included.
    left: u64,
    moment: Moment,
    /// Counts only commits that raise this signal.
    signal: Option<&'static str>,
}

impl Plan {
    /// Whether this commit is the fatal one.
    fn kills(&mut self, moment: Moment, signals: &[&'static str]) -> bool {
        let is_meant = self.signal.is_none_or(|signal| signals.contains(&signal));
        if moment != self.moment || !is_meant {
            return false;
        }
        self.left -= 1;
        self.left == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

impl CommitFaults {
    /// Nothing fails yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The `n`-th commit from now (1 is the next) is lost, and the process is dead.
    pub fn die_before(&self, n: u64) {
        self.plan(n, Moment::Before, None);
    }

    /// The `n`-th commit from now (1 is the next) is durable, but its caller does not learn it,
    /// and the process is dead.
    pub fn die_after(&self, n: u64) {
        self.plan(n, Moment::After, None);
    }

    /// [`CommitFaults::die_after`] for the next commit that raises the database's `signal`,
    /// whatever else commits beside it.
    pub fn die_after_signalling(&self, signal: &'static str) {
        self.plan(1, Moment::After, Some(signal));
    }

    /// Commits that became durable since the start, whoever learned of it.
    pub fn commits(&self) -> u64 {
        self.with(|state| state.done)
    }

    /// Whether the planned death has come.
    pub fn is_dead(&self) -> bool {
        self.with(|state| state.dead)
    }

    /// Waits until the planned death has come: whatever was asked of the process may never be answered.
    pub async fn died(&self) {
        let mut notified = std::pin::pin!(self.death.notified());
        notified.as_mut().enable();
        if !self.is_dead() {
            notified.await;
        }
    }

    /// The process starts again: nothing fails any more, and no death is planned.
    pub fn revive(&self) {
        self.with(|state| {
            state.dead = false;
            state.plan = None;
        });
    }

    fn plan(&self, n: u64, moment: Moment, signal: Option<&'static str>) {
        assert!(n > 0, "commits are counted from 1");
        let plan = Plan {
            left: n,
            moment,
            signal,
        };
        self.with(|state| state.plan = Some(plan));
    }

    fn tell(&self, state: &State) {
        if state.dead {
            self.death.notify_waiters();
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CommitHook for CommitFaults {
    fn before(&self, signals: &[&'static str]) -> Result<()> {
        self.with(|state| {
            if let Some(plan) = &mut state.plan
                && !state.dead
            {
                state.dead = plan.kills(Moment::Before, signals);
                self.tell(state);
            }
            if state.dead { Err(death()) } else { Ok(()) }
        })
    }

    fn after(&self, signals: &[&'static str]) -> Result<()> {
        self.with(|state| {
            state.done += 1;
            if let Some(plan) = &mut state.plan
                && !state.dead
            {
                state.dead = plan.kills(Moment::After, signals);
                self.tell(state);
                if state.dead {
                    return Err(death());
                }
            }
            Ok(())
        })
    }
}

fn death() -> Error {
    Error::Unavailable("the process is dead".into())
}

#[cfg(test)]
mod tests {
    use database::{Database, Options, params};

    use super::*;

    async fn numbers(faults: &Arc<CommitFaults>) -> (Database, tempfile::TempDir) {
        let folder = crate::temp_dir();
        let options = Options {
            commit_hook: Some(faults.clone()),
            ..Options::default()
        };
        let url = format!("sqlite:{}", folder.path().join("numbers.db").display());
        let database = Database::connect(&url, options).await.expect("a database");
        database
            .execute("CREATE TABLE numbers (n INTEGER)", params![])
            .await
            .expect("a table");
        (database, folder)
    }

    async fn insert(database: &Database, n: i64) -> Result<u64> {
        database
            .execute("INSERT INTO numbers (n) VALUES ($1)", params![n])
            .await
    }

    async fn stored(database: &Database) -> Vec<(i64,)> {
        database
            .fetch_all("SELECT n FROM numbers ORDER BY n", params![])
            .await
            .expect("rows")
    }

    #[tokio::test]
    async fn a_death_before_the_commit_loses_it_and_all_later_ones() {
        let faults = CommitFaults::new();
        let (database, _folder) = numbers(&faults).await;
        faults.die_before(2);
        insert(&database, 1).await.unwrap();
        assert!(insert(&database, 2).await.unwrap_err().is_transient());
        assert!(insert(&database, 3).await.is_err());
        assert!(faults.is_dead());
        faults.revive();
        insert(&database, 4).await.unwrap();
        assert_eq!(stored(&database).await, [(1,), (4,)]);
        assert_eq!(faults.commits(), 3, "the table and two rows");
    }

    #[tokio::test]
    async fn a_death_after_the_commit_keeps_it_and_loses_all_later_ones() {
        let faults = CommitFaults::new();
        let (database, _folder) = numbers(&faults).await;
        faults.die_after(1);
        assert!(insert(&database, 1).await.is_err());
        assert!(insert(&database, 2).await.is_err());
        assert_eq!(stored(&database).await, [(1,)]);
    }

    #[tokio::test]
    async fn a_death_after_a_signal_passes_over_commits_that_do_not_raise_it() {
        let faults = CommitFaults::new();
        let (database, _folder) = numbers(&faults).await;
        faults.die_after_signalling("meant");
        insert(&database, 1).await.unwrap();
        let mut tx = database.begin().await.unwrap();
        tx.signal("other");
        tx.commit().await.unwrap();
        assert!(!faults.is_dead());
        let mut tx = database.begin().await.unwrap();
        tx.signal("meant");
        assert!(tx.commit().await.is_err());
        assert!(faults.is_dead());
    }
}
