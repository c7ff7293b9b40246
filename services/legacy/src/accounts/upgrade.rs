//! How a guest becomes a user: the id stays, and so does everything that hangs on it.

use auth::{
    domain::{DisplayName, Email, Password, Refusal, User, role},
    error::Error,
};
use chassis::identity::Caller;
use contracts::http::{Session, Upgrade};

use super::{Accounts, begin_login, own};
use crate::store::{tokens, users};

impl Accounts {
    /// `POST /api/auth/upgrade`: the guest's logins end, a new one begins.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::NotAGuest`], [`Refusal::EmailTaken`],
    /// [`Refusal::AccountDeleted`].
    pub async fn upgrade(&self, caller: &Caller, body: &Upgrade) -> Result<Session, Error> {
        let email = Email::parse(&body.email)?;
        let password = Password::parse("password", &body.password)?;
        let name = DisplayName::parse(&body.display_name)?;
        let profile = self.profile(caller).await?;
        if !profile.roles.iter().any(|held| held == role::GUEST) {
            return Err(Refusal::NotAGuest.into());
        }
        if users::by_email(&self.db, email.key()).await?.is_some() {
            return Err(Refusal::EmailTaken.into());
        }
        let hash = self.hasher.hash(password).await?;
        let mut tx = self.db.begin().await?;
        let begun = tx.now().await?;
        let account = own(&mut tx, caller, begun).await?;
        // Somebody with the same token may have been faster.
        if !account.user.is_guest() {
            return Err(Refusal::NotAGuest.into());
        }
        let user = User::registered(account.user.id, &name);
        let now = tx.now().await?;
        users::upgrade(&mut tx, &user, &email, &hash, now)
            .await
            .map_err(|error| match error {
                taken if taken.is_unique_violation() => Refusal::EmailTaken.into(),
                other => Error::from(other),
            })?;
        tokens::end_all(&mut tx, user.id).await?;
        let refresh = begin_login(&mut tx, &user, now).await?;
        tx.commit().await?;
        self.session(&user, &refresh, now)
    }
}
