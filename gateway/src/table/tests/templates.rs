//! Templates: what they take, who comes first, and that no way leads past their `auth`.

use super::*;

fn template(id: &str, path: &str, more: &str) -> String {
    format!("[[routes]]\nid = \"{id}\"\npath = \"{path}\"\nlegacy = \"legacy\"\n{more}\n")
}

const ADMIN: &str = "auth = { roles = [\"admin\"] }\n";
const ADMIN_READS: &str = "auth = { roles = [\"admin\"] }\nmethods = [\"GET\"]\n";

#[test]
fn a_template_takes_exactly_its_segments_and_a_rest_takes_all_below() {
    let table = table(
        &[
            route("all", "/", ""),
            template("orders", "/users/{id}/orders", ""),
            template("files", "/files/{owner}/{*rest}", ""),
            template("health", "/health", ""),
        ]
        .concat(),
    );
    for (path, expected) in [
        ("/users/7/orders", "orders"),
        ("/users/7/orders/", "orders"),
        ("/users/7/orders/1", "all"),
        ("/users/7", "all"),
        ("/users//orders", "all"),
        ("/users/7/Orders", "all"),
        ("/files", "all"),
        ("/files/ann", "files"),
        ("/files/ann/a/b/c", "files"),
        ("/health", "health"),
        ("/health/ready", "all"),
    ] {
        assert_eq!(found(&table, &Method::GET, path), Some(expected), "{path}");
    }
}

#[test]
fn a_literal_comes_before_a_name_and_both_before_what_ends_earlier() {
    let table = table(
        &[
            route("users", "/users", ""),
            route("me", "/users/me", ""),
            template("user", "/users/{id}", ""),
            template("orders", "/users/{id}/orders", ""),
            template("any", "/{kind}/{id}/orders", ""),
            template("root", "/users", ""),
            template("my-orders", "/users/my/orders", "methods = [\"GET\"]"),
        ]
        .concat(),
    );
    for (path, expected) in [
        ("/users", "root"),
        ("/users/7", "user"),
        ("/users/7/x", "users"),
        ("/users/7/orders", "orders"),
        ("/users/me", "me"),
        ("/users/me/orders", "me"),
        ("/shops/7/orders", "any"),
        ("/users/my/orders", "my-orders"),
    ] {
        assert_eq!(found(&table, &Method::GET, path), Some(expected), "{path}");
    }
    // The literal one has no PUT: the way down is taken again through the name.
    assert_eq!(
        found(&table, &Method::PUT, "/users/my/orders"),
        Some("orders")
    );
    assert_eq!(found(&table, &Method::GET, "/shops/7"), None);
}

#[test]
fn another_method_is_no_way_past_a_templates_auth() {
    let table = table(
        &[
            route("all", "/", ""),
            route("users", "/users", ""),
            template("orders", "/users/{id}/orders", ADMIN_READS),
            route(
                "any-case",
                "/USERS/7",
                "case_insensitive = true\nmethods = [\"PATCH\"]",
            ),
            template("open", "/users/{id}/open", "public = true"),
        ]
        .concat(),
    );
    let demands = |method, path| roles(&table, &method, path);
    assert_eq!(demands(Method::PUT, "/users/7/orders"), ["admin"]);
    assert_eq!(demands(Method::PUT, "/users/7/orders/"), ["admin"]);
    assert_eq!(demands(Method::PATCH, "/users/7/ORDERS"), ["admin"]);
    assert!(demands(Method::PUT, "/users/7/orders/1").is_empty());
    assert!(demands(Method::PUT, "/users/7").is_empty());
    assert!(demands(Method::GET, "/users/7/open").is_empty());
}

#[test]
fn a_literal_prefix_that_a_template_crosses_inherits_its_auth_and_what_lies_within_does_not() {
    let table = table(
        &[
            route("me", "/users/me", ""),
            template("orders", "/users/{id}/orders", ADMIN),
            template("mine", "/users/my/orders", ""),
            template("all", "/{kind}/{*rest}", "auth = { roles = [\"user\"] }"),
        ]
        .concat(),
    );
    let demands = |path| roles(&table, &Method::GET, path);
    assert_eq!(found(&table, &Method::GET, "/users/me/orders"), Some("me"));
    assert_eq!(demands("/users/me/orders"), ["admin"]);
    assert!(demands("/users/me").is_empty(), "within the broad one only");
    assert!(demands("/users/my/orders").is_empty(), "declared narrower");
    assert_eq!(demands("/users/7/orders"), ["admin"]);
    assert_eq!(demands("/users/7"), ["user"]);
}

#[test]
fn the_demands_of_the_narrowest_of_two_templates_are_met_by_who_reaches_the_other() {
    let table = table(
        &[
            template(
                "shops",
                "/{kind}/me/orders",
                "methods = [\"PUT\"]\nauth = { roles = [\"clerk\"] }",
            ),
            template("orders", "/users/{id}/orders", ADMIN_READS),
        ]
        .concat(),
    );
    let demands = |method, path| roles(&table, &method, path);
    assert_eq!(demands(Method::PUT, "/users/me/orders"), ["clerk", "admin"]);
    assert_eq!(demands(Method::PUT, "/shops/me/orders"), ["clerk"]);
}

#[test]
fn another_method_owes_the_demands_of_all_templates_that_cross_there() {
    let reads = |role| format!("auth = {{ roles = [\"{role}\"] }}\nmethods = [\"GET\"]");
    let crossing = |second: &str| {
        table(
            &[
                route("all", "/", ""),
                template("tenants", "/{tenant}/admin", &reads("admin")),
                template("api", "/api/{name}", &(reads("user") + second)),
                route("broad", "/api", &reads("guest")),
            ]
            .concat(),
        )
    };
    for second in ["", "\ncase_insensitive = true"] {
        let table = crossing(second);
        let demands = |method, path| {
            let mut demands = roles(&table, &method, path);
            demands.sort();
            demands
        };
        assert_eq!(demands(Method::GET, "/api/admin"), ["admin", "user"]);
        assert_eq!(demands(Method::DELETE, "/api/admin"), ["admin", "user"]);
        assert_eq!(demands(Method::DELETE, "/shop/admin"), ["admin"]);
        assert_eq!(demands(Method::DELETE, "/api/other"), ["user"]);
        assert_eq!(demands(Method::DELETE, "/api/x/y"), ["guest"]);
    }
}

#[test]
fn a_hosts_own_guard_and_a_narrower_one_of_any_host_are_both_owed() {
    let reads = |role| format!("auth = {{ roles = [\"{role}\"] }}\nmethods = [\"GET\"]\n");
    let own = "host = \"a.example\"";
    let table = table(
        &[
            route("all", "/", ""),
            route("own", "/api", &(reads("admin") + own)),
            route("below", "/api/open", &reads("user")),
            route("own-below", "/api/open/mine", &(reads("owner") + own)),
        ]
        .concat(),
    );
    let demands = |method: Method, path| {
        let headers = HeaderMap::new();
        let found = table.find(Some("a.example"), &method, path, &headers);
        let auth = found.unwrap().auth;
        let mut roles: Vec<_> = auth.iter().map(|auth| auth.roles.join("|")).collect();
        roles.sort();
        roles
    };
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(demands(method.clone(), "/api/open"), ["admin", "user"]);
        assert_eq!(demands(method, "/api/open/mine"), ["owner"]);
    }
}

#[test]
fn ten_thousand_routes_are_told_apart() {
    let many: String = (0..10_000)
        .map(|number| match number % 2 {
            0 => route(&format!("r{number}"), &format!("/api/r{number}"), ""),
            _ => template(
                &format!("r{number}"),
                &format!("/api/r{number}/{{id}}/x"),
                "",
            ),
        })
        .collect();
    let table = table(&many);
    for number in (0..10_000).step_by(97) {
        let id = format!("r{number}");
        let path = format!("/api/{id}/7/x");
        assert_eq!(found(&table, &Method::GET, &path), Some(id.as_str()));
    }
}

fn accepting(table: &Table, method: &Method, accept: &str) -> (String, Vec<String>, bool) {
    let headers = HeaderMap::from_iter([(http::header::ACCEPT, accept.parse().unwrap())]);
    let found = table.find(None, method, "/shop/1", &headers).unwrap();
    let demands = found.auth.iter().map(|auth| auth.roles.join("|")).collect();
    (found.route.id.to_string(), demands, found.varies_by_accept)
}

#[test]
fn a_version_is_found_by_what_the_client_accepts() {
    let v2 = "accept = \"application/vnd.shop.V2+json\"";
    let table = table(
        &[
            route("v1", "/shop", ""),
            route("v2", "/shop", v2),
            route("old", "/old", ""),
        ]
        .concat(),
    );
    for (accept, expected) in [
        ("application/vnd.shop.v2+json", "v2"),
        ("text/html, Application/VND.shop.v2+json;q=0.5", "v2"),
        ("application/vnd.shop.v2+json; q=0.0", "v1"),
        ("application/*", "v1"),
        ("application/vnd.shop.v3+json", "v1"),
    ] {
        let (id, _, varies) = accepting(&table, &Method::GET, accept);
        assert_eq!((id.as_str(), varies), (expected, true), "{accept}");
    }
    let other = table.find(None, &Method::GET, "/old", &HeaderMap::new());
    assert!(!other.unwrap().varies_by_accept);
}

#[test]
fn another_accept_is_no_way_past_a_versions_auth() {
    let v2 = "accept = \"application/v2\"\n";
    let guarded = table(
        &[
            route("v1", "/shop", "methods = [\"GET\"]"),
            route("v2", "/shop", &format!("{v2}{ADMIN}")),
        ]
        .concat(),
    );
    let demands = |table: &Table, accept| accepting(table, &Method::GET, accept).1;
    assert_eq!(demands(&guarded, "application/v2"), ["admin"]);
    assert_eq!(demands(&guarded, "*/*"), ["admin"]);
    let crossed = table(&[route("v1", "/shop", ADMIN_READS), route("v2", "/shop", v2)].concat());
    assert_eq!(demands(&crossed, "application/v2"), ["admin"]);
    let within = table(&[route("v1", "/shop", ADMIN), route("v2", "/shop", v2)].concat());
    assert!(demands(&within, "application/v2").is_empty(), "declared");
    let open = route("v1", "/shop", "accept = \"application/v1\"");
    let both = "application/v1;q=0.1, application/v2";
    for (prefix, more) in [
        ("/shop", ""),
        ("/", ""),
        ("/SHOP", "case_insensitive = true\n"),
        ("/shop", "methods = [\"GET\"]\n"),
    ] {
        let second = route("v2", prefix, &format!("{v2}{ADMIN}{more}"));
        for routes in [open.clone() + &second, second + &open] {
            let table = table(&routes);
            assert_eq!(demands(&table, both), ["admin"], "{routes}");
            assert!(demands(&table, "application/v1").is_empty(), "{routes}");
            let refused = "application/v1, application/v2;q=0";
            assert!(demands(&table, refused).is_empty(), "{routes}");
        }
    }
}

/// The order as the documentation words it: codes of the segments from the left, compared as texts.
fn naive<'a>(routes: &'a [Arc<Route>], path: &str) -> Option<&'a str> {
    let segments = |text: &str| -> Vec<String> {
        let parts = text.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let asked = segments(path);
    let rank = |route: &Arc<Route>| {
        let is_template = matches!(route.config.pattern, config::Pattern::Template(_));
        let mut own = segments(route.config.pattern.as_str());
        let has_rest = own.last().is_some_and(|last| last.starts_with("{*"));
        if has_rest {
            own.pop();
        }
        let is_exact = is_template && !has_rest;
        if own.len() > asked.len() || (is_exact && own.len() != asked.len()) {
            return None;
        }
        let mut codes = Vec::new();
        for (own, asked) in own.iter().zip(&asked) {
            match own.as_str() {
                name if name.starts_with('{') => codes.push(2),
                literal if literal == asked => codes.push(3),
                _ => return None,
            }
        }
        codes.push(u8::from(is_exact));
        Some(codes)
    };
    routes
        .iter()
        .filter_map(|route| Some((rank(route)?, route)))
        .max_by(|one, other| one.0.cmp(&other.0))
        .map(|(_, route)| route.id.as_str())
}

fn pattern() -> impl Strategy<Value = (bool, String)> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("{}")];
    (proptest::collection::vec(segment, 0..5), 0..3_u8).prop_map(|(segments, kind)| {
        let name = |(at, segment): (usize, &&str)| match *segment {
            "{}" if kind > 0 => format!("{{n{at}}}"),
            "{}" => "c".to_owned(),
            literal => literal.to_owned(),
        };
        let mut named: Vec<String> = segments.iter().enumerate().map(name).collect();
        if kind == 2 {
            named.push("{*rest}".to_owned());
        }
        (kind > 0, format!("/{}", named.join("/")))
    })
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_naive_order_of_patterns(
        declared in proptest::collection::vec(pattern(), 1..16),
        asked in proptest::collection::vec(path(), 1..16),
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let shape = |(is_template, text): &(bool, String)| match is_template {
            true => config::Pattern::Template(text.clone()).shape(),
            false => config::Pattern::Prefix(text.clone()).shape(),
        };
        let routes: String = declared
            .into_iter()
            .filter(|declaration| seen.insert(shape(declaration)))
            .enumerate()
            .map(|(index, (is_template, text))| match is_template {
                true => template(&format!("r{index}"), &text, ""),
                false => route(&format!("r{index}"), &text, ""),
            })
            .collect();
        let table = table(&routes);
        for path in asked {
            let expected = naive(table.routes(), &path);
            prop_assert_eq!(found(&table, &Method::GET, &path), expected, "{}", path);
        }
    }
}
