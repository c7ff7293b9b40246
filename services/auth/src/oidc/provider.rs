//! One provider: what it says of itself, and what it says of whoever signs in.
//!
//! Invariants: an ID token counts only with a good signature by a key that the provider publishes,
//! never without one and never by a shared secret; for our client, from this issuer, in time and
//! with the nonce of this sign-in. What the provider says of itself is fetched when it is needed
//! and kept for a while; one that is down is not asked by every request.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use openidconnect::{
    AccessTokenHash, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl,
    Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, TokenResponse as _,
    core::{
        CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdTokenClaims,
        CoreJwsSigningAlgorithm as Algorithm, CoreProviderMetadata, CoreResponseType,
        CoreTokenResponse,
    },
};
use tokio::sync::Mutex;

use super::{Settings, error::Error, transport::Transport};

/// What a provider says of itself, its keys among it, is asked for again after this.
const KEPT: Duration = Duration::from_secs(3600);

/// A provider that did not answer is asked again after this at the earliest; and so is one whose
/// token was signed with a key that it did not publish before.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Both questions of a discovery together; above it the provider counts as down.
const DISCOVERY: Duration = Duration::from_secs(4);

/// What ID tokens may be signed with: public keys only. A provider that lists `none` or a shared
/// secret, or is made to, gains nothing by it.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider of the configuration.
pub(super) struct Provider {
    name: String,
    settings: Settings,
    issuer: IssuerUrl,
    redirect: RedirectUrl,
    transport: Transport,
    /// Held while asking, so that one request asks for all.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    client: Option<Arc<Client>>,
    asked: Option<Instant>,
    answered: Option<Instant>,
}

/// A browser's way to the provider, and what has to be remembered until it comes back.
pub(super) struct Departure {
    pub(super) url: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

/// Who somebody is, as the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// The best name that there is.
    pub(super) name: Option<String>,
    /// Only an address that the provider has verified.
    pub(super) email: Option<String>,
}

impl Provider {
    /// `base` is where browsers come back to.
    ///
    /// # Errors
    /// What of the settings cannot be used.
    pub(super) fn open(name: &str, settings: Settings, base: &str) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("oidc.{name}: {error}");
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|error| wrong(&error))?;
        let base = base.trim_end_matches('/');
        let redirect = RedirectUrl::new(format!("{base}/api/auth/oidc/{name}/callback"))
            .map_err(|error| wrong(&error))?;
        let transport = if settings.issuer.starts_with("http:") {
            Transport::plain()
        } else {
            Transport::secure()
                .map_err(|error| wrong(&format!("this machine trusts no certificates: {error}")))?
        };
        Ok(Self {
            name: name.to_owned(),
            settings,
            issuer,
            redirect,
            transport,
            known: Mutex::default(),
        })
    }

    pub(super) fn display_name(&self) -> &str {
        self.settings.display_name.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    pub(super) fn trusts_email(&self) -> bool {
        self.settings.trust_email
    }

    /// Where a browser signs in; it comes back with `state`.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn depart(&self, state: &str) -> Result<Departure, Error> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = CsrfToken::new(state.to_owned());
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, _, nonce) = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || state,
                Nonce::new_random,
            )
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        Ok(Departure {
            url: url.into(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
        })
    }

    /// Exchanges what the browser brought back for the provider's statement.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::InvalidCode`], [`Error::Refused`],
    /// [`Error::InvalidIdToken`].
    pub(super) async fn identify(
        &self,
        code: String,
        verifier: String,
        nonce: String,
    ) -> Result<Identity, Error> {
        let client = self.client().await?;
        let nonce = Nonce::new(nonce);
        let response = self.exchange(&client, code, verifier).await?;
        match verified(&client, &response, &nonce) {
            Err(Unverified::UnknownKey) => {
                // The provider may have changed its keys since it was asked.
                let client = self.ask_again(Some(&client)).await?;
                verified(&client, &response, &nonce)
            }
            known => known,
        }
        .map(|claims| self.identity(&claims))
        .map_err(|error| {
            tracing::warn!(provider = self.name, ?error, "an ID token is refused");
            Error::InvalidIdToken {
                reason: error.word(),
            }
        })
    }

    async fn exchange(
        &self,
        client: &Client,
        code: String,
        verifier: String,
    ) -> Result<CoreTokenResponse, Error> {
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| self.unavailable(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier));
        let response = request.request_async(&self.transport).await;
        response.map_err(|error| match error {
            RequestTokenError::ServerResponse(refusal) => match refusal.error() {
                CoreErrorResponseType::InvalidGrant => Error::InvalidCode,
                CoreErrorResponseType::InvalidClient
                | CoreErrorResponseType::UnauthorizedClient => {
                    tracing::error!(provider = self.name, %refusal, "a provider refuses us");
                    self.unavailable(&"it refuses our client id or secret")
                }
                code => Error::Refused {
                    code: code.as_ref().to_owned(),
                },
            },
            RequestTokenError::Request(error) => self.unavailable(&error),
            RequestTokenError::Parse(error, _) => self.unavailable(&error),
            RequestTokenError::Other(error) => self.unavailable(&error),
        })
    }

    /// What the provider said of itself, not too long ago; an older word of one that is down is
    /// better than none.
    async fn client(&self) -> Result<Arc<Client>, Error> {
        {
            let known = self.known.lock().await;
            let is_fresh = known.answered.is_some_and(|at| at.elapsed() < KEPT);
            if let Some(client) = &known.client
                && (is_fresh || known.has_just_been_asked())
            {
                return Ok(Arc::clone(client));
            }
        }
        let asked = self.ask_again(None).await;
        match asked {
            Ok(client) => Ok(client),
            Err(error) => {
                let known = self.known.lock().await;
                known.client.clone().ok_or(error)
            }
        }
    }

    /// Asks, unless somebody just did or has learned something other than `old`.
    async fn ask_again(&self, old: Option<&Arc<Client>>) -> Result<Arc<Client>, Error> {
        let mut known = self.known.lock().await;
        if let Some(client) = &known.client
            && (known.has_just_been_asked() || old.is_some_and(|old| !Arc::ptr_eq(old, client)))
        {
            return Ok(Arc::clone(client));
        }
        if known.has_just_been_asked() {
            return Err(self.unavailable(&"it did not answer just now"));
        }
        let discovered = self.discover().await;
        known.asked = Some(Instant::now());
        let client = Arc::new(discovered?);
        known.answered = known.asked;
        known.client = Some(Arc::clone(&client));
        Ok(client)
    }

    async fn discover(&self) -> Result<Client, Error> {
        let discovery = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.transport);
        let metadata = tokio::time::timeout(DISCOVERY, discovery)
            .await
            .map_err(|_| self.unavailable(&"it did not answer in time"))?
            .map_err(|error| self.unavailable(&chain(&error)))?;
        let methods = metadata.token_endpoint_auth_methods_supported();
        let only_in_body = methods.is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let id = ClientId::new(self.settings.client_id.clone());
        let secret = self.settings.client_secret.clone().map(ClientSecret::new);
        let client = CoreClient::from_provider_metadata(metadata, id, secret)
            .set_redirect_uri(self.redirect.clone());
        Ok(if only_in_body {
            client.set_auth_type(AuthType::RequestBody)
        } else {
            client
        })
    }

    fn identity(&self, claims: &CoreIdTokenClaims) -> Identity {
        let name = claims
            .name()
            .and_then(|name| name.get(None))
            .map(|name| name.as_str())
            .or_else(|| claims.preferred_username().map(|name| name.as_str()));
        let email = claims
            .email()
            .filter(|_| claims.email_verified() == Some(true));
        Identity {
            issuer: self.settings.issuer.clone(),
            subject: claims.subject().as_str().to_owned(),
            name: name.map(str::to_owned),
            email: email.map(|email| email.as_str().to_owned()),
        }
    }

    fn unavailable(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::Unavailable {
            provider: self.name.clone(),
            cause: cause.to_string(),
        }
    }
}

impl Known {
    fn has_just_been_asked(&self) -> bool {
        self.asked.is_some_and(|at| at.elapsed() < ASK_EVERY)
    }
}

/// Why an ID token does not count.
#[derive(Debug)]
enum Unverified {
    Missing,
    UnknownKey,
    Claims(ClaimsVerificationError),
    AccessToken,
}

impl Unverified {
    /// What programs are told.
    fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::UnknownKey => "signature",
            Self::AccessToken => "access_token",
            Self::Claims(error) => match error {
                ClaimsVerificationError::Expired(_) => "expired",
                ClaimsVerificationError::InvalidAudience(_) => "audience",
                ClaimsVerificationError::InvalidIssuer(_) => "issuer",
                ClaimsVerificationError::InvalidNonce(_) => "nonce",
                ClaimsVerificationError::SignatureVerification(_) => "signature",
                _ => "claims",
            },
        }
    }
}

fn verified(
    client: &Client,
    response: &CoreTokenResponse,
    nonce: &Nonce,
) -> Result<CoreIdTokenClaims, Unverified> {
    let token = response.id_token().ok_or(Unverified::Missing)?;
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    let claims = token
        .claims(&verifier, nonce)
        .map_err(|error| match error {
            // A provider that starts anew may have another key with the same id, or with none.
            ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey
                | SignatureVerificationError::AmbiguousKeyId(_)
                | SignatureVerificationError::CryptoError(_),
            ) => Unverified::UnknownKey,
            error => Unverified::Claims(error),
        })?;
    if let Some(expected) = claims.access_token_hash() {
        let refused =
            |error| Unverified::Claims(ClaimsVerificationError::SignatureVerification(error));
        let algorithm = token.signing_alg().map_err(refused)?;
        let key = token.signing_key(&verifier).map_err(refused)?;
        let actual = AccessTokenHash::from_token(response.access_token(), algorithm, key);
        if actual.ok().as_ref() != Some(expected) {
            return Err(Unverified::AccessToken);
        }
    }
    Ok(claims.clone())
}

/// An error with its causes: the outermost alone says only that a request failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
