//! Taking over the monolith's badges and players, again and again.

use achievement::{
    domain::{Answered, Difficulty, Player, QuizMode, apply},
    import::FromLegacy,
    store::{self, players},
};
use database::{Database, Migrations, Options, Timestamp, params};
use serde_json::json;
use service::{
    departed,
    import::{Count, Import},
};
use testkit::Backend;
use uuid::Uuid;

testkit::both_databases!(
    an_import_takes_badges_and_players_and_a_repeat_takes_nothing,
    a_player_who_answered_here_keeps_what_is_known_here,
    nobody_who_left_comes_back_however_long_ago,
);

const ADA: Uuid = Uuid::from_u128(7);
const ANSWER: Uuid = Uuid::from_u128(8);
const QUESTION: Uuid = Uuid::from_u128(42);

struct Both {
    own: Database,
    legacy: Database,
    _homes: [Backend; 2],
}

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
    for (sql, values) in [
        (
            "INSERT INTO users (id, display_name, roles, created_at, updated_at)
             VALUES ($1, 'Ada', $2, $3, $3)",
            params![ADA, json!(["user"]), at(1)],
        ),
        (
            "INSERT INTO questions (id, text, category, difficulty, choices, correct_choice_id,
                                    version, created_at, updated_at)
             VALUES ($1, 'Is it?', 'rust', 'hard', $2, 'b', 1, $3, $3)",
            params![QUESTION, json!([]), at(1)],
        ),
        (
            "INSERT INTO answers (id, user_id, question_id, choice_id, quiz_mode, category,
                 difficulty, is_correct, correct_choice_id, points, streak, achievements,
                 board_score, board_position, answered_at)
             VALUES ($1, $2, $3, 'b', 'classic', 'rust', 'hard', $4, 'b', 30, 1, $5, 30, 1, $6)",
            params![ANSWER, ADA, QUESTION, true, json!([]), at(1)],
        ),
        (
            "INSERT INTO achievements (user_id, badge_id, answer_id, unlocked_at)
             VALUES ($1, 'first-answer', $2, $3)",
            params![ADA, ANSWER, at(1)],
        ),
        (
            "INSERT INTO players (user_id, state, updated_at) VALUES ($1, $2, $3)",
            params![ADA, state(1), at(1)],
        ),
    ] {
        legacy.execute(sql, values).await.expect("written");
    }
    Both {
        own,
        legacy,
        _homes: [home, other],
    }
}

/// A player after `count` right answers, as the monolith keeps it.
fn state(count: i64) -> serde_json::Value {
    let answered = Answered {
        question_id: QUESTION,
        category: "rust".to_owned(),
        difficulty: Difficulty::Hard,
        quiz_mode: QuizMode::Classic,
        is_correct: true,
        at: at(1).into(),
    };
    let player = (0..count).fold(Player::default(), |player, _| apply(&player, &answered).0);
    serde_json::to_value(player).expect("JSON")
}

const fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000)
}

async fn import(both: &Both) -> (Count, Count) {
    let report = FromLegacy
        .run(&both.own, &both.legacy)
        .await
        .expect("imported");
    (report.players, report.badges)
}

async fn an_import_takes_badges_and_players_and_a_repeat_takes_nothing(home: Backend) {
    let both = both(home).await;
    let one = Count { read: 1, taken: 1 };
    let none = Count { read: 1, taken: 0 };
    assert_eq!(import(&both).await, (one, one));
    assert_eq!(import(&both).await, (none, none));
    let unlocked = store::unlocked(&both.own, ADA).await.expect("read");
    assert_eq!(unlocked.len(), 1);
    assert_eq!(
        (unlocked[0].badge_id.as_str(), unlocked[0].unlocked_at),
        ("first-answer", at(1))
    );

    let newer = "UPDATE players SET state = $1, updated_at = $2";
    both.legacy
        .execute(newer, params![state(3), at(2)])
        .await
        .expect("written");
    assert_eq!(import(&both).await, (one, none));
    let page = store::page(&both.own, Uuid::nil(), 10).await.expect("read");
    assert_eq!((page[0].answered, page[0].answers), (3, 0));
    assert_eq!(page[0].badges, ["first-answer"]);
}

async fn a_player_who_answered_here_keeps_what_is_known_here(home: Backend) {
    let both = both(home).await;
    import(&both).await;
    let mut tx = both.own.begin().await.expect("a transaction");
    let kept = players::kept(&mut tx, ADA).await.expect("a row");
    let player = kept.player().expect("a player");
    // An imported badge is not earned again.
    assert!(player.earned.contains("first-answer") && player.earned.len() == 1);
    kept.save(&player).expect("saved");
    tx.commit().await.expect("committed");

    let newer = "UPDATE players SET state = $1, updated_at = $2";
    both.legacy
        .execute(newer, params![state(3), at(2)])
        .await
        .expect("written");
    assert_eq!(import(&both).await.0, Count { read: 1, taken: 0 });
    let page = store::page(&both.own, Uuid::nil(), 10).await.expect("read");
    assert_eq!((page[0].answered, page[0].answers), (1, 1));
}

async fn nobody_who_left_comes_back_however_long_ago(home: Backend) {
    let both = both(home).await;
    import(&both).await;
    let mut tx = both.own.begin().await.expect("a transaction");
    departed::note(&mut tx, ADA).await.expect("noted");
    store::forget(&mut tx, ADA).await.expect("forgotten");
    tx.commit().await.expect("committed");
    let long_ago = "UPDATE departed_users SET departed_at = $1";
    both.own
        .execute(long_ago, params![at(0)])
        .await
        .expect("aged");
    let mut tx = both.own.begin().await.expect("a transaction");
    departed::note(&mut tx, Uuid::from_u128(9))
        .await
        .expect("noted");
    tx.commit().await.expect("committed");
    let none = Count { read: 1, taken: 0 };
    assert_eq!(import(&both).await, (none, none));
    let page = store::page(&both.own, Uuid::nil(), 10).await.expect("read");
    assert!(page.is_empty(), "{page:?}");
    let unlocked = store::unlocked(&both.own, ADA).await.expect("read");
    assert!(unlocked.is_empty(), "{unlocked:?}");
}
