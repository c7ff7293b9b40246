//! What an account is and what its credentials must look like. Pure: clock, randomness and storage
//! come from outside, so that legacy applies the very same rules.
//!
//! Invariant: a value of [`Email`], [`Password`] or [`DisplayName`] has passed its check; nothing
//! unchecked can be stored.

use contracts::{Claims, http::Role};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

mod attempts;
mod credentials;
mod password;
mod recovery;
mod refresh;
mod refusal;

pub use attempts::{Allowance, whole_seconds};
pub use credentials::{DisplayName, Email, InvalidField, Password};
pub use password::{PasswordHash, SALT_LENGTH, UnusableHash};
pub use recovery::ResetToken;
pub use refresh::{IssuedToken, RefreshToken, TOKEN_LENGTH, TokenState};
pub use refusal::Refusal;

/// How long an access token is good: short, because it cannot be taken back.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::minutes(15);

/// The name guests get, before a part of their id.
const GUEST_NAME: &str = "Guest";

/// The namespace of ids that derive from an e-mail address.
const ADMIN_NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_7a52_38c4_5b0e_9a41_c2d7_50b3_e864);

/// The names of roles in tokens and tables.
pub mod role {
    /// Has an account.
    pub const USER: &str = "user";
    /// Plays without an account.
    pub const GUEST: &str = "guest";
    /// May curate questions and run maintenance.
    pub const ADMIN: &str = "admin";
}

/// A user, without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The token's `sub`.
    pub id: Uuid,
    /// What others see.
    pub display_name: String,
    /// See [`role`].
    pub roles: Vec<String>,
}

impl User {
    /// Somebody who registered.
    #[must_use]
    pub fn registered(id: Uuid, name: &DisplayName) -> Self {
        Self {
            id,
            display_name: name.as_str().to_owned(),
            roles: vec![role::USER.to_owned()],
        }
    }

    /// Somebody who plays without an account, with a name that tells guests apart.
    #[must_use]
    pub fn guest(id: Uuid) -> Self {
        // The end of a time-ordered id is its random part.
        let text = id.simple().to_string();
        let (_, tail) = text.split_at(text.len() - 6);
        let display_name = format!("{GUEST_NAME} {tail}");
        Self {
            id,
            display_name,
            roles: vec![role::GUEST.to_owned()],
        }
    }

    /// The administrator that an installation starts with. Its id derives from the e-mail address,
    /// so that legacy and auth, which both create it, mean the same user.
    #[must_use]
    pub fn administrator(email: &Email, name: &DisplayName) -> Self {
        Self {
            id: Uuid::new_v5(&ADMIN_NAMESPACE, email.key().as_bytes()),
            display_name: name.as_str().to_owned(),
            roles: vec![role::USER.to_owned(), role::ADMIN.to_owned()],
        }
    }

    /// Whether this is somebody without an account.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        self.has(role::GUEST)
    }

    /// Whether this is somebody who may administer.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        self.has(role::ADMIN)
    }

    /// The same user after an administrator's change of roles.
    #[must_use]
    pub fn with_roles(self, given: &[Role]) -> Self {
        let mut roles = vec![role::USER.to_owned()];
        if given.contains(&Role::Admin) {
            roles.push(role::ADMIN.to_owned());
        }
        Self { roles, ..self }
    }

    fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// What an access token issued `now` says about this user.
    #[must_use]
    pub fn claims(&self, now: OffsetDateTime, token_id: Uuid) -> Claims {
        Claims {
            iss: Claims::ISSUER.to_owned(),
            aud: Claims::AUDIENCE.to_owned(),
            sub: self.id,
            name: self.display_name.clone(),
            roles: self.roles.clone(),
            iat: now.unix_timestamp(),
            exp: (now + ACCESS_TOKEN_LIFETIME).unix_timestamp(),
            jti: token_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_administrator_has_the_same_id_wherever_it_is_created() {
        let name = DisplayName::parse("Admin").unwrap();
        let one = User::administrator(&Email::parse("Admin@Example.org").unwrap(), &name);
        let other = User::administrator(&Email::parse("admin@example.org").unwrap(), &name);
        assert_eq!(one, other);
        assert!(one.roles.contains(&role::ADMIN.to_owned()));
    }

    #[test]
    fn guests_are_told_apart_by_their_names() {
        let (one, other) = (
            User::guest(Uuid::from_u128(1)),
            User::guest(Uuid::from_u128(2)),
        );
        assert_eq!(one.display_name, "Guest 000001");
        assert_ne!(one.display_name, other.display_name);
        assert!(DisplayName::parse(&one.display_name).is_ok());
        assert_eq!(one.roles, [role::GUEST]);
    }

    #[test]
    fn whoever_administers_is_a_user_too() {
        let user = User::guest(Uuid::from_u128(1));
        assert_eq!(
            user.clone().with_roles(&[Role::Admin, Role::Admin]).roles,
            [role::USER, role::ADMIN]
        );
        assert_eq!(user.with_roles(&[Role::User]).roles, [role::USER]);
    }

    #[test]
    fn an_access_token_is_good_for_fifteen_minutes() {
        let user = User::guest(Uuid::from_u128(7));
        let claims = user.claims(OffsetDateTime::UNIX_EPOCH, Uuid::nil());
        assert_eq!((claims.iat, claims.exp), (0, 900));
        assert_eq!(claims.sub, user.id);
    }
}
