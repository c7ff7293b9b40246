//! An answer is one transaction: everything of it is there, or nothing.

use auth::domain::User;
use contracts::QuizMode;
use contracts::http::SubmitAnswer;
use database::{Database, Options, params};
use legacy::{
    play::{self, Key},
    seed::seed,
    store,
};
use testkit::{Backend, CommitFaults};
use uuid::Uuid;

testkit::both_databases!(
    an_answer_that_was_not_committed_left_no_trace,
    an_answer_whose_confirmation_was_lost_is_found_by_its_key,
    answers_of_one_player_at_once_are_all_counted,
);

const TABLES: [&str; 7] = [
    "SELECT COUNT(*) FROM answers",
    "SELECT COUNT(*) FROM stats",
    "SELECT COUNT(*) FROM mode_stats",
    "SELECT COUNT(*) FROM players",
    "SELECT COUNT(*) FROM achievements",
    "SELECT COUNT(*) FROM leaderboard",
    "SELECT COUNT(*) FROM idempotency_keys",
];

struct Game {
    db: Database,
    faults: std::sync::Arc<CommitFaults>,
    player: User,
}

impl Game {
    async fn open(backend: &Backend) -> Self {
        let faults = CommitFaults::new();
        let options = Options {
            commit_hook: Some(faults.clone()),
            ..Options::default()
        };
        let db = backend.open(options).await;
        db.migrate(store::migrations()).await.expect("the tables");
        let mut tx = db.begin().await.expect("a transaction");
        let now = tx.now().await.expect("the time");
        for question in seed().expect("the bank") {
            store::curation::insert(&mut tx, &question, now)
                .await
                .expect("a question");
        }
        tx.commit().await.expect("a commit");
        Self {
            db,
            faults,
            player: User::guest(Uuid::now_v7()),
        }
    }

    async fn answer(&self, number: usize, key: Option<&Key>) -> Result<Uuid, legacy::error::Error> {
        let question = &seed().expect("the bank")[number];
        let body = SubmitAnswer {
            question_id: question.id,
            choice_id: question.correct_choice_id.clone(),
            quiz_mode: QuizMode::Classic,
        };
        play::submit(&self.db, &self.player, &body, key)
            .await
            .map(|answer| answer.id)
    }

    async fn rows(&self) -> Vec<i64> {
        let mut counts = Vec::new();
        for sql in TABLES {
            let (count,): (i64,) = self.db.fetch_one(sql, params![]).await.expect("a count");
            counts.push(count);
        }
        counts
    }
}

fn key() -> Key {
    Key {
        path: "/api/answers",
        value: "key".to_owned(),
        fingerprint: vec![1, 2, 3],
    }
}

async fn an_answer_that_was_not_committed_left_no_trace(backend: Backend) {
    let game = Game::open(&backend).await;
    game.faults.die_before(1);
    assert!(game.answer(0, Some(&key())).await.is_err());
    game.faults.revive();
    assert_eq!(game.rows().await, [0; 7]);
    game.answer(0, Some(&key())).await.expect("an answer");
    assert!(game.rows().await.iter().all(|count| *count > 0));
}

async fn an_answer_whose_confirmation_was_lost_is_found_by_its_key(backend: Backend) {
    let game = Game::open(&backend).await;
    game.faults.die_after(1);
    assert!(game.answer(0, Some(&key())).await.is_err());
    game.faults.revive();
    let before = game.rows().await;
    let found = game
        .answer(0, Some(&key()))
        .await
        .expect("the recorded answer");
    assert_eq!(game.rows().await, before);
    let stored = store::answers::by_id(&game.db, found, game.player.id)
        .await
        .expect("a read");
    assert_eq!(stored.map(|answer| answer.id), Some(found));
}

async fn answers_of_one_player_at_once_are_all_counted(backend: Backend) {
    let game = Game::open(&backend).await;
    let answers = tokio::join!(
        game.answer(0, None),
        game.answer(1, None),
        game.answer(2, None),
        game.answer(3, None),
        game.answer(4, None),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3, answers.4] {
        answer.expect("an answer");
    }
    let stats = store::players::stats(&game.db, game.player.id)
        .await
        .expect("stats");
    assert_eq!((stats.answered, stats.correct, stats.streak), (5, 5, 5));
}
