//! Object stores: from a URL to the store that holds it. Settings come from the reader's options
//! and, beneath them, from the environment (`AWS_…`, `AZURE_…`, `GOOGLE_…`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, parse_url_opts};
use url::{Position, Url};

use crate::error::{ConnectError, Result};

/// The stores in use, each built once. Clones share them.
#[derive(Clone, Default)]
pub struct Stores {
    built: Arc<Mutex<HashMap<String, Arc<dyn ObjectStore>>>>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Stores")
    }
}

/// A cache says nothing about what is read: any two are equal.
impl PartialEq for Stores {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Stores {
    /// Uses `store` for all URLs that begin with `base` (scheme and host, such as `s3://bucket`).
    pub fn insert(&self, base: &str, store: Arc<dyn ObjectStore>) {
        self.built
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(base.trim_end_matches('/').to_owned(), store);
    }

    /// The store that holds `url`, and the path in it.
    ///
    /// # Errors
    /// [`ConnectError::Url`] for a URL or setting that no store understands.
    pub fn open(
        &self,
        url: &Url,
        settings: &BTreeMap<String, String>,
    ) -> Result<(Arc<dyn ObjectStore>, ObjectPath)> {
        let fail = |message: String| ConnectError::Url {
            url: url.to_string(),
            message,
        };
        let base = url[..Position::BeforePath].to_owned();
        let cached = self
            .built
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&base)
            .cloned();
        if let Some(store) = cached {
            let path = ObjectPath::from_url_path(url.path()).map_err(|e| fail(e.to_string()))?;
            return Ok((store, path));
        }
        let environment = std::env::vars()
            .filter(|(name, _)| {
                ["AWS_", "AZURE_", "GOOGLE_"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
            })
            .map(|(name, value)| (name.to_ascii_lowercase(), value));
        let given = settings
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        let (store, path) =
            parse_url_opts(url, environment.chain(given)).map_err(|e| fail(e.to_string()))?;
        let store: Arc<dyn ObjectStore> = Arc::from(store);
        // Path-style https URLs hold the bucket in the path, so one store is not for all of them.
        if !url.scheme().starts_with("http") {
            self.insert(&base, Arc::clone(&store));
        }
        Ok((store, path))
    }
}
