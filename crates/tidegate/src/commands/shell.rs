//! `tidegate shell`: a SQL prompt. Statements end with `;`, lines that begin with `\` are commands of the shell.
//!
//! The line editor knows history and completion ([`helper`]); what is typed is read by [`Input`]; the rest is the same
//! path as `tidegate query`.

mod helper;
mod input;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{CompletionType, Config, Editor};
use tidegate_pipeline::Workspace;
use tokio::runtime::Runtime;

use crate::commands::query::{self, Style};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::grid::{Grid, Heading};
use crate::terminal::{Screen, style};

use helper::{Names, ShellHelper};
use input::Input;

const HELP: &str = "\
  SELECT …;      a query; it may go over several lines, until the ;
  \\d             the tables
  \\d TABLE       the columns of a table
  \\x             each field on its own line, or not
  \\timing        show how long a query took, or not
  \\?             this help
  \\q             leave (also Ctrl-D)
  Tab completes tables, columns and keywords; the arrow keys walk through what was typed before.";

/// Lines of history that are kept.
const HISTORY: usize = 10_000;

type LineEditor = Editor<ShellHelper, DefaultHistory>;

/// Runs the command.
///
/// # Errors
/// When the project has mistakes, or the terminal cannot be used. A failing query is shown, and the shell goes on.
pub fn run(context: &Context) -> Result<Exit, Failure> {
    let runtime = context.runtime()?;
    let workspace = context.open_or_adhoc()?;
    let names = runtime.block_on(names(&workspace));
    let history = history_file(context);
    let mut editor = editor(names, context.screen(), history.as_ref())?;
    let mut shell = Shell {
        context,
        runtime,
        workspace,
        timing: true,
        expanded: false,
    };
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        let mut out = context.screen().out();
        writeln!(
            out,
            "tidegate {}: \\? for help, \\d for the tables, \\q to leave",
            env!("CARGO_PKG_VERSION")
        )?;
        out.flush()?;
    }
    let outcome = shell.converse(&mut editor);
    if let Some(path) = history {
        // History is a comfort; a folder that cannot be written does not spoil the session.
        let _ = editor.save_history(&path);
    }
    outcome
}

struct Shell<'a> {
    context: &'a Context,
    runtime: Runtime,
    workspace: Workspace,
    timing: bool,
    expanded: bool,
}

impl Shell<'_> {
    fn converse(&mut self, editor: &mut LineEditor) -> Result<Exit, Failure> {
        loop {
            let typed = match editor.readline("tidegate> ") {
                Ok(typed) => typed,
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return Ok(Exit::Done),
                Err(ReadlineError::Io(error)) => return Err(Failure::Output(error)),
                Err(error) => {
                    return Err(Failure::usage(
                        error.to_string(),
                        "use `tidegate query` in scripts",
                    ));
                }
            };
            if !typed.trim().is_empty() {
                // As above: without history the shell still works.
                let _ = editor.add_history_entry(typed.trim());
            }
            match Input::read(&typed) {
                Input::Nothing => {}
                Input::Leave => return Ok(Exit::Done),
                Input::Unknown(command) => {
                    self.screen()
                        .error(&format!("there is no command `\\{command}`"));
                    self.screen().help("\\? lists the commands");
                }
                Input::Help => self.print(HELP)?,
                Input::Expanded => {
                    self.expanded = !self.expanded;
                    self.print(if self.expanded {
                        "each field on its own line"
                    } else {
                        "rows as a grid"
                    })?;
                }
                Input::Timing => {
                    self.timing = !self.timing;
                    self.print(if self.timing {
                        "timing is on"
                    } else {
                        "timing is off"
                    })?;
                }
                Input::Describe(table) => self.describe(table)?,
                Input::Statements(statements) => {
                    for statement in statements {
                        self.ask(&statement)?;
                    }
                }
            }
        }
    }

    fn screen(&self) -> &Screen {
        self.context.screen()
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.screen().out();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Runs one query; Ctrl-C ends the query, not the shell.
    fn ask(&self, sql: &str) -> Result<(), Failure> {
        let started = Instant::now();
        let style = if self.expanded {
            Style::Expanded
        } else {
            Style::Grid
        };
        let outcome = self.runtime.block_on(async {
            let work = async {
                let result = query::ask(&self.workspace, sql).await?;
                query::print(result, style, None, self.screen()).await
            };
            tokio::select! {
                outcome = work => outcome,
                _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
            }
        });
        match outcome {
            Ok(printed) if printed.more => {
                self.screen().remark(&format!(
                    "the first {} rows; LIMIT says how many you want, `tidegate query --limit 0` prints all",
                    query::TABLE_ROWS
                ));
                Ok(())
            }
            Ok(printed) => {
                self.screen()
                    .remark(&printed.remark(self.timing.then_some(started)));
                Ok(())
            }
            Err(Failure::Output(error)) => Err(Failure::Output(error)),
            Err(failure) => {
                failure.report(self.context);
                Ok(())
            }
        }
    }

    fn describe(&self, table: Option<String>) -> Result<(), Failure> {
        let Some(table) = table else {
            let mut names = self.workspace.names();
            names.sort();
            return self
                .print(
                    if names.is_empty() {
                        "no tables here; files can be queried by path"
                    } else {
                        ""
                    }
                    .trim(),
                )
                .and_then(|()| {
                    names
                        .iter()
                        .try_for_each(|name| self.print(&format!("  {name}")))
                });
        };
        match self.runtime.block_on(self.workspace.describe(&table)) {
            Ok(schema) => {
                let mut grid = Grid::new(vec![
                    Heading::left("column"),
                    Heading::left("type"),
                    Heading::left(""),
                ]);
                grid.rows.extend(schema.fields().iter().map(|field| {
                    let null = if field.is_nullable() { "" } else { "NOT NULL" };
                    vec![
                        field.name().clone(),
                        helper::type_name(field.data_type()),
                        null.to_owned(),
                    ]
                }));
                self.print(grid.draw_open(self.screen().width()).trim_end())
            }
            Err(error) => {
                Failure::in_workspace(&self.workspace, error).report(self.context);
                Ok(())
            }
        }
    }
}

async fn names(workspace: &Workspace) -> Names {
    let mut names = Names::default();
    for table in workspace.names() {
        // A table that was never refreshed may have no columns yet; its name still completes.
        let columns = match workspace.describe(&table).await {
            Ok(schema) => schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            Err(_) => Vec::new(),
        };
        names.add(table, columns);
    }
    names
}

fn editor(names: Names, screen: &Screen, history: Option<&PathBuf>) -> Result<LineEditor, Failure> {
    let config = Config::builder()
        .max_history_size(HISTORY)
        .and_then(|config| config.history_ignore_dups(true))
        .map(|config| {
            config
                .history_ignore_space(true)
                .completion_type(CompletionType::List)
                .build()
        })
        .map_err(terminal)?;
    let mut editor = LineEditor::with_config(config).map_err(terminal)?;
    let prompt = screen.paint(style::HELP, "tidegate> ");
    editor.set_helper(Some(ShellHelper::new(names, prompt, screen.colour_out())));
    if let Some(path) = history {
        // There is none the first time.
        let _ = editor.load_history(path);
    }
    Ok(editor)
}

fn terminal(error: ReadlineError) -> Failure {
    Failure::usage(
        format!("the terminal cannot be used: {error}"),
        "use `tidegate query` in scripts",
    )
}

/// Beside the project's own records; none without a project.
fn history_file(context: &Context) -> Option<PathBuf> {
    let folder = context.project_folder().ok()?.join(".tidegate");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("shell-history"))
}
