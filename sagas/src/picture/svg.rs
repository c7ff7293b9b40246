//! SVG, written by hand: a row for each stage, the steps of a stage side by side.

use std::fmt::Write as _;

use super::{Colours, Mark, Picture, fate, nature};

/// All lengths are pixels. Of the monospaced font at 12: letters are narrower everywhere.
const LETTER: usize = 8;
const LINE: usize = 18;
const PADDING: usize = 12;
const GAP: usize = 28;
const RISE: usize = 44;
const PILL: usize = 30;
const NARROWEST: usize = 120;
/// Longer texts are cut: a reason may be a page.
const LONGEST: usize = 60;

/// A text's place in the row of its stage.
struct Card<'a> {
    lines: Vec<String>,
    mark: Mark,
    name: &'a str,
    width: usize,
}

pub(super) fn draw(picture: &Picture<'_>) -> String {
    let rows: Vec<Vec<Card<'_>>> = picture
        .outline
        .stages
        .iter()
        .map(|stage| stage.iter().map(|step| card(picture, step)).collect())
        .collect();
    let title = heading(picture);
    let pills = [picture.title(), picture.foot().to_owned()];
    let widest = rows.iter().map(|row| row_width(row)).max().unwrap_or(0);
    let texts = title.iter().chain(&pills).map(|text| text_width(text));
    let width = texts.max().unwrap_or(0).max(widest) + 2 * GAP;
    let mut canvas = Canvas {
        body: String::new(),
        middle: width / 2,
        y: GAP,
    };
    for text in &title {
        canvas.text(GAP, canvas.y, "t", text);
        canvas.y += LINE;
    }
    canvas.y += PADDING;
    let [begin, end] = pills;
    canvas.pill(&begin, ("#f1f3f4", "#5f6368"));
    let mut from = vec![canvas.middle];
    for (row, stage) in rows.iter().zip(&picture.outline.stages) {
        from = canvas.row(row, &from, picture.reached(stage));
    }
    canvas.edges(&from, &[canvas.middle], picture.is_through());
    canvas.pill(&end, colours_of_end(picture));
    let height = canvas.y + GAP;
    let label = escaped(&picture.title());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n\
         <style>text{{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#202124}}\
         .n{{font-weight:bold}}.m{{text-anchor:middle}}\
         .e{{fill:none;stroke:#3c4043;stroke-width:1.5}}\
         .o{{fill:none;stroke:#bdc1c6;stroke-width:1.5;stroke-dasharray:4 4}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
        canvas.body
    )
}

/// What is said of the saga as a whole.
fn heading(picture: &Picture<'_>) -> Vec<String> {
    let Some(state) = picture.state else {
        return Vec::new();
    };
    let reason = state.reason.as_ref();
    let why = reason.map(|reason| cut(&format!("because {reason}")));
    let missing = state.suspended.as_ref().map(|why| cut(&why.reason));
    [Some(state.phase.as_str().to_owned()), why, missing]
        .into_iter()
        .flatten()
        .collect()
}

fn colours_of_end(picture: &Picture<'_>) -> Colours {
    use crate::state::Phase;
    let mark = match picture.state.map(|state| state.phase) {
        Some(Phase::Completed) => Mark::Done,
        Some(Phase::Compensated) => Mark::Undone,
        Some(Phase::Compensating) => Mark::Undoing,
        Some(Phase::NeedsIntervention | Phase::Abandoned) => Mark::Stuck,
        Some(Phase::Parked) => Mark::Unknown,
        Some(Phase::Running) => Mark::Started,
        None => Mark::Waiting,
    };
    mark.colours()
}

fn card<'a>(picture: &Picture<'_>, step: &'a crate::outline::StepOutline) -> Card<'a> {
    let mut lines = vec![cut(&step.name), cut(&nature(step))];
    if let Some(state) = picture.state_of(step) {
        lines.push(cut(&fate(state)));
        lines.extend(state.error.as_deref().map(cut));
    }
    let longest = lines.iter().map(|line| text_width(line)).max();
    Card {
        width: (longest.unwrap_or(0) + 2 * PADDING).max(NARROWEST),
        mark: picture.mark(step),
        name: &step.name,
        lines,
    }
}

fn row_width(row: &[Card<'_>]) -> usize {
    row.iter().map(|card| card.width + GAP).sum::<usize>() - GAP.min(row.len() * GAP)
}

fn text_width(text: &str) -> usize {
    text.chars().count() * LETTER
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

struct Canvas {
    body: String,
    middle: usize,
    /// Where the next thing begins.
    y: usize,
}

impl Canvas {
    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    fn text(&mut self, x: usize, y: usize, class: &str, text: &str) {
        let text = escaped(text);
        self.put(format_args!(
            "<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>"
        ));
    }

    fn pill(&mut self, text: &str, (fill, line): Colours) {
        let width = text_width(text) + 2 * PADDING;
        let (x, y, round) = (self.middle - width / 2, self.y, PILL / 2);
        self.put(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{PILL}\" rx=\"{round}\" \
             fill=\"{fill}\" stroke=\"{line}\"/>"
        ));
        self.text(self.middle, y + 19, "m", text);
        self.y += PILL;
    }

    /// Draws a stage with the lines that lead to it; the middles of its steps.
    fn row(&mut self, row: &[Card<'_>], from: &[usize], taken: bool) -> Vec<usize> {
        let mut x = self.middle - row_width(row) / 2;
        let mut middles = Vec::new();
        for card in row {
            middles.push(x + card.width / 2);
            x += card.width + GAP;
        }
        self.edges(from, &middles, taken);
        let top = self.y;
        let lines = row.iter().map(|card| card.lines.len()).max().unwrap_or(0);
        let height = lines * LINE + 2 * PADDING;
        for (card, middle) in row.iter().zip(&middles) {
            let (fill, line) = card.mark.colours();
            let (left, width) = (middle - card.width / 2, card.width);
            let (mark, name) = (card.mark.name(), escaped(card.name));
            self.put(format_args!(
                "<g data-step=\"{name}\" data-mark=\"{mark}\"><rect x=\"{left}\" y=\"{top}\" \
                 width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{fill}\" stroke=\"{line}\" \
                 stroke-width=\"1.5\"/>"
            ));
            for (number, text) in card.lines.iter().enumerate() {
                let class = if number == 0 { "n m" } else { "m" };
                let y = top + PADDING + 13 + number * LINE;
                self.text(*middle, y, class, text);
            }
            self.put(format_args!("</g>"));
        }
        self.y += height;
        middles
    }

    /// Lines from what stands above to what stands below, joined in between; an arrow each.
    fn edges(&mut self, from: &[usize], to: &[usize], taken: bool) {
        let class = if taken { 'e' } else { 'o' };
        let fill = if taken { "#3c4043" } else { "#bdc1c6" };
        let (top, join, bottom) = (self.y, self.y + RISE / 2, self.y + RISE);
        let mut path = String::new();
        for x in from {
            let _ = write!(path, "M{x} {top}V{join}");
        }
        let all = || from.iter().chain(to);
        if let (Some(left), Some(right)) = (all().min(), all().max()) {
            let _ = write!(path, "M{left} {join}H{right}");
        }
        for x in to {
            let _ = write!(path, "M{x} {join}V{}", bottom - 6);
        }
        self.put(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
        for x in to {
            let (left, right, high) = (x - 4, x + 4, bottom - 7);
            self.put(format_args!(
                "<path fill=\"{fill}\" d=\"M{left} {high}H{right}L{x} {bottom}Z\"/>"
            ));
        }
        self.y = bottom;
    }
}

/// Text and attributes: what would end them is an entity, what XML does not allow is left out.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            control if control.is_control() => {}
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(
            escaped("<script>\"&'\u{1}\n</script>"),
            "&lt;script&gt;&quot;&amp;&#39; &lt;/script&gt;"
        );
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let cut = cut(&"ß".repeat(100));
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(cut.ends_with('…'));
    }
}
