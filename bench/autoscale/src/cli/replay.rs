//! Decides again what was recorded.

use anyhow::{Context, Result, ensure};
use millrace_autoscale::replay::replay;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Most differences that are shown.
const SHOWN: usize = 20;

/// Replays a recording, and shows what comes out differently.
///
/// # Errors
/// If a decision does, or the file can't be read.
pub fn run(file: &Path) -> Result<()> {
    let name = file.display();
    let replayed = replay(BufReader::new(File::open(file).with_context(|| format!("can't open {name}"))?))?;
    for difference in replayed.differences.iter().take(SHOWN) {
        println!("{:.3} recorded {:?}\n  now {:?}", difference.now, difference.recorded, difference.replayed);
    }
    let different = replayed.differences.len();
    println!("{} passes, {} decisions, {different} different", replayed.passes, replayed.decisions);
    ensure!(different == 0, "{different} decisions come out differently");
    Ok(())
}
