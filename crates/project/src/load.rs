//! From a folder to a [`Project`]: which files belong to it, and in which order.
//!
//! Loading never stops at the first mistake: what can be read is read, and everything else is a
//! diagnostic. Nothing is written and nothing is run.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use globset::GlobBuilder;

use crate::check;
use crate::codes;
use crate::diagnostic::{self, Diagnostic};
use crate::graph::Graph;
use crate::names::{Namespace, TableName};
use crate::project::Project;
use crate::settings::{
    Environment, Located, SPARK_FILES, Settings, SparkPipeline, TIDEGATE_FILE, read_tidegate,
};
use crate::source::{FileId, SourceMap};
use crate::sql::{Parts, read_script};

/// The folder of a Tidegate project's SQL.
const TABLES_FOLDER: &str = "tables";
/// Deeper folders are not searched: they would be a circle of links.
const FOLDER_DEPTH_MAX: usize = 32;

/// A project with all that is wrong with it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What could be read.
    pub project: Project,
    /// All mistakes, by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Whether the project must not run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Says whether a table exists outside of the project.
type Known = dyn Fn(&TableName) -> bool + Send + Sync;

/// Loads projects. `Loader::new()` takes references from this process's environment and knows no
/// tables but the project's and `system.*`.
#[derive(Clone)]
pub struct Loader {
    environment: Environment,
    known: Arc<Known>,
}

impl Default for Loader {
    fn default() -> Self {
        Self::new()
    }
}

impl Loader {
    /// A loader with the defaults.
    pub fn new() -> Self {
        Self {
            environment: Environment::of_process(),
            known: Arc::new(|_| false),
        }
    }

    /// Looks `${NAME}` references up with `lookup` instead.
    #[must_use]
    pub fn with_environment(
        mut self,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.environment = Environment::new(lookup);
        self
    }

    /// Takes the tables for which `known` says so as existing.
    #[must_use]
    pub fn with_known_tables(
        mut self,
        known: impl Fn(&TableName) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.known = Arc::new(known);
        self
    }

    /// Reads the project in a folder.
    pub fn load(&self, root: &Path) -> Loaded {
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let mut reading = Reading::new(&root);
        let name = reading.settings(&self.environment);
        let scripts = reading.scripts();
        let mut loaded = self.finish(reading, name, &scripts);
        if loaded.project.tables.is_empty() && loaded.diagnostics.is_empty() {
            let diagnostic = Diagnostic::warning(codes::NO_PROJECT, "the project has no tables");
            let help = "write `CREATE … AS SELECT …` into a file of the folder `tables`";
            loaded.diagnostics.push(diagnostic.help(help));
        }
        loaded
    }

    /// A project of texts that are in no files, each with a label; `root` is what relative paths
    /// are relative to.
    pub fn load_texts(&self, root: &Path, texts: &[(&str, &str)]) -> Loaded {
        let mut reading = Reading::new(root);
        let scripts: Vec<FileId> = texts
            .iter()
            .map(|(label, text)| reading.files.add(label, text))
            .collect();
        self.finish(reading, None, &scripts)
    }

    fn finish(&self, reading: Reading, name: Option<String>, scripts: &[FileId]) -> Loaded {
        let Reading {
            root,
            files,
            settings,
            mut diagnostics,
            ..
        } = reading;
        let namespace = Namespace::new(settings.catalog.as_deref(), &settings.schema);
        let mut parts = Parts::default();
        for &script in scripts {
            read_script(
                &files,
                script,
                &namespace,
                &settings.configuration,
                &mut parts,
            );
        }
        let graph = Graph::new(&parts.tables, &parts.flows);
        diagnostics.append(&mut parts.diagnostics);
        diagnostics.extend(check::check(&parts, &graph, self.known.as_ref()));
        diagnostic::sort(&mut diagnostics);
        let folder = root
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Loaded {
            project: Project {
                name: name.or(folder).unwrap_or_else(|| "project".to_owned()),
                root,
                settings,
                files,
                tables: parts.tables,
                flows: parts.flows,
                graph,
            },
            diagnostics,
        }
    }
}

impl Project {
    /// Reads the project in a folder, as [`Loader::new`] does.
    pub fn load(root: &Path) -> Loaded {
        Loader::new().load(root)
    }
}

/// What has been read so far.
struct Reading {
    root: PathBuf,
    files: SourceMap,
    settings: Settings,
    diagnostics: Vec<Diagnostic>,
    has_tidegate_file: bool,
    includes: Vec<Located<String>>,
}

impl Reading {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            files: SourceMap::default(),
            settings: Settings::of(root),
            diagnostics: Vec::new(),
            has_tidegate_file: false,
            includes: Vec::new(),
        }
    }

    /// Reads the settings, and gives the project's name.
    fn settings(&mut self, environment: &Environment) -> Option<String> {
        let mut name = None;
        let spark_file = SPARK_FILES
            .iter()
            .find(|file| self.root.join(file).exists());
        if let Some(file) = spark_file.and_then(|file| self.read(&self.root.join(file))) {
            let pipeline = SparkPipeline::read(
                &self.root,
                file,
                &self.files,
                &mut self.settings,
                &mut self.diagnostics,
            );
            name = pipeline.name;
            self.includes = pipeline.includes;
        }
        self.has_tidegate_file = self.root.join(TIDEGATE_FILE).exists();
        if self.has_tidegate_file
            && let Some(file) = self.read(&self.root.join(TIDEGATE_FILE))
        {
            let own = read_tidegate(
                &self.root,
                file,
                &self.files,
                environment,
                &mut self.settings,
                &mut self.diagnostics,
            );
            name = own.or(name);
        }
        if spark_file.is_none() && !self.has_tidegate_file {
            let message = format!("{} is no project", self.root.display());
            let diagnostic = Diagnostic::error(codes::NO_PROJECT, message);
            self.diagnostics.push(diagnostic.help(format!(
                "a project is a folder with {TIDEGATE_FILE} (or spark-pipeline.yml); `tidegate new` makes one"
            )));
        }
        name
    }

    /// Reads the SQL files, in the order of their paths.
    fn scripts(&mut self) -> Vec<FileId> {
        let mut paths = Vec::new();
        if self.has_tidegate_file {
            let folder = self.root.join(TABLES_FOLDER);
            if folder.is_dir() {
                paths.extend(
                    self.walk(&folder)
                        .into_iter()
                        .filter(|path| has_extension(path, "sql")),
                );
            }
        }
        for include in std::mem::take(&mut self.includes) {
            paths.extend(self.include(&include));
        }
        paths.sort();
        paths.dedup();
        paths.iter().filter_map(|path| self.read(path)).collect()
    }

    /// The SQL files that a pattern of `spark-pipeline.yml` matches.
    fn include(&mut self, include: &Located<String>) -> Vec<PathBuf> {
        let pattern = include.value.trim_start_matches("./");
        let is_inside = Path::new(pattern)
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        let matcher = match glob {
            Ok(glob) if is_inside => glob.compile_matcher(),
            result => {
                let words = match result {
                    Ok(_) => "expected a path inside of the project's folder".to_owned(),
                    Err(error) => error.kind().to_string(),
                };
                let message = format!("the pattern `{}` cannot be used", include.value);
                let diagnostic = Diagnostic::error(codes::BAD_GLOB, message);
                self.diagnostics.push(diagnostic.at(include.place, words));
                return Vec::new();
            }
        };
        let base = self.root.join(literal_prefix(pattern));
        let candidates = match base.is_file() {
            true => vec![base],
            false => self.walk(&base),
        };
        let mut scripts = Vec::new();
        let mut found = false;
        for path in candidates {
            let relative = path.strip_prefix(&self.root).unwrap_or(&path);
            if !matcher.is_match(relative) {
                continue;
            }
            found = true;
            match has_extension(&path, "sql") {
                true => scripts.push(path),
                false => self.foreign_file(&path, include),
            }
        }
        if !found {
            let message = format!("the pattern `{}` matches no file", include.value);
            let diagnostic = Diagnostic::error(codes::BAD_GLOB, message);
            self.diagnostics
                .push(diagnostic.at(include.place, "nothing there"));
        }
        scripts
    }

    fn foreign_file(&mut self, path: &Path, include: &Located<String>) {
        let label = self.label(path);
        let is_python = has_extension(path, "py");
        let message = match is_python {
            true => format!("{label} is Python, and Tidegate runs only SQL"),
            false => format!("{label} is not a SQL file"),
        };
        let diagnostic = match is_python {
            true => Diagnostic::error(codes::FOREIGN_FILE, message)
                .help("write its tables in SQL, or take the file out of the pattern"),
            false => Diagnostic::warning(codes::FOREIGN_FILE, message)
                .help("name the SQL files only, as in `transformations/**/*.sql`"),
        };
        self.diagnostics
            .push(diagnostic.at(include.place, "matched by this pattern"));
    }

    /// All files below a folder, without hidden ones, in the order of their paths.
    fn walk(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut pending = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = pending.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.unreadable(&folder, &error);
                    continue;
                }
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with('.') || name == "__pycache__" {
                    continue;
                }
                let path = entry.path();
                match path.is_dir() {
                    true if depth < FOLDER_DEPTH_MAX => pending.push((path, depth + 1)),
                    true => {}
                    false => found.push(path),
                }
            }
        }
        found.sort();
        found
    }

    /// Reads a file into the source map.
    fn read(&mut self, path: &Path) -> Option<FileId> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(path, &error);
                return None;
            }
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(text);
                Some(self.files.add(&self.label(path), text))
            }
            Err(error) => {
                let line = 1 + bytes[..error.valid_up_to()]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count();
                let message = format!("{} is not UTF-8 text", self.label(path));
                let diagnostic = Diagnostic::error(codes::NOT_TEXT, message);
                self.diagnostics.push(
                    diagnostic
                        .note(format!("the first byte that is not text is in line {line}"))
                        .help("save the file as UTF-8"),
                );
                None
            }
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        let message = format!("{} cannot be read: {error}", self.label(path));
        self.diagnostics
            .push(Diagnostic::error(codes::UNREADABLE, message));
    }

    /// The path relative to the project, with `/` between its parts.
    fn label(&self, path: &Path) -> String {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let parts: Vec<_> = relative
            .components()
            .map(|component| component.as_os_str().to_string_lossy())
            .collect();
        match relative == path {
            true => path.display().to_string(),
            false => parts.join("/"),
        }
    }
}

/// The folders of a pattern before its first special character.
fn literal_prefix(pattern: &str) -> PathBuf {
    let special = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
    pattern.split('/').take_while(special).collect()
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}
