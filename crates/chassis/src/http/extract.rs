use axum::{
    extract::{FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};

use crate::Problem;

/// A JSON body, in or out. Refusals: 415 `unsupported_media_type`, 413 `body_too_large`, 400
/// `malformed_json`, 422 `invalid_field` with the field's path as `field`.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// The query string. Refusal: 400 `invalid_query` with `field` where it is known.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// Path parameters. Refusal: 404 `not_found`, since no such thing can exist.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let detail = "The body must be application/json.";
            return Err(Problem::with_status(
                status,
                "unsupported_media_type",
                detail,
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(&rejection))?;
        parse(&bytes).map(Json)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let pairs = parts.uri.query().unwrap_or_default();
        let deserializer =
            serde_urlencoded::Deserializer::new(form_urlencoded::parse(pairs.as_bytes()));
        serde_path_to_error::deserialize(deserializer)
            .map(Query)
            .map_err(|error| {
                let field = error.path().to_string();
                let problem = Problem::bad_request("invalid_query", error.into_inner().to_string());
                if field == "." {
                    problem
                } else {
                    problem.field(field)
                }
            })
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::not_found("not_found", "There is nothing under this path."))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = kind
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::with_status(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The body is larger than this path accepts.",
        ),
        _ => Problem::bad_request("unreadable_body", "The body ended early or cannot be read."),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    use serde_json::error::Category;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let cause = error.into_inner();
        // serde_json calls it a syntax error, too, when an enum meets a number.
        let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        if cause.classify() == Category::Data || is_json() {
            let field = named_field(&cause.to_string(), &path);
            Problem::unprocessable("invalid_field", cause.to_string()).field(field)
        } else {
            Problem::bad_request("malformed_json", cause.to_string())
        }
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::bad_request("malformed_json", error.to_string()))?;
    Ok(value)
}

/// serde tells the path of the struct when a field is missing or unknown, and names the field
/// only in its message, between backticks.
fn named_field(message: &str, path: &str) -> String {
    let told = message.starts_with("missing field") || message.starts_with("unknown field");
    let name = told.then(|| message.split('`').nth(1)).flatten();
    match (name, path) {
        (None, _) => path.to_owned(),
        (Some(name), ".") => name.to_owned(),
        (Some(name), path) if path == name || path.ends_with(&format!(".{name}")) => {
            path.to_owned()
        }
        (Some(name), path) => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only parsed")]
        inner_part: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only parsed")]
        count: u8,
    }

    fn refusal(text: &str) -> (u16, String) {
        let problem = parse::<Outer>(text.as_bytes()).unwrap_err();
        let field = problem.body(None)["field"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (problem.status().as_u16(), field)
    }

    #[test]
    fn refusals_name_the_field() {
        assert_eq!(refusal("{}"), (422, "innerPart".into()));
        assert_eq!(
            refusal(r#"{"innerPart": {}}"#),
            (422, "innerPart.count".into())
        );
        assert_eq!(
            refusal(r#"{"innerPart": {"count": "x"}}"#),
            (422, "innerPart.count".into())
        );
        assert_eq!(
            refusal(r#"{"innerPart": {"count": 1}, "more": 1}"#),
            (422, "more".into())
        );
    }

    #[derive(Debug, Deserialize)]
    struct Named {
        #[expect(dead_code, reason = "only parsed")]
        mode: Mode,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Classic,
    }

    #[test]
    fn a_number_where_a_name_belongs_is_a_wrong_value_and_no_bad_json() {
        assert!(parse::<Named>(br#"{"mode": "classic"}"#).is_ok());
        for text in [
            r#"{"mode": 7}"#,
            r#"{"mode": "turbo"}"#,
            r#"{"mode": null}"#,
        ] {
            let problem = parse::<Named>(text.as_bytes()).unwrap_err();
            assert_eq!(problem.status().as_u16(), 422, "{text}");
            assert_eq!(problem.body(None)["field"], "mode", "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_400() {
        assert_eq!(refusal("{"), (400, String::new()));
        assert_eq!(
            refusal(r#"{"innerPart": {"count": 1}} trailing"#),
            (400, String::new())
        );
    }
}
