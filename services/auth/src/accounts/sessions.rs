//! Logins: how they begin, how they go on, how they end.
//!
//! A refresh token is good once, without any grace: who presents one that was exchanged before is
//! the thief or the victim, and nobody can say which, so the whole family ends, the newest token
//! with it. A client that sends one token twice at the same instant therefore loses its login, too;
//! clients must refresh one at a time. (A grace would give a thief who is quick a login for good.)

use chassis::identity::Caller;
use contracts::http::{Login, RefreshToken as PresentedToken, Session};
use uuid::Uuid;

use super::{Accounts, Method, is_unchanged};
use crate::{
    domain::{Email, Password, RefreshToken, Refusal, TokenState, User},
    error::Error,
    limits::Client,
    store::{
        oidc, tokens,
        users::{self, Account},
    },
};

impl Accounts {
    /// `POST /api/auth/login`. An unknown address and a wrong password take the same time and get
    /// the same answer.
    ///
    /// # Errors
    /// [`Refusal::InvalidCredentials`], [`Refusal::TooManyAttempts`].
    pub async fn login(&self, body: &Login, client: Client) -> Result<Session, Error> {
        let key = Email::key_of(&body.email);
        self.hasher.has_room()?;
        let guess = self.limits.guess(&key, client).await?;
        // PostgreSQL knows no text with this letter in it, and so no account.
        let account = if key.contains('\0') {
            None
        } else {
            users::by_email(&self.db, &key).await?
        };
        let known = account.and_then(|account| Some((account.user.id, account.password_hash?)));
        let hash = known.as_ref().map(|(_, hash)| hash.clone());
        let password = Password::attempted(&body.password);
        let fits = self.hasher.fits(password, hash).await?;
        let Some((id, hash)) = known.filter(|_| fits) else {
            self.limits.wrong(guess).await?;
            return Err(Refusal::InvalidCredentials.into());
        };
        let mut tx = self.db.begin().await?;
        // Deleted or changed while it was being checked: then it was the password, and is not.
        let account = users::lock(&mut tx, id).await?;
        let unchanged = account.filter(|account| is_unchanged(Some(account), &hash));
        let Account { user, .. } = unchanged.ok_or(Refusal::InvalidCredentials)?;
        let now = tx.now().await?;
        self.limits.right(&mut tx, &guess, now).await?;
        let refresh = self
            .begin_login(&mut tx, &user, Method::Password, now)
            .await?;
        tx.commit().await?;
        self.session(&user, &refresh, now)
    }

    /// `POST /api/auth/guest`
    ///
    /// # Errors
    /// Only faults.
    pub async fn guest(&self) -> Result<Session, Error> {
        let user = User::guest(Uuid::now_v7());
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        users::insert(&mut tx, &user, None, None, now).await?;
        self.created(&mut tx, &user).await?;
        let refresh = self.begin_login(&mut tx, &user, Method::Guest, now).await?;
        tx.commit().await?;
        self.session(&user, &refresh, now)
    }

    /// `POST /api/auth/refresh`: exchanges a token for a new one. A token that was exchanged
    /// before ends its whole login: one of the two who hold it has stolen it.
    ///
    /// # Errors
    /// [`Refusal::InvalidRefreshToken`], [`Refusal::TooManyAttempts`].
    pub async fn refresh(&self, body: PresentedToken, client: Client) -> Result<Session, Error> {
        let presented = RefreshToken::presented(body.refresh_token);
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        self.limits.token(&mut tx, client, now).await?;
        let Some(owner) = tokens::owner(&mut tx, &presented).await? else {
            tx.rollback().await?;
            self.limits.unknown_token(client).await?;
            return Err(Refusal::InvalidRefreshToken.into());
        };
        // The user first, as everywhere; the token may have gone meanwhile.
        let account = users::lock(&mut tx, owner).await?;
        let held = tokens::lock(&mut tx, &presented).await?;
        let (Some(Account { user, .. }), Some(held)) = (account, held) else {
            return Err(Refusal::InvalidRefreshToken.into());
        };
        let now = tx.now().await?;
        match held.token.state(now.into()) {
            TokenState::Good => {}
            TokenState::Expired => return Err(Refusal::InvalidRefreshToken.into()),
            TokenState::Reused => {
                tokens::end_family(&mut tx, held.family).await?;
                tx.commit().await?;
                tracing::warn!(user_id = %held.user_id, "a refresh token was used twice");
                return Err(Refusal::InvalidRefreshToken.into());
            }
        }
        tokens::mark_used(&mut tx, &presented, now).await?;
        let fresh = RefreshToken::from_random(&rand::random());
        tokens::insert(&mut tx, &fresh, user.id, held.family, now).await?;
        users::seen(&mut tx, &user, now).await?;
        self.authenticated(&mut tx, &user, Method::Refresh).await?;
        tx.commit().await?;
        self.session(&user, &fresh, now)
    }

    /// `POST /api/auth/logout`: ends the login that the token belongs to. An unknown token has
    /// nothing to end, which is what was wanted.
    ///
    /// # Errors
    /// Only faults.
    pub async fn logout(&self, body: PresentedToken) -> Result<(), Error> {
        let presented = RefreshToken::presented(body.refresh_token);
        let mut tx = self.db.begin().await?;
        let Some(owner) = tokens::owner(&mut tx, &presented).await? else {
            return Ok(());
        };
        users::lock(&mut tx, owner).await?;
        if let Some(held) = tokens::lock(&mut tx, &presented).await? {
            tokens::end_family(&mut tx, held.family).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// `POST /api/auth/logout-everywhere`: ends all logins of the caller. Access tokens that are
    /// out stay good for the rest of their minutes.
    ///
    /// # Errors
    /// [`Refusal::AccountDeleted`].
    pub async fn logout_everywhere(&self, caller: &Caller) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        if users::lock(&mut tx, caller.user_id).await?.is_none() {
            return if users::was_deleted(&mut tx, caller.user_id).await? {
                Err(Refusal::AccountDeleted.into())
            } else {
                Ok(())
            };
        }
        tokens::end_all(&mut tx, caller.user_id).await?;
        oidc::abandon(&mut tx, caller.user_id).await?;
        tx.commit().await?;
        Ok(())
    }
}
