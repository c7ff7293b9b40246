//! Taking over the monolith's questions and stats, again and again.

use contracts::QuizMode;
use database::{Database, Migrations, Options, Timestamp, params};
use quiz::{
    domain::{Asked, Difficulty, Stats},
    import::FromLegacy,
    store::{
        self,
        questions::{self, Change},
        stats::{self, Counted},
    },
    tally::Tally,
};
use serde_json::json;
use service::{
    departed,
    import::{Count, Import},
};
use testkit::Backend;
use uuid::Uuid;

testkit::both_databases!(
    an_import_takes_questions_and_stats_and_a_repeat_takes_nothing,
    what_was_counted_here_stays_on_top_of_a_newer_import,
    an_import_never_overwrites_what_events_said,
    an_import_does_not_bring_back_who_left_nor_what_was_set_back,
);

const ADA: Uuid = Uuid::from_u128(7);
const QUESTION: Uuid = Uuid::from_u128(42);

struct Both {
    own: Database,
    legacy: Database,
    _homes: [Backend; 2],
}

/// The quiz service's database in `home`, and a monolith with one question and one player.
async fn both(home: Backend) -> Both {
    let other = if home.name == "sqlite" {
        Backend::sqlite()
    } else {
        Backend::postgres().await
    };
    let own = home.open(Options::default()).await;
    own.migrate(store::migrations()).await.expect("tables");
    own.migrate(departed::migrations()).await.expect("tables");
    let legacy = other.open(Options::default()).await;
    let monolith = Migrations::new(
        "legacy",
        sqlx::migrate!("../../migrations/legacy/postgres"),
        sqlx::migrate!("../../migrations/legacy/sqlite"),
    );
    legacy.migrate(monolith).await.expect("tables");
    let choices = json!([{ "id": "a", "text": "yes" }, { "id": "b", "text": "no" }]);
    write(
        &legacy,
        "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id, version,
                                created_at, updated_at)
         VALUES ($1, 'Is it?', 'rust', 'hard', $2, 'b', 1, $3, $3)",
        params![QUESTION, choices, at(1)],
    )
    .await;
    write(
        &legacy,
        "INSERT INTO users (id, display_name, roles, created_at, updated_at)
         VALUES ($1, 'Ada', $2, $3, $3)",
        params![ADA, json!(["user"]), at(1)],
    )
    .await;
    write(
        &legacy,
        "INSERT INTO stats (user_id, answered, correct, streak, best_streak, updated_at)
         VALUES ($1, 5, 4, 3, 3, $2)",
        params![ADA, at(1)],
    )
    .await;
    for (mode, answered, correct, score) in [("classic", 2, 2, 50), ("timed", 3, 2, 70)] {
        write(
            &legacy,
            "INSERT INTO mode_stats (user_id, quiz_mode, answered, correct, score)
             VALUES ($1, $2, $3, $4, $5)",
            params![ADA, mode, answered, correct, score],
        )
        .await;
    }
    Both {
        own,
        legacy,
        _homes: [home, other],
    }
}

async fn write(database: &Database, sql: &'static str, values: Vec<database::Value>) {
    database.execute(sql, values).await.expect("written");
}

const fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000)
}

async fn import(both: &Both) -> (Count, Count) {
    let report = FromLegacy
        .run(&both.own, &both.legacy)
        .await
        .expect("imported");
    (report.questions, report.stats)
}

async fn an_import_takes_questions_and_stats_and_a_repeat_takes_nothing(home: Backend) {
    let both = both(home).await;
    let one = Count { read: 1, taken: 1 };
    assert_eq!(import(&both).await, (one, one));
    let asked = questions::find(&both.own, QUESTION)
        .await
        .expect("read")
        .expect("there");
    let expected = Asked {
        question_id: QUESTION,
        category: "rust".to_owned(),
        difficulty: Difficulty::Hard,
        choice_ids: vec!["a".to_owned(), "b".to_owned()],
        correct_choice_id: "b".to_owned(),
    };
    assert_eq!(asked, expected);
    let total = stats::find(&both.own, ADA).await.expect("read").total();
    assert_eq!(
        (total.answered, total.correct, total.streak, total.score),
        (5, 4, 3, 120)
    );
    assert_eq!(total.by_mode.of(QuizMode::Timed).score, 70);

    let none = Count { read: 1, taken: 0 };
    assert_eq!(import(&both).await, (none, none));
    let deleted = "UPDATE questions SET deleted_at = $1";
    write(&both.legacy, deleted, params![at(2)]).await;
    assert_eq!(import(&both).await, (one, none));
    assert_eq!(
        questions::find(&both.own, QUESTION).await.expect("read"),
        None
    );
}

async fn what_was_counted_here_stays_on_top_of_a_newer_import(home: Backend) {
    let both = both(home).await;
    import(&both).await;
    let mut tx = both.own.begin().await.expect("a transaction");
    let (counted, _) = stats::lock(&mut tx, ADA).await.expect("a row");
    let own = counted.own.with(QuizMode::Classic, true, 16);
    stats::save(&mut tx, ADA, &own).await.expect("saved");
    tx.commit().await.expect("committed");
    let total = stats::find(&both.own, ADA).await.expect("read").total();
    assert_eq!((total.answered, total.streak, total.score), (6, 4, 136));

    let played = "UPDATE stats SET answered = 6, correct = 5, streak = 4, best_streak = 4,
                                   updated_at = $1";
    write(&both.legacy, played, params![at(3)]).await;
    import(&both).await;
    let counted = stats::find(&both.own, ADA).await.expect("read");
    assert_eq!(counted.own, own);
    assert_eq!((counted.total().answered, counted.total().streak), (7, 5));
    assert_eq!(counted.base.answered, 6);
    assert_ne!(counted.base, Stats::default());
}

async fn an_import_never_overwrites_what_events_said(home: Backend) {
    let both = both(home).await;
    let mut tx = both.own.begin().await.expect("a transaction");
    let change = Change::Deleted(QUESTION);
    questions::apply(&mut tx, &change, 2, at(0))
        .await
        .expect("applied");
    tx.commit().await.expect("committed");
    assert_eq!(import(&both).await.0, Count { read: 1, taken: 0 });
    assert_eq!(
        questions::find(&both.own, QUESTION).await.expect("read"),
        None
    );
}

async fn an_import_does_not_bring_back_who_left_nor_what_was_set_back(home: Backend) {
    let both = both(home).await;
    let none = Count { read: 1, taken: 0 };
    let mut tx = both.own.begin().await.expect("a transaction");
    stats::lock(&mut tx, ADA).await.expect("a row");
    stats::reset(&mut tx, ADA, &Tally::default(), at(5))
        .await
        .expect("set back");
    tx.commit().await.expect("committed");
    assert_eq!(import(&both).await.1, none);
    assert_eq!(
        stats::find(&both.own, ADA).await.expect("read"),
        Counted::default()
    );

    let newer = "UPDATE stats SET answered = 1, correct = 0, updated_at = $1";
    write(&both.legacy, newer, params![at(6)]).await;
    assert_eq!(import(&both).await.1, Count { read: 1, taken: 1 });
    let mut tx = both.own.begin().await.expect("a transaction");
    departed::note(&mut tx, ADA).await.expect("noted");
    stats::forget(&mut tx, ADA).await.expect("forgotten");
    tx.commit().await.expect("committed");
    // Years later, when somebody else leaves, it is known as well as on the first day.
    let long_ago = "UPDATE departed_users SET departed_at = $1";
    write(&both.own, long_ago, params![at(0)]).await;
    let mut tx = both.own.begin().await.expect("a transaction");
    departed::note(&mut tx, Uuid::from_u128(8))
        .await
        .expect("noted");
    tx.commit().await.expect("committed");
    assert_eq!(import(&both).await.1, none);
    assert_eq!(
        stats::find(&both.own, ADA).await.expect("read"),
        Counted::default()
    );
}
