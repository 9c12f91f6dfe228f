//! Drawing: what is shown, and that no text and no place breaks it.

use super::*;

fn one(text: &str, range: std::ops::Range<usize>) -> (SourceMap, Diagnostic) {
    let mut files = SourceMap::default();
    let file = files.add("a.sql", text);
    let diagnostic = Diagnostic::error("TG0305", "no table is called `x`")
        .at(Place::new(file, range), "not found")
        .help("did you mean `y`?");
    (files, diagnostic)
}

#[test]
fn a_mistake_is_shown_with_its_line_and_place() {
    let (files, diagnostic) = one("SELECT *\n\tFROM x;\n", 15..16);
    let shown = diagnostic.render(&files, RenderStyle::default());
    assert!(
        shown.starts_with("[TG0305] Error: no table is called `x`\n"),
        "{shown}"
    );
    assert!(shown.contains("a.sql:2:7"), "{shown}");
    assert!(
        shown.contains("FROM x;") && shown.contains("not found"),
        "{shown}"
    );
    assert!(shown.contains("Help: did you mean `y`?"), "{shown}");
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let text = format!("{}BAD{}\nnext", "é ".repeat(40_000), " z".repeat(40_000));
    let (files, diagnostic) = one(&text, 120_000..120_003);
    let shown = diagnostic.render(&files, RenderStyle::default());
    assert!(shown.len() < 2_000, "{}", shown.len());
    assert!(shown.contains("BAD") && shown.contains("…"), "{shown}");
}

#[test]
fn the_text_cannot_steer_the_terminal() {
    let (files, mut diagnostic) = one("a \u{1b}[31m \u{202e} \u{85} \u{b} x", 0..1);
    diagnostic.message = "found `\u{1b}[2J`".to_owned();
    let shown = diagnostic.render(&files, RenderStyle::default());
    assert!(
        !shown.contains(['\u{1b}', '\u{202e}', '\u{85}', '\u{b}']),
        "{shown:?}"
    );
}

#[test]
fn any_place_can_be_drawn() {
    for text in [
        "",
        "\n",
        "é",
        "a\nb",
        "\n\n\n",
        "a\r\nb\r\n",
        "\u{85}\u{2028}x",
    ] {
        for start in 0..8 {
            for end in start..10 {
                let (files, diagnostic) = one(text, start..end);
                let shown = diagnostic.render(&files, RenderStyle::default());
                assert!(shown.contains("no table is called"), "{shown}");
            }
        }
    }
}

#[test]
fn json_has_lines_columns_and_bytes() {
    let (files, diagnostic) = one("é\n x", 4..5);
    let json = diagnostic.to_json(&files);
    assert_eq!(json["labels"][0]["line"], 2);
    assert_eq!(json["labels"][0]["column"], 2);
    assert_eq!(json["labels"][0]["end_column"], 3);
    assert_eq!(json["labels"][0]["start"], 4);
    assert_eq!(json["severity"], "error");
    assert_eq!(json["help"], "did you mean `y`?");
}

#[test]
fn without_a_place_the_words_remain() {
    let diagnostic = Diagnostic::warning("TG0104", "nothing").note("really");
    let shown = diagnostic.render(&SourceMap::default(), RenderStyle::default());
    assert_eq!(shown, "[TG0104] Warning: nothing\n  Note: really\n");
}
