//! What a newcomer does wrong: each gets a sentence that says what is wrong and what to do, and exit code 2.

use crate::scratch::Scratch;

#[test]
fn an_unknown_command_names_the_nearest() {
    Scratch::empty()
        .run(&["querry", "SELECT 1"])
        .expect(2)
        .says(&["querry", "query"]);
}

#[test]
fn no_command_shows_the_help() {
    Scratch::empty()
        .run(&[])
        .expect(2)
        .says(&["Usage: tidegate", "tidegate demo"]);
}

#[test]
fn outside_a_project_it_says_how_to_make_one() {
    Scratch::empty()
        .run(&["run"])
        .expect(2)
        .says(&["no project here", "tidegate new"]);
    Scratch::empty()
        .run(&["-C", "nowhere", "check"])
        .expect(2)
        .says(&["nowhere", "there is no such folder"]);
}

#[test]
fn a_project_is_found_from_inside() {
    let scratch = Scratch::table("(id BIGINT)", "");
    std::fs::create_dir_all(scratch.path().join("tables/deep")).unwrap();
    let mut command = scratch.command(&["check"]);
    command.current_dir(scratch.path().join("tables/deep"));
    assert!(command.status().unwrap().success());
}

#[test]
fn an_unknown_table_names_the_nearest() {
    let scratch = Scratch::table("(id BIGINT)", "");
    scratch.run(&["run", "tt"]).expect(2).says(&["`tt`", "`t`"]);
    scratch
        .run(&["quarantine", "retry", "tt"])
        .expect(2)
        .says(&["`tt`", "`t`"]);
    scratch.run(&["lineage", "tt"]).expect(2).says(&["`tt`"]);
}

#[test]
fn a_mistake_in_a_query_is_shown_in_the_query() {
    let scratch = Scratch::table("(id BIGINT)", "");
    scratch.write("landing/a.csv", "id\n1\n");
    scratch.run(&["run"]).expect(0);
    scratch
        .run(&["query", "SELECT idd FROM t"])
        .expect(2)
        .says(&["idd", "id"]);
    scratch
        .run(&["query", "SELECT FROM WHERE"])
        .expect(2)
        .says(&["query"]);
    scratch
        .run(&["query", "SELECT * FROM tt"])
        .expect(2)
        .says(&["there is no table `tt`", "`t`"]);
}

#[test]
fn a_query_before_the_first_run_is_answered_with_no_rows_or_a_hint() {
    let ended = Scratch::table("(id BIGINT)", "").run(&["query", "SELECT * FROM t"]);
    match ended.code {
        Some(0) => drop(ended.says(&["0 rows"])),
        _ => drop(ended.expect(2).says(&["tidegate run"])),
    }
}

#[test]
fn a_shell_glob_of_files_goes_to_infer() {
    let scratch = Scratch::empty();
    scratch.write("a.csv", "id,name\n1,Ada\n2,Grace\n");
    scratch.write("b.csv", "id,name\n3,Edsger\n");
    scratch
        .run(&["infer", "a.csv", "b.csv", "--name", "people"])
        .expect(0)
        .says(&["people", "read_files"]);
}

#[test]
fn new_writes_only_where_nothing_is() {
    let scratch = Scratch::empty();
    scratch.write("shop/notes.txt", "mine");
    scratch.run(&["new", "shop"]).expect(2).says(&["not empty"]);
    scratch.run(&["new"]).expect(2).says(&["FOLDER"]);
    scratch
        .run(&["new", "shop", "--example", "hospitals"])
        .expect(2)
        .says(&["hospital"]);
    assert_eq!(
        std::fs::read_dir(scratch.path().join("shop"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn a_new_project_bears_its_folders_name_and_runs() {
    let scratch = Scratch::empty();
    scratch
        .run(&["new", "my shop"])
        .expect(0)
        .says(&["tidegate run"]);
    let settings = std::fs::read_to_string(scratch.path().join("my shop/tidegate.toml")).unwrap();
    assert!(settings.contains("name = \"my shop\""), "{settings}");
    scratch
        .run(&["-C", "my shop", "run"])
        .expect(0)
        .says(&["orders_daily"]);
}

#[test]
fn the_demo_overwrites_nothing() {
    let scratch = Scratch::empty();
    scratch.write("tidegate-demo/thesis.tex", "years of work");
    scratch
        .run(&["demo", "--rows", "10"])
        .expect(2)
        .says(&["tidegate-demo", "no demo made it"]);
    assert_eq!(
        std::fs::read_to_string(scratch.path().join("tidegate-demo/thesis.tex")).unwrap(),
        "years of work"
    );
}
