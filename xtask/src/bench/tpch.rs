//! TPC-H: each query as a materialized view over Parquet, beside DuckDB, which writes its answer to
//! Parquet, too. A process a query, so both pay for their start; the answers are compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::contest::{self, Contestant, Outcome};
use super::{Common, report, work_folder};
use crate::failure::Failure;
use crate::places::{Places, entries, make_folder, read_text, write};
use crate::process::Call;
use crate::venv::{self, Environment};

/// `cargo xtask bench tpch`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Size of the data: 1 is six million lines of orders
    #[arg(long, default_value = "1")]
    scale: String,
    /// Only these queries, as in 1,6,14
    #[arg(long, value_delimiter = ',')]
    queries: Vec<u32>,
    #[command(flatten)]
    common: Common,
}

/// The tables of TPC-H.
const TABLES: [&str; 8] = [
    "customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier",
];
/// The number of the query that reads nothing.
const START: u32 = 0;
/// How much longer than DuckDB all queries together may take.
const FACTOR_MAX: f64 = 1.3;

/// Runs all queries in turns, compares the answers, prints the table.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let binary = arguments.common.binary(places)?;
    let python = venv::ensure(Environment::Data, places)?;
    let data = data(&arguments.scale, &python, places)?;
    let work = work_folder(places, "tpch")?;
    let mut rows = Vec::new();
    let (mut totals, mut starts) = ([0.0; 2], [0.0; 2]);
    let mut queries = queries(arguments, places)?;
    queries.insert(0, (START, "SELECT 1 AS one".to_owned()));
    for (number, query) in queries {
        let contestants = [
            tidegate(number, &query, &data, &binary),
            duckdb(number, &query, &data, &python, places),
        ];
        let outcomes = contest::run(&contestants, arguments.common.repetitions, &work)?;
        let folders = outcomes
            .iter()
            .map(|outcome| contest::round_folder(&work, &outcome.name));
        let answers = compare(&python, &folders.collect::<Vec<_>>(), number, places)?;
        for (at, outcome) in outcomes.iter().enumerate() {
            match number {
                START => starts[at] = outcome.wall_seconds(),
                _ => totals[at] += outcome.wall_seconds(),
            }
        }
        let name = match number {
            START => "start alone".to_owned(),
            _ => format!("Q{number}"),
        };
        rows.push(row(&name, &outcomes, answers));
    }
    let text = report(rows, totals, starts, &arguments.scale);
    arguments.common.publish(&text)
}

fn row(name: &str, outcomes: &[Outcome], answers: String) -> Vec<String> {
    let walls: Vec<f64> = outcomes.iter().map(Outcome::wall_seconds).collect();
    let cpus: Vec<f64> = outcomes.iter().map(Outcome::cpu_seconds).collect();
    vec![
        name.to_owned(),
        report::seconds(walls[0]),
        report::seconds(walls[1]),
        report::ratio(walls[0], walls[1]),
        report::ratio(cpus[0], cpus[1]),
        answers,
    ]
}

fn report(mut rows: Vec<Vec<String>>, totals: [f64; 2], starts: [f64; 2], scale: &str) -> String {
    // A view that selects 1 shows what a process costs before it reads anything; Python is most of it for DuckDB.
    let queries = rows.len().saturating_sub(1) as f64;
    let net = [0, 1].map(|at| totals[at] - queries * starts[at]);
    for (name, seconds) in [("all", totals), ("all, less starts", net)] {
        rows.push(vec![
            name.to_owned(),
            report::seconds(seconds[0]),
            report::seconds(seconds[1]),
            report::ratio(seconds[0], seconds[1]),
            String::new(),
            String::new(),
        ]);
    }
    let head = [
        "query",
        "Tidegate s",
        "DuckDB s",
        "wall, of DuckDB",
        "CPU, of DuckDB",
        "same answer",
    ];
    let heading = report::heading(&format!("TPC-H, scale {scale}, a process a query"));
    let met = report::verdict(totals[0] <= FACTOR_MAX * totals[1]);
    let met_net = report::verdict(net[0] <= FACTOR_MAX * net[1]);
    let table = report::table(&head, &rows);
    format!(
        "{heading}\n\n{table}\n- within {FACTOR_MAX}× of DuckDB, all together: {met}; less the starts: {met_net}\n"
    )
}

/// The data of the cache, made when it is missing: `TABLE.parquet` each.
fn data(scale: &str, python: &Path, places: &Places) -> Result<PathBuf, Failure> {
    let folder = places
        .cache
        .join("bench/data")
        .join(format!("tpch-{scale}"));
    let last = folder.join("finished");
    if !last.is_file() {
        make_folder(&folder)?;
        // The generator is a program of the environment, beside its Python.
        Call::new(python.with_file_name("tpchgen-cli"))
            .args(["parquet", "--scale-factor", scale, "--output-dir"])
            .arg(&folder)
            .show()?;
        write(&last, "")?;
    }
    Ok(folder)
}

/// The queries of bench/tpch/queries, by number.
fn queries(arguments: &Arguments, places: &Places) -> Result<Vec<(u32, String)>, Failure> {
    let mut found = Vec::new();
    for path in entries(&places.root.join("bench/tpch/queries"))? {
        let stem = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Ok(number) = stem
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
        else {
            continue;
        };
        if arguments.queries.is_empty() || arguments.queries.contains(&number) {
            found.push((number, read_text(&path)?));
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(Failure::form(
            "the queries",
            "none of these is in bench/tpch/queries",
        )),
        false => Ok(found),
    }
}

fn tidegate<'a>(number: u32, query: &'a str, data: &'a Path, binary: &'a Path) -> Contestant<'a> {
    let prepare = move |folder: &Path| {
        write(&folder.join("tidegate.toml"), "name = \"tpch\"\n")?;
        make_folder(&folder.join("tables"))?;
        let views = TABLES.map(|table| {
            let path = data.join(format!("{table}.parquet"));
            let path = path.display();
            format!("CREATE TEMPORARY VIEW {table} AS SELECT * FROM parquet.`{path}`;\n")
        });
        let query = query.trim().trim_end_matches(';');
        let view = format!("CREATE MATERIALIZED VIEW q{number} AS\n{query};\n");
        write(&folder.join("tables/tpch.sql"), views.concat() + &view)?;
        let mut command = Command::new(binary);
        command.arg("run").current_dir(folder);
        Ok(command)
    };
    Contestant {
        name: format!("Tidegate Q{number}"),
        prepare: Box::new(prepare),
    }
}

fn duckdb<'a>(
    number: u32,
    query: &'a str,
    data: &'a Path,
    python: &'a Path,
    places: &'a Places,
) -> Contestant<'a> {
    let prepare = move |folder: &Path| {
        let sql = folder.join("query.sql");
        write(&sql, query)?;
        let mut command = Command::new(python);
        command
            .arg(places.root.join("bench/peers/tpch_duckdb.py"))
            .arg(data)
            .arg(sql)
            .arg(folder.join("answer.parquet"));
        Ok(command)
    };
    Contestant {
        name: format!("DuckDB Q{number}"),
        prepare: Box::new(prepare),
    }
}

/// `yes`, or what differs.
fn compare(
    python: &Path,
    folders: &[PathBuf],
    number: u32,
    places: &Places,
) -> Result<String, Failure> {
    let text = Call::new(python)
        .arg(places.root.join("bench/peers/tpch_compare.py"))
        .arg(format!("q{number}"))
        .args(folders)
        .text()?;
    Ok(text.trim().to_owned())
}
