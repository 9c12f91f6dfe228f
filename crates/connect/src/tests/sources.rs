//! Files and stores: listing, compression, slices, several files, and everything a path can be
//! instead of a file.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use crate::fuzz::read_source;
use crate::source::Source;
use crate::tests::rows;
use crate::{
    Compression, ConnectError, Discovered, ErrorKind, FileEntry, ReadOptions, Reading, Slice,
    discover, list, metadata_column,
};

fn options(pairs: &[(&str, &str)]) -> ReadOptions {
    let (options, rest) = ReadOptions::take(pairs.iter().copied()).unwrap();
    assert!(rest.is_empty());
    options
}

fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn found(root: &Path, path: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let files = list(root, path, &options(pairs)).await.unwrap();
    let base = root.display().to_string() + "/";
    files
        .iter()
        .map(|file| file.display().replace(&base, ""))
        .collect()
}

/// Reads all files through the public functions; rows as text.
async fn read_all(
    files: Vec<FileEntry>,
    options: ReadOptions,
) -> (Discovered, Vec<String>, Vec<ConnectError>) {
    let discovered = discover(&files, &options).await.unwrap();
    let reading = Reading::new(Arc::new(discovered.clone()), Arc::new(options), None);
    let handle = Handle::current();
    let read = move || {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for file in files {
            let mut skip = 0;
            for piece in reading.pieces(Slice::whole(&Arc::new(file)), handle.clone()) {
                match piece.and_then(|piece| piece.decode(skip)) {
                    Ok(decoded) => {
                        skip = decoded.overrun;
                        let columns = decoded.batch.columns.columns();
                        for row in 0..decoded.batch.columns.num_rows() {
                            let shown = columns.iter().map(|column| {
                                let column = column.as_string_view();
                                if column.is_valid(row) {
                                    column.value(row)
                                } else {
                                    "-"
                                }
                            });
                            all.push(shown.collect::<Vec<_>>().join("|"));
                        }
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        (all, errors)
    };
    let (all, errors) = tokio::task::spawn_blocking(read).await.unwrap();
    (discovered, all, errors)
}

#[tokio::test]
async fn paths_mean_files_folders_and_globs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in [
        "a.csv",
        "b.txt",
        "in/c.csv",
        "in/deep/d.csv",
        "in/_marks/e.csv",
        "in/.hidden.csv",
        "in/_f.csv",
        "x[1].csv",
    ] {
        put(root, path, "a\n1\n");
    }
    assert_eq!(found(root, "a.csv", &[]).await, ["a.csv"]);
    assert_eq!(found(root, "in", &[]).await, ["in/c.csv", "in/deep/d.csv"]);
    assert_eq!(found(root, "*.csv", &[]).await, ["a.csv", "x[1].csv"]);
    assert_eq!(
        found(root, "**/*.csv", &[]).await,
        ["a.csv", "in/c.csv", "in/deep/d.csv", "x[1].csv"]
    );
    assert_eq!(
        found(root, "{a.csv,in/c.csv}", &[]).await,
        ["a.csv", "in/c.csv"]
    );
    assert_eq!(
        found(root, "in/*", &[]).await,
        ["in/c.csv", "in/deep/d.csv"]
    );
    assert_eq!(
        found(root, "in/d??p/[cd].csv", &[]).await,
        ["in/deep/d.csv"]
    );
    assert_eq!(found(root, "x[1].csv", &[]).await, ["x[1].csv"]);
    assert_eq!(
        found(root, ".", &[("pathGlobFilter", "[ab].*")]).await,
        ["a.csv", "b.txt"]
    );
    let url = format!("file://{}/in/*.csv", root.display());
    assert_eq!(found(root, &url, &[]).await, ["in/c.csv"]);
    assert_eq!(
        found(root, root.join("a.csv").to_str().unwrap(), &[]).await,
        ["a.csv"]
    );
}

#[tokio::test]
async fn files_are_chosen_by_time() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seconds) in [("old.csv", 1_000_000_000), ("new.csv", 1_700_000_000)] {
        put(folder.path(), name, "a\n1\n");
        let file = fs::File::options()
            .write(true)
            .open(folder.path().join(name))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds))
            .unwrap();
    }
    assert_eq!(
        found(folder.path(), ".", &[("modifiedAfter", "2010-01-01")]).await,
        ["new.csv"]
    );
    assert_eq!(
        found(
            folder.path(),
            "*.csv",
            &[("modifiedBefore", "2010-01-01T00:00:00Z")]
        )
        .await,
        ["old.csv"]
    );
    let none = list(
        folder.path(),
        "*.csv",
        &options(&[("modifiedAfter", "2030-01-01")]),
    )
    .await
    .unwrap_err();
    assert!(none.to_string().contains("2 left out by"), "{none}");
}

#[tokio::test]
async fn what_is_no_file_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, "payments.csv", "a\n1\n");
    put(root, "hidden/_a.csv", "a\n1\n");
    let plain = options(&[]);
    let missing = list(root, "paymets.csv", &plain).await.unwrap_err();
    assert!(
        missing.to_string().contains("did you mean")
            && missing.to_string().contains("payments.csv"),
        "{missing}"
    );
    assert_eq!(missing.kind(), ErrorKind::FixInput);
    let none = list(root, "hidden", &plain).await.unwrap_err();
    assert!(none.to_string().contains("1 skipped because"), "{none}");
    assert!(matches!(
        list(root, "*.json", &plain).await,
        Err(ConnectError::NoFiles { .. })
    ));
    assert!(matches!(
        list(root, "no/*.json", &plain).await,
        Err(ConnectError::Missing { .. })
    ));
    assert!(matches!(
        list(root, "a{b/*.json", &plain).await,
        Err(ConnectError::Pattern { .. })
    ));
    assert!(matches!(
        list(root, "ftp://x/y", &plain).await,
        Err(ConnectError::Url { .. })
    ));
    let pipe = root.join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let refused = list(root, "pipe", &plain).await.unwrap_err();
    assert!(refused.to_string().contains("is a pipe"), "{refused}");
    let gone = FileEntry {
        url: format!("file://{}/gone.csv", root.display()),
        ..FileEntry::local(&root.join("payments.csv")).unwrap()
    };
    assert!(matches!(
        discover(&[gone], &plain).await,
        Err(ConnectError::Missing { .. })
    ));
    let swapped = FileEntry::local(&root.join("payments.csv")).unwrap();
    fs::remove_file(root.join("payments.csv")).unwrap();
    fs::create_dir(root.join("payments.csv")).unwrap();
    let error = discover(&[swapped], &plain).await.unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
    let folder_as_file = FileEntry::local(root).unwrap_err();
    assert!(
        folder_as_file.to_string().contains("is a folder"),
        "{folder_as_file}"
    );
}

#[tokio::test]
async fn folders_named_key_value_become_columns() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(
        root,
        "t/day=2026-01-01/country=DE/a.csv",
        "id,country\n1,XX\n",
    );
    put(
        root,
        "t/day=2026-01-02/country=a%20b/b.csv",
        "id,country\n2,XX\n",
    );
    put(
        root,
        "t/day=__HIVE_DEFAULT_PARTITION__/country=FR/c.csv",
        "id,country\n3,XX\n",
    );
    let files = list(root, "t", &options(&[])).await.unwrap();
    let (discovered, rows, _) = read_all(files, options(&[])).await;
    let columns: Vec<(&str, &DataType)> = discovered
        .columns
        .iter()
        .map(|column| (column.name.as_str(), &column.data_type))
        .collect();
    assert_eq!(
        columns,
        [
            ("id", &DataType::Int64),
            ("day", &DataType::Date32),
            ("country", &DataType::Utf8View)
        ]
    );
    assert!(discovered.columns[1].nullable);
    assert_eq!(rows, ["1|2026-01-01|DE", "2|2026-01-02|a b", "3|-|FR"]);
    let files = list(root, "t", &options(&[("recursiveFileLookup", "true")]))
        .await
        .unwrap();
    assert!(files.iter().all(|file| file.partitions.is_empty()));
}

#[tokio::test]
async fn schemas_of_several_files_are_merged_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    put(root, "1.csv", "id,price\n1,2\n");
    put(root, "2.csv", "price,id,note\n2.5,2,x\n");
    put(root, "3.csv", "id;price\nA3;7\n");
    put(root, "4.csv", "");
    let files = list(root, "*.csv", &options(&[])).await.unwrap();
    let (discovered, rows, errors) = read_all(files, options(&[])).await;
    let columns: Vec<(&str, &DataType)> = discovered
        .columns
        .iter()
        .map(|column| (column.name.as_str(), &column.data_type))
        .collect();
    let text = &DataType::Utf8View;
    assert_eq!(
        columns,
        [("id", text), ("price", &DataType::Float64), ("note", text)]
    );
    assert!(discovered.columns[2].nullable);
    assert_eq!(rows, ["1|2|-", "2|2.5|x", "A3|7|-"]);
    assert!(errors.is_empty(), "{errors:?}");
}

fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Compression::Bzip2 => {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Compression::Xz => liblzma::encode_all(bytes, 1).unwrap(),
    }
}

const COMPRESSIONS: [(Compression, &str); 4] = [
    (Compression::Gzip, "gz"),
    (Compression::Zstd, "zst"),
    (Compression::Bzip2, "bz2"),
    (Compression::Xz, "xz"),
];

fn numbers(from: usize, to: usize) -> String {
    (from..to)
        .map(|n| format!("{n},text of row {}\n", n * 7919 % 1000))
        .collect()
}

#[tokio::test]
async fn compressed_files_are_read_in_all_their_parts() {
    let folder = tempfile::tempdir().unwrap();
    for (compression, extension) in COMPRESSIONS {
        let parts = [
            format!("id,note\n{}", numbers(0, 500)),
            numbers(500, 900),
            String::new(),
            numbers(900, 1000),
        ];
        let mut bytes: Vec<u8> = parts
            .iter()
            .flat_map(|part| compress(compression, part.as_bytes()))
            .collect();
        if compression == Compression::Gzip {
            bytes.extend([0; 512]);
        }
        // Told by the first bytes, whatever the name says.
        for name in [
            format!("a.csv.{extension}"),
            format!("{extension}.csv"),
            extension.to_owned(),
        ] {
            put(folder.path(), &name, &bytes);
            let files = list(folder.path(), &name, &options(&[])).await.unwrap();
            let (discovered, rows, errors) =
                read_all(files, options(&[("blockBytes", "1000")])).await;
            assert_eq!(
                (discovered.compression, rows.len(), errors.len()),
                (compression, 1000, 0),
                "{name}"
            );
            assert_eq!(rows[999], format!("999|text of row {}", 999 * 7919 % 1000));
        }
    }
    put(folder.path(), "plain.csv.gz", "id\n1\n");
    let files = list(folder.path(), "plain.csv.gz", &options(&[]))
        .await
        .unwrap();
    assert_eq!(read_all(files, options(&[])).await.1, ["1"]);
}

#[tokio::test]
async fn a_cut_stream_gives_the_rows_before_the_cut_and_then_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("id,note\n{}", numbers(0, 20_000));
    let lines: String = (0..20_000)
        .map(|n| format!("{{\"id\":{n},\"x\":{}}}\n", n * 7919 % 1000))
        .collect();
    for (compression, extension) in COMPRESSIONS {
        for (kind, text) in [("csv", &text), ("json", &lines)] {
            let whole = compress(compression, text.as_bytes());
            let name = format!("a.{kind}.{extension}");
            put(folder.path(), &name, &whole[..whole.len() * 9 / 10]);
            let files = list(folder.path(), &name, &options(&[])).await.unwrap();
            let (_, rows, errors) = read_all(files, options(&[("blockBytes", "64kb")])).await;
            assert!(
                matches!(errors[..], [ConnectError::Truncated { .. }]),
                "{name}: {errors:?}"
            );
            // bzip2 and zstd decode whole blocks, which here are nearly the file.
            let least = if matches!(compression, Compression::Gzip | Compression::Xz) {
                10_000
            } else {
                0
            };
            assert!(
                rows.len() >= least && rows.len() < 20_000,
                "{name}: {}",
                rows.len()
            );
            for (n, row) in rows.iter().enumerate() {
                let x = n * 7919 % 1000;
                let full = if kind == "csv" {
                    format!("{n}|text of row {x}")
                } else {
                    format!("{n}|{x}")
                };
                assert_eq!(*row, full, "{name}");
            }
        }
    }
    let mut damaged = compress(Compression::Gzip, text.as_bytes());
    let middle = damaged.len() / 2;
    damaged[middle..middle + 50].fill(0x55);
    put(folder.path(), "d.csv.gz", damaged);
    let files = list(folder.path(), "d.csv.gz", &options(&[]))
        .await
        .unwrap();
    let (_, _, errors) = read_all(files, options(&[])).await;
    assert!(
        matches!(
            errors[..],
            [ConnectError::Decompress { .. } | ConnectError::Truncated { .. }]
        ),
        "{errors:?}"
    );
}

#[tokio::test]
async fn a_grown_file_is_read_from_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "\u{feff}id,note\n1,x\n2,\"y\nz\"\n").unwrap();
    let first = Arc::new(FileEntry::local(&path).unwrap());
    let all = options(&[]);
    let discovered = Arc::new(discover(&[(*first).clone()], &all).await.unwrap());
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"3,w\n")
        .unwrap();
    let grown = Arc::new(FileEntry::local(&path).unwrap());
    let reading = Reading::new(discovered, Arc::new(all), None);
    let handle = Handle::current();
    let decode = move |slice: Slice| -> Vec<(u64, String)> {
        let base = slice.first_line;
        let mut rows = Vec::new();
        for piece in reading.pieces(slice, handle.clone()) {
            let batch = piece.unwrap().decode(0).unwrap().batch;
            let raw = batch.raw.unwrap();
            rows.extend(
                batch
                    .line
                    .iter()
                    .zip(raw.as_string_view())
                    .map(|(line, raw)| (base + u64::from(*line), raw.unwrap().to_owned())),
            );
        }
        rows
    };
    let (head, tail) = tokio::task::spawn_blocking(move || {
        let head = decode(Slice {
            to: first.size,
            ..Slice::whole(&grown)
        });
        let rest = Slice {
            file: Arc::clone(&grown),
            from: first.size,
            to: grown.size,
            first_line: 5,
        };
        (head, decode(rest))
    })
    .await
    .unwrap();
    assert_eq!(head, [(2, "1,x".to_owned()), (3, "2,\"y\nz\"".to_owned())]);
    assert_eq!(tail, [(5, "3,w".to_owned())]);
}

#[tokio::test]
async fn objects_of_a_store_are_listed_and_read() {
    let store = Arc::new(InMemory::new());
    for (path, text) in [
        ("in/k=1/a.csv", format!("id,note\n{}", numbers(0, 3000))),
        ("in/k=2/b.csv", "id,note\n7,z\n".to_owned()),
        ("in/_done/c.csv", "x".to_owned()),
    ] {
        let store: &dyn ObjectStore = &*store;
        store.put(&path.into(), text.into()).await.unwrap();
    }
    let plain = options(&[("blockBytes", "10kb")]);
    plain.stores.insert("s3://bucket", store);
    let root = Path::new("/");
    let listed = |path: &'static str| {
        let plain = plain.clone();
        async move {
            list(root, path, &plain)
                .await
                .map(|files| files.iter().map(FileEntry::display).collect::<Vec<_>>())
        }
    };
    assert_eq!(
        listed("s3://bucket/in").await.unwrap(),
        ["s3://bucket/in/k=1/a.csv", "s3://bucket/in/k=2/b.csv"]
    );
    assert_eq!(
        listed("s3://bucket/in/**/b.*").await.unwrap(),
        ["s3://bucket/in/k=2/b.csv"]
    );
    assert_eq!(
        listed("s3://bucket/in/k=1/a.csv").await.unwrap(),
        ["s3://bucket/in/k=1/a.csv"]
    );
    assert_eq!(listed("s3://bucket/in/k=*").await.unwrap().len(), 2);
    assert!(matches!(
        listed("s3://bucket/out").await,
        Err(ConnectError::Missing { .. })
    ));
    let files = list(root, "s3://bucket/in", &plain).await.unwrap();
    let (discovered, rows, errors) = read_all(files, plain).await;
    assert_eq!(discovered.columns.len(), 3);
    assert_eq!((rows.len(), errors.len()), (3001, 0));
    assert_eq!(
        (rows[2999].as_str(), rows[3000].as_str()),
        (
            format!("2999|text of row {}|1", 2999 * 7919 % 1000).as_str(),
            "7|z|2"
        )
    );
}

#[tokio::test]
async fn metadata_says_where_a_row_is_from() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a b.csv", "id\n1\n");
    let file = list(folder.path(), "a b.csv", &options(&[]))
        .await
        .unwrap()
        .remove(0);
    let column = metadata_column(&file, &[11, 14]);
    assert_eq!(
        column
            .column_by_name("file_name")
            .unwrap()
            .as_string_view()
            .value(1),
        "a b.csv"
    );
    let path = folder.path().join("a b.csv").display().to_string();
    assert_eq!(
        column
            .column_by_name("file_path")
            .unwrap()
            .as_string_view()
            .value(0),
        path
    );
    assert_eq!(
        column
            .column_by_name("row_number")
            .unwrap()
            .as_primitive::<Int64Type>()
            .values(),
        &[11, 14]
    );
    assert_eq!(
        column
            .column_by_name("file_size")
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0),
        5
    );
    let again: FileEntry = serde_json::from_str(&serde_json::to_string(&file).unwrap()).unwrap();
    assert_eq!(again, file);
}

#[tokio::test]
async fn formats_are_told_from_the_content_where_the_name_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    for (text, format) in [
        ("id,name\n1,x\n2,y\n", "csv"),
        ("{\"a\":1}\n", "json"),
        ("[\n {\"a\": 1}]", "json"),
        (
            "It was a dark and stormy night;\nthe rain fell, in torrents\n",
            "text",
        ),
    ] {
        put(folder.path(), "landing", text);
        let file = FileEntry::local(&folder.path().join("landing")).unwrap();
        assert_eq!(
            discover(&[file], &options(&[]))
                .await
                .unwrap()
                .format
                .name(),
            format,
            "{text}"
        );
    }
}

#[test]
fn options_are_checked() {
    let take = |name: &'static str, value: &'static str| ReadOptions::take([(name, value)]);
    assert_eq!(
        take("SEP", "\\t").unwrap().0.delimiter.as_deref(),
        Some("\t")
    );
    assert_eq!(
        take("maxrowbytes", "2MB").unwrap().0.max_row_bytes,
        Some(2 << 20)
    );
    assert_eq!(take("aws_region", "eu-west-1").unwrap().0.store.len(), 1);
    assert_eq!(take("nullValue", "NA").unwrap().1.len(), 1);
    for (name, value) in [
        ("header", "maybe"),
        ("quote", "ab"),
        ("encoding", "klingon"),
        ("format", "docx"),
        ("multiLine", "x"),
    ] {
        let error = take(name, value).unwrap_err().to_string();
        assert!(error.contains(value) && error.contains("is not"), "{error}");
    }
    let names: Vec<&str> = crate::OPTIONS.iter().map(|spec| spec.names[0]).collect();
    assert!(
        names.is_sorted_by_key(|name| name.to_lowercase()),
        "{names:?}"
    );
}

#[test]
fn text_is_one_column() {
    let plain = options(&[("format", "text")]);
    let source = Source::memory("a.log", "one\n\ntwo, three\r\nfour".into(), &plain);
    let discovered = crate::discover::discover_source(&source, &plain).unwrap();
    let outcome = read_source(
        &source,
        &Reading::new(Arc::new(discovered), Arc::new(plain), None),
    );
    assert_eq!(
        (outcome.names.clone(), rows(&outcome)),
        (
            vec!["value".to_owned()],
            vec![
                "one".to_owned(),
                String::new(),
                "two, three".to_owned(),
                "four".to_owned()
            ]
        )
    );
}
