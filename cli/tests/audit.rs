//! The audit as an operator runs it: against a system in which all agrees, and against one whose
//! database was tampered with.

use std::{path::Path, process::Command, time::Duration};

use contracts::{
    Event, Payload,
    events::{UserDeleted, UserStatsReset},
};
use database::{Database, Options, params};
use event_store::{Append, Log, LogOptions};
use serde_json::{Value, json};
use testkit::{Process, TempDir};
use uuid::Uuid;

/// A start, or an orderly end, on a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(90);

/// A `banyan up` that can be stopped and started.
struct Up {
    folder: TempDir,
    offset: u16,
    process: Process,
}

impl Up {
    async fn start() -> Self {
        let (folder, offset) = (testkit::temp_dir(), testkit::free_port_offset());
        let process = spawn(folder.path(), offset);
        let up = Self {
            folder,
            offset,
            process,
        };
        up.ready().await;
        up
    }

    async fn restart(&mut self) {
        self.process = spawn(self.folder.path(), self.offset);
        self.ready().await;
    }

    async fn ready(&self) {
        let gateway = format!("{}", 8080 + self.offset);
        self.process.line(&gateway, PATIENCE).await;
    }

    async fn stop(&mut self) {
        self.process.terminate().expect("a running system");
        self.process.exit(PATIENCE).await;
    }

    /// Exit code and standard output of `banyan audit`.
    fn audit(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_banyan"))
            .arg("audit")
            .arg("--data-dir")
            .arg(self.folder.path())
            .args(arguments)
            .output()
            .expect("the audit runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code(),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        let response = reqwest::Client::new()
            .post(format!("http://127.0.0.1:{}{path}", 8080 + self.offset))
            .bearer_auth(token)
            .json(&body)
            .send()
            .await
            .expect("the gateway answers");
        let status = response.status();
        let body = response.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Answers once, on the candidate, which has imported the questions; the answer's id and its
    /// player's.
    async fn answer(&self) -> (Uuid, Uuid) {
        let import = format!("http://127.0.0.1:{}/ops/import", 9003 + self.offset);
        let imported = reqwest::Client::new().post(import).send().await;
        assert!(imported.expect("quiz answers").status().is_success());
        let admin = format!(
            "http://127.0.0.1:{}/admin/flags/quiz-cutover",
            8081 + self.offset
        );
        let change = json!({ "percent": 100.0, "reason": "a test" });
        let changed = reqwest::Client::new()
            .patch(admin)
            .json(&change)
            .send()
            .await;
        assert!(
            changed
                .expect("the admin port answers")
                .status()
                .is_success()
        );
        let session = self.post("/api/auth/guest", "", json!({})).await;
        let token = session["accessToken"].as_str().expect("a token");
        let questions = format!("http://127.0.0.1:{}/api/questions", 8080 + self.offset);
        let page: Value = reqwest::get(questions)
            .await
            .expect("questions")
            .json()
            .await
            .expect("");
        let question = &page["items"][0];
        let body = json!({ "questionId": question["id"], "choiceId": question["choices"][0]["id"],
                           "quizMode": "classic" });
        let answer = self.post("/api/answers", token, body).await;
        let id = |value: &Value| {
            let text = value.as_str().expect("an id");
            text.parse().expect("an id")
        };
        (id(&answer["id"]), id(&session["user"]["id"]))
    }

    /// Appends an event to the log, as its service would, while the system stands still.
    async fn append<P: Payload>(&self, payload: &P) {
        let file = self.folder.path().join("log.db");
        let url = format!("sqlite:{}", file.display());
        let log = Log::open(&url, LogOptions::default())
            .await
            .expect("the log");
        let id = Uuid::now_v7();
        let event = Event {
            id,
            event_type: P::TYPE.to_owned(),
            stream: format!("test-{id}"),
            aggregate_id: String::new(),
            version: 1,
            schema_version: P::SCHEMA_VERSION,
            payload: serde_json::to_value(payload).expect("JSON"),
            timestamp: time::OffsetDateTime::now_utc(),
            correlation_id: id,
            causation_id: None,
            saga_id: None,
            step: None,
            service_id: "test".to_owned(),
            traceparent: None,
        };
        log.append(vec![Append::exact(event)])
            .await
            .expect("appended");
        log.database().close().await;
    }

    /// Changes a service's database behind its back.
    async fn tamper(&self, service: &str, sql: &'static str, id: Uuid) {
        let file = self.folder.path().join(format!("{service}.db"));
        let url = format!("sqlite:{}", file.display());
        let database = Database::connect(&url, Options::default())
            .await
            .expect("its database");
        let mut tx = database.begin().await.expect("a transaction");
        let changed = tx.execute(sql, params![id]).await.expect("a statement");
        tx.commit().await.expect("a commit");
        database.close().await;
        assert_eq!(changed, 1);
    }
}

fn spawn(folder: &Path, offset: u16) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banyan"));
    command
        .args(["up", "--port-offset", &offset.to_string(), "--data-dir"])
        .arg(folder);
    Process::spawn_command(command).expect("the system starts")
}

#[tokio::test]
async fn what_was_changed_behind_the_services_backs_is_found() {
    let mut up = Up::start().await;
    let (id, _) = up.answer().await;
    let (code, text) = up.audit(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("audit: everything agrees as of position "),
        "{text}"
    );

    up.stop().await;
    up.tamper(
        "quiz",
        "UPDATE answers SET points = points + 1 WHERE id = $1",
        id,
    )
    .await;
    up.restart().await;
    let (code, text) = up.audit(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("quiz: answer {id}: expected player ")),
        "{text}"
    );
    // Its stats are no longer the sum of its answers either.
    assert!(
        text.contains("audit: 2 DISAGREEMENTS as of position "),
        "{text}"
    );

    let (code, text) = up.audit(&["--json"]);
    assert_eq!(code, Some(1), "{text}");
    let json: Value = serde_json::from_str(text.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(json["total"], 2);
    assert_eq!(json["items"][0]["answerId"], id.to_string());
    up.stop().await;
}

#[tokio::test]
async fn it_agrees_after_a_reset_and_a_departure_and_finds_what_is_left_of_who_left() {
    let mut up = Up::start().await;
    let (_, user_id) = up.answer().await;
    let reason = "a test".to_owned();
    up.stop().await;
    up.append(&UserStatsReset { user_id, reason }).await;
    up.restart().await;
    let (code, text) = up.audit(&[]);
    assert_eq!(code, Some(0), "{text}");

    up.stop().await;
    up.append(&UserDeleted { user_id }).await;
    up.restart().await;
    let (code, text) = up.audit(&[]);
    assert_eq!(code, Some(0), "{text}");

    up.stop().await;
    up.tamper(
        "quiz",
        "INSERT INTO stats (user_id, base, own, version)
         VALUES ($1, '{}', '{\"byMode\": {\"timed\": {\"answered\": 1}}}', 0)",
        user_id,
    )
    .await;
    up.restart().await;
    let (code, text) = up.audit(&[]);
    assert_eq!(code, Some(1), "{text}");
    let found = format!("quiz: player {user_id} in timed: expected nothing of a player who was");
    assert!(text.contains(&found), "{text}");
    up.stop().await;
}

#[tokio::test]
async fn an_audit_without_a_system_says_so_and_one_of_the_future_too() {
    let folder = testkit::temp_dir();
    let file = folder.path().join("operator.toml");
    let port = testkit::free_port();
    let text = format!("[services]\nlog = \"http://127.0.0.1:{port}\"\n");
    std::fs::write(&file, text).expect("a writable folder");
    let output = Command::new(env!("CARGO_BIN_EXE_banyan"))
        .args(["audit", "--config"])
        .arg(&file)
        .output()
        .expect("the audit runs");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("nobody answers at http://127.0.0.1:"),
        "{text}"
    );

    let mut up = Up::start().await;
    let (code, text) = up.audit(&["--position", "1000000"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("there is no position 1000000 yet"), "{text}");
    up.stop().await;
}
