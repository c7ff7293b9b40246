//! Why a request about an account is refused; legacy refuses for the same reasons.

use thiserror::Error;

use super::InvalidField;

/// The caller's fault; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A field cannot be accepted.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// Somebody has the address already.
    #[error("this e-mail address is taken")]
    EmailTaken,
    /// No such account, or another password: which one is not told.
    #[error("e-mail address or password is wrong")]
    InvalidCredentials,
    /// Unknown, used before, or too old: which one is not told.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// Guests and users taken in by their token have no password to change.
    #[error("this user has no password")]
    NoPassword,
    /// Unknown, used, replaced by a newer one, or too old: which one is not told.
    #[error("the reset token is not valid")]
    InvalidResetToken,
    /// Only guests become users.
    #[error("only a guest can be upgraded, and this is none")]
    NotAGuest,
    /// A guest becomes a user by upgrading, not by an administrator.
    #[error("a guest has no account that roles could be given to")]
    GuestHasNoRoles,
    /// Somebody has to be able to administer.
    #[error("this is the last administrator")]
    LastAdministrator,
    /// The token says so, the account no longer does.
    #[error("this needs the role admin")]
    NoAdministrator,
    /// There is no such user.
    #[error("there is no such user")]
    UnknownUser,
    /// The account was deleted while the token is still good.
    #[error("this account was deleted")]
    AccountDeleted,
    /// Too many failures came before.
    #[error("too many attempts")]
    TooManyAttempts {
        /// Whole seconds until another one is looked at.
        retry_after: u64,
    },
}
