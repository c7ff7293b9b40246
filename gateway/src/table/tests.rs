mod encoded;
mod templates;

use proptest::prelude::*;

use super::*;
use crate::config::Language;

fn table(routes: &str) -> Table {
    let text = format!(
        r#"
        [upstreams.legacy]
        endpoints = ["http://127.0.0.1:9000"]
        [auth]
        issuers = [{{ issuer = "i", secret = "0123456789abcdef" }}]
        {routes}
        "#
    );
    let config = Config::from_text(&text, Language::Toml).unwrap();
    Table::build(&config, &Cells::new())
}

fn route(id: &str, prefix: &str, more: &str) -> String {
    format!("[[routes]]\nid = \"{id}\"\nprefix = \"{prefix}\"\nlegacy = \"legacy\"\n{more}\n")
}

fn found<'a>(table: &'a Table, method: &Method, path: &str) -> Option<&'a str> {
    table
        .find(None, method, path, &HeaderMap::new())
        .map(|found| found.route.id.as_str())
}

#[test]
fn the_longest_prefix_of_whole_segments_wins() {
    let table = table(
        &[
            route("all", "/", ""),
            route("api", "/api", ""),
            route("answers", "/api/answers/", ""),
        ]
        .concat(),
    );
    for (path, expected) in [
        ("/", "all"),
        ("/apiary", "all"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/answersheet", "api"),
        ("/api/answers", "answers"),
        ("/api//answers/7", "answers"),
        ("/API/answers", "all"),
    ] {
        assert_eq!(found(&table, &Method::GET, path), Some(expected), "{path}");
    }
}

#[test]
fn a_method_that_the_narrow_route_lacks_goes_to_the_broader_one() {
    let table = table(
        &[
            route("all", "/", ""),
            route("read", "/api", "methods = [\"GET\"]"),
            route("rest", "/api", ""),
            route("deep", "/api/deep", "methods = [\"GET\"]"),
        ]
        .concat(),
    );
    assert_eq!(found(&table, &Method::GET, "/api/x"), Some("read"));
    assert_eq!(found(&table, &Method::PUT, "/api/x"), Some("rest"));
    assert_eq!(found(&table, &Method::PUT, "/api/deep"), Some("rest"));
}

#[test]
fn a_host_comes_before_a_longer_prefix_and_is_compared_without_case() {
    let table = table(
        &[
            route("quiz", "/", "host = \"Quiz.example.org\""),
            route("api", "/api", ""),
        ]
        .concat(),
    );
    let by_host = |host| {
        table
            .find(host, &Method::GET, "/api", &HeaderMap::new())
            .unwrap()
            .route
            .id
            .to_string()
    };
    assert_eq!(by_host(Some("quiz.example.org")), "quiz");
    assert_eq!(by_host(Some("QUIZ.EXAMPLE.ORG")), "quiz");
    assert_eq!(by_host(Some("other.example.org")), "api");
    assert_eq!(by_host(None), "api");
    assert!(
        table
            .find(None, &Method::GET, "/", &HeaderMap::new())
            .is_none()
    );
}

#[test]
fn a_route_for_any_case_matches_any_case() {
    let table = table(
        &[
            route("all", "/", ""),
            route("users", "/API/Users", "case_insensitive = true"),
        ]
        .concat(),
    );
    assert_eq!(found(&table, &Method::GET, "/api/USERS/7"), Some("users"));
    assert_eq!(found(&table, &Method::GET, "/api/user"), Some("all"));
}

#[test]
fn a_broader_route_inherits_the_auth_of_the_paths_below() {
    let admin = "auth = { roles = [\"admin\"] }\nmethods = [\"GET\"]";
    let table = table(
        &[
            route("all", "/", ""),
            route("admin", "/api/admin", admin),
            route("open", "/api/admin/open", ""),
            route("health", "/api", "methods = [\"HEAD\"]\npublic = true"),
        ]
        .concat(),
    );
    let roles = |method: &Method, path: &str| {
        let found = table.find(None, method, path, &HeaderMap::new()).unwrap();
        (
            found.route.id.to_string(),
            found
                .auth
                .iter()
                .map(|auth| auth.roles.len())
                .sum::<usize>(),
        )
    };
    assert_eq!(
        roles(&Method::GET, "/api/admin/users"),
        ("admin".to_owned(), 1)
    );
    assert_eq!(
        roles(&Method::DELETE, "/api/admin/users"),
        ("all".to_owned(), 1)
    );
    assert_eq!(roles(&Method::DELETE, "/api/other"), ("all".to_owned(), 0));
    assert_eq!(
        roles(&Method::GET, "/api/admin/open"),
        ("open".to_owned(), 0)
    );
    assert_eq!(
        roles(&Method::HEAD, "/api/admin/users"),
        ("health".to_owned(), 0)
    );
}

#[test]
fn a_guard_is_not_walked_around_with_other_letters_or_another_host() {
    let guarded = "auth = { required = true }\nmethods = [\"GET\"]";
    let table = table(
        &[
            route("all", "/", "case_insensitive = true"),
            route("admin", "/api/admin", guarded),
            route(
                "own",
                "/tenant",
                &format!("host = \"a.example\"\n{guarded}"),
            ),
            route("tenants", "/tenant", ""),
        ]
        .concat(),
    );
    let demands = |host, method: &Method, path: &str| {
        let found = table.find(host, method, path, &HeaderMap::new()).unwrap();
        (found.route.id.to_string(), found.auth.iter().count())
    };
    assert_eq!(
        demands(None, &Method::GET, "/API/Admin/x"),
        ("all".to_owned(), 1)
    );
    assert_eq!(
        demands(Some("a.example"), &Method::PUT, "/tenant"),
        ("tenants".to_owned(), 1)
    );
    for host in [None, Some("b.example")] {
        assert_eq!(
            demands(host, &Method::PUT, "/tenant"),
            ("tenants".to_owned(), 1)
        );
    }
}

#[test]
fn no_host_that_a_client_writes_leads_past_the_auth_of_a_route_with_a_host() {
    let of_host = |host, role| format!("host = \"{host}\"\nauth = {{ roles = [\"{role}\"] }}");
    let table = table(
        &[
            route("answers", "/api/answers", &of_host("quiz.example", "user")),
            route("same", "/api/answers", &of_host("www.quiz.example", "user")),
            route("shop", "/api", &of_host("shop.example", "clerk")),
            route("static", "/static", "host = \"static.example\""),
            route("everything-else", "/", ""),
            route("open", "/api/answers/open", ""),
            route(
                "health",
                "/api/answers",
                "methods = [\"HEAD\"]\npublic = true",
            ),
        ]
        .concat(),
    );
    let demands = |host, method: &Method, path| {
        let found = table.find(host, method, path, &HeaderMap::new()).unwrap();
        let roles = found.auth.iter().map(|auth| auth.roles.join("|"));
        (found.route.id.to_string(), roles.collect::<Vec<_>>())
    };
    let else_with = |roles: &[&str]| {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        ("everything-else".to_owned(), roles)
    };
    for host in [None, Some("x"), Some("static.example")] {
        let demands = |path| demands(host, &Method::GET, path);
        assert_eq!(demands("/api/answers/7"), else_with(&["user", "clerk"]));
        assert_eq!(demands("/api/x"), else_with(&["clerk"]));
        assert_eq!(demands("/other"), else_with(&[]));
        let declared = ("open".to_owned(), Vec::new());
        assert_eq!(demands("/api/answers/open"), declared);
    }
    let public = ("health".to_owned(), Vec::new());
    assert_eq!(demands(Some("x"), &Method::HEAD, "/api/answers"), public);
    let own = ("answers".to_owned(), vec!["user".to_owned()]);
    let asked = Some("quiz.example");
    assert_eq!(demands(asked, &Method::GET, "/api/answers"), own);
}

/// The roles that a request needs, one text for each demand.
fn roles(table: &Table, method: &Method, path: &str) -> Vec<String> {
    let found = table.find(None, method, path, &HeaderMap::new()).unwrap();
    found.auth.iter().map(|auth| auth.roles.join("|")).collect()
}

#[test]
fn a_broader_route_with_auth_of_its_own_inherits_the_narrower_one_too() {
    let table = table(
        &[
            route("api", "/api", "auth = { roles = [\"user\"] }"),
            route(
                "admin",
                "/api/admin",
                "auth = { roles = [\"admin\"] }\nmethods = [\"GET\"]",
            ),
        ]
        .concat(),
    );
    let demands = |method, path| roles(&table, &method, path);
    assert_eq!(demands(Method::DELETE, "/api/admin/7"), ["user", "admin"]);
    assert_eq!(demands(Method::GET, "/api/admin/7"), ["admin"]);
    assert_eq!(demands(Method::DELETE, "/api/other"), ["user"]);
}

#[test]
fn a_route_for_all_methods_inherits_from_those_with_its_prefix_for_some() {
    let some = "auth = { roles = [\"admin\"] }\nmethods = [\"GET\"]";
    let table = table(
        &[
            route("rest", "/api/admin", ""),
            route("read", "/api/admin", some),
            route("write", "/api/admin", "methods = [\"PUT\"]"),
            route("open", "/open", "public = true"),
            route("open-read", "/open", some),
            route("any-case", "/Team", "case_insensitive = true"),
            route("team-read", "/team", some),
        ]
        .concat(),
    );
    let demands = |method, path| roles(&table, &method, path);
    assert_eq!(demands(Method::HEAD, "/api/admin"), ["admin"]);
    assert_eq!(demands(Method::DELETE, "/api/admin/7"), ["admin"]);
    assert_eq!(demands(Method::GET, "/api/admin"), ["admin"]);
    assert!(demands(Method::PUT, "/api/admin").is_empty(), "no broader");
    assert!(demands(Method::HEAD, "/open").is_empty(), "public");
    assert_eq!(demands(Method::HEAD, "/TEAM"), ["admin"]);
}

#[test]
fn a_dot_at_the_end_of_a_host_changes_nothing() {
    let guarded = "auth = { required = true }";
    let table = table(
        &[
            route("all", "/", ""),
            route(
                "admin",
                "/",
                &format!("host = \"admin.example\"\n{guarded}"),
            ),
            route("team", "/", &format!("host = \"team.example.\"\n{guarded}")),
        ]
        .concat(),
    );
    for (host, expected) in [
        ("admin.example.", ("admin", 1)),
        ("ADMIN.example.", ("admin", 1)),
        ("team.example", ("team", 1)),
        ("team.example.", ("team", 1)),
        (".", ("all", 1)),
    ] {
        let found = table
            .find(Some(host), &Method::GET, "/", &HeaderMap::new())
            .unwrap();
        assert_eq!(
            (found.route.id.as_str(), found.auth.iter().count()),
            expected,
            "{host}"
        );
    }
}

/// The matcher as INTERFACES.md words it, without a thought of speed.
fn reference<'a>(
    routes: &'a [Arc<Route>],
    host: Option<&str>,
    method: &Method,
    path: &str,
) -> Option<&'a str> {
    let of = |text: &str| -> Vec<String> {
        text.split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let matching = |route: &&Arc<Route>| {
        let config = &route.config;
        config.host.as_deref().is_none_or(|own| Some(own) == host)
            && config
                .methods
                .as_ref()
                .is_none_or(|methods| methods.contains(method))
            && of(path).starts_with(&of(config.pattern.as_str()))
    };
    let rank = |route: &&Arc<Route>| {
        let config = &route.config;
        (
            config.host.is_some(),
            of(config.pattern.as_str()).len(),
            config.methods.is_some(),
        )
    };
    routes
        .iter()
        .filter(matching)
        .max_by_key(rank)
        .map(|route| route.id.as_str())
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "ab", "c"], 0..5)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_naive_matcher(
        declared in proptest::collection::vec(
            (path(), prop_oneof![Just(None), Just(Some("GET")), Just(Some("PUT"))], any::<bool>()),
            1..16,
        ),
        asked in proptest::collection::vec((path(), any::<bool>(), any::<bool>()), 1..16),
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let routes: String = declared
            .into_iter()
            .filter(|declaration| seen.insert(declaration.clone()))
            .enumerate()
            .map(|(index, (prefix, method, has_host))| {
                let method = method.map(|it| format!("methods = [\"{it}\"]\n")).unwrap_or_default();
                let host = if has_host { "host = \"h\"\n" } else { "" };
                route(&format!("r{index}"), &prefix, &format!("{method}{host}"))
            })
            .collect();
        let table = table(&routes);
        for (path, get, has_host) in asked {
            let method = if get { Method::GET } else { Method::PUT };
            let host = has_host.then_some("h");
            let expected = reference(table.routes(), host, &method, &path);
            let found = table.find(host, &method, &path, &HeaderMap::new()).map(|found| found.route.id.as_str());
            prop_assert_eq!(found, expected, "{} {} {:?}", method, path, host);
        }
    }
}
