//! The contracts of the events: what is committed under `docs/events` is what the types and the
//! running services say; what services really write fits it, and every consumer takes it.

mod documents;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use contracts::{
    Event, Recorded,
    events::{CATALOGUE, Contract, OUTSIDE, contract},
    http::Question,
    schema,
};
use event_store::{Append, Log, LogOptions, ReadQuery};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use self::documents::{DOCS, SERVICES, committed, documents, files, write};
use crate::{
    PATIENCE, banyan,
    embedded::Up,
    player::{Player, expect},
};

/// `cargo xtask contracts` names a folder here, for what the types give.
const INTO: &str = "BANYAN_EVENT_CONTRACTS";

#[tokio::test]
async fn the_committed_contracts_are_what_the_types_and_the_services_say() {
    let up = Up::start().await;
    let files = files(&documents(&up).await);
    if let Some(folder) = env::var_os(INTO) {
        write(Path::new(&folder), &files);
        return;
    }
    let stale: Vec<_> = files
        .iter()
        .filter(|(path, text)| {
            fs::read_to_string(Path::new(DOCS).join(path)).ok().as_ref() != Some(*text)
        })
        .map(|(path, _)| path.as_str())
        .collect();
    assert!(
        stale.is_empty(),
        "docs/events is not what the types give; `cargo xtask contracts` renews it: {stale:?}"
    );
    // Schemas of former versions stay; anything else there is nobody's.
    for path in committed() {
        let is_former = path
            .strip_prefix("schemas/")
            .and_then(|file| file.rsplit_once(".v"));
        let is_former = is_former.is_some_and(|(name, _)| contract(name).is_some());
        assert!(
            files.contains_key(&path) || is_former,
            "docs/events/{path} belongs to nothing"
        );
    }
}

#[tokio::test]
async fn what_services_really_send_fits_its_schema_and_every_consumer_takes_every_example() {
    let up = Up::start().await;
    up.move_everything().await;
    for flag in ["curation-reads", "curation-writes", "maintenance-cutover"] {
        let set = ["flags", "set", flag, "--percent", "100", "--reason", "test"];
        up.verb(&set).await;
    }
    let log = up.folder.path().join(".banyan/log.db");
    let log = Log::open(&format!("sqlite:{}", log.display()), LogOptions::default())
        .await
        .expect("the log");
    live(&up).await;
    let real = log.head().await.expect("a head").position;
    let given = give_examples(&log).await;
    caught_up(&up, &log).await;
    let parked = up.verb(&["dlq", "list"]).await;
    assert_eq!(
        parked["items"],
        json!([]),
        "a consumer does not take an example"
    );

    // What replies to examples is real too.
    let events = everything(&log).await;
    let sent: Vec<_> = events
        .iter()
        .filter(|event| !given.contains(&event.event.id))
        .collect();
    let mut pairs = BTreeSet::new();
    for recorded in &sent {
        let event = &recorded.event;
        pairs.insert((event.event_type.as_str(), event.service_id.as_str()));
    }
    let declared: BTreeSet<_> = CATALOGUE
        .iter()
        .flat_map(|contract| {
            contract
                .senders
                .iter()
                .map(|sender| (contract.event_type, *sender))
        })
        .filter(|(_, sender)| *sender != OUTSIDE)
        .collect();
    let undeclared: Vec<_> = pairs.difference(&declared).collect();
    assert!(
        undeclared.is_empty(),
        "sent, but not declared: {undeclared:?}"
    );
    let unsent: Vec<_> = declared.difference(&pairs).collect();
    assert!(
        unsent.is_empty(),
        "declared, but not sent in a whole run: {unsent:?}"
    );
    assert!(real > 0 && sent.len() > CATALOGUE.len());
    assert_fit(&events).await;
}

#[tokio::test]
async fn a_consumer_listens_to_nothing_that_nobody_sends() {
    let up = Up::start().await;
    for (service, document) in documents(&up).await {
        let operations = document["operations"].as_object().expect("operations");
        for id in operations.keys().filter(|id| id.starts_with("receive.")) {
            let channel = &operations[id]["channel"]["$ref"];
            let event_type = channel
                .as_str()
                .and_then(|path| path.strip_prefix("#/channels/"));
            let contract = contract(event_type.expect("a channel"));
            let senders = contract.map(|contract| contract.senders);
            assert!(
                senders.is_some_and(|senders| !senders.is_empty()),
                "{service}: {id}"
            );
        }
    }
    // What a consumer wants is in the catalogue: a document lists the catalogue's types alone.
    let list = up.verb(&["consumers", "list"]).await;
    for consumer in list["items"].as_array().expect("items") {
        let wanted = consumer["types"].as_array().expect("types");
        for event_type in wanted {
            let known = event_type.as_str().and_then(contract);
            assert!(known.is_some(), "{consumer}: {event_type} has no schema");
        }
    }
}

/// Makes the services send everything that they send.
async fn live(up: &Up) {
    let mut player = Player::register(&up.gateway(), "Ada").await;
    player.login().await;
    let questions = player.questions().await;
    let answer = player
        .answer(&questions[0], "first")
        .await
        .expect("an answer");
    let _: Value = expect(answer, StatusCode::OK).await;
    let renamed = json!({ "displayName": "Ada L." });
    let renamed = player
        .call(Method::PATCH, "/api/auth/profile", Some(&renamed))
        .await;
    assert_eq!(renamed.status(), StatusCode::OK);
    compensated(up, &player, &questions[1]).await;

    let curator = Player::curator(&up.gateway(), &up.administrators_password()).await;
    curate(&curator).await;
    let reset =
        json!({ "reason": "test", "parameters": { "userId": player.id(), "reason": "test" } });
    for (job, body) in [
        ("health", json!({ "reason": "test" })),
        ("stats-reset", reset),
    ] {
        let path = format!("/api/admin/maintenance/{job}");
        let run = curator.call(Method::POST, &path, Some(&body)).await;
        let run: Value = expect(run, StatusCode::OK).await;
        assert_eq!(run["status"], "completed", "{run}");
    }
    let live = up.folder.path().join(".banyan/gateway.toml");
    let text = fs::read_to_string(&live).expect("up wrote it");
    let new = up.folder.path().join("new.toml");
    fs::write(
        &new,
        text.replace("\"/api/leaderboard\"", "\"/api/boards\""),
    )
    .expect("writable");
    up.verb(&["routes", "apply", "new.toml"]).await;
    player.delete_account().await;
}

/// An answer that an operator has taken back while a participant has not heard of it. A timeout
/// parks it meanwhile, so that on a slow machine too nobody but the operator ends it.
async fn compensated(up: &Up, player: &Player, question: &Question) {
    let step = [
        "sagas",
        "policy",
        "answer-submission",
        "--step",
        "leaderboard",
    ];
    let change = ["--on-timeout", "park", "--reason", "test"];
    up.verb(&[&step[..], &change[..]].concat()).await;
    let list = up.verb(&["consumers", "list"]).await;
    let consumers = list["items"].as_array().expect("items");
    let of_boards = consumers
        .iter()
        .filter(|consumer| consumer["service"] == "leaderboard");
    let names: Vec<_> = of_boards
        .filter_map(|consumer| consumer["name"].as_str())
        .collect();
    for name in &names {
        up.verb(&["consumers", "pause", "leaderboard", name]).await;
    }
    let body = json!({
        "questionId": question.id, "choiceId": question.choices[0].id, "quizMode": "classic",
    });
    let answer = reqwest::Client::new()
        .post(format!("{}/api/answers", up.gateway()))
        .bearer_auth(&player.session.access_token)
        .header("prefer", "respond-async")
        .json(&body)
        .send()
        .await;
    let answer: Value = expect(answer.expect("an answer"), StatusCode::ACCEPTED).await;
    let id = answer["id"].as_str().expect("an id");
    // Refused while the saga moves on between the verb's look and its act: the operator repeats it.
    eventually(PATIENCE, || async {
        let act = ["--json", "sagas", "compensate", id, "--reason", "test"];
        banyan(up.folder.path(), &act).await.status.success()
    })
    .await;
    for name in &names {
        up.verb(&["consumers", "resume", "leaderboard", name]).await;
    }
    eventually(PATIENCE, || async {
        up.verb(&["sagas", "show", id]).await["state"] == "compensated"
    })
    .await;
}

async fn curate(curator: &Player) {
    let mut question = json!({
        "text": "Which event tells of this question?", "category": "contracts", "difficulty": "easy",
        "choices": [
            { "id": "a", "text": "created" }, { "id": "b", "text": "updated" },
            { "id": "c", "text": "deleted" }, { "id": "d", "text": "applied" },
        ],
        "correctChoiceId": "a",
    });
    let path = "/api/admin/questions";
    let made = curator.call(Method::POST, path, Some(&question)).await;
    // A slow machine answers 202: written, and not seen by players yet.
    assert!(made.status().is_success(), "{}", made.status());
    let made: Value = made.json().await.expect("a question");
    let path = format!("{path}/{}", made["id"].as_str().expect("an id"));
    question["version"] = made["version"].clone();
    question["difficulty"] = json!("hard");
    let edited = curator.call(Method::PUT, &path, Some(&question)).await;
    assert!(edited.status().is_success(), "{}", edited.status());
    let removed = curator.call(Method::DELETE, &path, None).await;
    assert!(removed.status().is_success(), "{}", removed.status());
}

/// The examples as payloads, each as a document has it and with fields that nobody knows yet.
fn variants(contract: &Contract) -> Vec<Value> {
    let mut variants = Vec::new();
    for (_, example) in schema::examples(contract) {
        let mut more = example.clone();
        more["addedLater"] = json!({ "by": "a newer sender", "numbers": [1, 2] });
        variants.extend([example, more]);
    }
    variants
}

/// Appends every example to the log, in the order of lives: each round has an answer that is
/// completed, and one that is revoked and whose player leaves before a last answer.
async fn give_examples(log: &Log) -> BTreeSet<Uuid> {
    let rounds = CATALOGUE.iter().map(|contract| variants(contract).len());
    let known = |name: &str| contract(name).expect("a contract");
    let (asked, left) = (known("answer.submitted"), known("user.deleted"));
    let completed = known("answer_submission.completed");
    let mut given = BTreeSet::new();
    for round in 0..rounds.max().expect("a catalogue") {
        let [good, revoked, late] = [(); 3].map(|()| Uuid::now_v7());
        let (one, other) = (2 * round, 2 * round + 1);
        let apart = [left.event_type, completed.event_type];
        let others = CATALOGUE
            .iter()
            .filter(|contract| !apart.contains(&contract.event_type));
        let steps = [(asked, good, one), (completed, good, one)]
            .into_iter()
            .chain(others.map(|contract| (contract, revoked, other)))
            .chain([(left, revoked, other), (asked, late, other)]);
        for (contract, saga, number) in steps {
            let variants = variants(contract);
            let payload = of_number(&variants[round % variants.len()], number);
            let event = envelope(contract, payload, saga);
            given.insert(event.id);
            log.append(vec![Append::exact(event)])
                .await
                .expect("appended");
        }
    }
    given
}

/// The same payload about other things: each number has ids of its own.
fn of_number(payload: &Value, number: usize) -> Value {
    let mut text = payload.to_string();
    let ids = "01937e00-0000-7000-8000-0000000000";
    assert!(number < 0xff, "two digits number them");
    text = text.replace(
        ids,
        &format!("01937e00-0000-7000-8000-{number:02x}00000000"),
    );
    serde_json::from_str(&text).expect("JSON")
}

fn envelope(contract: &Contract, payload: Value, saga: Uuid) -> Event {
    let id = Uuid::now_v7();
    Event {
        id,
        event_type: contract.event_type.to_owned(),
        stream: format!("example-{id}"),
        aggregate_id: id.to_string(),
        version: 1,
        schema_version: contract.schema_version,
        payload,
        timestamp: OffsetDateTime::now_utc(),
        correlation_id: id,
        causation_id: None,
        saga_id: Some(saga),
        step: None,
        service_id: contract.senders[0].to_owned(),
        traceparent: None,
    }
}

/// Waits until all consumers have read the log, and the log has what they answer.
async fn caught_up(up: &Up, log: &Log) {
    eventually(PATIENCE, || async {
        let head = log.head().await?.position;
        let list = up.verb(&["consumers", "list"]).await;
        for consumer in list["items"].as_array().expect("items") {
            let position = consumer["position"].as_i64().unwrap_or_default();
            anyhow::ensure!(position >= head, "{consumer} has not read {head}");
        }
        for (service, port) in SERVICES {
            let url = format!("http://127.0.0.1:{}/ops/outbox", port + up.offset);
            let outbox: Value = reqwest::get(url).await?.json().await?;
            anyhow::ensure!(outbox["unsent"] == 0, "{service}: {outbox}");
        }
        anyhow::ensure!(log.head().await?.position == head, "more has come");
        anyhow::Ok(())
    })
    .await;
}

async fn everything(log: &Log) -> Vec<Recorded> {
    let mut events = Vec::new();
    loop {
        let after = events.last().map_or(0, |last: &Recorded| last.position);
        let page = log
            .read(&ReadQuery::after(after).limit(1_000))
            .await
            .expect("the log");
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

/// Holds events against the committed schemas with another language's library.
async fn assert_fit(events: &[Recorded]) {
    let script =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/system/contracts/validate.py");
    let mut python = tokio::process::Command::new(testkit::python("python").expect("installed"))
        .arg(script)
        .arg(DOCS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event).expect("JSON");
        lines.push(b'\n');
    }
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(&lines).await.expect("python reads");
    drop(input);
    let output = python.wait_with_output().await.expect("python ends");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&format!("{} events", events.len())), "{told}");
}
