//! The saga protocol, checked exhaustively: every order of everything that can happen, within small
//! bounds, over the crate's own transition and its ledger's own rule.

mod party;
mod protocol;
mod world;

use std::{fmt::Write as _, time::Instant};

use faults::{Mutation, Switched};
use sagas::OnTimeout;
use stateright::{Checker, HasDiscoveries, Model};

use self::protocol::{BOTH, Protocol};

/// Checks everything, and says how much that was.
#[track_caller]
fn check(name: &str, protocol: Protocol) {
    let _sound = Switched::off();
    let began = Instant::now();
    let checked = protocol.checker().threads(BOTH).spawn_bfs().join();
    println!(
        "{name}: {} states, {} of them different, {} steps at most, {:.1} s",
        checked.state_count(),
        checked.unique_state_count(),
        checked.max_depth(),
        began.elapsed().as_secs_f64(),
    );
    checked.assert_properties();
}

/// Finds what a bug breaks; the shortest way to it is printed.
#[track_caller]
fn finds(mutation: Mutation, broken: &'static str) {
    let _mutated = Switched::on(mutation);
    let protocol = Protocol::new(2, [OnTimeout::Compensate; 2]).with_bug();
    let only = HasDiscoveries::AnyOf([broken].into());
    let checker = protocol.checker().finish_when(only);
    let checked = checker.threads(BOTH).spawn_bfs().join();
    let Some(path) = checked.discovery(broken) else {
        panic!("with {} nothing breaks {broken:?}", mutation.name());
    };
    let mut told = String::new();
    for action in path.into_actions() {
        write!(told, "{action:?}; ").expect("a text grows");
    }
    println!("{} breaks {broken:?}: {told}", mutation.name());
}

#[test]
fn a_saga_whose_timeouts_turn_it_back_nets_to_once_or_nothing_and_ends() {
    check("compensate", Protocol::new(1, [OnTimeout::Compensate; 2]));
}

#[test]
fn a_saga_that_may_go_on_without_an_answer_nets_to_once_or_nothing_and_ends() {
    check("proceed", Protocol::new(2, [OnTimeout::Proceed; 2]));
}

#[test]
fn a_saga_that_waits_for_a_person_nets_to_once_or_nothing_and_ends() {
    check("park", Protocol::new(2, [OnTimeout::Park; 2]));
}

#[test]
fn a_saga_with_two_kinds_of_timeouts_nets_to_once_or_nothing_and_ends() {
    for (name, policy) in [("proceed", OnTimeout::Proceed), ("park", OnTimeout::Park)] {
        let policies = [OnTimeout::Compensate, policy];
        check(
            &format!("compensate and {name}"),
            Protocol::new(0, policies),
        );
    }
}

#[test]
fn a_late_reply_that_counts_is_found() {
    finds(Mutation::LateReplyAccepted, protocol::STANDS);
}

#[test]
fn a_compensation_that_is_not_repeated_is_found() {
    finds(Mutation::CompensationNotRepeated, protocol::ENDS);
}

#[test]
fn a_barrier_that_is_skipped_is_found() {
    finds(Mutation::BarrierSkipped, protocol::NETS);
}
