//! Accounts, sessions and who somebody is.

use uuid::Uuid;

requests! {
    /// `POST /api/auth/register`
    Register {
        /// Unique; compared without case.
        email: String,
        /// 8 to 128 characters.
        password: String,
        /// 1 to 40 characters.
        display_name: String,
    }
    /// `POST /api/auth/login`
    Login {
        /// As registered.
        email: String,
        /// As registered.
        password: String,
    }
    /// `POST /api/auth/refresh` and `POST /api/auth/logout`
    RefreshToken {
        /// As handed out by the last login or refresh.
        refresh_token: String,
    }
    /// `PATCH /api/auth/profile`
    ProfilePatch {
        /// 1 to 40 characters.
        display_name: String,
    }
    /// `POST /api/auth/password`
    PasswordChange {
        /// The one that is valid now.
        current_password: String,
        /// 8 to 128 characters.
        new_password: String,
    }
    /// `POST /api/auth/upgrade`: a guest becomes a user and keeps everything.
    Upgrade {
        /// Unique; compared without case.
        email: String,
        /// 8 to 128 characters.
        password: String,
        /// 1 to 40 characters.
        display_name: String,
    }
    /// `POST /api/auth/password/forgot`
    PasswordForgotten {
        /// Where the mail goes, if there is such an account.
        email: String,
    }
    /// `POST /api/auth/password/reset`
    PasswordReset {
        /// From the mail.
        token: String,
        /// 8 to 128 characters.
        new_password: String,
    }
    /// `PUT /api/admin/users/{id}/roles`
    RolesChange {
        /// `user`, `admin`.
        roles: Vec<String>,
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
}
