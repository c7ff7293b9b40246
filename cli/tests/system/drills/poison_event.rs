//! runbooks/poison-event.md: one event that a bug keeps a consumer from taking, and one that nobody
//! can read.

use contracts::Event;
use event_store::{Append, Log, LogOptions};
use reqwest::StatusCode;
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::Drill;
use crate::{
    distributed::System,
    player::{Player, expect},
};

/// What a bug in the service would do: it fails on one table's rows, whatever they say.
const BUG: &str = "CREATE FUNCTION bug() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN RAISE EXCEPTION 'a rank of nothing'; END $$;
 CREATE TRIGGER bug BEFORE INSERT OR UPDATE ON standings FOR EACH ROW EXECUTE FUNCTION bug();";
/// The next version does not have it.
const FIX: &str = "DROP TRIGGER bug ON standings; DROP FUNCTION bug();";

#[tokio::test]
async fn poison_event() {
    let mut drill = Drill::on("poison-event.md", System::start()).await;
    drill.sql("leaderboard", BUG).await;
    // Who is on no board yet gets a line with the first answer, right or wrong.
    let gateway = drill.system().await.url("gateway");
    let player = Player::register(&gateway, "Katherine").await;
    let question = &player.questions().await[0];
    let answer = player.answer(question, "met by a bug").await;
    let problem: Value = expect(answer.expect("an answer"), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem["code"], "answer_compensated");
    drill
        .found("a bug let a consumer fail on each answer")
        .await;

    let log = Log::open(drill.system().await.database("log"), LogOptions::default())
        .await
        .expect("the log");
    log.append(vec![Append::any(unreadable())])
        .await
        .expect("the log takes any payload");
    drill
        .found("an event was written whose payload nobody can read")
        .await;
    choose(&drill, "leaderboard").await;
    drill.look().await;
    drill.is_there_still().await;
    drill.sql("leaderboard", FIX).await;
    drill.act_block(0).await;
    choose(&drill, "admin").await;
    drill.act_block(1).await;
    drill.verify().await;
    drill.undo().await;
    drill.end().await;
}

/// Takes the first event that this service has parked, as its line in the list names it.
async fn choose(drill: &Drill, service: &str) {
    let list = drill.system().await.verb(&["dlq", "list"]).await;
    let items = list["items"].as_array().into_iter().flatten();
    let mut of_service = items.filter(|item| item["service"] == service);
    let first = of_service.next().expect("it has parked one");
    for (variable, column) in [
        ("SERVICE", "service"),
        ("CONSUMER", "consumer"),
        ("EVENT", "eventId"),
    ] {
        let value = first[column].as_str().unwrap_or_else(|| panic!("{first}"));
        drill.variable(variable, value);
    }
}

/// A confirmation without what it confirms.
fn unreadable() -> Event {
    let now = OffsetDateTime::now_utc().format(&Rfc3339).expect("a time");
    let event = json!({
        "id": Uuid::now_v7(), "type": "question.applied", "stream": "applied-by-nobody",
        "aggregateId": "nobody", "version": 1, "schemaVersion": 1, "payload": { "was": "wrong" },
        "timestamp": now, "correlationId": Uuid::now_v7(), "serviceId": "question",
    });
    serde_json::from_value(event).expect("an event")
}
