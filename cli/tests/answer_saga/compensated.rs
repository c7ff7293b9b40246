//! Answers that are taken back: they count nowhere, and nobody learns whether they were right.

use std::time::Duration;

use database::params;
use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    on_both_databases,
    world::{Answer, Kind, PARTICIPANTS, PATIENCE, Part, Player, Setting, World, body},
};

on_both_databases!(
    an_answer_that_a_participant_refuses_counts_nowhere,
    an_answer_that_a_participant_does_not_follow_in_time_counts_nowhere,
    a_participant_that_ends_in_between_undoes_what_it_missed,
    a_streak_is_not_built_on_an_answer_that_was_taken_back,
);

/// Short, where a participant is silent anyway.
const DEADLINE: Duration = Duration::from_millis(300);

/// Long enough for an answer that shall count on a busy machine, and for one that shall not.
const AMPLE: Duration = Duration::from_secs(3);

fn impatient(kind: Kind) -> Setting {
    Setting {
        answer_deadline: DEADLINE,
        ..Setting::on(kind)
    }
}

/// 503 with a code, and nothing of what the answer would have been.
fn assert_compensated(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.body["code"], "answer_compensated");
    assert!(answer.headers.contains_key("retry-after"));
    let text = answer.body.to_string();
    for secret in ["isCorrect", "correctChoiceId", "streak", "score"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// What the player sees of itself, and what the log says of the answer's end.
async fn assert_nothing_is_kept(world: &World, player: &Player, answers: usize) {
    let books = world.books().await;
    books.agree();
    assert_eq!(
        books.answers.len(),
        answers,
        "the record that it was taken back stays"
    );
    assert!(
        books.players.is_empty() && books.entries.is_empty(),
        "{books:?}"
    );
    let stats = world.get(Part::Quiz, player, "/api/stats/me").await.body;
    assert_eq!(
        (&stats["answered"], &stats["bestStreak"]),
        (&json!(0), &json!(0))
    );
    let badges = world
        .get(Part::Achievement, player, "/api/achievements/me")
        .await
        .body;
    assert_eq!(badges, json!({ "items": [] }));
    let board = world
        .get(
            Part::Leaderboard,
            player,
            "/api/leaderboard?quizMode=classic",
        )
        .await;
    assert_eq!(
        board.body,
        json!({ "quizMode": "classic", "period": "all", "top": [], "me": null })
    );
    let events = world.events().await;
    let count = |name: &str| {
        events
            .iter()
            .filter(|event| event.event_type == name)
            .count()
    };
    assert_eq!(count("answer_submission.failed"), answers);
    assert_eq!(count("answer_submission.completed"), 0);
    assert_eq!(count("achievement.unlocked"), 0);
}

async fn an_answer_that_a_participant_refuses_counts_nowhere(kind: Kind) {
    let world = World::start(Setting::on(kind)).await;

    let ada = world.player("Ada");
    let boards = world.database(Part::Leaderboard).await;
    // Board 0 is that of all time in the mode `classic`.
    let full = "INSERT INTO standings (user_id, board, base, score, reached_at, rank_key)
                VALUES ($1, 0, $2, $2, $3, $4)";
    let now = boards.now().await.expect("a time");
    boards
        .execute(full, params![ada.id, i64::MAX, now, vec![0_u8; 32]])
        .await
        .expect("a full line");
    assert_compensated(&world.answer(&ada, 0, "a").await);

    let grace = world.player("Grace");
    let badges = world.database(Part::Achievement).await;
    let broken = "INSERT INTO players (user_id, state, answers) VALUES ($1, $2, 0)";
    badges
        .execute(broken, params![grace.id, json!({ "answered": "many" })])
        .await
        .expect("a broken player");
    assert_compensated(&world.answer(&grace, 0, "a").await);

    world.settled().await;
    let events = world.events().await;
    let count = |name: &str| {
        events
            .iter()
            .filter(|event| event.event_type == name)
            .count()
    };
    assert_eq!(count("leaderboard.update_failed"), 1);
    assert_eq!(count("achievement.check_failed"), 1);
    boards
        .execute("DELETE FROM standings", params![])
        .await
        .expect("mended");
    badges
        .execute("DELETE FROM players", params![])
        .await
        .expect("mended");
    assert_nothing_is_kept(&world, &ada, 2).await;
}

async fn an_answer_that_a_participant_does_not_follow_in_time_counts_nowhere(kind: Kind) {
    for part in PARTICIPANTS {
        let world = World::start(impatient(kind)).await;
        let ada = world.player("Ada");
        world.pause(part).await;
        let answer = world.answer(&ada, 0, "a").await;
        assert_compensated(&answer);
        let id = &answer.body["answerId"];
        // The client had its answer although the participant is still down.
        assert_eq!(world.saga(id).await["state"], "compensating");
        let stats = world.get(Part::Quiz, &ada, "/api/stats/me").await.body;
        assert_eq!(stats["answered"], 0);
        let shown = world
            .get(Part::Quiz, &ada, &format!("/api/answers/{}", text(id)))
            .await
            .body;
        assert_eq!(shown, json!({ "id": id, "status": "compensated" }));

        world.resume(part).await;
        world.saga_reaches(id, "compensated").await;
        assert_nothing_is_kept(&world, &ada, 1).await;
    }
}

async fn a_participant_that_ends_in_between_undoes_what_it_missed(kind: Kind) {
    for part in PARTICIPANTS {
        let mut world = World::start(impatient(kind)).await;
        let ada = world.player("Ada");
        world.stop(part).await;
        let answer = world.answer(&ada, 0, "a").await;
        assert_compensated(&answer);
        world.boot(part).await;
        world
            .saga_reaches(&answer.body["answerId"], "compensated")
            .await;
        assert_nothing_is_kept(&world, &ada, 1).await;
    }
}

async fn a_streak_is_not_built_on_an_answer_that_was_taken_back(kind: Kind) {
    let world = World::start(Setting {
        answer_deadline: AMPLE,
        ..Setting::on(kind)
    })
    .await;
    let ada = world.player("Ada");
    let first = world.answer(&ada, 0, "a").await;
    assert_eq!(first.body["streak"], 1);

    // The second answer is undecided while the third one comes.
    world.pause(Part::Achievement).await;
    let second = world
        .post(&ada, &body(1, "a"), &[("prefer", "respond-async")])
        .await;
    assert_eq!(second.status, 202);
    let third = world.answer(&ada, 2, "a");
    let resume = async {
        world.saga_reaches(&second.body["id"], "compensating").await;
        world.resume(Part::Achievement).await;
    };
    let (third, ()) = tokio::join!(third, resume);
    if third.status == 200 {
        assert_eq!(
            (&third.body["streak"], &third.body["score"]),
            (&json!(2), &json!(12))
        );
    } else {
        // It met the participant while it was still paused.
        assert_compensated(&third);
    }
    let fourth = eventually(PATIENCE, async || {
        let answer = world.answer(&ada, 3, "a").await;
        if answer.status == 200 {
            Ok(Some(answer.body))
        } else {
            Err(answer.body.to_string())
        }
    })
    .await;
    let books = world.books().await;
    books.agree();
    let completed = books.stats[0].answered;
    assert_eq!(
        fourth["streak"], completed,
        "only what counts makes a streak"
    );
    assert_eq!(world.saga(&second.body["id"]).await["state"], "compensated");
}

fn text(id: &Value) -> &str {
    id.as_str().expect("an id")
}
