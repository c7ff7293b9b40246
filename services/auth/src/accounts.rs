//! What people do with their accounts. Each act is one transaction: the change, the event that
//! tells of it, and the refresh token that comes of it.

mod administration;
mod leaving;
mod profile;
mod recovery;
mod sessions;
mod upgrade;

use chassis::{identity::Caller, trace::TraceContext};
use contracts::{
    Payload,
    events::{UserAuthenticated, UserCreated, UserUpdated},
    http::{Profile, Register, Session, User as UserBody},
};
use database::{Database, Timestamp, Tx};
use event_store::{NewEvent, Outbox};
use uuid::Uuid;

pub use administration::UserFilter;
pub(crate) use leaving::delete;

use crate::{
    domain::{
        ACCESS_TOKEN_LIFETIME, DisplayName, Email, Password, PasswordHash, RefreshToken, Refusal,
        User,
    },
    error::Error,
    hashing::Hasher,
    keys::Keys,
    limits::{self, Limits},
    store::{
        tokens,
        users::{self, Account},
    },
};

/// The service's name in its events.
pub const SERVICE: &str = "auth";

/// How a session came about, as `user.authenticated` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Who knew the password.
    Password,
    /// Who plays without an account.
    Guest,
    /// Who had a refresh token.
    Refresh,
    /// Whom a provider named.
    Oidc,
}

/// The accounts. Clones share everything.
#[derive(Clone)]
pub struct Accounts {
    db: Database,
    keys: Keys,
    hasher: Hasher,
    outbox: Outbox,
    limits: Limits,
}

impl Accounts {
    /// Accounts in `db`, whose tokens `keys` sign; their events go through `outbox`.
    pub fn new(db: Database, keys: Keys, outbox: Outbox) -> Self {
        Self {
            limits: Limits::new(db.clone(), limits::Settings::default()),
            db,
            keys,
            hasher: Hasher::default(),
            outbox,
        }
    }

    /// The same with other limits on guessing.
    #[must_use]
    pub fn limited(self, settings: limits::Settings) -> Self {
        Self {
            limits: Limits::new(self.db.clone(), settings),
            ..self
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
        self.created(&mut tx, &user).await?;
        let refresh = self
            .begin_login(&mut tx, &user, Method::Password, now)
            .await?;
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
        if made {
            self.created(&mut tx, &user).await?;
        }
        tx.commit().await?;
        Ok(made)
    }

    /// The caller's account, locked. Whoever is known by a token alone is taken in first, but
    /// nobody who was deleted.
    pub(crate) async fn own(
        &self,
        tx: &mut Tx,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Account, Error> {
        if let Some(account) = users::lock(tx, caller.user_id).await? {
            return Ok(account);
        }
        // Waits for a deletion that is under way, so that the look after it sees the deletion.
        users::take_in(tx, &user_of(caller), now).await?;
        if users::was_deleted(tx, caller.user_id).await? {
            return Err(Refusal::AccountDeleted.into());
        }
        let account = users::lock(tx, caller.user_id).await?;
        Ok(account.ok_or(Refusal::AccountDeleted)?)
    }

    /// Begins a login: its first refresh token, and the event.
    ///
    /// # Errors
    /// As the database says.
    pub(crate) async fn begin_login(
        &self,
        tx: &mut Tx,
        user: &User,
        method: Method,
        now: Timestamp,
    ) -> Result<RefreshToken, Error> {
        let token = RefreshToken::from_random(&rand::random());
        tokens::insert(tx, &token, user.id, Uuid::now_v7(), now).await?;
        users::seen(tx, user, now).await?;
        self.authenticated(tx, user, method).await?;
        Ok(token)
    }

    pub(crate) async fn created(&self, tx: &mut Tx, user: &User) -> Result<(), Error> {
        let payload = UserCreated {
            user_id: user.id,
            display_name: user.display_name.clone().into(),
            roles: user.roles.clone(),
        };
        self.emit(tx, user.id, &payload).await
    }

    pub(crate) async fn updated(&self, tx: &mut Tx, user: &User) -> Result<(), Error> {
        let payload = UserUpdated {
            user_id: user.id,
            display_name: user.display_name.clone().into(),
            roles: user.roles.clone(),
        };
        self.emit(tx, user.id, &payload).await
    }

    async fn authenticated(&self, tx: &mut Tx, user: &User, method: Method) -> Result<(), Error> {
        let method = match method {
            Method::Password => "password",
            Method::Guest => "guest",
            Method::Refresh => "refresh",
            Method::Oidc => "oidc",
        };
        let payload = UserAuthenticated {
            user_id: user.id,
            method: method.to_owned(),
        };
        self.emit(tx, user.id, &payload).await
    }

    async fn emit(&self, tx: &mut Tx, user: Uuid, payload: &impl Payload) -> Result<(), Error> {
        let trace = TraceContext::current_or_new();
        let event = NewEvent::of(payload)
            .stream(stream(user))
            .aggregate(user)
            .correlation(trace.correlation_id())
            .traceparent(trace.to_string());
        self.outbox.enqueue(tx, event).await?;
        Ok(())
    }

    pub(crate) fn session(
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

/// The stream of a user's events.
pub(crate) fn stream(user: Uuid) -> String {
    format!("user-{user}")
}

/// What a user's guesses at the own password are counted by, where no address is given.
fn counted(user: Uuid) -> String {
    format!("user:{user}")
}

fn is_unchanged(account: Option<&Account>, known: &PasswordHash) -> bool {
    account.and_then(|account| account.password_hash.as_ref()) == Some(known)
}

fn user_of(caller: &Caller) -> User {
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
