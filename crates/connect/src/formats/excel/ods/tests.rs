//! OpenDocument sheets by hand, as programs write them.

use std::io::Write;

use crate::formats::typed::testing::{open, refusal};
use crate::tests::memory::{MUCH, peak};

/// A workbook of this content.
pub(crate) fn packed(content: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, text) in [
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
        (
            "META-INF/manifest.xml",
            "<?xml version=\"1.0\"?><manifest:manifest xmlns:manifest=\"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0\"/>",
        ),
    ] {
        archive.start_file(name, stored).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive
        .start_file("content.xml", zip::write::SimpleFileOptions::default())
        .unwrap();
    archive.write_all(content.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

/// What stands around the tables.
fn document(styles: &str, tables: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<office:document-content xmlns:office=\"urn:oasis:names:tc:opendocument:xmlns:office:1.0\" \
         xmlns:table=\"urn:oasis:names:tc:opendocument:xmlns:table:1.0\" xmlns:text=\"urn:oasis:names:tc:opendocument:xmlns:text:1.0\">\
         <office:scripts/><office:automatic-styles>{styles}</office:automatic-styles>\
         <office:body><office:spreadsheet><table:calculation-settings/>{tables}<table:named-expressions/>\
         </office:spreadsheet></office:body></office:document-content>"
    )
}

/// A workbook of one sheet of these rows.
fn book(rows: &str) -> Vec<u8> {
    packed(&document(
        "",
        &format!(
            "<table:table table:name=\"One\"><table:table-column table:number-columns-repeated=\"3\"/>{rows}</table:table>"
        ),
    ))
}

fn row(cells: &str) -> String {
    format!("<table:table-row>{cells}</table:table-row>")
}

fn text(text: &str) -> String {
    format!(
        "<table:table-cell office:value-type=\"string\"><text:p>{text}</text:p></table:table-cell>"
    )
}

fn value(kind: &str, attribute: &str, value: &str) -> String {
    format!(
        "<table:table-cell office:value-type=\"{kind}\" office:{attribute}=\"{value}\"><text:p>as shown</text:p></table:table-cell>"
    )
}

/// A small workbook, to be damaged.
pub(crate) fn small() -> Vec<u8> {
    let head = ["id", "day", "price"].map(text).concat();
    let values = [
        value("float", "value", "7"),
        value("date", "date-value", "2026-03-04"),
        value("currency", "value", "12.50"),
    ];
    book(&[row(&head), row(&values.concat())].concat())
}

#[test]
fn open_document_is_read() {
    let opened = open("s.ods", &small(), &[], None).unwrap();
    assert_eq!(
        (opened.names().join(","), opened.rows()),
        (
            "id,day,price".to_owned(),
            vec!["2:7|2026-03-04|12.5".to_owned()]
        )
    );
}

#[test]
fn every_kind_of_value_is_written_as_in_the_other_workbooks() {
    let values = [
        value("percentage", "value", "0.25"),
        value("date", "date-value", "2026-03-04T10:30:00"),
        value("date", "date-value", "2026-03-04T00:00:00"),
        value("time", "time-value", "PT10H30M00S"),
        value("boolean", "boolean-value", "true"),
        value("string", "string-value", "a &amp; b"),
        text(
            "<text:span>M&#252;ller</text:span><text:s text:c=\"3\"/>&lt;x&gt;\n  y<text:tab/>z<text:line-break/>w</text:p><text:p>2nd",
        ),
        text("seen<office:annotation><text:p>a remark</text:p></office:annotation>"),
        "<table:table-cell/>".to_owned(),
        "<table:table-cell office:value-type=\"string\"/>".to_owned(),
    ];
    let opened = open(
        "s.ods",
        &book(&[row(&["a"; 10].map(text).concat()), row(&values.concat())].concat()),
        &[("header", "true")],
        None,
    )
    .unwrap();
    assert_eq!(
        opened.rows(),
        [
            "2:0.25|2026-03-04T10:30:00|2026-03-04|10:30:00|true|a & b|Müller   <x> y\tz\nw\n2nd|seen|-|-"
        ]
    );
}

#[test]
fn repeated_and_merged_cells_and_groups_of_rows() {
    let tables = [
        row(&["a", "b", "c"].map(text).concat()),
        "<table:table-row-group>".to_owned(),
        format!("<table:table-row table:number-rows-repeated=\"2\"><table:table-cell table:number-columns-repeated=\"2\" office:value-type=\"float\" office:value=\"1\"/>{}</table:table-row>", text("x")),
        "</table:table-row-group>".to_owned(),
        "<table:table-row table:number-rows-repeated=\"3\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row>".to_owned(),
        row(&format!("<table:table-cell table:number-rows-spanned=\"2\" table:number-columns-spanned=\"2\" office:value-type=\"float\" office:value=\"5\"/><table:covered-table-cell/>{}", text("y"))),
        row(&format!("<table:covered-table-cell table:number-columns-repeated=\"2\"/>{}", text("z"))),
        "<table:table-row table:number-rows-repeated=\"1048568\"><table:table-cell table:number-columns-repeated=\"16384\"/></table:table-row>".to_owned(),
    ];
    let opened = open("s.ods", &book(&tables.concat()), &[], None).unwrap();
    assert_eq!(opened.rows(), ["2:1|1|x", "3:1|1|x", "7:5|5|y", "8:5|5|z"]);
}

#[test]
fn hidden_sheets_are_passed_over_and_errors_told() {
    let error = "<table:table-cell office:value-type=\"string\" office:string-value=\"\" calcext:value-type=\"error\"><text:p>#DIV/0!</text:p></table:table-cell>";
    let tables = [
        format!(
            "<table:table table:name=\"Old\" table:style-name=\"ta2\">{}</table:table>",
            row(&text("old"))
        ),
        format!(
            "<table:table table:name=\"New\" table:style-name=\"ta1\"><table:shapes><table:table>{}</table:table></table:shapes>{}{}</table:table>",
            row(&text("inside")),
            row(&text("n")),
            row(error)
        ),
    ];
    let styles = "<style:style style:name=\"ta1\"><style:table-properties table:display=\"true\"/></style:style>\
                  <style:style style:name=\"ta2\"><style:table-properties table:display=\"false\"/></style:style>";
    let bytes = packed(&document(styles, &tables.concat()));
    let opened = open("s.ods", &bytes, &[("header", "true")], None).unwrap();
    assert_eq!(opened.names(), ["n"]);
    assert_eq!(
        opened.malformed(),
        ["2:cell: cell A2 holds the error #DIV/0!"]
    );
    let old = open(
        "s.ods",
        &bytes,
        &[("sheet", "Old"), ("header", "false")],
        None,
    )
    .unwrap();
    assert_eq!(old.rows(), ["1:old"]);
}

#[test]
fn what_is_repeated_costs_no_room_and_too_much_is_refused() {
    let far = "<table:table-row table:number-rows-repeated=\"1000000\"><table:table-cell/></table:table-row>";
    let wide = format!(
        "<table:table-cell table:number-columns-repeated=\"16383\"/>{}",
        text("end")
    );
    let bytes = book(&[row(&text("a")), far.to_owned(), row(&wide)].concat());
    let most = peak(|| {
        let opened = open("s.ods", &bytes, &[], None).unwrap();
        assert_eq!(opened.rows().len(), 1);
    });
    assert!(most < MUCH, "{most}");
    for (rows, expected) in [
        (
            format!(
                "<table:table-row table:number-rows-repeated=\"1048576\">{}</table:table-row>",
                text("x").repeat(17)
            ),
            "repeat their cells more often",
        ),
        (
            format!(
                "<table:table-row table:number-rows-repeated=\"99999999999\">{}</table:table-row>",
                text("x")
            ),
            "repeat their cells more often",
        ),
        (
            format!("<table:table-row>{}", text("x")),
            "content.xml at byte",
        ),
    ] {
        let message = refusal("s.ods", &book(&rows), &[]);
        assert!(message.contains(expected), "{message}");
    }
    let spaces = text("<text:s text:c=\"4000000000\"/>");
    let most = peak(|| {
        let opened = open(
            "s.ods",
            &book(&[row(&text("a")), row(&spaces)].concat()),
            &[],
            None,
        )
        .unwrap();
        assert_eq!(
            opened.malformed(),
            ["2:too_long: the row is longer than maxRowBytes"]
        );
    });
    assert!(most < MUCH, "{most}");
    for content in [
        "",
        "<a>",
        "<office:document-content><office:body>",
        "no xml",
    ] {
        let outcome = open("s.ods", &packed(content), &[("format", "excel")], None);
        assert!(
            outcome.err().unwrap().to_string().contains("s.ods"),
            "{content}"
        );
    }
}
