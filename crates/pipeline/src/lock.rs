//! One update at a time for a project folder.
//!
//! The lock is the operating system's, on `.tidegate/lock`, so it is gone when its process is, however that ended. It
//! gives a second process a plain sentence early; what keeps tables right even without it (another machine, a network
//! disk) is the fence in each commit.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::error::{PipelineError, Result};

/// Held as long as the update runs.
#[derive(Debug)]
pub(crate) struct ProjectLock {
    _file: File,
}

impl ProjectLock {
    /// Takes the lock of the project whose own files lie in `state_folder`.
    ///
    /// # Errors
    /// [`PipelineError::Locked`] when another process holds it, with that process; otherwise what the file system says.
    pub(crate) fn take(state_folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(state_folder)
            .map_err(|source| PipelineError::file("making the folder", state_folder, source))?;
        let path = state_folder.join("lock");
        let refused = |source| PipelineError::file("locking", &path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(refused)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(refused)?;
                let holder = if holder.trim().is_empty() {
                    "unknown"
                } else {
                    holder.trim()
                };
                return Err(PipelineError::Locked {
                    holder: holder.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(refused(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .map_err(refused)?;
        write!(file, "{}", std::process::id()).map_err(refused)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_update_is_told_who_runs() {
        let folder = tempfile::tempdir().unwrap();
        let held = ProjectLock::take(folder.path()).unwrap();
        let error = ProjectLock::take(folder.path()).unwrap_err();
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(held);
        ProjectLock::take(folder.path()).unwrap();
    }
}
