//! What keeps one bad saga from being everybody's: panics of workflow code are errors of its saga
//! alone, and what failed is looked at again less and less often.

use std::{any::Any, collections::HashMap, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Error, workflow::WorkflowError};

/// The pause after a saga could not be sorted out once; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(1);

/// As for a timer that does not fire: a person must look, and others must not wait.
const LONGEST: Duration = Duration::from_secs(300);

/// Sagas that are remembered as failing at most; beyond it all are simply tried again.
const MAX_REMEMBERED: usize = 10_000;

/// Runs work for one saga; a panic is an error like any other. Its transaction ends with it, and
/// with that is rolled back, so that nothing half done is left.
pub(super) async fn guarded<T>(
    step: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let ran = AssertUnwindSafe(work).catch_unwind().await;
    ran.unwrap_or_else(|panic| {
        Err(Error::Workflow {
            step: step.to_owned(),
            source: WorkflowError::Other(format!("it panicked: {}", text_of(&*panic))),
        })
    })
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text")
}

/// Which sagas failed lately, and when they are to be tried again.
#[derive(Default)]
pub(super) struct Trouble(HashMap<Uuid, (Instant, u32)>);

impl Trouble {
    /// Whether it is too early to try this one again.
    pub(super) fn rests(&self, saga: Uuid) -> bool {
        let at = self.0.get(&saga);
        at.is_some_and(|(at, _)| *at > Instant::now())
    }

    /// Notes that it failed again.
    pub(super) fn failed(&mut self, saga: Uuid) {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        let (at, failures) = self.0.entry(saga).or_insert((Instant::now(), 0));
        let pause = FIRST.saturating_mul(1 << (*failures).min(16)).min(LONGEST);
        (*at, *failures) = (Instant::now() + pause, *failures + 1);
    }

    /// Notes that it is well.
    pub(super) fn is_well(&mut self, saga: Uuid) {
        self.0.remove(&saga);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_text() {
        let ran: Result<(), Error> = guarded("pay", async { panic!("no money") }).await;
        let error = ran.expect_err("a panic").to_string();
        assert_eq!(error, "workflow code of pay failed: it panicked: no money");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_again_rests_longer() {
        let (mut trouble, saga) = (Trouble::default(), Uuid::from_u128(1));
        assert!(!trouble.rests(saga));
        for pause in [1, 2, 4] {
            trouble.failed(saga);
            tokio::time::advance(Duration::from_secs(pause) - Duration::from_millis(1)).await;
            assert!(trouble.rests(saga), "{pause}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!trouble.rests(saga), "{pause}");
        }
        trouble.failed(saga);
        trouble.is_well(saga);
        assert!(!trouble.rests(saga));
    }
}
