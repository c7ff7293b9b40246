//! What a Node-Learn access token says.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The claims of an access token: a JWT signed with EdDSA (Ed25519), `kid` in its header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: `banyan-auth`, whichever side issued it.
    pub iss: String,
    /// Audience: `banyan`.
    pub aud: String,
    /// The user's id.
    pub sub: Uuid,
    /// The display name, so that a side that has not met the user yet can show one. Personal.
    pub name: String,
    /// `user`, `guest`, `admin`.
    pub roles: Vec<String>,
    /// Issued at, seconds since the Unix epoch.
    pub iat: i64,
    /// Expires at, seconds since the Unix epoch.
    pub exp: i64,
    /// The token's id.
    pub jti: Uuid,
}

impl Claims {
    /// The issuer of every Node-Learn token.
    pub const ISSUER: &str = "banyan-auth";
    /// The audience of every Node-Learn token.
    pub const AUDIENCE: &str = "banyan";

    /// Whether the token carries `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }
}
