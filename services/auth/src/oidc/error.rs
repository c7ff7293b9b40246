//! Why somebody is not signed in by a provider, and what the client is told of it.

use axum::response::{IntoResponse, Response};
use chassis::Problem;
use thiserror::Error;

use crate::{domain::Refusal, error};

/// Seconds until a provider that is down is asked again with some hope.
const RETRY_AFTER: u64 = 5;

/// Why a sign-in did not come to its end.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration has no such provider.
    #[error("there is no such provider")]
    UnknownProvider,
    /// `returnTo` leads elsewhere.
    #[error("this is no path of this site")]
    ReturnTo,
    /// Never begun, finished before, or begun with another provider.
    #[error("this sign-in was not begun here or is over")]
    UnknownSignIn,
    /// It took too long.
    #[error("this sign-in took too long; begin again")]
    Expired,
    /// It was begun in another browser.
    #[error("this sign-in was begun in another browser")]
    OtherBrowser,
    /// The user or the provider said no.
    #[error("the provider says that access was denied")]
    Denied,
    /// The provider refuses what was asked.
    #[error("the provider refuses the sign-in")]
    Refused {
        /// The provider's own code.
        code: String,
    },
    /// The provider does not take the code that the browser brought, or there is none.
    #[error("the provider does not accept the code")]
    InvalidCode,
    /// The provider's statement about the user is not good.
    #[error("the provider's ID token is not valid: {reason}")]
    InvalidIdToken {
        /// What is wrong with it: a word for programs.
        reason: &'static str,
    },
    /// Somebody else has the identity.
    #[error("this identity belongs to another account")]
    IdentityTaken,
    /// Unknown, used, too old, or for another browser: which one is not told.
    #[error("the code is not valid")]
    InvalidSessionCode,
    /// The provider is down, or says what nobody understands.
    #[error("the provider {provider} does not answer: {cause}")]
    Unavailable {
        /// Its name in the configuration.
        provider: String,
        /// For the log.
        cause: String,
    },
    /// About the account.
    #[error(transparent)]
    Account(#[from] error::Error),
}

impl From<database::Error> for Error {
    fn from(error: database::Error) -> Self {
        Self::Account(error.into())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Account(refusal.into())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let text = format!("{}{}.", first.unwrap_or_default(), letters.as_str());
        match error {
            Error::UnknownProvider => Self::not_found("unknown_provider", text).field("provider"),
            Error::ReturnTo => Self::bad_request("invalid_query", text).field("returnTo"),
            Error::UnknownSignIn => Self::forbidden("invalid_state", text).field("state"),
            Error::Expired => Self::forbidden("sign_in_expired", text).field("state"),
            Error::OtherBrowser => Self::forbidden("other_browser", text),
            Error::Denied => Self::forbidden("access_denied", text),
            Error::Refused { code } => {
                Self::bad_request("oidc_provider_refused", text).with("error", code)
            }
            Error::InvalidCode => Self::bad_request("invalid_code", text).field("code"),
            Error::InvalidIdToken { reason } => {
                Self::unauthorized("invalid_id_token", text).with("reason", reason)
            }
            Error::IdentityTaken => Self::conflict("identity_taken", text),
            Error::InvalidSessionCode => Self::unauthorized("invalid_code", text).field("code"),
            Error::Unavailable { provider, cause } => {
                tracing::warn!(provider, cause, "an OpenID provider does not answer");
                let text = format!("The provider {provider} does not answer now.");
                Self::unavailable("oidc_provider_unavailable", text).retry_after(RETRY_AFTER)
            }
            Error::Account(error) => error.into(),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
