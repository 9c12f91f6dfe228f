//! What stops a task, and what to do about it.

use std::path::PathBuf;

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A program ended badly.
    #[error("`{command}` failed ({status}){}", indented(output))]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said, where that was not shown already.
        output: String,
    },
    /// A program is not there.
    #[error("`{program}` cannot be started: {source}; {help}")]
    Missing {
        /// The program.
        program: String,
        /// Where to get it.
        help: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
    /// A file or folder could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried, as in "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Text is not in the form it should be in.
    #[error("cannot understand {what}: {reason}")]
    Form {
        /// The text.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A check found something.
    #[error("{check}:{}", listed(findings))]
    Found {
        /// The check.
        check: &'static str,
        /// What it found, one line each.
        findings: Vec<String>,
    },
    /// Steps of a task failed; each has been reported already.
    #[error("{} failed", steps.join(", "))]
    Steps {
        /// The names of the steps.
        steps: Vec<String>,
    },
}

fn indented(output: &str) -> String {
    match output.trim() {
        "" => String::new(),
        text => format!(":\n    {}", text.replace('\n', "\n    ")),
    }
}

fn listed(findings: &[String]) -> String {
    findings
        .iter()
        .map(|line| format!("\n  - {line}"))
        .collect()
}

impl Failure {
    /// Makes the mapper of an I/O error at a path.
    pub fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }

    /// Text that is not in the form it should be in.
    pub fn form(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Form {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}
