//! Given a definition and a state, when something happens, then the saga moves so.

use std::time::Duration;

use database::Timestamp;
use sagas::{
    Definition, Effect, End, IllegalMove, Input, Intervention, OnTimeout, Outcome, Phase, Policy,
    Progress, Resolution, Retry, State, Step, Timer, Undo, Undoing, Verb, transition,
};

const SECOND: Duration = Duration::from_secs(1);

/// A saga in the hands of a test: feeds inputs and remembers the last effects.
struct Given {
    definition: Definition,
    state: State,
    effects: Vec<Effect>,
    now: Timestamp,
}

impl Given {
    fn started(definition: Definition) -> Self {
        definition.check().expect("a sound definition");
        let state = State::new(&definition, &Policy::new());
        let now = Timestamp::from_micros(0);
        let mut given = Self {
            definition,
            state,
            effects: Vec::new(),
            now,
        };
        given.when(Input::Start);
        given
    }

    fn when(&mut self, input: Input) -> &mut Self {
        let moved = transition(&self.definition, &self.state, &input, self.now);
        (self.state, self.effects) = moved.unwrap_or_else(|illegal| panic!("{input:?}: {illegal}"));
        self
    }

    fn refuses(&self, input: &Input) -> IllegalMove {
        transition(&self.definition, &self.state, input, self.now).expect_err("an illegal move")
    }

    fn done(&mut self, step: &str) -> &mut Self {
        self.when(answered(step, Outcome::Done))
    }

    fn refused(&mut self, step: &str) -> &mut Self {
        self.when(answered(step, refusal()))
    }

    fn due(&mut self, step: &str, timer: Timer) -> &mut Self {
        let at = self.state.step(step).expect("a step").timers[&timer];
        self.now = self.now.max(at);
        self.when(Input::Due {
            step: step.into(),
            timer,
        })
    }

    fn operator(&mut self, verb: Verb) -> &mut Self {
        self.when(act(verb))
    }

    fn phase(&self) -> Phase {
        self.state.phase
    }

    fn progress(&self, step: &str) -> Progress {
        self.state.step(step).expect("a step").progress
    }

    fn undo(&self, step: &str) -> Undoing {
        self.state.step(step).expect("a step").undo
    }
}

fn answered(step: &str, outcome: Outcome) -> Input {
    Input::Answered {
        step: step.into(),
        outcome,
        result: None,
    }
}

fn refusal() -> Outcome {
    Outcome::Refused {
        reason: "no".into(),
    }
}

fn undone(step: &str) -> Input {
    Input::Undone { step: step.into() }
}

fn act(verb: Verb) -> Input {
    Input::Intervened(Intervention {
        verb,
        actor: "ops".into(),
        reason: "because".into(),
    })
}

fn effect(make: fn(String, u32) -> Effect, step: &str, attempt: u32) -> Effect {
    make(step.into(), attempt)
}
fn run(step: String, attempt: u32) -> Effect {
    Effect::Act { step, attempt }
}
fn ask(step: String, attempt: u32) -> Effect {
    Effect::Ask { step, attempt }
}
fn undo(step: String, attempt: u32) -> Effect {
    Effect::Undo { step, attempt }
}
fn ask_undo(step: String, attempt: u32) -> Effect {
    Effect::AskUndo { step, attempt }
}

/// The shape of answer-submission: a local step, then two asks at once.
fn submission() -> Definition {
    let participant = |name| {
        Step::ask(name)
            .deadline(5 * SECOND)
            .undo(Undo::ask().retry(Retry::new(2, SECOND, 4 * SECOND)))
    };
    Definition::new("submission", 1)
        .step(Step::local("record").undo(Undo::local().at_once()))
        .parallel([participant("badges"), participant("board")])
}

/// Three asks one after the other, each undone in order.
fn chain() -> Definition {
    let step = |name| Step::ask(name).undo(Undo::ask());
    Definition::new("chain", 1)
        .step(step("a"))
        .step(step("b"))
        .step(step("c"))
}

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
