//! What the process holds while a test does its worst. Server and attacker share it, so the attacker must hold nothing.

/// Resident memory of this process, in MiB.
pub fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<usize>().unwrap() >> 10
}
