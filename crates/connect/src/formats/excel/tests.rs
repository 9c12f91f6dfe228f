//! Workbooks as people make them, and broken ones.

use arrow::datatypes::DataType;
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};

use crate::formats::typed::testing::{open, refusal};

pub(super) fn sales() -> Vec<u8> {
    let mut book = Workbook::new();
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let time = Format::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    let sheet = book.add_worksheet();
    sheet.set_name("Sales").unwrap();
    for (column, name) in ["id", "Day", "", "at", "paid", "total"].iter().enumerate() {
        if !name.is_empty() {
            sheet.write_string(0, column as u16, *name).unwrap();
        }
    }
    for row in 1..=5_u32 {
        sheet.write_number(row, 0, f64::from(row)).unwrap();
        let date = ExcelDateTime::from_ymd(2026, 3, row as u8).unwrap();
        sheet.write_with_format(row, 1, &date, &day).unwrap();
        sheet.write_string(row, 2, format!("item {row}")).unwrap();
        sheet
            .write_with_format(row, 3, date.and_hms(10, 30, f64::from(row)).unwrap(), &time)
            .unwrap();
        sheet.write_boolean(row, 4, row % 2 == 0).unwrap();
        sheet
            .write_formula(
                row,
                5,
                Formula::new(format!("=A{}*1.5", row + 1))
                    .set_result(format!("{}", f64::from(row) * 1.5)),
            )
            .unwrap();
    }
    let other = book.add_worksheet();
    other.set_name("Notes").unwrap();
    other.write_string(0, 0, "remark").unwrap();
    other.write_string(1, 0, "nothing here").unwrap();
    book.save_to_buffer().unwrap()
}

#[test]
fn dates_numbers_truths_and_formulas_come_as_text() {
    let opened = open("s.xlsx", &sales(), &[], None).unwrap();
    assert_eq!(
        opened.names(),
        ["id", "Day", "column_3", "at", "paid", "total"]
    );
    assert_eq!(
        opened.rows()[0],
        "2:1|2026-03-01|item 1|2026-03-01T10:30:01|false|1.5"
    );
    assert_eq!(
        opened.rows()[4],
        "6:5|2026-03-05|item 5|2026-03-05T10:30:05|false|7.5"
    );
    let types: Vec<DataType> = opened
        .discovered
        .columns
        .iter()
        .map(|column| column.data_type.clone())
        .collect();
    assert_eq!(
        types[..3],
        [DataType::Int64, DataType::Date32, DataType::Utf8View]
    );
    assert!(matches!(types[3], DataType::Timestamp(..)));
    assert_eq!(types[4..], [DataType::Boolean, DataType::Float64]);
    assert!(
        opened
            .discovered
            .notes
            .iter()
            .any(|note| note.contains("\"Notes\"")),
        "{:?}",
        opened.discovered.notes
    );
}

#[test]
fn a_sheet_is_chosen_by_name_or_number() {
    for sheet in ["Notes", "notes", "2"] {
        let opened = open("s.xlsx", &sales(), &[("sheet", sheet)], None).unwrap();
        assert_eq!(
            (opened.names(), opened.rows()),
            (vec!["remark".to_owned()], vec!["2:nothing here".to_owned()]),
            "{sheet}"
        );
    }
    let missing = open("s.xlsx", &sales(), &[("sheet", "Sails")], None)
        .err()
        .unwrap()
        .to_string();
    assert!(
        missing.contains("Sails")
            && missing.contains("\"Sales\", \"Notes\"")
            && missing.contains("s.xlsx"),
        "{missing}"
    );
}

#[test]
fn columns_are_those_that_are_wanted_in_that_order() {
    let mode = [("schemaEvolutionMode", "none")];
    let opened = open("s.xlsx", &sales(), &mode, Some(&["TOTAL", "missing", "id"])).unwrap();
    assert_eq!(
        (opened.names().join(","), opened.rows()[1].as_str()),
        ("TOTAL,missing,id".to_owned(), "3:3|-|2")
    );
    let rescued = open(
        "s.xlsx",
        &sales(),
        &[("schemaEvolutionMode", "rescue")],
        Some(&["id", "Day", "at", "total"]),
    )
    .unwrap();
    assert!(
        rescued.rows()[0].contains("{\"column_3\":\"item 1\",\"paid\":\"false\""),
        "{}",
        rescued.rows()[0]
    );
}

#[test]
fn titles_merged_cells_gaps_and_a_table_that_begins_elsewhere() {
    let mut book = Workbook::new();
    let plain = Format::new();
    let sheet = book.add_worksheet();
    sheet
        .merge_range(0, 1, 0, 3, "Report of the year", &plain)
        .unwrap();
    sheet.write_string(1, 1, "as of today").unwrap();
    for (column, name) in ["region", "city", "sold"].iter().enumerate() {
        sheet.write_string(3, 1 + column as u16, *name).unwrap();
    }
    sheet.merge_range(4, 1, 6, 1, "north", &plain).unwrap();
    for (row, city) in [(4, "Kiel"), (5, "Bremen"), (6, "Husum"), (9, "Ulm")] {
        sheet.write_string(row, 2, city).unwrap();
        sheet.write_number(row, 3, f64::from(row)).unwrap();
    }
    sheet.write_string(9, 1, "south").unwrap();
    let opened = open("s.xlsx", &book.save_to_buffer().unwrap(), &[], None).unwrap();
    assert_eq!(opened.names(), ["region", "city", "sold"]);
    assert_eq!(
        opened.rows(),
        [
            "5:north|Kiel|4",
            "6:north|Bremen|5",
            "7:north|Husum|6",
            "10:south|Ulm|9"
        ]
    );
    assert!(
        opened
            .discovered
            .notes
            .iter()
            .any(|note| note.contains("header is in row 4")),
        "{:?}",
        opened.discovered.notes
    );
}

/// A sheet of these rows: what is a number is one, and nothing is nothing.
pub(crate) fn sheet(rows: &[&[&str]]) -> Vec<u8> {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for (row, cells) in (0..).zip(rows) {
        for (column, text) in (0..).zip(*cells) {
            match text.parse::<f64>() {
                Ok(number) => sheet.write_number(row, column, number).unwrap(),
                Err(_) => sheet.write_string(row, column, *text).unwrap(),
            };
        }
    }
    book.save_to_buffer().unwrap()
}

#[test]
fn the_header_is_found_below_titles_and_above_gaps() {
    let cases: &[(&[&[&str]], &str, &str)] = &[
        // A title in two cells of three.
        (
            &[&["Sales", "north"], &["a", "b", "c"], &["x", "y", "1"]],
            "a,b,c",
            "3:x|y|1",
        ),
        // With a number beside it, and a line between.
        (
            &[&["Sales", "2026"], &[], &["a", "b", "c"], &["x", "y", "1"]],
            "a,b,c",
            "4:x|y|1",
        ),
        (
            &[
                &["One"],
                &["Two"],
                &["", "Three"],
                &["a", "b", "c"],
                &["x", "y", "1"],
            ],
            "a,b,c",
            "5:x|y|1",
        ),
        // The first column has no name, and the first row no value.
        (
            &[&["", "jan", "feb"], &["Kiel", "", "2"], &["Ulm", "3", "4"]],
            "column_1,jan,feb",
            "2:Kiel|-|2",
        ),
        // All is text: the first wide row it is.
        (
            &[&["Title"], &["a", "b"], &["x", "y"], &["z", "w"]],
            "a,b",
            "3:x|y",
        ),
        // No header at all, some values missing.
        (
            &[&["x", "1"], &["y", "2", "3"], &["z", "4", "5"]],
            "column_1,column_2,column_3",
            "1:x|1|-",
        ),
        (&[&["a"], &["1"]], "a", "2:1"),
    ];
    for (rows, names, first) in cases {
        let opened = open("s.xlsx", &sheet(rows), &[], None).unwrap();
        assert_eq!(
            (opened.names().join(","), opened.rows()[0].as_str()),
            ((*names).to_owned(), *first)
        );
    }
    let titled = sheet(&[&["Sales of the year"], &["a", "b"], &["x", "1"]]);
    let told = open("s.xlsx", &titled, &[("header", "true")], None).unwrap();
    assert_eq!(told.rows(), ["3:x|1"]);
    let told = open(
        "s.xlsx",
        &titled,
        &[("header", "false"), ("skipRows", "2")],
        None,
    )
    .unwrap();
    assert_eq!(told.rows(), ["3:x|1"]);
}

#[test]
fn groups_of_columns_stand_above_the_header_or_in_it() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet
        .merge_range(0, 0, 0, 2, "Report", &Format::new())
        .unwrap();
    sheet
        .merge_range(1, 1, 1, 2, "half", &Format::new())
        .unwrap();
    for (column, name) in ["city", "jan", "feb"].iter().enumerate() {
        sheet.write_string(2, column as u16, *name).unwrap();
        sheet.write_number(3, column as u16, 1.0).unwrap();
    }
    let bytes = book.save_to_buffer().unwrap();
    let found = open("s.xlsx", &bytes, &[], None).unwrap();
    assert_eq!(
        (found.names().join(","), found.rows()),
        ("city,jan,feb".to_owned(), vec!["4:1|1|1".to_owned()])
    );
    let both = open("s.xlsx", &bytes, &[("header", "2")], None).unwrap();
    assert_eq!(
        (both.names().join(","), both.rows()),
        (
            "city,half jan,half feb".to_owned(),
            vec!["4:1|1|1".to_owned()]
        )
    );
}

#[test]
fn headers_may_be_absent_doubled_or_several_rows() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for row in 0..3_u32 {
        sheet.write_number(row, 0, f64::from(row)).unwrap();
        sheet.write_string(row, 1, "x").unwrap();
    }
    let bytes = book.save_to_buffer().unwrap();
    let opened = open("s.xlsx", &bytes, &[], None).unwrap();
    assert_eq!(
        (opened.names(), opened.rows().len()),
        (vec!["column_1".to_owned(), "column_2".to_owned()], 3)
    );
    assert_eq!(
        open("s.xlsx", &bytes, &[("header", "true")], None)
            .unwrap()
            .names(),
        ["0", "x"]
    );
    assert_eq!(
        open(
            "s.xlsx",
            &bytes,
            &[("header", "false"), ("skipRows", "1")],
            None
        )
        .unwrap()
        .rows(),
        ["2:1|x", "3:2|x"]
    );

    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet
        .merge_range(0, 0, 0, 1, "first half", &Format::new())
        .unwrap();
    sheet.write_string(0, 2, "sum").unwrap();
    for (column, name) in ["jan", "feb", "sum"].iter().enumerate() {
        sheet.write_string(1, column as u16, *name).unwrap();
        sheet.write_number(2, column as u16, 1.0).unwrap();
    }
    let opened = open(
        "s.xlsx",
        &book.save_to_buffer().unwrap(),
        &[("header", "2")],
        None,
    )
    .unwrap();
    assert_eq!(
        (opened.names(), opened.rows()),
        (
            vec![
                "first half jan".to_owned(),
                "first half feb".to_owned(),
                "sum".to_owned()
            ],
            vec!["3:1|1|1".to_owned()]
        )
    );
}

#[test]
fn a_row_with_an_error_or_beside_the_table_is_malformed() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_string(0, 0, "id").unwrap();
    sheet.write_string(0, 1, "share").unwrap();
    for row in 1..=1_200_u32 {
        sheet.write_number(row, 0, f64::from(row)).unwrap();
        sheet.write_number(row, 1, 0.5).unwrap();
    }
    sheet
        .write_formula(2, 1, Formula::new("=1/0").set_result("#DIV/0!"))
        .unwrap();
    sheet.write_string(1_100, 4, "why?").unwrap();
    let bytes = book.save_to_buffer().unwrap();
    let opened = open("s.xlsx", &bytes, &[], None).unwrap();
    assert_eq!(opened.rows().len(), 1_198);
    assert_eq!(
        opened.malformed(),
        [
            "3:cell: cell B3 holds the error #DIV/0!",
            "1101:field_count: cell E1101 lies beside the table, which has 2 columns"
        ]
    );
    let unwanted = open(
        "s.xlsx",
        &bytes,
        &[("schemaEvolutionMode", "none")],
        Some(&["id"]),
    )
    .unwrap();
    assert_eq!(
        unwanted.malformed().len(),
        1,
        "an error in a column nobody wants harms nobody"
    );
}

#[test]
fn a_far_away_cell_costs_no_room() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_string(0, 0, "a").unwrap();
    sheet.write_number(1, 0, 1.0).unwrap();
    sheet.write_number(1_048_575, 16_383, 2.0).unwrap();
    let opened = open("s.xlsx", &book.save_to_buffer().unwrap(), &[], None).unwrap();
    assert_eq!(opened.names().len(), 16_384);
    let rows = opened.rows();
    assert!(rows.len() == 2 && rows[1].starts_with("1048576:"));
}

#[test]
fn many_rows_come_in_several_pieces_with_the_right_lines() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    sheet.write_string(0, 0, "n").unwrap();
    for row in 1..=20_000_u32 {
        sheet
            .write_number(row + row / 5_000, 0, f64::from(row))
            .unwrap();
    }
    let opened = open("s.xlsx", &book.save_to_buffer().unwrap(), &[], None).unwrap();
    let rows = opened.rows();
    assert_eq!((opened.pieces.len(), rows.len()), (3, 20_000));
    assert_eq!(
        (
            rows[0].as_str(),
            rows[4_999].as_str(),
            rows[19_999].as_str()
        ),
        ("2:1", "5002:5000", "20005:20000")
    );
}

#[test]
fn the_old_binary_format_is_read() {
    let bytes = include_bytes!("testdata/old.xls");
    let opened = open("old.xls", bytes, &[], None).unwrap();
    assert_eq!(opened.names(), ["id", "name", "day", "amount", "region"]);
    assert_eq!(opened.rows()[0], "2:1|Müller 1|2026-03-01|1.25|north");
    assert_eq!(opened.rows()[5], "7:6|Müller 6|2026-03-06|6.25|south");
    assert_eq!(open("data", bytes, &[], None).unwrap().rows().len(), 6);
    for length in [8, 100, 600, bytes.len() / 2] {
        refusal("old.xls", &bytes[..length], &[]);
    }
}

#[test]
fn what_is_no_workbook_is_refused_with_the_reason() {
    let bytes = sales();
    let options = [("format", "excel")];
    assert!(refusal("s.xlsx", b"", &options).contains("is empty"));
    assert!(refusal("s.xlsx", b"id,name\n1,x\n", &options).contains("no workbook"));
    for length in [30, bytes.len() / 2, bytes.len() - 30] {
        assert!(refusal("s.xlsx", &bytes[..length], &options).contains("breaks off after"));
    }
    let mut locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    locked.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    assert!(refusal("s.xlsx", &locked, &options).contains("password"));
}

#[test]
fn an_empty_sheet_has_no_columns() {
    let mut book = Workbook::new();
    book.add_worksheet();
    let opened = open("s.xlsx", &book.save_to_buffer().unwrap(), &[], None).unwrap();
    assert!(
        opened.discovered.columns.is_empty() && opened.pieces.is_empty() && opened.error.is_none()
    );
}
