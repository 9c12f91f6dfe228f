//! Where things are: the workspace, cargo's target folder, the cache of tools and environments.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The folders that the tasks use.
#[derive(Debug, Clone)]
pub struct Places {
    /// The root of the workspace.
    pub root: PathBuf,
    /// `${XDG_CACHE_HOME:-$HOME/.cache}/tidegate`: tools, environments, benchmark data. It may be
    /// deleted at any time.
    pub cache: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Places {
    /// Finds them from the environment.
    pub fn find() -> Result<Self, Failure> {
        let from = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // As cargo says when it runs: one target folder may serve several checkouts, whose place must not be built in.
        let root = from("CARGO_MANIFEST_DIR")
            .and_then(|manifest| Path::new(&manifest).parent().map(Path::to_owned))
            .ok_or_else(|| Failure::form("the environment", "call this as `cargo xtask`"))?;
        let cache = from("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| from("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .ok_or_else(|| Failure::form("the environment", "neither XDG_CACHE_HOME nor HOME"))?
            .join("tidegate");
        let target = match from("CARGO_TARGET_DIR") {
            // Cargo takes a relative one from where it was called; the alias is called anywhere.
            Some(folder) => std::path::absolute(&folder).map_err(Failure::file("find", folder))?,
            None => root.join("target"),
        };
        std::fs::create_dir_all(&cache).map_err(Failure::file("make", &cache))?;
        Ok(Self {
            root,
            cache,
            target,
        })
    }

    /// The binary of a profile: `debug` or `release`.
    pub fn binary(&self, profile: &str) -> PathBuf {
        let name = format!("tidegate{}", std::env::consts::EXE_SUFFIX);
        self.target.join(profile).join(name)
    }
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(Failure::file("make", path))
}

/// Reads a text file.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(Failure::file("read", path))
}

/// Writes a file.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    std::fs::write(path, content).map_err(Failure::file("write", path))
}

/// The entries of a folder, in order of their names.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(Failure::file("list", folder))?;
    paths.sort();
    Ok(paths)
}

/// All files below a folder whose names end in `.extension`, in order.
pub fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(files_below(&path, extension)?);
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Copies a folder with all that is in it, but for what Tidegate itself made there.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    make_folder(to)?;
    for path in entries(from)? {
        let Some(name) = path.file_name().filter(|name| *name != ".tidegate") else {
            continue;
        };
        let target = to.join(name);
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).map_err(Failure::file("copy", &path))?;
        }
    }
    Ok(())
}
