//! Why a command did not do what it was asked, how that is shown, and which exit code it has.
//!
//! Mistakes in a project's text are drawn by `tidegate-project`, as rustc does; everything else is one sentence after
//! `error:` and, where there is something to do about it, one after `help:`.

use std::io;
use std::path::{Path, PathBuf};

use tidegate_connect::ConnectError;
use tidegate_engine::EngineError;
use tidegate_lake::LakeErrorKind;
use tidegate_pipeline::{PipelineError, Workspace};
use tidegate_project::{Diagnostic, SourceMap};
use tidegate_store::{StoreError, StoreErrorKind};

use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::style;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The pipeline refused or failed.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A file or folder of the machine could not be used.
    #[error("{action} {}: {source}", .path.display())]
    File {
        /// What was tried, such as `writing`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("writing the output: {0}")]
    Output(#[from] io::Error),
    /// The run history could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A result could not be turned into text.
    #[error("writing the rows: {0}")]
    Rows(#[from] arrow::error::ArrowError),
    /// Something could not be written as JSON.
    #[error("writing JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The command line asks for something that cannot be.
    #[error("{message}")]
    Usage {
        /// A plain sentence.
        message: String,
        /// What to do instead.
        help: Option<String>,
    },
    /// The project, or a query, has mistakes that can be shown in their own text.
    #[error("{}", mistakes(.diagnostics))]
    Mistakes {
        /// The mistakes.
        diagnostics: Vec<Diagnostic>,
        /// The texts that they point into.
        files: Box<SourceMap>,
    },
    /// The user interrupted it.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// A mistake of the command line, with what to do instead.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            help: Some(help.into()),
        }
    }

    /// A failure of the file system.
    pub fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    /// A failure of an open workspace, whose texts are at hand.
    pub fn in_workspace(workspace: &Workspace, error: PipelineError) -> Self {
        match error {
            PipelineError::Diagnostics(diagnostics) => Self::Mistakes {
                diagnostics,
                files: Box::new(workspace.files().clone()),
            },
            PipelineError::Query { diagnostics, files } => Self::Mistakes { diagnostics, files },
            other => Self::Pipeline(other),
        }
    }

    /// Shows it on stderr and says which exit code it has. A reader that went away (`| head`) is no failure.
    pub fn report(self, context: &Context) -> Exit {
        if self.is_broken_pipe() {
            return Exit::Done;
        }
        let exit = self.exit();
        if let Self::Interrupted = self {
            return exit;
        }
        let screen = context.screen();
        if let Self::Mistakes { diagnostics, files } = &self {
            screen.diagnostics(diagnostics, files);
            return exit;
        }
        screen.error(&self.to_string());
        if let Some(help) = self.help() {
            screen.help(&help);
        }
        exit
    }

    fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Rows(arrow::error::ArrowError::IoError(_, error)) => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            Self::Json(error) => error.io_error_kind() == Some(io::ErrorKind::BrokenPipe),
            _ => false,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::Mistakes { .. } => Exit::Usage,
            Self::Interrupted => Exit::Interrupted,
            Self::Pipeline(error) => pipeline_exit(error),
            Self::Store(error) => store_exit(error),
            Self::File { .. } | Self::Output(_) | Self::Rows(_) | Self::Json(_) => Exit::Machine,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Usage { help, .. } => help.clone(),
            _ => None,
        }
    }
}

fn mistakes(diagnostics: &[Diagnostic]) -> String {
    match diagnostics {
        [] => "the project has mistakes".to_owned(),
        [one] => one.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
    }
}

/// By who can do something about it: whoever wrote the command or the project, whoever sent the data, or the machine.
fn pipeline_exit(error: &PipelineError) -> Exit {
    match error {
        PipelineError::Cancelled => Exit::Interrupted,
        PipelineError::Diagnostics(_)
        | PipelineError::Query { .. }
        | PipelineError::NoProject { .. }
        | PipelineError::UnknownTable { .. }
        | PipelineError::Request(_) => Exit::Usage,
        PipelineError::FailUpdate { .. }
        | PipelineError::QuarantineLimit { .. }
        | PipelineError::NotAppendOnly { .. }
        | PipelineError::Execution(_)
        | PipelineError::Engine(EngineError::Value { .. }) => Exit::Data,
        PipelineError::Engine(EngineError::Setting { .. }) => Exit::Usage,
        PipelineError::Connect(ConnectError::Missing { .. }) => Exit::Usage,
        PipelineError::Connect(error) if error.kind() == tidegate_connect::ErrorKind::FixInput => {
            Exit::Data
        }
        PipelineError::Lake(error) if error.kind() == LakeErrorKind::FixInput => Exit::Usage,
        PipelineError::Store(error) => store_exit(error),
        _ => Exit::Machine,
    }
}

fn store_exit(error: &StoreError) -> Exit {
    match error.kind() {
        StoreErrorKind::Input => Exit::Usage,
        StoreErrorKind::Retry | StoreErrorKind::Resource | StoreErrorKind::Bug => Exit::Machine,
    }
}

/// Shows what clap says about the command line: help and version on stdout, mistakes on stderr.
pub fn usage(stop: &clap::Error) -> Exit {
    // A reader that went away does not matter here.
    let _ = stop.print();
    if stop.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

/// A panic is always a bug of Tidegate: says so in plain words, and what to send. The technical lines follow.
pub fn install_panic_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let bold = style::ERROR;
        eprintln!(
            "{bold}error{bold:#}: this is a bug in tidegate {}, not in your data. No table was left half-written: what \
             was not committed does not count, and the run can be started again.",
            env!("CARGO_PKG_VERSION")
        );
        eprintln!("help: please report it with the command you gave and these lines:");
        before(panic);
    }));
}
