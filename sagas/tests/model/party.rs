//! A participant, and what it and the owner say to each other.

use std::collections::BTreeSet;

use sagas::{
    participant::rule::{Ending, Line, OnAsk, Settled},
    transition::Resolution,
};

/// What an owner tells a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    Ask,
    Revoke,
    Completed,
}

/// Whether a participant that may do what it is asked does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Does,
    Refuses,
}

/// What a participant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Says {
    Done,
    Refused,
    Undone,
}

/// Who says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reply {
    pub(crate) party: usize,
    pub(crate) says: Says,
}

/// A participant: its ledger's line, its effect, and what it has not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Party {
    pub(crate) line: Line,
    pub(crate) done: u8,
    pub(crate) undone: u8,
    pub(crate) unread: Vec<Message>,
    pub(crate) parked: Vec<Message>,
    /// What the log has for it, to be repeated.
    pub(crate) sent: BTreeSet<Message>,
}

impl Party {
    /// Whether the ledger lets it do what it is asked, so that it may also refuse.
    pub(crate) fn would_do(&self, message: Message) -> bool {
        let rule = self.line.ask();
        message == Message::Ask
            && self.parked.is_empty()
            && matches!(rule, OnAsk::Do | OnAsk::DoForGood)
    }

    /// What is true of its step.
    pub(crate) fn truths(&self) -> Vec<Resolution> {
        let is_true = |truth: &Resolution| match truth {
            Resolution::Done => {
                self.line.settled == Some(Settled::Done) && self.line.ending.is_none()
            }
            Resolution::Refused => self.line.settled == Some(Settled::Refused),
            Resolution::Undone => self.line.ending == Some(Ending::Revoked),
        };
        [Resolution::Done, Resolution::Refused, Resolution::Undone]
            .into_iter()
            .filter(is_true)
            .collect()
    }
}
