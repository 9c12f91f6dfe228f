//! Settings files: what they give, and what their mistakes look like.

use std::path::Path;

use super::*;
use crate::diagnostic::Diagnostic;
use crate::source::SourceMap;

fn toml(text: &str) -> (Settings, Option<String>, Vec<Diagnostic>) {
    let root = Path::new("/p");
    let mut files = SourceMap::default();
    let file = files.add(TIDEGATE_FILE, text);
    let mut settings = Settings::of(root);
    let mut diagnostics = Vec::new();
    let environment = Environment::new(|name| (name == "PASSWORD").then(|| "secret".to_owned()));
    let name = read_tidegate(
        root,
        file,
        &files,
        &environment,
        &mut settings,
        &mut diagnostics,
    );
    for diagnostic in &diagnostics {
        diagnostic.render(&files, Default::default());
    }
    (settings, name, diagnostics)
}

fn yaml(text: &str) -> (Settings, SparkPipeline, Vec<Diagnostic>, SourceMap) {
    let root = Path::new("/p");
    let mut files = SourceMap::default();
    let file = files.add("spark-pipeline.yml", text);
    let mut settings = Settings::of(root);
    let mut diagnostics = Vec::new();
    let pipeline = SparkPipeline::read(root, file, &files, &mut settings, &mut diagnostics);
    (settings, pipeline, diagnostics, files)
}

#[test]
fn a_full_tidegate_toml() {
    let (settings, name, diagnostics) = toml(
        r#"
name = "shop"
warehouse = "data/warehouse"
catalog = "main"
schema = "sales"
[engine]
threads = 4
memory = "1.5 GiB"
spill = "tmp"
[store]
url = "postgres://tidegate:${PASSWORD}@db/runs"
[alerts]
webhook = "https://example.com/hook"
[configuration]
a.b = 1
"spark.sql.session.timeZone" = "UTC"
flag = true
"#,
    );
    assert_eq!(diagnostics, []);
    assert_eq!(name.as_deref(), Some("shop"));
    assert_eq!(settings.warehouse, "/p/data/warehouse");
    assert_eq!(settings.threads, Some(4));
    assert_eq!(settings.memory_bytes, Some(3 << 29));
    assert_eq!(settings.spill.as_deref(), Some(Path::new("/p/tmp")));
    assert_eq!(
        settings.store.as_deref(),
        Some("postgres://tidegate:secret@db/runs")
    );
    assert_eq!(settings.configuration["a.b"], "1");
    assert_eq!(settings.configuration["spark.sql.session.timeZone"], "UTC");
    assert_eq!(settings.configuration["flag"], "true");
    assert!(!format!("{settings:?}").contains("secret"));
}

#[test]
fn mistakes_are_all_found_and_the_rest_is_kept() {
    let (settings, name, diagnostics) = toml(
        r#"
nmae = "shop"
warehouse = 5
[engine]
threads = 0
memory = "lots"
treads = 2
[store]
url = "postgres://u:clear@h/d"
[alerts]
webhook = "${NOT_SET}"
"#,
    );
    let mut codes: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "TG0104", "TG0104", "TG0105", "TG0105", "TG0105", "TG0106", "TG0107"
        ]
    );
    assert_eq!(name, None);
    assert_eq!(settings.warehouse, "/p/.tidegate/warehouse");
    let helps: Vec<_> = diagnostics
        .iter()
        .filter_map(|d| d.help.as_deref())
        .collect();
    assert!(helps.contains(&"did you mean `name`?"), "{helps:?}");
    assert!(helps.contains(&"did you mean `threads`?"), "{helps:?}");
}

#[test]
fn every_syntax_error_of_toml_is_shown() {
    let (_, name, diagnostics) = toml("name = \"a\"\nbroken =\n[engine\nthreads = 2\n");
    assert!(diagnostics.len() >= 2, "{diagnostics:?}");
    assert_eq!(name.as_deref(), Some("a"));
}

#[test]
fn amounts_of_memory() {
    use super::tidegate::parse_bytes;
    assert_eq!(parse_bytes("512"), Some(512));
    assert_eq!(parse_bytes(" 4 GiB "), Some(4 << 30));
    assert_eq!(parse_bytes("800MB"), Some(800_000_000));
    assert_eq!(parse_bytes("2g"), Some(2 << 30));
    for wrong in ["", "GB", "-1GB", "1 XB", "1..5 GB", "99999999999 TB"] {
        assert_eq!(parse_bytes(wrong), None, "{wrong}");
    }
}

#[test]
fn locations_are_resolved_against_the_root() {
    let root = Path::new("/p");
    assert_eq!(resolve(root, "a/b"), "/p/a/b");
    assert_eq!(resolve(root, "/a/b"), "/a/b");
    assert_eq!(resolve(root, "file:///tmp/x"), "/tmp/x");
    assert_eq!(resolve(root, "file:/tmp/x"), "/tmp/x");
    assert_eq!(resolve(root, "s3://bucket/x"), "s3://bucket/x");
}

#[test]
fn a_spark_pipeline() {
    let (settings, pipeline, diagnostics, files) = yaml(
        "name: payments\nstorage: file:///tmp/storage\ncatalog: spark_catalog\ndatabase: sales\n\
         configuration:\n  spark.sql.shuffle.partitions: \"4\"\n  x: 5\nlibraries:\n  - glob:\n      \
         include: transformations/**\n  - glob:\n      include: more/*.sql\n",
    );
    assert_eq!(diagnostics, []);
    assert_eq!(pipeline.name.as_deref(), Some("payments"));
    assert!(settings.spark_pipeline);
    assert_eq!(settings.warehouse, "/tmp/storage");
    assert_eq!(settings.catalog.as_deref(), Some("spark_catalog"));
    assert_eq!(settings.schema, "sales");
    assert_eq!(settings.configuration["x"], "5");
    assert_eq!(pipeline.includes[1].value, "more/*.sql");
    assert_eq!(
        files.text(pipeline.includes[1].place),
        "include: more/*.sql"
    );
}

#[test]
fn mistakes_in_a_spark_pipeline() {
    let (_, _, diagnostics, _) = yaml("name: [1]\nstroage: x\nlibraries:\n  - glob: a\n");
    let codes: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["TG0105", "TG0104", "TG0105"]);
    assert_eq!(
        diagnostics[1].help.as_deref(),
        Some("did you mean `storage`?")
    );
    let (_, _, diagnostics, _) = yaml("name: x\n  y: [");
    assert_eq!(diagnostics[0].code, "TG0103");
    let (_, _, diagnostics, _) = yaml("");
    assert_eq!(diagnostics[0].code, "TG0105");
}
