//! A store in memory whose requests fail as the [weather](super::weather) says, before or after they took effect.

use std::fmt;
use std::io::{Error as IoError, ErrorKind};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::weather::{Luck, Weather};

/// The store.
#[derive(Debug)]
pub(super) struct Stormy {
    inner: Arc<InMemory>,
    weather: Weather,
}

impl fmt::Display for Stormy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a store in a storm")
    }
}

impl Stormy {
    pub(super) fn new(inner: Arc<InMemory>, weather: Weather) -> Self {
        Self { inner, weather }
    }

    async fn before(&self) -> Result<Luck> {
        let luck = self.weather.luck();
        match luck {
            Luck::Slow => tokio::time::sleep(self.weather.wait()).await,
            Luck::Before => return Err(failure(&self.weather)),
            Luck::Fine | Luck::After => {}
        }
        Ok(luck)
    }

    fn after<T>(&self, luck: Luck, value: T) -> Result<T> {
        match luck {
            Luck::After => Err(failure(&self.weather)),
            _ => Ok(value),
        }
    }
}

fn failure(weather: &Weather) -> Error {
    let kind = match weather.is_full() {
        true => ErrorKind::StorageFull,
        false => ErrorKind::TimedOut,
    };
    Error::Generic {
        store: "storm",
        source: Box::new(IoError::new(kind, "the simulation says so")),
    }
}

#[async_trait]
impl ObjectStore for Stormy {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let luck = self.before().await?;
        let put = self.inner.put_opts(location, payload, options).await?;
        self.after(luck, put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.before().await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let luck = self.before().await?;
        let got = self.inner.get_opts(location, options).await?;
        self.after(luck, got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, weather) = (Arc::clone(&self.inner), self.weather.clone());
        let one = move |location: Result<Path>| {
            let (inner, weather) = (Arc::clone(&inner), weather.clone());
            async move {
                let location = location?;
                let luck = weather.luck();
                if luck == Luck::Before {
                    return Err(failure(&weather));
                }
                let locations = futures::stream::iter([Ok(location.clone())]).boxed();
                let mut deleted = inner.delete_stream(locations);
                while let Some(done) = deleted.next().await {
                    done?;
                }
                match luck {
                    Luck::After => Err(failure(&weather)),
                    _ => Ok(location),
                }
            }
        };
        locations.then(one).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.weather.luck() {
            Luck::Before => {
                let failed = Err(failure(&self.weather));
                futures::stream::iter([failed]).boxed()
            }
            Luck::After => {
                let failed = futures::stream::iter([Err(failure(&self.weather))]);
                self.inner.list(prefix).take(2).chain(failed).boxed()
            }
            Luck::Fine | Luck::Slow => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let luck = self.before().await?;
        let listed = self.inner.list_with_delimiter(prefix).await?;
        self.after(luck, listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let luck = self.before().await?;
        self.inner.copy_opts(from, to, options).await?;
        self.after(luck, ())
    }
}
