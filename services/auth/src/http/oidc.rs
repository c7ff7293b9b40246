//! Sign-in with other OpenID Connect providers.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{
    http::{Json, Path, Query},
    identity::Caller,
};
use contracts::http::{AuthorizationUrl, Items, Session, SignInCode, SignInProvider};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::App;
use crate::oidc::{Begun, Delivery, Error, Finished, Return, SIGN_IN_LIFETIME, Secret};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(session))
        .routes(routes!(begin))
        .routes(routes!(link))
        .routes(routes!(finish))
}

/// Where the browser goes after it has signed in.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Destination {
    /// A path of this site; it gets a `code` in its query. Absent: the callback answers with the
    /// session itself.
    #[param(
        min_length = 1,
        max_length = 512,
        pattern = r"^/([A-Za-z0-9._~!$&'()*+,;=:@%-]+(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/?)?(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?(#[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$"
    )]
    return_to: Option<String>,
}

/// What a provider sends a browser back with; it may add more.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Callback {
    /// What the browser took to the provider.
    #[param(max_length = 128)]
    state: Option<String>,
    /// What the provider gives for an identity.
    #[param(max_length = 4096)]
    code: Option<String>,
    /// Why the provider gives none, such as `access_denied`.
    #[param(max_length = 128)]
    error: Option<String>,
    /// Which provider answers (RFC 9207).
    #[param(max_length = 512)]
    iss: Option<String>,
}

/// The providers to sign in with.
#[utoipa::path(get, path = "/api/auth/oidc", operation_id = "oidc_list", tag = "oidc",
    responses((status = 200, body = Items<SignInProvider>, description = "All of them.")))]
async fn list(State(app): State<App>) -> Json<Items<SignInProvider>> {
    let items = app.oidc.providers();
    Json(Items { items })
}

/// Sends the browser to the provider. It comes back to the callback within ten minutes.
#[utoipa::path(get, path = "/api/auth/oidc/{provider}", operation_id = "oidc_begin", tag = "oidc",
    params(("provider" = String, Path, min_length = 1, max_length = 32, pattern = "^[a-z0-9-]+$",
            description = "The provider's id."), Destination),
    responses((status = 303, description = "To the provider; a cookie binds the browser.",
            headers(("Location" = String), ("Set-Cookie" = String))),
        (status = 400, description = "`returnTo` is no path of this site (`invalid_query`)."),
        (status = 404, description = "There is no such provider (`unknown_provider`)."),
        (status = 503, description = "The provider is down (`oidc_provider_unavailable`).")))]
async fn begin(
    State(app): State<App>,
    Path(provider): Path<String>,
    Query(destination): Query<Destination>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let return_to = destination.return_to.as_deref();
    let browser = app.cookie.read(&headers);
    let begun = app.oidc.begin(&provider, return_to, browser, None).await?;
    let mut response = redirect(&begun.url);
    app.cookie.set(&begun, response.headers_mut());
    Ok(response)
}

/// Begins to link an identity of the provider to the caller. A guest becomes a user by it and
/// keeps everything.
#[utoipa::path(post, path = "/api/auth/oidc/{provider}/link", operation_id = "oidc_link",
    tag = "oidc", security(("bearer" = [])),
    params(("provider" = String, Path, min_length = 1, max_length = 32, pattern = "^[a-z0-9-]+$",
            description = "The provider's id."), Destination),
    responses((status = 200, body = AuthorizationUrl,
            description = "Where the browser goes next; a cookie binds it.",
            headers(("Set-Cookie" = String))),
        (status = 400, description = "`returnTo` is no path of this site (`invalid_query`)."),
        (status = 404, description = "There is no such provider (`unknown_provider`)."),
        (status = 503, description = "The provider is down (`oidc_provider_unavailable`).")))]
async fn link(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<String>,
    Query(destination): Query<Destination>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let return_to = destination.return_to.as_deref();
    let browser = app.cookie.read(&headers);
    let begun = app
        .oidc
        .begin(&provider, return_to, browser, Some(&caller))
        .await?;
    let mut response = Json(AuthorizationUrl {
        authorization_url: begun.url.clone(),
    })
    .into_response();
    app.cookie.set(&begun, response.headers_mut());
    Ok(private(response))
}

/// Where the provider sends the browser back to. Answers with the session, or sends the browser
/// on to where it wanted to go, with a code for the session.
#[utoipa::path(get, path = "/api/auth/oidc/{provider}/callback", operation_id = "oidc_finish",
    tag = "oidc",
    params(("provider" = String, Path, min_length = 1, max_length = 32, pattern = "^[a-z0-9-]+$",
            description = "The provider's id."), Callback),
    responses((status = 200, body = Session,
            description = "Signed in: without `returnTo`, or for `Accept: application/json`."),
        (status = 303, description = "Signed in: back to `returnTo` with a `code`.",
            headers(("Location" = String))),
        (status = 400, description = "The provider does not take the code (`invalid_code`), or \
            refuses otherwise (`oidc_provider_refused`)."),
        (status = 401, description = "The provider's statement is not valid \
            (`invalid_id_token`), or the account was deleted (`account_deleted`)."),
        (status = 403, description = "The sign-in was not begun here or is over \
            (`invalid_state`), took too long (`sign_in_expired`), was begun in another browser \
            (`other_browser`), or was denied (`access_denied`)."),
        (status = 404, description = "There is no such provider (`unknown_provider`)."),
        (status = 409, description = "The identity belongs to somebody else (`identity_taken`)."),
        (status = 503, description = "The provider is down (`oidc_provider_unavailable`).")))]
async fn finish(
    State(app): State<App>,
    Path(provider): Path<String>,
    Query(callback): Query<Callback>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let back = Return {
        state: callback.state,
        code: callback.code,
        error: callback.error,
        iss: callback.iss,
        browser: app.cookie.read(&headers),
    };
    let finished = app.oidc.finish(&provider, back, delivery(&headers)).await?;
    Ok(match finished {
        Finished::Session(session) => private(Json(*session).into_response()),
        Finished::Return(path) => redirect(&path),
    })
}

/// Exchanges the code from the address that the browser was sent back to for the session, in the
/// browser that signed in.
#[utoipa::path(post, path = "/api/auth/oidc/session", operation_id = "oidc_session", tag = "oidc",
    request_body = SignInCode,
    responses((status = 200, body = Session, description = "Signed in."),
        (status = 401, description = "Unknown, used, too old, or of another browser \
            (`invalid_code`).")))]
async fn session(
    State(app): State<App>,
    headers: HeaderMap,
    Json(body): Json<SignInCode>,
) -> Result<Response, Error> {
    let browser = app.cookie.read(&headers);
    let session = app.oidc.redeem(&body.code, browser.as_ref()).await?;
    Ok(private(Json(session).into_response()))
}

/// The cookie that binds a sign-in to the browser that began it.
#[derive(Clone, Debug)]
pub(super) struct Cookie {
    name: &'static str,
    attributes: &'static str,
}

impl Cookie {
    /// Over TLS the name itself keeps others, such as a neighbouring host, from setting it.
    pub(super) fn new(is_https: bool) -> Self {
        if is_https {
            Self {
                name: "__Host-banyan_oidc",
                attributes: "Path=/; HttpOnly; SameSite=Lax; Secure",
            }
        } else {
            Self {
                name: "banyan_oidc",
                attributes: "Path=/api/auth/oidc; HttpOnly; SameSite=Lax",
            }
        }
    }

    fn read(&self, headers: &HeaderMap) -> Option<Secret> {
        let values = headers.get_all(header::COOKIE).into_iter();
        let mut pairs = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(name, value)| {
            (name == self.name)
                .then(|| Secret::presented(value))
                .flatten()
        })
    }

    fn set(&self, begun: &Begun, headers: &mut HeaderMap) {
        let (name, value, age) = (
            self.name,
            begun.browser.as_str(),
            SIGN_IN_LIFETIME.as_secs(),
        );
        let cookie = format!("{name}={value}; Max-Age={age}; {}", self.attributes);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

fn delivery(headers: &HeaderMap) -> Delivery {
    let mut accepted = headers.get_all(header::ACCEPT).into_iter();
    let wants_json = accepted.any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains("application/json"))
    });
    if wants_json {
        Delivery::Body
    } else {
        Delivery::Redirect
    }
}

fn redirect(location: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::try_from(location) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
            private(response)
        }
        Err(error) => chassis::Problem::internal(&error).into_response(),
    }
}

/// What only this browser may see: kept nowhere, and told to no page that it goes to next.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}
