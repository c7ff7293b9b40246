//! What caches between the service and its players may keep.

use contracts::events::QuestionDeleted;
use testkit::{Backend, eventually};

use crate::{
    app::{App, PATIENCE},
    created, id, updated,
};

testkit::both_databases!(
    who_has_an_answer_gets_304_until_it_changes,
    a_draw_is_not_kept,
);

async fn who_has_an_answer_gets_304_until_it_changes(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.shows(&[id(1)]).await;
    let one = format!("/api/questions/{}", id(1));
    let paths = [
        one.as_str(),
        "/api/questions",
        "/api/questions?q=borrow",
        "/api/questions/categories",
        "/api/questions/tags",
    ];
    let mut tags = Vec::new();
    for path in paths {
        let first = app.raw("GET", path, &[]).await;
        let tag = first.tag.expect("a tag");
        assert_eq!(
            first.control.as_deref(),
            Some("public, max-age=0, must-revalidate")
        );
        let list = format!("\"other\", W/{tag}");
        for known in [tag.as_str(), &list, "*"] {
            let again = app.raw("GET", path, &[("if-none-match", known)]).await;
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
            assert_eq!(again.tag.as_ref(), Some(&tag));
        }
        let head = app.raw("HEAD", path, &[]).await;
        assert_eq!(
            (head.status, head.tag.as_ref()),
            (200, Some(&tag)),
            "{path}"
        );
        tags.push(tag);
    }
    let mut edited = updated(id(1), "What is a mutable borrow?");
    edited.tags = vec!["ownership".to_owned()];
    edited.category = "borrowing".to_owned();
    app.append(id(1), 2, &edited).await;
    for (path, tag) in paths.iter().zip(&tags) {
        eventually(PATIENCE, || async {
            let now = app.raw("GET", path, &[("if-none-match", tag)]).await;
            now.status == 200 && now.tag.is_some_and(|now| now != *tag)
        })
        .await;
    }
    let gone = QuestionDeleted {
        question_id: id(1),
        version: 3,
    };
    app.append(id(1), 3, &gone).await;
    eventually(PATIENCE, || async {
        let gone = app.raw("GET", &one, &[("if-none-match", "*")]).await;
        gone.status == 404 && gone.tag.is_none()
    })
    .await;
}

async fn a_draw_is_not_kept(backend: Backend) {
    let app = App::start(backend).await;
    app.append(id(1), 1, &created(id(1), "rust", "What is a borrow?"))
        .await;
    app.shows(&[id(1)]).await;
    let path = "/api/questions/random";
    let drawn = app.raw("GET", path, &[("if-none-match", "*")]).await;
    assert_eq!((drawn.status, drawn.tag), (200, None));
    assert_eq!(drawn.control.as_deref(), Some("no-store"));
}
