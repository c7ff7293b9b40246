//! Which account an identity belongs to: whose it is already, the one that it is linked to, the one
//! that a verified address finds, or a new one.

use database::{Timestamp, Tx};
use uuid::Uuid;

use super::{
    Error, Oidc,
    provider::{Identity, Provider},
};
use crate::{
    domain::{DisplayName, Email, Refusal, User, role},
    store::{
        oidc::{self as store, SignIn},
        tokens, users,
    },
};

/// Characters of a provider's name for somebody that are kept: what a display name may have.
const NAME_MAX: usize = 40;

/// What somebody without a name is called, before a part of the id.
const NAMELESS: &str = "Player";

/// How often one sign-in is tried when another one gets in between: two browsers that bring the
/// same new identity at the same moment. The second look finds what the other one made.
const TRIES: usize = 2;

impl Oidc {
    /// The account that the identity belongs to from now on, in a transaction of its own.
    pub(super) async fn settle(
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
            // While we waited, a verified address may have taken the account from the identity.
            if store::owner(tx, issuer, subject).await? != Some(user_id) {
                return Ok(None);
            }
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
