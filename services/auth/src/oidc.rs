//! Sign-in with other OpenID Connect providers: authorization code with PKCE, state and nonce.
//!
//! Invariants: a sign-in is finished once, in the browser that began it, with the provider that it
//! was begun with. An identity (issuer and subject) belongs to one account for ever; an account is
//! found by an e-mail address only where the provider has verified it and the configuration says
//! that this counts. No token of ours stands in a URL.

mod browser;
mod error;
mod provider;
mod return_path;
mod settings;
mod transport;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chassis::{config::Faults, identity::Caller};
use contracts::http::{Session, SignInProvider};
use database::{Database, Timestamp, Tx};
use uuid::Uuid;

pub use browser::Secret;
pub use error::Error;
pub use return_path::ReturnPath;
pub use settings::Settings;

use self::provider::{Identity, Provider};
use crate::{
    accounts::{Accounts, Method},
    domain::{DisplayName, Email, Refusal, User, role},
    store::{
        oidc::{self as store, Code, SignIn},
        tokens, users,
    },
};

/// How long somebody may take at the provider; what the cookie lives, too.
pub const SIGN_IN_LIFETIME: Duration = Duration::from_secs(600);

/// How long a browser that was sent back may take to fetch its session.
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Characters of a subject at most (OpenID Connect Core, 2).
const SUBJECT_MAX: usize = 255;

/// Characters of a provider's name for somebody that are kept: what a display name may have.
const NAME_MAX: usize = 40;

/// What somebody without a name is called, before a part of the id.
const NAMELESS: &str = "Player";

/// How often one sign-in is tried when another one gets in between: two browsers that bring the
/// same new identity at the same moment. The second look finds what the other one made.
const TRIES: usize = 2;

/// The providers of the configuration.
pub struct Providers {
    opened: BTreeMap<String, Provider>,
    is_https: bool,
}

/// The providers and what comes of them. Clones share everything.
#[derive(Clone)]
pub struct Oidc(Arc<Inner>);

struct Inner {
    providers: Providers,
    accounts: Accounts,
    db: Database,
}

/// A sign-in that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What the browser keeps in its cookie.
    pub browser: Secret,
}

/// What the browser brings back from the provider.
#[derive(Clone, Debug, Default)]
pub struct Return {
    /// The state that it took with it.
    pub state: Option<String>,
    /// What the provider gives for an identity.
    pub code: Option<String>,
    /// Why the provider gives none.
    pub error: Option<String>,
    /// Which provider answers (RFC 9207).
    pub iss: Option<String>,
    /// The browser's own secret.
    pub browser: Option<Secret>,
}

/// How the session reaches whoever signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As the answer.
    Body,
    /// As a code in the address that the browser was to return to, where there is one.
    Redirect,
}

/// A sign-in at its end.
#[derive(Clone, Debug)]
pub enum Finished {
    /// The session itself.
    Session(Box<Session>),
    /// A path of ours with a code in it.
    Return(String),
}

impl Providers {
    /// Asks none of them yet; browsers come back to `public_url`.
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn open(providers: &BTreeMap<String, Settings>, public_url: &str) -> Result<Self, Faults> {
        let mut faults = settings::faults(providers, public_url);
        let mut opened = BTreeMap::new();
        for (name, settings) in providers {
            match Provider::open(name, settings.clone(), public_url) {
                Ok(provider) => {
                    opened.insert(name.clone(), provider);
                }
                Err(fault) if faults.is_empty() => faults.push(fault),
                // The same fault in other words.
                Err(_) => {}
            }
        }
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let is_https = public_url.starts_with("https:");
        Ok(Self { opened, is_https })
    }
}

impl Oidc {
    /// Sign-ins into `accounts`, which are in `db`.
    pub fn new(providers: Providers, accounts: Accounts, db: Database) -> Self {
        Self(Arc::new(Inner {
            providers,
            accounts,
            db,
        }))
    }

    /// Whether browsers reach us over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.providers.is_https
    }

    /// `GET /api/auth/oidc`
    #[must_use]
    pub fn providers(&self) -> Vec<SignInProvider> {
        let all = self.0.providers.opened.iter();
        all.map(|(id, provider)| SignInProvider {
            id: id.clone(),
            display_name: provider.display_name().to_owned(),
        })
        .collect()
    }

    /// Begins a sign-in, or with a caller the linking of an identity. A browser that has a secret
    /// keeps it, so that two sign-ins side by side do not end each other.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`], [`Error::ReturnTo`], [`Error::Unavailable`], or about the
    /// caller's account.
    pub async fn begin(
        &self,
        provider: &str,
        return_to: Option<&str>,
        browser: Option<Secret>,
        caller: Option<&Caller>,
    ) -> Result<Begun, Error> {
        let (name, provider) = self.provider(provider)?;
        let return_to = return_to
            .map(|text| ReturnPath::parse(text).ok_or(Error::ReturnTo))
            .transpose()?;
        let state = Secret::random();
        let browser = browser.unwrap_or_else(Secret::random);
        let departure = provider.depart(state.as_str()).await?;
        let mut tx = self.0.db.begin().await?;
        let now = tx.now().await?;
        let link_user = match caller {
            Some(caller) => Some(self.0.accounts.own(&mut tx, caller, now).await?.user.id),
            None => None,
        };
        let sign_in = SignIn {
            browser_hash: browser.hash(),
            provider: name.to_owned(),
            nonce: departure.nonce,
            verifier: departure.verifier,
            return_to: return_to.map(|path| path.as_str().to_owned()),
            link_user,
            expires_at: now + SIGN_IN_LIFETIME,
        };
        store::begin(&mut tx, state.hash(), sign_in, now).await?;
        tx.commit().await?;
        Ok(Begun {
            url: departure.url,
            browser,
        })
    }

    /// Finishes a sign-in: the callback.
    ///
    /// # Errors
    /// [`Error`]; the sign-in is over then, whatever the reason.
    pub async fn finish(
        &self,
        provider: &str,
        back: Return,
        delivery: Delivery,
    ) -> Result<Finished, Error> {
        let (name, provider) = self.provider(provider)?;
        let sign_in = self.take(name, &back).await?;
        let identity = identify(name, provider, &sign_in, back).await?;
        let return_to = sign_in.return_to.as_deref().and_then(ReturnPath::parse);
        let return_to = return_to.filter(|_| delivery == Delivery::Redirect);

        let (mut tx, user) = self.settle(&sign_in, provider, &identity).await?;
        let now = tx.now().await?;
        if let Some(path) = return_to {
            let secret = Secret::random();
            let code = Code {
                browser_hash: sign_in.browser_hash,
                user_id: user.id,
                expires_at: now + CODE_LIFETIME,
            };
            store::issue(&mut tx, secret.hash(), code, now).await?;
            tx.commit().await?;
            return Ok(Finished::Return(path.with_code(secret.as_str())));
        }
        self.open_session(tx, &user, now).await
    }

    /// `POST /api/auth/oidc/session`: exchanges the code for the session.
    ///
    /// # Errors
    /// [`Error::InvalidSessionCode`]; the code is used up then.
    pub async fn redeem(&self, code: &str, browser: Option<&Secret>) -> Result<Session, Error> {
        let presented = Secret::presented(code).ok_or(Error::InvalidSessionCode)?;
        let mut tx = self.0.db.begin().await?;
        let now = tx.now().await?;
        let code = store::redeem(&mut tx, presented.hash()).await?;
        let is_good = |code: &Code| {
            now < code.expires_at
                && browser.is_some_and(|browser| browser.hash() == code.browser_hash)
        };
        let user = match code.filter(is_good) {
            Some(code) => users::lock(&mut tx, code.user_id).await?,
            None => None,
        };
        let Some(account) = user else {
            // That it is used up holds for a bad attempt as well.
            tx.commit().await?;
            return Err(Error::InvalidSessionCode);
        };
        match self.open_session(tx, &account.user, now).await? {
            Finished::Session(session) => Ok(*session),
            Finished::Return(_) => Err(Error::InvalidSessionCode),
        }
    }

    fn provider(&self, name: &str) -> Result<(&str, &Provider), Error> {
        let found = self.0.providers.opened.get_key_value(name);
        let (name, provider) = found.ok_or(Error::UnknownProvider)?;
        Ok((name, provider))
    }

    /// Takes the sign-in that the browser comes back from. It is committed before anybody is
    /// asked, so that the same return can be tried once, whatever comes of it.
    async fn take(&self, provider: &str, back: &Return) -> Result<SignIn, Error> {
        let state = back.state.as_deref().and_then(Secret::presented);
        let state = state.ok_or(Error::UnknownSignIn)?;
        let mut tx = self.0.db.begin().await?;
        let now = tx.now().await?;
        let taken = store::take(&mut tx, state.hash()).await?;
        tx.commit().await?;
        let sign_in = taken.ok_or(Error::UnknownSignIn)?;
        if sign_in.provider != provider {
            return Err(Error::UnknownSignIn);
        }
        let browser = back.browser.as_ref().map(Secret::hash);
        if browser.as_ref() != Some(&sign_in.browser_hash) {
            return Err(Error::OtherBrowser);
        }
        if now >= sign_in.expires_at {
            return Err(Error::Expired);
        }
        Ok(sign_in)
    }

    /// The account that the identity belongs to from now on, in a transaction of its own.
    async fn settle(
        &self,
        sign_in: &SignIn,
        provider: &Provider,
        identity: &Identity,
    ) -> Result<(Tx, User), Error> {
        for _ in 0..TRIES {
            let mut tx = self.0.db.begin().await?;
            let settled = match sign_in.link_user {
                Some(user_id) => self.link(&mut tx, user_id, identity).await?,
                None => self.sign_in(&mut tx, provider, identity).await?,
            };
            match settled {
                Some(user) => return Ok((tx, user)),
                None => tx.rollback().await?,
            }
        }
        Err(Error::IdentityTaken)
    }

    /// The user whose identity it is, or a new one; none when somebody got in between.
    async fn sign_in(
        &self,
        tx: &mut Tx,
        provider: &Provider,
        identity: &Identity,
    ) -> Result<Option<User>, Error> {
        let Identity {
            issuer, subject, ..
        } = identity;
        let now = tx.now().await?;
        if let Some(user_id) = store::owner(tx, issuer, subject).await? {
            let account = users::lock(tx, user_id).await?;
            return Ok(Some(account.ok_or(Refusal::AccountDeleted)?.user));
        }
        let vouched = identity
            .email
            .as_deref()
            .filter(|_| provider.trusts_email())
            .and_then(|text| Email::parse(text).ok());
        let user = match &vouched {
            Some(email) => match self.taken_over(tx, email, now).await? {
                Some(user) => user,
                None => self.register(tx, identity, Some(email), now).await?,
            },
            None => self.register(tx, identity, None, now).await?,
        };
        let linked = store::link(tx, issuer, subject, user.id, now).await?;
        Ok(linked.then_some(user))
    }

    /// The account with that address, which the provider says belongs to whoever signs in. Nobody
    /// ever proved that to us: whoever chose the password may have registered somebody else's
    /// address and waited. So the password, the logins and the identities from before go. An
    /// administrator's account is worth more than a provider's word; it is linked, not taken over.
    async fn taken_over(
        &self,
        tx: &mut Tx,
        email: &Email,
        now: Timestamp,
    ) -> Result<Option<User>, Error> {
        let Some(found) = users::by_email(&self.0.db, email.key()).await? else {
            return Ok(None);
        };
        let account = users::lock(tx, found.user.id).await?;
        let is_same = |text: &String| Email::key_of(text) == email.key();
        let account = account.filter(|account| {
            account.email.as_ref().is_some_and(is_same) && !account.user.is_administrator()
        });
        let Some(account) = account else {
            return Ok(None);
        };
        store::disown(tx, account.user.id, now).await?;
        tokens::end_all(tx, account.user.id).await?;
        tracing::info!(user_id = %account.user.id, "taken over by a verified address");
        Ok(Some(account.user))
    }

    async fn register(
        &self,
        tx: &mut Tx,
        identity: &Identity,
        email: Option<&Email>,
        now: Timestamp,
    ) -> Result<User, Error> {
        let id = Uuid::now_v7();
        let user = User {
            id,
            display_name: name_of(identity).unwrap_or_else(|| nameless(id)),
            roles: vec![role::USER.to_owned()],
        };
        let made = match email {
            Some(_) => users::insert(tx, &user, email, None, now).await?,
            None => false,
        };
        // An address that somebody has stays theirs.
        if !made {
            users::insert(tx, &user, None, None, now).await?;
        }
        self.0.accounts.created(tx, &user).await?;
        Ok(user)
    }

    /// Links the identity to a user, who is no guest any more; none when somebody got in between.
    async fn link(
        &self,
        tx: &mut Tx,
        user_id: Uuid,
        identity: &Identity,
    ) -> Result<Option<User>, Error> {
        let Identity {
            issuer, subject, ..
        } = identity;
        let account = users::lock(tx, user_id).await?;
        let user = account.ok_or(Refusal::AccountDeleted)?.user;
        let now = tx.now().await?;
        match store::owner(tx, issuer, subject).await? {
            Some(owner) if owner != user.id => return Err(Error::IdentityTaken),
            Some(_) => {}
            None if store::link(tx, issuer, subject, user.id, now).await? => {}
            None => return Ok(None),
        }
        if !user.is_guest() {
            return Ok(Some(user));
        }
        let user = User {
            id: user.id,
            display_name: name_of(identity).unwrap_or(user.display_name),
            roles: vec![role::USER.to_owned()],
        };
        store::upgrade(tx, &user, now).await?;
        self.0.accounts.updated(tx, &user).await?;
        Ok(Some(user))
    }

    async fn open_session(
        &self,
        mut tx: Tx,
        user: &User,
        now: Timestamp,
    ) -> Result<Finished, Error> {
        let accounts = &self.0.accounts;
        let refresh = accounts
            .begin_login(&mut tx, user, Method::Oidc, now)
            .await?;
        tx.commit().await?;
        let session = accounts.session(user, &refresh, now)?;
        Ok(Finished::Session(Box::new(session)))
    }
}

/// What the provider says of whoever came back.
async fn identify(
    name: &str,
    provider: &Provider,
    sign_in: &SignIn,
    back: Return,
) -> Result<Identity, Error> {
    match back.error.as_deref() {
        None => {}
        Some("access_denied") => return Err(Error::Denied),
        Some(code @ ("server_error" | "temporarily_unavailable")) => {
            return Err(Error::Unavailable {
                provider: name.to_owned(),
                cause: format!("it sends browsers back with {code}"),
            });
        }
        // Its letters come through the browser, so they are whatever somebody typed.
        Some(code) => {
            let code = code
                .chars()
                .filter(char::is_ascii_graphic)
                .take(64)
                .collect();
            return Err(Error::Refused { code });
        }
    }
    if back.iss.is_some_and(|issuer| issuer != provider.issuer()) {
        return Err(Error::InvalidIdToken { reason: "issuer" });
    }
    let code = back.code.filter(|code| !code.is_empty());
    let code = code.ok_or(Error::InvalidCode)?;
    let (verifier, nonce) = (sign_in.verifier.clone(), sign_in.nonce.clone());
    let identity = provider.identify(code, verifier, nonce).await?;
    let subject = &identity.subject;
    if subject.is_empty() || subject.len() > SUBJECT_MAX || subject.contains(char::is_control) {
        return Err(Error::InvalidIdToken { reason: "subject" });
    }
    Ok(identity)
}

/// What others see: the provider's name for somebody, as far as it is one here.
fn name_of(identity: &Identity) -> Option<String> {
    let name = identity.name.as_deref()?;
    let printable: String = name.chars().filter(|c| !c.is_control()).collect();
    let short: String = printable.trim().chars().take(NAME_MAX).collect();
    let name = DisplayName::parse(&short).ok()?;
    Some(name.as_str().to_owned())
}

/// What others see of somebody whom the provider gives no name.
fn nameless(id: Uuid) -> String {
    // The end of a time-ordered id is its random part.
    let text = id.simple().to_string();
    let (_, tail) = text.split_at(text.len() - 6);
    format!("{NAMELESS} {tail}")
}
