//! The warehouse: which tables there are, where each lies, and the newest state of each.
//!
//! A table lies in a folder of its name under the warehouse, or at its own `LOCATION`, which is
//! then written down under `_tidegate/tables`. States are kept, so that asking again for a table
//! that did not change costs one request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tidegate_project::TableName;

use crate::error::LakeError;
use crate::flow_log::FlowLog;
use crate::log::LogState;
use crate::names::{self, FlowId};
use crate::storage::Place;
use crate::table::LakeTable;

/// The folder of Tidegate's own files in a warehouse.
pub(crate) const OWN_FOLDER: &str = "_tidegate";

/// The newest format of the notes about tables with a location of their own.
const LOCATION_FORMAT: u32 = 1;

/// A warehouse of Delta tables. Cheap to clone; safe to use from many tasks at once.
#[derive(Clone)]
pub struct Lake {
    shared: Arc<Shared>,
}

struct Shared {
    warehouse: Place,
    options: BTreeMap<String, String>,
    tables: Mutex<HashMap<TableName, Known>>,
}

/// What is known of a table.
#[derive(Clone)]
struct Known {
    place: Place,
    table: Option<LakeTable>,
}

/// The note about a table outside the warehouse.
#[derive(Serialize, Deserialize)]
struct LocationNote {
    format_version: u32,
    location: String,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake")
            .field("warehouse", &self.shared.warehouse.url.as_str())
            .finish()
    }
}

/// The folder of a table under the warehouse: its parts, with dots between them.
fn folder_of(name: &TableName) -> String {
    let schema = name.catalog().into_iter().chain(name.schema());
    let parts: Vec<String> = schema
        .flat_map(|part| part.split('.'))
        .chain([name.name()])
        .map(names::encode)
        .collect();
    parts.join(".")
}

/// The table whose folder this is; `None` if it is not a table's folder.
fn table_of(folder: &str) -> Option<TableName> {
    let parts: Vec<String> = folder
        .split('.')
        .map(names::decode)
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        [name] => Some(TableName::plain(name)),
        [schema @ .., name] => Some(TableName::in_schema(&schema.join("."), name)),
        [] => None,
    }
}

impl Lake {
    /// Opens a warehouse: a folder (made when the first table is), or a URL such as
    /// `s3://bucket/folder`. `options` are those of the object store, such as `aws_region`; they
    /// win over the environment's (`AWS_*`, `AZURE_*`, `GOOGLE_*`). Nothing is read yet.
    ///
    /// # Errors
    /// [`LakeError::Location`] if the path or URL cannot be one.
    #[expect(
        clippy::unused_async,
        reason = "callers need not change when opening asks the store"
    )]
    pub async fn open(
        warehouse: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<Lake, LakeError> {
        Ok(Self::at(Place::open(warehouse, options)?, options.clone()))
    }

    /// A warehouse in a store that the caller made, such as one in memory, or one that disturbs what is asked of another.
    /// `url` is the warehouse's, and ends with `/`; its path is that in the store.
    ///
    /// # Errors
    /// [`LakeError::Location`] if the URL cannot be one.
    pub fn over(store: Arc<dyn ObjectStore>, url: &str) -> Result<Lake, LakeError> {
        Ok(Self::at(Place::over(store, url)?, BTreeMap::new()))
    }

    fn at(warehouse: Place, options: BTreeMap<String, String>) -> Lake {
        Lake {
            shared: Arc::new(Shared {
                warehouse,
                options,
                tables: Mutex::new(HashMap::new()),
            }),
        }
    }

    /// The warehouse as a URL, ending with `/`.
    #[must_use]
    pub fn warehouse(&self) -> &str {
        self.shared.warehouse.url.as_str()
    }

    /// A table at its newest version; `None` if there is no such table. Asking again for one that
    /// did not change costs one request to the store.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub async fn table(&self, name: &TableName) -> Result<Option<LakeTable>, LakeError> {
        let known = self.known(name).await?;
        let key = name.key();
        let state = match &known.table {
            Some(table) => match table.inner().state.refresh(&known.place, &key).await? {
                Some(state) => Some(state),
                None => return Ok(Some(table.clone())),
            },
            None => LogState::load(&known.place, &key, None).await?,
        };
        let Some(state) = state else { return Ok(None) };
        let table = LakeTable::new(name.clone(), known.place, Arc::new(state))?;
        self.remember(&table);
        Ok(Some(table))
    }

    /// The names of all tables of the warehouse, in order.
    ///
    /// # Errors
    /// If the warehouse cannot be listed.
    pub async fn tables(&self) -> Result<Vec<TableName>, LakeError> {
        let mut names = Vec::new();
        for folder in self.shared.warehouse.folders().await? {
            let Some(name) = table_of(&folder) else {
                continue;
            };
            if folder != OWN_FOLDER && self.has_log(&self.shared.warehouse.child(&folder)).await? {
                names.push(name);
            }
        }
        for file in self
            .shared
            .warehouse
            .list(&format!("{OWN_FOLDER}/tables"), None)
            .await?
        {
            let stem = file
                .location
                .filename()
                .and_then(|name| name.strip_suffix(".json"));
            names.extend(stem.and_then(table_of));
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn has_log(&self, place: &Place) -> Result<bool, LakeError> {
        match &place.local {
            Some(folder) => Ok(folder.join("_delta_log").is_dir()),
            None => Ok(!place.list("_delta_log", None).await?.is_empty()),
        }
    }

    /// What a flow has read, and what it is about to read.
    #[must_use]
    pub fn flow_log(&self, flow: &FlowId) -> FlowLog {
        FlowLog::new(&self.shared.warehouse, flow)
    }

    /// Where a table lies. With `location`, that is written down, if it was not.
    pub(crate) async fn place(
        &self,
        name: &TableName,
        location: Option<&str>,
    ) -> Result<Place, LakeError> {
        let known = self.known(name).await?;
        let Some(location) = location else {
            return Ok(known.place);
        };
        let place = Place::open(location, &self.shared.options)?;
        if place.url == known.place.url {
            return Ok(place);
        }
        if known.table.is_some() || self.has_log(&known.place).await? {
            return Err(LakeError::Specification {
                table: name.key(),
                reason: format!(
                    "it lies at {} and LOCATION says {}; move its files and remove the old ones, or \
                     give it a new name",
                    known.place.show(""),
                    place.show("")
                ),
            });
        }
        let note = LocationNote {
            format_version: LOCATION_FORMAT,
            location: place.url.to_string(),
        };
        let note = serde_json::to_vec(&note).map_err(|error| LakeError::Bug(error.to_string()))?;
        self.shared
            .warehouse
            .put(&note_name(name), Bytes::from(note))
            .await?;
        let known = Known {
            place: place.clone(),
            table: None,
        };
        self.shared.tables.lock().insert(name.clone(), known);
        Ok(place)
    }

    async fn known(&self, name: &TableName) -> Result<Known, LakeError> {
        if let Some(known) = self.shared.tables.lock().get(name) {
            return Ok(known.clone());
        }
        let place = self.find(name).await?;
        let mut tables = self.shared.tables.lock();
        Ok(tables
            .entry(name.clone())
            .or_insert(Known { place, table: None })
            .clone())
    }

    async fn find(&self, name: &TableName) -> Result<Place, LakeError> {
        let warehouse = &self.shared.warehouse;
        let file = note_name(name);
        let Some(note) = warehouse.get(&file).await? else {
            return Ok(warehouse.child(&folder_of(name)));
        };
        let note: LocationNote =
            serde_json::from_slice(&note).map_err(|error| LakeError::Damaged {
                place: warehouse.show(&file),
                reason: error.to_string(),
            })?;
        if note.format_version > LOCATION_FORMAT {
            return Err(LakeError::NewerFormat {
                place: warehouse.show(&file),
                found: note.format_version,
                known: LOCATION_FORMAT,
            });
        }
        Place::open(&note.location, &self.shared.options)
    }

    /// Keeps a newer state of a table.
    pub(crate) fn remember(&self, table: &LakeTable) {
        let mut tables = self.shared.tables.lock();
        let known = Known {
            place: table.inner().place.clone(),
            table: Some(table.clone()),
        };
        let newer = tables
            .get(table.name())
            .and_then(|known| known.table.as_ref())
            .is_some_and(|kept| kept.version() > table.version());
        if !newer {
            tables.insert(table.name().clone(), known);
        }
    }
}

fn note_name(name: &TableName) -> String {
    format!("{OWN_FOLDER}/tables/{}.json", folder_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_folders_belong_together() {
        for name in [
            TableName::plain("payments"),
            TableName::in_schema("shop", "dirty.name"),
        ] {
            assert_eq!(table_of(&folder_of(&name)), Some(name));
        }
        assert_eq!(
            folder_of(&TableName::in_schema("shop", "orders")),
            "shop.orders"
        );
        assert_eq!(
            table_of(".hidden"),
            Some(TableName::in_schema("", "hidden"))
        );
        assert_eq!(table_of("not a table"), None);
    }
}
