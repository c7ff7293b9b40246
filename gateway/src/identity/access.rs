//! Whether a route lets a request in. Pure.

use super::{Identity, Standing, TokenError};
use crate::config::RouteAuth;

/// Why a route does not let a request in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401: no token, or none that counts.
    #[error("{0}")]
    Unauthenticated(TokenError),
    /// 401: it was good once, or will be.
    #[error("the token is not within its time")]
    OutOfTime,
    /// 403: none of the route's roles.
    #[error("the token has none of the roles that this path asks for")]
    MissingRole,
    /// 403: not all of the route's scopes.
    #[error("the token lacks a scope that this path asks for")]
    MissingScope,
    /// 503: it cannot be known now.
    #[error("the token cannot be checked now")]
    Unverifiable,
}

/// Judges a request by one demand of its route.
///
/// # Errors
/// Why it may not pass. A token that is present must be good even where none is required: a client
/// that believes itself logged in must learn that it is not.
pub fn authorize(
    demand: &RouteAuth,
    identity: Result<&Identity, TokenError>,
) -> Result<(), Denied> {
    let identity = match identity {
        Ok(identity) => identity,
        Err(TokenError::Absent) if !demand.required && demand.roles.is_empty() => return Ok(()),
        Err(TokenError::KeysUnavailable | TokenError::SessionsUnavailable) => {
            return Err(Denied::Unverifiable);
        }
        Err(error) => return Err(Denied::Unauthenticated(error)),
    };
    match identity.standing {
        Standing::Valid => {}
        Standing::Unconfirmed => return Err(Denied::Unverifiable),
        Standing::Expired | Standing::NotYetValid => return Err(Denied::OutOfTime),
    }
    let has_role = demand.roles.is_empty()
        || identity
            .roles()
            .any(|role| demand.roles.iter().any(|wanted| wanted == role));
    if !has_role {
        return Err(Denied::MissingRole);
    }
    match demand.scopes.iter().all(|scope| identity.has_scope(scope)) {
        true => Ok(()),
        false => Err(Denied::MissingScope),
    }
}
