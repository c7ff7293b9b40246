use std::{
    fmt,
    future::Future,
    ops::ControlFlow,
    panic::Location,
    time::{Duration, Instant},
};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// What a condition may say: `()`, `bool`, `Option<T>`, a `Result` of one of these, or
/// `ControlFlow::Break(value)` against `Continue(why not yet)`.
pub trait Outcome {
    /// What is there once the condition holds.
    type Value;
    /// The value, or why the condition does not hold yet.
    ///
    /// # Errors
    /// A text for the failure message.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();
    fn settle(self) -> Result<(), String> {
        self.then_some(())
            .ok_or_else(|| "it was still false".to_owned())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "there was still nothing".to_owned())
    }
}

impl Outcome for () {
    type Value = ();
    fn settle(self) -> Result<(), String> {
        Ok(())
    }
}

/// An error is a reason to look again; `Ok(false)` and `Ok(None)` are not yet what was waited for.
impl<T: Outcome, E: fmt::Display> Outcome for Result<T, E> {
    type Value = T::Value;
    fn settle(self) -> Result<T::Value, String> {
        match self {
            Ok(outcome) => outcome.settle(),
            Err(error) => Err(format!("the last error was: {error:#}")),
        }
    }
}

impl<T> Outcome for ControlFlow<T, String> {
    type Value = T;
    fn settle(self) -> Result<T, String> {
        match self {
            Self::Break(value) => Ok(value),
            Self::Continue(why) => Err(why),
        }
    }
}

/// Looks at `condition` until it holds, and returns its value.
///
/// Real time counts, also in a test whose tokio clock is paused.
///
/// # Panics
/// When it does not hold `within` the time; the message names the caller's line and the last
/// answer.
#[track_caller]
pub fn eventually<F, Fut>(
    within: Duration,
    mut condition: F,
) -> impl Future<Output = <Fut::Output as Outcome>::Value>
where
    F: FnMut() -> Fut,
    Fut: Future,
    Fut::Output: Outcome,
{
    let caller = Location::caller();
    async move {
        let began = Instant::now();
        loop {
            let last = match condition().await.settle() {
                Ok(value) => return value,
                Err(last) => last,
            };
            assert!(
                began.elapsed() < within,
                "the condition at {caller} did not hold within {within:?}: {last}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_to_hold_gives_its_value() {
        let mut looks = 0;
        let value = eventually(Duration::from_secs(5), || {
            looks += 1;
            let value = (looks == 3).then_some(looks);
            async move { value }
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "did not hold within 30ms: the last error was: not yet")]
    async fn a_condition_that_never_holds_fails_with_its_last_error() {
        eventually(Duration::from_millis(30), || async {
            Err::<(), _>("not yet")
        })
        .await;
    }

    #[tokio::test]
    #[should_panic(expected = "it was still false")]
    async fn a_condition_that_could_be_read_and_is_false_does_not_hold() {
        eventually(Duration::from_millis(30), || async {
            Ok::<_, String>(false)
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_does_not_shorten_the_wait() {
        let began = Instant::now();
        eventually(Duration::from_secs(5), || async {
            began.elapsed() > Duration::from_millis(30)
        })
        .await;
    }
}
