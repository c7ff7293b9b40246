//! The report: one HTML file without scripts or anything from elsewhere, and a summary to paste.
//!
//! Everything is drawn from [`crate::figures::Run`] alone.

mod chart;
pub mod html;
pub mod markdown;
mod plots;

/// A number as people read it: three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => thousands(value),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.095 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        let all = [
            0.0,
            0.0123,
            0.5,
            9.99,
            10.0,
            42.04,
            99.96,
            1_234.5,
            -56_789.0,
            1_000_000.0,
        ];
        let texts = all.map(number);
        let expected = [
            "0",
            "0.012",
            "0.50",
            "9.99",
            "10.0",
            "42.0",
            "100",
            "1,234",
            "-56,789",
            "1,000,000",
        ];
        assert_eq!(texts, expected);
    }
}
