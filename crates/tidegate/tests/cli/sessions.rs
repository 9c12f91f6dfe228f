//! Sessions as data: `tests/projects/NAME/session.txt` is what a user types and sees.
//!
//! A line `$ …` is given to the shell in a copy of the project; what follows, up to the next `$`, is what must appear
//! (stdout and stderr together), and `[exit N]` stands at the end when N is not 0. Times, rates and ids are made alike
//! first ([`plain`]). `UPDATE=1 cargo test` writes the files anew.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;

use crate::scratch::Scratch;

#[test]
fn every_session_goes_as_written() {
    let projects = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects");
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(&projects).unwrap() {
        let folder = entry.unwrap().path();
        let file = folder.join("session.txt");
        let Ok(wanted) = std::fs::read_to_string(&file) else {
            continue;
        };
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let seen = replay(&name, &wanted);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &seen).unwrap();
        } else if seen != wanted {
            failed.push(format!(
                "{}: run with UPDATE=1 to accept\n{}",
                file.display(),
                differences(&wanted, &seen)
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Types every command of the session, and writes down what is seen.
fn replay(name: &str, session: &str) -> String {
    let scratch = Scratch::copy_of(name);
    let mut seen = String::new();
    for line in session.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            seen += &format!("#{comment}\n");
        }
        let Some(typed) = line.strip_prefix("$ ") else {
            continue;
        };
        let binary = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
        let path = format!(
            "{}:{}",
            binary.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1\n{typed}")])
            .current_dir(scratch.path())
            .env("PATH", path)
            .env("RUST_BACKTRACE", "0")
            .env_remove("TIDEGATE_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = plain(&String::from_utf8_lossy(&output.stdout), scratch.path());
        seen += &format!("$ {typed}\n{text}");
        match output.status.code() {
            Some(0) => {}
            Some(code) => seen += &format!("[exit {code}]\n"),
            None => seen += "[killed]\n",
        }
        seen.push('\n');
    }
    seen
}

/// The text without what differs from run to run: times, rates, ids, the temporary folder; and without the widths that
/// depend on them.
fn plain(text: &str, folder: &Path) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rule = |pattern, with| (Regex::new(pattern).unwrap(), with);
        vec![
            rule(
                r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?( UTC)?\b",
                "MOMENT",
            ),
            rule(r"\b\d+(\.\d+)? (ms|s|min \d+ s|h \d+ min)\b", "TIME"),
            rule(r"\b[\d.]+[kMG]? rows/s", "RATE rows/s"),
            rule(
                r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
                "RUN",
            ),
            rule(r"\b(run|runs) [0-9a-f]{8}\b", "$1 RUN"),
            rule(r"(?m)^ ?[0-9a-f]{8} ", "RUN "),
            rule(r" {2,}", "  "),
            rule(r"─{2,}", "──"),
            rule(r"(?m) +$", ""),
        ]
    });
    let mut text = text.replace(
        &folder.canonicalize().unwrap().display().to_string(),
        "FOLDER",
    );
    text = text.replace(&folder.display().to_string(), "FOLDER");
    for (pattern, with) in RULES.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The lines from the first that differs on.
fn differences(wanted: &str, seen: &str) -> String {
    let same = wanted
        .lines()
        .zip(seen.lines())
        .take_while(|(one, other)| one == other)
        .count();
    let from = |text: &str, mark: char| -> String {
        text.lines()
            .skip(same.saturating_sub(2))
            .take(14)
            .map(|line| format!("{mark} {line}\n"))
            .collect()
    };
    format!(
        "line {}:\n{}{}",
        same + 1,
        from(wanted, '-'),
        from(seen, '+')
    )
}
