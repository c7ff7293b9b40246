//! What users see and change of themselves.

use chassis::identity::Caller;
use contracts::http::{PasswordChange, Profile, ProfilePatch};

use super::{Accounts, counted, is_unchanged, profile_of, user_of};
use crate::{
    domain::{DisplayName, Password, Refusal},
    error::Error,
    limits::Client,
    store::{
        oidc, resets, tokens,
        users::{self, Account},
    },
};

impl Accounts {
    /// `GET /api/auth/profile`. Whoever has a good token and is not known here yet is shown what
    /// the token says.
    ///
    /// # Errors
    /// [`Refusal::AccountDeleted`].
    pub async fn profile(&self, caller: &Caller) -> Result<Profile, Error> {
        if let Some(account) = users::by_id(&self.db, caller.user_id).await? {
            return Ok(profile_of(account));
        }
        if users::is_deleted(&self.db, caller.user_id).await? {
            return Err(Refusal::AccountDeleted.into());
        }
        Ok(profile_of(Account {
            user: user_of(caller),
            email: None,
            password_hash: None,
        }))
    }

    /// `PATCH /api/auth/profile`
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::AccountDeleted`].
    pub async fn rename(&self, caller: &Caller, body: &ProfilePatch) -> Result<Profile, Error> {
        let name = DisplayName::parse(&body.display_name)?;
        let mut tx = self.db.begin().await?;
        let begun = tx.now().await?;
        let mut account = self.own(&mut tx, caller, begun).await?;
        let now = tx.now().await?;
        users::rename(&mut tx, caller.user_id, &name, now).await?;
        name.as_str().clone_into(&mut account.user.display_name);
        self.updated(&mut tx, &account.user).await?;
        tx.commit().await?;
        Ok(profile_of(account))
    }

    /// `POST /api/auth/password`: ends all logins of the user, wherever they are.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::NoPassword`], [`Refusal::InvalidCredentials`],
    /// [`Refusal::TooManyAttempts`], [`Refusal::AccountDeleted`].
    pub async fn change_password(
        &self,
        caller: &Caller,
        client: Client,
        body: &PasswordChange,
    ) -> Result<(), Error> {
        let new = Password::parse("newPassword", &body.new_password)?;
        let Some(account) = users::by_id(&self.db, caller.user_id).await? else {
            return Err(self.nobody(caller).await?.into());
        };
        let known = account.password_hash.ok_or(Refusal::NoPassword)?;
        self.hasher.has_room()?;
        let guess = self.limits.guess(&counted(caller.user_id), client).await?;
        let current = Password::attempted(&body.current_password);
        if !self.hasher.fits(current, Some(known.clone())).await? {
            self.limits.wrong(guess).await?;
            return Err(Refusal::InvalidCredentials.into());
        }
        let hash = self.hasher.hash(new).await?;
        let mut tx = self.db.begin().await?;
        let account = users::lock(&mut tx, caller.user_id).await?;
        if !is_unchanged(account.as_ref(), &known) {
            // Changed meanwhile: what was given as the current password no longer is.
            return Err(Refusal::InvalidCredentials.into());
        }
        let now = tx.now().await?;
        users::set_password(&mut tx, caller.user_id, &hash, now).await?;
        tokens::end_all(&mut tx, caller.user_id).await?;
        oidc::abandon(&mut tx, caller.user_id).await?;
        resets::revoke(&mut tx, caller.user_id).await?;
        self.limits.right(&mut tx, &guess, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Why there is no account for a good token: it was deleted, or there never was a password.
    pub(super) async fn nobody(&self, caller: &Caller) -> Result<Refusal, Error> {
        let deleted = users::is_deleted(&self.db, caller.user_id).await?;
        Ok(if deleted {
            Refusal::AccountDeleted
        } else {
            Refusal::NoPassword
        })
    }
}
