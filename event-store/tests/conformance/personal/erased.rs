//! Once a person's key is erased, nothing of theirs is readable anywhere, and everything else goes on.

use std::{collections::BTreeSet, path::Path, sync::Arc, sync::atomic::Ordering};

use bus::{Bus, InProcessBus};
use chassis::Shutdown;
use contracts::{
    Payload, Recorded,
    events::{Personal, PersonalErased},
};
use database::{Sql, params};
use event_store::{ReadQuery, consumer::Start, publisher::Publisher, snapshot};
use testkit::{Backend, Nats, eventually};
use uuid::Uuid;

use super::world::{NAME, Names, Profile, Reading, World, came, contains, holds, open};
use crate::fixture::{PATIENCE, soon};

testkit::both_databases!(
    nothing_is_readable_anywhere_once_the_key_is_erased,
    an_erasure_may_be_repeated_and_is_told_once,
    a_crash_before_the_event_of_an_erasure_is_made_good,
    what_is_written_of_an_erased_person_is_erased_from_the_start,
    other_processes_forget_a_key_when_they_read_of_its_erasure,
    a_person_of_whom_nothing_is_known_is_erased_beforehand,
);

async fn nothing_is_readable_anywhere_once_the_key_is_erased(backend: Backend) {
    let mut world = World::new(&backend).await;
    let nats = Nats::start().await.expect("NATS");
    let bus = bus::connect(&nats.url(), 1).await.expect("a bus");
    let stop = Shutdown::new();
    let publisher = Publisher::new(world.log.clone(), bus);
    let publishing = tokio::spawn(publisher.run(stop.clone()));
    let names = Names::default();
    let reading = Reading::start(&world.database, &world.log, &names);
    let (user, friend) = (Uuid::now_v7(), Uuid::now_v7());
    let position = world.comes(user).await;
    let of_friend = world.comes(friend).await;
    reading.at(of_friend).await;
    // Everything that keeps events has one of them: also the dead letters and the snapshots.
    names.fails.store(true, Ordering::SeqCst);
    let parked = world.comes(user).await;
    reading.at(parked).await;
    let stream = format!("user-{user}");
    let loaded = snapshot::load::<Profile>(&world.log, &world.database, &stream)
        .await
        .unwrap();
    assert!(
        loaded.state.name == Some(NAME.into()),
        "it is readable before"
    );
    let published = || async { contains_file(&nats.store(), &user.to_string()) };
    eventually(PATIENCE, published).await;

    let erased = world
        .log
        .erase_personal(&user.to_string(), "ops", "asked for")
        .await
        .unwrap();
    assert!(erased.had_key);
    reading.at(erased.position).await;
    for (place, at) in [
        (world.log.database(), &world.place),
        (&world.database, &backend),
    ] {
        assert!(
            holds(place, at, &user.to_string()).await,
            "the search finds what is there"
        );
        assert!(!holds(place, at, NAME).await);
    }
    assert!(!contains_file(&nats.store(), NAME));
    // The id stays readable, the name does not; of others nothing is lost.
    assert!(world.read(position).await == Personal::Erased);
    assert!(world.read(of_friend).await == NAME.into());
    names.fails.store(false, Ordering::SeqCst);
    let letter = reading.consumers.parked(None, 1).await.unwrap().remove(0);
    let retried = reading
        .consumers
        .retry("names", letter.event_id)
        .await
        .unwrap();
    assert_eq!((retried.handled, retried.error), (1, None));
    assert!(names.of(parked) == Some(Personal::Erased));
    let loaded = snapshot::load::<Profile>(&world.log, &world.database, &stream)
        .await
        .unwrap();
    assert!(loaded.state.name == Some(Personal::Erased));
    assert_eq!((loaded.version, loaded.read), (2, 2));
    // A projection is rebuilt without it.
    reading
        .consumers
        .replay("names", Start::Beginning)
        .await
        .unwrap();
    let rebuilt = || async { names.of(of_friend).is_some() && names.of(parked).is_some() };
    eventually(PATIENCE, rebuilt).await;
    assert!(names.of(position) == Some(Personal::Erased));
    assert!(names.of(of_friend) == Some(NAME.into()));
    reading.stop().await;
    stop.trigger();
    soon(publishing).await.unwrap();
    world.stop_relay().await;
}

/// Whether a file below this folder holds the text.
fn contains_file(folder: &Path, text: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return std::fs::read(folder).is_ok_and(|bytes| contains(&bytes, text));
    };
    entries
        .flatten()
        .any(|entry| contains_file(&entry.path(), text))
}

async fn erasures(world: &World) -> Vec<Recorded> {
    let query = ReadQuery::after(0).types([PersonalErased::TYPE]);
    world.log.read(&query).await.unwrap()
}

async fn an_erasure_may_be_repeated_and_is_told_once(backend: Backend) {
    let mut world = World::new(&backend).await;
    let user = Uuid::now_v7().to_string();
    world.comes(user.parse().unwrap()).await;
    let first = world
        .log
        .erase_personal(&user, "ada", "asked for")
        .await
        .unwrap();
    let again = world
        .log
        .erase_personal(&user, "bob", "to be sure")
        .await
        .unwrap();
    assert!(first.had_key && !again.had_key);
    assert_eq!(
        (again.actor.as_str(), again.reason.as_str()),
        ("ada", "asked for")
    );
    assert_eq!(
        (again.position, again.erased_at),
        (first.position, first.erased_at)
    );
    let told = erasures(&world).await;
    let payloads: Vec<PersonalErased> = told
        .iter()
        .map(|event| event.event.payload().unwrap())
        .collect();
    let expected = PersonalErased {
        subject: user.clone(),
        actor: "ada".to_owned(),
        reason: "asked for".to_owned(),
    };
    assert_eq!(payloads, [expected]);
    let status = world.log.personal().status(&user).await.unwrap();
    assert!(!status.has_key && status.announced);
    assert_eq!(status.actor.as_deref(), Some("ada"));
    world.stop_relay().await;
}

async fn a_crash_before_the_event_of_an_erasure_is_made_good(backend: Backend) {
    let mut world = World::new(&backend).await;
    let users: Vec<String> = (0..3).map(|_| Uuid::now_v7().to_string()).collect();
    // Dead after the first of its three commits.
    let erase = Sql::by_dialect(
        "SELECT log_personal_erase($1, 'ops', 'asked for')",
        "INSERT INTO personal_keys (subject, erased_at, erased_by, reason)
         VALUES ($1, 1, 'ops', 'asked for')
         ON CONFLICT (subject) DO UPDATE SET id = NULL, sealed = NULL, erased_at = 1,
             erased_by = 'ops', reason = 'asked for'",
    );
    for user in &users {
        world.comes(user.parse().unwrap()).await;
        world
            .log
            .database()
            .execute(erase, params![user])
            .await
            .unwrap();
    }
    // Dead after the second of another: the log has its event and nobody noted it.
    world
        .log
        .erase_personal(&users[0], "ops", "asked for")
        .await
        .unwrap();
    let unnoted = "UPDATE personal_keys SET announced = FALSE WHERE subject = $1";
    world
        .log
        .database()
        .execute(unnoted, params![&users[0]])
        .await
        .unwrap();
    assert_eq!(world.log.announce_erasures().await.unwrap(), 3);
    assert_eq!(world.log.announce_erasures().await.unwrap(), 0);
    let told: Vec<_> = erasures(&world).await;
    let subjects: BTreeSet<_> = told
        .iter()
        .map(|event| event.event.aggregate_id.clone())
        .collect();
    assert_eq!((told.len(), subjects), (3, users.into_iter().collect()));
    world.stop_relay().await;
}

async fn what_is_written_of_an_erased_person_is_erased_from_the_start(backend: Backend) {
    let mut world = World::new(&backend).await;
    let user = Uuid::now_v7();
    world.comes(user).await;
    world
        .log
        .erase_personal(&user.to_string(), "ops", "asked for")
        .await
        .unwrap();
    let event = world.write(came(user)).await;
    let text = serde_json::to_string(&event.payload).unwrap();
    assert!(!text.contains(NAME) && !text.contains("sealed"), "{text}");
    let position = world.in_the_log(event.id).await;
    assert!(world.read(position).await == Personal::Erased);
    world.stop_relay().await;
}

async fn other_processes_forget_a_key_when_they_read_of_its_erasure(backend: Backend) {
    let mut world = World::new(&backend).await;
    let user = Uuid::now_v7();
    let first = world.comes(user).await;
    // A process of its own, which has used the key.
    let far = open(&world.place, Some(&world.masters)).await;
    let names = Names::default();
    let reading = Reading::start(&world.database, &far, &names);
    reading.at(first).await;
    assert!(names.of(first) == Some(NAME.into()));
    // Sealed with the key, and in the log after its erasure.
    world.stop_relay().await;
    let late = world.write(came(user)).await;
    let erased = world
        .log
        .erase_personal(&user.to_string(), "ops", "asked for")
        .await
        .unwrap();
    reading.at(erased.position).await;
    world.start_relay();
    let last = world.in_the_log(late.id).await;
    assert!(last > erased.position);
    reading.at(last).await;
    assert!(names.of(last) == Some(Personal::Erased));
    reading.stop().await;
    world.stop_relay().await;
}

async fn a_person_of_whom_nothing_is_known_is_erased_beforehand(backend: Backend) {
    let mut world = World::new(&backend).await;
    let user = Uuid::now_v7();
    let subject = user.to_string();
    let status = world.log.personal().status(&subject).await.unwrap();
    assert!(!status.has_key && status.known_since.is_none());
    let erased = world
        .log
        .erase_personal(&subject, "ops", "asked for")
        .await
        .unwrap();
    assert!(!erased.had_key);
    let position = world.comes(user).await;
    assert!(world.read(position).await == Personal::Erased);
    world.stop_relay().await;
}

/// The bus within a process has what the log has, and nothing that was opened.
#[tokio::test]
async fn who_shares_a_process_gets_events_from_the_bus_as_they_are_stored() {
    let backend = Backend::sqlite();
    let mut world = World::new(&backend).await;
    let bus: Arc<dyn Bus> = Arc::new(InProcessBus::new());
    let mut heard = bus.subscribe().await.unwrap();
    let stop = Shutdown::new();
    let publishing = tokio::spawn(Publisher::new(world.log.clone(), bus).run(stop.clone()));
    let names = Names::default();
    let reading = Reading::start(&world.database, &world.log, &names);
    let position = world.comes(Uuid::now_v7()).await;
    reading.at(position).await;
    let Some(bus::Delivery::Event(event)) = soon(heard.next()).await else {
        panic!("the bus delivers it");
    };
    assert!(!serde_json::to_string(&*event).unwrap().contains(NAME));
    assert!(names.of(position) == Some(NAME.into()));
    reading.stop().await;
    stop.trigger();
    soon(publishing).await.unwrap();
    world.stop_relay().await;
}
