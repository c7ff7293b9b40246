//! What the ledger says to an ask, a revocation and a completion: a pure function of one line, the
//! same for participants and for the model that is checked exhaustively (`sagas/tests/model`).
//!
//! Invariant: an ask is done at most once, nothing of a revoked saga is done or stays, and the first
//! end stands.

use faults::Mutation;

/// What is known of one step of one saga.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// How the ask went, once it was handled.
    pub settled: Option<Settled>,
    /// How the saga ended, once that was learned.
    pub ending: Option<Ending>,
}

/// How an ask went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    /// It was done.
    Done,
    /// It was refused, and nothing was done.
    Refused,
}

/// How a saga ended, for one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// What it asked for is taken back.
    Revoked,
    /// What it asked for stays.
    Completed,
}

/// What an ask comes to; see [`super::Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAsk {
    /// Do it, provisionally.
    Do,
    /// Do it for good.
    DoForGood,
    /// Answer as when it was done.
    Done,
    /// Answer as when it was refused.
    Refused,
    /// Do nothing.
    Revoked,
}

/// What a revocation comes to; see [`super::Revoke`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRevoke {
    /// Take the effect back, then confirm.
    Undo,
    /// Confirm that there is nothing.
    Nothing,
    /// Confirm again.
    Again,
    /// It stays; somebody is at fault.
    Completed,
}

/// What a completion comes to; see [`super::Complete`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnComplete {
    /// Make the effect final.
    Settle,
    /// There is nothing to make final.
    Nothing,
    /// It is final.
    Again,
    /// It was taken back; somebody is at fault.
    Revoked,
}

impl Line {
    /// What an ask comes to.
    #[must_use]
    pub fn ask(self) -> OnAsk {
        let revoked = self.ending == Some(Ending::Revoked);
        match (self.settled, self.ending) {
            _ if revoked && !faults::is_on(Mutation::BarrierSkipped) => OnAsk::Revoked,
            (Some(Settled::Done), _) => OnAsk::Done,
            (Some(Settled::Refused), _) => OnAsk::Refused,
            (None, Some(Ending::Completed)) => OnAsk::DoForGood,
            (None, _) => OnAsk::Do,
        }
    }

    /// What a revocation comes to; the line is then [`Line::ended`].
    #[must_use]
    pub const fn revoke(self) -> OnRevoke {
        match (self.settled, self.ending) {
            (_, Some(Ending::Completed)) => OnRevoke::Completed,
            (Some(Settled::Done), Some(Ending::Revoked)) => OnRevoke::Again,
            (Some(Settled::Done), None) => OnRevoke::Undo,
            (_, _) => OnRevoke::Nothing,
        }
    }

    /// What a completion comes to; the line is then [`Line::ended`].
    #[must_use]
    pub const fn complete(self) -> OnComplete {
        match (self.settled, self.ending) {
            (_, Some(Ending::Revoked)) => OnComplete::Revoked,
            (_, Some(Ending::Completed)) => OnComplete::Again,
            (Some(Settled::Done), None) => OnComplete::Settle,
            (_, None) => OnComplete::Nothing,
        }
    }

    /// The line after an end was learned: the first one stands.
    #[must_use]
    pub const fn ended(self, ending: Ending) -> Self {
        match self.ending {
            Some(_) => self,
            None => Self {
                ending: Some(ending),
                ..self
            },
        }
    }
}
