//! Every problem code of the source has a page, and every page a code: `docs/errors/CODE.md`.
//!
//! A code is a text that stands in a call of one of the constructors of problems. Codes that are
//! chosen elsewhere are caught when they are made: in tests `Problem` refuses what is not in the
//! list of codes, and the list and the pages are held together here.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, is_rust, numbered};
use crate::workspace::File;

const PAGES: &str = "docs/errors/";
const INDEX: &str = "docs/errors/README.md";
const LIST: &str = "crates/chassis/src/problem/codes.rs";

/// The constructors that take the code first, and the status that they stand for.
const CODE_FIRST: [(&str, Option<u16>); 10] = [
    ("bad_request", Some(400)),
    ("unauthorized", Some(401)),
    ("forbidden", Some(403)),
    ("not_found", Some(404)),
    ("conflict", Some(409)),
    ("unprocessable", Some(422)),
    ("too_many_requests", Some(429)),
    ("unavailable", Some(503)),
    ("malformed", Some(400)),
    ("bad_gateway", Some(502)),
];
/// Those that take the status before the code.
const STATUS_FIRST: [&str; 4] = [
    "::with_status",
    "Problem::new",
    "Refusal::new",
    // `Problem` and `Refusal` about themselves; others' `new` have no code as second argument.
    "Self::new",
];

/// Where a code is made.
#[derive(Default)]
struct Use {
    packages: BTreeSet<String>,
    statuses: BTreeSet<u16>,
    place: Option<(String, usize)>,
}

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut uses: BTreeMap<String, Use> = BTreeMap::new();
    let source: Vec<(&File, &str)> = files
        .iter()
        .filter(|file| is_source(file))
        .map(own)
        .collect();
    for (file, text) in &source {
        for (at, code, status) in calls(text) {
            let found = uses.entry(code.to_owned()).or_default();
            found.packages.insert(package(&file.path).to_owned());
            found.statuses.extend(status);
            let line = text[..at].matches('\n').count() + 1;
            found.place.get_or_insert((file.path.clone(), line));
        }
    }
    let pages: BTreeMap<&str, &File> = files.iter().filter_map(page).collect();
    let mut findings = Vec::new();
    for (code, found) in &uses {
        match pages.get(code.as_str()) {
            Some(page) => findings.extend(disagreements(page, code, found)),
            None => {
                let (path, line) = found.place.clone().unwrap_or_default();
                let text = format!("the problem code {code} has no page {PAGES}{code}.md");
                findings.push(Finding::error(&path, line, text));
            }
        }
    }
    for (file, text) in &source {
        findings.extend(promised(file, text, &pages));
    }
    let text_of = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .map(|file| &file.text)
    };
    for (code, page) in &pages {
        let quoted = format!("\"{code}\"");
        let is_made = uses.contains_key(*code)
            || source
                .iter()
                .any(|(file, text)| file.path != LIST && text.contains(&quoted));
        if !is_made {
            let text = format!("nothing in the source has the code {code}");
            findings.push(Finding::error(&page.path, 0, text));
        }
        let listed = [(LIST, quoted), (INDEX, format!("({code}.md)"))];
        for (path, wanted) in listed {
            if !text_of(path).is_some_and(|text| text.contains(&wanted)) {
                findings.push(Finding::error(path, 0, format!("does not list {code}")));
            }
        }
    }
    for code in text_of(LIST).into_iter().flat_map(|text| listed(text)) {
        if !pages.contains_key(code) {
            findings.push(Finding::error(LIST, 0, format!("{code} has no page")));
        }
    }
    findings
}

/// The codes that the OpenAPI documents promise, as in `status = 409, description = "Taken
/// (`email_taken`)."`: each has a page that knows the status.
fn promised(file: &File, text: &str, pages: &BTreeMap<&str, &File>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in numbered(text) {
        for answer in text.split("status = ").skip(1) {
            let Some((status, description)) = answer.split_once(", description = \"") else {
                continue;
            };
            let description = description.split('"').next().unwrap_or_default();
            let codes = description.split("(`").skip(1);
            for code in codes.filter_map(|rest| rest.split('`').next()) {
                let status_of = |page: &&File| {
                    let line = page
                        .text
                        .lines()
                        .find(|line| line.starts_with("- Status: "));
                    line.is_some_and(|line| line.contains(status))
                };
                if !pages.get(code).is_some_and(status_of) {
                    let text =
                        format!("the OpenAPI document promises {status} {code}: no page does");
                    findings.push(Finding::error(&file.path, line, text));
                }
            }
        }
    }
    findings
}

/// What a page says otherwise than the source.
fn disagreements(page: &File, code: &str, found: &Use) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut wrong = |text: String| findings.push(Finding::error(&page.path, 0, text));
    let line = |start: &str| page.text.lines().find_map(|line| line.strip_prefix(start));
    if page.text.lines().next() != Some(format!("# `{code}`").as_str()) {
        wrong(format!("does not begin with \"# `{code}`\""));
    }
    for room in ["- Retry: ", "## Client", "## Operator"] {
        if line(room).is_none() {
            wrong(format!("has no {room:?}"));
        }
    }
    let status = line("- Status: ").unwrap_or_default();
    for number in &found.statuses {
        if !status.contains(&number.to_string()) {
            wrong(format!("the status {number} is not among its statuses"));
        }
    }
    let sent_by = line("- Sent by: ").unwrap_or_default();
    for package in &found.packages {
        if !sent_by.contains(&format!("`{package}`")) {
            wrong(format!("does not say that it is sent by {package}"));
        }
    }
    findings
}

fn is_source(file: &File) -> bool {
    is_rust(file)
        && file.path.contains("/src/")
        && !file.path.contains("/tests/")
        && !file.path.ends_with("/tests.rs")
        && !file.path.starts_with("xtask/")
}

/// A file's text without the tests at its end.
fn own(file: &File) -> (&File, &str) {
    let end = file
        .text
        .find("#[cfg(test)]\nmod ")
        .unwrap_or(file.text.len());
    (file, &file.text[..end])
}

/// `services/quiz/src/error.rs` is quiz's.
fn package(path: &str) -> &str {
    let folder = path.split("/src/").next().unwrap_or(path);
    folder.rsplit('/').next().unwrap_or(folder)
}

fn page(file: &File) -> Option<(&str, &File)> {
    let code = file.path.strip_prefix(PAGES)?.strip_suffix(".md")?;
    (file.path != INDEX).then_some((code, file))
}

/// The codes of the list, one a line.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    let items = text
        .lines()
        .skip_while(|line| !line.contains("CODES: &[&str]"));
    let items = items.skip(1).take_while(|line| *line != "];");
    items.filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
}

/// The codes in calls of the constructors: where, which, and the status where it is certain.
fn calls(text: &str) -> Vec<(usize, &str, Option<u16>)> {
    let mut found = Vec::new();
    for (name, status) in CODE_FIRST {
        for (at, arguments) in called(text, name) {
            found.extend(code(arguments).map(|code| (at, code, status)));
        }
    }
    for name in STATUS_FIRST {
        for (at, arguments) in called(text, name) {
            let second = behind_comma(arguments);
            found.extend(second.and_then(code).map(|code| (at, code, None)));
        }
    }
    found
}

/// What stands behind `name(`, at each place; a longer name that ends so is another one.
fn called<'a>(text: &'a str, name: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let opening = format!("{name}(");
    let ends_a_longer = |at: usize| {
        text[..at].chars().next_back().is_some_and(|before| {
            !name.starts_with(':') && (before.is_alphanumeric() || before == '_')
        })
    };
    let places: Vec<_> = text.match_indices(&opening).map(|(at, _)| at).collect();
    let places = places.into_iter().filter(move |at| !ends_a_longer(*at));
    let length = opening.len();
    places.map(move |at| (at, &text[at + length..]))
}

/// A text argument that looks like a code: lower case and underscores alone.
fn code(arguments: &str) -> Option<&str> {
    let text = arguments.trim_start().strip_prefix('"')?;
    let code = text.split('"').next()?;
    let is_code = code.starts_with(|first: char| first.is_ascii_lowercase())
        && code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_code.then_some(code)
}

/// The second argument, where the first holds no call with several.
fn behind_comma(arguments: &str) -> Option<&str> {
    let (first, rest) = arguments.split_once(',')?;
    (!first.contains(['"', ';', '{'])).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::{file, texts};

    const PAGE: &str = "# `gone`\n\n- Status: 404 Not Found\n- Retry: no\n- Sent by: `quiz`\n\n\
                        Gone.\n\n## Client\n\nWait.\n\n## Operator\n\nLook.\n";

    fn repository(source: &str, page: &str) -> Vec<File> {
        vec![
            file("services/quiz/src/error.rs", source),
            file("docs/errors/gone.md", page),
            file(INDEX, "[gone](gone.md)"),
            file(LIST, "pub const CODES: &[&str] = &[\n    \"gone\",\n];\n"),
        ]
    }

    fn found(files: &[File]) -> Vec<String> {
        texts(&check(files))
    }

    #[test]
    fn a_code_with_its_page_is_fine_however_it_is_made() {
        for source in [
            "Problem::not_found(\"gone\", text)",
            "Self::with_status(\n    StatusCode::NOT_FOUND,\n    \"gone\",\n    text)",
            "Refusal::new(status, \"gone\", detail)",
            "let code = if a { \"gone\" } else { b };",
        ] {
            assert_eq!(
                found(&repository(source, PAGE)),
                Vec::<String>::new(),
                "{source}"
            );
        }
    }

    #[test]
    fn a_code_without_a_page_is_found_where_it_is_made() {
        let source = "Problem::not_found(\"gone\", a);\nSelf::conflict(\n  \"taken\", b)";
        assert_eq!(
            found(&repository(source, PAGE)),
            [
                "error: services/quiz/src/error.rs:2: the problem code taken has no page \
              docs/errors/taken.md"
            ]
        );
    }

    #[test]
    fn a_code_that_an_openapi_document_promises_has_a_page_with_that_status() {
        let source = "responses((status = 404, description = \"Gone (`gone`).\"),\n\
                      (status = 409, description = \"Gone (`gone`, or `x`).\"),\n\
                      (status = 404, description = \"Lost (`lost`).\"))\n\"gone\"";
        assert_eq!(
            found(&repository(source, PAGE)),
            [
                "error: services/quiz/src/error.rs:2: the OpenAPI document promises 409 gone: no page does",
                "error: services/quiz/src/error.rs:3: the OpenAPI document promises 404 lost: no page does",
            ]
        );
    }

    #[test]
    fn a_page_without_a_code_is_found_and_a_test_is_no_source() {
        for source in [
            "",
            "#[cfg(test)]\nmod tests { Problem::not_found(\"gone\", a) }",
        ] {
            assert_eq!(
                found(&repository(source, PAGE)),
                ["error: docs/errors/gone.md: nothing in the source has the code gone"]
            );
        }
    }

    #[test]
    fn a_page_that_says_another_status_or_sender_or_lacks_a_room_is_found() {
        let page = PAGE
            .replace("404 Not Found", "409 Conflict")
            .replace("`quiz`", "`auth`");
        let page = page.replace("## Operator", "## Others");
        let findings = found(&repository("Problem::not_found(\"gone\", a)", &page));
        assert_eq!(findings.len(), 3, "{findings:?}");
    }

    #[test]
    fn a_code_that_is_in_one_list_alone_is_found() {
        let mut files = repository("Problem::not_found(\"gone\", a)", PAGE);
        files[2].text.clear();
        files[3].text = "CODES: &[&str] = &[\n    \"other\",\n];\n".to_owned();
        let findings = found(&files);
        assert_eq!(findings.len(), 3, "{findings:?}");
    }
}
