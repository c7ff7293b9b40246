//! The checker is given what is right, which it must accept, and then what is wrong in one place each.

mod world;

use contracts::{
    Payload,
    events::{AnswerSubmissionCompleted, AnswerSubmitted, LeaderboardEntryUpdated},
};
use serde_json::json;

use self::world::{ADA, BOB, World, answer, at, key, told};
use super::*;
use crate::{
    facts::{Keyed, Logged},
    history::{Asked, Heard},
};

/// The claims that do not hold once this was done to a good world.
fn broken(change: impl FnOnce(&mut World)) -> Vec<Claim> {
    let mut world = World::new();
    change(&mut world);
    let findings = check(&world.calls, &world.facts);
    let claims: std::collections::BTreeSet<Claim> =
        findings.iter().map(|finding| finding.claim).collect();
    claims.into_iter().collect()
}

#[test]
fn a_good_world_has_no_findings() {
    let world = World::new();
    assert_eq!(check(&world.calls, &world.facts), []);
}

#[test]
fn an_acknowledged_answer_that_is_lost_is_found_wherever_it_is_lost() {
    assert!(
        broken(|world| world.facts.answers.retain(|row| row.id != answer(1)))
            .contains(&Claim::Acknowledged)
    );
    for ledger in [0, 1] {
        let claims = broken(|world| {
            let facts = &mut world.facts;
            let ledgers = [&mut facts.badge_ledger, &mut facts.board_ledger];
            let [badges, boards] = ledgers;
            let rows = if ledger == 0 { badges } else { boards };
            rows.retain(|row| row.saga_id != answer(1));
        });
        assert_eq!(claims, [Claim::Acknowledged]);
    }
    let claims = broken(|world| {
        world.facts.badge_ledger[0].ending = Some("revoked".to_owned());
    });
    assert_eq!(claims, [Claim::Acknowledged]);
    // Nothing at all is left of it, and no key.
    let claims = broken(|world| world.hears(7, BOB, told(7, 2, 12)));
    assert!(claims.contains(&Claim::Acknowledged), "{claims:?}");
}

#[test]
fn an_acknowledged_answer_that_is_there_twice_is_found() {
    let claims = broken(|world| {
        let twin = world.facts.answers[0].clone();
        world.facts.answers.push(twin);
    });
    assert_eq!(claims, [Claim::Acknowledged]);
    let claims = broken(|world| {
        let twin = world.facts.board_ledger[0].clone();
        world.facts.board_ledger.push(twin);
    });
    assert_eq!(claims, [Claim::Acknowledged]);
    // The log has taken the submission twice.
    let claims = broken(|world| {
        let mut again = world.facts.log[0].clone();
        again.position = world.facts.log.len() as i64 + 1;
        world.facts.log.push(again);
    });
    for claim in [
        Claim::Acknowledged,
        Claim::Positions,
        Claim::Streams,
        Claim::Ranks,
    ] {
        assert!(claims.contains(&claim), "{claim:?}: {claims:?}");
    }
    // A player's answer is counted twice.
    let claims = broken(|world| {
        world.facts.tallies[1].answered += 1;
        world.facts.tallies[1].correct += 1;
    });
    assert_eq!(claims, [Claim::Counts]);
}

#[test]
fn one_request_that_made_two_answers_is_found() {
    let claims = broken(|world| {
        let mut twin = world.facts.answers[0].clone();
        twin.id = answer(9);
        world.facts.answers.push(twin);
    });
    assert_eq!(claims, [Claim::Unasked]);
    let claims = broken(|world| world.hears(1, ADA, told(9, 1, 10)));
    assert!(claims.contains(&Claim::Constant), "{claims:?}");
}

#[test]
fn a_compensated_answer_that_counts_somewhere_is_found() {
    let row = |world: &mut World| {
        world.facts.answers[1].status = "completed".to_owned();
    };
    assert_eq!(broken(row), [Claim::Compensated]);
    let effect = |world: &mut World| {
        world.facts.board_ledger[1].ending = None;
    };
    assert_eq!(broken(effect), [Claim::Compensated]);
    let points = |world: &mut World| world.facts.lines[0].score += 12;
    assert_eq!(broken(points), [Claim::Ranks]);
    let badge_of_it = |world: &mut World| {
        world.facts.badges[0].answer_id = Some(answer(2));
    };
    assert_eq!(broken(badge_of_it), [Claim::Badges]);
}

#[test]
fn a_client_that_is_told_two_things_is_found() {
    let compensated = || Heard::Compensated {
        answer_id: answer(1),
    };
    assert_eq!(
        broken(|world| world.hears(1, ADA, compensated())),
        [Claim::Constant]
    );
    assert_eq!(
        broken(|world| world.hears(1, ADA, told(1, 1, 11))),
        [Claim::Constant]
    );
    let claims = broken(|world| {
        let answer_id = answer(1);
        let (status, code) = (404, "answer_not_found".to_owned());
        world.call(
            ADA,
            Asked::Look { answer_id },
            Heard::Refused { status, code },
        );
    });
    assert_eq!(claims, [Claim::Constant]);
}

#[test]
fn an_answer_that_nobody_heard_of_and_is_there_by_half_is_found() {
    let claims = broken(|world| {
        world
            .facts
            .badge_ledger
            .retain(|row| row.saga_id != answer(3));
    });
    assert_eq!(claims, [Claim::Unknown]);
    let claims = broken(|world| {
        let row = world
            .facts
            .answers
            .iter_mut()
            .find(|row| row.id == answer(3));
        row.unwrap().status = "pending".to_owned();
    });
    assert_eq!(claims, [Claim::Unknown]);
}

#[test]
fn a_refused_answer_that_is_there_and_one_that_nobody_gave_are_found() {
    let claims = broken(|world| {
        world.facts.keys.push(Keyed {
            user_id: BOB,
            key: key(6).to_string(),
            answer_id: answer(4),
        });
    });
    assert_eq!(claims, [Claim::Refused]);
    assert_eq!(
        broken(|world| world.calls.retain(|call| call.user_id == ADA)),
        [Claim::Unasked]
    );
}

#[test]
fn holes_and_repeats_of_positions_are_found() {
    let hole = |world: &mut World| {
        let last = world.facts.log.last_mut().unwrap();
        last.position += 1;
    };
    assert!(broken(hole).contains(&Claim::Positions));
    let twin = |world: &mut World| {
        let id = world.facts.log[0].id;
        world.facts.log[1].id = id;
    };
    assert!(broken(twin).contains(&Claim::Positions));
}

#[test]
fn a_stream_out_of_its_order_is_found() {
    // Versions swapped in the log,
    let swapped = |world: &mut World| {
        world.facts.log[0].version = 2;
    };
    assert!(broken(swapped).contains(&Claim::Streams));
    // sent in another order than logged,
    let reordered = |world: &mut World| world.facts.services[0].outbox.swap(0, 1);
    assert_eq!(broken(reordered), [Claim::Streams]);
    // and an answer before the player's last one was decided.
    let overtaken = |world: &mut World| {
        let is_end = |event: &Logged| {
            event.event_type == AnswerSubmissionCompleted::TYPE
                && event.payload["answerId"] == json!(answer(1))
        };
        let from = world.facts.log.iter().position(is_end).unwrap();
        let event = world.facts.log.remove(from);
        world.facts.log.push(event);
    };
    let claims = broken(overtaken);
    assert!(claims.contains(&Claim::Streams), "{claims:?}");
}

#[test]
fn what_was_sent_and_is_not_in_the_log_and_the_opposite_are_found() {
    let lost = |world: &mut World| {
        world.facts.log.pop();
    };
    assert!(broken(lost).contains(&Claim::Outbox));
    let stranger = |world: &mut World| {
        world.facts.services[0].outbox.pop();
    };
    assert_eq!(broken(stranger), [Claim::Outbox]);
    let refused = |world: &mut World| {
        world.facts.services[0].outbox[0].error = Some("conflict".to_owned());
    };
    assert_eq!(broken(refused), [Claim::Outbox]);
}

#[test]
fn a_streak_or_points_that_do_not_follow_from_the_log_are_found() {
    let streak = |world: &mut World| world.facts.tallies[0].streak = 3;
    assert_eq!(broken(streak), [Claim::Counts]);
    let best = |world: &mut World| world.facts.players[0].best_streak = 1;
    assert_eq!(broken(best), [Claim::Counts]);
    let nobody = |world: &mut World| {
        world.facts.tallies.pop();
    };
    assert_eq!(broken(nobody), [Claim::Counts]);
    // A streak that is built on the answer that was taken back.
    let built_on = |world: &mut World| {
        let is_third = |event: &&mut Logged| {
            event.event_type == AnswerSubmitted::TYPE
                && event.payload["answerId"] == json!(answer(3))
        };
        let event = world.facts.log.iter_mut().find(is_third).unwrap();
        event.payload["streak"] = json!(3);
    };
    assert_eq!(broken(built_on), [Claim::Counts]);
}

#[test]
fn a_place_or_score_that_does_not_follow_from_the_log_is_found() {
    assert_eq!(
        broken(|world| world.facts.places[1].position = 1),
        [Claim::Ranks]
    );
    assert_eq!(broken(|world| world.facts.lines.swap(0, 1)), [Claim::Ranks]);
    assert_eq!(
        broken(|world| world.facts.lines[1].reached_at = at(1)),
        [Claim::Ranks]
    );
    assert_eq!(broken(|world| world.facts.nodes[2].2 = 3), [Claim::Ranks]);
    let replied = |world: &mut World| {
        let is_reply = |event: &&mut Logged| event.event_type == LeaderboardEntryUpdated::TYPE;
        let event = world.facts.log.iter_mut().find(is_reply).unwrap();
        event.payload["position"] = json!(2);
    };
    assert_eq!(broken(replied), [Claim::Ranks]);
}

#[test]
fn a_badge_that_is_not_final_or_not_there_is_found() {
    let earned = |world: &mut World| world.facts.badges[0].status = "earned".to_owned();
    assert_eq!(broken(earned), [Claim::Badges]);
    assert_eq!(broken(|world| world.facts.badges.clear()), [Claim::Badges]);
}

#[test]
fn a_read_that_misses_what_was_told_is_found() {
    assert_eq!(
        broken(|world| world.reads(ADA, 0, Some(22))),
        [Claim::Reads]
    );
    assert_eq!(
        broken(|world| world.reads(BOB, 9, Some(22))),
        [Claim::Reads]
    );
    assert_eq!(broken(|world| world.reads(BOB, 1, None)), [Claim::Reads]);
}

#[test]
fn what_has_not_come_to_rest_is_found() {
    let saga = |world: &mut World| world.facts.sagas[0].state = "needs_intervention".to_owned();
    assert_eq!(broken(saga), [Claim::Rest]);
    let behind = |world: &mut World| world.facts.services[1].checkpoints[0].1 -= 1;
    assert_eq!(broken(behind), [Claim::Rest]);
    let parked = |world: &mut World| {
        let one = ("badges".to_owned(), answer(1), "poison".to_owned());
        world.facts.services[1].parked.push(one);
    };
    assert_eq!(broken(parked), [Claim::Rest]);
}
