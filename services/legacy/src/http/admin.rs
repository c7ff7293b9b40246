//! The curators' side of the question bank.

mod files;
mod questions;
mod writing;

use axum::Router;

use super::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .merge(questions::router())
        .merge(files::router())
}
