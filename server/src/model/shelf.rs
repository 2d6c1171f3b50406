//! Models that outlive a server: a folder that servers of one namespace share on a node, within a budget of bytes.
//!
//! An entry is a folder named by digest, with the model's files. Who fills one has its lock alone, who reads one shares it;
//! locks end with the process. So a model is fetched once however many servers start, a fetch that broke off is taken up by
//! the next server, and nothing that is in use is given up. What lies here is trusted by nobody: each server verifies each
//! file against the manifest's digest before it loads it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Between two looks at an entry that another server fills.
const LOOK: Duration = Duration::from_millis(50);
/// A server that fills an entry for longer isn't waited for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Ends the name of an entry's lock. Locks stay: who waits for one that is removed would hold a lock that nobody sees.
const LOCK: &str = ".lock";
/// Ends the name of the file that says that an entry is whole; its time is that of the last use.
const WHOLE: &str = ".whole";

/// The folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// Where it is.
    pub root: PathBuf,
    /// Bytes that all entries together may take.
    pub limit: u64,
}

/// An entry as it was found.
#[derive(Debug)]
pub enum Taken {
    /// Whole, and read by this server.
    Whole(Held),
    /// Not there, and to be filled by this server.
    Empty(Entry),
}

/// An entry that this server reads. It stays as long as this does.
#[derive(Debug)]
pub struct Held {
    /// Its folder.
    pub folder: PathBuf,
    key: String,
    lock: File,
}

/// An entry that this server alone has, to fill it.
#[derive(Debug)]
pub struct Entry {
    /// Its folder; what a fetch that broke off has left may lie in it.
    pub folder: PathBuf,
    key: String,
    lock: File,
}

impl Shelf {
    /// Takes an entry, once no other server fills it.
    ///
    /// # Errors
    /// The folder can't be written, or another server fills the entry for too long.
    pub async fn take(&self, key: &str) -> io::Result<Taken> {
        fs::create_dir_all(&self.root)?;
        let (lock, folder) = (self.lock(key)?, self.root.join(key));
        let begun = Instant::now();
        loop {
            // The end of the process breaks this wait off: no thread is left in a call that doesn't return.
            let whole = self.is_whole(key);
            let tried = if whole { lock.try_lock_shared() } else { lock.try_lock() };
            match tried {
                Ok(()) if self.is_whole(key) != whole => lock.unlock()?,
                Ok(()) if whole => {
                    self.mark(key)?;
                    return Ok(Taken::Whole(Held { folder, key: key.to_owned(), lock }));
                }
                Ok(()) => {
                    fs::create_dir_all(&folder)?;
                    return Ok(Taken::Empty(Entry { folder, key: key.to_owned(), lock }));
                }
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
                Err(TryLockError::WouldBlock) => return Err(io::Error::other("another server fills it for too long")),
            }
        }
    }

    /// Whether an entry is larger than all that may lie here.
    ///
    /// # Errors
    /// Its folder can't be read.
    pub fn is_too_large(&self, entry: &Entry) -> io::Result<bool> {
        Ok(size(&entry.folder)? > self.limit)
    }

    /// Gives an entry up.
    ///
    /// # Errors
    /// Its folder can't be removed.
    pub fn discard(&self, entry: Entry) -> io::Result<()> {
        fs::remove_dir_all(entry.folder)
    }

    /// Says that an entry is whole, gives up others until all fit, and lets others read it too. `None`: somebody has given
    /// it up meanwhile.
    ///
    /// # Errors
    /// The folder can't be read or written.
    pub fn settle(&self, entry: Entry) -> io::Result<Option<Held>> {
        let Entry { folder, key, lock } = entry;
        let own = size(&folder)?;
        self.make_room(&key, own)?;
        self.mark(&key)?;
        lock.lock_shared()?;
        // While one lock became the other, somebody may have had it.
        Ok(self.is_whole(&key).then_some(Held { folder, key, lock }))
    }

    /// A file of an entry isn't what its digest says: it is whole no longer, unless others read it. Whether it is to be
    /// taken again, to be filled anew.
    ///
    /// # Errors
    /// The folder can't be written.
    pub fn distrust(&self, held: Held) -> io::Result<bool> {
        held.lock.unlock()?;
        match held.lock.try_lock() {
            Ok(()) => fs::remove_file(self.path(&held.key, WHOLE)).map(|()| true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Gives up entries that nobody uses: those that aren't whole, then the one that was used longest ago first.
    fn make_room(&self, own: &str, mut total: u64) -> io::Result<()> {
        let mut others = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(key) = name.to_str().filter(|key| *key != own && entry.path().is_dir()) else { continue };
            let used = fs::metadata(self.path(key, WHOLE)).and_then(|about| about.modified());
            let size = size(&entry.path())?;
            total = total.saturating_add(size);
            others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), key.to_owned(), size));
        }
        others.sort();
        for (_, key, size) in others {
            if total <= self.limit {
                break;
            }
            let lock = self.lock(&key)?;
            if lock.try_lock().is_err() {
                continue;
            }
            tracing::info!(model = key, bytes = size, "a model on the node is given up: there are too many");
            super::remove_quietly(&self.path(&key, WHOLE));
            fs::remove_dir_all(self.root.join(&key))?;
            total -= size;
        }
        Ok(())
    }

    fn path(&self, key: &str, ending: &str) -> PathBuf {
        self.root.join(format!("{key}{ending}"))
    }

    fn lock(&self, key: &str) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(false).open(self.path(key, LOCK))
    }

    fn is_whole(&self, key: &str) -> bool {
        self.path(key, WHOLE).exists()
    }

    fn mark(&self, key: &str) -> io::Result<()> {
        File::create(self.path(key, WHOLE))?.set_modified(SystemTime::now())
    }
}

/// Bytes of all files below a folder; links and what isn't a file count as nothing and are never followed.
fn size(folder: &Path) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let bytes = match (kind.is_dir(), kind.is_file()) {
            (true, _) => size(&entry.path())?,
            (_, true) => entry.metadata()?.len(),
            _ => 0,
        };
        sum = sum.saturating_add(bytes);
    }
    Ok(sum)
}

#[cfg(test)]
#[path = "shelf_tests.rs"]
mod tests;
