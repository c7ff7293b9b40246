//! A log that was restored from a backup: its new identity, and who may go on with it.

use bus::{Bus, NatsBus, NatsOptions};
use chassis::Shutdown;
use contracts::Recorded;
use database::{Database, params};
use event_store::{
    Append, Kind, Log, ReadQuery,
    consumer::{Beyond, OperatorError, Start, State},
    log::{LOST, RefillError, Remains},
    publisher::{Publisher, PublisherState},
};
use std::sync::Arc;
use testkit::{Backend, Nats, eventually};

use crate::{
    consumers::handler::{Journal, NAME, checkpoint, handled, journal_database, start},
    fixture::{PATIENCE, another, append_to, event, log_apart, service, soon},
};

testkit::both_databases!(
    a_new_identity_is_adopted_where_nothing_is_missing_and_nothing_comes_twice,
    who_has_seen_what_the_log_lost_stays_refused_and_a_process_may_rewind,
    a_lost_log_is_put_together_again_position_by_position,
    what_was_lost_inside_of_streams_leaves_no_hole_in_their_versions,
);

async fn all(log: &Log) -> Vec<Recorded> {
    log.read(&ReadQuery::after(0)).await.unwrap()
}

async fn a_new_identity_is_adopted_where_nothing_is_missing_and_nothing_comes_twice(
    backend: Backend,
) {
    let (log, _place) = log_apart(&backend).await;
    let database = journal_database(&backend).await;
    let running = start(&database, &log, &Journal::new(), None);
    append_to(&log, &["a", "b", "a"]).await;
    running.at(3).await;
    let old = log.epoch();
    log.backed_up(old, 2).await.unwrap();

    let begun = log
        .begin_epoch("restored from monday", "ann")
        .await
        .unwrap();
    assert_eq!((begun.predecessor, begun.position), (old, 3));
    assert_eq!(log.epoch(), begun.epoch);
    assert_eq!(log.epochs().await.unwrap(), std::slice::from_ref(&begun));
    assert_eq!(log.backed_up_to().await.unwrap(), 0, "no backup of it yet");
    append_to(&log, &["b"]).await;
    let progress = running.consumers.progress(NAME).unwrap();
    soon(progress.until_state(|state| matches!(state, State::Refused(_)))).await;
    assert_eq!(checkpoint(&database).await, 3);

    running.consumers.adopt(NAME, Beyond::Refuse).await.unwrap();
    running.at(4).await;
    // Whoever adopted once may do so again.
    running.consumers.adopt(NAME, Beyond::Refuse).await.unwrap();
    assert_eq!(handled(&database).await, [1, 2, 3, 4]);
    running.stop().await;
}

async fn who_has_seen_what_the_log_lost_stays_refused_and_a_process_may_rewind(backend: Backend) {
    let (lost, _place) = log_apart(&backend).await;
    let projection = journal_database(&backend).await;
    let apart = another(&backend).await;
    let process = journal_database(&apart).await;
    let seen = start(&projection, &lost, &Journal::new(), None);
    let mut journal = Journal::new();
    journal.kind = Kind::Process;
    let acted = start(&process, &lost, &journal, None);
    append_to(&lost, &["a", "b", "a"]).await;
    seen.at(3).await;
    acted.at(3).await;
    seen.stop().await;
    acted.stop().await;

    let (log, _other) = log_apart(&backend).await;
    log.become_empty(lost.epoch()).await.unwrap();
    log.refill(all(&lost).await[..2].to_vec()).await.unwrap();
    let seen = start(&projection, &log, &Journal::new(), None);
    // The same identity, and beyond its head: first somebody has to say that it was restored.
    let early = seen.consumers.adopt(NAME, Beyond::Rewind).await;
    let text = early.unwrap_err().to_string();
    assert!(text.contains("new-epoch"), "{text}");
    log.begin_epoch("the disk died", "ann").await.unwrap();
    for beyond in [Beyond::Refuse, Beyond::Rewind] {
        let refused = seen.consumers.adopt(NAME, beyond).await;
        assert!(
            matches!(&refused, Err(OperatorError::NotAdoptable(text)) if text.contains("replay")),
            "{refused:?}"
        );
    }
    seen.consumers.replay(NAME, Start::Beginning).await.unwrap();
    seen.at(2).await;
    assert_eq!(handled(&projection).await, [1, 2]);
    seen.stop().await;

    let acted = start(&process, &log, &journal, None);
    let refused = acted.consumers.adopt(NAME, Beyond::Refuse).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("1 events beyond 2"), "{text}");
    assert_eq!(checkpoint(&process).await, 3);
    acted.consumers.adopt(NAME, Beyond::Rewind).await.unwrap();
    append_to(&log, &["c"]).await;
    acted.at(3).await;
    assert_eq!(handled(&process).await, [1, 2, 3, 3]);
    acted.stop().await;

    // A stranger's log shares nothing.
    let (stranger, _third) = log_apart(&backend).await;
    let acted = start(&process, &stranger, &journal, None);
    let refused = acted.consumers.adopt(NAME, Beyond::Rewind).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("never was"), "{text}");
    acted.stop().await;
}

async fn a_lost_log_is_put_together_again_position_by_position(backend: Backend) {
    let (lost, _place) = log_apart(&backend).await;
    append_to(&lost, &["a", "b", "a", "c", "b", "d"]).await;
    let events = all(&lost).await;
    let (log, _other) = log_apart(&backend).await;
    log.become_empty(lost.epoch()).await.unwrap();
    // The archive ends at 2; of the rest nobody has the fourth, and some have the same.
    assert_eq!(log.refill(events[..2].to_vec()).await.unwrap(), 2);
    let remains = Remains::of(lost.epoch()).window(2);
    let (one, _place_of_one) = outbox_with(&backend, &events[..3]).await;
    let some = [&events[2..3], &events[4..]].concat();
    let (two, _place_of_two) = outbox_with(&backend, &some).await;
    let remains = remains.outbox(one).outbox(two);
    let refilled = log.refill_from(&remains).await.unwrap();
    assert_eq!((refilled.head, &refilled.lost[..]), (6, &[4][..]));
    for (again, was) in all(&log).await.iter().zip(&events) {
        assert_eq!((again.position, again.epoch), (was.position, was.epoch));
        if was.position == 4 {
            assert_eq!(again.event.event_type, LOST);
        } else {
            assert_eq!(again.event, was.event);
        }
    }
    let again = log.become_empty(lost.epoch()).await;
    assert!(matches!(again, Err(RefillError::NotEmpty(6))), "{again:?}");
    let hole = log.refill(vec![events[5].clone()]).await;
    assert!(
        matches!(
            hole,
            Err(RefillError::OutOfOrder {
                expected: 7,
                found: 6
            })
        ),
        "{hole:?}"
    );
}

/// A service's database whose outbox still has these events of a log; it is gone with the second
/// value.
async fn outbox_with(backend: &Backend, events: &[Recorded]) -> (Database, Backend) {
    let place = another(backend).await;
    let database = service(&place).await;
    for recorded in events {
        let event = serde_json::to_value(&recorded.event).unwrap();
        let (id, stream) = (recorded.event.id, &recorded.event.stream);
        let now = database.now().await.unwrap();
        database
            .execute(
                "INSERT INTO outbox (id, stream, version, event, written_at, sent_epoch, sent_position)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                params![id, stream, recorded.event.version, event, now, recorded.epoch, recorded.position],
            )
            .await
            .unwrap();
    }
    (database, place)
}

async fn what_was_lost_inside_of_streams_leaves_no_hole_in_their_versions(backend: Backend) {
    let (lost, _place) = log_apart(&backend).await;
    let streams = ["a", "b", "a", "b", "c", "a", "d", "a", "b", "c", "a", "e"];
    append_to(&lost, &streams).await;
    let events = all(&lost).await;
    // The archive ends at 2. Nobody has 3 (of a), 4 (of b), 6 (of a), 7 (all of d); later events of
    // a and b show what some of these were.
    let gone = [3, 4, 6, 7];
    let kept: Vec<Recorded> = events[2..]
        .iter()
        .filter(|event| !gone.contains(&event.position))
        .cloned()
        .collect();
    let (outbox, _its_place) = outbox_with(&backend, &kept).await;
    for window in [1, 3, 100] {
        let (log, _other) = log_apart(&backend).await;
        log.become_empty(lost.epoch()).await.unwrap();
        log.refill(events[..2].to_vec()).await.unwrap();
        let remains = Remains::of(lost.epoch()).outbox(outbox.clone());
        let refilled = log.refill_from(&remains.window(window)).await.unwrap();
        assert_eq!((refilled.head, &refilled.lost[..]), (12, &gone[..]));
        let again = all(&log).await;
        for (again, was) in again.iter().zip(&events) {
            assert_eq!(again.position, was.position);
            if gone.contains(&was.position) {
                assert_eq!(again.event.event_type, LOST);
            } else {
                assert_eq!(again.event, was.event);
            }
        }
        for stream in ["a", "b", "c"] {
            let of_stream = again.iter().filter(|event| event.event.stream == stream);
            let versions: Vec<i64> = of_stream.map(|event| event.event.version).collect();
            let count = streams.iter().filter(|name| **name == stream).count();
            assert_eq!(
                versions,
                (1..=i64::try_from(count).unwrap()).collect::<Vec<_>>()
            );
        }
        // The streams go on where they were.
        let next = Append::exact(event("a", 6));
        assert_eq!(log.append(vec![next]).await.unwrap()[0].position, 13);
    }
}

#[tokio::test]
async fn what_nats_remembers_of_a_lost_future_is_told_then_forgotten_or_brings_it_back() {
    let server = Nats::start().await.unwrap();
    let url = server.url();
    let bus = NatsBus::connect(&url, NatsOptions::default()).await;
    let bus: Arc<dyn Bus> = Arc::new(bus.unwrap());
    let backend = Backend::sqlite();
    let (lost, _place) = log_apart(&backend).await;
    append_to(&lost, &["a", "b", "a"]).await;
    let events = all(&lost).await;
    eventually(PATIENCE, || bus.publish(&events)).await;
    assert_eq!(bus.newest().await.unwrap().as_ref(), events.last());
    let mut remembered = bus.remembered(1, i64::MAX).await.unwrap();
    remembered.sort_by_key(|event| event.position);
    assert_eq!(remembered, events[1..]);
    assert_eq!(bus.remembered(0, 2).await.unwrap(), events[..2]);
    // It is asked for what the outbox lacks.
    let (again, _place_of_another) = log_apart(&backend).await;
    again.become_empty(lost.epoch()).await.unwrap();
    let (outbox, _its_place) = outbox_with(&backend, &events[1..2]).await;
    let remains = Remains::of(lost.epoch()).outbox(outbox);
    let remains = remains.bus(Arc::clone(&bus)).window(2);
    let refilled = again.refill_from(&remains).await.unwrap();
    assert_eq!((refilled.head, refilled.lost), (3, Vec::new()));
    let events_again = all(&again).await;
    assert!(
        events_again
            .iter()
            .zip(&events)
            .all(|(now, was)| now.event == was.event)
    );

    let (log, _other) = log_apart(&backend).await;
    log.become_empty(lost.epoch()).await.unwrap();
    log.refill(events[..2].to_vec()).await.unwrap();
    let publisher = Publisher::new(log.clone(), Arc::clone(&bus));
    let mut state = publisher.state();
    let stop = Shutdown::new();
    let running = tokio::spawn(publisher.run(stop.clone()));
    let refused = |state: &PublisherState| match state {
        PublisherState::Refused(reason) => reason.contains("nobody said so"),
        _ => false,
    };
    soon(state.wait_for(refused)).await.unwrap();
    log.begin_epoch("the disk died", "ann").await.unwrap();
    append_to(&log, &["c"]).await;
    let forwarded = |state: &PublisherState| *state == PublisherState::Forwarding(3);
    soon(state.wait_for(forwarded)).await.unwrap();
    // Nothing of the lost third event is left; the new one is there.
    let remembered = bus.remembered(0, i64::MAX).await.unwrap();
    assert!(remembered.iter().all(|event| event.epoch == log.epoch()));
    assert_eq!(bus.newest().await.unwrap(), all(&log).await.pop());
    stop.trigger();
    soon(running).await.unwrap();
}
