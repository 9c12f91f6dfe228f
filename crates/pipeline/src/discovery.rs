//! What is found out about files before they are read: their format, layout and columns, asked once per path.
//!
//! `connect` discovers; this module remembers, so that `check`, planning and the update of one run look at the head of a
//! file once, and turns a project's `read_files(…)` into the reader's and the gate's options, with the place of an option
//! nobody knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parking_lot::Mutex;
use tidegate_connect::live::LiveOptions;
use tidegate_connect::{ConnectError, Discovered, FileEntry, ReadOptions, SchemaEvolutionMode};
use tidegate_gate::{CoercionOptions, Layout};
use tidegate_project::{Diagnostic, Opt, Place, RecordSource, SourceMap, parse_columns};

use crate::codes;
use crate::error::{PipelineError, Result};
use crate::workspace::{Workspace, nearest};

/// The options of one `read_files(…)`, parted by who reads them.
#[derive(Debug, Clone)]
pub(crate) struct FileOptions {
    pub(crate) read: Arc<ReadOptions>,
    pub(crate) coercion: CoercionOptions,
    /// Those of [`FileOptions::coercion`] as they are written.
    pub(crate) written: BTreeMap<String, String>,
    pub(crate) repair: bool,
    /// Those of live sources; only records have them.
    pub(crate) live: Option<LiveOptions>,
}

/// The options of live sources, those of readers, and what is left.
type Taken =
    std::result::Result<(Option<LiveOptions>, ReadOptions, BTreeMap<String, String>), ConnectError>;

/// Options that the pipeline itself reads.
const OWN: &[&str] = &["repair", "schema"];

impl FileOptions {
    /// Reads the options.
    ///
    /// # Errors
    /// [`PipelineError::Diagnostics`] with the place of an option that is unknown or has a value it cannot have.
    pub(crate) fn parse(format: Option<&str>, options: &BTreeMap<String, Opt>) -> Result<Self> {
        Self::parse_as(format, options, "read_files", |pairs| {
            let (read, rest) = ReadOptions::take(pairs)?;
            Ok((None, read, rest))
        })
    }

    /// Reads the options of a live source. Records of a topic are JSON unless something else is said.
    ///
    /// # Errors
    /// As [`FileOptions::parse`].
    pub(crate) fn parse_live(
        source: &RecordSource,
        format: Option<&str>,
        options: &BTreeMap<String, Opt>,
    ) -> Result<Self> {
        let format = match source {
            RecordSource::Topic(_) => Some(format.unwrap_or("json")),
            RecordSource::Kafka => format,
        };
        Self::parse_as(format, options, source.function(), |pairs| {
            let (live, read, rest) = LiveOptions::take(pairs)?;
            Ok((Some(live), read, rest))
        })
    }

    fn parse_as(
        format: Option<&str>,
        options: &BTreeMap<String, Opt>,
        function: &'static str,
        take: impl FnOnce(BTreeMap<&str, &str>) -> Taken,
    ) -> Result<Self> {
        let mut pairs: BTreeMap<&str, &str> = options
            .iter()
            .map(|(name, option)| (name.as_str(), option.value.as_str()))
            .collect();
        if let Some(format) = format {
            pairs.insert("format", format);
        }
        let (live, mut read, rest) =
            take(pairs).map_err(|error| misread(options, &error.to_string(), option_of(&error)))?;
        let mut repair = false;
        let mut unknown = Vec::new();
        for (name, value) in &rest {
            if name.eq_ignore_ascii_case("repair") {
                repair = value.eq_ignore_ascii_case("true");
            } else if name.eq_ignore_ascii_case("schema") {
                let columns = columns(value).map_err(|expected| {
                    let message =
                        format!("the option `{name}` is not a list of columns: {expected}");
                    misread(options, &message, Some(name))
                })?;
                read.schema = Some(columns);
            } else if !CoercionOptions::names().any(|known| known.eq_ignore_ascii_case(name)) {
                unknown.push(unknown_option(name, options, function));
            }
        }
        if !unknown.is_empty() {
            return Err(PipelineError::Diagnostics(unknown));
        }
        let coercion = CoercionOptions::from_options(&rest)
            .map_err(|error| misread(options, &error.to_string(), None))?;
        Ok(Self {
            read: Arc::new(read),
            coercion,
            written: rest,
            repair,
            live,
        })
    }
}

/// The columns of the option `schema`; or the first thing that is wrong with them.
fn columns(text: &str) -> Result<Vec<(String, DataType)>, String> {
    let columns = parse_columns(&mut SourceMap::default(), "schema", text);
    let columns = columns.map_err(|mistakes| {
        let first = mistakes.first().map(|mistake| mistake.message.clone());
        first.unwrap_or_default()
    })?;
    let columns = columns.into_iter();
    Ok(columns
        .map(|column| (column.name, column.data_type))
        .collect())
}

impl FileOptions {
    /// The columns that were discovered, any of which may be NULL, and the one for rescued fields where it is wanted.
    pub(crate) fn schema_of(&self, discovered: &Discovered) -> SchemaRef {
        let own = discovered
            .columns
            .iter()
            .map(|column| Field::new(&column.name, column.data_type.clone(), true));
        let rescued = self.rescued_field();
        let known = |name: &String| discovered.columns.iter().any(|own| own.name == *name);
        let rescued = rescued.filter(|field| !known(field.name()));
        Arc::new(Schema::new(own.chain(rescued).collect::<Vec<_>>()))
    }

    /// The column for what nobody declared, in the mode `rescue`.
    pub(crate) fn rescued_field(&self) -> Option<Field> {
        (self.read.evolution == Some(SchemaEvolutionMode::Rescue))
            .then(|| Field::new(self.read.rescued_name(), DataType::Utf8View, true))
    }

    /// Reads options that are written in no file of the project, as on a command line.
    ///
    /// # Errors
    /// [`PipelineError::Diagnostics`] for an option that is unknown or has a value it cannot have.
    pub(crate) fn given(options: &BTreeMap<String, String>) -> Result<Self> {
        let place = SourceMap::default().add("options", "");
        let place = Place::new(place, 0..0);
        let placed = options.iter().map(|(name, value)| {
            (
                name.clone(),
                Opt {
                    value: value.clone(),
                    place,
                },
            )
        });
        Self::parse(None, &placed.collect()).map_err(|error| match error.diagnostics() {
            Some(_) => PipelineError::Request(error.to_string()),
            None => error,
        })
    }
}

fn option_of(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::OptionValue { name, .. } => Some(name),
        _ => None,
    }
}

/// An option's value that cannot be, with its place where it is known which one.
fn misread(options: &BTreeMap<String, Opt>, message: &str, name: Option<&str>) -> PipelineError {
    let mut diagnostic = Diagnostic::error(codes::OPTION, message);
    let place = options
        .iter()
        .find(|(written, _)| match name {
            Some(name) => written.eq_ignore_ascii_case(name),
            None => message.contains(written.as_str()),
        })
        .map(|(_, option)| option.place);
    if let Some(place) = place {
        diagnostic = diagnostic.at(place, "this option");
    }
    PipelineError::Diagnostics(vec![diagnostic])
}

fn unknown_option(name: &str, options: &BTreeMap<String, Opt>, function: &str) -> Diagnostic {
    let live = LiveOptions::names().filter(|_| function != "read_files");
    let known = ReadOptions::names()
        .chain(live)
        .chain(CoercionOptions::names())
        .chain(OWN.iter().copied());
    let mut diagnostic = Diagnostic::error(
        codes::OPTION,
        format!("`{name}` is not an option of {function}"),
    );
    if let Some(option) = options.get(name) {
        diagnostic = diagnostic.at(option.place, "not known");
    }
    match nearest(name, known.map(str::to_owned).collect()) {
        Some(nearest) => diagnostic.help(format!("did you mean `{nearest}`?")),
        None => diagnostic.help("docs/sql.md lists the options"),
    }
}

/// Remembers discoveries by path and options.
#[derive(Debug, Default)]
pub(crate) struct Discoveries {
    known: Mutex<BTreeMap<String, Arc<Discovered>>>,
}

impl Discoveries {
    /// What the files of `path` look like, by their heads.
    ///
    /// # Errors
    /// When there are none or they cannot be understood.
    pub(crate) async fn of_path(
        &self,
        root: &Path,
        path: &str,
        options: &FileOptions,
    ) -> Result<Arc<Discovered>> {
        let key = format!("{path}\u{0}{:?}", options.read);
        if let Some(found) = self.known.lock().get(&key) {
            return Ok(Arc::clone(found));
        }
        let files = tidegate_connect::list(root, path, &options.read).await?;
        let found = Self::of_files(&files, options).await?;
        self.known.lock().insert(key, Arc::clone(&found));
        Ok(found)
    }

    /// What the records of a live source look like, by the first of them. What has no columns yet is looked at again.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub(crate) async fn of_records(
        &self,
        workspace: &Workspace,
        source: &RecordSource,
        options: &FileOptions,
    ) -> Result<Arc<Discovered>> {
        let key = format!("{source:?}\u{0}{:?}\u{0}{:?}", options.live, options.read);
        if let Some(found) = self.known.lock().get(&key) {
            return Ok(Arc::clone(found));
        }
        let (opener, source, options) = (workspace.opener(), source.clone(), options.clone());
        let found = tokio::task::spawn_blocking(move || opener.discover_records(&source, &options));
        let found = found.await.map_err(|_| PipelineError::Worker)??;
        if !found.columns.is_empty() {
            self.known.lock().insert(key, Arc::clone(&found));
        }
        Ok(found)
    }

    /// What these very files look like.
    pub(crate) async fn of_files(
        files: &[FileEntry],
        options: &FileOptions,
    ) -> Result<Arc<Discovered>> {
        Ok(Arc::new(
            tidegate_connect::discover(files, &options.read).await?,
        ))
    }
}

/// The layout that repairs try other cuts of; none where the format has no delimiters or no repair is wanted.
pub(crate) fn repair_layout(discovered: &Discovered, options: &FileOptions) -> Option<Arc<Layout>> {
    if !options.repair {
        return None;
    }
    let tidegate_connect::Layout::Csv(dialect) = &discovered.layout else {
        return None;
    };
    Some(Arc::new(Layout {
        names: discovered
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        delimiter: dialect.delimiter.clone(),
        quote: dialect.quote,
        escape: dialect.escape,
        constants: Vec::new(),
    }))
}
