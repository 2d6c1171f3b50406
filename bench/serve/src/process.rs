//! A server as a process, with all that it starts, and what they use by the kernel's own count.

use anyhow::{Context, Result};
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::signal::{Signal, kill},
    sys::time::{TimeVal, TimeValLike as _},
    unistd::{Pid, SysconfVar, sysconf},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Cores that there are.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Processor time of this process.
pub fn own() -> Duration {
    let time = |part: TimeVal| Duration::from_micros(part.num_microseconds().unsigned_abs());
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |used| time(used.user_time()) + time(used.system_time()))
}

/// A program with all that it started. It ends when dropped.
pub struct Program {
    child: Child,
    log: PathBuf,
}

/// What processes use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time so far.
    pub cpu: Duration,
    /// Resident memory in KiB.
    pub resident_kib: u64,
}

impl Program {
    /// Starts it with its output in a file.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| log.display().to_string())?;
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("can't run {name}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// What it and all that it started use.
    pub fn usage(&self) -> Usage {
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4_096);
        let mut usage = Usage::default();
        for stat in self.family() {
            usage.cpu += Duration::from_secs_f64(stat.ticks as f64 / ticks as f64);
            usage.resident_kib += stat.pages * page.unsigned_abs() / 1_024;
        }
        usage
    }

    /// Stops it, with all that it started: it uses nothing while others are measured.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on for as long as the guard lives.
    pub fn awake(&self) -> Awake<'_> {
        self.signal(Signal::SIGCONT);
        Awake(self)
    }

    fn signal(&self, signal: Signal) {
        for stat in self.family() {
            // It may have ended by itself: whoever asks it next is told so.
            let _ = kill(Pid::from_raw(stat.process.cast_signed()), signal);
        }
    }

    /// Its process, and those that it started, and those that they did.
    fn family(&self) -> Vec<Stat> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        let all: Vec<Stat> = texts.filter_map(|text| Stat::read(&text)).collect();
        let mut family: Vec<Stat> = all.iter().filter(|stat| stat.process == self.child.id()).copied().collect();
        let mut next = 0;
        while let Some(parent) = family.get(next).map(|stat| stat.process) {
            family.extend(all.iter().filter(|stat| stat.parent == parent));
            next += 1;
        }
        family
    }

    /// Whether it has ended by itself, with the last of what it said.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        Some(format!("it ended, {status}: {}", lines[lines.len().saturating_sub(8)..].join("\n")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        drop(self.child.wait());
    }
}

/// A program that goes on.
pub struct Awake<'a>(&'a Program);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.pause();
    }
}

/// What is read of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    process: u32,
    parent: u32,
    ticks: u64,
    pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The name, in brackets, may hold anything.
        let (process, _) = text.split_once(' ')?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            process: process.parse().ok()?,
            parent: number(1)?.try_into().ok()?,
            ticks: number(11)? + number(12)?,
            pages: number(21)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_line_is_read() {
        let text = "7 (a) b) S 1 42 42 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 3 0 99 1000 321 18446744073709551615";
        assert_eq!(Stat::read(text), Some(Stat { process: 7, parent: 1, ticks: 56, pages: 321 }));
        assert_eq!(Stat::read("7"), None);
    }

    #[test]
    fn a_family_is_counted_and_ended_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & sleep 60 & wait"]);
        let mut program = Program::start(&mut shell, &folder.path().join("log")).unwrap();
        while program.family().len() < 3 {
            assert!(program.ended().is_none());
        }
        assert!(program.usage().resident_kib > 0);
        let stopped = |program: &Program| {
            let state = |stat: &Stat| std::fs::read_to_string(format!("/proc/{}/stat", stat.process)).unwrap();
            program.family().iter().all(|stat| state(stat).contains(") T"))
        };
        program.pause();
        while !stopped(&program) {}
        let awake = program.awake();
        while stopped(&program) {}
        drop(awake);
        while !stopped(&program) {}
        let children: Vec<u32> = program.family().iter().map(|stat| stat.process).collect();
        drop(program);
        let left =
            |id: &u32| std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
        while children.iter().any(left) {}
        let mut ends =
            Program::start(Command::new("sh").args(["-c", "echo why; exit 3"]), &folder.path().join("ends")).unwrap();
        let told = loop {
            if let Some(told) = ends.ended() {
                break told;
            }
            std::thread::yield_now();
        };
        assert!(told.contains("why") && told.contains('3'), "{told}");
    }
}
