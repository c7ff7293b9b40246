//! What can go wrong, and the one place that says what of it the client sees.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::Problem;
use thiserror::Error;

use crate::{
    domain::{InvalidField, Refusal},
    hashing::HashingError,
    keys::KeyError,
};

/// Why a request was not served.
#[derive(Debug, Error)]
pub enum Error {
    /// The caller's fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much to hash, or hashing failed.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// A token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl From<InvalidField> for Error {
    fn from(field: InvalidField) -> Self {
        Self::Refused(field.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Hashing(error) => error.into(),
            Error::Key(error) => Self::internal(&error),
            Error::Database(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = sentence(&refusal);
        match refusal {
            Refusal::Invalid(invalid) => {
                Self::unprocessable("invalid_field", text).field(invalid.field)
            }
            Refusal::EmailTaken => Self::conflict("email_taken", text).field("email"),
            Refusal::InvalidCredentials => Self::unauthorized("invalid_credentials", text),
            Refusal::InvalidRefreshToken => Self::unauthorized("invalid_refresh_token", text),
            Refusal::NoPassword => Self::conflict("no_password", text),
            Refusal::InvalidResetToken => Self::unauthorized("invalid_reset_token", text),
            Refusal::NotAGuest => Self::conflict("not_a_guest", text),
            Refusal::GuestHasNoRoles => Self::conflict("guest_has_no_roles", text),
            Refusal::LastAdministrator => Self::conflict("last_administrator", text),
            Refusal::NoAdministrator => Self::forbidden("forbidden", text),
            Refusal::UnknownUser => Self::not_found("user_not_found", text),
            Refusal::AccountDeleted => Self::unauthorized("account_deleted", text),
            Refusal::TooManyAttempts { retry_after } => {
                Self::with_status(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", text)
                    .retry_after(retry_after)
            }
        }
    }
}

impl From<HashingError> for Problem {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => {
                let text = "Too many passwords are being checked at the moment.";
                Self::unavailable("busy", text).retry_after(2)
            }
            HashingError::Unusable(_) | HashingError::Lost(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// An error's text as a sentence: what `detail` holds.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}
