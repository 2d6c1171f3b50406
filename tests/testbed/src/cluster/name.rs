//! The name of a cluster.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// A cluster's name: it becomes part of the names of a network namespace, of interfaces, of cgroups and of sockets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

/// An interface's name has 15 bytes at most, and ours is `mr-NAME`.
const LONGEST: usize = 12;

impl ClusterName {
    /// The network namespace.
    #[must_use]
    pub fn netns(&self) -> String {
        format!("mr-{self}")
    }

    /// The end of the veth pair that is on the host.
    #[must_use]
    pub fn host_interface(&self) -> String {
        format!("mr-{self}")
    }

    /// The folder of the sockets of container runtimes and shims: a socket's path has 107 bytes at most.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        PathBuf::from(format!("/run/mr-{self}"))
    }

    /// The cgroup that holds the nodes' cgroups, relative to the root of a hierarchy.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("millrace-{self}")
    }
}

impl FromStr for ClusterName {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let good = name.len() <= LONGEST
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        ensure!(
            good,
            "a cluster's name has 1 to {LONGEST} lower-case letters and digits, a letter first; {name:?} has not"
        );
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClusterName {
    type Error = anyhow::Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_where_they_are_used() {
        let name: ClusterName = "abcdefghijkl".parse().unwrap();
        assert_eq!(name.host_interface().len(), 15);
        for bad in ["", "abcdefghijklm", "1a", "a-b", "A", "a/b", ".."] {
            assert!(bad.parse::<ClusterName>().is_err(), "{bad}");
        }
    }
}
