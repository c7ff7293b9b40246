//! `/openapi.json` and `/docs`: what a service says of its own paths.
//!
//! A handler documents what it alone knows (`#[utoipa::path]`: its success, its own refusals);
//! what every path can answer because of the layers and extractors around it is added here, so
//! that it is written down once and never forgotten.

use axum::{Router, routing::get};
use contracts::http::ProblemBody;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::Json;

/// The name of the security scheme that handlers refer to: a Node-Learn access token.
pub const BEARER: &str = "bearer";

/// Where the document is.
const DOCUMENT: &str = "/openapi.json";

/// What the document is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The service's name.
    pub name: &'static str,
    /// One sentence about it.
    pub description: &'static str,
}

/// The router of a service together with `/openapi.json` and `/docs`.
pub fn documented(api: OpenApiRouter, about: About) -> Router {
    let (router, document) = api.split_for_parts();
    router.merge(pages(complete(document, about)))
}

/// `/openapi.json` and `/docs` for a finished document.
pub fn pages(document: Value) -> Router {
    let page = SwaggerUi::new("/docs").config(Config::from(DOCUMENT));
    Router::from(page).route(DOCUMENT, get(async move || Json(document.clone())))
}

/// The document with everything that holds for every path: the problem body, the security scheme,
/// and the answers that extractors and layers give.
pub fn complete(document: OpenApi, about: About) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["info"] = json!({
        "title": about.name,
        "description": about.description,
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/" }]);
    let problem = serde_json::to_value(ProblemBody::schema()).unwrap_or_default();
    document["components"]["schemas"]["ProblemBody"] = problem;
    document["components"]["securitySchemes"] = json!({
        BEARER: { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }
    });
    for operation in operations(&mut document) {
        complete_operation(operation);
    }
    document
}

/// One document of several, for a server that answers the paths of all of them. A path that
/// several have is the first one's.
pub fn merged(documents: impl IntoIterator<Item = Value>, about: About) -> Value {
    let mut whole = complete(OpenApi::default(), about);
    for document in documents {
        for part in ["/paths", "/components/schemas"] {
            let Some(Value::Object(found)) = document.pointer(part).cloned() else {
                continue;
            };
            if let Some(Value::Object(kept)) = whole.pointer_mut(part) {
                for (name, value) in found {
                    kept.entry(name).or_insert(value);
                }
            }
        }
    }
    whole
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let items = paths.into_iter().flat_map(|paths| paths.values_mut());
    let operations = items.filter_map(Value::as_object_mut).flat_map(|item| {
        let is_method = |name: &str| {
            matches!(
                name,
                "get" | "put" | "post" | "delete" | "options" | "head" | "patch"
            )
        };
        item.iter_mut()
            .filter(move |(name, _)| is_method(name))
            .map(|(_, operation)| operation)
    });
    operations.filter_map(Value::as_object_mut)
}

fn complete_operation(operation: &mut Map<String, Value>) {
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let is_in = |place: &str| {
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["in"] == place))
    };
    let (has_path, has_query) = (is_in("path"), is_in("query"));
    let has_body = operation.contains_key("requestBody");
    let security = operation.get("security").and_then(Value::as_array);
    let takes_token = security.is_some_and(|schemes| !schemes.is_empty());
    let needs_token = takes_token
        && security.is_some_and(|schemes| schemes.iter().all(|scheme| scheme != &json!({})));
    let mut add = |wanted: bool, status: &str, description: &str| {
        if !wanted {
            return;
        }
        let responses = operation.entry("responses").or_insert_with(|| json!({}));
        if let Some(responses) = responses.as_object_mut() {
            responses
                .entry(status)
                .or_insert_with(|| json!({ "description": description }));
        }
    };
    // Of a path the gateway says so: one that servers could read in different ways goes no further.
    let is_read = has_path || has_query || has_body;
    add(is_read, "400", "The request cannot be read.");
    add(
        takes_token,
        "401",
        "No access token, or one that is not valid.",
    );
    add(
        needs_token,
        "403",
        "The token does not carry the role that this needs.",
    );
    add(
        has_path,
        "404",
        "There is no such thing, or none of the caller's.",
    );
    add(
        has_body,
        "413",
        "The body is larger than this path accepts.",
    );
    add(
        has_body,
        "415",
        "The body is not of a type that this path reads.",
    );
    add(
        has_body,
        "422",
        "A value is not acceptable; `field` names it.",
    );
    add(
        true,
        "503",
        "A dependency is down, or it took too long; try again after `Retry-After`.",
    );
    if let Some(responses) = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
    {
        for (status, response) in responses {
            complete_response(status, response);
        }
    }
}

/// Every refusal has the same body.
fn complete_response(status: &str, response: &mut Value) {
    if !status.starts_with(['4', '5']) {
        return;
    }
    let Some(response) = response.as_object_mut() else {
        return;
    };
    response.entry("content").or_insert_with(|| {
        json!({ "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/ProblemBody" }
        } })
    });
    if matches!(status, "429" | "503") {
        response.entry("headers").or_insert_with(|| {
            json!({ "Retry-After": {
                "description": "Seconds to wait.", "schema": { "type": "integer" }
            } })
        });
    }
}

#[cfg(test)]
mod tests {
    use utoipa_axum::routes;

    use super::*;

    #[utoipa::path(
        put, path = "/things/{id}", params(("id" = String, Path)),
        request_body = serde_json::Value, security(("bearer" = [])),
        responses((status = 200, body = String), (status = 409, description = "Moved on."))
    )]
    async fn write() -> &'static str {
        "done"
    }

    fn document() -> Value {
        let (_, document) = OpenApiRouter::<()>::new()
            .routes(routes!(write))
            .split_for_parts();
        complete(
            document,
            About {
                name: "things",
                description: "Things.",
            },
        )
    }

    #[test]
    fn a_path_lists_what_its_extractors_and_layers_answer() {
        let document = document();
        let responses = &document["paths"]["/things/{id}"]["put"]["responses"];
        let statuses: Vec<_> = responses.as_object().unwrap().keys().collect();
        assert_eq!(
            statuses,
            [
                "200", "400", "401", "403", "404", "409", "413", "415", "422", "503"
            ]
        );
        for status in ["400", "409", "503"] {
            assert!(
                responses[status]["content"]["application/problem+json"].is_object(),
                "{status}"
            );
        }
        assert!(responses["503"]["headers"]["Retry-After"].is_object());
        assert_eq!(responses["409"]["description"], "Moved on.");
    }

    #[test]
    fn several_documents_become_one() {
        let about = About {
            name: "whole",
            description: "All of it.",
        };
        let whole = merged([document(), document()], about);
        assert_eq!(whole["info"]["title"], "whole");
        assert!(whole["paths"]["/things/{id}"]["put"].is_object());
        assert!(whole["components"]["schemas"]["ProblemBody"].is_object());
    }
}
