//! Places: a warehouse, the tables in it, and how their bytes are reached.
//!
//! A place is a URL over an object store. Folders of this machine are `file` URLs, and keep their
//! path beside it, because data files are written there without the detour through a store. The
//! one primitive everything above relies on is [`Place::put_new`]: a file appears whole, and only
//! if it was not there.

use std::collections::BTreeMap;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;

use crate::error::LakeError;

/// The environment variables that cloud stores are configured by.
const ENVIRONMENT_PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// A folder on this machine or under a URL.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The whole store; paths in it begin at its root.
    pub store: Arc<dyn ObjectStore>,
    /// The folder as a URL, ending with `/`.
    pub url: Url,
    /// The folder inside the store.
    pub prefix: Path,
    /// The folder on this machine, if it is one.
    pub local: Option<PathBuf>,
}

impl Place {
    /// Opens a folder or a URL; nothing is created or looked at.
    pub fn open(place: &str, options: &BTreeMap<String, String>) -> Result<Place, LakeError> {
        let wrong = |reason: String| LakeError::Location {
            place: place.to_owned(),
            reason,
        };
        if place.contains("://") {
            let mut url = Url::parse(place).map_err(|error| wrong(error.to_string()))?;
            if url.scheme() == "file" {
                let path = url
                    .to_file_path()
                    .map_err(|()| wrong("not a path of this machine".to_owned()))?;
                return Place::folder(&path);
            }
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            let (store, prefix) = object_store::parse_url_opts(&url, all_options(options))
                .map_err(|error| wrong(error.to_string()))?;
            return Ok(Place {
                store: Arc::from(store),
                url,
                prefix,
                local: None,
            });
        }
        Place::folder(FilePath::new(place))
    }

    /// The root of a store that was made elsewhere.
    pub fn over(store: Arc<dyn ObjectStore>, url: &str) -> Result<Place, LakeError> {
        let wrong = |reason: String| LakeError::Location {
            place: url.to_owned(),
            reason,
        };
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        let prefix = Path::from_url_path(parsed.path()).map_err(|e| wrong(e.to_string()))?;
        Ok(Place {
            store,
            url: parsed,
            prefix,
            local: None,
        })
    }

    fn folder(path: &FilePath) -> Result<Place, LakeError> {
        let shown = path.display().to_string();
        let absolute = std::path::absolute(path)
            .map_err(|error| LakeError::io("finding", shown.clone(), error))?;
        let absolute = without_dots(&absolute);
        let url = Url::from_directory_path(&absolute).map_err(|()| LakeError::Location {
            place: shown.clone(),
            reason: "not an absolute path".to_owned(),
        })?;
        let prefix = Path::from_url_path(url.path()).map_err(|error| LakeError::Location {
            place: shown,
            reason: error.to_string(),
        })?;
        Ok(Place {
            store: Arc::new(object_store::local::LocalFileSystem::new()),
            url,
            prefix,
            local: Some(absolute),
        })
    }

    /// The folder of this name inside this one. `name` is a plain folder name.
    pub fn child(&self, name: &str) -> Place {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{name}/", self.url.path()));
        Place {
            store: Arc::clone(&self.store),
            url,
            prefix: self.prefix.clone().join(name),
            local: self.local.as_ref().map(|folder| folder.join(name)),
        }
    }

    /// The path in the store of a file below this folder, `relative` having `/` between its parts.
    pub fn path(&self, relative: &str) -> Path {
        if relative.is_empty() {
            return self.prefix.clone();
        }
        // Names are taken as they are: what looks percent-encoded in one is part of the name.
        let whole = format!("{}/{relative}", self.prefix);
        Path::parse(&whole).unwrap_or_else(|_| Path::from(whole))
    }

    /// How a file below this folder is shown in messages.
    pub fn show(&self, relative: &str) -> String {
        match &self.local {
            Some(folder) if relative.is_empty() => folder.display().to_string(),
            Some(folder) => folder.join(relative).display().to_string(),
            None => format!("{}{relative}", self.url),
        }
    }

    /// The bytes of a file, or `None` if it is not there.
    pub async fn get(&self, relative: &str) -> Result<Option<Bytes>, LakeError> {
        let read = async { self.store.get(&self.path(relative)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::store("reading", self.show(relative), error)),
        }
    }

    /// Writes a file whole if none of this name is there. `false`: there was one, left as it is.
    pub async fn put_new(&self, relative: &str, bytes: Bytes) -> Result<bool, LakeError> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self
            .store
            .put_opts(&self.path(relative), bytes.into(), options)
            .await
        {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(LakeError::store("writing", self.show(relative), error)),
        }
    }

    /// Writes a file whole, in the place of one that may be there.
    pub async fn put(&self, relative: &str, bytes: Bytes) -> Result<(), LakeError> {
        match self.store.put(&self.path(relative), bytes.into()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(LakeError::store("writing", self.show(relative), error)),
        }
    }

    /// Removes a file; one that is not there is no error.
    pub async fn delete(&self, relative: &str) -> Result<(), LakeError> {
        match self.store.delete(&self.path(relative)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(LakeError::store("removing", self.show(relative), error)),
        }
    }

    /// All files below a folder of this place, in the order of their names. With `after`, only
    /// those whose name is greater (a name in that folder).
    pub async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
    ) -> Result<Vec<ObjectMeta>, LakeError> {
        let prefix = self.path(folder);
        let stream = match after {
            Some(name) => self
                .store
                .list_with_offset(Some(&prefix), &prefix.clone().join(name)),
            None => self.store.list(Some(&prefix)),
        };
        let mut files: Vec<ObjectMeta> = match stream.try_collect().await {
            Ok(files) => files,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(LakeError::store("listing", self.show(folder), error)),
        };
        files.sort_unstable_by(|left, right| left.location.cmp(&right.location));
        Ok(files)
    }

    /// The names of the folders directly in this one, in order.
    pub async fn folders(&self) -> Result<Vec<String>, LakeError> {
        if let Some(folder) = &self.local {
            return local_folders(folder);
        }
        let listed = self
            .store
            .list_with_delimiter(Some(&self.prefix))
            .await
            .map_err(|error| LakeError::store("listing", self.show(""), error))?;
        let names = listed.common_prefixes.iter();
        let mut names: Vec<String> = names
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The Delta library's handle on the table in this folder.
    pub fn log_store(&self) -> LogStoreRef {
        let prefixed = PrefixStore::new(Arc::clone(&self.store), self.prefix.clone());
        default_logstore(
            Arc::new(prefixed),
            Arc::clone(&self.store),
            &self.url,
            &StorageConfig::default(),
        )
    }
}

fn local_folders(folder: &FilePath) -> Result<Vec<String>, LakeError> {
    let failed = |error| LakeError::io("listing", folder.display().to_string(), error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Options as given, over those of the environment.
fn all_options(given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut options: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| {
            ENVIRONMENT_PREFIXES
                .iter()
                .any(|prefix| key.starts_with(prefix))
        })
        .map(|(key, value)| (key.to_ascii_lowercase(), value))
        .collect();
    options.extend(
        given
            .iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), value.clone())),
    );
    options
}

/// Takes `.` and `..` out of an absolute path, without asking the file system.
fn without_dots(path: &FilePath) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_file_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::open(folder.path().to_str().unwrap(), &BTreeMap::new()).unwrap();
        let place = place.child("a");
        assert_eq!(place.get("b/c").await.unwrap(), None);
        assert!(
            place
                .put_new("b/c", Bytes::from_static(b"one"))
                .await
                .unwrap()
        );
        assert!(
            !place
                .put_new("b/c", Bytes::from_static(b"two"))
                .await
                .unwrap()
        );
        assert_eq!(
            place.get("b/c").await.unwrap().as_deref(),
            Some(&b"one"[..])
        );
        assert_eq!(place.list("b", None).await.unwrap().len(), 1);
        assert_eq!(place.list("b", Some("c")).await.unwrap().len(), 0);
        assert_eq!(place.folders().await.unwrap(), ["b"]);
        place.delete("b/c").await.unwrap();
        place.delete("b/c").await.unwrap();
    }

    #[test]
    fn paths_and_urls_open_alike() {
        let none = BTreeMap::new();
        let plain = Place::open("/tmp/a b/../w", &none).unwrap();
        let url = Place::open("file:///tmp/w", &none).unwrap();
        assert_eq!(plain.url, url.url);
        assert_eq!(plain.show("t/_delta_log"), "/tmp/w/t/_delta_log");
        assert_eq!(plain.path("t/x.parquet").as_ref(), "tmp/w/t/x.parquet");
        assert!(matches!(
            Place::open("nope://x", &none),
            Err(LakeError::Location { .. })
        ));
    }

    #[test]
    fn cloud_places_open_without_the_network() {
        let options = BTreeMap::from([("aws_region".to_owned(), "eu-central-1".to_owned())]);
        let place = Place::open("s3://bucket/lake", &options).unwrap();
        assert_eq!(place.child("t").url.as_str(), "s3://bucket/lake/t/");
        assert_eq!(place.child("t").prefix.as_ref(), "lake/t");
    }
}
