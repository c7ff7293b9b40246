//! Answers over HTTP, and what they count for at once.

use admin::domain::Question;
use contracts::QuizMode;
use quiz::domain::{Asked, Stats};
use serde_json::{Value, json};
use testkit::Backend;

use crate::app::{Legacy, bank, choice};

testkit::both_databases!(
    a_game_counts_in_stats_badges_and_leaderboard_at_once,
    the_leaderboard_shows_six_and_the_callers_own_line,
    one_key_means_one_answer,
    answers_belong_to_their_players,
    bad_answers_are_refused_and_count_nowhere,
);

/// The stats that the rules give for this game.
fn expected(game: &[(Question, QuizMode, bool)]) -> Value {
    let stats = game
        .iter()
        .fold(Stats::default(), |stats, (question, mode, is_right)| {
            let asked = Asked {
                question_id: question.id,
                category: question.category.clone(),
                difficulty: question.difficulty,
                choice_ids: vec!["right".to_owned(), "wrong".to_owned()],
                correct_choice_id: "right".to_owned(),
            };
            let choice = if *is_right { "right" } else { "wrong" };
            quiz::domain::answer(&stats, &asked, choice, *mode)
                .expect("a choice")
                .stats
        });
    serde_json::to_value(stats.to_body()).expect("JSON")
}

async fn a_game_counts_in_stats_badges_and_leaderboard_at_once(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, token) = (&legacy.http, legacy.player("ada").await);
    let zero = http.get("/api/stats/me", Some(&token)).await;
    assert_eq!(zero.body, expected(&[]));

    let script = [true, true, false, true, true, true];
    let modes = [QuizMode::Classic, QuizMode::Timed, QuizMode::Classic];
    let modes = modes.into_iter().cycle();
    let game: Vec<(Question, QuizMode, bool)> = bank()
        .into_iter()
        .zip(modes)
        .zip(script)
        .map(|((q, m), right)| (q, m, right))
        .collect();
    let (mut badges, mut scores) = (Vec::new(), [0, 0]);
    for (number, (question, mode, is_right)) in game.iter().enumerate() {
        let body = choice(question, mode.as_str(), *is_right);
        let told = http.answer(&token, None, body).await;
        assert_eq!(
            (told.status, &told.body["status"]),
            (200, &json!("completed"))
        );
        assert_eq!(told.body["isCorrect"], *is_right);
        assert_eq!(told.body["correctChoiceId"], question.correct_choice_id);
        let board = usize::from(*mode == QuizMode::Timed);
        scores[board] += told.body["score"].as_i64().expect("points");
        let standing = json!({ "quizMode": mode, "score": scores[board], "position": 1 });
        assert_eq!(told.body["leaderboard"], standing);
        let so_far = http.get("/api/stats/me", Some(&token)).await;
        assert_eq!(so_far.body, expected(&game[..=number]));
        assert_eq!(so_far.body["streak"], told.body["streak"]);
        let shown = http
            .get(&format!("/api/answers/{}", told.text("/id")), Some(&token))
            .await;
        assert_eq!(shown, told);
        let earned = told.body["achievements"].as_array().expect("badges");
        badges.extend(earned.iter().map(|badge| badge["id"].clone()));
    }
    assert_eq!(badges[..2], [json!("first-answer"), json!("first-correct")]);
    let held = http.get("/api/achievements/me", Some(&token)).await;
    let mut held: Vec<String> = held.body["items"]
        .as_array()
        .expect("badges")
        .iter()
        .map(|badge| badge["id"].to_string())
        .collect();
    let mut badges: Vec<String> = badges.iter().map(Value::to_string).collect();
    held.sort_unstable();
    badges.sort_unstable();
    assert_eq!(held, badges);
    let board = http
        .get("/api/leaderboard?quizMode=timed", Some(&token))
        .await;
    assert_eq!(board.body["me"]["score"], scores[1]);
    assert_eq!(board.body["top"][0], board.body["me"]);
}

async fn the_leaderboard_shows_six_and_the_callers_own_line(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let bank = bank();
    let question = bank
        .iter()
        .find(|q| q.difficulty.as_str() == "easy")
        .expect("an easy one");
    let mut last = String::new();
    for number in 1..=8 {
        last = legacy.player(&format!("player{number}")).await;
        let body = choice(question, "classic", number != 8);
        assert_eq!(legacy.http.answer(&last, None, body).await.status, 200);
    }
    let board = legacy
        .http
        .get("/api/leaderboard?quizMode=classic", Some(&last))
        .await;
    let top = board.body["top"].as_array().expect("a list");
    let names: Vec<&str> = top
        .iter()
        .filter_map(|line| line["displayName"].as_str())
        .collect();
    let first_come = [
        "player1", "player2", "player3", "player4", "player5", "player6",
    ];
    assert_eq!(
        names, first_come,
        "of equal scores the earlier one stands above"
    );
    assert_eq!(
        (&board.body["me"]["position"], &board.body["me"]["score"]),
        (&json!(8), &json!(0))
    );
    let anonymous = legacy
        .http
        .get("/api/leaderboard?quizMode=classic", None)
        .await;
    assert_eq!(
        (anonymous.status, &anonymous.body["me"]),
        (200, &Value::Null)
    );
    let empty = legacy
        .http
        .get("/api/leaderboard?quizMode=survival", None)
        .await;
    assert_eq!(empty.body["top"], json!([]));
    let wrong = legacy
        .http
        .get("/api/leaderboard?quizMode=chess", None)
        .await;
    assert_eq!(wrong.problem(), (400, "invalid_query", "quizMode"));
}

async fn one_key_means_one_answer(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, token, bank) = (&legacy.http, legacy.player("ada").await, bank());
    let body = choice(&bank[0], "classic", true);
    let first = http.answer(&token, Some("key-1"), body.clone()).await;
    let again = http.answer(&token, Some("key-1"), body.clone()).await;
    assert_eq!((first.status, &first), (200, &again));
    let other = choice(&bank[1], "classic", true);
    let reused = http.answer(&token, Some("key-1"), other.clone()).await;
    assert_eq!(
        reused.problem(),
        (422, "idempotency_key_reused", "Idempotency-Key")
    );
    let raced = [(); 6].map(|()| http.answer(&token, Some("key-2"), other.clone()));
    let [a, b, c, d, e, f] = raced;
    let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
    for reply in [&b, &c, &d, &e, &f] {
        assert_eq!(reply, &a);
    }
    let stranger = legacy.player("eve").await;
    let hers = http.answer(&stranger, Some("key-1"), body.clone()).await;
    assert_ne!(
        hers.text("/id"),
        first.text("/id"),
        "keys belong to their user"
    );
    let stats = http.get("/api/stats/me", Some(&token)).await;
    assert_eq!(stats.body["answered"], 2);
    let endless = "k".repeat(256);
    let unusable = http.answer(&token, Some(&endless), body).await;
    assert_eq!(
        unusable.problem(),
        (400, "idempotency_key_invalid", "Idempotency-Key")
    );
}

async fn answers_belong_to_their_players(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (ada, eve) = (legacy.player("ada").await, legacy.player("eve").await);
    let told = legacy
        .http
        .answer(&ada, None, choice(&bank()[0], "classic", true))
        .await;
    let path = format!("/api/answers/{}", told.text("/id"));
    let foreign = legacy.http.get(&path, Some(&eve)).await;
    assert_eq!(foreign.problem(), (404, "answer_not_found", ""));
    assert_eq!(
        legacy.http.get(&path, None).await.problem(),
        (401, "unauthenticated", "")
    );
}

async fn bad_answers_are_refused_and_count_nowhere(backend: Backend) {
    let legacy = Legacy::start(backend).await;
    let (http, token) = (&legacy.http, legacy.player("ada").await);
    let good = choice(&bank()[0], "classic", true);
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let unknown = json!("0192f0c1-0000-7000-8000-000000000000");
    for (body, problem) in [
        (
            with("questionId", unknown),
            (404, "question_not_found", "questionId"),
        ),
        (
            with("questionId", json!("seven")),
            (422, "invalid_field", "questionId"),
        ),
        (
            with("choiceId", json!("z")),
            (422, "unknown_choice", "choiceId"),
        ),
        (
            with("quizMode", json!("chess")),
            (422, "invalid_field", "quizMode"),
        ),
        (with("score", json!(1000)), (422, "invalid_field", "score")),
        (json!({}), (422, "invalid_field", "questionId")),
        (json!([]), (422, "invalid_field", "")),
    ] {
        let reply = http.answer(&token, None, body.clone()).await;
        let (status, code, field) = reply.problem();
        assert_eq!((status, code), (problem.0, problem.1), "{body}");
        assert!(
            problem.2.is_empty() || field == problem.2,
            "{body}: {reply:?}"
        );
    }
    assert_eq!(
        http.answer("nonsense", None, good).await.problem(),
        (401, "unauthenticated", "")
    );
    assert_eq!(
        http.get("/api/stats/me", Some(&token)).await.body["answered"],
        0
    );
}
