//! Built engines on disk: one folder for each key, the ones that were used longest ago given up first.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The file that says that an engine lies here whole. It is written last, and its time is that of the last use.
const WHOLE: &str = "whole";

/// Makes the folder of a key, and says whether a whole engine lies there. What a build left that broke off is removed, and
/// so are other engines until all of them fit in `limit` bytes.
///
/// # Errors
/// The folder can't be written.
pub fn open(root: &Path, key: &str, limit: u64) -> io::Result<(PathBuf, bool)> {
    let folder = root.join(key);
    let built = folder.join(WHOLE).exists();
    if built {
        touch(&folder)?;
    } else if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    prune(root, &folder, limit)?;
    Ok((folder, built))
}

/// Says that the engine in a folder is whole.
///
/// # Errors
/// The folder can't be written.
pub fn finish(folder: &Path) -> io::Result<()> {
    touch(folder)
}

fn touch(folder: &Path) -> io::Result<()> {
    fs::File::create(folder.join(WHOLE))?.set_modified(SystemTime::now())
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.map(|entry| entry?.metadata().map(|about| about.len())).sum()
}

fn prune(root: &Path, own: &Path, limit: u64) -> io::Result<()> {
    let mut others = Vec::new();
    let mut total = size(own)?;
    for entry in fs::read_dir(root)? {
        let folder = entry?.path();
        if folder == own || !folder.is_dir() {
            continue;
        }
        let size = size(&folder)?;
        let used =
            fs::metadata(folder.join(WHOLE)).and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        total += size;
        others.push((used, folder, size));
    }
    others.sort();
    for (_, folder, size) in others {
        if total <= limit {
            break;
        }
        tracing::info!(engine = %folder.display(), bytes = size, "an engine is given up: there are too many");
        fs::remove_dir_all(&folder)?;
        total -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts an engine of 100 bytes into the folder of a key.
    fn build(root: &Path, key: &str) {
        let (folder, built) = open(root, key, 1_000).unwrap();
        assert!(!built);
        fs::write(folder.join("model.engine"), [0; 100]).unwrap();
        finish(&folder).unwrap();
    }

    fn kept(root: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_built_is_found_and_what_broke_off_is_not() {
        let root = tempfile::tempdir().unwrap();
        build(root.path(), "a");
        assert!(open(root.path(), "a", 1_000).unwrap().1);
        let (folder, _) = open(root.path(), "b", 1_000).unwrap();
        fs::write(folder.join("half.engine"), [0; 10]).unwrap();
        let (folder, built) = open(root.path(), "b", 1_000).unwrap();
        assert!(!built && !folder.join("half.engine").exists());
    }

    #[test]
    fn the_engine_that_was_used_longest_ago_goes_first_and_ones_own_never() {
        let root = tempfile::tempdir().unwrap();
        for (key, seconds) in [("a", 30), ("b", 10), ("c", 20)] {
            build(root.path(), key);
            let used = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::create(root.path().join(key).join(WHOLE)).unwrap().set_modified(used).unwrap();
        }
        open(root.path(), "d", 250).unwrap();
        assert_eq!(kept(root.path()), ["a", "c", "d"]);
        assert!(open(root.path(), "c", 0).unwrap().1);
        assert_eq!(kept(root.path()), ["c"]);
    }
}
