//! An opened project: every command is a method of [`Workspace`] (their code is in the modules named after them).
//!
//! Opening reads the project's text and nothing else. The lake, the run history and the engine are opened by the first
//! thing that needs them, so that a command pays only for what it uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tidegate_engine::{Engine, EngineSettings};
use tidegate_lake::Lake;
use tidegate_project::{Diagnostic, Graph, Project, Settings, SourceMap, TableName};
use tidegate_store::{Store, StoreUrl};
use tokio::sync::OnceCell;

use crate::discovery::Discoveries;
use crate::error::{PipelineError, Result};

/// What the command line may set over the project's own settings.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Another warehouse: a folder or URL.
    pub warehouse: Option<String>,
    /// Threads to work with; by default as many as the machine has.
    pub threads: Option<usize>,
    /// Bytes that queries may hold before they spill.
    pub memory_bytes: Option<u64>,
}

/// An opened project.
pub struct Workspace {
    pub(crate) project: Project,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) discoveries: Discoveries,
    engine: OnceLock<Engine>,
    lake: OnceCell<Lake>,
    store: OnceCell<Store>,
    /// What a simulation puts around live sources.
    #[cfg(test)]
    pub(crate) around: Option<crate::records::Around>,
}

impl Workspace {
    /// Opens the project in `root`. Mistakes in its text are kept for [`Workspace::check`]; whatever runs refuses to
    /// while there are any.
    ///
    /// # Errors
    /// [`PipelineError::NoProject`] when the folder holds none.
    pub fn open(root: &Path, options: &OpenOptions) -> Result<Self> {
        let marks = ["tidegate.toml", "spark-pipeline.yml", "spark-pipeline.yaml"];
        if !marks.iter().any(|mark| root.join(mark).is_file()) {
            return Err(PipelineError::NoProject {
                folder: root.display().to_string(),
            });
        }
        let loaded = Project::load(root);
        Ok(Self::over(loaded.project, loaded.diagnostics, options))
    }

    /// A workspace without a project, with `folder` as the root of relative paths: files can be queried, profiled and
    /// inferred, and there are no tables.
    pub fn adhoc(folder: &Path, options: &OpenOptions) -> Self {
        let project = Project {
            root: folder.to_path_buf(),
            name: String::new(),
            settings: Settings::of(folder),
            files: SourceMap::default(),
            tables: Vec::new(),
            flows: Vec::new(),
            graph: Graph::new(&[], &[]),
        };
        Self::over(project, Vec::new(), options)
    }

    pub(crate) fn over(
        mut project: Project,
        diagnostics: Vec<Diagnostic>,
        options: &OpenOptions,
    ) -> Self {
        let settings = &mut project.settings;
        if let Some(warehouse) = &options.warehouse {
            settings.warehouse.clone_from(warehouse);
        }
        settings.threads = options.threads.or(settings.threads);
        settings.memory_bytes = options.memory_bytes.or(settings.memory_bytes);
        Self {
            project,
            diagnostics,
            discoveries: Discoveries::default(),
            engine: OnceLock::new(),
            lake: OnceCell::new(),
            store: OnceCell::new(),
            #[cfg(test)]
            around: None,
        }
    }

    /// Opens the project in `root` over a lake and live sources of a simulation.
    #[cfg(test)]
    pub(crate) fn simulated(root: &Path, lake: Lake, around: crate::records::Around) -> Self {
        let opened = Self::open(root, &OpenOptions::default()).unwrap();
        Self {
            lake: OnceCell::new_with(Some(lake)),
            around: Some(around),
            ..opened
        }
    }

    /// The project as it was read.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The texts that places in diagnostics point into.
    pub fn files(&self) -> &SourceMap {
        &self.project.files
    }

    /// Mistakes and warnings found while the project was read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Refuses to go on with mistakes in the project's text.
    pub(crate) fn refuse_mistakes(&self) -> Result<()> {
        let mistakes: Vec<Diagnostic> = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .cloned()
            .collect();
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(PipelineError::Diagnostics(mistakes))
        }
    }

    /// Names of all tables and views, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .project
            .tables
            .iter()
            .map(|table| table.name.to_string())
            .collect();
        names.sort();
        names
    }

    /// The table of the project that the user means by `name`.
    ///
    /// # Errors
    /// [`PipelineError::UnknownTable`] with the nearest name.
    pub fn table_named(&self, name: &str) -> Result<TableName> {
        let found = self
            .project
            .resolve(name)
            .filter(|resolved| self.project.table(resolved).is_some());
        found.ok_or_else(|| PipelineError::UnknownTable {
            name: name.to_owned(),
            nearest: nearest(name, self.names()),
        })
    }

    /// The folder of the project's own files (`.tidegate`), which may not exist yet.
    pub fn state_folder(&self) -> PathBuf {
        self.project.root.join(".tidegate")
    }

    /// Threads that rows are worked on with.
    pub(crate) fn threads(&self) -> usize {
        let machine = || std::thread::available_parallelism().map_or(1, usize::from);
        self.project.settings.threads.unwrap_or_else(machine).max(1)
    }

    /// The engine, made on first use.
    pub(crate) fn engine(&self) -> Result<&Engine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let engine = Engine::new(&self.engine_settings(self.threads()))?;
        Ok(self.engine.get_or_init(|| engine))
    }

    /// An engine that keeps the order of its input: one partition.
    pub(crate) fn ordered_engine(&self) -> Result<Engine> {
        Ok(Engine::new(&self.engine_settings(1))?)
    }

    fn engine_settings(&self, threads: usize) -> EngineSettings {
        let settings = &self.project.settings;
        EngineSettings {
            threads,
            memory_bytes: settings
                .memory_bytes
                .and_then(|bytes| usize::try_from(bytes).ok()),
            spill_folder: settings.spill.clone(),
            configuration: settings.configuration.clone(),
            ..EngineSettings::default()
        }
    }

    /// The lake, opened on first use.
    pub(crate) async fn lake(&self) -> Result<&Lake> {
        let open = || async {
            Ok::<_, PipelineError>(
                Lake::open(&self.project.settings.warehouse, &BTreeMap::new()).await?,
            )
        };
        self.lake.get_or_try_init(open).await
    }

    /// The run history, opened on first use.
    ///
    /// # Errors
    /// When the database cannot be opened; the error names it.
    pub async fn store(&self) -> Result<&Store> {
        let open = || async {
            let url = match &self.project.settings.store {
                Some(url) => url.parse()?,
                None => StoreUrl::of_project(&self.project.root),
            };
            Ok::<_, PipelineError>(Store::open(&url).await?)
        };
        self.store.get_or_try_init(open).await
    }
}

/// The most similar of some names, if one is similar at all.
pub(crate) fn nearest(name: &str, names: Vec<String>) -> Option<String> {
    let name = name.to_lowercase();
    let (distance, found) = names
        .into_iter()
        .map(|other| {
            (
                strsim::damerau_levenshtein(&name, &other.to_lowercase()),
                other,
            )
        })
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.len() / 3).then_some(found)
}
