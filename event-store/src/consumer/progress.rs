use futures::{FutureExt, future::select_all};
use tokio::sync::watch;

use super::checkpoint::Place;

/// What a consumer is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its task has not read its checkpoint yet, or has ended.
    Stopped,
    /// It reads.
    Running,
    /// It reads along, while another replica handles.
    Standby,
    /// An operator paused it.
    Paused,
    /// The consumer has another number of parts than this process is made for: it handles nothing here,
    /// and says what has to happen. Those that do handle are followed.
    Waiting(String),
    /// It refuses the log, and says why: another epoch, or a checkpoint beyond the head.
    Refused(String),
}

impl State {
    /// What is said of a consumer whose parts do different things: the higher.
    const fn rank(&self) -> u8 {
        match self {
            Self::Standby => 0,
            Self::Running => 1,
            Self::Paused => 2,
            Self::Stopped => 3,
            Self::Waiting(_) => 4,
            Self::Refused(_) => 5,
        }
    }
}

/// How far a consumer is in this process; of one that is split, all its parts. Clones follow the same
/// consumer.
#[derive(Clone, Debug)]
pub struct Progress {
    name: &'static str,
    /// One at least.
    parts: Vec<watch::Receiver<Report>>,
}

#[derive(Clone, Debug)]
struct Report {
    /// The checkpoint that it went on from.
    from: Option<Place>,
    position: i64,
    state: State,
}

impl Progress {
    /// That of all these as one; none of none.
    pub(super) fn of_all(
        name: &'static str,
        parts: impl IntoIterator<Item = Self>,
    ) -> Option<Self> {
        let parts: Vec<_> = parts.into_iter().flat_map(|part| part.parts).collect();
        (!parts.is_empty()).then_some(Self { name, parts })
    }

    /// The consumer.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Everything up to here has been handled, parked, or was of a foreign type; -1 before the
    /// checkpoint was read.
    pub fn position(&self) -> i64 {
        let positions = self.parts.iter().map(|part| part.borrow().position);
        positions.min().unwrap_or(-1)
    }

    /// As [`Progress::position`], while this process goes on from that checkpoint; once somebody
    /// else has moved it, by a replay or in another replica, what was read here says nothing.
    pub(super) fn position_from(&self, checkpoint: Place) -> Option<i64> {
        let goes_on = |part: &watch::Receiver<Report>| part.borrow().from == Some(checkpoint);
        self.parts.iter().all(goes_on).then(|| self.position())
    }

    /// What it is doing; where its parts do different things, what wants attention first.
    pub fn state(&self) -> State {
        let states = self.parts.iter().map(|part| part.borrow().state.clone());
        states.max_by_key(State::rank).unwrap_or(State::Stopped)
    }

    /// Waits until the consumer has read the log up to `position`; for ever when it does not get
    /// there, so give it a timeout.
    pub async fn caught_up_to(&self, position: i64) {
        self.until(|now| now.position() >= position).await;
    }

    /// Waits until the consumer is in a state that `condition` accepts.
    pub async fn until_state(&self, condition: impl Fn(&State) -> bool) {
        self.until(|now| condition(&now.state())).await;
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut now = self.clone();
        loop {
            // Before the look, so that what changes meanwhile is not missed.
            for part in &mut now.parts {
                part.mark_unchanged();
            }
            if condition(&now) {
                return;
            }
            let changes = now.parts.iter_mut().map(|part| part.changed().boxed());
            let (changed, ..) = select_all(changes).await;
            if changed.is_err() {
                // The consumer is gone with all who could move it.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The consumer's own side.
#[derive(Debug)]
pub(super) struct Reporter {
    name: &'static str,
    now: watch::Sender<Report>,
}

impl Reporter {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            now: watch::Sender::new(Report {
                from: None,
                position: -1,
                state: State::Stopped,
            }),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            name: self.name,
            parts: vec![self.now.subscribe()],
        }
    }

    pub(super) fn at(&self, from: Place, position: i64) {
        self.now.send_if_modified(|now| {
            let moved = now.position != position;
            now.from = Some(from);
            now.position = position;
            moved
        });
    }

    pub(super) fn is(&self, state: State) {
        self.now.send_if_modified(|now| {
            let changed = now.state != state;
            now.state = state;
            changed
        });
    }

    pub(super) fn refused(&self) -> bool {
        matches!(self.now.borrow().state, State::Refused(_))
    }

    pub(super) fn waits(&self) -> bool {
        matches!(self.now.borrow().state, State::Waiting(_))
    }
}
