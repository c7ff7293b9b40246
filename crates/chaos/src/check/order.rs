//! Positions, versions, and the order of streams.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claim, Findings};
use crate::facts::{Facts, Logged, Service};

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    positions(&facts.log, findings);
    let at: BTreeMap<_, _> = facts.log.iter().map(|event| (event.id, event)).collect();
    for service in &facts.services {
        let sent = outbox(service, &at, findings);
        for event in &facts.log {
            let is_strange = event.service_id == service.name && !sent.contains(&event.id);
            findings.expect(!is_strange, Claim::Outbox, || {
                let (kind, position) = (&event.event_type, event.position);
                format!(
                    "{kind} at {position} is of {}, which never sent it",
                    service.name
                )
            });
        }
    }
}

fn positions(log: &[Logged], findings: &mut Findings) {
    let (mut ids, mut versions) = (BTreeSet::new(), BTreeMap::new());
    for (event, place) in log.iter().zip(1..) {
        findings.expect(event.position == place, Claim::Positions, || {
            format!("position {} stands where {place} must be", event.position)
        });
        findings.expect(ids.insert(event.id), Claim::Positions, || {
            format!("event {} is there twice", event.id)
        });
        let version = versions.entry(&event.stream).or_insert(0);
        *version += 1;
        findings.expect(event.version == *version, Claim::Streams, || {
            let (stream, found) = (&event.stream, event.version);
            format!("{stream} has version {found} where {version} must be")
        });
    }
}

/// Everything in the outbox is in the log as it was sent, and each stream in the order in which it
/// was sent; the ids of all of it.
fn outbox(
    service: &Service,
    at: &BTreeMap<uuid::Uuid, &Logged>,
    findings: &mut Findings,
) -> BTreeSet<uuid::Uuid> {
    let name = &service.name;
    let (mut sent, mut last) = (BTreeSet::new(), BTreeMap::new());
    for row in &service.outbox {
        sent.insert(row.id);
        let there = at.get(&row.id);
        let place = there.map(|event| event.position);
        findings.expect(row.error.is_none(), Claim::Outbox, || {
            let why = row.error.as_deref().unwrap_or_default();
            format!("the log refused event {} of {name}: {why}", row.id)
        });
        findings.expect(
            place.is_some() && place == row.position,
            Claim::Outbox,
            || {
                let (id, said) = (row.id, row.position);
                format!("event {id} of {name} was sent to {said:?}, the log has it at {place:?}")
            },
        );
        let Some(event) = there else { continue };
        findings.expect(
            event.stream == row.stream && event.version == row.version,
            Claim::Streams,
            || {
                let (stream, version) = (&row.stream, row.version);
                let found = format!("{} {}", event.stream, event.version);
                format!("{name} sent {stream} {version}, the log has it as {found}")
            },
        );
        let before = last.insert(&row.stream, event.position);
        findings.expect(before < Some(event.position), Claim::Streams, || {
            let (stream, position) = (&row.stream, event.position);
            format!("{name} sent {stream} in another order than the log has it at {position}")
        });
    }
    sent
}
