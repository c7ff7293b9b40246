//! What holds for every definition and every order of things.

use std::{collections::HashSet, time::Duration};

use database::Timestamp;
use proptest::{prelude::*, sample::Index};
use sagas::{
    Action, Definition, Effect, Input, Intervention, OnTimeout, Outcome, Phase, Policy, Progress,
    Resolution, Retry, State, Step, Timer, Undo, Undoing, Verb, transition,
};

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

fn retries() -> impl Strategy<Value = Retry> {
    (1_u32..4, 1_u64..4)
        .prop_map(|(n, s)| Retry::new(n, Duration::from_secs(s), Duration::from_secs(8)))
}

fn undos() -> impl Strategy<Value = Undo> {
    (0..3, any::<bool>(), retries()).prop_map(|(kind, at_once, retry)| {
        let undo = [Undo::none(), Undo::local(), Undo::ask()][kind as usize]
            .clone()
            .retry(retry);
        if at_once { undo.at_once() } else { undo }
    })
}

fn policies() -> impl Strategy<Value = OnTimeout> {
    prop::sample::select(vec![
        OnTimeout::Compensate,
        OnTimeout::Proceed,
        OnTimeout::Park,
    ])
}

fn definitions() -> impl Strategy<Value = Definition> {
    let step = (any::<bool>(), retries(), policies(), undos(), any::<bool>());
    prop::collection::vec(step, 1..NAMES.len()).prop_map(|steps| {
        let mut stages: Vec<Vec<Step>> = Vec::new();
        for (name, (local, retry, on_timeout, undo, joins)) in NAMES.into_iter().zip(steps) {
            let step = if local {
                Step::local(name)
            } else {
                Step::ask(name)
            };
            let step = step.retry(retry).on_timeout(on_timeout).undo(undo);
            match stages.last_mut() {
                Some(stage) if joins => stage.push(step),
                _ => stages.push(vec![step]),
            }
        }
        stages
            .into_iter()
            .fold(Definition::new("any", 1), Definition::parallel)
    })
}

/// Picks one of the inputs that exist, sensible or not; time passes in between.
fn inputs() -> impl Strategy<Value = Vec<(Index, Index, u64)>> {
    prop::collection::vec((any::<Index>(), any::<Index>(), 0_u64..6), 1..80)
}

fn input(kind: Index, step: Index, definition: &Definition) -> Input {
    let names: Vec<_> = definition.steps().map(Step::name).collect();
    let step = step.get(&names).to_string();
    let refused = Outcome::Refused {
        reason: "no".into(),
    };
    let act = |verb| {
        Input::Intervened(Intervention {
            verb,
            actor: "ops".into(),
            reason: "why".into(),
        })
    };
    let answered = |outcome| Input::Answered {
        step: step.clone(),
        outcome,
        result: Some(1.into()),
    };
    let due = |timer| Input::Due {
        step: step.clone(),
        timer,
    };
    let resolve = |outcome| {
        act(Verb::ResolveStep {
            step: step.clone(),
            outcome,
        })
    };
    // Progress is made more often than mischief.
    match kind.index(24) {
        0 => Input::Start,
        1 => answered(refused),
        2 => Input::Failed {
            step,
            error: "disk".into(),
        },
        3 => due(Timer::Deadline),
        4 => due(Timer::Retry),
        5 => due(Timer::UndoRetry),
        6 => Input::UndoFailed {
            step,
            error: "disk".into(),
        },
        7 => Input::UndoRefused {
            step,
            reason: "no".into(),
        },
        8 => act(Verb::RetryStep { step }),
        9 => act(Verb::RetryCompensation),
        10 => resolve(Resolution::Done),
        11 => resolve(Resolution::Refused),
        12 => resolve(Resolution::Undone),
        13 if step == "a" => act(Verb::ForceCompensation),
        14 if step == "b" => act(Verb::Abandon),
        15..=18 => Input::Undone { step },
        _ => answered(Outcome::Done),
    }
}

struct Run {
    state: State,
    /// Steps that an effect began.
    begun: HashSet<String>,
    /// Every attempt that was ever made.
    attempts: Vec<Effect>,
    inputs: Vec<(Input, Timestamp)>,
    ends: usize,
}

fn play(definition: &Definition, picks: &[(Index, Index, u64)]) -> Result<Run, TestCaseError> {
    let mut now = Timestamp::from_micros(0);
    let state = State::new(definition, &Policy::new());
    let (begun, attempts) = (HashSet::new(), Vec::new());
    let mut run = Run {
        state,
        begun,
        attempts,
        inputs: Vec::new(),
        ends: 0,
    };
    let mut next = vec![Input::Start];
    next.extend(
        picks
            .iter()
            .map(|(kind, step, _)| input(*kind, *step, definition)),
    );
    let pauses = std::iter::once(0).chain(picks.iter().map(|pick| pick.2));
    for (input, pause) in next.into_iter().zip(pauses) {
        now = now + Duration::from_secs(pause * 7);
        let before = run.state.clone();
        let moved = transition(definition, &before, &input, now);
        if before.phase.is_end() {
            prop_assert!(moved.is_err(), "an end is absorbing");
        }
        let Ok((after, effects)) = moved else {
            continue;
        };
        check_effects(definition, &mut run, &after, effects)?;
        check_state(definition, &before, &after, &run.begun)?;
        run.inputs.push((input, now));
        run.state = after;
    }
    Ok(run)
}

fn check_effects(
    definition: &Definition,
    run: &mut Run,
    after: &State,
    effects: Vec<Effect>,
) -> Result<(), TestCaseError> {
    for effect in effects {
        match &effect {
            Effect::Act { step, .. } | Effect::Ask { step, .. } => {
                prop_assert!(
                    !after.phase.is_compensating(),
                    "nothing begins on the way back"
                );
                run.begun.insert(step.clone());
            }
            Effect::Undo { step, .. } | Effect::AskUndo { step, .. } => {
                prop_assert!(run.begun.contains(step), "only what began is undone");
                let action = definition
                    .find(step)
                    .and_then(|step| step.undoing().action());
                let local = matches!(effect, Effect::Undo { .. });
                prop_assert_eq!(
                    action,
                    Some(if local { Action::Local } else { Action::Ask })
                );
            }
            Effect::Ended(_) => run.ends += 1,
            Effect::Intervened(_) => continue,
        }
        prop_assert!(
            !run.attempts.contains(&effect),
            "an attempt's id is used once: {:?}",
            effect
        );
        run.attempts.push(effect);
    }
    Ok(())
}

fn check_state(
    definition: &Definition,
    before: &State,
    after: &State,
    begun: &HashSet<String>,
) -> Result<(), TestCaseError> {
    if before.phase.is_compensating() {
        let back = after.phase.is_compensating()
            || matches!(after.phase, Phase::Compensated | Phase::Abandoned);
        prop_assert!(
            back,
            "a saga that turned back never goes forward: {:?}",
            after.phase
        );
    }
    let turned = after.phase.is_compensating() || after.phase == Phase::Compensated;
    for (declared, step) in definition.steps().zip(&after.steps) {
        let undoable = declared.undoing().action().is_some();
        if turned && undoable && step.may_have_started() {
            prop_assert!(step.undo != Undoing::Idle, "{} may have started", step.name);
        }
        if after.phase == Phase::Compensated {
            prop_assert!(matches!(step.undo, Undoing::Idle | Undoing::Undone));
            prop_assert!(
                !begun.contains(&step.name)
                    || !undoable
                    || step.undo == Undoing::Undone
                    || matches!(step.progress, Progress::Refused | Progress::Waiting)
            );
        }
        if after.phase == Phase::Completed {
            prop_assert!(step.is_passed() && step.undo == Undoing::Idle, "{:?}", step);
        }
    }
    if after.phase.is_end() {
        prop_assert_eq!(after.timers().count(), 0);
    }
    Ok(())
}

/// Some input that an engine and participants would sooner or later give.
fn helpful(state: &State) -> Option<Input> {
    let step = |wanted: fn(&sagas::StepState) -> bool| {
        state
            .steps
            .iter()
            .find(|step| wanted(step))
            .map(|step| step.name.clone())
    };
    if state.phase.is_compensating() {
        let step = step(|s| matches!(s.undo, Undoing::Started | Undoing::Failed))?;
        return Some(Input::Undone { step });
    }
    if let Some(step) = step(|s| matches!(s.progress, Progress::Started | Progress::Held)) {
        return Some(Input::Answered {
            step,
            outcome: Outcome::Done,
            result: None,
        });
    }
    let step = step(|s| s.timers.contains_key(&Timer::Retry))?;
    Some(Input::Due {
        step,
        timer: Timer::Retry,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold_after_every_input(definition in definitions(), picks in inputs()) {
        let run = play(&definition, &picks)?;
        prop_assert_eq!(run.ends, usize::from(run.state.phase.is_end()), "an end is told once");
    }

    #[test]
    fn the_same_inputs_give_the_same_state(definition in definitions(), picks in inputs()) {
        let run = play(&definition, &picks)?;
        let mut state = State::new(&definition, &Policy::new());
        for (input, now) in &run.inputs {
            // Through JSON and back, as the database keeps it.
            let kept = serde_json::to_value(&state).expect("a state is JSON");
            let kept: State = serde_json::from_value(kept).expect("JSON is a state");
            state = transition(&definition, &kept, input, *now).expect("a move as before").0;
        }
        prop_assert_eq!(state, run.state);
    }

    #[test]
    fn from_everywhere_replies_lead_to_an_end(definition in definitions(), picks in inputs()) {
        let mut state = play(&definition, &picks)?.state;
        let late = Timestamp::from_micros(i64::MAX / 2);
        for _ in 0..200 {
            if state.phase.is_end() {
                break;
            }
            let input = helpful(&state);
            prop_assert!(input.is_some(), "stuck: {:?}", state);
            let Some(input) = input else { break };
            state = transition(&definition, &state, &input, late).expect("a helpful input").0;
        }
        prop_assert!(state.phase.is_end(), "no end: {:?}", state);
    }
}
