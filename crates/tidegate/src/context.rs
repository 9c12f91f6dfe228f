//! What commands share: the project's folder, the screen, and a runtime that is built only when a command needs one.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate_pipeline::{OpenOptions, Workspace};
use tokio::runtime::Runtime;

use crate::arguments::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::Screen;

/// The files that make a folder a project.
const PROJECT_FILES: [&str; 3] = ["tidegate.toml", "spark-pipeline.yml", "spark-pipeline.yaml"];

/// The global options and what follows from them.
#[derive(Debug)]
pub struct Context {
    global: Global,
    screen: Screen,
}

impl Context {
    /// Takes the global options and starts logging where it was asked for.
    pub fn new(global: Global) -> Self {
        let screen = Screen::new(global.color);
        start_logging(global.verbose, screen.colour_err());
        Self { global, screen }
    }

    /// Stdout and stderr.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Whether progress is drawn: on a terminal, and not in between log lines.
    pub fn shows_progress(&self) -> bool {
        self.screen.stderr_is_terminal() && self.global.verbose == 0
    }

    /// How a workspace is opened.
    pub fn open_options(&self) -> OpenOptions {
        OpenOptions {
            warehouse: self.global.warehouse.clone(),
            threads: self.global.threads,
            memory_bytes: self.global.memory,
        }
    }

    /// The project's folder: the one that was given, or the nearest upward.
    ///
    /// # Errors
    /// When there is none.
    pub fn project_folder(&self) -> Result<PathBuf, Failure> {
        match &self.global.project {
            Some(folder) if is_project(folder) => Ok(folder.clone()),
            Some(folder) => Err(Failure::usage(
                if folder.is_dir() {
                    format!(
                        "no project in {}: it has neither tidegate.toml nor spark-pipeline.yml",
                        folder.display()
                    )
                } else {
                    format!(
                        "no project in {}: there is no such folder",
                        folder.display()
                    )
                },
                format!("make one with `tidegate new {}`", folder.display()),
            )),
            None => {
                let here = current_folder()?;
                here.ancestors().find(|folder| is_project(folder)).map(Path::to_path_buf).ok_or_else(|| {
                    Failure::usage(
                        format!(
                            "no project here: neither {} nor a folder above it has tidegate.toml or spark-pipeline.yml",
                            here.display()
                        ),
                        "make one with `tidegate new shop`, say where it is with `-C DIR`, or see `tidegate demo`",
                    )
                })
            }
        }
    }

    /// Opens the project.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(&self) -> Result<Workspace, Failure> {
        self.open_in(&self.project_folder()?)
    }

    /// Opens the project in a folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_in(&self, folder: &Path) -> Result<Workspace, Failure> {
        Ok(Workspace::open(folder, &self.open_options())?)
    }

    /// Opens the project if there is one, and otherwise a workspace without one: files can be queried anywhere.
    ///
    /// # Errors
    /// When `-C` names a folder without a project.
    pub fn open_or_adhoc(&self) -> Result<Workspace, Failure> {
        match self.project_folder() {
            Ok(folder) => self.open_in(&folder),
            Err(failure) if self.global.project.is_some() => Err(failure),
            Err(_) => Ok(Workspace::adhoc(&current_folder()?, &self.open_options())),
        }
    }

    /// Runs a command's work to its end. Ctrl-C ends it at once; nothing is half-written, since only commits count.
    ///
    /// # Errors
    /// The work's own, or that it was interrupted.
    pub fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let runtime = self.runtime()?;
        let outcome = runtime.block_on(async {
            tokio::select! {
                outcome = work => outcome,
                _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
            }
        });
        runtime.shutdown_timeout(Duration::from_millis(100));
        outcome
    }

    /// Runs work that can stop cleanly: the first Ctrl-C calls `stop` and waits, the second ends the process at once.
    ///
    /// # Errors
    /// The work's own.
    pub fn block_on_stoppable<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
        stop: impl Fn() + Send + 'static,
    ) -> Result<T, Failure> {
        let runtime = self.runtime()?;
        let screen = self.screen.clone();
        let outcome = runtime.block_on(async {
            let listener = tokio::spawn(async move {
                let asked = AtomicBool::new(false);
                while tokio::signal::ctrl_c().await.is_ok() {
                    if asked.swap(true, Ordering::Relaxed) {
                        std::process::exit(i32::from(Exit::Interrupted.number()));
                    }
                    stop();
                    screen.warning(
                        "stopping; what is committed stays. Press Ctrl-C again to leave at once",
                    );
                }
            });
            let outcome = work.await;
            listener.abort();
            outcome
        });
        runtime.shutdown_timeout(Duration::from_millis(100));
        outcome
    }

    /// A runtime with a worker a core.
    ///
    /// # Errors
    /// When the machine gives no threads.
    pub fn runtime(&self) -> Result<Runtime, Failure> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        if let Some(threads) = self.global.threads {
            builder.worker_threads(threads.max(1));
        }
        builder
            .enable_all()
            .thread_name("tidegate")
            .build()
            .map_err(|source| Failure::file("starting", Path::new("worker threads"), source))
    }
}

fn current_folder() -> Result<PathBuf, Failure> {
    std::env::current_dir()
        .map_err(|source| Failure::file("finding", Path::new("the current folder"), source))
}

fn is_project(folder: &Path) -> bool {
    PROJECT_FILES.iter().any(|name| folder.join(name).is_file())
}

/// Logs go to stderr: only with `-v`, or as `TIDEGATE_LOG` says in the language of `tracing`'s filters.
fn start_logging(verbose: u8, colour: bool) {
    let asked = std::env::var("TIDEGATE_LOG")
        .ok()
        .filter(|filter| !filter.is_empty());
    if verbose == 0 && asked.is_none() {
        return;
    }
    let level = if verbose > 1 { "trace" } else { "debug" };
    let rooms = "tidegate={l},tidegate_project={l},tidegate_store={l},tidegate_connect={l},tidegate_gate={l},\
                 tidegate_lake={l},tidegate_engine={l},tidegate_pipeline={l},warn";
    let filter = asked.unwrap_or_else(|| rooms.replace("{l}", level));
    // A second subscriber in one process (in tests) is no reason to stop.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .try_init();
}
