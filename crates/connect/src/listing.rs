//! Which files a path means: a file, a folder with all below it, or a glob; on a local disk or an
//! object store. Names that begin with `_` or `.` are skipped (they are other programs' marks), and
//! `k=v` folders below the base become columns.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use globset::{GlobBuilder, GlobMatcher};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use url::{Position, Url};

use crate::error::{ConnectError, Result};
use crate::options::ReadOptions;

/// The name that stands for NULL in a `k=v` folder.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// One file of a source. Serialisable, for intents and seen-file lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it is: `file:///…`, `s3://bucket/…`, ….
    pub url: String,
    /// Its stored size in bytes, when it was listed.
    pub size: u64,
    /// When it was last modified, when it was listed.
    pub modified: DateTime<Utc>,
    /// The columns in its `k=v` folders, outermost first; `None` is NULL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<(String, Option<String>)>,
}

impl FileEntry {
    /// The URL, parsed.
    pub(crate) fn parsed_url(&self) -> Result<Url> {
        Url::parse(&self.url).map_err(|error| ConnectError::Url {
            url: self.url.clone(),
            message: error.to_string(),
        })
    }

    /// The path, if it is a local file.
    #[must_use]
    pub fn local_path(&self) -> Option<PathBuf> {
        let url = Url::parse(&self.url).ok()?;
        if url.scheme() == "file" {
            url.to_file_path().ok()
        } else {
            None
        }
    }

    /// The path or URL as a person would write it.
    #[must_use]
    pub fn display(&self) -> String {
        match self.local_path() {
            Some(path) => path.display().to_string(),
            None => self.url.clone(),
        }
    }

    /// The last part of the path.
    #[must_use]
    pub fn name(&self) -> String {
        let shown = self.display();
        shown.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The entry of one local file.
    ///
    /// # Errors
    /// If it does not exist, is no regular file, or cannot be asked about.
    pub fn local(path: &Path) -> Result<Self> {
        let metadata = stat(path)?;
        refuse_special(path)?;
        Self::of(path, &metadata, Vec::new())
    }

    fn of(
        path: &Path,
        metadata: &Metadata,
        partitions: Vec<(String, Option<String>)>,
    ) -> Result<Self> {
        let absolute = std::path::absolute(path)
            .map_err(|error| ConnectError::from_io(path.display().to_string(), error))?;
        let url = Url::from_file_path(&absolute).map_err(|()| ConnectError::Url {
            url: path.display().to_string(),
            message: "it is not an absolute path".to_owned(),
        })?;
        let modified = metadata
            .modified()
            .map_or(DateTime::UNIX_EPOCH, DateTime::<Utc>::from);
        Ok(Self {
            url: url.to_string(),
            size: metadata.len(),
            modified,
            partitions,
        })
    }
}

/// Lists the files that `path` means, sorted by URL. A relative path is relative to `root`.
///
/// # Errors
/// [`ConnectError::Missing`] if a plain path is not there, [`ConnectError::NoFiles`] if a folder or
/// glob yields none, [`ConnectError::NotAFile`] for a pipe, socket or device.
pub async fn list(root: &Path, path: &str, options: &ReadOptions) -> Result<Vec<FileEntry>> {
    let wanted = Filter::new(options)?;
    let url = path
        .split_once("://")
        .and_then(|_| Url::parse(&escape_glob(path)).ok());
    let mut found = match url {
        Some(url) if url.scheme() == "file" => {
            let text = path.trim_start_matches("file://");
            list_local(PathBuf::from(text), &wanted)?
        }
        Some(url) => list_remote(&url, path, options, &wanted).await?,
        None if path.contains("://") => {
            return Err(ConnectError::Url {
                url: path.to_owned(),
                message: "it does not parse".to_owned(),
            });
        }
        None => list_local(root.join(path), &wanted)?,
    };
    found.files.sort_by(|a, b| a.url.cmp(&b.url));
    found.files.dedup_by(|a, b| a.url == b.url);
    if found.files.is_empty() {
        let Found {
            hidden, filtered, ..
        } = found;
        return Err(ConnectError::NoFiles {
            path: path.to_owned(),
            hidden,
            filtered,
        });
    }
    Ok(found.files)
}

/// The files found, and how many were passed over.
#[derive(Default)]
struct Found {
    files: Vec<FileEntry>,
    hidden: usize,
    filtered: usize,
}

/// What the options ask of a file beyond its path.
struct Filter {
    name: Option<GlobMatcher>,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    partitions: bool,
}

impl Filter {
    fn new(options: &ReadOptions) -> Result<Self> {
        Ok(Self {
            name: options.path_glob_filter.as_deref().map(glob).transpose()?,
            after: options.modified_after,
            before: options.modified_before,
            partitions: options.recursive_lookup != Some(true),
        })
    }

    fn admits(&self, name: &str, modified: DateTime<Utc>) -> bool {
        self.name.as_ref().is_none_or(|glob| glob.is_match(name))
            && self.after.is_none_or(|after| modified > after)
            && self.before.is_none_or(|before| modified < before)
    }

    /// The columns in the `k=v` folders of a path below the base.
    fn partitions(&self, below: &str) -> Vec<(String, Option<String>)> {
        if !self.partitions {
            return Vec::new();
        }
        let folders = below.rsplit_once('/').map_or("", |(folders, _)| folders);
        folders
            .split('/')
            .filter_map(|folder| folder.split_once('='))
            .filter(|(key, _)| !key.is_empty())
            .map(|(key, value)| {
                let value = percent_decoded(value);
                (
                    percent_decoded(key),
                    (value != NULL_PARTITION).then_some(value),
                )
            })
            .collect()
    }
}

/// Undoes `%20` and the like, which writers of partitions use for odd characters.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (*first, tail)
            && let (Some(high), Some(low)) = (
                char::from(*high).to_digit(16),
                char::from(*low).to_digit(16),
            )
        {
            bytes.push((high * 16 + low) as u8);
            rest = after;
            continue;
        }
        bytes.push(*first);
        rest = tail;
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn glob(pattern: &str) -> Result<GlobMatcher> {
    let built = GlobBuilder::new(pattern)
        .literal_separator(true)
        .empty_alternates(true)
        .build();
    built
        .map(|glob| glob.compile_matcher())
        .map_err(|error| ConnectError::Pattern {
            pattern: pattern.to_owned(),
            message: error.kind().to_string(),
        })
}

fn has_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// A glob is no valid URL; escapes what `Url` would take for something else.
fn escape_glob(path: &str) -> String {
    path.replace('?', "%3F").replace('#', "%23")
}

/// Splits a pattern at the slashes outside of braces.
fn components(pattern: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, byte) in pattern.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'/' if depth == 0 => {
                parts.push(&pattern[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&pattern[start..]);
    parts
}

/// A pattern cut into the base (no wildcards) and one matcher for each depth below it.
struct Pattern {
    base: String,
    /// Matches whole relative paths.
    whole: GlobMatcher,
    /// Matches the folders one may enter, by depth; deeper than these, all if `open`.
    prefixes: Vec<GlobMatcher>,
    /// Whether a `**` (or braces over folders) makes the depth unbounded.
    open: bool,
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self> {
        let parts = components(pattern);
        let literal = parts.iter().take_while(|part| !has_glob(part)).count();
        let base = parts[..literal].join("/");
        let below = &parts[literal..];
        let open = below
            .iter()
            .any(|part| part.contains("**") || part.contains('/'));
        let closed = below
            .iter()
            .take_while(|part| !part.contains("**") && !part.contains('/'))
            .count();
        let prefixes = (1..=closed)
            .map(|n| glob(&below[..n].join("/")))
            .collect::<Result<_>>()?;
        Ok(Self {
            base,
            whole: glob(&below.join("/"))?,
            prefixes,
            open,
        })
    }

    /// Whether a folder at this relative path can hold matches.
    fn may_enter(&self, relative: &str) -> bool {
        let depth = relative.split('/').count();
        match self.prefixes.get(depth - 1) {
            Some(prefix) => prefix.is_match(relative),
            None => self.open,
        }
    }
}

/// Whether a name is one that readers skip.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

fn stat(path: &Path) -> Result<Metadata> {
    fs::metadata(path).map_err(|error| {
        match ConnectError::from_io(path.display().to_string(), error) {
            ConnectError::Missing { path: shown, .. } => ConnectError::Missing {
                path: shown,
                nearest: nearest(path),
            },
            other => other,
        }
    })
}

/// The most similar name in the folder of a path that is not there.
fn nearest(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())?;
    fs::read_dir(folder)
        .ok()?
        .take(10_000)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .map(|other| (strsim::damerau_levenshtein(&name, &other), other))
        .filter(|(distance, other)| *distance <= 1 + other.len() / 4)
        .min()
        .map(|(_, other)| folder.join(other).display().to_string())
}

/// Refuses folders, and what would block or has no end: pipes, sockets, devices.
pub(crate) fn refuse_special(path: &Path) -> Result<()> {
    let metadata = stat(path)?;
    if metadata.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    let what = {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_dir() {
            "a folder"
        } else if kind.is_fifo() {
            "a pipe"
        } else if kind.is_socket() {
            "a socket"
        } else {
            "a device"
        }
    };
    #[cfg(not(unix))]
    let what = "a device";
    Err(ConnectError::NotAFile {
        path: path.display().to_string(),
        what,
        expected: "a regular file",
    })
}

fn list_local(path: PathBuf, wanted: &Filter) -> Result<Found> {
    let mut found = Found::default();
    let text = path.to_string_lossy().into_owned();
    if !path.exists() && has_glob(&text) {
        let pattern = Pattern::new(&text)?;
        let base = PathBuf::from(if pattern.base.is_empty() {
            "/"
        } else {
            &pattern.base
        });
        if !stat(&base)?.is_dir() {
            let path = base.display().to_string();
            return Err(ConnectError::NotAFile {
                path,
                what: "a file",
                expected: "a folder",
            });
        }
        walk(&base, "", Some(&pattern), wanted, &mut found, 0)?;
        return Ok(found);
    }
    let metadata = stat(&path)?;
    if metadata.is_dir() {
        walk(&path, "", None, wanted, &mut found, 0)?;
    } else {
        let entry = FileEntry::local(&path)?;
        if wanted.admits(&entry.name(), entry.modified) {
            found.files.push(entry);
        } else {
            found.filtered += 1;
        }
    }
    Ok(found)
}

/// Takes the files below `folder` whose path below the base matches (all, without a pattern).
fn walk(
    folder: &Path,
    relative: &str,
    pattern: Option<&Pattern>,
    wanted: &Filter,
    found: &mut Found,
    depth: usize,
) -> Result<()> {
    let fail = |error| ConnectError::from_io(folder.display().to_string(), error);
    // A loop of symbolic links ends here rather than at the limit of the path's length.
    if depth > 100 {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let below = if relative.is_empty() {
            name.clone()
        } else {
            format!("{relative}/{name}")
        };
        let Ok(metadata) = fs::metadata(entry.path()) else {
            tracing::warn!(path = %entry.path().display(), "skipped: a link that leads nowhere, or no permission");
            continue;
        };
        let matched = pattern.is_none_or(|pattern| pattern.whole.is_match(&below));
        if is_hidden(&name) {
            found.hidden += usize::from(metadata.is_file() && matched);
        } else if metadata.is_dir() {
            let inside = if matched { None } else { pattern };
            if matched || pattern.is_some_and(|pattern| pattern.may_enter(&below)) {
                walk(&entry.path(), &below, inside, wanted, found, depth + 1)?;
            }
        } else if !metadata.is_file() {
            tracing::warn!(path = %entry.path().display(), "skipped: not a regular file");
        } else if matched {
            let file = FileEntry::of(&entry.path(), &metadata, wanted.partitions(&below))?;
            if wanted.admits(&name, file.modified) {
                found.files.push(file);
            } else {
                found.filtered += 1;
            }
        }
    }
    Ok(())
}

async fn list_remote(
    url: &Url,
    written: &str,
    options: &ReadOptions,
    wanted: &Filter,
) -> Result<Found> {
    let (store, path) = options.stores.open(url, &options.store)?;
    let bucket = &bucket_of(url, &path);
    let fail = |source| ConnectError::Store {
        url: written.to_owned(),
        source,
    };
    let mut found = Found::default();
    if !has_glob(written) && !path.as_ref().is_empty() {
        match store.head(&path).await {
            Ok(meta) => {
                take_object(&meta, bucket, "", wanted, &mut found);
                return Ok(found);
            }
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    let full = percent_decoded(path.as_ref());
    let pattern = if has_glob(written) {
        Some(Pattern::new(&full)?)
    } else {
        None
    };
    let base = pattern
        .as_ref()
        .map_or(full, |pattern| pattern.base.clone());
    let prefix = ObjectPath::parse(&base).map_err(|error| ConnectError::Url {
        url: written.to_owned(),
        message: error.to_string(),
    })?;
    let objects = objects_below(&*store, &prefix).await.map_err(fail)?;
    if objects.is_empty() && pattern.is_none() {
        return Err(ConnectError::Missing {
            path: written.to_owned(),
            nearest: None,
        });
    }
    for meta in objects {
        let location = meta.location.as_ref();
        let below = location
            .strip_prefix(prefix.as_ref())
            .unwrap_or(location)
            .trim_start_matches('/');
        if pattern
            .as_ref()
            .is_some_and(|pattern| !matches_or_below(pattern, below))
        {
            continue;
        }
        if below.split('/').any(is_hidden) {
            found.hidden += 1;
        } else if !below.is_empty() && !location.ends_with('/') {
            take_object(&meta, bucket, below, wanted, &mut found);
        }
    }
    Ok(found)
}

async fn objects_below(
    store: &dyn ObjectStore,
    prefix: &ObjectPath,
) -> object_store::Result<Vec<ObjectMeta>> {
    store.list(Some(prefix)).try_collect().await
}

/// The URL without the path in its store: `s3://bucket`, or for stores behind https also the
/// bucket that is part of the path.
fn bucket_of(url: &Url, path: &ObjectPath) -> String {
    let written = percent_decoded(url.path());
    let inside = percent_decoded(path.as_ref());
    let before = written
        .trim_end_matches('/')
        .strip_suffix(&inside)
        .unwrap_or_default();
    format!(
        "{}{}",
        &url[..Position::BeforePath],
        before.trim_end_matches('/')
    )
}

/// Whether an object matches, or one of the folders above it does.
fn matches_or_below(pattern: &Pattern, below: &str) -> bool {
    let ends = below
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([below.len()]);
    ends.into_iter()
        .any(|end| pattern.whole.is_match(&below[..end]))
}

fn take_object(meta: &ObjectMeta, bucket: &str, below: &str, wanted: &Filter, found: &mut Found) {
    let name = meta.location.filename().unwrap_or_default();
    if !wanted.admits(name, meta.last_modified) {
        found.filtered += 1;
        return;
    }
    let path = meta
        .location
        .as_ref()
        .replace('%', "%25")
        .replace('#', "%23")
        .replace('?', "%3F");
    found.files.push(FileEntry {
        url: format!("{bucket}/{path}"),
        size: meta.size,
        modified: meta.last_modified,
        partitions: wanted.partitions(below),
    });
}
