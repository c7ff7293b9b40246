//! Mermaid's flowchart: <https://mermaid.js.org/syntax/flowchart.html>.

use std::fmt::Write as _;

use super::{Mark, Picture, fate, nature};

pub(super) fn draw(picture: &Picture<'_>) -> String {
    let mut text = String::from("flowchart TD\n");
    let mut line = |line: String| {
        let _ = writeln!(text, "  {line}");
    };
    line(format!("begin([\"{}\"])", escaped(&picture.title())));
    let mut classes: Vec<(Mark, Vec<String>)> = Mark::ALL.map(|mark| (mark, Vec::new())).to_vec();
    let mut before = "begin".to_owned();
    let mut number = 0;
    for stage in &picture.outline.stages {
        let mut names = Vec::new();
        for step in stage {
            let name = format!("s{number}");
            number += 1;
            let said = picture.state_of(step).map_or_else(|| nature(step), fate);
            let label = format!("{}<br/>{}", escaped(&step.name), escaped(&said));
            line(format!("{name}[\"{label}\"]"));
            let mark = picture.mark(step);
            if let Some((_, marked)) = classes.iter_mut().find(|(other, _)| *other == mark) {
                marked.push(name.clone());
            }
            names.push(name);
        }
        let these = names.join(" & ");
        line(edge(&before, &these, picture.reached(stage)));
        before = these;
    }
    line(format!("finish([\"{}\"])", escaped(picture.foot())));
    line(edge(&before, "finish", picture.is_through()));
    for (mark, names) in classes {
        if !names.is_empty() {
            let (fill, stroke) = mark.colours();
            let name = mark.name();
            line(format!(
                "classDef {name} fill:{fill},stroke:{stroke},color:#202124"
            ));
            line(format!("class {} {name}", names.join(",")));
        }
    }
    text
}

fn edge(from: &str, to: &str, taken: bool) -> String {
    let arrow = if taken { "-->" } else { "-.->" };
    format!("{from} {arrow} {to}")
}

/// Between quotes everything is text but what begins an entity, a tag or the quotes' end.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => safe.push_str("#quot;"),
            '#' => safe.push_str("#35;"),
            '&' => safe.push_str("#amp;"),
            '<' => safe.push_str("#lt;"),
            '>' => safe.push_str("#gt;"),
            '`' => safe.push_str("#96;"),
            control if control.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_it() {
        assert_eq!(
            escaped("a\"]\n%% <b>#1&`"),
            "a#quot;] %% #lt;b#gt;#35;1#amp;#96;"
        );
    }
}
