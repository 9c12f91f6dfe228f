//! What the terminal can do, and the ways of writing to it: sentences, grids, rows, numbers.

pub mod grid;
pub mod number;
pub mod rows;
pub mod style;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use tidegate_project::diagnostic::render_all;
use tidegate_project::{Diagnostic, RenderStyle, SourceMap};

use crate::arguments::Colour;

/// Stdout and stderr, and what they can show.
#[derive(Debug, Clone)]
pub struct Screen {
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    colour_out: bool,
    colour_err: bool,
}

impl Screen {
    /// Looks at stdout, stderr and the environment.
    pub fn new(colour: Colour) -> Self {
        let (stdout_is_terminal, stderr_is_terminal) =
            (io::stdout().is_terminal(), io::stderr().is_terminal());
        let wanted = |is_terminal| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => is_terminal && !refuses_colour(),
        };
        Self {
            stdout_is_terminal,
            stderr_is_terminal,
            colour_out: wanted(stdout_is_terminal),
            colour_err: wanted(stderr_is_terminal),
        }
    }

    /// Whether progress can be drawn on stderr.
    pub fn stderr_is_terminal(&self) -> bool {
        self.stderr_is_terminal
    }

    /// Whether stdout takes colour.
    pub fn colour_out(&self) -> bool {
        self.colour_out
    }

    /// Whether stderr takes colour.
    pub fn colour_err(&self) -> bool {
        self.colour_err
    }

    /// Columns of the terminal behind stdout; none where lines may be as long as they like.
    pub fn width(&self) -> Option<usize> {
        if !self.stdout_is_terminal {
            return None;
        }
        let (columns, _) = terminal_size::terminal_size()?;
        Some(usize::from(columns.0))
    }

    /// Buffered stdout. A write to a reader that went away is an error that [`crate::failure::Failure`] keeps silent.
    pub fn out(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::with_capacity(64 << 10, io::stdout().lock())
    }

    /// Text for stdout in a style, or plain.
    pub fn paint(&self, style: anstyle::Style, text: &str) -> String {
        painted(self.colour_out, style, text)
    }

    /// `error: …` on stderr.
    pub fn error(&self, message: &str) {
        self.say(style::ERROR, "error", message);
    }

    /// `warning: …` on stderr.
    pub fn warning(&self, message: &str) {
        self.say(style::WARNING, "warning", message);
    }

    /// `help: …` on stderr.
    pub fn help(&self, message: &str) {
        self.say(style::HELP, "help", message);
    }

    /// Mistakes on stderr, each in its own text.
    pub fn diagnostics(&self, diagnostics: &[Diagnostic], files: &SourceMap) {
        let style = RenderStyle {
            color: self.colour_err,
            unicode: true,
        };
        let _ = writeln!(io::stderr(), "{}", render_all(diagnostics, files, style));
    }

    /// A line on stderr for people: how long it took, what was left out.
    pub fn remark(&self, message: &str) {
        let _ = writeln!(
            io::stderr(),
            "{}",
            painted(self.colour_err, style::FAINT, message)
        );
    }

    fn say(&self, style: anstyle::Style, word: &str, message: &str) {
        // There is nobody left to tell when stderr is gone.
        let _ = writeln!(
            io::stderr(),
            "{}: {message}",
            painted(self.colour_err, style, word)
        );
    }
}

fn painted(colour: bool, style: anstyle::Style, text: &str) -> String {
    if colour {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// NO_COLOR (no-color.org) and dumb terminals.
fn refuses_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}
