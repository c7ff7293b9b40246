//! `banyan-log` as a process: readiness, the operators' verbs, NATS, signals and bad input.

use std::{process::Command, time::Duration};

use bus::{Bus, Delivery, NatsBus, NatsOptions};
use contracts::{Event, Recorded, events::UserCreated, http::Items};
use event_store::{Append, Log, LogOptions, MasterKeys, NewEvent, Outbox, ops::Stats};
use serde_json::{Value, json};
use testkit::{Backend, Nats, Process, eventually, free_port};
use time::OffsetDateTime;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

fn banyan_log(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banyan-log"));
    for (name, value) in settings {
        command.env(format!("BANYAN_LOG__{name}"), value);
    }
    command
}

fn event(version: i64) -> Event {
    Event {
        id: Uuid::now_v7(),
        event_type: "user.deleted".to_owned(),
        stream: "user-1".to_owned(),
        aggregate_id: "1".to_owned(),
        version,
        schema_version: 1,
        payload: json!({ "userId": Uuid::nil() }),
        timestamp: OffsetDateTime::UNIX_EPOCH,
        correlation_id: Uuid::nil(),
        causation_id: None,
        saga_id: None,
        step: None,
        service_id: "auth".to_owned(),
        traceparent: None,
    }
}

async fn get<T: serde::de::DeserializeOwned>(url: String) -> anyhow::Result<T> {
    Ok(reqwest::get(url).await?.error_for_status()?.json().await?)
}

#[tokio::test]
async fn it_forwards_the_log_and_shows_it_and_stops_cleanly() {
    let backend = Backend::postgres().await;
    let nats = Nats::start().await.unwrap();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let nats_url = nats.url();
    let settings = [
        ("LISTEN", &*listen),
        ("LOG", &*backend.url),
        ("NATS", &*nats_url),
    ];
    let mut process = Process::spawn_command(banyan_log(&settings)).unwrap();
    let base = format!("http://{listen}");
    let ready: Value = eventually(PATIENCE, || async {
        get::<Value>(format!("{base}/health/ready")).await.ok()
    })
    .await;
    assert_eq!(ready["status"], "ready");

    let log = Log::open(&backend.url, LogOptions::default())
        .await
        .unwrap();
    let bus = NatsBus::connect(&nats_url, NatsOptions::default())
        .await
        .unwrap();
    let mut subscription = bus.subscribe().await.unwrap();
    let mut version = 0;
    // A core subscription begins when the server has heard of it.
    let delivery = loop {
        version += 1;
        log.append(vec![Append::exact(event(version))])
            .await
            .unwrap();
        let wait = tokio::time::timeout(Duration::from_millis(200), subscription.next());
        if let Ok(Some(delivery)) = wait.await {
            break delivery;
        }
    };
    assert!(matches!(delivery, Delivery::Event(event) if event.epoch == log.epoch()));

    let events: Items<Recorded> = get(format!("{base}/ops/events?after=0")).await.unwrap();
    assert_eq!(events.items.len(), usize::try_from(version).unwrap());
    let stats: Stats = get(format!("{base}/ops/events/stats")).await.unwrap();
    assert_eq!((stats.head, stats.streams), (version, 1));
    let metrics = reqwest::get(format!("{base}/metrics"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("publisher_events_total"), "{metrics}");

    let probe = || {
        let mut command = banyan_log(&settings);
        command.arg("--probe").output().unwrap().status.code()
    };
    assert_eq!(probe(), Some(0));
    process.terminate().unwrap();
    assert!(process.exit(PATIENCE).await.success());
    assert_eq!(probe(), Some(1));
}

#[tokio::test]
async fn bad_settings_are_told_all_at_once_with_exit_code_64() {
    let settings = [
        ("LISTEN", "0.0.0.0:0"),
        ("LOG", "mysql://x"),
        ("BUS", "amqps://banyan:secret@b?cacertfile=/nowhere"),
        ("NATS_REPLICAS", "9"),
        ("PERSONAL_KEYS", "first:beef"),
    ];
    let mut process = Process::spawn_command(banyan_log(&settings)).unwrap();
    assert_eq!(process.exit(PATIENCE).await.code(), Some(64));
    let output = process.output().join("\n");
    for setting in [
        "ops_token: required",
        "log: must",
        "bus: cannot use RabbitMQ",
        "nats_replicas: must",
        "personal_keys: key first must",
    ] {
        assert!(output.contains(setting), "{output}");
    }
    assert!(
        !output.contains("secret") && !output.contains("beef"),
        "{output}"
    );
}

#[tokio::test]
async fn an_unreachable_database_is_one_clear_line() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/log", free_port());
    let settings = [("LISTEN", &*listen), ("LOG", &*nowhere)];
    let mut process = Process::spawn_command(banyan_log(&settings)).unwrap();
    assert_eq!(process.exit(PATIENCE).await.code(), Some(1));
    let output = process.output().join("\n");
    assert!(output.contains("setting `log`"), "{output}");
}

#[tokio::test]
async fn it_migrates_and_exits_or_checks_and_exits_when_told_so() {
    let backend = Backend::sqlite();
    let status = |settings: &[(&str, &str)], arguments: &[&str]| {
        let mut command = banyan_log(settings);
        command.args(arguments);
        Process::run(command).unwrap().code()
    };
    let log = [("LOG", &*backend.url)];
    assert_eq!(status(&log, &["--migrate-only"]), Some(0));
    let file = backend.url.trim_start_matches("sqlite:");
    assert!(std::path::Path::new(file).exists());
    assert_eq!(status(&log, &["--check"]), Some(0));
    assert_eq!(status(&[("LOG", "mysql://")], &["--check"]), Some(64));
    assert_eq!(status(&log, &["--check", "--migrate-only"]), Some(64));
}

#[tokio::test]
async fn it_opens_personal_fields_erases_them_and_tells_of_erasures_that_it_finds() {
    let backend = Backend::sqlite();
    let options = LogOptions {
        personal: Some(MasterKeys::parse(testkit::PERSONAL_KEYS).unwrap()),
        ..LogOptions::default()
    };
    let log = Log::open(&backend.url, options).await.unwrap();
    let service = Backend::sqlite();
    let database = service.open(database::Options::default()).await;
    database
        .migrate(event_store::outbox::migrations())
        .await
        .unwrap();
    let outbox = Outbox::new("auth").sealing(&log);
    let users = [Uuid::now_v7(), Uuid::now_v7()];
    for user in users {
        let created = UserCreated {
            user_id: user,
            display_name: "Grace".into(),
            roles: Vec::new(),
        };
        let mut tx = database.begin().await.unwrap();
        let new = NewEvent::of(&created).stream(format!("user-{user}"));
        let event = outbox.enqueue(&mut tx, new).await.unwrap();
        tx.commit().await.unwrap();
        log.append(vec![Append::exact(event)]).await.unwrap();
    }
    // Whoever erased the second died before the log heard of it.
    let died = "INSERT INTO personal_keys (subject, erased_at, erased_by, reason)
                VALUES ($1, 1, 'ops', 'asked for') ON CONFLICT (subject) DO UPDATE
                SET id = NULL, sealed = NULL, erased_at = 1, erased_by = 'ops', reason = 'asked for'";
    let second = users[1].to_string();
    log.database()
        .execute(died, database::params![&second])
        .await
        .unwrap();

    let listen = format!("127.0.0.1:{}", free_port());
    let settings = [
        ("LISTEN", &*listen),
        ("LOG", &*backend.url),
        ("PERSONAL_KEYS", testkit::PERSONAL_KEYS),
    ];
    let mut process = Process::spawn_command(banyan_log(&settings)).unwrap();
    let base = format!("http://{listen}/ops");
    let told = async |user: Uuid| {
        let path = format!("{base}/events?after=0&stream=personal-{user}");
        let events: Items<Recorded> = get(path).await.ok()?;
        (events.items.len() == 1).then_some(())
    };
    eventually(PATIENCE, || told(users[1])).await;
    let name = async |user: Uuid| {
        let path = format!("{base}/events?after=0&stream=user-{user}");
        let events: Items<Recorded> = get(path).await.unwrap();
        events.items[0].event.payload["displayName"].clone()
    };
    assert_eq!(name(users[0]).await, "Grace");
    assert_eq!(name(users[1]).await, json!({ "erased": true }));

    let client = reqwest::Client::new();
    let erase = async |subject: &str, reason: &str| {
        let path = format!("{base}/personal/{subject}/erase");
        let request = client.post(path).header("x-banyan-actor", "ada");
        request
            .json(&json!({ "reason": reason }))
            .send()
            .await
            .unwrap()
    };
    let subject = users[0].to_string();
    assert_eq!(erase(&subject, " ").await.status(), 422);
    assert_eq!(erase(&"x".repeat(201), "why not").await.status(), 422);
    assert_eq!(name(users[0]).await, "Grace", "nothing happened");
    let erased: Value = erase(&subject, "asked for").await.json().await.unwrap();
    assert_eq!(
        (&erased["hadKey"], &erased["actor"]),
        (&json!(true), &json!("ada"))
    );
    assert_eq!(name(users[0]).await, json!({ "erased": true }));
    let status: Value = get(format!("{base}/personal/{subject}")).await.unwrap();
    assert_eq!(
        (&status["hasKey"], &status["announced"]),
        (&json!(false), &json!(true))
    );
    let rotated = client
        .post(format!("{base}/personal/rotate"))
        .send()
        .await
        .unwrap();
    let rotated: Value = rotated.json().await.unwrap();
    assert_eq!(rotated, json!({ "rotated": 0 }));
    process.terminate().unwrap();
    assert!(process.exit(PATIENCE).await.success());
}
