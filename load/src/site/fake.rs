//! A site on which everybody's first session has run out, and only the next one is taken.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::{get, post, put},
};
use contracts::http::Session;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use uuid::Uuid;

use super::Site;

/// The site, while this is held.
pub(crate) struct Fake {
    pub(crate) site: Site,
    server: JoinHandle<()>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let router = Router::new()
            .route("/api/auth/refresh", post(refresh))
            .route("/api/answers", post(answer))
            .route("/api/admin/questions", get(curate))
            .route("/api/admin/questions/{id}", put(curate))
            .with_state(Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        let site = Site::new(&format!("http://{address}")).expect("a client");
        Self { site, server }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The session that has run out.
pub(crate) fn first(user_id: Uuid) -> Session {
    session("first", user_id, 0)
}

/// The one that it is renewed to.
pub(crate) fn next(user_id: Uuid) -> Session {
    session("next", user_id, 900)
}

fn session(name: &str, user_id: Uuid, expires_in: i64) -> Session {
    let session = json!({ "accessToken": name, "refreshToken": name, "tokenType": "Bearer",
                          "expiresIn": expires_in,
                          "user": { "id": user_id, "displayName": "Ada", "roles": ["user"] } });
    serde_json::from_value(session).expect("a session")
}

/// A refresh token is good once.
async fn refresh(
    State(used): State<Arc<AtomicBool>>,
    Json(body): Json<Value>,
) -> Result<Json<Session>, StatusCode> {
    let is_good = body["refreshToken"] == "first" && !used.swap(true, Ordering::Relaxed);
    let session = is_good.then(|| Json(next(Uuid::nil())));
    session.ok_or(StatusCode::UNAUTHORIZED)
}

async fn answer(headers: HeaderMap, Json(body): Json<Value>) -> Result<Json<Value>, StatusCode> {
    admit(&headers)?;
    Ok(Json(json!({
        "id": Uuid::from_u128(7), "questionId": body["questionId"], "isCorrect": true,
        "correctChoiceId": "a", "streak": 1, "score": 10, "status": "completed",
        "achievements": [], "leaderboard": null,
    })))
}

async fn curate(headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    admit(&headers)?;
    Ok(Json(json!({})))
}

fn admit(headers: &HeaderMap) -> Result<(), StatusCode> {
    let is_next = headers[AUTHORIZATION] == "Bearer next";
    is_next.then_some(()).ok_or(StatusCode::UNAUTHORIZED)
}
