//! Charts as inline SVG, coloured by the page's style, so that they follow light and dark.
//!
//! Why not a plotting library: the one that is well kept writes its colours into the picture, and a
//! page would need each picture twice.

use maud::{Markup, html};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;
/// Ticks of an axis, about.
const TICKS: f64 = 6.0;

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero, in equal steps.
    Linear,
    /// By powers of ten.
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    label: String,
    scale: Scale,
    /// As placed: on a logarithmic axis the logarithm.
    low: f64,
    high: f64,
    /// Where, as placed, and what stands there.
    ticks: Vec<(f64, String)>,
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// For the legend.
    pub(super) name: String,
    /// The style's colour, from 1.
    pub(super) colour: usize,
    /// Dashed: what a line is compared with.
    pub(super) dashed: bool,
    /// In the units of the axes.
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart of lines.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// What it shows, for those who cannot see it.
    pub(super) title: String,
    /// Across.
    pub(super) x: Axis,
    /// Up.
    pub(super) y: Axis,
    /// At most four.
    pub(super) lines: Vec<Line>,
    /// Horizontal lines with a name: bars to be met.
    pub(super) marks: Vec<(f64, String)>,
    /// Whether points are marked, as few that stand alone should be.
    pub(super) dots: bool,
}

impl Axis {
    /// From 0 to a little above the highest value.
    pub(super) fn linear(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let highest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let step = step(highest.max(1e-9));
        let count = (highest / step).ceil().max(1.0);
        let ticks = (0..=count as usize).map(|place| place as f64 * step);
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            low: 0.0,
            high: count * step,
            ticks: ticks.map(|value| (value, tick(value, step))).collect(),
        }
    }

    /// Whole powers of ten around the values; what is not above zero has no place on it.
    pub(super) fn log(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            low = low.min(value.log10());
            high = high.max(value.log10());
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
        let decades = (low as i32)..=(high as i32);
        let ticks = decades.map(|power| (f64::from(power), power_of_ten(power)));
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
            low,
            high,
            ticks: ticks.collect(),
        }
    }

    /// The part of a distribution that is below, so that each nine of it has the same room.
    pub(super) fn nines(label: &str, highest: f64) -> Self {
        let high = nines(highest).max(1.0);
        let named = [
            (0.0, "0 %"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.999_9, "99.99 %"),
            (0.999_99, "99.999 %"),
            (0.999_999, "99.9999 %"),
        ];
        let ticks = named.map(|(quantile, name)| (nines(quantile), name.to_owned()));
        let is_shown = |(place, _): &(f64, String)| *place <= high;
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
            low: 0.0,
            high,
            ticks: ticks.into_iter().filter(is_shown).collect(),
        }
    }

    /// Where a value stands, 0 to 1; none where it has no place.
    fn place(&self, value: f64) -> Option<f64> {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => return None,
        };
        let part = (value - self.low) / (self.high - self.low);
        part.is_finite().then(|| part.clamp(0.0, 1.0))
    }

    fn part(&self, placed: f64) -> f64 {
        (placed - self.low) / (self.high - self.low)
    }
}

/// How many nines a quantile has: 0.9 is one, 0.99 two.
pub(super) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-9).log10()
}

impl Chart {
    /// The picture.
    pub(super) fn svg(&self) -> Markup {
        let view = format!("0 0 {WIDTH} {HEIGHT}");
        html! {
            figure {
                svg viewBox=(view) role="img" aria-label=(self.title) {
                    (self.grid())
                    @for (value, name) in &self.marks {
                        @if let Some(part) = self.y.place(*value) {
                            (mark(up(part), name))
                        }
                    }
                    @for line in &self.lines { (self.line(line)) }
                }
                figcaption {
                    span.title { (self.title) }
                    @for line in &self.lines {
                        span.key {
                            i class={ "k" (line.colour) @if line.dashed { " dashed" } } {}
                            (line.name)
                        }
                    }
                }
            }
        }
    }

    fn grid(&self) -> Markup {
        let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        html! {
            @for (value, name) in &self.y.ticks {
                @let y = round(up(self.y.part(*value)));
                line.grid x1=(LEFT) x2=(right) y1=(y) y2=(y) {}
                text.tick x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" { (name) }
            }
            @for (value, name) in &self.x.ticks {
                @let x = round(across(self.x.part(*value)));
                line.grid.up x1=(x) x2=(x) y1=(TOP) y2=(floor) {}
                text.tick x=(x) y=(floor + 16.0) text-anchor="middle" { (name) }
            }
            line.axis x1=(LEFT) x2=(right) y1=(floor) y2=(floor) {}
            text.label x=(right) y=(HEIGHT - 6.0) text-anchor="end" { (self.x.label) }
            text.label transform={ "translate(12 " (TOP) ") rotate(-90)" } text-anchor="end" {
                (self.y.label)
            }
        }
    }

    fn line(&self, line: &Line) -> Markup {
        let place = |(x, y): &(f64, f64)| {
            Some((
                round(across(self.x.place(*x)?)),
                round(up(self.y.place(*y)?)),
            ))
        };
        let points: Vec<(f64, f64)> = line.points.iter().filter_map(place).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let class = format!(
            "line c{}{}",
            line.colour,
            if line.dashed { " dashed" } else { "" }
        );
        html! {
            polyline class=(class) points=(path.join(" ")) {}
            @if self.dots {
                @for (x, y) in &points {
                    circle class={ "dot d" (line.colour) } cx=(x) cy=(y) r="3.5" {}
                }
            }
        }
    }
}

/// A horizontal bar chart: name, value, its text.
pub(super) fn bars(title: &str, rows: &[(String, f64, String)]) -> Markup {
    let highest = rows.iter().map(|(_, value, _)| *value).fold(1e-9, f64::max);
    html! {
        figure {
            div.bars role="img" aria-label=(title) {
                @for (name, value, text) in rows {
                    span.name { (name) }
                    span.rail { i style={ "width:" (round(value / highest * 100.0)) "%" } {} }
                    span.value { (text) }
                }
            }
            figcaption { span.title { (title) } }
        }
    }
}

fn mark(y: f64, name: &str) -> Markup {
    let (y, right) = (round(y), WIDTH - RIGHT);
    // Above its line, unless that is at the top.
    let base = if y < TOP + 16.0 { y + 14.0 } else { y - 5.0 };
    html! {
        line.mark x1=(LEFT) x2=(right) y1=(y) y2=(y) {}
        text.mark x=(right - 4.0) y=(base) text-anchor="end" { (name) }
    }
}

fn across(part: f64) -> f64 {
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

fn up(part: f64) -> f64 {
    HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
}

/// A tenth of a pixel is enough, and keeps the file small.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// 1, 2 or 5 times a power of ten, so that there are about [`TICKS`] of them up to `highest`.
fn step(highest: f64) -> f64 {
    let rough = highest / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0];
    let fits = times.into_iter().find(|times| times * power >= rough);
    fits.unwrap_or(10.0) * power
}

fn tick(value: f64, step: f64) -> String {
    if step >= 1.0 {
        super::thousands(value)
    } else {
        let digits = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
        format!("{value:.digits$}")
    }
}

fn power_of_ten(power: i32) -> String {
    match power {
        0.. => super::thousands(10_f64.powi(power)),
        _ => format!("{}", 10_f64.powi(power)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_enclose_the_values() {
        let axis = Axis::linear("x", [3.0, 743.0].into_iter());
        assert_eq!((axis.low, axis.high), (0.0, 800.0));
        let names: Vec<_> = axis.ticks.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["0", "200", "400", "600", "800"]);
        let small = Axis::linear("x", [0.07].into_iter());
        assert_eq!(small.ticks[1].1, "0.02");
        let empty = Axis::linear("x", std::iter::empty());
        assert!(empty.high > empty.low);
    }

    #[test]
    fn logarithmic_axes_have_whole_decades_and_no_place_for_zero() {
        let axis = Axis::log("ms", [0.4, 0.0, 230.0].into_iter());
        assert_eq!((axis.low, axis.high), (-1.0, 3.0));
        assert_eq!(axis.place(0.0), None);
        assert!((axis.place(10.0).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(axis.ticks[0].1, "0.1");
        let flat = Axis::log("ms", [10.0].into_iter());
        assert!(flat.high > flat.low);
    }

    #[test]
    fn each_nine_of_a_distribution_has_the_same_room() {
        let axis = Axis::nines("below", 0.999_5);
        let place = |quantile| axis.place(nines(quantile)).unwrap();
        let (one, two, three) = (place(0.9), place(0.99), place(0.999));
        assert!(((two - one) - (three - two)).abs() < 1e-9);
        assert_eq!(axis.ticks.last().unwrap().1, "99.9 %");
    }

    #[test]
    fn names_are_escaped_and_points_stay_in_the_picture() {
        let chart = Chart {
            title: "a <b> & c".to_owned(),
            x: Axis::linear("s", [10.0].into_iter()),
            y: Axis::log("ms", [1.0, 100.0].into_iter()),
            lines: vec![Line {
                name: "<script>".to_owned(),
                colour: 1,
                dashed: false,
                points: vec![(0.0, 1.0), (5.0, 0.0), (10.0, 1e9)],
            }],
            marks: vec![(100.0, "the bar".to_owned())],
            dots: true,
        };
        let svg = chart.svg().into_string();
        assert!(
            !svg.contains("<script>") && svg.contains("&lt;script&gt;"),
            "{svg}"
        );
        assert!(svg.contains("a &lt;b&gt; &amp; c"), "{svg}");
        assert!(
            svg.contains(&format!("points=\"{LEFT},210 {},{TOP}\"", WIDTH - RIGHT)),
            "{svg}"
        );
        assert_eq!(
            svg.matches("<circle").count(),
            2,
            "what has no place is left out"
        );
    }
}
