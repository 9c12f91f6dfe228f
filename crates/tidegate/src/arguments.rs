//! The command line, declared once: parser, help and completions come from here.
//!
//! Help is where most people learn a tool, so every command carries an example. What the commands do
//! is in [`crate::commands`].

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::examples::Example;
use crate::exit;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
First steps:
  tidegate demo                     see it work on dirty payments, in one minute
  tidegate new shop && cd shop      start a project of your own
  tidegate run                      read what is new, keep the bad rows out
  tidegate quarantine show orders   see the bad rows, each with every reason";

/// Keeps bad rows out, lets good data flow, and says why.
///
/// A project is a folder: tidegate.toml, tables in tables/*.sql, tests in tests/*.toml. A table
/// declares what its rows must be; rows that are not go to its quarantine with every reason, and the
/// good ones do not wait for them.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    styles = STYLES,
    max_term_width = 100,
    after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{}", exit::HELP),
    disable_help_subcommand = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The project's folder [default: the nearest one with tidegate.toml or spark-pipeline.yml, from
    /// here upward]
    #[arg(
        short = 'C',
        long = "project",
        value_name = "DIR",
        global = true,
        help_heading = "Global options"
    )]
    pub project: Option<PathBuf>,
    /// Colour: auto is on a terminal only, and not where NO_COLOR is set
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        global = true,
        help_heading = "Global options"
    )]
    pub color: Colour,
    /// Say what is going on inside, on stderr; twice for more
    #[arg(short, long, action = clap::ArgAction::Count, global = true, help_heading = "Global options")]
    pub verbose: u8,
    /// Put the tables in this folder or URL, whatever the project says
    #[arg(
        long,
        value_name = "URL",
        global = true,
        help_heading = "Global options",
        hide_short_help = true
    )]
    pub warehouse: Option<String>,
    /// Worker threads [default: the project's, else one a core]
    #[arg(
        long,
        value_name = "N",
        global = true,
        help_heading = "Global options",
        hide_short_help = true
    )]
    pub threads: Option<usize>,
    /// Memory for queries and keys, such as 512MB or 4GB [default: the project's]
    #[arg(long, value_name = "SIZE", global = true, help_heading = "Global options", hide_short_help = true, value_parser = parse_bytes)]
    pub memory: Option<u64>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal.
    Auto,
    /// Into files and pipes, too.
    Always,
    /// Not at all.
    Never,
}

/// The commands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new project, empty or from an example
    #[command(after_help = "\
Examples:
  tidegate new shop                      a small project in ./shop, ready to run
  tidegate new --example hospital        an example on real dirty data, in ./hospital")]
    New(New),
    /// Find every mistake in the project, without reading any data
    #[command(after_help = "\
Examples:
  tidegate check                         names, types, cycles, expectations: all at once
  tidegate check --json | jq '.diagnostics[].message'")]
    Check(Check),
    /// Refresh tables: read what is new, judge every row, commit
    #[command(after_help = "\
Each file is read once: what an earlier run has seen is not read again. Bad rows go to
<table>__quarantine, good rows do not wait for them. A run that is killed can be started
again: nothing is lost, nothing comes twice.

Examples:
  tidegate run                           all tables
  tidegate run payments                  payments, and what it reads
  tidegate run --full-refresh payments   forget what payments holds, and read it all again
  tidegate run --continuous              follow the sources, until Ctrl-C
  tidegate run --json | jq .status")]
    Run(Run),
    /// Put lines into a topic, as records
    #[command(after_help = "\
Examples:
  tidegate push payments payments.jsonl          each line of the file is a record
  producer | tidegate push payments --key card   lines as they come; the field `card` decides the partition
  echo '{\"id\": 1}' | tidegate push payments")]
    Push(Push),
    /// See the streams that `run --continuous` follows: rows/s, lag, watermark, state
    #[command(after_help = "\
Examples:
  tidegate streams --watch
  tidegate streams --json | jq .lag
  tidegate query \"SELECT * FROM system.streams\"")]
    Streams(Streams),
    /// Ask one question in SQL
    #[command(after_help = "\
Examples:
  tidegate query \"SELECT currency, sum(amount) FROM payments GROUP BY ALL\"
  tidegate query \"SELECT * FROM payments VERSION AS OF 3\" --limit 20
  tidegate query \"SELECT * FROM 'data/*.csv'\" --csv > all.csv
  tidegate query --live \"SELECT card, amount FROM STREAM read_topic('payments') WHERE amount > 1000\"
  tidegate query \"SELECT * FROM system.runs\" --json
  echo 'SELECT 1' | tidegate query -")]
    Query(Query),
    /// Ask many questions: a SQL prompt with history and completion
    #[command(after_help = "\
Examples:
  tidegate shell                         then: \\? for help, \\d for the tables, \\q to leave")]
    Shell,
    /// Look into a file or a table: types, nulls, distributions, suspicious values
    #[command(after_help = "\
Examples:
  tidegate profile landing/orders.csv
  tidegate profile orders --html orders.html
  tidegate profile export.txt -o delimiter='|' -o header=false")]
    Profile(Profile),
    /// Read a sample of files and write the CREATE STREAMING TABLE a careful engineer would
    #[command(after_help = "\
Examples:
  tidegate infer landing/orders.csv > tables/orders.sql
  tidegate infer 'landing/orders/*.csv' --name orders")]
    Infer(Infer),
    /// See the rows that were kept out and why; mend them and let them through
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Run the project's tests: given rows, expected rows
    #[command(after_help = "\
Tests are tests/*.toml: rows for any tables, and the rows expected of others, the quarantined
included. They run in memory and touch no table.

Examples:
  tidegate test                          all
  tidegate test gate                     those with 'gate' in their file or name
  tidegate test --write payments         make tests/payments.toml from what payments holds now")]
    Test(Test),
    /// List the latest runs, or show one
    #[command(after_help = "\
Examples:
  tidegate runs
  tidegate runs 7d1c9a02                 one run: its tables and expectations
  tidegate runs --json --limit 100")]
    Runs(Runs),
    /// Show where a table or a column comes from, and what is made of it
    #[command(after_help = "\
Examples:
  tidegate lineage                       the whole project, table by table
  tidegate lineage revenue.total         one column, back to the files
  tidegate lineage --format mermaid      a graph for a page
  tidegate lineage --format dot | dot -Tsvg > lineage.svg")]
    Lineage(Lineage),
    /// See it work: makes a project with dirty payments, runs it twice, scores it
    #[command(after_help = "\
Examples:
  tidegate demo                                         in ./tidegate-demo
  tidegate demo --rows 5000000 --seed 3
  tidegate demo --generate data/p1m --rows 1000000      only the data: data/p1m.csv, data/p1m.truth.csv")]
    Demo(Demo),
    /// Print the completions of your shell
    #[command(after_help = "\
Examples:
  tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate
  tidegate completions zsh > ~/.zfunc/_tidegate
  tidegate completions fish > ~/.config/fish/completions/tidegate.fish")]
    Completions(Completions),
}

/// `tidegate new`
#[derive(Debug, Args)]
pub struct New {
    /// The folder to make [default: the example's name]
    #[arg(value_name = "FOLDER", required_unless_present = "example")]
    pub folder: Option<PathBuf>,
    /// Which example to start from
    #[arg(long, value_name = "NAME", value_enum)]
    pub example: Option<Example>,
}

/// `tidegate check`
#[derive(Debug, Args)]
pub struct Check {
    /// Print diagnostics and tables as JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidegate run`
#[derive(Debug, Args)]
pub struct Run {
    /// Tables to refresh, with what they read [default: all]
    #[arg(value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Forget what these tables hold and compute them from the beginning; without a name, all
    #[arg(long, value_name = "TABLE", num_args = 0..)]
    pub full_refresh: Option<Vec<String>>,
    /// Follow the sources and keep all tables current, until Ctrl-C
    #[arg(long, short)]
    pub continuous: bool,
    /// How often tables are committed while they are followed, such as `5 seconds`
    #[arg(long, value_name = "LENGTH", default_value = "5 seconds", requires = "continuous", value_parser = length)]
    pub every: std::time::Duration,
    /// End by itself after so long, such as `1 minute`
    #[arg(long = "for", value_name = "LENGTH", requires = "continuous", value_parser = length)]
    pub for_length: Option<std::time::Duration>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// A length of time, as in SQL.
fn length(text: &str) -> Result<std::time::Duration, String> {
    tidegate_project::parse_length(text)
        .filter(|length| !length.is_zero())
        .ok_or_else(|| "expected a length of time such as `5 seconds`".to_owned())
}

/// `tidegate push`
#[derive(Debug, Args)]
pub struct Push {
    /// The topic, as `CREATE TOPIC` declares it
    #[arg(value_name = "TOPIC")]
    pub topic: String,
    /// A file with a record a line; without it, standard input
    #[arg(value_name = "FILE")]
    pub file: Option<std::path::PathBuf>,
    /// The field of each JSON object that is the record's key [default: the topic's property `key`]
    #[arg(long, value_name = "FIELD")]
    pub key: Option<String>,
    /// Print what was pushed as JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidegate streams`
#[derive(Debug, Args)]
pub struct Streams {
    /// Show it again every second, until Ctrl-C
    #[arg(long, short)]
    pub watch: bool,
    /// How rows are printed
    #[command(flatten)]
    pub format: RowFormat,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct RowFormat {
    /// Print rows as JSON, one object a line
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print rows as CSV with a header
    #[arg(long)]
    pub csv: bool,
}

/// `tidegate query`
#[derive(Debug, Args)]
pub struct Query {
    /// One SQL query, or - to read it from stdin
    #[arg(value_name = "SQL")]
    pub sql: String,
    /// How rows are printed.
    #[command(flatten)]
    pub format: RowFormat,
    /// Rows to print at most; 0 is all [default: 200 in a table, all with --json and --csv]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Go on with what comes, a JSON object a line, until Ctrl-C; for queries over streams
    #[arg(long, conflicts_with_all = ["csv", "limit"])]
    pub live: bool,
    /// With --live: end by itself after so long, such as `1 minute`
    #[arg(long = "for", value_name = "LENGTH", requires = "live", value_parser = length)]
    pub for_length: Option<std::time::Duration>,
}

/// `tidegate profile`
#[derive(Debug, Args)]
pub struct Profile {
    /// A file, a pattern of files, a URL or a table
    #[arg(value_name = "FILE|TABLE")]
    pub target: String,
    /// How to read the file, as in read_files(…): delimiter=';', header=false, sheet=Q1, …
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub options: Vec<(String, String)>,
    /// Write a page with pictures to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print the profile as JSON
    #[arg(long, conflicts_with = "html")]
    pub json: bool,
}

/// `tidegate infer`
#[derive(Debug, Args)]
pub struct Infer {
    /// Files of one kind, patterns or URLs
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// The table's name [default: from the file's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How to read the files, as in read_files(…): delimiter=';', header=false, sheet=Q1, …
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub options: Vec<(String, String)>,
}

/// `tidegate quarantine …`
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// How many rows are held of each table, and for which reasons
    #[command(
        after_help = "Examples:\n  tidegate quarantine list\n  tidegate quarantine list --json"
    )]
    List {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Rows that were kept out, each as written, with its place and every reason
    #[command(after_help = "\
Examples:
  tidegate quarantine show payments
  tidegate quarantine show payments --where \"source LIKE '%003.csv'\" --limit 5
  tidegate quarantine show payments --where \"exists(reasons, r -> r.constraint = 'type')\"
  tidegate quarantine show payments --json")]
    Show(QuarantineShow),
    /// Send rows through the same gate again, mended by SQL if you say how
    #[command(after_help = "\
A row is let through once: the quarantine then says in which epoch. Rows that still fail stay.

Examples:
  tidegate quarantine retry payments                     after the table's promises were changed
  tidegate quarantine retry payments --set \"currency = upper(currency)\"
  tidegate quarantine retry payments --set \"amount = regexp_replace(amount, ' EUR$', '')\" \\
      --where \"fields['amount'] LIKE '% EUR'\"")]
    Retry(QuarantineRetry),
}

/// `tidegate quarantine show`
#[derive(Debug, Args)]
pub struct QuarantineShow {
    /// The table whose bad rows are meant
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// Only rows of <table>__quarantine for which this SQL condition is true
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// Rows to print at most; 0 is all [default: 20, all with --json and --csv]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// How rows are printed.
    #[command(flatten)]
    pub format: RowFormat,
}

/// `tidegate quarantine retry`
#[derive(Debug, Args)]
pub struct QuarantineRetry {
    /// The table whose bad rows are meant
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// A column's new value, in SQL over the row's fields as text; may be given several times
    #[arg(long = "set", value_name = "COLUMN = EXPRESSION", value_parser = parse_assignment)]
    pub set: Vec<(String, String)>,
    /// Only rows of <table>__quarantine for which this SQL condition is true
    #[arg(long = "where", value_name = "CONDITION")]
    pub filter: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidegate test`
#[derive(Debug, Args)]
pub struct Test {
    /// Only tests with this text in their file or name
    #[arg(value_name = "TEXT")]
    pub filter: Option<String>,
    /// Make a test of what this table and its inputs hold now
    #[arg(long, value_name = "TABLE", conflicts_with = "filter")]
    pub write: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidegate runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// A run's id, or a part of it
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Runs to list at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
    /// Print them as JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidegate lineage`
#[derive(Debug, Args)]
pub struct Lineage {
    /// A table, or a column of one
    #[arg(value_name = "TABLE[.COLUMN]")]
    pub target: Option<String>,
    /// How it is drawn
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub format: GraphFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For the terminal.
    Text,
    /// For scripts.
    Json,
    /// For pages that draw Mermaid.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// `tidegate demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// The folder to make; what others put there is never overwritten
    #[arg(
        value_name = "FOLDER",
        default_value = "tidegate-demo",
        conflicts_with = "generate"
    )]
    pub folder: PathBuf,
    /// Payments to make
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub rows: u64,
    /// The same seed makes the same payments
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Share of bad rows, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.015, value_parser = parse_share)]
    pub bad: f64,
    /// Only make data: PREFIX.csv and the truth about it, PREFIX.truth.csv
    #[arg(long, value_name = "PREFIX")]
    pub generate: Option<PathBuf>,
    /// With --generate: JSON lines instead of CSV
    #[arg(long, requires = "generate")]
    pub jsonl: bool,
    /// Only print N live payments as JSON lines, for `tidegate push`
    #[arg(long, value_name = "N", conflicts_with = "generate")]
    pub payments: Option<u64>,
    /// With --payments: so many a second; without it, as fast as they are taken
    #[arg(long, value_name = "N", requires = "payments")]
    pub rate: Option<u64>,
    /// Leave the live part away
    #[arg(long)]
    pub no_live: bool,
}

/// `tidegate completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// Your shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// `512MB`, `4 GiB`, `1000000` → bytes. Decimal and binary prefixes are taken alike as powers of 1024.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number
        .parse()
        .map_err(|_| "expected a size such as 512MB or 4GB".to_owned())?;
    let power = match unit
        .trim()
        .to_ascii_lowercase()
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => {
            return Err(format!(
                "unknown unit `{}`; expected KB, MB, GB or TB",
                unit.trim()
            ));
        }
    };
    let bytes = number * 1024_f64.powi(power);
    if !(1.0..=1e18).contains(&bytes) {
        Err("expected a size above zero".to_owned())
    } else {
        Ok(bytes as u64)
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to 1, such as 0.015".to_owned()),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("expected KEY=VALUE, such as delimiter=';'".to_owned()),
    }
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, expression))
            if !column.trim().is_empty() && !expression.trim().is_empty() =>
        {
            Ok((
                column.trim().trim_matches('`').to_owned(),
                expression.trim().to_owned(),
            ))
        }
        _ => Err("expected COLUMN = EXPRESSION, such as \"currency = upper(currency)\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Arguments::command().get_subcommands() {
            let leaves: Vec<_> = command.get_subcommands().collect();
            let shown = |one: &clap::Command| {
                one.get_after_help()
                    .is_some_and(|help| help.to_string().contains("tidegate "))
            };
            assert!(
                if leaves.is_empty() {
                    shown(command)
                } else {
                    leaves.iter().all(|leaf| shown(leaf))
                },
                "no example for `{}`",
                command.get_name()
            );
        }
    }

    #[test]
    fn sizes_shares_and_assignments() {
        assert_eq!(parse_bytes("512MB"), Ok(512 << 20));
        assert_eq!(parse_bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        assert!(
            parse_bytes("much").is_err()
                && parse_bytes("4 XB").is_err()
                && parse_bytes("0").is_err()
        );
        assert!(
            parse_share("1.5").is_err()
                && parse_share("-0.1").is_err()
                && parse_share("0.015").is_ok()
        );
        assert_eq!(
            parse_assignment("amount = replace(amount, 'a=b', '')"),
            Ok(("amount".to_owned(), "replace(amount, 'a=b', '')".to_owned()))
        );
        assert!(parse_assignment("amount").is_err());
    }

    #[test]
    fn a_full_refresh_may_name_tables() {
        let run = |words: &[&str]| match Arguments::try_parse_from(words).unwrap().command {
            Command::Run(run) => (run.tables, run.full_refresh),
            _ => unreachable!(),
        };
        assert_eq!(run(&["tidegate", "run"]), (vec![], None));
        assert_eq!(
            run(&["tidegate", "run", "--full-refresh"]),
            (vec![], Some(vec![]))
        );
        assert_eq!(
            run(&["tidegate", "run", "a", "--full-refresh", "b"]),
            (vec!["a".into()], Some(vec!["b".into()]))
        );
    }
}
