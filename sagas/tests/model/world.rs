//! Owner, participants and what each has not read of the log.
//!
//! Every handler is one step, since its transaction is one. The order of events of different readers
//! is nobody's business, so each reader has a list of its own. Timers may run out at any time: that
//! is more than any clock allows, skewed ones included.

use std::{
    collections::{BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use database::Timestamp;
use sagas::{
    Definition, Effect, End, Input, Intervention, Outcome, Phase, Progress, State, Timer, Undoing,
    Verb,
    participant::rule::{Ending, OnAsk, OnComplete, OnRevoke, Settled},
    transition,
};

use super::{
    party::{Message, Party, Reply, Says, Verdict},
    protocol::{Action, BOTH, Fault, STEPS, UNDO_ATTEMPTS},
};

/// All there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) saga: State,
    /// The owner's own effect.
    noted: i8,
    pub(crate) parties: [Party; BOTH],
    pub(crate) replies: VecDeque<Reply>,
    pub(crate) parked_replies: Vec<Reply>,
    pub(crate) replied: BTreeSet<Reply>,
    pub(crate) faults_left: u8,
    /// It has turned back at some time.
    turned: bool,
    /// A person was called at some time.
    pub(crate) was_called: bool,
    /// The first end that it came to.
    end: Option<Phase>,
    /// A participant was told that a saga completed and that it was revoked.
    pub(crate) contradicted: bool,
}

impl World {
    pub(crate) fn new(saga: State, faults_left: u8) -> Self {
        Self {
            saga,
            noted: 0,
            parties: Default::default(),
            replies: VecDeque::new(),
            parked_replies: Vec::new(),
            replied: BTreeSet::new(),
            faults_left,
            turned: false,
            was_called: false,
            end: None,
            contradicted: false,
        }
    }

    pub(crate) fn start(&mut self, definition: &Definition) {
        self.moves(definition, Input::Start);
    }

    pub(crate) fn happens(&mut self, definition: &Definition, action: &Action) {
        match action {
            Action::Handle(party, verdict) => {
                let message = self.parties[*party].unread.remove(0);
                // An event waits behind a parked one of its stream.
                match self.parties[*party].parked.is_empty() {
                    true => self.handles(*party, message, *verdict),
                    false => self.parties[*party].parked.push(message),
                }
            }
            Action::Hear => {
                let reply = self.replies.pop_front();
                self.hears(definition, reply);
            }
            Action::Due(step, timer) => {
                let (step, timer) = (step.clone(), *timer);
                self.moves(definition, Input::Due { step, timer });
            }
            Action::RetryParked(party) => {
                let message = self.parties[*party].parked.remove(0);
                self.handles(*party, message, Verdict::Does);
            }
            Action::DiscardParked(party) => {
                self.parties[*party].parked.remove(0);
            }
            Action::RetryReply => {
                let reply = self.parked_replies.pop();
                self.hears(definition, reply);
            }
            Action::Fault(fault) => {
                self.faults_left -= 1;
                self.goes_wrong(definition, fault);
            }
        }
    }

    fn goes_wrong(&mut self, definition: &Definition, fault: &Fault) {
        match fault {
            Fault::Crash(party) => {
                let message = self.parties[*party].unread[0];
                if self.parties[*party].parked.is_empty() {
                    self.handles(*party, message, Verdict::Does);
                }
            }
            Fault::CrashOfOwner => {
                let reply = self.replies.front().copied();
                self.hears(definition, reply);
            }
            Fault::Repeat(party, message) => self.parties[*party].unread.push(*message),
            Fault::RepeatReply(reply) => self.replies.push_back(*reply),
            Fault::Park(party) => {
                let its = &mut self.parties[*party];
                let message = its.unread.remove(0);
                its.parked.push(message);
            }
            Fault::ParkReply => self.parked_replies.extend(self.replies.pop_front()),
            Fault::Act(verb) => self.acts(definition, verb),
        }
    }

    fn acts(&mut self, definition: &Definition, verb: &Verb) {
        let by = Intervention {
            verb: verb.clone(),
            actor: String::new(),
            reason: String::new(),
        };
        self.moves(definition, Input::Intervened(by));
    }

    /// A participant's transaction; as `sagas::participating` goes on from what the ledger says.
    fn handles(&mut self, party: usize, message: Message, verdict: Verdict) {
        let its = &mut self.parties[party];
        let says = match message {
            Message::Ask => match (its.line.ask(), verdict) {
                (OnAsk::Do | OnAsk::DoForGood, Verdict::Does) => {
                    its.done += 1;
                    its.line.settled = Some(Settled::Done);
                    Some(Says::Done)
                }
                (OnAsk::Do | OnAsk::DoForGood, Verdict::Refuses) => {
                    its.line.settled = Some(Settled::Refused);
                    Some(Says::Refused)
                }
                (OnAsk::Done, _) => Some(Says::Done),
                (OnAsk::Refused, _) => Some(Says::Refused),
                (OnAsk::Revoked, _) => None,
            },
            Message::Revoke => {
                let rule = its.line.revoke();
                its.undone += u8::from(rule == OnRevoke::Undo);
                its.line = its.line.ended(Ending::Revoked);
                self.contradicted |= rule == OnRevoke::Completed;
                Some(Says::Undone)
            }
            Message::Completed => {
                self.contradicted |= its.line.complete() == OnComplete::Revoked;
                its.line = its.line.ended(Ending::Completed);
                None
            }
        };
        if let Some(says) = says {
            let reply = Reply { party, says };
            self.replied.insert(reply);
            self.replies.push_back(reply);
        }
    }

    /// The owner's transaction for a reply.
    fn hears(&mut self, definition: &Definition, reply: Option<Reply>) {
        let Some(Reply { party, says }) = reply else {
            return;
        };
        let step = STEPS[party].to_owned();
        let answered = |outcome| Input::Answered {
            step: step.clone(),
            outcome,
            result: None,
        };
        let input = match says {
            Says::Done => answered(Outcome::Done),
            Says::Refused => answered(Outcome::Refused {
                reason: String::new(),
            }),
            Says::Undone => Input::Undone { step },
        };
        self.moves(definition, input);
    }

    /// The owner's transaction: the crate's own transition, and its effects. What is not possible
    /// changes nothing.
    fn moves(&mut self, definition: &Definition, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            // All timers are due, always: when they were set says nothing.
            let now = Timestamp::from_micros(0);
            let Ok((state, effects)) = transition(definition, &self.saga, &input, now) else {
                return;
            };
            self.saga = state;
            for effect in effects {
                inputs.extend(self.carries_out(effect));
            }
        }
        self.saga.reason = None;
        for step in &mut self.saga.steps {
            step.error = None;
            for due in step.timers.values_mut() {
                *due = Timestamp::from_micros(0);
            }
        }
        let phase = self.saga.phase;
        self.turned |= phase.is_compensating() || self.saga.rolled_back;
        self.was_called |= phase == Phase::NeedsIntervention;
        self.end = self.end.or(phase.is_end().then_some(phase));
    }

    fn carries_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Act { step, .. } => {
                self.noted += 1;
                return Some(Input::Answered {
                    step,
                    outcome: Outcome::Done,
                    result: None,
                });
            }
            Effect::Undo { step, .. } => {
                self.noted -= 1;
                return Some(Input::Undone { step });
            }
            Effect::Ask { step, .. } => self.tell(&step, Message::Ask),
            Effect::AskUndo { step, .. } => self.tell(&step, Message::Revoke),
            Effect::Ended(End::Completed) => {
                for step in STEPS {
                    self.tell(step, Message::Completed);
                }
            }
            Effect::Ended(End::Compensated | End::Abandoned) | Effect::Intervened(_) => {}
        }
        None
    }

    fn tell(&mut self, step: &str, message: Message) {
        for (its, _) in self
            .parties
            .iter_mut()
            .zip(STEPS)
            .filter(|(_, name)| *name == step)
        {
            its.sent.insert(message);
            its.unread.push(message);
        }
    }

    /// Whether effects are there once, or net to nothing, as far as the saga has come.
    pub(crate) fn nets(&self) -> bool {
        let once = |its: &Party| its.done <= 1 && its.undone <= its.done;
        let steps = self.saga.steps.iter().skip(1);
        self.parties.iter().all(once)
            && self
                .parties
                .iter()
                .zip(steps)
                .all(|(its, step)| match self.saga.phase {
                    Phase::Completed => {
                        self.noted == 1
                            && its.undone == 0
                            && (its.done == 1 || step.progress != Progress::Done)
                    }
                    Phase::Compensated => self.noted == 0 && its.done == its.undone,
                    _ => true,
                })
    }

    /// Whether the first end is the end, and nothing goes forward that turned back.
    pub(crate) fn stands(&self) -> bool {
        let phase = self.saga.phase;
        let back =
            phase.is_compensating() || matches!(phase, Phase::Compensated | Phase::Abandoned);
        self.end.is_none_or(|end| end == phase) && (!self.turned || back)
    }

    /// What can still happen, at most: it falls with everything that happens.
    pub(crate) fn potential(&self) -> u32 {
        let phase = self.saga.phase;
        let mut potential = 5_000 * u32::from(self.faults_left);
        potential += 100 * u32::from(!phase.is_end());
        potential += 1_000 * u32::from(matches!(phase, Phase::Running | Phase::Parked));
        for step in &self.saga.steps {
            let undo = matches!(step.undo, Undoing::Waiting | Undoing::Started);
            potential += 50 * u32::from(undo) * (UNDO_ATTEMPTS + 2 - step.undo_tries);
            potential += 60 * u32::from(step.timers.contains_key(&Timer::Deadline));
        }
        let unread = |its: &Party| 6 * its.unread.len() + 5 * its.parked.len();
        let messages: usize = self.parties.iter().map(unread).sum();
        let replies = 2 * self.replies.len() + self.parked_replies.len();
        potential + u32::try_from(messages + replies).expect("a handful")
    }

    /// Forgets what nothing depends on any more, so that what is the same looks the same.
    pub(crate) fn forget(&mut self) {
        for step in &mut self.saga.steps {
            // Only whether there was one.
            step.attempt = step.attempt.min(1);
            step.undo_attempt = step.undo_attempt.min(1);
        }
        if self.faults_left > 0 {
            return;
        }
        self.replied.clear();
        for its in &mut self.parties {
            its.sent.clear();
        }
    }

    /// One of the two worlds that differ only in which participant is which.
    pub(crate) fn of_twins(self) -> Self {
        let [one, two] = [hash(&self.parties[0]), hash(&self.parties[1])];
        if one < two {
            return self;
        }
        let mut twin = self.clone();
        twin.parties.swap(0, 1);
        let names = STEPS.map(ToOwned::to_owned);
        twin.saga.steps.swap(1, 2);
        for (step, name) in twin.saga.steps.iter_mut().skip(1).zip(names) {
            step.name = name;
        }
        let other = |reply: &Reply| Reply {
            party: 1 - reply.party,
            says: reply.says,
        };
        twin.replies = self.replies.iter().map(other).collect();
        twin.parked_replies = self.parked_replies.iter().map(other).collect();
        twin.replied = self.replied.iter().map(other).collect();
        if one > two || hash(&twin) < hash(&self) {
            return twin;
        }
        self
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
