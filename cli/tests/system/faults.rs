//! What bad input gets.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    PATIENCE, banyan,
    embedded::Up,
    player::{Player, expect},
};

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line_that_names_the_setting() {
    // A service's, the log's, and both of the gateway's.
    for port in [9003, 9010, 8080, 8081] {
        let folder = testkit::temp_dir();
        let offset = testkit::free_port_offset();
        let port = port + offset;
        let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let begun = std::time::Instant::now();
        let output = banyan(folder.path(), &["up", "--port-offset", &offset.to_string()]).await;
        assert_eq!(output.status.code(), Some(1), "{port}");
        let text = text(&output);
        let line = text
            .lines()
            .find(|line| line.starts_with("error:"))
            .expect("an error line");
        assert!(
            line.contains(&port.to_string()) && line.contains("--port-offset"),
            "{line}"
        );
        assert!(begun.elapsed() < PATIENCE, "told at once");
    }
}

#[tokio::test]
async fn a_second_system_on_the_same_ports_never_says_that_it_is_up() {
    let up = Up::start().await;
    let folder = testkit::temp_dir();
    let second = banyan(
        folder.path(),
        &["up", "--port-offset", &up.offset.to_string()],
    )
    .await;
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stdout.is_empty(), "{}", text(&second));
    assert!(!folder.path().join(".banyan/endpoints.toml").exists());
}

#[tokio::test]
async fn an_unwritable_data_folder_is_one_clear_line_that_names_the_setting() {
    let folder = testkit::temp_dir();
    let output = banyan(folder.path(), &["up", "--data-dir", "/proc/banyan"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("--data-dir"), "{}", text(&output));
}

#[tokio::test]
async fn an_unreachable_database_is_one_clear_line_that_names_the_setting() {
    let folder = testkit::temp_dir();
    let file = folder.path().join("quiz.toml");
    let port = testkit::free_port();
    let config = format!(
        "listen = \"127.0.0.1:{}\"\ndatabase = \"postgres://nobody@127.0.0.1:{port}/quiz\"\n\
         log = \"sqlite:{}\"\n",
        testkit::free_port(),
        folder.path().join("log.db").display()
    );
    std::fs::write(&file, config).expect("a writable folder");
    let arguments = ["service", "quiz", "--config", file.to_str().expect("UTF-8")];
    let output = banyan(folder.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("`database`"), "{}", text(&output));
}

#[tokio::test]
async fn a_wrong_configuration_tells_all_its_faults_and_exits_64() {
    let folder = testkit::temp_dir();
    let service = folder.path().join("quiz.toml");
    std::fs::write(&service, "listen = \"nowhere\"\ndatabse = \"x\"\n").expect("writable");
    let gateway = folder.path().join("gateway.toml");
    let config = "listen = \"nowhere\"\n[upstreams.a]\nendpoints = [\"ftp://x\"]\n\
                  [[routes]]\nid = \"r\"\nprefix = \"nope\"\nlegacy = \"a\"\n";
    std::fs::write(&gateway, config).expect("writable");
    let path = |file: &std::path::Path| file.to_str().expect("UTF-8").to_owned();
    for (arguments, words) in [
        (
            vec!["service", "quiz", "--config", &path(&service)],
            vec!["listen", "databse"],
        ),
        (
            vec!["gateway", "--check", "--config", &path(&gateway)],
            vec!["listen", "endpoints", "prefix"],
        ),
        (
            vec!["routes", "check", &path(&gateway)],
            vec!["listen", "endpoints", "prefix"],
        ),
        (vec!["flags", "set"], vec!["--reason"]),
    ] {
        let output = banyan(folder.path(), &arguments).await;
        assert_eq!(
            output.status.code(),
            Some(64),
            "{arguments:?}: {}",
            text(&output)
        );
        for word in words {
            assert!(
                text(&output).contains(word),
                "{arguments:?}: {word}: {}",
                text(&output)
            );
        }
    }
}

/// A start, a check, and whatever else a part can be told.
#[tokio::test]
async fn values_that_can_be_read_and_are_wrong_are_told_together_whatever_the_task() {
    let folder = testkit::temp_dir();
    let quiz = "database = \"mysql://root:secret@db/quiz\"\n\
                nats = \"nats://a:secret@a:4222,nats://b:4222\"\nops_token = \"short\"\n";
    let mail = "ops_token = \"short\"\n[mail]\nsmtp = \"http://mail\"\nfrom = \"nobody\"\n";
    let auth = format!(
        "{mail}[oidc.google]\nissuer = \"nowhere\"\nclient_id = \"a\"\n\
                        client_secret = \"b\"\n"
    );
    let legacy = format!("database = \"mysql://root:secret@db/legacy\"\n{mail}");
    for (service, settings, keys) in [
        ("quiz", quiz, vec!["database", "bus", "ops_token"]),
        (
            "auth",
            &auth,
            vec!["mail.smtp", "mail.from", "oidc", "ops_token"],
        ),
        (
            "legacy",
            &legacy,
            vec!["database", "mail.smtp", "mail.from", "ops_token"],
        ),
    ] {
        let file = folder.path().join(format!("{service}.toml"));
        std::fs::write(&file, settings).expect("a writable folder");
        let start = [
            "service",
            service,
            "--config",
            file.to_str().expect("UTF-8"),
        ];
        let tasks: [&[&str]; 4] = [&[], &["--check"], &["--migrate-only"], &["--probe"]];
        for task in tasks {
            let arguments = [&start, task].concat();
            let output = banyan(folder.path(), &arguments).await;
            let said = text(&output);
            assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
            for key in &keys {
                let told = format!("- {key}");
                assert!(said.contains(&told), "{arguments:?}: {key}: {said}");
            }
            assert!(!said.contains("secret@"), "{said}");
        }
    }
}

#[tokio::test]
async fn bad_requests_get_a_problem_with_a_code_on_both_sides() {
    let up = Up::start().await;
    let player = Player::register(&up.gateway(), "Edsger").await;
    for round in ["legacy", "candidate"] {
        let question = &player.questions().await[0];
        let good = json!({ "questionId": question.id, "choiceId": question.choices[0].id,
                           "quizMode": "classic" });
        let with = |name: &str, value: Value| {
            let mut body = good.clone();
            body[name] = value;
            body
        };
        let unknown = json!("018f0000-0000-7000-8000-000000000000");
        for (body, status, field) in [
            (
                with("questionId", json!("no-uuid")),
                422,
                Some("questionId"),
            ),
            (with("quizMode", json!("blitz")), 422, Some("quizMode")),
            (with("choiceId", json!("zzz")), 422, Some("choiceId")),
            (with("questionId", unknown), 404, None),
            (json!({}), 422, Some("questionId")),
        ] {
            let response = player.call(Method::POST, "/api/answers", Some(&body)).await;
            let status = StatusCode::from_u16(status).expect("a status");
            let kind = response.headers()[header::CONTENT_TYPE].clone();
            assert_eq!(kind, "application/problem+json", "{round}");
            let problem: Value = expect(response, status).await;
            assert!(
                problem["code"].is_string() && problem["traceId"].is_string(),
                "{problem}"
            );
            if let Some(field) = field {
                assert_eq!(problem["field"], field, "{round}: {problem}");
            }
        }
        up.move_everything().await;
    }
}

#[tokio::test]
async fn no_token_is_401_and_a_players_token_is_403_where_admins_work() {
    let up = Up::start().await;
    let player = Player::register(&up.gateway(), "Barbara").await;
    let bare = reqwest::get(format!("{}/api/admin/questions", up.gateway())).await;
    assert_eq!(bare.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    let forbidden = player.call(Method::GET, "/api/admin/questions", None).await;
    assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);
    let forged = reqwest::Client::new()
        .get(format!("{}/api/stats/me", up.gateway()))
        .bearer_auth(format!("{}x", player.session.access_token))
        .send()
        .await;
    assert_eq!(
        forged.expect("an answer").status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn the_same_key_gets_the_first_result_and_another_body_422() {
    let up = Up::start().await;
    let player = Player::register(&up.gateway(), "Alan").await;
    for round in ["legacy", "candidate"] {
        let questions = player.questions().await;
        let first: Value = expect(
            player.answer(&questions[0], round).await.expect("sent"),
            StatusCode::OK,
        )
        .await;
        let again: Value = expect(
            player.answer(&questions[0], round).await.expect("sent"),
            StatusCode::OK,
        )
        .await;
        assert_eq!(first["id"], again["id"], "{round}");
        let other = player.answer(&questions[1], round).await.expect("sent");
        assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY, "{round}");
        up.move_everything().await;
    }
}
