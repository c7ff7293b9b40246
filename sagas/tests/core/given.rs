//! Given a definition and a state, when something happens, then the saga moves so: the words
//! that these tests are written in.

use std::time::Duration;

use database::Timestamp;
use sagas::{
    Definition, Effect, IllegalMove, Input, Intervention, Outcome, Phase, Policy, Progress, Retry,
    State, Step, Timer, Undo, Undoing, Verb, transition,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A saga in the hands of a test: feeds inputs and remembers the last effects.
pub(crate) struct Given {
    pub(crate) definition: Definition,
    pub(crate) state: State,
    pub(crate) effects: Vec<Effect>,
    pub(crate) now: Timestamp,
}

impl Given {
    pub(crate) fn started(definition: Definition) -> Self {
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

    #[expect(
        clippy::needless_pass_by_value,
        reason = "inputs are built where they are given"
    )]
    pub(crate) fn when(&mut self, input: Input) -> &mut Self {
        let moved = transition(&self.definition, &self.state, &input, self.now);
        (self.state, self.effects) = moved.unwrap_or_else(|illegal| panic!("{input:?}: {illegal}"));
        self
    }

    pub(crate) fn refuses(&self, input: &Input) -> IllegalMove {
        transition(&self.definition, &self.state, input, self.now).expect_err("an illegal move")
    }

    pub(crate) fn done(&mut self, step: &str) -> &mut Self {
        self.when(answered(step, Outcome::Done))
    }

    pub(crate) fn refused(&mut self, step: &str) -> &mut Self {
        self.when(answered(step, refusal()))
    }

    pub(crate) fn due(&mut self, step: &str, timer: Timer) -> &mut Self {
        let at = self.state.step(step).expect("a step").timers[&timer];
        self.now = self.now.max(at);
        self.when(Input::Due {
            step: step.into(),
            timer,
        })
    }

    pub(crate) fn operator(&mut self, verb: Verb) -> &mut Self {
        self.when(act(verb))
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.phase
    }

    pub(crate) fn progress(&self, step: &str) -> Progress {
        self.state.step(step).expect("a step").progress
    }

    pub(crate) fn undo(&self, step: &str) -> Undoing {
        self.state.step(step).expect("a step").undo
    }
}

pub(crate) fn answered(step: &str, outcome: Outcome) -> Input {
    Input::Answered {
        step: step.into(),
        outcome,
        result: None,
    }
}

pub(crate) fn refusal() -> Outcome {
    Outcome::Refused {
        reason: "no".into(),
    }
}

pub(crate) fn undone(step: &str) -> Input {
    Input::Undone { step: step.into() }
}

pub(crate) fn act(verb: Verb) -> Input {
    Input::Intervened(Intervention {
        verb,
        actor: "ops".into(),
        reason: "because".into(),
    })
}

pub(crate) fn effect(make: fn(String, u32) -> Effect, step: &str, attempt: u32) -> Effect {
    make(step.into(), attempt)
}
pub(crate) fn run(step: String, attempt: u32) -> Effect {
    Effect::Act { step, attempt }
}
pub(crate) fn ask(step: String, attempt: u32) -> Effect {
    Effect::Ask { step, attempt }
}
pub(crate) fn undo(step: String, attempt: u32) -> Effect {
    Effect::Undo { step, attempt }
}
pub(crate) fn ask_undo(step: String, attempt: u32) -> Effect {
    Effect::AskUndo { step, attempt }
}

/// The shape of answer-submission: a local step, then two asks at once.
pub(crate) fn submission() -> Definition {
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
pub(crate) fn chain() -> Definition {
    let step = |name| Step::ask(name).undo(Undo::ask());
    Definition::new("chain", 1)
        .step(step("a"))
        .step(step("b"))
        .step(step("c"))
}
