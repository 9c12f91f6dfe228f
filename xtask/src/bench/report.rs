//! Tables that a terminal and a Markdown page both show, headed by date and machine.

use crate::process::Call;

/// A Markdown table whose columns are padded, so that it reads well as plain text, too.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.max(head[column].chars().count())
        })
        .collect();
    let line = |cells: Vec<&str>| -> String {
        let padded = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
                // Names to the left, numbers to the right.
                if column == 0 {
                    format!("{cell}{gap}")
                } else {
                    format!("{gap}{cell}")
                }
            });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        if column == 0 {
            "-".repeat(width + 2)
        } else {
            format!("{}:", "-".repeat(width + 1))
        }
    });
    let mut text = line(head.to_vec());
    text.push_str(&format!("|{}|\n", rule.collect::<Vec<_>>().join("|")));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// The line above a table: when, on what.
pub fn heading(job: &str) -> String {
    let date = Call::new("date")
        .args(["-u", "+%Y-%m-%d"])
        .text()
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{job}, {} on {cores} cores ({}), {} of memory:",
        date.trim(),
        processor(),
        memory()
    )
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':'))
        .map_or("an unknown processor".to_owned(), |(_, name)| {
            name.trim().to_owned()
        })
}

fn memory() -> String {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kibibytes.map_or("an unknown amount".to_owned(), |amount| {
        format!("{:.0} GiB", amount / 1024.0 / 1024.0)
    })
}

/// A ratio to the first contestant, as in `3.4×`.
pub fn ratio(value: f64, base: f64) -> String {
    match value / base {
        ratio if !ratio.is_finite() => "–".to_owned(),
        ratio if ratio >= 10.0 => format!("{ratio:.0}×"),
        ratio => format!("{ratio:.2}×"),
    }
}

/// Seconds with as many digits as they deserve.
pub fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{value:.3}")
    } else {
        format!("{value:.2}")
    }
}

/// Bytes in megabytes (10⁶).
pub fn megabytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1e6)
}

/// Whether a target was met, in one word.
pub fn verdict(met: bool) -> String {
    if met { "met" } else { "MISSED" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let rows = [
            vec!["Tidegate".to_owned(), "1.20".to_owned()],
            vec!["×".to_owned(), "10".to_owned()],
        ];
        let wanted =
            "| who      | wall |\n|----------|-----:|\n| Tidegate | 1.20 |\n| ×        |   10 |\n";
        assert_eq!(table(&["who", "wall"], &rows), wanted);
    }

    #[test]
    fn ratios_say_how_much_more() {
        assert_eq!(ratio(3.0, 2.0), "1.50×");
        assert_eq!(ratio(300.0, 2.0), "150×");
        assert_eq!(ratio(1.0, 0.0), "–");
    }
}
