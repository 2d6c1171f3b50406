//! Inputs and decisions as lines of JSON, written by a thread of its own.

use anyhow::{Context, Result};
use millrace_scaler::{Decision, Fleet, Record};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A file grows no larger: then it becomes FILE.old.
const LARGEST: u64 = 256 << 20;
/// Passes that may wait for the disk.
const WAITING: usize = 8;

/// Takes passes to a file. A pass that the disk is too slow for is left out: each line stands for itself.
#[derive(Debug)]
pub struct Recorder {
    passes: SyncSender<Record>,
    lost: u64,
}

impl Recorder {
    /// Appends to `file`.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn start(file: &Path) -> Result<Self> {
        let log = Log::open(file, LARGEST).with_context(|| format!("can't record decisions in {}", file.display()))?;
        let (passes, received) = sync_channel(WAITING);
        std::thread::Builder::new().name("record".to_owned()).spawn(move || write_all(log, &received))?;
        Ok(Self { passes, lost: 0 })
    }

    /// Takes one pass.
    pub fn write(&mut self, now: f64, fleet: &Fleet, decisions: &[Decision]) {
        let record = Record { now, fleet: fleet.clone(), decisions: decisions.to_vec() };
        if self.passes.try_send(record).is_err() {
            self.lost += 1;
            // Once for each power of two: a full disk must not fill the log as well.
            if self.lost.is_power_of_two() {
                tracing::warn!(lost = self.lost, "passes can't be recorded fast enough");
            }
        }
    }
}

fn write_all(mut log: Log, passes: &Receiver<Record>) {
    while let Ok(record) = passes.recv() {
        if let Err(error) = log.append(&record) {
            tracing::warn!("decisions aren't recorded any more: {error:#}");
            return;
        }
    }
}

/// A file, and how long it is.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
    largest: u64,
}

impl Log {
    fn open(path: &Path, largest: u64) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file), length, largest })
    }

    fn append(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let length = line.len() as u64;
        if self.length > 0 && self.length + length > self.largest {
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            self.file.flush()?;
            std::fs::rename(&self.path, old)?;
            *self = Self::open(&self.path, self.largest)?;
        }
        self.file.write_all(&line)?;
        self.file.flush()?;
        self.length += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_scaler::{Service, ServiceId, decide};

    fn fleet() -> Fleet {
        Fleet { services: vec![Service { id: ServiceId::new("a", "s"), ..Service::default() }], ..Fleet::default() }
    }

    fn read(file: &Path) -> Vec<Record> {
        let text = std::fs::read_to_string(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn what_is_recorded_repeats_the_decisions() {
        let folder = std::env::temp_dir().join(format!("millrace-record-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("decisions.jsonl");
        let fleet = fleet();
        let record = |now: f64| Record { now, fleet: fleet.clone(), decisions: decide(now, &fleet) };
        let mut log = Log::open(&file, 1 << 20).unwrap();
        (0..3).for_each(|second| log.append(&record(f64::from(second))).unwrap());
        // It goes on after a restart, and makes way for a new one when it is full.
        let mut log = Log::open(&file, 2 * log.length).unwrap();
        (3..8).for_each(|second| log.append(&record(f64::from(second))).unwrap());
        let mut old = file.clone().into_os_string();
        old.push(".old");
        let records: Vec<Record> = read(Path::new(&old)).into_iter().chain(read(&file)).collect();
        assert_eq!(
            records.iter().map(|record| record.now).collect::<Vec<_>>(),
            (0..8).map(f64::from).collect::<Vec<_>>()
        );
        assert!(records.iter().all(|record| record.replay().is_empty() && record.decisions.len() == 1));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told() {
        let error = Recorder::start(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error:#}");
    }
}
