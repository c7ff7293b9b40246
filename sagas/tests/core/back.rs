//! The way back, operators, and what is not possible.

use sagas::{
    Definition, Effect, End, IllegalMove, Input, Outcome, Phase, Policy, Resolution, Retry, State,
    Step, Timer, Undo, Undoing, Verb,
};

use super::given::{
    Given, SECOND, act, answered, ask_undo, chain, effect, submission, undo, undone,
};

#[test]
fn a_refusal_rolls_back_at_once_and_asks_everybody_who_may_have_started() {
    let mut saga = Given::started(submission());
    saga.done("record").refused("badges");
    assert_eq!(saga.phase(), Phase::Compensating);
    assert_eq!(
        saga.effects,
        [effect(undo, "record", 1), effect(ask_undo, "board", 1)]
    );
    assert!(!saga.state.rolled_back);
    saga.when(undone("record"));
    assert!(
        saga.state.rolled_back,
        "although board has not confirmed yet"
    );
    assert_eq!(
        saga.undo("badges"),
        Undoing::Idle,
        "a refused step left nothing behind"
    );
    saga.when(undone("board"));
    assert_eq!(saga.effects, [Effect::Ended(End::Compensated)]);
    assert_eq!(saga.phase(), Phase::Compensated);
}

#[test]
fn undo_goes_newest_first_and_waits_for_each_confirmation() {
    let mut saga = Given::started(chain());
    saga.done("a").done("b").due("c", Timer::Deadline);
    assert_eq!(saga.effects, [effect(ask_undo, "c", 1)]);
    saga.when(undone("c"));
    assert_eq!(saga.effects, [effect(ask_undo, "b", 1)]);
    saga.when(undone("b")).when(undone("a"));
    assert_eq!(saga.phase(), Phase::Compensated);
}

#[test]
fn an_undo_that_is_never_confirmed_calls_a_person_and_a_late_confirmation_still_closes_it() {
    let mut saga = Given::started(submission());
    saga.done("record")
        .done("board")
        .refused("badges")
        .when(undone("record"));
    saga.due("board", Timer::UndoRetry);
    assert_eq!(saga.effects, [effect(ask_undo, "board", 2)]);
    saga.due("board", Timer::UndoRetry);
    assert_eq!(
        (saga.phase(), saga.undo("board")),
        (Phase::NeedsIntervention, Undoing::Failed)
    );
    saga.when(undone("board"));
    assert_eq!(saga.phase(), Phase::Compensated);
}

#[test]
fn an_operator_retries_or_resolves_a_compensation() {
    let mut saga = Given::started(submission());
    saga.done("record")
        .done("board")
        .refused("badges")
        .when(undone("record"));
    let reason = "locked".to_owned();
    saga.when(Input::UndoRefused {
        step: "board".into(),
        reason,
    });
    assert_eq!(saga.phase(), Phase::NeedsIntervention);
    saga.operator(Verb::RetryCompensation);
    assert_eq!(saga.phase(), Phase::Compensating);
    assert!(
        saga.effects.contains(&effect(ask_undo, "board", 2)),
        "attempts never repeat an id"
    );
    let outcome = Resolution::Undone;
    saga.operator(Verb::ResolveStep {
        step: "board".into(),
        outcome,
    });
    assert_eq!(saga.phase(), Phase::Compensated);
    assert!(matches!(&saga.effects[0], Effect::Intervened(by) if by.actor == "ops"));
}

#[test]
fn a_failed_local_undo_is_run_again_and_holds_back_older_ones() {
    let local = |name| Step::local(name).undo(Undo::local().retry(Retry::new(2, SECOND, SECOND)));
    let definition = Definition::new("d", 1)
        .step(local("a"))
        .step(local("b"))
        .step(Step::local("c"));
    let mut saga = Given::started(definition);
    saga.done("a").done("b").refused("c");
    let failed = Input::UndoFailed {
        step: "b".into(),
        error: "disk".into(),
    };
    saga.when(failed.clone())
        .due("b", Timer::UndoRetry)
        .when(failed);
    assert_eq!(
        (saga.phase(), saga.undo("a")),
        (Phase::NeedsIntervention, Undoing::Waiting)
    );
    saga.operator(Verb::RetryCompensation).when(undone("b"));
    assert_eq!(saga.effects, [effect(undo, "a", 1)]);
}

#[test]
fn force_compensation_turns_back_and_abandon_gives_up() {
    let mut saga = Given::started(chain());
    saga.done("a").operator(Verb::ForceCompensation);
    assert_eq!(
        (saga.phase(), saga.undo("b")),
        (Phase::Compensating, Undoing::Started)
    );
    assert_eq!(saga.state.reason.as_deref(), Some("because"));
    let twice = saga.refuses(&act(Verb::ForceCompensation));
    assert!(matches!(
        twice,
        IllegalMove::NotPossible {
            verb: "force_compensation",
            ..
        }
    ));
    saga.operator(Verb::Abandon);
    assert_eq!(saga.phase(), Phase::Abandoned);
    assert!(saga.effects.contains(&Effect::Ended(End::Abandoned)));
}

#[test]
fn illegal_moves_say_what_is_wrong() {
    let mut saga = Given::started(chain());
    assert_eq!(saga.refuses(&Input::Start), IllegalMove::AlreadyStarted);
    let step = |name: &str| name.to_owned();
    assert_eq!(
        saga.refuses(&undone("a")),
        IllegalMove::NotCompensating(step("a"))
    );
    assert_eq!(
        saga.refuses(&undone("z")),
        IllegalMove::UnknownStep(step("z"))
    );
    let early = answered("b", Outcome::Done);
    assert_eq!(saga.refuses(&early), IllegalMove::NotStarted(step("b")));
    saga.done("a").refused("b");
    assert_eq!(
        saga.refuses(&undone("c")),
        IllegalMove::NothingToUndo(step("c"))
    );
    saga.when(undone("a"));
    assert_eq!(
        saga.refuses(&undone("a")),
        IllegalMove::Ended(Phase::Compensated)
    );
    saga.state = State::new(&submission(), &Policy::new());
    assert_eq!(
        saga.refuses(&Input::Start),
        IllegalMove::Mismatch("chain", 1)
    );
}

#[test]
fn a_suspended_saga_takes_nothing_but_its_end() {
    let mut saga = Given::started(chain());
    saga.state = saga.state.suspended("no such definition").unwrap();
    assert_eq!(
        saga.refuses(&answered("a", Outcome::Done)),
        IllegalMove::Suspended
    );
    assert_eq!(
        saga.refuses(&act(Verb::ForceCompensation)),
        IllegalMove::Suspended
    );
    saga.operator(Verb::Abandon);
    assert_eq!(saga.phase(), Phase::Abandoned);
}
