use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use super::*;

const ID: &str = "00000000-0000-0000-0000-0000000000aa";

fn reply(status: u16, body: Value) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).unwrap(),
        side: Some(Side::Candidate),
        body,
    }
}

fn completed() -> Value {
    json!({ "id": ID, "questionId": Uuid::nil(), "isCorrect": true, "correctChoiceId": "a",
            "streak": 1, "score": 10, "status": "completed", "achievements": [],
            "leaderboard": null })
}

#[test]
fn only_a_definite_word_ends_the_asking() {
    let code = |code: &str| json!({ "code": code });
    assert!(matches!(
        judge(&reply(200, completed())),
        Verdict::Accepted(_)
    ));
    let taken_back = json!({ "code": "answer_compensated", "answerId": ID });
    assert_eq!(
        judge(&reply(503, taken_back)),
        Verdict::Compensated(ID.parse().ok())
    );
    assert_eq!(
        judge(&reply(202, json!({ "id": ID }))),
        Verdict::Pending(ID.parse().ok())
    );
    assert_eq!(judge(&reply(401, code("unauthenticated"))), Verdict::LogIn);
    let refused = Verdict::Refused("HTTP 404 question_not_found".into());
    assert_eq!(judge(&reply(404, code("question_not_found"))), refused);
    let again = [
        (409, "answer_in_progress"),
        (429, "too_many_requests"),
        (500, "internal_error"),
        (502, ""),
        (503, "dependency_unavailable"),
        (504, ""),
    ];
    for (status, text) in again {
        assert!(
            matches!(judge(&reply(status, code(text))), Verdict::Again(_)),
            "{status} {text}"
        );
    }
}

#[test]
fn a_pending_answer_is_not_definite() {
    assert_eq!(
        status_of(&reply(200, json!({ "id": ID, "status": "pending" }))),
        None
    );
    assert_eq!(status_of(&reply(404, Value::Null)), None);
    let compensated = json!({ "id": ID, "status": "compensated" });
    assert_eq!(
        status_of(&reply(200, compensated)),
        Some(Verdict::Compensated(ID.parse().ok()))
    );
}

/// Answers `POST /api/answers` with what was prepared, in order, and notes the keys.
#[derive(Default)]
struct Fake {
    replies: Vec<(u16, Value)>,
    asked: AtomicUsize,
    keys: Mutex<Vec<String>>,
}

async fn submit(State(fake): State<Arc<Fake>>, headers: HeaderMap) -> Response {
    let key = headers["idempotency-key"]
        .to_str()
        .unwrap_or_default()
        .to_owned();
    fake.keys
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(key);
    let number = fake.asked.fetch_add(1, Ordering::Relaxed);
    let (status, body) = fake.replies[number].clone();
    let status = axum::http::StatusCode::from_u16(status).unwrap_or_default();
    (status, [("x-banyan-upstream", "quiz")], body.to_string()).into_response()
}

async fn ask(replies: Vec<(u16, Value)>, shown: Value) -> (Told, Vec<String>) {
    let fake = Arc::new(Fake {
        replies,
        ..Fake::default()
    });
    let router = Router::new()
        .route("/api/answers", post(submit))
        .route(
            "/api/answers/{id}",
            get(move || async move { shown.to_string() }),
        )
        .with_state(Arc::clone(&fake));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("its address");
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let site = Site::new(&format!("http://{address}"), Arc::default()).expect("a client");
    let attempt = Attempt {
        key: Uuid::from_u128(7),
        user_id: Uuid::nil(),
        question_id: Uuid::nil(),
        choice_id: "a".into(),
        quiz_mode: QuizMode::Classic,
    };
    let who = Credentials {
        email: String::new(),
        password: String::new(),
    };
    let told = site
        .answer(&attempt, &who, &mut String::new(), &Shutdown::new())
        .await;
    server.abort();
    let keys = fake
        .keys
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clone();
    (told, keys)
}

#[tokio::test]
async fn trouble_is_answered_with_the_same_key_until_the_outcome_is_known() {
    let busy = json!({ "code": "answer_in_progress" });
    let replies = vec![(502, Value::Null), (409, busy), (200, completed())];
    let (told, keys) = ask(replies, Value::Null).await;
    assert_eq!(
        (told.outcome, told.side, told.attempts),
        (Outcome::Accepted, Side::Candidate, 3)
    );
    assert_eq!((told.points, told.is_correct), (Some(10), Some(true)));
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[tokio::test]
async fn an_undecided_answer_is_asked_for_by_its_id() {
    let (told, keys) = ask(vec![(202, json!({ "id": ID }))], completed()).await;
    assert_eq!(
        (told.outcome, told.answer_id),
        (Outcome::Accepted, ID.parse().ok())
    );
    assert_eq!(keys.len(), 1);
}

#[tokio::test]
async fn a_compensated_answer_is_not_sent_again() {
    let taken_back = json!({ "code": "answer_compensated", "answerId": ID });
    let (told, keys) = ask(vec![(503, taken_back)], Value::Null).await;
    assert_eq!((told.outcome, keys.len()), (Outcome::Compensated, 1));
}
