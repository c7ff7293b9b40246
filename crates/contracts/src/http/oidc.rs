//! Sign-in with other OpenID Connect providers.

requests! {
    /// `POST /api/auth/oidc/session`
    SignInCode {
        /// From the address that the browser was sent back to; good once, for a minute.
        #[schema(min_length = 1, max_length = 128)]
        code: String,
    }
}

bodies! {
    /// A provider to sign in with.
    SignInProvider {
        /// What stands in the paths.
        id: String,
        /// What the button says.
        display_name: String,
    }
    /// `POST /api/auth/oidc/{provider}/link`
    AuthorizationUrl {
        /// Where the browser goes next.
        authorization_url: String,
    }
}
