//! `[upstreams.NAME]`: which settings go together.

use gateway::config::{Config, Fault, Language, Protocol};

fn upstream(settings: &str) -> String {
    format!(
        "[upstreams.legacy]\n{settings}\n[[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n"
    )
}

fn faults(settings: &str) -> Vec<Fault> {
    match Config::from_text(&upstream(settings), Language::Toml) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0,
    }
}

/// The keys of the faults, without the upstream's own.
fn keys(settings: &str) -> Vec<String> {
    let key = |fault: Fault| fault.key.replace("upstreams.legacy.", "");
    faults(settings).into_iter().map(key).collect()
}

#[test]
fn every_protocol_has_its_schemes() {
    for (protocol, clear, tls) in [
        ("http1", true, true),
        ("h2c", true, false),
        ("https", false, true),
        ("auto", true, true),
    ] {
        for (scheme, is_valid) in [("http", clear), ("https", tls)] {
            let told = keys(&format!(
                "endpoints = [\"{scheme}://quiz.example.org\"]\nprotocol = \"{protocol}\""
            ));
            let expected: &[&str] = if is_valid { &[] } else { &["protocol"] };
            assert_eq!(told, expected, "{protocol} {scheme}");
        }
    }
    let text = upstream("endpoints = [\"http://127.0.0.1:1\"]\nprotocol = \"h2c\"");
    let config = Config::from_text(&text, Language::Toml).expect("a valid one");
    assert_eq!(config.upstreams["legacy"].protocol, Protocol::H2c);
}

#[test]
fn certificates_are_for_endpoints_behind_tls() {
    let clear = "endpoints = [\"http://127.0.0.1:1\"]\nca = \"ca.pem\"";
    assert!(keys(clear).contains(&"ca".to_owned()));
    let tls = "endpoints = [\"https://127.0.0.1:1\"]\n";
    assert_eq!(keys(tls), [""; 0]);
    assert_eq!(keys(&format!("{tls}client_cert = \"a\"")), ["client_key"]);
    assert_eq!(keys(&format!("{tls}client_key = \"a\"")), ["client_cert"]);
    assert_eq!(keys("endpoints = [\"https://a..b:1\"]"), ["endpoints"]);
}

#[test]
fn a_file_that_is_absent_or_holds_no_certificate_is_a_fault() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").expect("a file");
    let absent = folder.path().join("absent.pem");
    for file in [&empty, &absent] {
        let file = file.display();
        let told = faults(&format!(
            "endpoints = [\"https://127.0.0.1:1\"]\nca = \"{file}\""
        ));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].key, "upstreams.legacy.ca");
        assert!(told[0].message.contains(&file.to_string()), "{told:?}");
    }
}

#[test]
fn what_could_never_happen_is_a_fault() {
    let with = |more: &str| keys(&format!("endpoints = [\"http://127.0.0.1:1\"]\n{more}"));
    assert_eq!(with("queue = { size = 5 }"), ["queue"]);
    assert_eq!(with("max_in_flight = 1\nqueue = { size = 5 }"), [""; 0]);
    assert_eq!(with("max_in_flight = 1\nqueue = {}"), ["queue.size"]);
    let long = "max_in_flight = 1\nqueue = { size = 10001 }";
    assert_eq!(with(long), ["queue.size"]);
    assert_eq!(with("resolve = \"10s\""), ["resolve"]);
    assert_eq!(
        with("breaker = { max_open_percent = 101 }"),
        ["breaker.max_open_percent"]
    );
    for key in ["header_case = \"keep\"", "early_hints = true"] {
        let name = key.split(' ').next().expect("a name");
        assert_eq!(with(&format!("protocol = \"h2c\"\n{key}")), [name]);
    }
    let named = "endpoints = [\"http://localhost:1\"]\nresolve = \"10s\"\nslow_start = \"1m\"";
    assert_eq!(keys(named), [""; 0]);
}
