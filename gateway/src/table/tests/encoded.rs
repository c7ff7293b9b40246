//! Encoded octets are no way past an `auth`: an upstream may decode them before it looks at the path.

use super::*;

/// What a request owes, and the route that takes it.
fn judged(table: &Table, method: &Method, path: &str) -> (String, Vec<String>) {
    let normal = crate::path::normalize(path).unwrap();
    let judged = table.judge(None, method, &normal.path, &HeaderMap::new());
    let judged = judged.unwrap();
    let roles = judged.demands.iter().map(|auth| auth.roles.join("|"));
    (judged.route.id.to_string(), roles.collect())
}

fn guarded() -> Table {
    let auth = |role| format!("auth = {{ roles = [\"{role}\"] }}");
    table(
        &[
            route("all", "/", "encoded_slash = \"keep\"\npublic = true"),
            route("export", "/v1/reports:export", &auth("exporter")),
            route("admin", "/api/admin", &auth("admin")),
            "[[routes]]\nid = \"item\"\npath = \"/shop:old/{id}\"\nlegacy = \"legacy\"\n"
                .to_owned(),
            auth("clerk"),
        ]
        .concat(),
    )
}

#[test]
fn an_encoded_octet_of_a_guarded_path_is_no_way_past_its_auth() {
    let table = guarded();
    for (path, expected) in [
        ("/v1/reports%3Aexport", vec!["exporter"]),
        ("/v1/reports%3aexport/7", vec!["exporter"]),
        ("/v1/%72eports%3Aexport", vec!["exporter"]),
        ("/api%2Fadmin", vec!["admin"]),
        ("/api%5cadmin%2Fx", vec!["admin"]),
        ("/api%2Fadmin%3Bx", vec!["admin"]),
        ("/api/admin%00", vec!["admin"]),
        ("/shop%3Aold/a%2Fb", vec!["clerk"]),
        ("/api/other%3A", vec![]),
        ("/api%20/admin", vec![]),
        ("/api%252Fadmin", vec![]),
    ] {
        let found = judged(&table, &Method::GET, path);
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(found, ("all".to_owned(), expected), "{path}");
    }
}

#[test]
fn a_guarded_path_with_encoded_octets_below_it_owes_its_auth_once() {
    let found = judged(&guarded(), &Method::GET, "/api/admin/a%20b");
    assert_eq!(found, ("admin".to_owned(), vec!["admin".to_owned()]));
}
