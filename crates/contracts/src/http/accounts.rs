//! Accounts, sessions and who somebody is.
//!
//! The patterns say exactly what the auth service's domain accepts: control characters nowhere, an
//! e-mail address of ASCII letters as RFC 5322 calls its dot-atom.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What an administrator may make somebody; a guest becomes a user by upgrading alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Has an account; everybody who has one is that.
    User,
    /// May curate questions, run maintenance and manage users.
    Admin,
}

requests! {
    /// `POST /api/auth/register`
    Register {
        /// Unique; compared without case.
        #[schema(min_length = 5, max_length = 254, example = "ada@example.org",
            pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$")]
        email: String,
        /// 8 to 128 characters.
        #[schema(min_length = 8, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
        password: String,
        /// 1 to 40 characters, one of them visible.
        #[schema(min_length = 1, max_length = 40, example = "Ada",
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")]
        display_name: String,
    }
    /// `POST /api/auth/login`
    Login {
        /// As registered.
        #[schema(max_length = 254)]
        email: String,
        /// As registered.
        #[schema(max_length = 128)]
        password: String,
    }
    /// `POST /api/auth/refresh` and `POST /api/auth/logout`
    RefreshToken {
        /// As handed out by the last login or refresh.
        refresh_token: String,
    }
    /// `PATCH /api/auth/profile`
    ProfilePatch {
        /// 1 to 40 characters, one of them visible.
        #[schema(min_length = 1, max_length = 40, example = "Countess",
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")]
        display_name: String,
    }
    /// `POST /api/auth/password`
    PasswordChange {
        /// The one that is valid now.
        #[schema(max_length = 128)]
        current_password: String,
        /// 8 to 128 characters.
        #[schema(min_length = 8, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
        new_password: String,
    }
    /// `POST /api/auth/upgrade`: a guest becomes a user and keeps everything.
    Upgrade {
        /// Unique; compared without case.
        #[schema(min_length = 5, max_length = 254, example = "ada@example.org",
            pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$")]
        email: String,
        /// 8 to 128 characters.
        #[schema(min_length = 8, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
        password: String,
        /// 1 to 40 characters, one of them visible.
        #[schema(min_length = 1, max_length = 40, example = "Ada",
            pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")]
        display_name: String,
    }
    /// `POST /api/auth/password/forgot`
    PasswordForgotten {
        /// Where the mail goes, if there is such an account.
        #[schema(min_length = 5, max_length = 254, example = "ada@example.org",
            pattern = r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$")]
        email: String,
    }
    /// `POST /api/auth/password/reset`
    PasswordReset {
        /// From the mail.
        #[schema(max_length = 512)]
        token: String,
        /// 8 to 128 characters.
        #[schema(min_length = 8, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
        new_password: String,
    }
    /// `DELETE /api/auth/profile`; no body at all from whoever has no password.
    AccountDeletion {
        /// The one that is valid now, of an account that has one.
        #[schema(max_length = 128)]
        #[serde(default)]
        password: Option<String>,
    }
    /// `PUT /api/admin/users/{id}/roles`
    RolesChange {
        /// What the user is from then on; `user` is part of it, said or not.
        #[schema(min_items = 1, max_items = 2)]
        roles: Vec<Role>,
    }
}

bodies! {
    /// The user as a login shows it.
    User {
        /// The user's id; the token's `sub`.
        id: Uuid,
        /// What others see. Personal.
        display_name: String,
        /// `user`, `guest`, `admin`.
        roles: Vec<String>,
    }
    /// The answer to register, login, guest and refresh.
    Session {
        /// A JWT; see [`crate::Claims`].
        access_token: String,
        /// Opaque; good for one refresh.
        refresh_token: String,
        /// `Bearer`.
        token_type: String,
        /// Seconds until the access token expires.
        expires_in: i64,
        /// Who it is for.
        user: User,
    }
    /// `GET|PATCH /api/auth/profile`
    Profile {
        /// The user's id.
        id: Uuid,
        /// Absent for guests. Personal.
        email: Option<String>,
        /// What others see. Personal.
        display_name: String,
        /// `user`, `guest`, `admin`.
        roles: Vec<String>,
    }
    /// A user as administrators see one: `GET /api/admin/users/{id}`.
    ManagedUser {
        /// The user's id.
        id: Uuid,
        /// Absent for guests. Personal.
        email: Option<String>,
        /// What others see. Personal.
        display_name: String,
        /// `user`, `guest`, `admin`.
        roles: Vec<String>,
        /// Since when, RFC 3339.
        created_at: String,
        /// The last change, RFC 3339.
        updated_at: String,
    }
    /// `GET /api/admin/users`
    UserPage {
        /// In the order of their ids: who came first is first.
        items: Vec<ManagedUser>,
        /// For the next page; absent on the last one.
        next_cursor: Option<String>,
    }
}
