//! The colours, by meaning.

use anstyle::{AnsiColor, Style};

/// The word `error`, and numbers that are bad news.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word `warning`, and numbers to look at.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// The word `help`, and commands to try next.
pub const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// What went well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Headings.
pub const HEADING: Style = Style::new().bold();
/// What matters less.
pub const FAINT: Style = Style::new().dimmed();
