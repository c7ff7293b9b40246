//! Password hashing beside the request threads: slow by intent, so bounded in number and in queue.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::Semaphore;

use crate::domain::{Password, PasswordHash, SALT_LENGTH, UnusableHash};

/// Hashes at one time. Each takes 19 MiB and a whole core; more of them than cores would only make
/// all of them later, and other requests with them.
const AT_ONCE: usize = 2;

/// Hashes that may wait: at some 20 ms each and two at a time the last of them waits 2.5 s, which
/// is what a login may take. Beyond that it is refused at once.
const WAITING: usize = 256;

/// Why nothing was hashed.
#[derive(Debug, Error)]
pub enum HashingError {
    /// Too many are waiting.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash could not be computed.
    #[error(transparent)]
    Unusable(#[from] UnusableHash),
    /// The blocking thread was lost.
    #[error("hashing was given up: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// Hashes and verifies passwords. Clones share the bounds.
#[derive(Clone, Debug)]
pub struct Hasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(AT_ONCE)),
            admitted: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
        }
    }
}

impl Hasher {
    /// Whether there is room for one more, so that nobody is charged for a guess that is not
    /// looked at.
    ///
    /// # Errors
    /// [`HashingError::Busy`] when too many wait already.
    pub fn has_room(&self) -> Result<(), HashingError> {
        if self.admitted.available_permits() == 0 {
            return Err(HashingError::Busy);
        }
        Ok(())
    }

    /// The hash of `password` with a fresh salt.
    ///
    /// # Errors
    /// [`HashingError::Busy`] when too many wait already.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashingError> {
        let salt: [u8; SALT_LENGTH] = rand::random();
        self.run(move || PasswordHash::of(&password, &salt)).await
    }

    /// Whether `password` is the one `hash` was made from. Without a hash it takes as long and
    /// says no, so that the answer's time does not tell who has an account.
    ///
    /// # Errors
    /// [`HashingError::Busy`] when too many wait already.
    pub async fn fits(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, HashingError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(PasswordHash::nobodys);
        let fits = self.run(move || hash.fits(&password)).await?;
        Ok(known && fits)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, UnusableHash> + Send + 'static,
    ) -> Result<T, HashingError> {
        let _admitted = self
            .admitted
            .try_acquire()
            .map_err(|_| HashingError::Busy)?;
        let running = Arc::clone(&self.running);
        let permit = running
            .acquire_owned()
            .await
            .map_err(|_| HashingError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // The permit goes with the work: a request that was given up does not free the core.
            let _permit = permit;
            work()
        });
        Ok(done.await??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_hash_and_nobody_fits_none() {
        let hasher = Hasher::default();
        let password = Password::attempted("correct horse");
        let hash = hasher.hash(password.clone()).await.unwrap();
        assert!(hasher.fits(password.clone(), Some(hash)).await.unwrap());
        assert!(!hasher.fits(password, None).await.unwrap());
    }

    #[tokio::test]
    async fn more_than_the_queue_holds_is_refused_at_once() {
        let hasher = Hasher::default();
        let _all = hasher
            .admitted
            .acquire_many((AT_ONCE + WAITING) as u32)
            .await
            .unwrap();
        let refused = hasher.hash(Password::attempted("correct horse")).await;
        assert!(matches!(refused, Err(HashingError::Busy)));
        assert!(matches!(hasher.has_room(), Err(HashingError::Busy)));
    }
}
