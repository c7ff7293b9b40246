//! What people do with their accounts; each act is one transaction.
//!
//! The rules are the auth service's own (`auth::domain`), and so are the key that signs tokens and
//! the hashes of passwords: whoever logs in here is logged in there.

use auth::{
    domain::{
        ACCESS_TOKEN_LIFETIME, DisplayName, Email, Password, RefreshToken, Refusal, TokenState,
        User,
    },
    error::Error,
    hashing::Hasher,
    keys::SigningKey,
};
use chassis::identity::Caller;
use contracts::http::{
    Login, PasswordChange, Profile, ProfilePatch, RefreshToken as PresentedToken, Register,
    Session, User as UserBody,
};
use database::{Database, Timestamp, Tx};
use uuid::Uuid;

use crate::store::{
    tokens,
    users::{self, Account},
};

/// The accounts. Clones share everything.
#[derive(Clone)]
pub struct Accounts {
    db: Database,
    key: SigningKey,
    hasher: Hasher,
}

impl Accounts {
    /// Accounts in `db`, whose tokens `key` signs.
    pub fn new(db: Database, key: SigningKey) -> Self {
        Self {
            db,
            key,
            hasher: Hasher::default(),
        }
    }

    /// `POST /api/auth/register`
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::EmailTaken`].
    pub async fn register(&self, body: &Register) -> Result<Session, Error> {
        let email = Email::parse(&body.email)?;
        let password = Password::parse("password", &body.password)?;
        let name = DisplayName::parse(&body.display_name)?;
        if users::by_email(&self.db, email.key()).await?.is_some() {
            return Err(Refusal::EmailTaken.into());
        }
        let hash = self.hasher.hash(password).await?;
        let user = User::registered(Uuid::now_v7(), &name);
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        // Two may have come this far with one address; the constraint lets one of them in.
        if !users::insert(&mut tx, &user, Some(&email), Some(&hash), now).await? {
            return Err(Refusal::EmailTaken.into());
        }
        let refresh = begin_login(&mut tx, &user, now).await?;
        tx.commit().await?;
        self.session(&user, &refresh, now)
    }

    /// `POST /api/auth/login`. An unknown address and a wrong password take the same time and get
    /// the same answer.
    ///
    /// # Errors
    /// [`Refusal::InvalidCredentials`].
    pub async fn login(&self, body: &Login) -> Result<Session, Error> {
        let account = users::by_email(&self.db, &Email::key_of(&body.email)).await?;
        let hash = account
            .as_ref()
            .and_then(|account| account.password_hash.clone());
        let fits = self
            .hasher
            .fits(Password::attempted(&body.password), hash)
            .await?;
        let Some(Account { user, .. }) = account.filter(|_| fits) else {
            return Err(Refusal::InvalidCredentials.into());
        };
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        let refresh = begin_login(&mut tx, &user, now).await?;
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
        let refresh = begin_login(&mut tx, &user, now).await?;
        tx.commit().await?;
        self.session(&user, &refresh, now)
    }

    /// `POST /api/auth/refresh`: exchanges a token for a new one. A token that was exchanged
    /// before ends its whole login: one of the two who hold it has stolen it.
    ///
    /// # Errors
    /// [`Refusal::InvalidRefreshToken`].
    pub async fn refresh(&self, body: PresentedToken) -> Result<Session, Error> {
        let presented = RefreshToken::presented(body.refresh_token);
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        let held = tokens::lock(&mut tx, &presented).await?;
        let held = held.ok_or(Refusal::InvalidRefreshToken)?;
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
        let account = users::by_id_in(&mut tx, held.user_id).await?;
        let Account { user, .. } = account.ok_or(Refusal::InvalidRefreshToken)?;
        tokens::mark_used(&mut tx, &presented, now).await?;
        let fresh = RefreshToken::from_random(&rand::random());
        tokens::insert(&mut tx, &fresh, user.id, held.family, now).await?;
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
        if let Some(held) = tokens::lock(&mut tx, &presented).await? {
            tokens::end_family(&mut tx, held.family).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// `GET /api/auth/profile`. Whoever has a good token and is not known here yet is shown what
    /// the token says.
    ///
    /// # Errors
    /// Only faults.
    pub async fn profile(&self, caller: Caller) -> Result<Profile, Error> {
        let account = users::by_id(&self.db, caller.user_id).await?;
        Ok(account.map_or_else(
            || profile(user_of(caller), None),
            |a| profile(a.user, a.email),
        ))
    }

    /// `PATCH /api/auth/profile`
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub async fn rename(&self, caller: Caller, body: &ProfilePatch) -> Result<Profile, Error> {
        let name = DisplayName::parse(&body.display_name)?;
        let caller = user_of(caller);
        let mut tx = self.db.begin().await?;
        let begun = tx.now().await?;
        users::take_in(&mut tx, &caller, begun).await?;
        // Read behind the lock, so that `updated_at` rises with every change.
        users::lock(&mut tx, caller.id).await?;
        let now = tx.now().await?;
        users::rename(&mut tx, caller.id, &name, now).await?;
        let account = users::by_id_in(&mut tx, caller.id).await?;
        let account = account.ok_or(database::Error::NotFound)?;
        tx.commit().await?;
        Ok(profile(account.user, account.email))
    }

    /// `POST /api/auth/password`: ends all logins of the user, wherever they are.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::NoPassword`], [`Refusal::InvalidCredentials`].
    pub async fn change_password(
        &self,
        caller: &Caller,
        body: &PasswordChange,
    ) -> Result<(), Error> {
        let new = Password::parse("newPassword", &body.new_password)?;
        let account = users::by_id(&self.db, caller.user_id).await?;
        let known = account.and_then(|account| account.password_hash);
        let known = known.ok_or(Refusal::NoPassword)?;
        let current = Password::attempted(&body.current_password);
        if !self.hasher.fits(current, Some(known.clone())).await? {
            return Err(Refusal::InvalidCredentials.into());
        }
        let hash = self.hasher.hash(new).await?;
        let mut tx = self.db.begin().await?;
        users::lock(&mut tx, caller.user_id).await?;
        let now = tx.now().await?;
        if !users::set_password(&mut tx, caller.user_id, &known, &hash, now).await? {
            // Changed meanwhile: what was given as the current password no longer is.
            return Err(Refusal::InvalidCredentials.into());
        }
        tokens::end_all(&mut tx, caller.user_id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes the administrator that the configuration names, unless the address or its id is
    /// known; whether it did.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] when the configuration names nobody possible.
    pub async fn ensure_administrator(&self, body: &Register) -> Result<bool, Error> {
        let email = Email::parse(&body.email)?;
        let password = Password::parse("password", &body.password)?;
        let user = User::administrator(&email, &DisplayName::parse(&body.display_name)?);
        let known = users::by_email(&self.db, email.key()).await?.is_some();
        if known || users::by_id(&self.db, user.id).await?.is_some() {
            return Ok(false);
        }
        let hash = self.hasher.hash(password).await?;
        let mut tx = self.db.begin().await?;
        let now = tx.now().await?;
        let made = users::insert(&mut tx, &user, Some(&email), Some(&hash), now).await?;
        tx.commit().await?;
        Ok(made)
    }

    fn session(
        &self,
        user: &User,
        refresh: &RefreshToken,
        now: Timestamp,
    ) -> Result<Session, Error> {
        Ok(Session {
            access_token: self.key.sign(&user.claims(now.into(), Uuid::now_v7()))?,
            refresh_token: refresh.as_str().to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: ACCESS_TOKEN_LIFETIME.whole_seconds(),
            user: UserBody {
                id: user.id,
                display_name: user.display_name.clone(),
                roles: user.roles.clone(),
            },
        })
    }
}

async fn begin_login(tx: &mut Tx, user: &User, now: Timestamp) -> Result<RefreshToken, Error> {
    let token = RefreshToken::from_random(&rand::random());
    tokens::insert(tx, &token, user.id, Uuid::now_v7(), now).await?;
    Ok(token)
}

/// The user that a valid token names.
pub(crate) fn user_of(caller: Caller) -> User {
    User {
        id: caller.user_id,
        display_name: caller.display_name,
        roles: caller.roles,
    }
}

fn profile(user: User, email: Option<String>) -> Profile {
    Profile {
        id: user.id,
        email,
        display_name: user.display_name,
        roles: user.roles,
    }
}
