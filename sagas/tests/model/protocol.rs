//! What can happen, and what must hold.

use std::time::Duration;

use sagas::{Definition, OnTimeout, Phase, Policy, Retry, State, Step, Timer, Undo, Verb};
use stateright::{Model, Property};

use super::{
    party::{Message, Reply, Verdict},
    world::World,
};

/// The participants, which are the steps asked for.
pub(crate) const BOTH: usize = 2;

/// Their steps' names; the owner's own step is `note`.
pub(crate) const STEPS: [&str; BOTH] = ["pay", "pack"];

pub(crate) const NETS: &str = "effects are there once, or net to nothing";
pub(crate) const STANDS: &str = "what was decided stands";
pub(crate) const ENDS: &str = "what stands still has ended, or waits for a person";
const AGREE: &str = "no participant learns of two ends";

/// Attempts to take a step back before a person is called.
pub(crate) const UNDO_ATTEMPTS: u32 = 2;

/// One saga of this definition, and so many faults and operator's acts.
pub(crate) struct Protocol {
    pub(crate) definition: Definition,
    faults: u8,
    symmetric: bool,
    /// With a bug it may go on for ever.
    has_bug: bool,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// A participant handles the next event that it has not read.
    Handle(usize, Verdict),
    /// The owner handles the next reply that it has not read.
    Hear,
    /// A timer runs out.
    Due(String, Timer),
    /// An operator retries the oldest parked event of a participant.
    RetryParked(usize),
    /// An operator gives it up.
    DiscardParked(usize),
    /// An operator retries a parked reply.
    RetryReply,
    /// A fault, or an operator's act on the saga: there are only so many.
    Fault(Fault),
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// A participant dies when its effects are durable and, as if its checkpoint were not, handles
    /// the event again.
    Crash(usize),
    /// The owner dies so.
    CrashOfOwner,
    /// An event that a participant was sent comes again, whatever came since.
    Repeat(usize, Message),
    /// A reply comes again, whatever came since.
    RepeatReply(Reply),
    /// A participant cannot handle its next event, which is parked.
    Park(usize),
    /// The owner cannot handle the next reply, which is parked.
    ParkReply,
    /// An operator acts on the saga; what is stated about a step is true.
    Act(Verb),
}

impl Protocol {
    pub(crate) fn new(faults: u8, policies: [OnTimeout; BOTH]) -> Self {
        let second = Duration::from_secs(1);
        let patience = Retry::new(UNDO_ATTEMPTS, second, second);
        let ask = |(name, policy)| {
            let undo = Undo::ask().retry(patience);
            Step::ask(name).on_timeout(policy).undo(undo)
        };
        let asks: Vec<Step> = STEPS.into_iter().zip(policies).map(ask).collect();
        Self {
            definition: Definition::new("order", 1)
                .step(Step::local("note").undo(Undo::local().at_once()))
                .parallel(asks),
            faults,
            symmetric: policies[0] == policies[1],
            has_bug: false,
        }
    }

    pub(crate) fn with_bug(self) -> Self {
        Self {
            has_bug: true,
            ..self
        }
    }

    /// What happens without anybody's fault or doing.
    fn by_itself(state: &World, actions: &mut Vec<Action>) {
        for (party, its) in state.parties.iter().enumerate() {
            if let Some(next) = its.unread.first() {
                let verdicts: &[Verdict] = match its.would_do(*next) {
                    true => &[Verdict::Does, Verdict::Refuses],
                    false => &[Verdict::Does],
                };
                actions.extend(
                    verdicts
                        .iter()
                        .map(|verdict| Action::Handle(party, *verdict)),
                );
            }
        }
        if !state.replies.is_empty() {
            actions.push(Action::Hear);
        }
        let timers = state.saga.timers();
        actions.extend(timers.map(|(step, timer, _)| Action::Due(step.to_owned(), timer)));
    }

    fn faults(state: &World, actions: &mut Vec<Action>) {
        let mut fault = |fault| actions.push(Action::Fault(fault));
        for (party, its) in state.parties.iter().enumerate() {
            if !its.unread.is_empty() {
                fault(Fault::Crash(party));
                fault(Fault::Park(party));
            }
            for message in its.sent.iter() {
                fault(Fault::Repeat(party, *message));
            }
        }
        if !state.replies.is_empty() {
            fault(Fault::CrashOfOwner);
            fault(Fault::ParkReply);
        }
        for reply in state.replied.iter() {
            fault(Fault::RepeatReply(*reply));
        }
        if state.saga.phase.is_end() {
            return;
        }
        fault(Fault::Act(Verb::RetryCompensation));
        fault(Fault::Act(Verb::ForceCompensation));
        fault(Fault::Act(Verb::Abandon));
        for (its, step) in state.parties.iter().zip(STEPS) {
            let step = step.to_owned();
            for outcome in its.truths() {
                let step = step.clone();
                fault(Fault::Act(Verb::ResolveStep { step, outcome }));
            }
            fault(Fault::Act(Verb::RetryStep { step }));
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut saga = State::new(&self.definition, &Policy::new());
        // The definition says the same.
        saga.policy.clear();
        let mut world = World::new(saga, self.faults);
        world.start(&self.definition);
        vec![world]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        Self::by_itself(state, actions);
        for (party, its) in state.parties.iter().enumerate() {
            if !its.parked.is_empty() {
                actions.extend([Action::RetryParked(party), Action::DiscardParked(party)]);
            }
        }
        if !state.parked_replies.is_empty() {
            actions.push(Action::RetryReply);
        }
        if state.faults_left > 0 {
            Self::faults(state, actions);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut next = last.clone();
        next.happens(&self.definition, &action);
        if next == *last {
            return None;
        }
        // Nothing goes on for ever: so whatever does not stand still comes to stand still.
        assert!(
            self.has_bug || next.potential() < last.potential(),
            "{action:?} leads back: {last:?}, {next:?}"
        );
        next.forget();
        Some(if self.symmetric {
            next.of_twins()
        } else {
            next
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NETS, |_, state: &World| state.nets()),
            Property::always(STANDS, |_, state: &World| state.stands()),
            Property::always(AGREE, |_, state: &World| !state.contradicted),
            Property::always(ENDS, |_, state: &World| {
                let mut actions = Vec::new();
                Self::by_itself(state, &mut actions);
                let waits = matches!(state.saga.phase, Phase::NeedsIntervention | Phase::Parked);
                !actions.is_empty() || waits || state.saga.phase.is_end()
            }),
            Property::sometimes("everything that may goes wrong", |_, state: &World| {
                state.faults_left == 0
            }),
            Property::sometimes("a saga completes", |_, state: &World| {
                state.saga.phase == Phase::Completed
            }),
            Property::sometimes("a saga is compensated", |_, state: &World| {
                state.saga.phase == Phase::Compensated
                    && state.parties.iter().all(|its| its.undone == 1)
            }),
            Property::sometimes("a person is called", |_, state: &World| {
                state.saga.phase == Phase::NeedsIntervention
            }),
            Property::sometimes("a late confirmation closes it", |_, state: &World| {
                state.was_called && state.saga.phase == Phase::Compensated
            }),
            Property::sometimes("a reply comes late", |_, state: &World| {
                state.saga.steps.iter().any(|step| step.late.is_some())
            }),
        ]
    }
}
