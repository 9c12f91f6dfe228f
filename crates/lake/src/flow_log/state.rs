//! Files of a flow's state: the segments of its checkpoints, which the intents name.
//!
//! What is in them, and which of them an epoch needs, the caller knows. They lie below
//! `_tidegate/flows/<flow>/state/`; a name may have folders, divided by `/`.

use bytes::Bytes;

use super::FlowLog;
use crate::error::LakeError;
use crate::fail_points::fail_point;
use crate::names;

/// The folder of the state.
const FOLDER: &str = "state";

/// A file of a flow's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    /// Its name, as given to [`FlowLog::put_state`].
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written, in milliseconds since 1970.
    pub written_ms: i64,
}

impl FlowLog {
    /// Writes a file of the state whole, in the place of one that may be there.
    ///
    /// # Errors
    /// If the warehouse cannot be written, or a part of the name is empty.
    pub async fn put_state(&self, name: &str, bytes: Bytes) -> Result<(), LakeError> {
        fail_point!("lake.state.before");
        self.place.put(&path_of(name)?, bytes).await?;
        fail_point!("lake.state.after");
        Ok(())
    }

    /// A file of the state; `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be read, or a part of the name is empty.
    pub async fn get_state(&self, name: &str) -> Result<Option<Bytes>, LakeError> {
        self.place.get(&path_of(name)?).await
    }

    /// All files of the state, by name.
    ///
    /// # Errors
    /// If the warehouse cannot be listed.
    pub async fn list_state(&self) -> Result<Vec<StateFile>, LakeError> {
        let folder = self.place.path(FOLDER);
        let mut files: Vec<StateFile> = self
            .place
            .list(FOLDER, None)
            .await?
            .into_iter()
            .filter_map(|file| {
                let relative = file.location.as_ref().strip_prefix(folder.as_ref())?;
                let parts = relative.trim_start_matches('/').split('/');
                // Files that others put here have no name of ours.
                let parts: Option<Vec<String>> = parts.map(names::decode).collect();
                Some(StateFile {
                    name: parts?.join("/"),
                    bytes: file.size,
                    written_ms: file.last_modified.timestamp_millis(),
                })
            })
            .collect();
        files.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        Ok(files)
    }

    /// Removes a file of the state; one that is not there is no error.
    ///
    /// # Errors
    /// If the warehouse cannot be written, or a part of the name is empty.
    pub async fn delete_state(&self, name: &str) -> Result<(), LakeError> {
        self.place.delete(&path_of(name)?).await
    }
}

fn path_of(name: &str) -> Result<String, LakeError> {
    let mut path = FOLDER.to_owned();
    for part in name.split('/') {
        if part.is_empty() {
            let message = format!("'{name}' cannot name a file of the state: a part is empty");
            return Err(LakeError::Bug(message));
        }
        path.push('/');
        path.push_str(&names::encode(part));
    }
    Ok(path)
}
