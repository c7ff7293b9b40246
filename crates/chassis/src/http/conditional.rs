//! Reads that are answered with 304 when the client has the answer already (RFC 9110, section 13).
//!
//! A layer around reads whose answer is the same for everybody. The tag is strong: a digest of the
//! bytes of the body, so that it is the same on every replica, and on both sides of a move where
//! their bodies are. It saves the body's way, not the work of making it.
//!
//! An answer that says `no-store`, is not 200, or whose body is too large or of no known size passes
//! as it is, without a tag. The
//! answers depend on nothing but the address, so there is no `Vary`; one that a handler sets stays.

use axum::{
    body::{Body, HttpBody, to_bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::Problem;

/// Kept by whoever likes, and asked for again each time: an edit is seen at once.
pub const CACHE_CONTROL: &str = "public, max-age=0, must-revalidate";

/// Bytes of a body that is held in memory for its tag: above every answer that these layers
/// surround. A page of 100 questions has some 50 KiB, and 0.6 MiB where all texts are as long as they
/// may be.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Bytes of the digest: two different bodies share them by chance only.
const DIGEST: usize = 16;

/// The layer, for `axum::middleware::from_fn`: adds `ETag` and `Cache-Control`, and answers 304
/// where `If-None-Match` names the tag.
pub async fn revalidate(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known: Vec<HeaderValue> = request
        .headers()
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .cloned()
        .collect();
    let response = next.run(request).await;
    if !reads
        || response.status() != StatusCode::OK
        || is_private(response.headers())
        || !is_bounded(response.body())
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = match to_bytes(body, MAX_BODY).await {
        Ok(bytes) => bytes,
        Err(error) => return Problem::internal(&error).into_response(),
    };
    let tag = tag_of(&bytes);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, value);
    }
    parts
        .headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static(CACHE_CONTROL));
    if !known.iter().any(|list| names(list, &tag)) {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    // They describe a body, and there is none.
    for described in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        parts.headers.remove(described);
    }
    Response::from_parts(parts, Body::empty())
}

fn is_bounded(body: &Body) -> bool {
    let most = body.size_hint().upper();
    most.is_some_and(|bytes| usize::try_from(bytes).is_ok_and(|bytes| bytes <= MAX_BODY))
}

fn is_private(headers: &HeaderMap) -> bool {
    let control = headers.get(header::CACHE_CONTROL);
    let text = control.and_then(|value| value.to_str().ok());
    text.is_some_and(|text| text.contains("no-store"))
}

/// A strong entity tag, with its quotes.
fn tag_of(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..DIGEST]))
}

/// Whether a list of entity tags names this one, compared weakly: `W/"a"` is `"a"`. What is no list
/// names nothing.
fn names(list: &HeaderValue, tag: &str) -> bool {
    let Ok(list) = list.to_str() else {
        return false;
    };
    let mut rest = list.trim_matches([' ', '\t']);
    if rest == "*" {
        return true;
    }
    // A comma may be in a tag, so the list is read tag by tag.
    while !rest.is_empty() {
        let strong = rest.strip_prefix("W/").unwrap_or(rest);
        let Some(opaque) = strong.strip_prefix('"') else {
            return false;
        };
        let Some(end) = opaque.find('"') else {
            return false;
        };
        if strong[..end + 2] == *tag {
            return true;
        }
        let behind = opaque[end + 1..].trim_start_matches([' ', '\t']);
        rest = match behind.strip_prefix(',') {
            Some(more) => more.trim_start_matches([' ', '\t', ',']),
            None => return false,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn answer(method: &str, path: &str, known: &[&str]) -> Response {
        let app = Router::new()
            .route("/", get(async || "the body").post(async || "the body"))
            .route(
                "/mine",
                get(async || ([(header::CACHE_CONTROL, "no-store")], "")),
            )
            .route("/none", get(async || StatusCode::NOT_FOUND))
            .route("/large", get(async || vec![b'x'; MAX_BODY + 1]))
            .route_layer(middleware::from_fn(revalidate));
        let mut request = http::Request::builder().method(method).uri(path);
        for value in known {
            request = request.header(header::IF_NONE_MATCH, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        app.oneshot(request).await.expect("an answer")
    }

    fn tag(response: &Response) -> Option<&str> {
        let tag = response.headers().get(header::ETAG);
        tag.map(|tag| tag.to_str().expect("a text"))
    }

    async fn body(response: Response) -> bytes::Bytes {
        to_bytes(response.into_body(), 1024).await.expect("a body")
    }

    #[tokio::test]
    async fn a_read_has_a_strong_tag_and_is_revalidated() {
        let response = answer("GET", "/", &[]).await;
        assert_eq!(tag(&response), Some(tag_of(b"the body").as_str()));
        assert_eq!(response.headers()[header::CACHE_CONTROL], CACHE_CONTROL);
        assert_eq!(body(response).await, "the body");
    }

    #[tokio::test]
    async fn who_has_it_gets_the_headers_alone() {
        let mine = tag_of(b"the body");
        for known in [
            vec![mine.clone()],
            vec![format!("W/{mine}")],
            vec!["*".to_owned()],
            vec![format!("\"a,b\", W/\"c\" ,{mine}")],
            vec!["\"a\"".to_owned(), mine.clone()],
        ] {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let response = answer("GET", "/", &known).await;
            assert_eq!(response.status(), 304, "{known:?}");
            assert_eq!(tag(&response), Some(mine.as_str()));
            assert_eq!(response.headers()[header::CACHE_CONTROL], CACHE_CONTROL);
            assert_eq!(response.headers().get(header::CONTENT_TYPE), None);
            assert!(body(response).await.is_empty());
        }
    }

    #[tokio::test]
    async fn who_has_something_else_or_says_nonsense_gets_the_body() {
        let mine = tag_of(b"the body");
        let unquoted = mine.trim_matches('"');
        for known in [
            "\"other\"",
            unquoted,
            "\"",
            "\"a\" \"b\"",
            "w/\"a\"",
            ",",
            "*, *",
            "",
        ] {
            let response = answer("GET", "/", &[known]).await;
            assert_eq!(response.status(), 200, "{known}");
            assert_eq!(body(response).await, "the body");
        }
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get() {
        let (get, head) = (
            answer("GET", "/", &[]).await,
            answer("HEAD", "/", &[]).await,
        );
        assert_eq!(tag(&head), tag(&get));
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "8");
        assert!(body(head).await.is_empty());
        assert_eq!(answer("HEAD", "/", &["*"]).await.status(), 304);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_for_a_tag_passes_without_one() {
        for known in [&[][..], &["*"]] {
            let response = answer("GET", "/large", known).await;
            assert_eq!((response.status().as_u16(), tag(&response)), (200, None));
            let body = to_bytes(response.into_body(), usize::MAX).await;
            assert_eq!(body.expect("a body").len(), MAX_BODY + 1);
        }
    }

    #[tokio::test]
    async fn what_is_no_shared_read_passes_as_it_is() {
        for (method, path) in [("POST", "/"), ("GET", "/mine"), ("GET", "/none")] {
            let response = answer(method, path, &["*"]).await;
            assert_ne!(response.status(), 304, "{method} {path}");
            assert_eq!(tag(&response), None, "{method} {path}");
        }
    }
}
