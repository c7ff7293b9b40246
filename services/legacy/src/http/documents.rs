//! `/openapi.json` and `/docs`: the documents of the services put together, since the monolith
//! answers every one of their paths. So it cannot say anything else than they do.

use axum::Router;
use chassis::http::openapi::{self, About};
use utoipa::openapi::OpenApi;

const ABOUT: About = About {
    name: "Node-Learn",
    description: "All of Node-Learn, as the monolith and the services answer it.",
};

pub(super) fn router() -> Router {
    let documents: [OpenApi; 7] = [
        auth::http::document(),
        question::http::document(),
        quiz::http::document(),
        achievement::http::document(),
        leaderboard::http::document(),
        admin::http::document(),
        maintenance::http::document(),
    ];
    let documents = documents.map(|document| openapi::complete(document, ABOUT));
    openapi::pages(openapi::merged(documents, ABOUT))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let documents = [
            auth::http::document(),
            question::http::document(),
            quiz::http::document(),
            achievement::http::document(),
            leaderboard::http::document(),
            admin::http::document(),
            maintenance::http::document(),
        ];
        let mut names = BTreeSet::new();
        for document in documents {
            let document = openapi::complete(document, ABOUT);
            let paths = document["paths"].as_object().expect("paths").clone();
            for operation in paths
                .values()
                .flat_map(|item| item.as_object().expect("methods").values())
            {
                let name = operation["operationId"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                assert!(names.insert(name.clone()), "{name:?} is there twice");
            }
        }
        assert!(names.len() > 40, "{names:?}");
    }
}
