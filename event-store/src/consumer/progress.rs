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
    /// It refuses the log, and says why: another epoch, or a checkpoint beyond the head.
    Refused(String),
}

/// How far a consumer is in this process. Clones follow the same consumer.
#[derive(Clone, Debug)]
pub struct Progress {
    name: &'static str,
    now: watch::Receiver<Report>,
}

#[derive(Clone, Debug)]
struct Report {
    /// The checkpoint that it went on from.
    from: Option<Place>,
    position: i64,
    state: State,
}

impl Progress {
    /// The consumer.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Everything up to here has been handled, parked, or was of a foreign type; -1 before the
    /// checkpoint was read.
    pub fn position(&self) -> i64 {
        self.now.borrow().position
    }

    /// As [`Progress::position`], while this process goes on from that checkpoint; once somebody
    /// else has moved it, by a replay or in another replica, what was read here says nothing.
    pub(super) fn position_from(&self, checkpoint: Place) -> Option<i64> {
        let now = self.now.borrow();
        (now.from == Some(checkpoint)).then_some(now.position)
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.now.borrow().state.clone()
    }

    /// Waits until the consumer has read the log up to `position`; for ever when it does not get
    /// there, so give it a timeout.
    pub async fn caught_up_to(&self, position: i64) {
        self.until(|report| report.position >= position).await;
    }

    /// Waits until the consumer is in a state that `condition` accepts.
    pub async fn until_state(&self, condition: impl Fn(&State) -> bool) {
        self.until(|report| condition(&report.state)).await;
    }

    async fn until(&self, condition: impl Fn(&Report) -> bool) {
        let mut now = self.now.clone();
        if now.wait_for(condition).await.is_err() {
            // The consumer is gone with all who could move it.
            std::future::pending::<()>().await;
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
            now: self.now.subscribe(),
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
}
