//! Everything has come to rest: sagas ended, outboxes sent, nothing set aside, all of the log read.

use super::{Claim, Findings};
use crate::facts::Facts;

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    for saga in &facts.sagas {
        let has_ended = matches!(saga.state.as_str(), "completed" | "compensated");
        findings.expect(has_ended, Claim::Rest, || {
            format!("saga {} is {}", saga.id, saga.state)
        });
    }
    let head = facts.log.last().map_or(0, |event| event.position);
    for service in &facts.services {
        let name = &service.name;
        for (consumer, id, error) in &service.parked {
            let text = format!("{consumer} of {name} set event {id} aside: {error}");
            findings.add(Claim::Rest, text);
        }
        for (consumer, position) in &service.checkpoints {
            findings.expect(*position == head, Claim::Rest, || {
                format!("{consumer} of {name} is at {position} of {head}")
            });
        }
    }
}
