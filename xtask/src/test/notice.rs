//! Whether the third-party notice is that of today's dependencies. To make it anew takes minutes, so its crates are
//! compared with those that cargo would link.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use millrace_testbed::{exec, image, repository};

use crate::generate::NOTICES;

pub fn is_fresh() -> Result<()> {
    let file = repository().join(NOTICES);
    let notice = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let (named, linked) = (named(&notice), linked()?);
    let lacking: Vec<&String> = linked.difference(&named).collect();
    ensure!(lacking.is_empty(), "{NOTICES} lacks {lacking:?}: run `cargo xtask generate` and commit it");
    let lock = std::fs::read_to_string(repository().join("Cargo.lock"))?;
    let locked = locked(&lock);
    let gone: Vec<&String> = named.difference(&locked).collect();
    ensure!(gone.is_empty(), "{NOTICES} names {gone:?}, which are no dependencies: run `cargo xtask generate`");
    Ok(())
}

/// `NAME VERSION` of the crates in the notice's lists.
fn named(notice: &str) -> BTreeSet<String> {
    let entries = notice.lines().filter_map(|line| line.strip_prefix("- [")?.split_once("](").map(|(name, _)| name));
    entries.map(str::to_owned).collect()
}

/// `NAME VERSION` of the crates that the three programs link, ours apart.
fn linked() -> Result<BTreeSet<String>> {
    let mut tree = exec::cargo();
    tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    for program in image::PROGRAMS {
        tree.args(["--package", program]);
    }
    Ok(listed(&exec::output(&mut tree)?))
}

/// Reads what `cargo tree` prints: `NAME vVERSION`, and a path behind it for a crate of ours.
fn listed(tree: &str) -> BTreeSet<String> {
    tree.lines()
        .filter(|line| !line.contains("(/"))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(format!("{} {}", words.next()?, words.next()?.strip_prefix('v')?))
        })
        .collect()
}

/// `NAME VERSION` of the crates in a lock file.
fn locked(lock: &str) -> BTreeSet<String> {
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let lines: Vec<&str> = lock.lines().collect();
    lines
        .windows(2)
        .filter_map(|pair| Some(format!("{} {}", value(pair[0], "name = ")?, value(pair[1], "version = ")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_read_from_all_three_lists() {
        let serde = BTreeSet::from(["serde 1.0.1".to_owned()]);
        assert_eq!(named("Used by:\n- [serde 1.0.1](https://x)\n- Apache License: 3 crates\n"), serde);
        assert_eq!(listed("millrace-crds v0.1.0 (/a/b)\nserde v1.0.1\nserde v1.0.1 (*)\n\n"), serde);
        assert_eq!(locked("[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\n"), serde);
    }
}
