//! Numbers as people read them: counts, bytes, durations, shares.

use std::time::Duration;

/// `1234567` → `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1` → `1 row`, `2` → `2 rows`.
pub fn counted(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        count(number),
        if number == 1 { "" } else { "s" }
    )
}

/// `1234567` → `1.2 MB`.
pub fn bytes(number: u64) -> String {
    scaled(number as f64, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// `1234567.8` a second → `1.2M`.
pub fn rate(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G"]).replace(' ', "")
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let mut scaled = number;
    let mut unit = 0;
    while scaled >= step && unit + 1 < units.len() {
        scaled /= step;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && scaled < 100.0);
    format!("{scaled:.digits$} {}", units.get(unit).unwrap_or(&""))
        .trim_end()
        .to_owned()
}

/// `0.0123` s → `12 ms`, `75.2` s → `1 min 15 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds < 0.000_95 {
        format!("{:.1} ms", seconds.max(0.0) * 1e3)
    } else if seconds < 0.9995 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 59.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        match whole / 3_600 {
            0 => format!("{} min {} s", whole / 60, whole % 60),
            hours => format!("{hours} h {} min", whole % 3_600 / 60),
        }
    }
}

/// The same for a [`Duration`].
pub fn duration(duration: Duration) -> String {
    seconds(duration.as_secs_f64())
}

/// `0.0149` → `1.49 %`.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        "–".to_owned()
    } else {
        format!("{:.2} %", part as f64 * 100.0 / whole as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [counted(1, "row"), counted(2_000, "row")],
            ["1 row", "2,000 rows"]
        );
        assert_eq!(
            [bytes(999), bytes(1_234_567), bytes(123_456_789)],
            ["999 B", "1.2 MB", "123 MB"]
        );
        assert_eq!([rate(12.0), rate(1_234_567.0)], ["12", "1.2M"]);
        assert_eq!(
            [
                seconds(0.0004),
                seconds(0.0123),
                seconds(3.04),
                seconds(59.96),
                seconds(75.2),
                seconds(7_500.0)
            ],
            [
                "0.4 ms",
                "12 ms",
                "3.0 s",
                "1 min 0 s",
                "1 min 15 s",
                "2 h 5 min"
            ]
        );
        assert_eq!([share(149, 10_000), share(1, 0)], ["1.49 %", "–"]);
    }
}
