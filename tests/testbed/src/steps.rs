//! The list of steps that a long task prints.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was there already.
    Cached,
    /// It was made now.
    Made,
}

/// Prints `[ 3/14] what ... cached`, or the seconds it took, on standard error: standard output is for results.
#[derive(Debug)]
pub struct Steps {
    total: usize,
    done: usize,
}

impl Steps {
    /// A list of so many steps.
    #[must_use]
    pub fn new(total: usize) -> Self {
        Self { total, done: 0 }
    }

    /// More steps follow than were announced.
    pub fn add(&mut self, more: usize) {
        self.total += more;
    }

    /// Runs a step that may find its work done.
    ///
    /// # Errors
    /// The step's own, with its name.
    pub fn ensure(&mut self, what: &str, step: impl FnOnce() -> Result<Done>) -> Result<()> {
        self.announce(what);
        let start = Instant::now();
        let outcome = step();
        match &outcome {
            Ok(Done::Cached) => eprintln!("cached"),
            Ok(Done::Made) => eprintln!("{:.1} s", start.elapsed().as_secs_f64()),
            Err(_) => eprintln!("failed after {:.1} s", start.elapsed().as_secs_f64()),
        }
        outcome.map(|_| ()).with_context(|| what.to_owned())
    }

    /// Runs a step and gives back its result.
    ///
    /// # Errors
    /// The step's own, with its name.
    pub fn run<T>(&mut self, what: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut result = None;
        self.ensure(what, || {
            result = Some(step()?);
            Ok(Done::Made)
        })?;
        result.with_context(|| format!("{what}: no result"))
    }

    /// Runs a step whose own output is shown below its title.
    ///
    /// # Errors
    /// The step's own, with its name.
    pub fn show(&mut self, what: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        self.announce(what);
        eprintln!();
        let start = Instant::now();
        let outcome = step();
        let word = if outcome.is_ok() { "done" } else { "FAILED" };
        eprintln!("        {what}: {word}, {:.1} s", start.elapsed().as_secs_f64());
        outcome.with_context(|| what.to_owned())
    }

    fn announce(&mut self, what: &str) {
        self.done += 1;
        self.total = self.total.max(self.done);
        eprint!("[{:2}/{:2}] {what} ... ", self.done, self.total);
        // Nothing is lost when standard error can't be flushed.
        drop(std::io::stderr().flush());
    }
}
