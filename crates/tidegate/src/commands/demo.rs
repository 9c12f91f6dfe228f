//! `tidegate demo`: the whole way of a row in a minute. Makes the payments example with fresh dirty data, checks it, runs
//! it twice, shows what was kept out and why, and scores the run against the truth about its data. Then the same live
//! ([`live`]).
//!
//! The folder is the demo's own: what somebody else put there, or changed, is never overwritten ([`folder`]).

mod folder;
mod live;
mod score;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_pipeline::{CancelToken, UpdateRequest, Workspace};

use crate::arguments::{Demo, QuarantineShow, RowFormat};
use crate::commands::quarantine::show;
use crate::commands::query::{self, Style};
use crate::commands::run;
use crate::context::Context;
use crate::examples;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::payments::{self, Made, Order};
use crate::terminal::{number, style};

/// Files that the payments are spread over.
const FILES: u64 = 4;
/// Quarantined rows shown.
const SHOWN: u64 = 3;

const QUERY: &str =
    "SELECT currency, count(*) AS payments, sum(amount) AS revenue, max(amount) AS largest
FROM payments GROUP BY currency ORDER BY revenue DESC LIMIT 5";

/// Runs the command.
///
/// # Errors
/// When the folder is not the demo's own, or the machine fails.
pub fn run(arguments: &Demo, context: &Context) -> Result<Exit, Failure> {
    if let Some(rows) = arguments.payments {
        live::produce(rows, arguments.seed, arguments.rate, context)?;
        return Ok(Exit::Done);
    }
    match &arguments.generate {
        Some(prefix) => generate(arguments, prefix, context),
        None => demonstrate(arguments, context),
    }
}

fn generate(arguments: &Demo, prefix: &Path, context: &Context) -> Result<Exit, Failure> {
    let order = order(arguments, 1);
    let extension = if order.jsonl { "jsonl" } else { "csv" };
    let (data, truth) = (with_end(prefix, extension), with_end(prefix, "truth.csv"));
    let made = payments::make_file(&order, &data, &truth)
        .map_err(|source| Failure::file("writing payments to", &data, source))?;
    let mut out = context.screen().out();
    writeln!(out, "{}", said(&made))?;
    writeln!(out, "  {}\n  {}", data.display(), truth.display())?;
    out.flush()?;
    Ok(Exit::Done)
}

/// `data/p1m` → `data/p1m.csv`, also where the prefix has a dot.
fn with_end(prefix: &Path, end: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

fn order(arguments: &Demo, files: u64) -> Order {
    Order {
        rows: arguments.rows,
        seed: arguments.seed,
        bad: arguments.bad,
        files,
        jsonl: arguments.jsonl,
    }
}

fn said(made: &Made) -> String {
    format!(
        "{} of dirty payments, {} of them bad ({})",
        number::counted(made.rows, "row"),
        number::count(made.bad),
        number::bytes(made.bytes)
    )
}

fn demonstrate(arguments: &Demo, context: &Context) -> Result<Exit, Failure> {
    let root = &arguments.folder;
    folder::prepare(root)?;
    let (made, data) = examples::write_payments(&order(arguments, FILES), root)?;
    let mut written = examples::Example::Payments.write_files(root)?;
    written.extend(data);
    if !arguments.no_live {
        let live = examples::Example::Fraud.write_files(&root.join(live::FOLDER))?;
        written.extend(
            live.into_iter()
                .map(|inside| Path::new(live::FOLDER).join(inside)),
        );
    }
    folder::mark(root, &written)?;
    let tale = Tale {
        context,
        step: AtomicU32::new(0),
    };
    tale.step(&format!("A project in {}", root.display()))?;
    tale.say(&format!(
        "{}, in {FILES} files in landing/payments.",
        said(&made)
    ))?;
    tale.say("What a payment must be is written in tables/payments.sql; reports are in tables/reports.sql.")?;

    let cancel = CancelToken::default();
    let stop = cancel.clone();
    let work = async {
        let workspace = context.open_in(root)?;
        check(&workspace, &tale).await?;
        let outcome = runs(&workspace, &tale, &cancel).await?;
        if outcome != Exit::Done {
            return Ok(outcome);
        }
        sample(&workspace, &tale).await?;
        ask(&workspace, &tale).await?;
        let score = score::score(&workspace, &made).await?;
        tale.step("Was everything found? The data came with the truth about it, which the run did not see")?;
        tale.print(&score.draw(context.screen()))?;
        let live = match arguments.no_live {
            true => true,
            false => live::run(root, context, &tale, &cancel).await?,
        };
        let exit = if score.is_perfect() && live {
            Exit::Done
        } else {
            Exit::Data
        };
        next(root, &tale)?;
        Ok(exit)
    };
    context.block_on_stoppable(work, move || stop.cancel())
}

async fn check(workspace: &Workspace, tale: &Tale<'_>) -> Result<(), Failure> {
    tale.command(
        "Check it: names, types, cycles, without reading data",
        "tidegate check",
    )?;
    let checked = workspace
        .check()
        .await
        .map_err(|error| Failure::in_workspace(workspace, error))?;
    let mistakes = checked
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    if mistakes > 0 {
        return Err(Failure::Mistakes {
            diagnostics: checked.diagnostics,
            files: Box::new(workspace.files().clone()),
        });
    }
    tale.say(&format!(
        "No mistakes: {}.",
        number::counted(checked.tables.len() as u64, "table")
    ))
}

async fn runs(
    workspace: &Workspace,
    tale: &Tale<'_>,
    cancel: &CancelToken,
) -> Result<Exit, Failure> {
    tale.command(
        "Run it: good rows land in tables, bad rows in quarantine",
        "tidegate run",
    )?;
    let request = UpdateRequest::default();
    let first = run::update(workspace, &request, tale.context, cancel.clone()).await?;
    tale.print(&run::draw(&first, tale.context.screen()))?;
    if run::exit(&first) != Exit::Done {
        return Ok(run::exit(&first));
    }
    tale.command(
        "Run it again: every file was read already, so nothing is read twice",
        "tidegate run",
    )?;
    let second = run::update(workspace, &request, tale.context, cancel.clone()).await?;
    tale.print(&run::draw(&second, tale.context.screen()))?;
    Ok(run::exit(&second))
}

async fn sample(workspace: &Workspace, tale: &Tale<'_>) -> Result<(), Failure> {
    let command = format!("tidegate quarantine show payments --limit {SHOWN}");
    tale.command(
        "See what was kept out: the row as written, its place, every reason",
        &command,
    )?;
    let format = RowFormat {
        json: false,
        csv: false,
    };
    let arguments = QuarantineShow {
        table: "payments".to_owned(),
        filter: None,
        limit: Some(SHOWN),
        format,
    };
    let (held, _) = show::held(workspace, &arguments, SHOWN).await?;
    for row in &held {
        tale.print(&show::draw(
            row,
            &workspace.project().root,
            tale.context.screen(),
        ))?;
    }
    Ok(())
}

async fn ask(workspace: &Workspace, tale: &Tale<'_>) -> Result<(), Failure> {
    tale.command("Ask in SQL", &format!("tidegate query \"{QUERY}\""))?;
    let result = query::ask(workspace, QUERY).await?;
    query::print(result, Style::Grid, None, tale.context.screen()).await?;
    Ok(())
}

fn next(root: &Path, tale: &Tale<'_>) -> Result<(), Failure> {
    let screen = tale.context.screen();
    let mut text = String::from("\nNow try:\n");
    for (what, command) in [
        ("go there", format!("cd {}", root.display())),
        ("ask more; \\? helps", "tidegate shell".to_owned()),
        ("count the reasons", "tidegate quarantine list".to_owned()),
        (
            "mend rows",
            "tidegate quarantine retry payments --set \"amount = regexp_replace(amount, ' EUR$', '')\"".to_owned(),
        ),
        ("ask where a number comes from", "tidegate lineage currency_daily.revenue".to_owned()),
        ("make a page about the data", "tidegate profile payments --html payments.html".to_owned()),
        ("run the example's tests", "tidegate test".to_owned()),
    ] {
        text += &format!("  {what:<30} {}\n", screen.paint(style::HELP, &command));
    }
    tale.print(&text)
}

/// Tells step by step what is done, with the command that does the same.
struct Tale<'a> {
    context: &'a Context,
    step: AtomicU32,
}

impl Tale<'_> {
    fn step(&self, title: &str) -> Result<(), Failure> {
        let number = self.step.fetch_add(1, Ordering::Relaxed) + 1;
        let lead = if number == 1 { "" } else { "\n" };
        self.print(&format!(
            "{lead}{}\n",
            self.context
                .screen()
                .paint(style::HEADING, &format!("{number}. {title}"))
        ))
    }

    fn command(&self, title: &str, command: &str) -> Result<(), Failure> {
        self.step(title)?;
        let shown = format!("$ {}", command.replace('\n', "\n  "));
        self.print(&format!(
            "{}\n\n",
            self.context.screen().paint(style::HELP, &shown)
        ))
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        self.print(&format!("{text}\n"))
    }

    fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = self.context.screen().out();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }
}
