use std::sync::{Arc, Mutex, PoisonError};

use database::{CommitHook, Error, Result};

/// Lets a program die at its n-th commit; given to `database::Options::commit_hook`.
///
/// From the death on every commit fails, as nothing more would come from a dead process, until
/// [`CommitFaults::revive`]. The error is the one of a lost connection: the caller cannot know
/// whether the commit happened.
#[derive(Debug, Default)]
pub struct CommitFaults {
    state: Mutex<State>,
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
        self.plan(n, Moment::Before);
    }

    /// The `n`-th commit from now (1 is the next) is durable, but its caller does not learn it,
    /// and the process is dead.
    pub fn die_after(&self, n: u64) {
        self.plan(n, Moment::After);
    }

    /// Commits that became durable since the start, whoever learned of it.
    pub fn commits(&self) -> u64 {
        self.with(|state| state.done)
    }

    /// Whether the planned death has come.
    pub fn is_dead(&self) -> bool {
        self.with(|state| state.dead)
    }

    /// The process starts again: nothing fails any more, and no death is planned.
    pub fn revive(&self) {
        self.with(|state| {
            state.dead = false;
            state.plan = None;
        });
    }

    fn plan(&self, n: u64, moment: Moment) {
        assert!(n > 0, "commits are counted from 1");
        self.with(|state| state.plan = Some(Plan { left: n, moment }));
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CommitHook for CommitFaults {
    fn before(&self) -> Result<()> {
        self.with(|state| {
            if let Some(plan) = &mut state.plan
                && !state.dead
                && plan.moment == Moment::Before
            {
                plan.left -= 1;
                state.dead = plan.left == 0;
            }
            if state.dead { Err(death()) } else { Ok(()) }
        })
    }

    fn after(&self) -> Result<()> {
        self.with(|state| {
            state.done += 1;
            if let Some(plan) = &mut state.plan
                && !state.dead
                && plan.moment == Moment::After
            {
                plan.left -= 1;
                state.dead = plan.left == 0;
                if state.dead {
                    return Err(death());
                }
            }
            Ok(())
        })
    }
}

fn death() -> Error {
    Error::Unavailable(sqlx::Error::WorkerCrashed)
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
}
