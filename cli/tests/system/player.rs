//! A player: a client of the public API, through the gateway or straight at a side.

use contracts::http::{Question, QuestionPage, Session};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// Somebody with a token.
pub(crate) struct Player {
    http: reqwest::Client,
    base: String,
    /// The session of the last login.
    pub(crate) session: Session,
    /// What this player logs in with.
    pub(crate) email: String,
}

const PASSWORD: &str = "correct horse battery";

impl Player {
    /// Registers somebody new.
    pub(crate) async fn register(base: &str, name: &str) -> Self {
        let email = format!("{}@example.org", Uuid::now_v7().simple());
        let body = json!({ "email": email, "password": PASSWORD, "displayName": name });
        Self::begin(base, "register", &body, StatusCode::CREATED).await
    }

    /// Somebody without an account.
    pub(crate) async fn guest(base: &str) -> Self {
        Self::begin(base, "guest", &json!({}), StatusCode::CREATED).await
    }

    /// The administrator that `up` made.
    pub(crate) async fn curator(base: &str, password: &str) -> Self {
        let body = json!({ "email": "admin@node-learn.example", "password": password });
        Self::begin(base, "login", &body, StatusCode::OK).await
    }

    async fn begin(base: &str, how: &str, body: &Value, expected: StatusCode) -> Self {
        let http = reqwest::Client::new();
        let url = format!("{base}/api/auth/{how}");
        let response = http.post(url).json(body).send().await;
        let session = expect(response.expect("the gateway answers"), expected).await;
        let email = body["email"].as_str().unwrap_or_default().to_owned();
        Self {
            http,
            base: base.to_owned(),
            session,
            email,
        }
    }

    /// A guest becomes a user.
    pub(crate) async fn upgrade(&mut self, name: &str) {
        self.email = format!("{}@example.org", Uuid::now_v7().simple());
        let body = json!({ "email": self.email, "password": PASSWORD, "displayName": name });
        let path = "/api/auth/upgrade";
        let response = self.call(Method::POST, path, Some(&body)).await;
        self.session = expect(response, StatusCode::OK).await;
    }

    /// Leaves for good.
    pub(crate) async fn delete_account(&self) {
        let body = json!({ "password": PASSWORD });
        let path = "/api/auth/profile";
        let response = self.call(Method::DELETE, path, Some(&body)).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }

    /// Logs in again, wherever accounts are served now.
    pub(crate) async fn login(&mut self) {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let url = format!("{}/api/auth/login", self.base);
        let response = self
            .http
            .post(url)
            .json(&body)
            .send()
            .await
            .expect("an answer");
        self.session = expect(response, StatusCode::OK).await;
    }

    /// The user's id.
    pub(crate) fn id(&self) -> Uuid {
        self.session.user.id
    }

    /// One request in this player's name.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        self.send(method, path, body, None)
            .await
            .expect("the gateway answers")
    }

    /// Answers a question; a lost connection is an error of the client library.
    pub(crate) async fn answer(&self, question: &Question, key: &str) -> reqwest::Result<Response> {
        let body = json!({
            "questionId": question.id, "choiceId": question.choices[0].id, "quizMode": "classic",
        });
        self.send(Method::POST, "/api/answers", Some(&body), Some(key))
            .await
    }

    /// Some questions.
    pub(crate) async fn questions(&self) -> Vec<Question> {
        let response = self
            .call(Method::GET, "/api/questions?limit=20", None)
            .await;
        expect::<QuestionPage>(response, StatusCode::OK).await.items
    }

    /// A JSON document that is there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        expect(self.call(Method::GET, path, None).await, StatusCode::OK).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> reqwest::Result<Response> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.session.access_token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.send().await
    }
}

/// The body, when the status is the expected one.
pub(crate) async fn expect<T: serde::de::DeserializeOwned>(
    response: Response,
    status: StatusCode,
) -> T {
    let (given, url) = (response.status(), response.url().clone());
    let text = response.text().await.expect("a whole body");
    assert_eq!(given, status, "{url}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
}
