//! Answers that come together. On one thread all of them wait before the task that records them runs, so
//! that they are one group.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use chassis::{identity::Caller, trace::TraceContext};
use contracts::{Difficulty, QuizMode, http::SubmitAnswer};
use database::{CommitHook, Options, params};
use event_store::{Log, LogOptions, Outbox};
use futures::future::join_all;
use service::departed;
use testkit::{Backend, TempDir};

use super::*;
use crate::saga::AnswerSubmission;

testkit::both_databases!(
    answers_that_come_together_are_recorded_with_one_commit,
    who_is_refused_or_has_to_wait_keeps_nobody_else_from_answering,
    of_two_answers_of_one_player_the_second_is_behind_the_first,
    a_group_whose_commit_is_lost_is_told_so_and_not_tried_again,
);

/// Counts commits; the connection is lost right after one of them, if told so.
#[derive(Default)]
struct Commits {
    count: AtomicU64,
    next_is_lost: AtomicBool,
}

impl CommitHook for Commits {
    fn before(&self, _signals: &[&'static str]) -> database::Result<()> {
        Ok(())
    }

    fn after(&self, _signals: &[&'static str]) -> database::Result<()> {
        self.count.fetch_add(1, Ordering::Relaxed);
        match self.next_is_lost.swap(false, Ordering::Relaxed) {
            true => Err(database::Error::Unavailable("lost".into())),
            false => Ok(()),
        }
    }
}

/// A recorder with a database of its own, and what sees its commits.
struct Desk {
    recorder: Arc<Recorder>,
    db: Database,
    commits: Arc<Commits>,
    backend: Backend,
    _folder: TempDir,
}

impl Desk {
    async fn open(backend: Backend) -> Self {
        let commits = Arc::<Commits>::default();
        let options = Options {
            commit_hook: Some(Arc::clone(&commits) as _),
            ..Options::default()
        };
        let db = backend.open(options).await;
        for migrations in [
            event_store::outbox::migrations(),
            departed::migrations(),
            crate::store::migrations(),
            sagas::migrations(),
        ] {
            db.migrate(migrations).await.expect("a schema");
        }
        let folder = testkit::temp_dir();
        let log = format!("sqlite:{}", folder.path().join("log.db").display());
        let keys = event_store::MasterKeys::parse(testkit::PERSONAL_KEYS).expect("keys");
        let options = LogOptions {
            personal: Some(keys),
            ..LogOptions::default()
        };
        let log = Log::open(&log, options).await.expect("a log");
        let outbox = Outbox::new("quiz").sealing(&log);
        let workflow = AnswerSubmission::new(Duration::from_secs(600), outbox.clone());
        let engine = Engine::open(
            db.clone(),
            log,
            outbox,
            vec![Arc::new(workflow)],
            sagas::Options::default(),
        );
        let engine = engine.await.expect("an engine");
        Self {
            recorder: Arc::new(Recorder::new(db.clone(), engine)),
            db,
            commits,
            backend,
            _folder: folder,
        }
    }

    /// Players whose rows are there.
    async fn players(&self, count: usize) -> Vec<Uuid> {
        let players: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        let mut tx = self.db.begin().await.expect("a transaction");
        for player in &players {
            stats::lock(&mut tx, *player).await.expect("a row");
        }
        tx.commit().await.expect("a commit");
        players
    }

    async fn record(&self, submission: Submission) -> Outcome {
        self.recorder.record(&submission, &asked()).await
    }

    /// All at once, told in their order.
    async fn record_all(&self, submissions: Vec<Submission>) -> Vec<Outcome> {
        join_all(submissions.into_iter().map(|one| self.record(one))).await
    }

    /// How many answers are undecided, how many sagas run and what is counted for the players.
    async fn recorded(&self) -> (i64, i64, i64) {
        let sql = "SELECT (SELECT COUNT(*) FROM answers WHERE status = 'pending'),
                          (SELECT COUNT(*) FROM sagas WHERE state = 'running'),
                          (SELECT COUNT(*) FROM outbox)";
        let counted = self.db.fetch_one(sql, params![]).await;
        counted.expect("counts")
    }
}

fn asked() -> Asked {
    Asked {
        question_id: Uuid::from_u128(42),
        category: "rust".to_owned(),
        difficulty: Difficulty::Easy,
        choice_ids: vec!["a".to_owned(), "b".to_owned()],
        correct_choice_id: "b".to_owned(),
    }
}

fn of(player: Uuid) -> Submission {
    Submission {
        caller: Caller {
            user_id: player,
            display_name: "Ada".to_owned(),
            roles: Vec::new(),
        },
        body: SubmitAnswer {
            question_id: Uuid::from_u128(42),
            choice_id: "b".to_owned(),
            quiz_mode: QuizMode::Classic,
        },
        key: None,
        trace: TraceContext::current_or_new(),
    }
}

fn keyed(player: Uuid, fingerprint: u8) -> Submission {
    Submission {
        key: Some(Key {
            subject: player,
            path: "/api/answers",
            key: "k".to_owned(),
            fingerprint: vec![fingerprint],
        }),
        ..of(player)
    }
}

fn id_of(outcome: &Outcome) -> Uuid {
    match outcome {
        Ok(Attempt::Recorded(answer_id, _)) => *answer_id,
        Ok(Attempt::Repeated(answer_id)) => panic!("repeats {answer_id}"),
        Ok(Attempt::Behind(answer_id)) => panic!("behind {answer_id}"),
        Err(error) => panic!("{error}"),
    }
}

async fn answers_that_come_together_are_recorded_with_one_commit(backend: Backend) {
    let desk = Desk::open(backend).await;
    let players = desk.players(5).await;
    let before = desk.commits.count.load(Ordering::Relaxed);
    let outcomes = desk
        .record_all(players.iter().copied().map(of).collect())
        .await;
    assert_eq!(desk.commits.count.load(Ordering::Relaxed) - before, 1);
    assert_eq!(desk.recorded().await, (5, 5, 5));
    for (player, outcome) in players.iter().zip(&outcomes) {
        let answer = answers::find(&desk.db, id_of(outcome)).await;
        let given = answer.expect("read").expect("an answer").given;
        assert_eq!((given.user_id, given.points), (*player, 10));
        let counted = stats::find(&desk.db, *player).await.expect("stats");
        assert_eq!((counted.own.answered, counted.own.score), (1, 10));
    }
}

async fn who_is_refused_or_has_to_wait_keeps_nobody_else_from_answering(backend: Backend) {
    let desk = Desk::open(backend).await;
    let players = desk.players(5).await;
    let [gone, waits, repeats, reuses, plays] = players[..] else {
        panic!("five");
    };
    let mut tx = desk.db.begin().await.expect("a transaction");
    departed::note(&mut tx, gone).await.expect("noted");
    tx.commit().await.expect("a commit");
    let undecided = id_of(&desk.record(of(waits)).await);
    let first = [keyed(repeats, 1), keyed(reuses, 1)];
    let first = desk.record_all(first.to_vec()).await;
    let outcomes = desk
        .record_all(vec![
            of(gone),
            of(waits),
            keyed(repeats, 1),
            keyed(reuses, 2),
            of(plays),
            // One who never played before.
            of(Uuid::now_v7()),
        ])
        .await;
    let [left, behind, repeated, reused, played, new] = &outcomes[..] else {
        panic!("six");
    };
    assert!(matches!(left, Err(Error::AccountDeleted)));
    assert!(matches!(behind, Ok(Attempt::Behind(id)) if *id == undecided));
    assert!(matches!(repeated, Ok(Attempt::Repeated(id)) if *id == id_of(&first[0])));
    assert!(matches!(reused, Err(Error::KeyReused)));
    assert_ne!(id_of(played), id_of(new));
    assert_eq!(desk.recorded().await, (5, 5, 5));
}

async fn of_two_answers_of_one_player_the_second_is_behind_the_first(backend: Backend) {
    let desk = Desk::open(backend).await;
    let player = desk.players(1).await[0];
    let outcomes = desk.record_all(vec![of(player), of(player)]).await;
    let first = id_of(&outcomes[0]);
    assert!(matches!(outcomes[1], Ok(Attempt::Behind(id)) if id == first));
    assert_eq!(desk.recorded().await, (1, 1, 1));
}

async fn a_group_whose_commit_is_lost_is_told_so_and_not_tried_again(backend: Backend) {
    let desk = Desk::open(backend).await;
    let players = desk.players(3).await;
    desk.commits.next_is_lost.store(true, Ordering::Relaxed);
    let outcomes = desk.record_all(players.into_iter().map(of).collect()).await;
    for outcome in outcomes {
        let error = outcome.err().expect("an error");
        let is_lost = matches!(&error, Error::Database(database::Error::Unavailable(_)));
        assert!(is_lost, "{error}");
    }
    // It had happened: who had tried again would have been told of an undecided answer.
    assert_eq!(desk.recorded().await, (3, 3, 3));
}

#[tokio::test]
async fn an_answer_whose_player_is_held_elsewhere_is_waited_for_by_nobody_else() {
    let desk = Desk::open(Backend::postgres().await).await;
    let players = desk.players(3).await;
    let elsewhere = desk.backend.open(Options::default()).await;
    let mut tx = elsewhere.begin().await.expect("a transaction");
    stats::lock(&mut tx, players[1]).await.expect("the row");
    let mut held = std::pin::pin!(desk.record(of(players[1])));
    // It is in line, with the others of its group.
    assert!(futures::poll!(held.as_mut()).is_pending());
    let others = vec![of(players[0]), of(players[2])];
    let others = desk.record_all(others).await;
    assert_ne!(id_of(&others[0]), id_of(&others[1]));
    assert!(futures::poll!(held.as_mut()).is_pending());
    assert_eq!(desk.recorded().await, (2, 2, 2));
    tx.commit().await.expect("a commit");
    id_of(&held.await);
    assert_eq!(desk.recorded().await, (3, 3, 3));
    elsewhere.close().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_fails_alone() {
    let desk = Desk::open(Backend::postgres().await).await;
    let players = desk.players(3).await;
    let mut submissions: Vec<Submission> = players.into_iter().map(of).collect();
    // No text of PostgreSQL's.
    submissions[1].caller.display_name = "\0".to_owned();
    let outcomes = desk.record_all(submissions).await;
    assert!(outcomes[1].is_err());
    assert_ne!(id_of(&outcomes[0]), id_of(&outcomes[2]));
    assert_eq!(desk.recorded().await, (2, 2, 2));
}
