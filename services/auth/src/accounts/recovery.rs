//! The way back for whoever forgot a password.
//!
//! A request only asks for a mail; the courier makes the token when it sends it. So the token is in
//! no table (its hash is), and a mail that waited for a server does not bring one that is too old.

use contracts::http::{PasswordForgotten, PasswordReset};

use super::{Accounts, counted};
use crate::{
    domain::{Email, Password, Refusal, ResetToken},
    error::Error,
    limits::{Client, MailWish},
    store::{mails, oidc, resets, tokens, users},
};

impl Accounts {
    /// `POST /api/auth/password/forgot`: the same statements and the same answer whether somebody
    /// has the address or not.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::TooManyAttempts`].
    pub async fn forgot(&self, body: &PasswordForgotten, client: Client) -> Result<(), Error> {
        let email = Email::parse(&body.email)?;
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        match self.limits.mail(&mut tx, email.key(), client, now).await? {
            MailWish::Granted => mails::ask(&mut tx, email.key(), now).await?,
            MailWish::Enough => tracing::warn!("a mailbox is asked to be filled; not sent"),
        }
        tx.commit().await?;
        Ok(())
    }

    /// `POST /api/auth/password/reset`: ends all logins of the user, and makes the address that it
    /// came from one that the account's limits do not hold.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::InvalidResetToken`], [`Refusal::TooManyAttempts`].
    pub async fn reset(&self, body: PasswordReset, client: Client) -> Result<(), Error> {
        let new = Password::parse("newPassword", &body.new_password)?;
        let token = ResetToken::presented(body.token);
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        self.limits.token(&mut tx, client, now).await?;
        let owner = resets::owner(&mut tx, &token, now).await?;
        tx.rollback().await?;
        let Some(owner) = owner else {
            self.limits.unknown_token(client).await?;
            return Err(Refusal::InvalidResetToken.into());
        };
        let hash = self.hasher.hash(new).await?;
        let mut tx = self.db.begin().await?;
        let account = users::lock(&mut tx, owner).await?;
        let account = account.ok_or(Refusal::InvalidResetToken)?;
        // Used or replaced while the password was hashed.
        if !resets::take(&mut tx, owner, &token).await? {
            return Err(Refusal::InvalidResetToken.into());
        }
        let now = tx.now().await?;
        users::set_password(&mut tx, owner, &hash, now).await?;
        tokens::end_all(&mut tx, owner).await?;
        oidc::abandon(&mut tx, owner).await?;
        let email = account.email.as_deref().map(Email::key_of);
        for counted in [email, Some(counted(owner))].into_iter().flatten() {
            self.limits.opened(&mut tx, &counted, client, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
