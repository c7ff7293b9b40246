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
mod settlement;
mod transport;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chassis::{config::Faults, identity::Caller};
use contracts::http::{Session, SignInProvider};
use database::{Database, Timestamp, Tx};

pub use browser::Secret;
pub use error::Error;
pub use return_path::ReturnPath;
pub use settings::Settings;

use self::provider::{Identity, Provider};
use crate::{
    accounts::{Accounts, Method},
    domain::User,
    store::{
        oidc::{self as store, Code, SignIn},
        users,
    },
};

/// How long somebody may take at the provider; what the cookie lives, too.
pub const SIGN_IN_LIFETIME: Duration = Duration::from_secs(600);

/// How long a browser that was sent back may take to fetch its session.
const CODE_LIFETIME: Duration = Duration::from_secs(60);

/// Characters of a subject at most (OpenID Connect Core, 2).
const SUBJECT_MAX: usize = 255;

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
        // The user is locked before the code, as everywhere.
        let user = match store::holder(&mut tx, presented.hash()).await? {
            Some(user_id) => users::lock(&mut tx, user_id).await?,
            None => None,
        };
        let now = tx.now().await?;
        let code = store::redeem(&mut tx, presented.hash()).await?;
        let is_good = code.is_some_and(|code| {
            now < code.expires_at
                && browser.is_some_and(|browser| browser.hash() == code.browser_hash)
        });
        let Some(account) = user.filter(|_| is_good) else {
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
