//! Files that are taken over while the gateway runs: certificates, keys, authorities.
//!
//! The same rule as for the configuration: the files are read, not watched, and what they hold is judged
//! only when two reads, a moment apart, agree. Files that are being written one after the other are
//! judged in between at worst, refused, and judged again when they are whole. What was refused leaves in
//! force what was before.

use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the files are looked at.
const POLL: Duration = Duration::from_millis(500);
/// Two reads must agree over this long.
const SETTLED: Duration = Duration::from_millis(200);

/// What is made of files.
pub(crate) trait Rotated: Send + Sync + 'static {
    /// What is in the files.
    type Texts: Clone + PartialEq + Send + 'static;
    /// Why nothing can be made of it.
    type Error: PartialEq + Send + 'static;

    /// Reads the files; may block.
    ///
    /// # Errors
    /// When one cannot be read.
    fn read(&self) -> Result<Self::Texts, Self::Error>;

    /// Whether this is what is in force.
    fn is_in_force(&self, texts: &Self::Texts) -> bool;

    /// Judges what was read and puts it in force.
    ///
    /// # Errors
    /// When it is not sound; then nothing has changed.
    fn take(&self, texts: Self::Texts) -> Result<(), Self::Error>;

    /// Tells somebody that what was read was taken, or why not.
    fn tell(&self, outcome: Result<(), &Self::Error>);
}

/// What is known of the files.
enum Seen<R: Rotated> {
    InForce,
    Refused(R::Texts),
    Unreadable(R::Error),
}

impl<R: Rotated> Seen<R> {
    fn is(&self, rotated: &R, read: &Result<R::Texts, R::Error>) -> bool {
        match (self, read) {
            (Self::InForce, Ok(texts)) => rotated.is_in_force(texts),
            (Self::Refused(refused), Ok(texts)) => texts == refused,
            (Self::Unreadable(before), Err(error)) => before == error,
            _ => false,
        }
    }
}

/// Follows the files until nobody needs what is made of them any more.
pub(crate) async fn follow<R: Rotated>(rotated: Weak<R>) {
    let mut seen = Seen::<R>::InForce;
    loop {
        tokio::time::sleep(POLL).await;
        let Some(rotated) = rotated.upgrade() else {
            return;
        };
        let Some(first) = read(&rotated).await else {
            continue;
        };
        if seen.is(&rotated, &first) {
            continue;
        }
        tokio::time::sleep(SETTLED).await;
        if read(&rotated).await.is_none_or(|second| second != first) {
            continue;
        }
        seen = judge(&*rotated, first);
    }
}

fn judge<R: Rotated>(rotated: &R, read: Result<R::Texts, R::Error>) -> Seen<R> {
    match read {
        Ok(texts) if rotated.is_in_force(&texts) => Seen::InForce,
        Ok(texts) => match rotated.take(texts.clone()) {
            Ok(()) => {
                rotated.tell(Ok(()));
                Seen::InForce
            }
            Err(error) => {
                rotated.tell(Err(&error));
                Seen::Refused(texts)
            }
        },
        Err(error) => {
            rotated.tell(Err(&error));
            Seen::Unreadable(error)
        }
    }
}

/// The files may lie on a network: a read that hangs must hold up nothing else. `None` when the runtime
/// ends.
async fn read<R: Rotated>(rotated: &Arc<R>) -> Option<Result<R::Texts, R::Error>> {
    let rotated = Arc::clone(rotated);
    tokio::task::spawn_blocking(move || rotated.read())
        .await
        .ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use tokio::sync::mpsc;

    use super::*;

    type Told = Result<String, String>;

    /// One file; what it holds is sound unless it says otherwise.
    struct File {
        content: Mutex<Result<&'static str, &'static str>>,
        in_force: Mutex<&'static str>,
        told: mpsc::UnboundedSender<Told>,
    }

    fn get<T: Copy>(of: &Mutex<T>) -> T {
        *of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set<T>(of: &Mutex<T>, value: T) {
        *of.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    impl Rotated for File {
        type Texts = &'static str;
        type Error = &'static str;

        fn read(&self) -> Result<&'static str, &'static str> {
            get(&self.content)
        }

        fn is_in_force(&self, texts: &&'static str) -> bool {
            get(&self.in_force) == *texts
        }

        fn take(&self, texts: &'static str) -> Result<(), &'static str> {
            if texts == "broken" {
                return Err("is broken");
            }
            set(&self.in_force, texts);
            Ok(())
        }

        fn tell(&self, outcome: Result<(), &&'static str>) {
            let outcome = outcome.map(|()| get(&self.in_force).to_owned());
            let _ = self.told.send(outcome.map_err(|error| (*error).to_owned()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sound_is_taken_over_and_all_else_leaves_what_was() {
        let (told, mut tells) = mpsc::unbounded_channel();
        let file = Arc::new(File {
            content: Mutex::new(Ok("one")),
            in_force: Mutex::new("one"),
            told,
        });
        let following = tokio::spawn(follow(Arc::downgrade(&file)));
        for (content, outcome, in_force) in [
            (Ok("two"), Ok("two"), "two"),
            (Ok("broken"), Err("is broken"), "two"),
            (Err("is gone"), Err("is gone"), "two"),
            (Ok("three"), Ok("three"), "three"),
        ] {
            set(&file.content, content);
            let told = tells.recv().await.expect("it is told");
            let outcome: Told = outcome.map(str::to_owned).map_err(str::to_owned);
            assert_eq!((told, get(&file.in_force)), (outcome, in_force));
            // Once, however long it stays so.
            tokio::time::sleep(POLL * 10).await;
            assert!(tells.try_recv().is_err(), "{content:?}");
        }
        drop(file);
        following.await.expect("it ends with what it follows");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_goes_back_to_what_is_in_force_is_no_news() {
        let (told, mut tells) = mpsc::unbounded_channel();
        let file = Arc::new(File {
            content: Mutex::new(Ok("broken")),
            in_force: Mutex::new("one"),
            told,
        });
        tokio::spawn(follow(Arc::downgrade(&file)));
        assert_eq!(tells.recv().await, Some(Err("is broken".to_owned())));
        set(&file.content, Ok("one"));
        tokio::time::sleep(POLL * 10).await;
        set(&file.content, Ok("broken"));
        assert_eq!(tells.recv().await, Some(Err("is broken".to_owned())));
    }
}
