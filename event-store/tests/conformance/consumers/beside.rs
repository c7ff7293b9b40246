//! A projection is built again beside the one in use and takes its place: readers see a whole one, and a
//! crash leaves what was before an act or what is after it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use chassis::Shutdown;
use contracts::Recorded;
use database::{Database, Sql, Tx, params};
use event_store::{
    Consumers, Handler, HandlerError, Kind, Log,
    consumer::{Beside, OperatorError, second_of},
};
use testkit::{Backend, eventually};
use tokio::task::JoinHandle;

use super::handler;
use crate::fixture::{PATIENCE, append_to, fragile_service, log_apart, run_of, service, soon};

testkit::both_databases!(
    readers_see_a_whole_projection_while_it_is_built_again_under_load_and_swapped,
    a_second_copy_goes_on_after_a_pause_and_a_restart_and_is_begun_anew_once_abandoned,
    what_the_second_copy_lacks_is_read_by_the_swap_and_what_it_has_seen_already_is_kept,
    an_act_that_makes_no_sense_is_refused_and_changes_nothing,
    a_crash_in_any_act_leaves_what_was_before_it_or_what_is_after_it,
);

pub(super) const NAME: &str = "lines";

/// A row for each event, with which copy's code wrote it.
#[derive(Clone, Default)]
pub(super) struct Lines {
    is_process: bool,
    second: SecondLines,
}

#[derive(Clone, Default)]
struct SecondLines {
    fails: Arc<AtomicBool>,
}

async fn write(tx: &mut Tx, sql: &'static str, event: &Recorded) -> Result<(), HandlerError> {
    tx.execute(sql, params![event.position]).await?;
    Ok(())
}

#[async_trait]
impl Handler for Lines {
    fn name(&self) -> &'static str {
        NAME
    }
    fn kind(&self) -> Kind {
        if self.is_process {
            Kind::Process
        } else {
            Kind::Projection
        }
    }
    fn types(&self) -> &'static [&'static str] {
        &[]
    }
    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        write(
            tx,
            "INSERT INTO lines (position, edition) VALUES ($1, 1)",
            event,
        )
        .await
    }
    fn beside(&self) -> Option<Arc<dyn Beside>> {
        Some(Arc::new(self.second.clone()))
    }
}

#[async_trait]
impl Beside for SecondLines {
    async fn begin(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        let table = "CREATE TABLE lines_2 (position BIGINT PRIMARY KEY, edition BIGINT)";
        tx.execute(table, params![]).await?;
        Ok(())
    }
    async fn handle(&self, tx: &mut Tx, event: &Recorded) -> Result<(), HandlerError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(HandlerError::poison("told to"));
        }
        write(
            tx,
            "INSERT INTO lines_2 (position, edition) VALUES ($1, 2)",
            event,
        )
        .await
    }
    async fn swap(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        for sql in [
            "DELETE FROM lines",
            "INSERT INTO lines SELECT position, edition FROM lines_2",
            "DROP TABLE lines_2",
        ] {
            tx.execute(sql, params![]).await?;
        }
        Ok(())
    }
    async fn abandon(&self, tx: &mut Tx) -> Result<(), HandlerError> {
        tx.execute("DROP TABLE lines_2", params![]).await?;
        Ok(())
    }
}

pub(super) async fn make_lines(database: &Database) {
    let table = "CREATE TABLE lines (position BIGINT PRIMARY KEY, edition BIGINT)";
    database.execute(table, params![]).await.unwrap();
}

struct Running {
    consumers: Consumers,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Running {
    fn start(database: &Database, log: &Log, lines: &Lines) -> Self {
        let consumers = Consumers::new(database.clone(), log.clone())
            .with_options(handler::options())
            .add(lines.clone());
        let stop = Shutdown::new();
        let (running, end) = (consumers.clone(), stop.clone());
        let task = tokio::spawn(async move { running.run(None, end).await });
        Self {
            consumers,
            stop,
            task,
        }
    }

    async fn at(&self, position: i64) {
        soon(self.consumers.caught_up_to(position)).await;
    }

    async fn second_at(&self, position: i64) {
        let second = self.consumers.progress(&second_of(NAME)).unwrap();
        soon(second.caught_up_to(position)).await;
    }

    async fn stop(self) {
        self.stop.trigger();
        soon(self.task).await.unwrap();
    }
}

/// The checkpoint, how many rows there are, and how many of them the second copy's code wrote: of one
/// moment.
async fn seen(database: &Database) -> (i64, i64, i64) {
    let sql = "SELECT (SELECT position FROM consumer_checkpoints WHERE consumer = 'lines'),
                      (SELECT COUNT(*) FROM lines),
                      (SELECT COUNT(*) FROM lines WHERE edition = 2)";
    database.fetch_one(sql, params![]).await.unwrap()
}

async fn second_copy(database: &Database) -> Option<i64> {
    let sql = "SELECT position FROM consumer_checkpoints WHERE consumer = 'lines@2'";
    let row: Option<(i64,)> = database.fetch_optional(sql, params![]).await.unwrap();
    let tables = Sql::by_dialect(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'lines_2'",
        "SELECT COUNT(*) FROM sqlite_master WHERE name = 'lines_2'",
    );
    let (tables,): (i64,) = database.fetch_one(tables, params![]).await.unwrap();
    assert_eq!(tables == 1, row.is_some(), "checkpoint and table are one");
    row.map(|(position,)| position)
}

async fn readers_see_a_whole_projection_while_it_is_built_again_under_load_and_swapped(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    make_lines(&database).await;
    let running = Running::start(&database, &log, &Lines::default());
    let before = log.append(run_of("old", 600)).await.unwrap().len();
    running.at(i64::try_from(before).unwrap()).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (appending, over) = (log.clone(), is_over.clone());
    let writer = tokio::spawn(async move {
        while !over.load(Ordering::SeqCst) {
            append_to(&appending, &["a", "b"]).await;
        }
    });
    let (read, over) = (database.clone(), is_over.clone());
    let reader = tokio::spawn(async move {
        let (mut last, mut looks) = (0, 0);
        while !over.load(Ordering::SeqCst) {
            let (checkpoint, rows, _) = seen(&read).await;
            assert_eq!(
                checkpoint, rows,
                "all up to the checkpoint and nothing else"
            );
            assert!(rows >= last, "nothing is taken back");
            (last, looks) = (rows, looks + 1);
        }
        looks
    });
    running.consumers.rebuild(NAME).await.unwrap();
    let list = running.consumers.list().await.unwrap();
    assert_eq!(list[1].name, "lines@2");
    // As soon as it is near enough: the swap itself reads what is left.
    eventually(PATIENCE, || async {
        running.consumers.swap(NAME).await.is_ok()
    })
    .await;
    assert_eq!(second_copy(&database).await, None);
    let (at_swap, _, by_second) = seen(&database).await;
    assert!(by_second >= 600, "{by_second}");
    // It goes on in its place.
    running.at(at_swap + 20).await;
    is_over.store(true, Ordering::SeqCst);
    soon(writer).await.unwrap();
    assert!(soon(reader).await.unwrap() > 0);
    let head = log.head().await.unwrap().position;
    running.at(head).await;
    let (checkpoint, rows, _) = seen(&database).await;
    assert_eq!((checkpoint, rows), (head, head));
    assert_eq!(running.consumers.list().await.unwrap().len(), 1);
    running.stop().await;
}

async fn a_second_copy_goes_on_after_a_pause_and_a_restart_and_is_begun_anew_once_abandoned(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    make_lines(&database).await;
    let running = Running::start(&database, &log, &Lines::default());
    append_to(&log, &["a"; 3]).await;
    running.at(3).await;
    running.consumers.rebuild(NAME).await.unwrap();
    running.second_at(3).await;
    let second = second_of(NAME);
    running.consumers.pause(&second).await.unwrap();
    append_to(&log, &["a"; 2]).await;
    running.at(5).await;
    assert_eq!(second_copy(&database).await, Some(3));
    running.stop().await;
    let running = Running::start(&database, &log, &Lines::default());
    running.at(5).await;
    assert_eq!(second_copy(&database).await, Some(3), "still paused");
    running.consumers.resume(&second).await.unwrap();
    running.second_at(5).await;
    running.consumers.abandon(NAME).await.unwrap();
    assert_eq!(second_copy(&database).await, None);
    assert_eq!(
        seen(&database).await,
        (5, 5, 0),
        "the one in use was not touched"
    );
    // Nothing is handled for it while there is none, and the next begins at the beginning.
    append_to(&log, &["a"]).await;
    running.at(6).await;
    assert_eq!(second_copy(&database).await, None);
    running.consumers.rebuild(NAME).await.unwrap();
    running.second_at(6).await;
    running.consumers.swap(NAME).await.unwrap();
    assert_eq!(seen(&database).await, (6, 6, 6));
    running.stop().await;
}

async fn what_the_second_copy_lacks_is_read_by_the_swap_and_what_it_has_seen_already_is_kept(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    make_lines(&database).await;
    let running = Running::start(&database, &log, &Lines::default());
    append_to(&log, &["a"; 3]).await;
    running.at(3).await;
    running.consumers.rebuild(NAME).await.unwrap();
    running.second_at(3).await;
    running.consumers.pause(&second_of(NAME)).await.unwrap();
    append_to(&log, &["a"; 4]).await;
    running.at(7).await;
    running.consumers.swap(NAME).await.unwrap();
    assert_eq!(
        seen(&database).await,
        (7, 7, 7),
        "four were read by the swap"
    );
    // The other way round: the one in use is paused and its place moves forward.
    running.consumers.pause(NAME).await.unwrap();
    running.consumers.rebuild(NAME).await.unwrap();
    append_to(&log, &["a"; 2]).await;
    running.second_at(9).await;
    eventually(PATIENCE, || async {
        second_copy(&database).await == Some(9)
    })
    .await;
    running.consumers.swap(NAME).await.unwrap();
    assert_eq!(seen(&database).await, (9, 9, 9));
    running.consumers.resume(NAME).await.unwrap();
    append_to(&log, &["a"]).await;
    running.at(10).await;
    assert_eq!(seen(&database).await, (10, 10, 9));
    running.stop().await;
}

async fn an_act_that_makes_no_sense_is_refused_and_changes_nothing(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let database = service(&backend).await;
    make_lines(&database).await;
    let lines = Lines::default();
    let running = Running::start(&database, &log, &lines);
    let consumers = &running.consumers;
    let why = |refused: Result<(), OperatorError>| match refused {
        Err(OperatorError::NotBuiltBeside(why)) => why,
        other => panic!("{other:?}"),
    };
    append_to(&log, &["a"; 2]).await;
    running.at(2).await;
    assert!(why(consumers.swap(NAME).await).contains("no second copy"));
    assert!(why(consumers.abandon(NAME).await).contains("no second copy"));
    let absent = consumers.pause(&second_of(NAME)).await;
    assert!(matches!(absent, Err(OperatorError::UnknownConsumer(_))));
    assert_eq!(second_copy(&database).await, None);
    consumers.rebuild(NAME).await.unwrap();
    assert!(why(consumers.rebuild(NAME).await).contains("already"));
    running.second_at(2).await;
    // What is parked is missing in it.
    lines.second.fails.store(true, Ordering::SeqCst);
    append_to(&log, &["a"]).await;
    running.second_at(3).await;
    eventually(PATIENCE, || async {
        second_copy(&database).await == Some(3)
    })
    .await;
    assert!(why(consumers.swap(NAME).await).contains("parked"));
    lines.second.fails.store(false, Ordering::SeqCst);
    let parked = consumers
        .parked(Some(&second_of(NAME)), 10)
        .await
        .unwrap()
        .remove(0);
    let retried = consumers
        .retry(&second_of(NAME), parked.event_id)
        .await
        .unwrap();
    assert_eq!(retried.handled, 1);
    // Far behind.
    consumers.pause(&second_of(NAME)).await.unwrap();
    for stream in ["x", "y"] {
        log.append(run_of(stream, 600)).await.unwrap();
    }
    running.at(1_203).await;
    assert!(why(consumers.swap(NAME).await).contains("behind"));
    assert_eq!(second_copy(&database).await, Some(3));
    assert_eq!(seen(&database).await, (1_203, 1_203, 0));
    let plain = Consumers::new(database.clone(), log.clone()).add(handler::Journal::new());
    assert!(why(plain.rebuild(handler::NAME).await).contains("cannot be built beside"));
    let process = Lines {
        is_process: true,
        ..Lines::default()
    };
    let process = Consumers::new(database.clone(), log.clone()).add(process);
    let refused = process.rebuild(NAME).await;
    assert!(matches!(refused, Err(OperatorError::NotReplayable(_))));
    running.stop().await;
}

/// The acts alone, since whoever else commits would take the blow.
async fn a_crash_in_any_act_leaves_what_was_before_it_or_what_is_after_it(backend: Backend) {
    let (log, _place) = log_apart(&backend).await;
    let (database, faults) = fragile_service(&backend).await;
    make_lines(&database).await;
    append_to(&log, &["a"; 4]).await;
    let lines = Lines::default();
    let running = Running::start(&database, &log, &lines);
    running.at(4).await;
    running.stop().await;
    let consumers = Consumers::new(database.clone(), log.clone()).add(lines.clone());
    for after in [false, true] {
        let die = || {
            if after {
                faults.die_after(1);
            } else {
                faults.die_before(1);
            }
        };
        die();
        assert!(consumers.rebuild(NAME).await.is_err());
        faults.revive();
        assert_eq!(second_copy(&database).await.is_some(), after);
        if !after {
            consumers.rebuild(NAME).await.unwrap();
        }
        die();
        assert!(consumers.abandon(NAME).await.is_err());
        faults.revive();
        assert_eq!(second_copy(&database).await.is_none(), after);
        if after {
            consumers.rebuild(NAME).await.unwrap();
        }
        die();
        assert!(consumers.swap(NAME).await.is_err());
        faults.revive();
        assert_eq!(second_copy(&database).await.is_none(), after);
        let by_second = if after { 4 } else { 0 };
        assert_eq!(seen(&database).await, (4, 4, by_second));
        if !after {
            consumers.abandon(NAME).await.unwrap();
        }
    }
    // Whatever dies while it is built comes to the same end.
    consumers.rebuild(NAME).await.unwrap();
    for commit in 1..=2 {
        for after in [false, true] {
            if after {
                faults.die_after(commit);
            } else {
                faults.die_before(commit);
            }
            let running = Running::start(&database, &log, &lines);
            eventually(PATIENCE, || async { faults.is_dead() }).await;
            faults.revive();
            running.task.abort();
            append_to(&log, &["a"]).await;
        }
    }
    let running = Running::start(&database, &log, &lines);
    let head = log.head().await.unwrap().position;
    running.at(head).await;
    running.second_at(head).await;
    running.consumers.swap(NAME).await.unwrap();
    assert_eq!(seen(&database).await, (head, head, head));
    running.stop().await;
}
