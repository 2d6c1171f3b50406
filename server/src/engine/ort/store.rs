//! Built engines on disk: one folder for each key, the ones that were used longest ago given up first. Replicas may share
//! the root: each builds in a folder of its own, and puts a whole engine in its place at once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The file that says that an engine lies here whole. It is written last, and its time is that of the last use.
const WHOLE: &str = "whole";
/// No build takes so long: what is older and isn't whole broke off.
const BROKEN_OFF: Duration = Duration::from_secs(24 * 3600);

/// Where an engine lies, or is to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It lies here whole.
    Whole(PathBuf),
    /// It is built in the first folder, and then goes to the second.
    New(PathBuf, PathBuf),
}

/// Finds the engine of a key, or makes a folder to build it in. Other engines are removed until all of them fit in `limit`
/// bytes, and so is what broke off long ago.
///
/// # Errors
/// The folder can't be written.
pub fn open(root: &Path, key: &str, limit: u64) -> io::Result<Place> {
    let folder = root.join(key);
    let place = if folder.join(WHOLE).exists() {
        touch(&folder)?;
        Place::Whole(folder.clone())
    } else {
        fs::create_dir_all(root)?;
        let own = tempfile::Builder::new().prefix(key).tempdir_in(root)?;
        Place::New(own.keep(), folder.clone())
    };
    prune(root, &folder, limit)?;
    Ok(place)
}

/// Puts an engine that was built in `own` into its place, unless another replica was faster.
///
/// # Errors
/// The folder can't be written.
pub fn finish(own: &Path, folder: &Path) -> io::Result<()> {
    touch(own)?;
    match fs::rename(own, folder) {
        Err(_) if folder.join(WHOLE).exists() => fs::remove_dir_all(own),
        renamed => renamed,
    }
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
    let mut total = 0;
    for entry in fs::read_dir(root)? {
        let folder = entry?.path();
        // Other replicas that share the root come and go: what is gone meanwhile needs no room.
        let Ok(size) = size(&folder) else { continue };
        let used = |path: &Path| fs::metadata(path).and_then(|about| about.modified());
        match (used(&folder.join(WHOLE)), used(&folder)) {
            (Ok(used), _) if folder != own => others.push((used, folder, size)),
            (Err(_), Ok(begun)) if begun.elapsed().is_ok_and(|age| age > BROKEN_OFF) => {
                fs::remove_dir_all(&folder)?;
                continue;
            }
            _ => {}
        }
        total += size;
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

    /// A folder to build the engine of a key in, and its place.
    fn new(root: &Path, key: &str) -> (PathBuf, PathBuf) {
        let Place::New(own, folder) = open(root, key, 1_000).unwrap() else { panic!("{key} is there") };
        (own, folder)
    }

    /// Puts an engine of 100 bytes into the folder of a key.
    fn build(root: &Path, key: &str) {
        let (own, folder) = new(root, key);
        fs::write(own.join("model.engine"), [0; 100]).unwrap();
        finish(&own, &folder).unwrap();
    }

    fn is_whole(root: &Path, key: &str) -> bool {
        matches!(open(root, key, 1_000).unwrap(), Place::Whole(folder) if folder.join("model.engine").exists())
    }

    fn kept(root: &Path) -> Vec<String> {
        let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        // Without those that are being built.
        let mut names: Vec<_> = names.filter(|name| name.len() == 1).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_built_is_found_and_what_broke_off_is_removed_in_time() {
        let root = tempfile::tempdir().unwrap();
        build(root.path(), "a");
        assert!(is_whole(root.path(), "a"));
        let (half, _) = new(root.path(), "b");
        fs::write(half.join("half.engine"), [0; 10]).unwrap();
        assert!(matches!(open(root.path(), "b", 1_000).unwrap(), Place::New(own, _) if own != half));
        assert!(half.exists(), "another replica may be building it");
        fs::File::open(&half).unwrap().set_modified(SystemTime::now() - 2 * BROKEN_OFF).unwrap();
        assert!(is_whole(root.path(), "a"));
        assert!(!half.exists());
    }

    #[test]
    fn replicas_that_share_a_root_build_beside_each_other() {
        let root = tempfile::tempdir().unwrap();
        let both = [new(root.path(), "a"), new(root.path(), "a")];
        assert_ne!(both[0].0, both[1].0);
        for (own, folder) in &both {
            fs::write(own.join("model.engine"), [0; 100]).unwrap();
            finish(own, folder).unwrap();
            assert!(is_whole(root.path(), "a"));
            assert!(!own.exists());
        }
    }

    #[test]
    fn the_engine_that_was_used_longest_ago_goes_first_and_ones_own_never() {
        let root = tempfile::tempdir().unwrap();
        for (key, seconds) in [("a", 30), ("b", 10), ("c", 20)] {
            build(root.path(), key);
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::File::create(root.path().join(key).join(WHOLE)).unwrap().set_modified(used).unwrap();
        }
        open(root.path(), "d", 250).unwrap();
        assert_eq!(kept(root.path()), ["a", "c"]);
        assert!(matches!(open(root.path(), "c", 0).unwrap(), Place::Whole(_)));
        assert_eq!(kept(root.path()), ["c"]);
    }
}
