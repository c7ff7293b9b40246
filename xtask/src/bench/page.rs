//! What the pages of all measurements are made of: numbers, cells, bars that are met or missed, and
//! plots.

use std::fmt::Write;

use super::figures::Figure;

/// A figure that must not be above, or not below, another.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::bench) struct Bar {
    pub(in crate::bench) what: String,
    pub(in crate::bench) measured: f64,
    pub(in crate::bench) limit: Limit,
    pub(in crate::bench) unit: &'static str,
}

/// Which side of the bar is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bench) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Bar {
    pub(in crate::bench) fn is_met(&self) -> bool {
        match self.limit {
            Limit::AtMost(limit) => self.measured <= limit,
            Limit::AtLeast(limit) => self.measured >= limit,
        }
    }
}

/// The chapter of the bars.
pub(in crate::bench) fn bars(bars: &[Bar]) -> String {
    let mut text = String::from("## Bars\n\n| | measured | bar | |\n| --- | ---: | ---: | --- |\n");
    for bar in bars {
        let verdict = if bar.is_met() { "met" } else { "**missed**" };
        let (side, limit) = match bar.limit {
            Limit::AtMost(limit) => ("≤", limit),
            Limit::AtLeast(limit) => ("≥", limit),
        };
        let (measured, limit, unit) = (number(bar.measured), number(limit), bar.unit);
        let _ = writeln!(
            text,
            "| {} | {measured} {unit} | {side} {limit} {unit} | {verdict} |",
            bar.what
        );
    }
    text
}

/// A figure with its ends, or that there is none.
pub(in crate::bench) fn cell(figure: Option<Figure>) -> String {
    match figure {
        None => "–".to_owned(),
        Some(figure) => {
            let [median, least, most] = [figure.median, figure.least, figure.most].map(number);
            format!("{median} ({least}–{most})")
        }
    }
}

/// Three digits that say something.
pub(in crate::bench) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => {
            let thousands = (value / 1_000.0).trunc();
            format!(
                "{thousands:.0},{:03.0}",
                (value - thousands * 1_000.0).abs().min(999.0)
            )
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

const ROW: f64 = 30.0;
const LEFT: f64 = 190.0;
const WIDTH: f64 = 820.0;
const RIGHT: f64 = 80.0;
/// What a chart's title takes, with the room above it.
const HEAD: f64 = 40.0;

/// A line of a chart.
pub(in crate::bench) struct Row {
    pub(in crate::bench) name: &'static str,
    pub(in crate::bench) figure: Figure,
    pub(in crate::bench) is_ours: bool,
}

/// Charts below each other: a title, and a bar for each row, with its ends.
pub(in crate::bench) fn plot(charts: &[(String, Vec<Row>)]) -> String {
    let rows: usize = charts.iter().map(|(_, rows)| rows.len()).sum();
    let height = 10.0 + HEAD * charts.len() as f64 + ROW * rows as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for (title, rows) in charts {
        let _ = writeln!(
            text,
            "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{title}</text>",
            top + 22.0
        );
        top += HEAD;
        let highest = rows.iter().map(|row| row.figure.most).fold(1e-9, f64::max);
        for row in rows {
            text.push_str(&line(row, top, highest));
            top += ROW;
        }
    }
    text.push_str("</svg>\n");
    text
}

fn line(row: &Row, top: f64, highest: f64) -> String {
    let across = |value: f64| LEFT + value / highest * (WIDTH - LEFT - RIGHT);
    let colour = if row.is_ours { "#2f6f4f" } else { "#9aa5b1" };
    let (middle, end) = (top + 10.0, across(row.figure.median));
    let (least, most) = (across(row.figure.least), across(row.figure.most));
    format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"20\" fill=\"{colour}\"/>\
         <path d=\"M{least:.1} {middle:.1}H{most:.1}\" stroke=\"#222222\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
        LEFT - 8.0,
        top + 14.0,
        row.name,
        end - LEFT,
        most.max(end) + 6.0,
        top + 14.0,
        number(row.figure.median),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let texts = [0.456, 13.44, 123.4, 69_200.4, 1_000.0].map(number);
        assert_eq!(texts, ["0.46", "13.4", "123", "69,200", "1,000"]);
    }

    #[test]
    fn a_bar_says_on_which_side_it_is_met() {
        let bar = |limit| Bar {
            what: "appends".to_owned(),
            measured: 10.0,
            limit,
            unit: "/s",
        };
        let all = [9.0, 10.0, 11.0];
        let most = all.map(|limit| bar(Limit::AtMost(limit)).is_met());
        let least = all.map(|limit| bar(Limit::AtLeast(limit)).is_met());
        assert_eq!((most, least), ([false, true, true], [true, true, false]));
        let text = bars(&[bar(Limit::AtLeast(20.0))]);
        assert!(
            text.contains("| appends | 10.0 /s | ≥ 20.0 /s | **missed** |"),
            "{text}"
        );
    }

    #[test]
    fn charts_stand_below_each_other() {
        let figure = Figure {
            median: 2.0,
            least: 1.0,
            most: 4.0,
        };
        let row = |name, is_ours| Row {
            name,
            figure,
            is_ours,
        };
        let plot = plot(&[
            ("first".to_owned(), vec![row("ours", true)]),
            ("second".to_owned(), vec![row("theirs", false)]),
        ]);
        assert!(
            plot.contains("height=\"150\"") && plot.contains("y=\"92\""),
            "{plot}"
        );
        assert!(plot.find(">ours<") < plot.find(">second<"), "{plot}");
    }
}
