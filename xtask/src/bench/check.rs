//! `tidegate check` on a project that nobody wrote: hundreds of tables that feed each other.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::contest::{self, Contestant};
use super::{Common, report, work_folder};
use crate::failure::Failure;
use crate::places::{Places, make_folder, write};

/// `cargo xtask bench check`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Tables of the project
    #[arg(long, default_value_t = 1_600)]
    tables: usize,
    #[command(flatten)]
    common: Common,
}

/// The target: a project of 1,600 tables within half a second.
const SECONDS_MAX: f64 = 0.5;
/// Tables in one file.
const TABLES_PER_FILE: usize = 20;

/// Makes the project, checks it several times, prints the table.
pub fn run(arguments: &Arguments, places: &Places) -> Result<(), Failure> {
    let binary = arguments.common.binary(places)?;
    let work = work_folder(places, "check")?;
    let prepare = |folder: &Path| {
        make_project(folder, arguments.tables)?;
        let mut command = Command::new(&binary);
        command.arg("check").current_dir(folder);
        Ok(command)
    };
    let name = format!("tidegate check, {} tables", arguments.tables);
    let contestants = [Contestant {
        name,
        prepare: Box::new(prepare),
    }];
    let rounds = arguments.common.repetitions.max(5);
    let outcomes = contest::run(&contestants, rounds, &work)?;
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            let wall = outcome.wall_seconds();
            vec![
                outcome.name.clone(),
                report::seconds(wall),
                report::seconds(outcome.cpu_seconds()),
                report::megabytes(outcome.peak_bytes()),
                format!("{SECONDS_MAX} s: {}", report::verdict(wall <= SECONDS_MAX)),
            ]
        })
        .collect();
    let head = ["command", "wall s", "CPU s", "peak MB", "target"];
    let text = format!(
        "{}\n\n{}",
        report::heading("Check"),
        report::table(&head, &rows)
    );
    arguments.common.publish(&text)
}

/// A project in layers, as real ones are: one table in four takes files in, through a contract; the
/// others join, filter and add up what earlier tables hold.
fn make_project(folder: &Path, tables: usize) -> Result<(), Failure> {
    write(&folder.join("tidegate.toml"), "name = \"many\"\n")?;
    make_folder(&folder.join("tables"))?;
    make_folder(&folder.join("landing"))?;
    write(
        &folder.join("landing/rows.csv"),
        "id,customer,amount,day,note\n1,2,3.50,2026-10-05,x\n",
    )?;
    for (file, first) in (0..tables).step_by(TABLES_PER_FILE).enumerate() {
        let last = (first + TABLES_PER_FILE).min(tables);
        let text: String = (first..last).map(table).collect();
        write(&folder.join(format!("tables/{file:04}.sql")), text)?;
    }
    Ok(())
}

/// The statement of one table. Tables refer only to earlier ones, and to ones far back, too.
fn table(number: usize) -> String {
    let mut sql = String::new();
    let near = number.saturating_sub(1);
    let far = number / 2 / 4 * 4;
    let written = match number % 4 {
        0 => write!(
            sql,
            "CREATE OR REFRESH STREAMING TABLE t{number} (\n  id BIGINT NOT NULL PRIMARY KEY,\n  \
             customer BIGINT NOT NULL,\n  amount DECIMAL(12,2) NOT NULL,\n  day DATE,\n  note STRING,\n  \
             CONSTRAINT positive EXPECT (amount > 0) ON VIOLATION QUARANTINE,\n  \
             CONSTRAINT recent EXPECT (day >= DATE '2020-01-01')\n) \
             AS SELECT * FROM STREAM read_files('landing/*.csv', format => 'csv');\n\n"
        ),
        1 => write!(
            sql,
            "CREATE OR REFRESH MATERIALIZED VIEW t{number} AS\nSELECT a.id, a.customer, \
             a.amount + b.amount AS amount, a.day, upper(a.note) AS note\n\
             FROM t{near} AS a JOIN t{far} AS b ON a.customer = b.customer\nWHERE a.amount > 10;\n\n"
        ),
        2 => write!(
            sql,
            "CREATE OR REFRESH MATERIALIZED VIEW t{number} AS\nSELECT customer, day, \
             count(*) AS payments, sum(amount) AS amount, max(id) AS id, max(note) AS note\n\
             FROM t{near}\nGROUP BY customer, day;\n\n"
        ),
        _ => write!(
            sql,
            "CREATE OR REFRESH MATERIALIZED VIEW t{number} AS\nWITH latest AS (\n  SELECT *, \
             row_number() OVER (PARTITION BY customer ORDER BY day DESC) AS place FROM t{near}\n)\n\
             SELECT id, customer, amount, day, CASE WHEN amount > 100 THEN 'large' ELSE note END AS note\n\
             FROM latest WHERE place = 1;\n\n"
        ),
    };
    // Writing to a String cannot fail.
    debug_assert!(written.is_ok());
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_refer_only_to_earlier_ones() {
        for number in 0..200 {
            let sql = table(number);
            let named = sql.split(|character: char| !character.is_alphanumeric());
            let numbers = named.filter_map(|word| word.strip_prefix('t')?.parse::<usize>().ok());
            let mut numbers = numbers.collect::<Vec<_>>();
            assert_eq!(numbers.remove(0), number);
            assert!(numbers.iter().all(|other| *other < number), "{sql}");
            assert_eq!(numbers.is_empty(), number % 4 == 0, "{sql}");
        }
    }
}
