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
}
