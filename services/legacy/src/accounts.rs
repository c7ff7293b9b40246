//! What people do with their accounts; each act is one transaction.
//!
//! The rules are the auth service's own (`auth::domain`), and so are the key that signs tokens and
//! the hashes of passwords: whoever logs in here is logged in there. Its limits on guessing and its
//! courier work on this database, which has their tables.

mod administration;
mod leaving;
mod profile;
mod recovery;
mod sessions;
mod upgrade;

use auth::{
    domain::{
        ACCESS_TOKEN_LIFETIME, DisplayName, Email, Password, PasswordHash, RefreshToken, Refusal,
        User,
    },
    error::Error,
    hashing::Hasher,
    keys::Keys,
    limits::{self, Limits},
};
use chassis::identity::Caller;
use contracts::http::{Profile, Register, Session, User as UserBody};
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
    keys: Keys,
    hasher: Hasher,
    limits: Limits,
}

impl Accounts {
    /// Accounts in `db`, whose tokens `keys` sign.
    pub fn new(db: Database, keys: Keys, limits: limits::Settings) -> Self {
        Self {
            limits: Limits::new(db.clone(), limits),
            db,
            keys,
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
        if known
            || users::by_id(&self.db, user.id).await?.is_some()
            || users::is_deleted(&self.db, user.id).await?
        {
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
            access_token: self.keys.sign(&user.claims(now.into(), Uuid::now_v7()))?,
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

/// The caller's account, locked. Whoever is known by a token alone is taken in first, but nobody
/// who was deleted.
async fn own(tx: &mut Tx, caller: &Caller, now: Timestamp) -> Result<Account, Error> {
    let account = users::enter(tx, &user_of(caller), now).await?;
    Ok(account.ok_or(Refusal::AccountDeleted)?)
}

/// What a user's guesses at the own password are counted by, where no address is given.
fn counted(user: Uuid) -> String {
    format!("user:{user}")
}

fn is_unchanged(account: Option<&Account>, known: &PasswordHash) -> bool {
    account.and_then(|account| account.password_hash.as_ref()) == Some(known)
}

/// The user that a valid token names.
pub(crate) fn user_of(caller: &Caller) -> User {
    User {
        id: caller.user_id,
        display_name: caller.display_name.clone(),
        roles: caller.roles.clone(),
    }
}

fn profile_of(account: Account) -> Profile {
    Profile {
        id: account.user.id,
        email: account.email,
        display_name: account.user.display_name,
        roles: account.user.roles,
    }
}
