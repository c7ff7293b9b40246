//! The way forward, deadlines and policies.

use sagas::{
    Definition, Effect, End, IllegalMove, Input, OnTimeout, Outcome, Phase, Policy, Progress,
    Resolution, Retry, State, Step, Timer, Undo, Verb,
};

use super::given::{Given, SECOND, answered, ask, ask_undo, effect, run, submission};

#[test]
fn stages_run_in_order_and_steps_of_a_stage_in_parallel() {
    let mut saga = Given::started(submission());
    assert_eq!(saga.effects, [effect(run, "record", 1)]);
    saga.done("record");
    assert_eq!(
        saga.effects,
        [effect(ask, "badges", 1), effect(ask, "board", 1)]
    );
    saga.done("board");
    assert_eq!((saga.phase(), saga.effects.len()), (Phase::Running, 0));
    saga.done("badges");
    assert_eq!(saga.phase(), Phase::Completed);
    assert_eq!(saga.effects, [Effect::Ended(End::Completed)]);
    assert_eq!(saga.state.timers().count(), 0);
}

#[test]
fn local_steps_of_a_stage_run_before_anybody_is_asked() {
    let definition = Definition::new("d", 1).parallel([
        Step::ask("far").undo(Undo::ask()),
        Step::local("near"),
        Step::local("next"),
    ]);
    let mut saga = Given::started(definition);
    assert_eq!(saga.effects, [effect(run, "near", 1)]);
    saga.done("near");
    assert_eq!(saga.effects, [effect(run, "next", 1)]);
    saga.refused("next");
    assert_eq!(
        saga.phase(),
        Phase::Compensated,
        "nobody was asked, so nothing is to be undone"
    );
}

#[test]
fn a_deadline_makes_the_outcome_unknown_and_a_late_reply_changes_nothing() {
    let mut saga = Given::started(submission());
    saga.done("record")
        .done("board")
        .due("badges", Timer::Deadline);
    assert_eq!(saga.phase(), Phase::Compensating);
    assert_eq!(saga.progress("badges"), Progress::Unknown);
    let asked = saga.effects.clone();
    assert!(asked.contains(&effect(ask_undo, "badges", 1)), "{asked:?}");
    saga.done("badges");
    assert_eq!((saga.phase(), saga.effects.len()), (Phase::Compensating, 0));
    assert_eq!(saga.state.step("badges").unwrap().late, Some(Outcome::Done));
    let again = saga.refuses(&answered("badges", Outcome::Done));
    assert_eq!(again, IllegalMove::AlreadySettled("badges".into()));
}

#[test]
fn a_deadline_that_is_not_due_does_not_fire() {
    let mut saga = Given::started(submission());
    saga.done("record");
    let early = Input::Due {
        step: "badges".into(),
        timer: Timer::Deadline,
    };
    let step = "badges".to_owned();
    assert_eq!(
        saga.refuses(&early),
        IllegalMove::NotDue {
            step,
            timer: Timer::Deadline
        }
    );
}

#[test]
fn a_timeout_may_proceed_without_knowing() {
    let definition = Definition::new("d", 1)
        .step(Step::ask("mail").on_timeout(OnTimeout::Proceed))
        .step(Step::ask("next"));
    let mut saga = Given::started(definition);
    saga.due("mail", Timer::Deadline);
    assert_eq!(saga.effects, [effect(ask, "next", 1)]);
    saga.refused("mail");
    assert_eq!(
        saga.phase(),
        Phase::Running,
        "the refusal came after the decision"
    );
    saga.done("next");
    assert_eq!(saga.phase(), Phase::Completed);
}

#[test]
fn a_timeout_may_park_until_the_late_reply_or_a_person_comes() {
    let definition = Definition::new("d", 1)
        .step(Step::ask("a").on_timeout(OnTimeout::Park))
        .step(Step::ask("b"));
    let mut saga = Given::started(definition.clone());
    saga.due("a", Timer::Deadline);
    assert_eq!(
        (saga.phase(), saga.progress("a")),
        (Phase::Parked, Progress::Held)
    );
    saga.done("a");
    assert_eq!(
        (saga.phase(), saga.progress("b")),
        (Phase::Running, Progress::Started)
    );

    let mut saga = Given::started(definition);
    saga.due("a", Timer::Deadline)
        .operator(Verb::RetryStep { step: "a".into() });
    assert_eq!(saga.phase(), Phase::Running);
    assert!(
        saga.effects.contains(&effect(ask, "a", 2)),
        "{:?}",
        saga.effects
    );
    saga.due("a", Timer::Deadline).operator(Verb::ResolveStep {
        step: "a".into(),
        outcome: Resolution::Done,
    });
    assert_eq!(
        (saga.phase(), saga.progress("b")),
        (Phase::Running, Progress::Started)
    );
}

#[test]
fn the_policy_of_the_start_holds_whatever_the_definition_says() {
    let overrides = Policy::from([("badges".to_owned(), OnTimeout::Proceed)]);
    let mut saga = Given::started(submission());
    saga.state = State::new(&saga.definition, &overrides);
    saga.when(Input::Start)
        .done("record")
        .done("board")
        .due("badges", Timer::Deadline);
    assert_eq!(saga.phase(), Phase::Completed);
}

#[test]
fn a_failed_local_step_is_run_again_until_its_attempts_are_used_up() {
    let local = Step::local("a")
        .retry(Retry::new(2, SECOND, SECOND))
        .undo(Undo::local());
    let mut saga = Given::started(Definition::new("d", 1).step(local));
    let failed = Input::Failed {
        step: "a".into(),
        error: "disk".into(),
    };
    saga.when(failed.clone());
    assert_eq!(
        (saga.phase(), saga.progress("a")),
        (Phase::Running, Progress::Waiting)
    );
    saga.due("a", Timer::Retry);
    assert_eq!(saga.effects, [effect(run, "a", 2)]);
    saga.when(failed);
    assert_eq!(saga.phase(), Phase::Compensated, "it left nothing behind");
}

#[test]
fn an_unanswered_ask_is_repeated_within_its_deadline() {
    let asked = Step::ask("a")
        .deadline(5 * SECOND)
        .retry(Retry::new(2, SECOND, SECOND));
    let mut saga = Given::started(Definition::new("d", 1).step(asked));
    let deadline = saga.state.step("a").unwrap().timers[&Timer::Deadline];
    saga.due("a", Timer::Retry);
    assert_eq!(saga.effects, [effect(ask, "a", 2)]);
    let timers = &saga.state.step("a").unwrap().timers;
    assert_eq!(
        timers.iter().collect::<Vec<_>>(),
        [(&Timer::Deadline, &deadline)]
    );
}
