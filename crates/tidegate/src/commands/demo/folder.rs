//! The demo's folder: made once, made anew when it is still as the demo left it, and never touched otherwise.
//!
//! A mark in the folder lists the files that the demo wrote, each with a hash. A folder is the demo's own when every
//! file in it is on the list with the same hash; what Tidegate itself makes (`.tidegate/`) does not count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::examples;
use crate::failure::Failure;

const MARK: &str = ".tidegate-demo.json";
const OWN: &str = ".tidegate";

/// Makes sure that the folder is free, and clears what an earlier demo left.
///
/// # Errors
/// When something there is not the demo's, or cannot be read or removed.
pub fn prepare(root: &Path) -> Result<(), Failure> {
    if !root.exists() || is_empty(root)? {
        return Ok(());
    }
    let foreign = |what: String| {
        Failure::usage(
            format!("{} {what}; nothing was changed", root.display()),
            "give the demo another folder, such as `tidegate demo another-folder`",
        )
    };
    if !root.is_dir() {
        return Err(foreign("is a file".to_owned()));
    }
    let Some(marked) = read_mark(root) else {
        return Err(foreign("is not empty, and no demo made it".to_owned()));
    };
    let mut found = Vec::new();
    walk(root, root, &mut found)?;
    for inside in found
        .iter()
        .filter(|inside| inside.as_path() != Path::new(MARK))
    {
        match marked.get(&key(inside)) {
            None => {
                return Err(foreign(format!(
                    "holds {}, which no demo made",
                    inside.display()
                )));
            }
            Some(hash) if *hash != hash_of(&root.join(inside))? => {
                return Err(foreign(format!(
                    "holds {}, which was changed after the demo",
                    inside.display()
                )));
            }
            Some(_) => {}
        }
    }
    for inside in &found {
        let path = root.join(inside);
        std::fs::remove_file(&path).map_err(|source| Failure::file("removing", &path, source))?;
    }
    for own in [root.join(OWN), root.join(super::live::FOLDER).join(OWN)] {
        match std::fs::remove_dir_all(&own) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::file("removing", &own, source));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes down which files the demo made.
///
/// # Errors
/// When a file cannot be read or the mark not be written.
pub fn mark(root: &Path, written: &[PathBuf]) -> Result<(), Failure> {
    let mut marked = BTreeMap::new();
    for inside in written {
        marked.insert(key(inside), hash_of(&root.join(inside))?);
    }
    examples::write_file(&root.join(MARK), &serde_json::to_vec_pretty(&marked)?)
}

fn read_mark(root: &Path) -> Option<BTreeMap<String, String>> {
    serde_json::from_slice(&std::fs::read(root.join(MARK)).ok()?).ok()
}

fn key(inside: &Path) -> String {
    inside.to_string_lossy().replace('\\', "/")
}

fn is_empty(root: &Path) -> Result<bool, Failure> {
    if !root.is_dir() {
        return Ok(false);
    }
    let mut entries =
        std::fs::read_dir(root).map_err(|source| Failure::file("looking into", root, source))?;
    Ok(entries.next().is_none())
}

/// All files below, but for Tidegate's own.
fn walk(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |source| Failure::file("looking into", folder, source);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let inside = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
        if inside.file_name() == Some(OWN.as_ref()) {
            continue;
        }
        // A link is looked at as a file, so that nothing outside the folder is touched.
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, found)?;
        } else {
            found.push(inside);
        }
    }
    Ok(())
}

fn hash_of(path: &Path) -> Result<String, Failure> {
    let content = std::fs::read(path).map_err(|source| Failure::file("reading", path, source))?;
    Ok(format!("{:016x}", rapidhash::v3::rapidhash_v3(&content)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_demo_made_is_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        prepare(root).unwrap();
        let write = |inside: &str, text: &str| {
            examples::write_file(&root.join(inside), text.as_bytes()).unwrap()
        };
        let anew = || {
            write("tables/a.sql", "a");
            mark(root, &[PathBuf::from("tables/a.sql")]).unwrap();
            write(".tidegate/warehouse/x", "table");
        };
        anew();
        prepare(root).unwrap();
        assert!(!root.join(".tidegate").exists() && !root.join("tables/a.sql").exists());

        anew();
        write("mine.txt", "dear to me");
        assert!(
            prepare(root)
                .unwrap_err()
                .to_string()
                .contains("mine.txt, which no demo made")
        );
        std::fs::remove_file(root.join("mine.txt")).unwrap();
        write("tables/a.sql", "changed");
        assert!(
            prepare(root)
                .unwrap_err()
                .to_string()
                .contains("changed after the demo")
        );
        assert_eq!(
            std::fs::read_to_string(root.join("tables/a.sql")).unwrap(),
            "changed"
        );
    }

    #[test]
    fn a_foreign_folder_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("thesis.tex"), "years").unwrap();
        assert!(
            prepare(root.path())
                .unwrap_err()
                .to_string()
                .contains("no demo made it")
        );
        assert!(
            prepare(&root.path().join("thesis.tex"))
                .unwrap_err()
                .to_string()
                .contains("is a file")
        );
    }
}
