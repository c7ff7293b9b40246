//! The end of an account: its rows go, every service is told by `user.deleted`, and its id is kept
//! so that neither a token that is still good nor an import brings it back.

use chassis::identity::Caller;
use contracts::{events::UserDeleted, http::AccountDeletion};
use database::{Timestamp, Tx};
use event_store::{NewEvent, Outbox};
use uuid::Uuid;

use super::{Accounts, counted, is_unchanged, stream};
use crate::{
    domain::{Password, PasswordHash, Refusal},
    error::Error,
    limits::{Client, Guess},
    store::{directory, users},
};

impl Accounts {
    /// `DELETE /api/auth/profile`. Who has a password must know it: a token that was left open is
    /// not enough to destroy everything.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::InvalidCredentials`], [`Refusal::LastAdministrator`],
    /// [`Refusal::TooManyAttempts`], [`Refusal::AccountDeleted`].
    pub async fn leave(
        &self,
        caller: &Caller,
        client: Client,
        body: &AccountDeletion,
    ) -> Result<(), Error> {
        if let Some(given) = &body.password {
            Password::check_length("password", given)?;
        }
        let account = users::by_id(&self.db, caller.user_id).await?;
        let proven = match account.and_then(|account| account.password_hash) {
            None => None,
            Some(known) => Some(self.prove(caller, client, body, known).await?),
        };
        let mut tx = self.db.begin().await?;
        let administrators = directory::lock_with_administrators(&mut tx, caller.user_id).await?;
        let now = tx.now().await?;
        let account = self.own(&mut tx, caller, now).await?;
        match (&account.password_hash, &proven) {
            (None, _) => {}
            (Some(_), Some((known, _))) if is_unchanged(Some(&account), known) => {}
            // Given or changed meanwhile.
            _ => return Err(Refusal::InvalidCredentials.into()),
        }
        if administrators == [caller.user_id] {
            return Err(Refusal::LastAdministrator.into());
        }
        delete(&mut tx, &self.outbox, caller.user_id, now).await?;
        tx.commit().await?;
        tracing::info!(user_id = %caller.user_id, "a user left");
        Ok(())
    }

    /// `DELETE /api/admin/users/{id}`
    ///
    /// # Errors
    /// [`Refusal::UnknownUser`], [`Refusal::LastAdministrator`], [`Refusal::NoAdministrator`].
    pub async fn remove(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        self.administers(caller).await?;
        let mut tx = self.db.begin().await?;
        let administrators = directory::lock_with_administrators(&mut tx, id).await?;
        if users::lock(&mut tx, id).await?.is_none() {
            return Err(Refusal::UnknownUser.into());
        }
        if administrators == [id] {
            return Err(Refusal::LastAdministrator.into());
        }
        let now = tx.now().await?;
        delete(&mut tx, &self.outbox, id, now).await?;
        tx.commit().await?;
        tracing::info!(user_id = %id, by = %caller.user_id, "an administrator removed a user");
        Ok(())
    }

    async fn prove(
        &self,
        caller: &Caller,
        client: Client,
        body: &AccountDeletion,
        known: PasswordHash,
    ) -> Result<(PasswordHash, Guess), Error> {
        let given = body.password.as_deref();
        let given = given.ok_or(Refusal::InvalidCredentials)?;
        self.hasher.has_room()?;
        let guess = self.limits.guess(&counted(caller.user_id), client).await?;
        let given = Password::attempted(given);
        if self.hasher.fits(given, Some(known.clone())).await? {
            return Ok((known, guess));
        }
        self.limits.wrong(guess).await?;
        Err(Refusal::InvalidCredentials.into())
    }
}

/// Deletes an account whose lock is held, and tells everybody.
///
/// # Errors
/// As the database says.
pub(crate) async fn delete(
    tx: &mut Tx,
    outbox: &Outbox,
    id: Uuid,
    now: Timestamp,
) -> database::Result<()> {
    users::delete(tx, id, now).await?;
    let event = NewEvent::of(&UserDeleted { user_id: id })
        .stream(stream(id))
        .aggregate(id);
    outbox.enqueue(tx, event).await?;
    Ok(())
}
