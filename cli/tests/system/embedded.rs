//! `banyan up`.

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use testkit::{Process, TempDir};

use crate::{
    BANYAN, PATIENCE, banyan,
    player::{Player, expect},
    verb,
};

/// A running `up` in a folder of its own.
pub(crate) struct Up {
    pub(crate) process: Process,
    pub(crate) folder: TempDir,
    pub(crate) offset: u16,
}

impl Up {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with these variables in its environment.
    pub(crate) async fn start_with(environment: &[(&str, &str)]) -> Self {
        let (folder, offset) = (testkit::temp_dir(), testkit::free_port_offset());
        let process = Self::spawn(folder.path(), offset, environment).await;
        Self {
            process,
            folder,
            offset,
        }
    }

    /// Kills it (SIGKILL) and starts it again on what it left.
    pub(crate) async fn crash_and_restart(&mut self) {
        self.process.kill().expect("it was running");
        self.process = Self::spawn(self.folder.path(), self.offset, &[]).await;
    }

    async fn spawn(folder: &Path, offset: u16, environment: &[(&str, &str)]) -> Process {
        let mut command = std::process::Command::new(BANYAN);
        command
            .args(["up", "--port-offset", &offset.to_string()])
            .envs(environment.iter().copied())
            .current_dir(folder);
        let process = Process::spawn_command(command).expect("banyan starts");
        process.line("Banyan is up", PATIENCE).await;
        process
    }

    pub(crate) fn gateway(&self) -> String {
        format!("http://127.0.0.1:{}", 8080 + self.offset)
    }

    /// What the administrator that it made logs in with.
    pub(crate) fn administrators_password(&self) -> String {
        let file = self.folder.path().join(".banyan/administrator.password");
        let text = std::fs::read_to_string(file).expect("the administrator's password");
        text.trim().to_owned()
    }

    pub(crate) async fn verb(&self, arguments: &[&str]) -> Value {
        verb(self.folder.path(), arguments).await
    }

    /// Moves both capabilities to the candidate, data first.
    pub(crate) async fn move_everything(&self) {
        self.verb(&["sync", "backfill"]).await;
        for flag in ["auth-cutover", "quiz-cutover"] {
            self.verb(&["flags", "set", flag, "--percent", "100", "--reason", "test"])
                .await;
        }
    }
}

#[tokio::test]
async fn the_first_request_and_the_next_command_of_the_banner_work_as_printed() {
    let up = Up::start().await;
    let output = up.process.output();
    let after = |word: &str| {
        let line = output.iter().find(|line| line.starts_with(word));
        let line = line.unwrap_or_else(|| panic!("no {word} line in {output:?}"));
        line.trim_start_matches(word).trim().to_owned()
    };
    for line in [after("Try"), after("Move"), after("Back")] {
        let shell = tokio::process::Command::new("sh")
            .args(["-ec", &line])
            .current_dir(up.folder.path())
            .output()
            .await
            .expect("sh starts");
        let text = String::from_utf8_lossy(&shell.stdout).into_owned();
        assert!(shell.status.success(), "{line}: {text}");
        assert!(!text.trim().is_empty(), "{line}");
    }
}

#[tokio::test]
async fn traffic_moves_by_flag_and_comes_back_and_answers_count_on_the_side_that_took_them() {
    let up = Up::start().await;
    let mut player = Player::register(&up.gateway(), "Ada").await;
    let questions = player.questions().await;
    let side = |response: &reqwest::Response| {
        response.headers()["x-banyan-upstream"]
            .to_str()
            .expect("ASCII")
            .to_owned()
    };

    let on_legacy = player
        .answer(&questions[0], "first")
        .await
        .expect("an answer");
    assert_eq!(side(&on_legacy), "legacy");
    let _: Value = expect(on_legacy, StatusCode::OK).await;

    up.move_everything().await;
    player.login().await;
    let moved = player
        .answer(&questions[1], "second")
        .await
        .expect("an answer");
    assert_eq!(side(&moved), "quiz");
    let body: Value = expect(moved, StatusCode::OK).await;
    assert_eq!(body["status"], "completed");
    assert_eq!(body["leaderboard"]["quizMode"], "classic");

    // What was answered on legacy came along with the import.
    assert_eq!(player.get("/api/stats/me").await["answered"], 2);
    let board = player.get("/api/leaderboard?quizMode=classic").await;
    assert_eq!(board["me"]["userId"], player.id().to_string());

    let rolled = ["flags", "rollback", "quiz-cutover", "--reason", "test"];
    assert_eq!(up.verb(&rolled).await["killed"], true);
    let back = player.call(Method::GET, "/api/stats/me", None).await;
    assert_eq!(side(&back), "legacy");
    let history = up.verb(&["flags", "history", "quiz-cutover"]).await;
    let actors: Vec<_> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|change| change["actor"].as_str().expect("an actor"))
        .collect();
    assert!(actors.contains(&"tester"), "{history}");
    up.verb(&["audit"]).await;
}

#[tokio::test]
async fn a_kill_in_the_middle_loses_nothing_that_a_client_was_told() {
    let mut up = Up::start().await;
    let players = {
        let mut players = Vec::new();
        for number in 0..8 {
            players.push(Player::register(&up.gateway(), &format!("P{number}")).await);
        }
        players
    };
    up.move_everything().await;
    let questions = players[0].questions().await;

    // Every player has an answer under way when the process is killed.
    let gateway = up.gateway();
    let under_way = players.into_iter().enumerate().map(|(number, player)| {
        let question = questions[number].clone();
        tokio::spawn(async move {
            let answer = player.answer(&question, "the-key").await;
            let told = answer.ok().map(|response| response.status());
            (player, question, told)
        })
    });
    let under_way: Vec<_> = under_way.collect();
    up.crash_and_restart().await;
    assert_eq!(gateway, up.gateway());

    for task in under_way {
        let (player, question, _told) = task.await.expect("the player does not panic");
        // Repeated with its key, the answer has one definite outcome and is counted at most once.
        let again = testkit::eventually(PATIENCE, || async {
            let response = player.answer(&question, "the-key").await.ok()?;
            let definite = match response.status() {
                StatusCode::OK => true,
                StatusCode::SERVICE_UNAVAILABLE => {
                    let problem: Value = response.json().await.ok()?;
                    return (problem["code"] == "answer_compensated").then_some(false);
                }
                _ => false,
            };
            definite.then_some(true)
        })
        .await;
        let answered = player.get("/api/stats/me").await["answered"].clone();
        assert_eq!(answered, i32::from(again), "accepted: {again}");
    }
    up.verb(&["audit"]).await;
}

#[tokio::test]
async fn a_key_stays_with_its_side_over_a_kill_and_a_rollback() {
    let mut up = Up::start().await;
    let player = Player::register(&up.gateway(), "Leslie").await;
    up.move_everything().await;
    let question = &player.questions().await[0];
    let first = player.answer(question, "k").await.expect("an answer");
    let first: Value = expect(first, StatusCode::OK).await;
    up.crash_and_restart().await;
    up.verb(&["flags", "rollback", "quiz-cutover", "--reason", "test"])
        .await;
    let again = player.answer(question, "k").await.expect("an answer");
    assert_eq!(again.headers()["x-banyan-upstream"], "quiz");
    let again: Value = expect(again, StatusCode::OK).await;
    assert_eq!(again["id"], first["id"]);
    let other = player.answer(question, "another").await.expect("an answer");
    assert_eq!(other.headers()["x-banyan-upstream"], "legacy");
    up.verb(&["audit"]).await;
}

#[tokio::test]
async fn a_stopped_participant_costs_a_clean_503_and_leaves_nothing_behind() {
    let up = Up::start().await;
    let player = Player::register(&up.gateway(), "Grace").await;
    up.move_everything().await;
    let questions = player.questions().await;
    let consumers = up.verb(&["consumers", "list"]).await;
    let names: Vec<String> = consumers["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|consumer| consumer["service"] == "leaderboard")
        .map(|consumer| consumer["name"].as_str().expect("a name").to_owned())
        .collect();
    assert!(!names.is_empty());
    for name in &names {
        up.verb(&["consumers", "pause", "leaderboard", name]).await;
    }
    let refused = player.answer(&questions[0], "k1").await.expect("an answer");
    let problem: Value = expect(refused, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem["code"], "answer_compensated");
    assert!(problem.get("isCorrect").is_none());
    assert_eq!(player.get("/api/stats/me").await["answered"], 0);

    for name in &names {
        up.verb(&["consumers", "resume", "leaderboard", name]).await;
    }
    let again = player.answer(&questions[0], "k1").await.expect("an answer");
    let problem: Value = expect(again, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(
        problem["code"], "answer_compensated",
        "a compensated key stays compensated"
    );
    let fresh = player.answer(&questions[0], "k2").await.expect("an answer");
    let _: Value = expect(fresh, StatusCode::OK).await;
    assert_eq!(player.get("/api/stats/me").await["answered"], 1);
    up.verb(&["audit"]).await;
}

#[tokio::test]
async fn ctrl_c_stops_it_cleanly_and_a_second_up_on_the_same_folder_is_refused() {
    let mut up = Up::start().await;
    let offset = testkit::free_port_offset().to_string();
    let second = banyan(up.folder.path(), &["up", "--port-offset", &offset]).await;
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains("--data-dir"), "{text}");
    up.process.interrupt().expect("it runs");
    assert_eq!(up.process.exit(PATIENCE).await.code(), Some(0));
}
