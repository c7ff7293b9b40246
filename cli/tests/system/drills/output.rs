//! Whether a command printed what its runbook shows.

/// Stands for anything within a line; alone, for any lines.
const ANYTHING: char = '…';

/// The first line of `shown` that is not among the lines of `printed`, in order. Columns may be as
/// wide as they like.
pub(super) fn missing<'a>(shown: &'a str, printed: &str) -> Option<&'a str> {
    let mut lines = printed.lines().map(squeezed);
    shown
        .lines()
        .filter(|line| !line.trim().is_empty() && line.trim() != ANYTHING.to_string())
        .find(|line| {
            let pattern = squeezed(line);
            !lines.any(|line| matches(&pattern, &line))
        })
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split(ANYTHING);
    let Some(mut rest) = pieces
        .next()
        .and_then(|first| line.strip_prefix(first.trim_end()))
    else {
        return false;
    };
    let mut pieces = pieces.map(str::trim).peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[test]
fn a_shown_line_fits_whole_and_in_order_and_dots_fit_anything() {
    let printed = "where   what\n─────\n quiz   is paused   now\n log  is down: refused\n";
    for shown in [
        "quiz is paused now",
        "quiz …",
        "… paused …\nlog is down: …",
        "…\n\nlog … refused",
        "quiz… is …now",
    ] {
        assert_eq!(missing(shown, printed), None, "{shown}");
    }
    for shown in [
        "quiz is paused",
        "log …\nquiz …",
        "… up …",
        "quiz … then",
        "is paused …",
    ] {
        assert!(missing(shown, printed).is_some(), "{shown}");
    }
}
