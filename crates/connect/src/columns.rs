//! How the columns of one file become those that are wanted: matched by name (first exactly, then
//! without regard to case), so that files may order theirs as they like; missing ones are NULL, and
//! new ones go where `schemaEvolutionMode` says. The values of `k=v` folders join as columns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow::datatypes::{Field, Schema};

use crate::error::{ConnectError, Result};
use crate::listing::FileEntry;
use crate::options::SchemaEvolutionMode;
use crate::reading::Reading;
use crate::views::constant;

/// Where a file's column goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Into this column of the batch.
    Column(usize),
    /// Into the JSON text of rescued fields.
    Rescue,
    /// Nowhere.
    Drop,
}

/// The columns of the batches of one file.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// All columns of a batch: wanted ones, new ones, the rescued-data column.
    pub names: Vec<String>,
    /// How many of them are wanted.
    pub wanted: usize,
    /// For each column of the file, where it goes.
    pub slots: Vec<Slot>,
    /// The file's own column names, in its order.
    pub file_names: Vec<String>,
    /// The rescued-data column, if there is one.
    pub rescue: Option<usize>,
    /// The columns with one value for the whole file.
    constants: Vec<(usize, Option<String>)>,
    file: Arc<FileEntry>,
}

impl Plan {
    /// Plans for a file with these columns, in this order.
    pub(crate) fn new(
        reading: &Reading,
        file: &Arc<FileEntry>,
        file_names: Vec<String>,
    ) -> Result<Self> {
        let mode = reading.options().evolution_mode();
        let mut names = reading.wanted().to_vec();
        let wanted = names.len();
        let mut index = NameIndex::new(&names);
        let mut constants = Vec::new();
        for (name, value) in &file.partitions {
            match index.find(name) {
                Some(at) => constants.push((at, value.clone())),
                None if mode == SchemaEvolutionMode::AddNewColumns => {
                    index.insert(name, names.len());
                    constants.push((names.len(), value.clone()));
                    names.push(name.clone());
                }
                None => {}
            }
        }
        let mut slots = Vec::with_capacity(file_names.len());
        let mut new = Vec::new();
        let mut taken = vec![false; names.len()];
        constants.iter().for_each(|(at, _)| taken[*at] = true);
        for name in &file_names {
            slots.push(match index.find(name) {
                Some(at) if !std::mem::replace(&mut taken[at], true) => Slot::Column(at),
                // A folder's value stands above one of the same name in the file.
                Some(_) => Slot::Drop,
                None => match mode {
                    SchemaEvolutionMode::AddNewColumns => {
                        names.push(name.clone());
                        index.insert(name, names.len() - 1);
                        taken.push(true);
                        Slot::Column(names.len() - 1)
                    }
                    SchemaEvolutionMode::Rescue => Slot::Rescue,
                    SchemaEvolutionMode::None => Slot::Drop,
                    SchemaEvolutionMode::FailOnNewColumns => {
                        new.push(name.clone());
                        Slot::Drop
                    }
                },
            });
        }
        if !new.is_empty() {
            return Err(ConnectError::NewColumns {
                path: file.display(),
                columns: new,
            });
        }
        let rescue = (mode == SchemaEvolutionMode::Rescue).then(|| {
            let name = reading.options().rescued_name();
            index.find(name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        });
        Ok(Self {
            names,
            wanted,
            slots,
            file_names,
            rescue,
            constants,
            file: Arc::clone(file),
        })
    }

    /// Whether a column has one value for the whole file.
    pub(crate) fn is_constant(&self, column: usize) -> bool {
        self.constants.iter().any(|(at, _)| *at == column)
    }

    /// Makes the batch of `columns` (by index as in `names`; `None` = not in the file) and, behind
    /// them, `more` columns found while decoding.
    pub(crate) fn assemble(
        &self,
        mut columns: Vec<Option<ArrayRef>>,
        more: Vec<(String, ArrayRef)>,
        rows: usize,
    ) -> Result<RecordBatch> {
        columns.resize(self.names.len(), None);
        for (at, value) in &self.constants {
            columns[*at] = Some(constant(value.as_deref(), rows));
        }
        let names = self.names.iter().cloned();
        let filled = columns.into_iter().map(|column| {
            column.unwrap_or_else(|| Arc::new(StringViewArray::new_null(rows)) as ArrayRef)
        });
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = names
            .zip(filled)
            .chain(more)
            .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
            .unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(
            |source| ConnectError::Arrow {
                path: self.file.display(),
                source,
            },
        )
    }
}

/// Finds a column by name, exactly first.
pub(crate) struct NameIndex {
    exact: HashMap<String, usize>,
    /// Those whose name is not in lower case.
    folded: HashMap<String, usize>,
}

impl NameIndex {
    pub(crate) fn new(names: &[String]) -> Self {
        let mut index = Self {
            exact: HashMap::with_capacity(names.len()),
            folded: HashMap::new(),
        };
        for (at, name) in names.iter().enumerate() {
            index.insert(name, at);
        }
        index
    }

    pub(crate) fn insert(&mut self, name: &str, at: usize) {
        self.exact.entry(name.to_owned()).or_insert(at);
        let lower = name.to_lowercase();
        if lower != name {
            self.folded.entry(lower).or_insert(at);
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        if let Some(at) = self.exact.get(name) {
            return Some(*at);
        }
        let lower = name.to_lowercase();
        self.exact
            .get(&lower)
            .or_else(|| self.folded.get(&lower))
            .copied()
    }
}

/// Without a header, columns are what the option `schema` or else the table says, in its order.
pub(crate) fn names_by_position(
    reading: &Reading,
    file: &FileEntry,
    found: Vec<String>,
) -> Vec<String> {
    let rescued = reading.options().rescued_name();
    let in_folders = |name: &str| {
        let mut keys = file.partitions.iter().map(|(key, _)| key);
        keys.any(|key| key.eq_ignore_ascii_case(name))
    };
    let declared = reading.options().schema.as_ref();
    let said: Vec<&String> = match declared {
        // What is wanted may be a part of it.
        Some(columns) => columns.iter().map(|(name, _)| name).collect(),
        None => reading.wanted().iter().collect(),
    };
    let said: Vec<&String> = said
        .into_iter()
        .filter(|name| !in_folders(name) && *name != rescued)
        .collect();
    if said.is_empty() || (declared.is_none() && said.iter().any(|name| found.contains(name))) {
        return found;
    }
    let names = said.iter().map(|name| (*name).clone());
    names
        .chain(found.iter().skip(said.len()).cloned())
        .take(found.len().max(said.len()))
        .collect()
}

/// Makes names unique and not empty: `column_3` for an empty third, `name_2` for a second `name`.
/// The second part of the result tells what was changed.
pub(crate) fn unique_names(written: Vec<String>) -> (Vec<String>, Vec<String>) {
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(written.len());
    written.iter().for_each(|name| {
        seen.entry(name.trim().to_lowercase()).or_insert(0);
    });
    let mut names: Vec<String> = Vec::with_capacity(written.len());
    let mut notes = Vec::new();
    let mut used: HashMap<String, ()> = HashMap::with_capacity(written.len());
    for (at, name) in written.into_iter().enumerate() {
        let trimmed = name.trim();
        let base = if trimmed.is_empty() {
            format!("column_{}", at + 1)
        } else {
            trimmed.to_owned()
        };
        let mut chosen = base.clone();
        let mut number = seen.get(&base.to_lowercase()).copied().unwrap_or(0).max(1);
        while used.contains_key(&chosen.to_lowercase())
            || (chosen != trimmed && seen.contains_key(&chosen.to_lowercase()))
        {
            number += 1;
            chosen = format!("{base}_{number}");
        }
        seen.insert(base.to_lowercase(), number);
        if chosen != trimmed && notes.len() < 20 {
            notes.push(if trimmed.is_empty() {
                format!(
                    "column {} has no name in the header; it is called {chosen}",
                    at + 1
                )
            } else {
                format!(
                    "column {} has the name of an earlier one ({trimmed}); it is called {chosen}",
                    at + 1
                )
            });
        }
        used.insert(chosen.to_lowercase(), ());
        names.push(chosen);
    }
    (names, notes)
}
