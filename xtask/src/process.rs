//! Calling other programs: shown as they run, or captured. No child ever waits for input.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::failure::Failure;

/// A program call in the making.
#[derive(Debug)]
pub struct Call {
    command: Command,
    help: &'static str,
}

impl Call {
    /// A call of `program`, without what the cargo that called us told about our own package: build scripts that watch
    /// these variables (ring's does) would run again after every other way of building, and all above them with it;
    /// also where another program (maturin) calls cargo.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let shown = name.to_string_lossy();
            if shown.starts_with("CARGO_PKG_") || shown.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        Self {
            command,
            help: "install it and put it into PATH",
        }
    }

    /// A call of the cargo that called us.
    pub fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// What to say when the program is not there.
    pub fn or_say(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// One argument more.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub fn args<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(mut self, arguments: I) -> Self {
        self.command.args(arguments);
        self
    }

    /// A variable of the environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without a variable of the environment.
    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The folder to run in.
    pub fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// The command line, for people.
    pub fn line(&self) -> String {
        let program = Path::new(self.command.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str());
        std::iter::once(name)
            .chain(self.command.get_args())
            .map(|part| part.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Says what is run, runs it with its output shown, and fails when it fails.
    pub fn show(self) -> Result<(), Failure> {
        println!("$ {}", self.line());
        self.show_output()
    }

    /// Runs it with its output shown, and fails when it fails.
    pub fn show_output(mut self) -> Result<(), Failure> {
        let status = self.command.status();
        let status = status.map_err(|source| self.missing(source))?;
        match status.success() {
            true => Ok(()),
            false => Err(Failure::Command {
                command: self.line(),
                status: status.to_string(),
                output: String::new(),
            }),
        }
    }

    /// Runs it silently, and fails with the end of its output when it fails.
    pub fn quiet(self) -> Result<(), Failure> {
        self.text().map(|_| ())
    }

    /// Runs it and returns what it printed.
    pub fn text(mut self) -> Result<String, Failure> {
        let output = self.command.output();
        let output = output.map_err(|source| self.missing(source))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Failure::Command {
                command: self.line(),
                status: output.status.to_string(),
                output: end_of(&output),
            }),
        }
    }

    fn missing(&self, source: std::io::Error) -> Failure {
        Failure::Missing {
            program: self.command.get_program().to_string_lossy().into_owned(),
            help: self.help,
            source,
        }
    }
}

/// The last lines of what a program said.
fn end_of(output: &Output) -> String {
    const LINES_MAX: usize = 60;
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(LINES_MAX)..].join("\n")
}
