//! Runs a script: a queue of what will happen, and the saga that it happens to.

use std::collections::{BTreeMap, VecDeque};

use database::Timestamp;

use super::{
    report::{Entry, Report, What, since_start},
    script::{Act, Ran, Reply, Says, Script},
};
use crate::{
    definition::Definition,
    state::{Outcome, State},
    transition::{Effect, Input, Intervention, transition},
};

/// The virtual clock begins here.
const START: Timestamp = Timestamp::from_micros(0);

/// Whatever the script says, a saga that still moves after so many entries is a fault of ours:
/// attempts are bounded, and so is the script.
const MAX_ENTRIES: usize = 1_000_000;

/// When something happens, and in which order at one instant: replies (0), then operators (1), then
/// by its number in the script, so that a run is the same each time.
type Place = (Timestamp, u8, usize);

/// What the script still brings.
enum Coming<'a> {
    Reply(&'a Reply),
    Act(&'a Act),
}

struct Run<'a> {
    script: &'a Script,
    definition: &'a Definition,
    state: State,
    version: i64,
    now: Timestamp,
    coming: BTreeMap<Place, Coming<'a>>,
    number: usize,
    timeline: Vec<Entry>,
}

/// That the first local step failed, and with it the start.
struct GivenUp;

pub(super) fn run(script: &Script, definition: &Definition) -> Report {
    let mut run = Run {
        script,
        definition,
        state: State::new(definition, &script.policy),
        version: 0,
        now: START,
        coming: BTreeMap::new(),
        number: 0,
        timeline: Vec::new(),
    };
    for reply in &script.replies {
        if let Some(at) = reply.at {
            run.bring(START + at, reply);
        }
    }
    for act in &script.operator {
        let place = (START + act.at, 1, run.number);
        run.number += 1;
        run.coming.insert(place, Coming::Act(act));
    }
    let started = run.happens(What::Start, Input::Start);
    let outcome = match started {
        Ok(()) => {
            run.go_on();
            Some(run.state.phase)
        }
        Err(GivenUp) => None,
    };
    let expected = script.expect;
    Report {
        outline: definition.outline(),
        data: script.data.clone(),
        timeline: run.timeline,
        outcome,
        expected,
        holds: expected.is_none() || expected == outcome,
        state: run.state,
    }
}

impl<'a> Run<'a> {
    /// Lets everything happen that the script and the saga's timers bring.
    fn go_on(&mut self) {
        while self.timeline.len() < MAX_ENTRIES {
            let timers = self.state.timers();
            let next = timers.map(|(step, timer, due)| (due, step.to_owned(), timer));
            let timer = next.min_by_key(|(due, ..)| *due);
            let scripted = self.coming.first_key_value().map(|(place, _)| place.0);
            // At one instant the script goes first: what lies in the log wins over a deadline.
            let timer = timer.filter(|(due, ..)| scripted.is_none_or(|at| *due < at));
            let going_on = match timer {
                Some((due, step, timer)) => {
                    self.now = self.now.max(due);
                    self.happens(What::Timer, Input::Due { step, timer })
                }
                None => match self.coming.pop_first() {
                    None => return,
                    Some(((at, ..), coming)) => {
                        self.now = self.now.max(at);
                        self.scripted(&coming)
                    }
                },
            };
            // Only a start is given up.
            debug_assert!(going_on.is_ok());
        }
    }

    fn scripted(&mut self, coming: &Coming<'a>) -> Result<(), GivenUp> {
        match coming {
            Coming::Reply(reply) => match said(reply) {
                Some(input) => self.happens(What::Reply, input),
                None => Ok(()),
            },
            Coming::Act(act) => {
                // Checked before anything ran.
                let Ok(verb) = act.verb() else { return Ok(()) };
                let by = Intervention {
                    verb,
                    actor: "operator".to_owned(),
                    reason: act
                        .reason
                        .clone()
                        .unwrap_or_else(|| "the script".to_owned()),
                };
                let input = Input::Intervened(by);
                if let Some(expected) = act.if_version.filter(|wanted| *wanted != self.version) {
                    let why = format!("the saga is at version {}, not {expected}", self.version);
                    self.ignored(What::Operator, &input, why);
                    return Ok(());
                }
                self.happens(What::Operator, input)
            }
        }
    }

    /// One transition of the engine: the input, and what local steps make of it.
    fn happens(&mut self, what: What, input: Input) -> Result<(), GivenUp> {
        let is_start = what == What::Start;
        let (before, mut inputs, mut effects) = (self.state.clone(), Vec::new(), Vec::new());
        let mut queue = VecDeque::from([input]);
        while let Some(input) = queue.pop_front() {
            let moved = transition(self.definition, &self.state, &input, self.now);
            let (state, wanted) = match moved {
                Ok(moved) => moved,
                Err(illegal) => {
                    // After the first input it would be a fault of this crate, and nothing of it kept.
                    self.state = before;
                    self.ignored(what, &input, illegal.to_string());
                    return Ok(());
                }
            };
            self.state = state;
            inputs.push(input.to_string());
            for effect in wanted {
                effects.push(effect.to_string());
                let follows = self.carry_out(&effect);
                if let Some(input @ Input::Failed { .. }) = follows.as_ref().filter(|_| is_start) {
                    self.state = before;
                    let why = "nothing was started, and the caller was told".to_owned();
                    self.ignored(what, input, why);
                    return Err(GivenUp);
                }
                queue.extend(follows);
            }
        }
        self.version += 1;
        self.write(what, inputs, None, effects);
        Ok(())
    }

    /// What an effect leads to: at once for what is local, later for what a participant is asked.
    fn carry_out(&mut self, effect: &Effect) -> Option<Input> {
        match effect {
            Effect::Act { step, attempt } => {
                let step = step.clone();
                let answered = |outcome| Input::Answered {
                    step: step.clone(),
                    outcome,
                    result: None,
                };
                let ran = self.ran(&step, *attempt, |local| &local.act);
                Some(match ran {
                    Ran::Done => answered(Outcome::Done),
                    Ran::Refused => answered(Outcome::Refused {
                        reason: "the script says so".to_owned(),
                    }),
                    Ran::Fails => Input::Failed {
                        step,
                        error: "the script says so".to_owned(),
                    },
                })
            }
            Effect::Undo { step, attempt } => {
                let step = step.clone();
                Some(match self.ran(&step, *attempt, |local| &local.undo) {
                    Ran::Done => Input::Undone { step },
                    Ran::Refused | Ran::Fails => Input::UndoFailed {
                        step,
                        error: "the script says so".to_owned(),
                    },
                })
            }
            Effect::Ask { step, attempt } => {
                self.asked(step, *attempt, &[Says::Done, Says::Refused]);
                None
            }
            Effect::AskUndo { step, attempt } => {
                self.asked(step, *attempt, &[Says::Undone, Says::UndoRefused]);
                None
            }
            Effect::Intervened(_) | Effect::Ended(_) => None,
        }
    }

    fn ran(&self, step: &str, attempt: u32, of: impl Fn(&super::Local) -> &Vec<Ran>) -> Ran {
        let Some(all) = self.script.local.get(step).map(of) else {
            return Ran::Done;
        };
        let number = usize::try_from(attempt).unwrap_or(usize::MAX).max(1) - 1;
        all.get(number).or(all.last()).copied().unwrap_or(Ran::Done)
    }

    /// Brings the replies that the script has for this ask.
    fn asked(&mut self, step: &str, attempt: u32, answers: &[Says]) {
        let script = self.script;
        for reply in &script.replies {
            let meant = reply.attempt.is_none_or(|wanted| wanted == attempt);
            let fits = reply.step == step && meant && answers.contains(&reply.says);
            if let Some(after) = reply.after.filter(|_| fits) {
                self.bring(self.now + after, reply);
            }
        }
    }

    fn bring(&mut self, at: Timestamp, reply: &'a Reply) {
        for _ in 0..reply.times {
            self.coming
                .insert((at, 0, self.number), Coming::Reply(reply));
            self.number += 1;
        }
    }

    fn ignored(&mut self, what: What, input: &Input, why: String) {
        self.write(what, vec![input.to_string()], Some(why), Vec::new());
    }

    fn write(
        &mut self,
        what: What,
        inputs: Vec<String>,
        ignored: Option<String>,
        effects: Vec<String>,
    ) {
        let mut waits: Vec<_> = self.state.timers().collect();
        waits.sort_by_key(|(_, _, due)| *due);
        let waits = waits.iter().map(|(step, timer, due)| {
            let due = since_start(due.since(START));
            format!("{} of {step} at {due}", timer.as_str())
        });
        self.timeline.push(Entry {
            at: self.now.since(START),
            what,
            inputs,
            ignored,
            version: self.version,
            state: self.state.phase,
            effects,
            waits_for: waits.collect(),
        });
    }
}

/// What a reply means to the saga; nothing where the script only says that nobody answers.
fn said(reply: &Reply) -> Option<Input> {
    let step = reply.step.clone();
    let reason = || reply.reason.clone().unwrap_or_else(|| "no".to_owned());
    let result = reply.result.clone();
    Some(match reply.says {
        Says::None => return None,
        Says::Done => Input::Answered {
            step,
            outcome: Outcome::Done,
            result,
        },
        Says::Refused => Input::Answered {
            step,
            outcome: Outcome::Refused { reason: reason() },
            result,
        },
        Says::Undone => Input::Undone { step },
        Says::UndoRefused => Input::UndoRefused {
            step,
            reason: reason(),
        },
    })
}
