//! How long files and functions are. Beyond the first limit is a warning, beyond the second an
//! error.

use super::{Finding, is_rust, numbered};
use crate::workspace::File;

const FILE_LINES: [usize; 2] = [400, 500];
const FUNCTION_LINES: [usize; 2] = [70, 100];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_rust(file)) {
        let lines = file.text.lines().count();
        findings.extend(judge(&file.path, 0, "the file", lines, FILE_LINES));
        for function in functions(&file.text) {
            let name = format!("`{}`", function.name);
            let found = judge(
                &file.path,
                function.line,
                &name,
                function.lines,
                FUNCTION_LINES,
            );
            findings.extend(found);
        }
    }
    findings
}

fn judge(
    path: &str,
    line: usize,
    what: &str,
    lines: usize,
    [warn, fail]: [usize; 2],
) -> Option<Finding> {
    if lines > fail {
        Some(Finding::error(
            path,
            line,
            format!("{what} has {lines} lines, {fail} at most"),
        ))
    } else if lines > warn {
        Some(Finding::warning(
            path,
            line,
            format!("{what} has {lines} lines, better {warn}"),
        ))
    } else {
        None
    }
}

struct Function<'a> {
    name: &'a str,
    line: usize,
    /// From its first line to its closing brace.
    lines: usize,
}

/// Finds functions by their indentation, which rustfmt guarantees: a function ends at the first
/// line that is nothing but a brace, indented as its beginning is.
fn functions(text: &str) -> Vec<Function<'_>> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, &str, usize)> = Vec::new();
    for (line, text) in numbered(text) {
        let code = text.trim_start();
        let indent = text.len() - code.len();
        if code == "}" {
            while let Some((depth, name, first)) = open.pop_if(|(depth, ..)| *depth >= indent) {
                if depth == indent {
                    found.push(Function {
                        name,
                        line: first,
                        lines: line - first + 1,
                    });
                }
            }
        } else if let Some(name) = function_name(code) {
            // A sibling at the same depth means that the last one was a declaration.
            open.retain(|(depth, ..)| *depth < indent);
            if !code.ends_with(';') && !code.ends_with('}') {
                open.push((indent, name, line));
            }
        }
    }
    found
}

fn function_name(code: &str) -> Option<&str> {
    let before = code.split("fn ").next()?;
    let words = [
        "pub",
        "pub(crate)",
        "pub(super)",
        "async",
        "const",
        "extern",
        "\"C\"",
        "default",
    ];
    if !before.split_whitespace().all(|word| words.contains(&word)) {
        return None;
    }
    let name = code.strip_prefix(before)?.strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tests::{file, texts};

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let text = "impl A {\n    pub(crate) async fn one<T>(\n        t: T,\n    ) -> T {\n        \
                    if t {\n        }\n    }\n\n    fn two() {}\n}\nfn three() {\n}\n";
        let found: Vec<_> = functions(text)
            .iter()
            .map(|f| (f.name, f.line, f.lines))
            .collect();
        assert_eq!(found, [("one", 2, 6), ("three", 11, 2)]);
    }

    #[test]
    fn declarations_and_words_in_text_are_no_functions() {
        let text = "trait A {\n    fn one(\n        &self,\n    );\n    fn two();\n}\n// a fn x\n";
        assert!(functions(text).is_empty());
    }

    #[test]
    fn long_files_are_warned_of_and_very_long_ones_refused() {
        let lines = |count: usize| "\n".repeat(count);
        let files = [
            file("a.rs", &lines(400)),
            file("b.rs", &lines(401)),
            file("c.rs", &lines(501)),
            file("d.md", &lines(501)),
        ];
        assert_eq!(
            texts(&check(&files)),
            [
                "warning: b.rs: the file has 401 lines, better 400",
                "error: c.rs: the file has 501 lines, 500 at most"
            ]
        );
    }

    #[test]
    fn long_functions_are_found_with_name_and_line() {
        let text = format!("\nfn long() {{\n{}}}\n", "    x();\n".repeat(99));
        assert_eq!(
            texts(&check(&[file("a.rs", &text)])),
            ["error: a.rs:2: `long` has 101 lines, 100 at most"]
        );
    }
}
