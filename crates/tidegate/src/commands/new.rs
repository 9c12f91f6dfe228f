//! `tidegate new`: writes an example project into a new folder.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::arguments::New;
use crate::context::Context;
use crate::examples::{self, Example};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::style;

/// Runs the command.
///
/// # Errors
/// When the folder holds something already, or cannot be written.
pub fn run(arguments: &New, context: &Context) -> Result<Exit, Failure> {
    let example = arguments.example.unwrap_or(Example::Minimal);
    let folder = arguments
        .folder
        .clone()
        .unwrap_or_else(|| PathBuf::from(example.name()));
    refuse_occupied(&folder)?;
    let mut written = example.write(&folder)?;
    if example == Example::Minimal {
        name_project(&folder)?;
    }
    examples::write_file(
        &folder.join(".gitignore"),
        b"# Tables, run history and whatever else Tidegate makes.\n/.tidegate/\n",
    )?;
    written.push(PathBuf::from(".gitignore"));
    written.sort();
    let screen = context.screen();
    let mut out = screen.out();
    writeln!(
        out,
        "made {} from the example `{}`:",
        folder.display(),
        example.name()
    )?;
    for path in written {
        writeln!(out, "  {}", path.display())?;
    }
    writeln!(out, "\nnext:")?;
    for (command, what) in next_steps(example) {
        let line = if command == "cd" {
            format!("cd {}", folder.display())
        } else {
            command.to_owned()
        };
        writeln!(
            out,
            "  {}  {what}",
            screen.paint(style::HELP, &format!("{line:<44}"))
        )?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// A new project is made in a folder that is empty or not there yet.
fn refuse_occupied(folder: &Path) -> Result<(), Failure> {
    if folder.is_file() {
        return Err(Failure::usage(
            format!("{} is a file", folder.display()),
            "give the name of a folder that is not there yet",
        ));
    }
    let occupied = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(source) => return Err(Failure::file("looking into", folder, source)),
    };
    if occupied {
        return Err(Failure::usage(
            format!("{} is not empty; nothing was written", folder.display()),
            "give the name of a folder that is not there yet",
        ));
    }
    Ok(())
}

/// A project of one's own bears the name of its folder.
fn name_project(folder: &Path) -> Result<(), Failure> {
    let path = folder.join("tidegate.toml");
    let text =
        std::fs::read_to_string(&path).map_err(|source| Failure::file("reading", &path, source))?;
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let Some(name) = absolute
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
    else {
        return Ok(());
    };
    let named = text.replace(
        "name = \"minimal\"",
        &format!("name = {}", toml::Value::String(name)),
    );
    examples::write_file(&path, named.as_bytes())
}

fn next_steps(example: Example) -> Vec<(&'static str, &'static str)> {
    let mut steps = vec![
        ("cd", ""),
        ("tidegate run", "read the files, keep the bad rows out"),
    ];
    steps.extend(match example {
        Example::Minimal => [
            (
                "tidegate quarantine show orders",
                "the rows that were kept out, and why",
            ),
            (
                "tidegate query \"SELECT * FROM orders_daily\"",
                "the report made of the good ones",
            ),
        ],
        Example::Payments => [
            (
                "tidegate quarantine show payments",
                "the rows that were kept out, and why",
            ),
            ("tidegate shell", "ask questions in SQL"),
        ],
        Example::Nexmark => [
            (
                "cp -R arrivals/1/. landing/",
                "the first lot; README.md has all five",
            ),
            ("tidegate run", "each lot goes on where the last one ended"),
        ],
        Example::Anomalies => [
            (
                "tidegate query \"SELECT * FROM found\"",
                "what was found, and what was not",
            ),
            ("tidegate shell", "ask questions in SQL"),
        ],
        Example::Fraud => [
            (
                "tidegate demo --payments 10000 | tidegate push payments",
                "payments into the topic",
            ),
            (
                "tidegate run --continuous",
                "follow it; `tidegate streams --watch` shows how it stands",
            ),
        ],
        Example::Hospital | Example::Beers => [
            (
                "tidegate quarantine list",
                "how many rows were kept out, and why",
            ),
            ("tidegate test", "its tests"),
        ],
    });
    steps
}
