//! What bad input gets: a clear answer with its place, nothing lost, nothing half-written.
//!
//! Rows that cannot be used are in quarantine; a file that cannot be used fails its table by name, and the next run takes
//! up from there.

use std::io::Write;

use crate::scratch::Scratch;

const SPEC: &str = "(id BIGINT NOT NULL PRIMARY KEY, name STRING, amount DECIMAL(10,2))";

/// A project whose only file has this name and content.
fn with_file(name: &str, content: impl AsRef<[u8]>) -> Scratch {
    let scratch = Scratch::table(SPEC, "");
    scratch.write(&format!("landing/{name}"), content);
    scratch
}

/// Good and quarantined rows after a run that succeeds.
fn counts(scratch: &Scratch) -> (i64, i64) {
    scratch.run(&["run"]).expect(0);
    let count = |table: &str| scratch.number(&format!("SELECT count(*) AS n FROM {table}"));
    (count("t"), count("t__quarantine"))
}

#[test]
fn an_empty_file_has_no_rows() {
    let scratch = with_file("a.csv", "");
    scratch.run(&["run"]).expect(0);
    // And a good file beside it is read all the same.
    scratch.write("landing/b.csv", "id,name,amount\n1,Ada,2.50\n");
    assert_eq!(counts(&scratch).0, 1);
}

#[test]
fn a_header_alone_has_no_rows() {
    assert_eq!(counts(&with_file("a.csv", "id,name,amount\n")).0, 0);
}

#[test]
fn an_empty_landing_folder_is_no_failure() {
    Scratch::table(SPEC, "").run(&["run"]).expect(0);
}

#[test]
fn a_missing_folder_is_named() {
    let scratch = Scratch::table(SPEC, "");
    std::fs::remove_dir_all(scratch.path().join("landing")).unwrap();
    let ended = scratch.run(&["run"]).says(&["landing"]);
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
}

#[test]
fn a_folder_with_a_files_name_is_read_as_a_folder() {
    let scratch = Scratch::table(SPEC, "");
    scratch.write("landing/a.csv/inside.csv", "id,name,amount\n1,Ada,2.50\n");
    assert_eq!(counts(&scratch).0, 1);
}

#[test]
fn a_pipe_is_refused_by_name_and_not_waited_for() {
    let scratch = Scratch::empty();
    let made = std::process::Command::new("mkfifo")
        .arg(scratch.path().join("pipe.csv"))
        .status()
        .unwrap();
    assert!(made.success());
    let ended = scratch
        .run(&["query", "SELECT * FROM csv.`pipe.csv`"])
        .says(&["pipe.csv"]);
    assert!(matches!(ended.code, Some(1..=3)), "{ended:?}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ended = Scratch::empty()
        .run(&["profile", "nowhere.csv"])
        .says(&["nowhere.csv"]);
    assert!(matches!(ended.code, Some(1..=3)), "{ended:?}");
}

#[test]
fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = with_file("a.csv", "id,name,amount\n1,Ada,2.50\n");
    let path = scratch.path().join("landing/a.csv");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&path).is_ok() {
        // The superuser reads everything; there is nothing to see here.
        return;
    }
    let ended = scratch.run(&["run"]).says(&["a.csv"]);
    assert!(matches!(ended.code, Some(1 | 3)), "{ended:?}");
}

#[test]
fn a_truncated_row_is_quarantined() {
    let scratch = with_file("a.csv", "id,name,amount\n1,Ada,2.50\n2,Gra");
    assert_eq!(counts(&scratch), (1, 1));
    scratch
        .run(&["quarantine", "show", "t"])
        .expect(0)
        .says(&["a.csv:3", "2,Gra", "malformed"]);
}

#[test]
fn a_truncated_gzip_fails_its_table_and_loses_nothing() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"id,name,amount\n").unwrap();
    for id in 0..20_000 {
        writeln!(encoder, "{id},name {id},{id}.50").unwrap();
    }
    let whole = encoder.finish().unwrap();
    let scratch = with_file("a.csv.gz", &whole[..whole.len() / 2]);
    scratch.run(&["run"]).expect(1).says(&["a.csv.gz"]);
    // Once the file is whole, everything is read.
    scratch.write("landing/a.csv.gz", &whole);
    assert_eq!(counts(&scratch).0, 20_000);
}

#[test]
fn nul_bytes_do_not_end_a_value() {
    let scratch = with_file("a.csv", b"id,name,amount\n1,A\0da,2.50\n2,Grace,3.00\n");
    assert_eq!(counts(&scratch), (2, 0));
    assert_eq!(
        scratch.number("SELECT length(name) AS n FROM t WHERE id = 1"),
        4
    );
}

#[test]
fn a_row_in_another_encoding_is_quarantined_alone() {
    let mut rows = "id,name,amount\n".to_owned().into_bytes();
    for id in 0..200 {
        rows.extend(format!("{id},Zoë,1.00\n").as_bytes());
    }
    rows.extend(b"200,Zo\xeb,1.00\n");
    let (good, held) = counts(&with_file("a.csv", rows));
    assert_eq!((good, held), (200, 1));
}

#[test]
fn utf_16_and_latin_1_are_found() {
    let text = "id,name,amount\n1,Zoë,1.00\n2,Jürgen,2.00\n3,Łukasz,3.00\n";
    let mut utf_16 = vec![0xff, 0xfe];
    utf_16.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    let scratch = with_file("a.csv", utf_16);
    assert_eq!(counts(&scratch), (3, 0));
    assert_eq!(
        scratch.number("SELECT count(*) AS n FROM t WHERE name = 'Łukasz'"),
        1
    );

    let latin_1: Vec<u8> = "id,name,amount\n1,Zoë,1.00\n2,Jürgen,2.00\n"
        .chars()
        .map(|c| c as u8)
        .collect();
    let scratch = with_file("a.csv", latin_1);
    assert_eq!(counts(&scratch), (2, 0));
    assert_eq!(
        scratch.number("SELECT count(*) AS n FROM t WHERE name = 'Jürgen'"),
        1
    );
}

#[test]
fn duplicate_and_empty_headers_get_names_of_their_own() {
    let scratch = Scratch::empty();
    scratch.write(
        "a.csv",
        "id,name,name,\n1,Ada,Lovelace,x\n2,Grace,Hopper,y\n",
    );
    scratch
        .run(&["query", "SELECT * FROM csv.`a.csv`", "--csv"])
        .expect(0)
        .says(&["id,name,name_2,column_4"]);
}

#[test]
fn a_parquet_file_cut_in_half_is_named() {
    let scratch = Scratch::empty();
    let project = Scratch::table(SPEC, "");
    project.write("landing/a.csv", "id,name,amount\n1,Ada,2.50\n");
    project.run(&["run"]).expect(0);
    let parquet = parquet_below(project.path()).expect("a table is Parquet");
    let whole = std::fs::read(parquet).unwrap();
    scratch.write("whole.parquet", &whole);
    scratch.write("half.parquet", &whole[..whole.len() / 2]);
    scratch
        .run(&["query", "SELECT id FROM parquet.`whole.parquet`", "--csv"])
        .expect(0)
        .says(&["1"]);
    let ended = scratch
        .run(&["query", "SELECT * FROM parquet.`half.parquet`"])
        .says(&["half.parquet"]);
    assert!(matches!(ended.code, Some(1..=3)), "{ended:?}");
}

fn parquet_below(folder: &std::path::Path) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder).ok()? {
        let path = entry.ok()?.path();
        if path.is_dir() {
            if let Some(found) = parquet_below(&path) {
                return Some(found);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "parquet")
            && !path.to_string_lossy().contains("_delta_log")
        {
            return Some(path);
        }
    }
    None
}

#[test]
fn json_nested_ten_thousand_deep_does_not_overflow() {
    let deep = format!(
        "{{\"id\": 1, \"name\": {}{}}}\n{{\"id\": 2, \"name\": \"Ada\"}}\n",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let (good, held) = counts(&with_file("a.json", deep));
    assert_eq!((good + held, good >= 1), (2, true));
}

#[test]
fn a_broken_json_line_is_quarantined_alone() {
    let scratch = with_file(
        "a.jsonl",
        "{\"id\": 1, \"name\": \"Ada\"}\n{\"id\": 2, \"name\n{\"id\": 3, \"name\": \"Grace\"}\n",
    );
    assert_eq!(counts(&scratch), (2, 1));
}

#[test]
fn a_broken_quote_does_not_swallow_the_rows_behind_it() {
    let scratch = with_file(
        "a.csv",
        "id,name,amount\n1,\"Ada,2.50\n2,Grace,3.00\n3,\"Hopper, G\",4.00\n",
    );
    assert_eq!(counts(&scratch), (2, 1));
}

#[test]
fn a_schema_that_changes_between_files_is_taken_in() {
    let scratch = with_file("a.csv", "id,name,amount\n1,Ada,2.50\n");
    assert_eq!(counts(&scratch), (1, 0));
    scratch.write("landing/b.csv", "amount,id\n9.99,2\n");
    assert_eq!(counts(&scratch), (2, 0));
    assert_eq!(scratch.number("SELECT id FROM t WHERE amount = 9.99"), 2);
}

#[test]
fn a_file_that_grew_is_read_from_where_it_ended() {
    let scratch = with_file("a.csv", "id,name,amount\n1,Ada,2.50\n");
    assert_eq!(counts(&scratch), (1, 0));
    scratch.write(
        "landing/a.csv",
        "id,name,amount\n1,Ada,2.50\n2,Grace,3.00\n",
    );
    assert_eq!(counts(&scratch), (2, 0));
}

#[test]
fn a_line_of_many_megabytes_is_one_malformed_row() {
    let mut text = "id,name,amount\n1,Ada,2.50\n2,".to_owned();
    text.push_str(&"x".repeat(8 << 20));
    text.push_str(",3.00\n3,Grace,4.00\n");
    assert_eq!(counts(&with_file("a.csv", text)), (2, 1));
}

#[test]
fn values_that_would_lose_digits_are_quarantined() {
    let scratch = with_file(
        "a.csv",
        "id,name,amount\n1,a,12.345\n2,b,12.340\n3,c,123456789.01\n99999999999999999999,d,1.00\n",
    );
    assert_eq!(counts(&scratch), (1, 3));
}

#[test]
fn fifty_thousand_columns_are_columns_all_the_same() {
    let line = |cell: &dyn Fn(usize) -> String| (0..50_000).map(cell).collect::<Vec<_>>().join(",");
    let header = line(&|at| format!("c{at}"));
    let values = line(&|at| at.to_string());
    let scratch = Scratch::empty();
    scratch.write("wide.csv", format!("{header}\n{values}\n{values}\n"));
    let sum = "SELECT sum(c49999) AS n FROM read_files('wide.csv')";
    assert_eq!(scratch.number(sum), 99_998);
    scratch
        .run(&["infer", "wide.csv"])
        .expect(0)
        .says(&["c49999"]);
}
