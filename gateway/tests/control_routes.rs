//! The settings of routes in the file: what is accepted, and what is a fault.

use gateway::config::{Config, Fault, Language};

fn faults(text: &str) -> Vec<Fault> {
    match Config::from_text(text, Language::Toml) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0,
    }
}

fn keys_of(text: &str) -> Vec<String> {
    faults(text).into_iter().map(|fault| fault.key).collect()
}

/// The smallest configuration, with more lines for its route.
fn small(more: &str) -> String {
    format!(
        "upstreams.legacy.endpoints = [\"http://127.0.0.1:9000\"]\n\
         [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n{more}"
    )
}

fn keys(more: &str) -> Vec<String> {
    keys_of(&small(more))
}

#[test]
fn a_route_has_a_prefix_or_a_template_and_path_says_which_by_its_first_letter() {
    let paths = |lines: &str| small("").replace("prefix = \"/\"", lines);
    for good in [
        "path = \"/users/{id}/orders\"",
        "path = \"/users/{id}/{*rest}\"\npath_form = \"keep\"",
        "path = \"/\"",
        "prefix = \"/\"\npath = \"keep\"",
        "prefix = \"/\"\npath_form = \"keep\"",
        "prefix = \"/\"\npath = \"keep\"\npath_form = \"keep\"",
    ] {
        assert_eq!(faults(&paths(good)), [], "{good}");
    }
    for (wrong, key) in [
        ("prefix = \"/\"\npath = \"/users/{id}\"", "path"),
        ("path = \"keep\"", "prefix"),
        ("prefix = \"/users/{id}\"", "prefix"),
        ("prefix = \"/\"\npath = \"kept\"", "path"),
        (
            "prefix = \"/\"\npath = \"keep\"\npath_form = \"normalized\"",
            "path_form",
        ),
        ("path = \"/users/{id}.json\"", "path"),
        ("path = \"/users/{*rest}/orders\"", "path"),
        ("path = \"/users/{id}/../x\"", "path"),
        ("path = \"/users/{id}/{id}\"", "path"),
        ("path = \"/users/{id}?a\"", "path"),
    ] {
        assert_eq!(
            keys_of(&paths(wrong)),
            [format!("routes.all.{key}")],
            "{wrong}"
        );
    }
    let deep = format!("path = \"{}\"", "/a".repeat(61));
    assert_eq!(keys_of(&paths(&deep)), ["routes.all.path"]);
}

#[test]
fn patterns_of_the_same_paths_collide_whatever_their_names() {
    let second = |lines: &str| {
        let first = small("").replace("prefix = \"/\"", "path = \"/users/{id}/{*rest}\"");
        format!("{first}\n[[routes]]\nid = \"b\"\nlegacy = \"legacy\"\n{lines}")
    };
    let same = "path = \"/users/{name}/{*more}\"";
    assert_eq!(keys_of(&second(same)), ["routes.b.path"]);
    let version = format!("{same}\naccept = \"application/v2\"");
    assert_eq!(faults(&second(&version)), []);
    assert_eq!(faults(&second("path = \"/users/{name}\"")), []);
    assert_eq!(faults(&second("path = \"/users/id/{*rest}\"")), []);
    let rest = second(
        "prefix = \"/a\"\n[[routes]]\nid = \"c\"\nlegacy = \"legacy\"\npath = \"/a/{*all}\"",
    );
    assert_eq!(keys_of(&rest), ["routes.c.path"]);
}

#[test]
fn a_media_type_has_no_wildcard_and_no_parameter() {
    assert_eq!(
        faults(&small("accept = \"application/vnd.shop.v2+json\"")),
        []
    );
    for wrong in ["", "json", "application/*", "a/b;v=2", "a/b, c/d", "/"] {
        let text = small(&format!("accept = \"{wrong}\""));
        assert_eq!(keys_of(&text), ["routes.all.accept"], "{wrong}");
    }
}

#[test]
fn a_limit_that_limits_nothing_or_never_ends_is_refused() {
    let limit = |inner: &str| small(&format!("rate_limit = {{ {inner} }}"));
    for good in [
        "rate = \"50/s\"",
        "rate = \"50/s\", burst = 100, per = \"ip\"",
        "rate = \"1/h\", burst = 24, per = \"route\"",
        "rate = \"1/s\", shared = \"nats://u:p@a.example:4222,nats://u:p@b.example:4222\"",
    ] {
        assert_eq!(faults(&limit(good)), [], "{good}");
    }
    for (wrong, key) in [
        ("burst = 3", "rate"),
        ("rate = \"0/s\"", "rate"),
        ("rate = \"1000001/s\"", "rate"),
        ("rate = \"1/h\", burst = 25", "burst"),
        ("rate = \"1/s\", burst = 0", "burst"),
        ("rate = \"1/s\", per = \"user\"", "per"),
        ("rate = \"1/s\", shared = \"redis://a\"", "shared"),
        ("rate = \"1/s\", shared = \"nats://a:b:c\"", "shared"),
    ] {
        let told = keys_of(&limit(wrong));
        assert_eq!(told, [format!("routes.all.rate_limit.{key}")], "{wrong}");
    }
}

#[test]
fn what_flips_needs_a_flag_and_a_tunnels_patience_is_a_time() {
    assert_eq!(keys("close_on_flip = true"), ["routes.all.close_on_flip"]);
    assert!(keys("close_on_flip = false\ntunnel_idle_timeout = \"2h\"").is_empty());
    assert_eq!(
        keys("tunnel_idle_timeout = \"0s\""),
        ["routes.all.tunnel_idle_timeout"]
    );
}

#[test]
fn what_is_the_gateways_own_or_frames_a_message_is_no_rules_business() {
    for name in [
        "X-Banyan-Subject",
        "x_auth_roles",
        "connection",
        "TE",
        "transfer-encoding",
        "host",
        "content-length",
        "x-forwarded-for",
        "access-control-allow-origin",
        "not a name",
    ] {
        for table in ["request_headers", "response_headers"] {
            let set = keys(&format!("[routes.{table}]\nset = {{ \"{name}\" = \"1\" }}"));
            assert_eq!(set, [format!("routes.all.{table}.set.{name}")]);
            let remove = keys(&format!("[routes.{table}]\nremove = [\"{name}\"]"));
            assert!(
                remove.contains(&format!("routes.all.{table}.remove")),
                "{name}: {remove:?}"
            );
        }
    }
}

#[test]
fn rules_that_contradict_themselves_or_change_nothing_are_refused() {
    let rules = |inner: &str| keys(&format!("[routes.request_headers]\n{inner}"));
    assert!(rules("set = { x-a = \"1\" }\nadd = { x-b = \"2\" }\nremove = [\"x-c\"]").is_empty());
    assert_eq!(rules(""), ["routes.all.request_headers"]);
    assert_eq!(
        rules("set = { x-a = \"1\" }\nremove = [\"X-A\"]"),
        ["routes.all.request_headers.remove"]
    );
    assert_eq!(
        rules("set = { x-a = \"line\\nbreak\" }"),
        ["routes.all.request_headers.set.x-a"]
    );
    assert!(rules("append = 1").contains(&"routes.all.request_headers.append".to_owned()));
}

#[test]
fn a_wildcard_never_goes_with_credentials_and_origins_are_as_browsers_write_them() {
    let cors = |inner: &str| keys(&format!("cors = {{ {inner} }}"));
    for good in [
        "origins = [\"*\"]",
        "origins = [\"*\"], headers = [\"*\"], expose = [\"*\"]",
        "origins = [\"https://a.example\", \"http://localhost:3000\"], credentials = true, max_age = \"1h\"",
        "origins = [\"capacitor://localhost\"], methods = [\"GET\"]",
    ] {
        assert!(cors(good).is_empty(), "{good}: {:?}", cors(good));
    }
    let one = "origins = [\"https://a.example\"]";
    for (wrong, key) in [
        ("credentials = true", "origins"),
        ("origins = []", "origins"),
        ("origins = [\"*\"], credentials = true", "origins"),
        ("origins = [\"*\", \"https://a.example\"]", "origins"),
        ("origins = [\"null\"]", "origins"),
        ("origins = [\"https://a.example/\"]", "origins"),
        ("origins = [\"https://a.example:443\"]", "origins"),
        ("origins = [\"https://A.example\"]", "origins"),
        ("origins = [\"a.example\"]", "origins"),
        ("origins = [\"https://u@a.example\"]", "origins"),
        (
            &format!("{one}, headers = [\"*\"], credentials = true"),
            "headers",
        ),
        (
            &format!("{one}, expose = [\"*\"], credentials = true"),
            "expose",
        ),
        (&format!("{one}, methods = []"), "methods"),
    ] {
        assert_eq!(cors(wrong), [format!("routes.all.cors.{key}")], "{wrong}");
    }
}

#[test]
fn compression_is_a_list_of_codings_or_a_table_with_one() {
    let compress = |value: &str| keys(&format!("compress = {value}"));
    for good in [
        "[\"br\"]",
        "{ codings = [\"zstd\", \"gzip\"], min_size = 100, types = [\"text/*\", \"*+json\", \"a/b\"] }",
    ] {
        assert!(compress(good).is_empty(), "{good}");
    }
    for (wrong, key) in [
        ("[]", ""),
        ("[\"deflate\"]", "[0]"),
        ("[\"br\", \"br\"]", "[1]"),
        ("true", ""),
        ("{ min_size = 1 }", ".codings"),
        ("{ codings = [\"br\"], types = [] }", ".types"),
        ("{ codings = [\"br\"], types = [\"*/*\"] }", ".types[0]"),
        ("{ codings = [\"br\"], types = [\"json\"] }", ".types[0]"),
    ] {
        assert_eq!(
            compress(wrong),
            [format!("routes.all.compress{key}")],
            "{wrong}"
        );
    }
}
