//! How often somebody may be wrong before nothing more is looked at for a while.
//!
//! A guess at a password is counted three times: for the account *and* the client's address
//! together, for the address alone, for the account alone.
//! - The pair is charged **before** the password is checked, so that of many guesses at once none
//!   is free; a right one gives the charge back. Once it is used up, the right password is refused
//!   from that address, too.
//! - The address bounds whoever tries one password on many accounts.
//! - The account bounds whoever guesses from many addresses. A stranger can use it up, so it does
//!   not hold where the account was opened from before ([`TRUSTED`]): the owner at home is never
//!   locked out by others. The owner at a new address is, for the pause; resetting the password by
//!   mail makes that address a known one.
//!
//! Address and account are charged when the answer was wrong: a hundred players behind one address
//! who all know their passwords are no attack. So as many guesses as are being hashed at one moment
//! may exceed these two bounds.
//!
//! Tokens of 256 random bits cannot be guessed; that they are limited by address only keeps
//! guessers from keeping the database busy. Asking for mails is limited, because mails annoy.

mod client;

use std::num::NonZeroU32;
use std::time::Duration;

use database::{Database, Timestamp, Tx};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use client::{Client, Network, Proxies};

use crate::{
    domain::{Allowance, Refusal, whole_seconds},
    error::Error,
    store::attempts::{self, Attempts},
};

/// How long an address that opened an account is known to belong to it: as long as a login lasts.
const TRUSTED: Duration = Duration::from_hours(30 * 24);

/// The limits as configured. Counts are failures before the first pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Wrong passwords of one account from one address.
    pub password_failures: NonZeroU32,
    /// Wrong passwords of one account from addresses that never opened it.
    pub account_failures: NonZeroU32,
    /// Wrong passwords from one address.
    pub address_failures: NonZeroU32,
    /// Unknown refresh and reset tokens from one address.
    pub token_failures: NonZeroU32,
    /// Mails to one e-mail address that one client address may ask for.
    pub mail_requests: NonZeroU32,
    /// Mails to one e-mail address; what is asked for beyond is answered alike and not sent.
    pub account_mail_requests: NonZeroU32,
    /// Mails that one client address may ask for.
    pub address_mail_requests: NonZeroU32,
    /// The first pause; it doubles with each further failure.
    pub first_pause_seconds: NonZeroU32,
    /// No pause is longer.
    pub longest_pause_seconds: NonZeroU32,
    /// Failures are forgotten this long after the last one.
    pub memory_seconds: NonZeroU32,
    /// The same for mails.
    pub mail_memory_seconds: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            password_failures: number(5),
            account_failures: number(50),
            address_failures: number(100),
            token_failures: number(100),
            mail_requests: number(3),
            account_mail_requests: number(10),
            address_mail_requests: number(30),
            first_pause_seconds: number(30),
            longest_pause_seconds: number(900),
            memory_seconds: number(900),
            mail_memory_seconds: number(3600),
        }
    }
}

/// Counts, and refuses. Clones share the database.
#[derive(Clone)]
pub struct Limits {
    db: Database,
    settings: Settings,
}

/// A guess at a password that may be looked at; it is charged already.
#[derive(Debug)]
#[must_use = "a guess is right or wrong"]
pub struct Guess {
    pair: Vec<u8>,
    address: Vec<u8>,
    account: Vec<u8>,
}

/// Whether a mail that was asked for is sent. The answer to the client is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailWish {
    /// It is.
    Granted,
    /// The mailbox got enough of them.
    Enough,
}

impl Limits {
    /// Counts in `db`.
    pub fn new(db: Database, settings: Settings) -> Self {
        Self { db, settings }
    }

    /// Lets a guess at the password of `account` pass, or not.
    ///
    /// # Errors
    /// [`Refusal::TooManyAttempts`].
    pub async fn guess(&self, account: &str, client: Client) -> Result<Guess, Error> {
        let guess = Guess {
            pair: subject("password", &[account, &client.key()]),
            address: subject("password-address", &[&client.key()]),
            account: subject("password-account", &[account]),
        };
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        pass(attempts::read(&mut tx, &guess.address, now).await?, now)?;
        let pair = attempts::lock(&mut tx, &guess.pair, now).await?;
        pass(Some(pair), now)?;
        if !pair.is_trusted {
            pass(attempts::read(&mut tx, &guess.account, now).await?, now)?;
        }
        let allowance = self.allowance(self.settings.password_failures);
        attempts::count(&mut tx, &guess.pair, pair, &allowance, now).await?;
        tx.commit().await?;
        Ok(guess)
    }

    /// The guess was wrong.
    ///
    /// # Errors
    /// As the database says.
    pub async fn wrong(&self, guess: Guess) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        let failures = self.settings.address_failures;
        self.count(&mut tx, &guess.address, failures, now).await?;
        let failures = self.settings.account_failures;
        self.count(&mut tx, &guess.account, failures, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The guess was right, with the transaction that acts on it.
    ///
    /// # Errors
    /// As the database says.
    pub async fn right(&self, tx: &mut Tx, guess: &Guess, now: Timestamp) -> Result<(), Error> {
        attempts::trust(tx, &guess.pair, now + TRUSTED, now).await?;
        Ok(())
    }

    /// From here `account` was opened by other means than its password: this address is known.
    ///
    /// # Errors
    /// As the database says.
    pub async fn opened(
        &self,
        tx: &mut Tx,
        account: &str,
        client: Client,
        now: Timestamp,
    ) -> Result<(), Error> {
        let pair = subject("password", &[account, &client.key()]);
        attempts::trust(tx, &pair, now + TRUSTED, now).await?;
        Ok(())
    }

    /// Whether tokens from this address are looked at.
    ///
    /// # Errors
    /// [`Refusal::TooManyAttempts`].
    pub async fn token(&self, tx: &mut Tx, client: Client, now: Timestamp) -> Result<(), Error> {
        let address = subject("token-address", &[&client.key()]);
        pass(attempts::read(tx, &address, now).await?, now)
    }

    /// A token from this address was not one of ours.
    ///
    /// # Errors
    /// As the database says.
    pub async fn unknown_token(&self, client: Client) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        let address = subject("token-address", &[&client.key()]);
        let failures = self.settings.token_failures;
        self.count(&mut tx, &address, failures, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Counts a wish for a mail to `account`.
    ///
    /// # Errors
    /// [`Refusal::TooManyAttempts`]; the transaction is to be dropped then.
    pub async fn mail(
        &self,
        tx: &mut Tx,
        account: &str,
        client: Client,
        now: Timestamp,
    ) -> Result<MailWish, Error> {
        let memory = self.settings.mail_memory_seconds;
        let address = subject("mail-address", &[&client.key()]);
        let pair = subject("mail", &[account, &client.key()]);
        for (subject, failures) in [
            (address, self.settings.address_mail_requests),
            (pair, self.settings.mail_requests),
        ] {
            let known = attempts::lock(tx, &subject, now).await?;
            pass(Some(known), now)?;
            let allowance = self.allowance(failures).remembered(memory);
            attempts::count(tx, &subject, known, &allowance, now).await?;
        }
        let account = subject("mail-account", &[account]);
        let known = attempts::lock(tx, &account, now).await?;
        if known.blocked_until.is_some() {
            return Ok(MailWish::Enough);
        }
        let allowance = self
            .allowance(self.settings.account_mail_requests)
            .remembered(memory);
        attempts::count(tx, &account, known, &allowance, now).await?;
        Ok(MailWish::Granted)
    }

    async fn count(
        &self,
        tx: &mut Tx,
        subject: &[u8],
        failures: NonZeroU32,
        now: Timestamp,
    ) -> Result<(), Error> {
        let known = attempts::lock(tx, subject, now).await?;
        attempts::count(tx, subject, known, &self.allowance(failures), now).await?;
        Ok(())
    }

    fn allowance(&self, failures: NonZeroU32) -> Allowance {
        let seconds = |seconds: NonZeroU32| Duration::from_secs(seconds.get().into());
        Allowance {
            failures: failures.get().into(),
            first_pause: seconds(self.settings.first_pause_seconds),
            longest_pause: seconds(self.settings.longest_pause_seconds),
            memory: seconds(self.settings.memory_seconds),
        }
    }
}

impl Allowance {
    fn remembered(self, seconds: NonZeroU32) -> Self {
        let memory = Duration::from_secs(seconds.get().into());
        Self { memory, ..self }
    }
}

/// Whom something is counted for. Lengths keep neighbours apart.
fn subject(act: &str, whom: &[&str]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in [act].iter().chain(whom) {
        digest.update(part.len().to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().to_vec()
}

fn pass(known: Option<Attempts>, now: Timestamp) -> Result<(), Error> {
    match known.and_then(|known| known.blocked_until) {
        None => Ok(()),
        Some(until) => Err(Refusal::TooManyAttempts {
            retry_after: whole_seconds(until.since(now)),
        }
        .into()),
    }
}
