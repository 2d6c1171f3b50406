//! Resident memory of a pod's program, read from the kernel.

/// Mebibytes resident of the process whose program has this name and whose cgroup is the pod's; `None` if there is none.
#[must_use]
pub fn resident_mebibytes(program: &str, pod_uid: &str) -> Option<f64> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let folder = entry.path();
        let command = std::fs::read(folder.join("cmdline")).ok()?;
        let first = command.split(|&byte| byte == 0).next()?;
        if !String::from_utf8_lossy(first).ends_with(program) {
            return None;
        }
        if !std::fs::read_to_string(folder.join("cgroup")).ok()?.contains(pod_uid) {
            return None;
        }
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes / 1024.0)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_program_that_is_not_there_has_no_memory() {
        assert_eq!(super::resident_mebibytes("no-such-program", "no-such-pod"), None);
    }
}
