//! Routes by templates and by what the client accepts, over the wire.

use crate::scripted::Scripted;
use crate::stage::{Stage, upstream};

async fn stage(legacy: &Scripted, routes: &str) -> Stage {
    Stage::open(&format!(
        "{}\n[[auth.issuers]]\nissuer = \"i\"\nsecret = \"0123456789abcdef\"\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n{routes}",
        upstream("legacy", legacy.address, "")
    ))
    .await
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_past_a_templates_auth() {
    let legacy = Scripted::saying("hello").await;
    let stage = stage(
        &legacy,
        "[[routes]]\nid = \"orders\"\npath = \"/users/{id}/orders\"\nlegacy = \"legacy\"\n\
         methods = [\"GET\"]\nauth = { required = true }\n",
    )
    .await;
    for target in [
        "/users/7/orders",
        "/users/7/orders/",
        "//users/7/orders",
        "/users/./7/orders",
        "/users/x/../7/orders",
        "/users/7/%6Frders",
        "/users/7;v=1/orders;x",
        "/users/a%20b/orders?x=1",
        "/users/7/orders/.",
        "/users/7/x/../orders",
    ] {
        for method in ["GET", "HEAD", "DELETE"] {
            let request = format!("{method} {target} HTTP/1.1\r\nhost: shop.example\r\n\r\n");
            let reply = stage.ask(&request).await;
            assert_eq!(reply.status(), 401, "{method} {target}");
        }
    }
    assert_eq!(legacy.count(), 0);
    assert_eq!(stage.get("/users/7", "").await.status(), 200);
    assert_eq!(stage.get("/users/7/orders/1", "").await.status(), 200);
}

#[tokio::test]
async fn a_template_forwards_the_path_in_the_form_that_its_route_says() {
    let legacy = Scripted::saying("hello").await;
    let stage = stage(
        &legacy,
        "[[routes]]\nid = \"plain\"\npath = \"/a/{id}\"\nlegacy = \"legacy\"\n\
         [[routes]]\nid = \"kept\"\npath = \"/b/{id}\"\npath_form = \"keep\"\nlegacy = \"legacy\"\n",
    )
    .await;
    let plain = stage.get("/a/%61;v=1?q", "").await;
    assert_eq!(plain.header("x-banyan-route"), Some("plain"));
    let kept = stage.get("/b/%61;v=1?q", "").await;
    assert_eq!(kept.header("x-banyan-route"), Some("kept"));
    assert_eq!(legacy.seen()[0].line(), "GET /a/a?q HTTP/1.1");
    assert_eq!(legacy.seen()[1].line(), "GET /b/%61;v=1?q HTTP/1.1");
}

#[tokio::test]
async fn a_version_is_routed_by_accept_and_caches_are_told() {
    let legacy = Scripted::saying("v1").await;
    let second = Scripted::saying("v2").await;
    let routes = format!(
        "[[routes]]\nid = \"v2\"\nprefix = \"/shop\"\nlegacy = \"second\"\n\
         accept = \"application/vnd.shop.v2+json\"\n{}",
        upstream("second", second.address, "")
    );
    let stage = stage(&legacy, &routes).await;
    let accept = "accept: text/html, application/vnd.shop.v2+json\r\n";
    let reply = stage.get("/shop/1", accept).await;
    assert_eq!(
        (reply.body.as_str(), reply.header("vary")),
        ("v2", Some("accept"))
    );
    let reply = stage.get("/shop/1", "accept: */*\r\n").await;
    assert_eq!(
        (reply.body.as_str(), reply.header("vary")),
        ("v1", Some("accept"))
    );
    let reply = stage.get("/other", accept).await;
    assert_eq!((reply.body.as_str(), reply.header("vary")), ("v1", None));
}
