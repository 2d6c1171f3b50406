//! The processes of a cluster: started so that they outlive us, remembered by pid and start time, ended by pid.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::wait_until;

use super::netns;

/// A process to start in a cluster's network namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Program {
    /// The component's name, unique in the cluster.
    pub name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
}

/// A process that was started. The pid alone would not tell it from a later one with the same number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// What was started.
    pub program: Program,
    pid: i32,
    start_time: u64,
}

impl Program {
    /// A program with arguments.
    pub fn new(name: &str, program: &Path, arguments: impl IntoIterator<Item = String>) -> Self {
        let mut argv = vec![program.display().to_string()];
        argv.extend(arguments);
        Self { name: name.to_owned(), argv, env: Vec::new() }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with_env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Starts it in a session of its own, with its output appended to `log/NAME.log` of the state folder.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(self, state: &Path, netns: &str) -> Result<Record> {
        fs::create_dir_all(state.join("log"))?;
        fs::create_dir_all(state.join("run"))?;
        let log = File::options().create(true).append(true).open(log_file(state, &self.name))?;
        // Neither setsid nor nsenter forks here: the pid is that of the program in the end.
        let mut command = std::process::Command::new("setsid");
        command.args(["nsenter", &netns::flag(netns)]).args(&self.argv).current_dir(state);
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("can't start {}", self.name))?;
        let pid = i32::try_from(child.id()).context("a pid is an i32")?;
        // When it has ended already, nothing can have taken its number: it is our child and not reaped.
        let start_time = start_time(pid).with_context(|| format!("{} has no entry in /proc", self.name))?;
        let record = Record { program: self, pid, start_time };
        fs::write(record_file(state, &record.program.name), serde_json::to_vec(&record)?)?;
        Ok(record)
    }
}

impl Record {
    /// Reads the record of a component, if it was ever started.
    #[must_use]
    pub fn of(state: &Path, name: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(record_file(state, name)).ok()?).ok()
    }

    /// The records of all components.
    #[must_use]
    pub fn all(state: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(state.join("run")) else { return Vec::new() };
        entries.flatten().filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()).collect()
    }

    /// The pid, if the process that was started still runs.
    #[must_use]
    pub fn running(&self) -> Option<i32> {
        (start_time(self.pid) == Some(self.start_time) && !is_zombie(self.pid)).then_some(self.pid)
    }

    /// Ends the process and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after 20 s.
    pub fn end(&self, signal: Signal) -> Result<()> {
        if let Some(pid) = self.running() {
            end(pid, signal);
            wait_until(&format!("the end of {}", self.program.name), Duration::from_secs(20), || {
                Ok(self.running().is_none())
            })?;
        }
        Ok(())
    }
}

/// The log of a component.
#[must_use]
pub fn log_file(state: &Path, name: &str) -> PathBuf {
    state.join("log").join(format!("{name}.log"))
}

/// Sends a signal; a process that is gone already is fine.
pub fn end(pid: i32, signal: Signal) {
    let _gone = kill(Pid::from_raw(pid), signal);
}

fn record_file(state: &Path, name: &str) -> PathBuf {
    state.join("run").join(format!("{name}.json"))
}

/// The start time of a process in ticks since boot: the 22nd field of its `stat`.
fn start_time(pid: i32) -> Option<u64> {
    field_after_name(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, 22)?.parse().ok()
}

/// Whether a process has ended and only waits to be reaped.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    field_after_name(&stat, 3) == Some("Z")
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5). The second, the name, may hold spaces and brackets.
fn field_after_name(stat: &str, number: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_a_name_with_brackets() {
        let stat = "7 (a ) b (c) S 1 7 7 0 -1 4 5 6 7 8 9 10 11 12 20 0 1 0 4242 99";
        assert_eq!(field_after_name(stat, 3), Some("S"));
        assert_eq!(field_after_name(stat, 22), Some("4242"));
        assert_eq!(field_after_name("", 3), None);
    }

    #[test]
    fn a_record_of_another_process_with_the_same_pid_is_not_running() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let program = Program::new("me", Path::new("/bin/true"), []);
        let mut record = Record { program, pid, start_time: start_time(pid).unwrap() };
        assert_eq!(record.running(), Some(pid));
        record.start_time += 1;
        assert_eq!(record.running(), None);
    }
}
