//! Holds the pages in `docs/` to the program: every command, option and exit code that exists is on its page.

use clap::CommandFactory;

use crate::arguments::Arguments;

const CLI: &str = include_str!("../../../docs/cli.md");
const SQL: &str = include_str!("../../../docs/sql.md");
const GATE: &str = include_str!("../../../docs/gate.md");

fn undocumented<'a>(page: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names
        .into_iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_and_option_is_on_its_page() {
    let mut missing = Vec::new();
    let mut commands = vec![Arguments::command()];
    while let Some(command) = commands.pop() {
        if !CLI.contains(command.get_name()) {
            missing.push(command.get_name().to_owned());
        }
        let options = command.get_arguments().filter_map(clap::Arg::get_long);
        missing.extend(
            options
                .map(|long| format!("--{long}"))
                .filter(|option| !CLI.contains(option.as_str())),
        );
        commands.extend(command.get_subcommands().cloned());
    }
    assert!(
        missing.is_empty(),
        "docs/cli.md says nothing of {missing:?}"
    );
}

#[test]
fn every_option_of_readers_and_of_coercion_is_on_its_page() {
    let reading = tidegate_connect::OPTIONS
        .iter()
        .flat_map(|option| option.names.iter().copied());
    assert_eq!(
        undocumented(SQL, reading),
        Vec::<String>::new(),
        "docs/sql.md"
    );
    assert_eq!(
        undocumented(GATE, tidegate_gate::CoercionOptions::names()),
        Vec::<String>::new(),
        "docs/gate.md"
    );
}

#[test]
fn every_column_of_the_quarantine_is_on_its_page() {
    let schema = tidegate_gate::quarantine_schema();
    let columns = schema.fields().iter().map(|field| field.name().as_str());
    assert_eq!(undocumented(GATE, columns), Vec::<String>::new());
}
