//! Who may open a personal field finds what was sealed, who may not finds nothing, and what was tampered
//! with is an error.

use std::sync::atomic::Ordering;

use contracts::{
    Event,
    events::{Personal, personal},
};
use database::params;
use event_store::{
    Append, NewEvent, Outbox, ReadQuery,
    consumer::ConsumerStatus,
    derived_id,
    snapshot::{self, Loaded},
};
use serde_json::{Value, json};
use testkit::{Backend, eventually};
use uuid::Uuid;

use super::world::{NAME, Names, Profile, Reading, World, came, contains, masters, name_at, open};
use crate::fixture::{PATIENCE, draft};

testkit::both_databases!(
    a_handler_finds_the_name_and_a_retry_of_a_parked_event_too,
    an_event_from_before_fields_were_sealed_is_read_as_it_is,
    what_was_tampered_with_is_parked_and_never_taken_for_a_value,
    without_the_right_master_key_a_consumer_waits_and_goes_on_once_it_has_it,
    a_process_without_keys_writes_names_as_they_are_and_finds_others_sealed,
    an_event_without_personal_fields_asks_for_no_key,
    a_handler_that_runs_again_writes_the_same_event_again,
    equal_names_in_two_events_look_different,
    after_a_rotation_the_former_master_key_is_not_needed,
    a_snapshot_is_sealed_like_what_went_into_it,
);

async fn a_handler_finds_the_name_and_a_retry_of_a_parked_event_too(backend: Backend) {
    let mut world = World::new(&backend).await;
    let names = Names::default();
    let reading = Reading::start(&world.database, &world.log, &names);
    let first = world.comes(Uuid::now_v7()).await;
    reading.at(first).await;
    assert!(names.of(first) == Some(NAME.into()));
    names.fails.store(true, Ordering::SeqCst);
    let second = world.comes(Uuid::now_v7()).await;
    reading.at(second).await;
    let parked = reading.consumers.parked(None, 10).await.unwrap().remove(0);
    let shown = serde_json::to_string(&parked).unwrap();
    assert!(!shown.contains(NAME), "a dead letter is sealed: {shown}");
    names.fails.store(false, Ordering::SeqCst);
    let retried = reading.consumers.retry("names", parked.event_id).await;
    assert_eq!(retried.unwrap().handled, 1);
    assert!(names.of(second) == Some(NAME.into()));
    // Several at once come through the handler's batches.
    reading.stop().await;
    let all = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    let mut last = 0;
    for user in all {
        last = world.comes(user).await;
    }
    let reading = Reading::start(&world.database, &world.log, &names);
    reading.at(last).await;
    assert!(names.of(last) == Some(NAME.into()) && names.of(last - 2) == Some(NAME.into()));
    reading.stop().await;
    world.stop_relay().await;
}

async fn an_event_from_before_fields_were_sealed_is_read_as_it_is(backend: Backend) {
    let mut world = World::new(&backend).await;
    let names = Names::default();
    let reading = Reading::start(&world.database, &world.log, &names);
    for schema_version in [1, 2] {
        let mut plain = world.write(draft("somebody")).await;
        plain.id = Uuid::now_v7();
        plain.event_type = "user.created".to_owned();
        plain.schema_version = schema_version;
        plain.stream = format!("plain-{schema_version}");
        plain.payload = json!({ "userId": Uuid::nil(), "displayName": NAME, "roles": [] });
        let appended = world.log.append(vec![Append::any(plain)]).await.unwrap();
        reading.at(appended[0].position).await;
        assert!(names.of(appended[0].position) == Some(NAME.into()));
    }
    reading.stop().await;
    world.stop_relay().await;
}

async fn what_was_tampered_with_is_parked_and_never_taken_for_a_value(backend: Backend) {
    let mut world = World::new(&backend).await;
    let names = Names::default();
    let reading = Reading::start(&world.database, &world.log, &names);
    let user = Uuid::now_v7();
    let good = world.write(came(user)).await;
    let other = world.write(came(Uuid::now_v7())).await;
    let last = world.in_the_log(other.id).await;
    reading.at(last).await;
    let text = |event: &Event| {
        let field = event.payload["displayName"].clone();
        personal::sealed_text(&field).unwrap().to_owned()
    };
    let flipped = {
        let mut text = text(&good).into_bytes();
        text[30] = if text[30] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    // Another's field, the own field in another event, a changed bit, nothing that was ever sealed.
    let lies = [
        json!({ "sealed": text(&other) }),
        json!({ "sealed": text(&good) }),
        json!({ "sealed": flipped }),
        json!({ "sealed": "" }),
        json!("plain where it is said to be sealed"),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut event = good.clone();
        event.id = Uuid::now_v7();
        event.stream = format!("lie-{number}");
        event.payload["displayName"] = lie;
        parks(&world, &reading, event).await;
    }
    let mut event = good.clone();
    event.id = Uuid::now_v7();
    event.stream = "marker".to_owned();
    event.payload[personal::SEALED] = json!("no marker");
    parks(&world, &reading, event).await;
    assert_eq!(names.seen.lock().unwrap().len(), 2);
    reading.stop().await;
    world.stop_relay().await;
}

async fn parks(world: &World, reading: &Reading, event: Event) {
    let id = event.id;
    let appended = world.log.append(vec![Append::any(event)]).await.unwrap();
    reading.at(appended[0].position).await;
    let parked = reading.consumers.parked(None, 10).await.unwrap();
    let parked = parked.iter().find(|parked| parked.event_id == id);
    let error = &parked.expect("it is parked").error;
    assert!(error.contains("is not what was sealed there"), "{error}");
    let query = ReadQuery::after(appended[0].position - 1).limit(1);
    let stored = world.log.read(&query).await.unwrap();
    assert!(world.log.personal().open(stored).await.is_err());
}

async fn without_the_right_master_key_a_consumer_waits_and_goes_on_once_it_has_it(
    backend: Backend,
) {
    let mut world = World::new(&backend).await;
    let position = world.comes(Uuid::now_v7()).await;
    let names = Names::default();
    for wrong in [masters("test"), masters("another")] {
        let log = open(&world.place, Some(&wrong)).await;
        let reading = Reading::start(&world.database, &log, &names);
        // It is tried again and again, and neither parked nor passed over.
        let failures = || async {
            let text = shown(&log);
            text.lines().any(|line| {
                line.contains("consumer_errors")
                    && line.contains("transient")
                    && !line.ends_with(" 0")
            })
        };
        eventually(PATIENCE, failures).await;
        let list = reading.consumers.list().await.unwrap();
        assert!(
            matches!(
                list[..],
                [ConsumerStatus {
                    parked: 0,
                    position: 0,
                    ..
                }]
            ),
            "{list:?}"
        );
        reading.stop().await;
    }
    let reading = Reading::start(&world.database, &world.log, &names);
    reading.at(position).await;
    assert!(names.of(position) == Some(NAME.into()));
    reading.stop().await;
    world.stop_relay().await;
}

/// The log's metrics as they are scraped.
fn shown(log: &event_store::Log) -> String {
    let metrics = chassis::Metrics::new();
    metrics.register(|registry| log.metrics().register(registry));
    metrics.encode().unwrap()
}

async fn a_process_without_keys_writes_names_as_they_are_and_finds_others_sealed(backend: Backend) {
    let mut world = World::new(&backend).await;
    let position = world.comes(Uuid::now_v7()).await;
    let blind = open(&world.place, None).await;
    assert!(matches!(
        name_at(&blind, position).await,
        Personal::Sealed(_)
    ));
    // Who forgot to say which log's keys is told.
    let mut tx = world.database.begin().await.unwrap();
    let forgot = Outbox::new("auth");
    let error = forgot.enqueue(&mut tx, came(Uuid::now_v7())).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("personal_keys"), "{error}");
    tx.rollback().await.unwrap();
    let mut tx = world.database.begin().await.unwrap();
    let outbox = Outbox::new("auth").sealing(&blind);
    let event = outbox.enqueue(&mut tx, came(Uuid::now_v7())).await.unwrap();
    tx.commit().await.unwrap();
    let plain = world.in_the_log(event.id).await;
    assert!(matches!(name_at(&blind, plain).await, Personal::Known(_)));
    let names = Names::default();
    let reading = Reading::start(&world.database, &blind, &names);
    reading.at(plain).await;
    assert!(matches!(names.of(position), Some(Personal::Sealed(_))));
    assert!(matches!(names.of(plain), Some(Personal::Known(_))));
    reading.stop().await;
    world.stop_relay().await;
}

/// Both would fail if a key were asked for: there is no table to ask.
async fn an_event_without_personal_fields_asks_for_no_key(backend: Backend) {
    let mut world = World::new(&backend).await;
    let database = world.log.database();
    let gone = "DROP TABLE personal_keys";
    database.execute(gone, params![]).await.unwrap();
    let event = world.write(draft("nobody")).await;
    let position = world.in_the_log(event.id).await;
    let names = Names::default();
    let reading = Reading::start(&world.database, &world.log, &names);
    reading.at(position).await;
    let query = ReadQuery::after(0);
    let stored = world.log.read(&query).await.unwrap();
    assert_eq!(
        world.log.personal().open(stored.clone()).await.unwrap(),
        stored
    );
    let mut tx = world.database.begin().await.unwrap();
    let named = world.outbox.enqueue(&mut tx, came(Uuid::now_v7())).await;
    assert!(named.is_err(), "this one asks");
    tx.rollback().await.unwrap();
    reading.stop().await;
    world.stop_relay().await;
}

async fn a_handler_that_runs_again_writes_the_same_event_again(backend: Backend) {
    let mut world = World::new(&backend).await;
    let user = Uuid::now_v7();
    let id = derived_id(user, "greeting", 1);
    let first = world.write(came(user).id(id)).await;
    let position = world.in_the_log(id).await;
    // Its service was restored to a time before that, in another process.
    world.stop_relay().await;
    for sql in ["DELETE FROM outbox", "DELETE FROM stream_versions"] {
        world.database.execute(sql, params![]).await.unwrap();
    }
    let log = open(&world.place, Some(&world.masters)).await;
    world.outbox = Outbox::new("auth").sealing(&log);
    world.start_relay();
    let again = world.write(came(user).id(id)).await;
    assert_eq!(again.payload, first.payload);
    let next = world.comes(user).await;
    assert_eq!((world.in_the_log(id).await, next), (position, position + 1));
    world.stop_relay().await;
}

async fn equal_names_in_two_events_look_different(backend: Backend) {
    let mut world = World::new(&backend).await;
    let user = Uuid::now_v7();
    let one = world.write(came(user)).await;
    let other = world.write(came(user)).await;
    let field = |event: &Event| event.payload["displayName"].clone();
    assert_ne!(field(&one), field(&other));
    for event in [one, other] {
        let bytes = serde_json::to_vec(&event).unwrap();
        assert!(!contains(&bytes, NAME));
        let position = world.in_the_log(event.id).await;
        assert!(world.read(position).await == NAME.into());
    }
    world.stop_relay().await;
}

async fn after_a_rotation_the_former_master_key_is_not_needed(backend: Backend) {
    let mut world = World::new(&backend).await;
    let (old, new) = (
        event_store::MasterKeys::generate("old").unwrap(),
        event_store::MasterKeys::generate("new").unwrap(),
    );
    let parse = |text: &str| event_store::MasterKeys::parse(text).unwrap();
    let before = open(&world.place, Some(&parse(&old))).await;
    world.outbox = Outbox::new("auth").sealing(&before);
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let position = world.comes(one).await;
    world.comes(other).await;
    before
        .erase_personal(&other.to_string(), "test", "rotation")
        .await
        .unwrap();
    let both = open(&world.place, Some(&parse(&format!("{new},{old}")))).await;
    assert_eq!(both.personal().rotate().await.unwrap(), 1);
    assert_eq!(both.personal().rotate().await.unwrap(), 0, "none is left");
    let after = open(&world.place, Some(&parse(&new))).await;
    assert!(name_at(&after, position).await == NAME.into());
    // Who has the former one alone says which is missing.
    let former = open(&world.place, Some(&parse(&old))).await;
    let stored = former
        .read(&ReadQuery::after(position - 1).limit(1))
        .await
        .unwrap();
    let error = former.personal().open(stored).await.unwrap_err();
    assert!(error.to_string().contains("\"new\""), "{error}");
    world.stop_relay().await;
}

async fn a_snapshot_is_sealed_like_what_went_into_it(backend: Backend) {
    let mut world = World::new(&backend).await;
    let (user, friend) = (Uuid::now_v7(), Uuid::now_v7());
    world.comes(user).await;
    let stream = format!("user-{user}");
    let load = async || -> Loaded<Profile> {
        snapshot::load(&world.log, &world.database, &stream)
            .await
            .unwrap()
    };
    let kept = async || -> Option<Value> {
        let sql = "SELECT state FROM snapshots WHERE stream = $1";
        let row = world.database.fetch_optional(sql, params![&stream]).await;
        row.unwrap()
            .map(|(database::Json(state),): (database::Json<Value>,)| state)
    };
    assert!(load().await.state.name == Some(NAME.into()));
    let state = kept().await.expect("a snapshot").to_string();
    assert!(
        !state.contains(NAME) && state.contains(&user.to_string()),
        "{state}"
    );
    let again = load().await;
    assert_eq!((again.read, again.version), (0, 1), "the snapshot served");
    assert!(again.state.name == Some(NAME.into()));
    world.comes(user).await;
    let further = load().await;
    assert_eq!(
        (further.read, further.version, further.state.events),
        (1, 2, 2)
    );
    let state = kept().await.expect("a snapshot").to_string();
    assert!(!state.contains(NAME), "{state}");
    // One that names two people is under no key of one of them.
    let of_friend: NewEvent = came(friend).stream(&stream);
    let event = world.write(of_friend).await;
    world.in_the_log(event.id).await;
    let third = load().await;
    assert_eq!((third.read, third.version), (1, 3));
    assert_eq!(load().await.read, 1, "it was not kept");
    // An erased key makes it useless, and the stream is folded without the name.
    let erased = world
        .log
        .erase_personal(&user.to_string(), "test", "asked for")
        .await
        .unwrap();
    assert!(erased.had_key);
    let last = load().await;
    assert_eq!((last.read, last.version, last.state.events), (3, 3, 3));
    world.stop_relay().await;
}
