//! A service's replicas and decisions as they change: two watches of kubectl, each line with the moment at which it came.

use super::ground::epoch;
use anyhow::{Context, Result};
use millrace_tests::{Bed, NAMESPACE, Service};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// Deployments: name, replicas asked for, replicas that are ready.
const REPLICAS: &str = r#"jsonpath={.metadata.name}|{.spec.replicas}|{.status.readyReplicas}{"\n"}"#;
/// Services: the decision's reason.
const REASON: &str = r#"jsonpath={.status.scaling.reason}{"\n"}"#;

/// How many replicas there are, from a moment in seconds since 1970 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Counted {
    pub asked: u64,
    pub ready: u64,
}

/// What has been seen.
#[derive(Default)]
struct Seen {
    replicas: Vec<(f64, Counted)>,
    decisions: Vec<(f64, String)>,
}

/// Two watches; dropping it ends them.
pub struct Watch {
    children: Vec<Child>,
    seen: Arc<Mutex<Seen>>,
}

impl Watch {
    /// Watches a service from now on.
    pub fn start(service: &Service) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut watch = Self { children: Vec::new(), seen: seen.clone() };
        let selector = format!("millrace.dev/service={}", service.name);
        let replicas = ["get", "deployments", "-n", NAMESPACE, "-l", &selector, "--watch", "-o", REPLICAS];
        let mut slots = BTreeMap::new();
        watch.follow(&service.product.bed, &replicas, move |line, seen| {
            if let Some(counted) = note(&mut slots, line)
                && seen.replicas.last().is_none_or(|(_, last)| *last != counted)
            {
                seen.replicas.push((epoch(), counted));
            }
        })?;
        let decisions = ["get", "infs", &service.name, "-n", NAMESPACE, "--watch", "-o", REASON];
        watch.follow(&service.product.bed, &decisions, |line, seen| {
            if !line.is_empty() && seen.decisions.last().is_none_or(|(_, last)| last != line) {
                seen.decisions.push((epoch(), line.to_owned()));
            }
        })?;
        Ok(watch)
    }

    fn follow(
        &mut self,
        bed: &Bed,
        arguments: &[&str],
        mut note: impl FnMut(&str, &mut Seen) + Send + 'static,
    ) -> Result<()> {
        let mut kubectl = Command::new(bed.state.tools.join("kubectl"));
        kubectl.args(arguments).env("KUBECONFIG", &bed.state.kubeconfig);
        let mut child = kubectl.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("can't run kubectl")?;
        let lines = BufReader::new(child.stdout.take().context("standard output was piped")?).lines();
        self.children.push(child);
        let seen = self.seen.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                note(line.trim(), &mut seen.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
        Ok(())
    }

    fn read<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many there are now.
    pub fn now(&self) -> Option<Counted> {
        self.read(|seen| seen.replicas.last().map(|(_, counted)| *counted))
    }

    /// Each change of their number, with its moment.
    pub fn replicas(&self) -> Vec<(f64, Counted)> {
        self.read(|seen| seen.replicas.clone())
    }

    /// Each decision, with its moment.
    pub fn decisions(&self) -> Vec<(f64, String)> {
        self.read(|seen| seen.decisions.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended can't be killed any more.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Takes in a line of [`REPLICAS`], and sums up over all Deployments.
fn note(slots: &mut BTreeMap<String, Counted>, line: &str) -> Option<Counted> {
    let mut fields = line.split('|');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let mut number = || fields.next().map(|field| field.parse().unwrap_or(0));
    let counted = Counted { asked: number()?, ready: number()? };
    slots.insert(name.to_owned(), counted);
    let sum = |figure: fn(&Counted) -> u64| slots.values().map(figure).sum();
    Some(Counted { asked: sum(|slot| slot.asked), ready: sum(|slot| slot.ready) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_sum_up_over_deployments() {
        let mut slots = BTreeMap::new();
        let counted = |asked, ready| Some(Counted { asked, ready });
        assert_eq!(note(&mut slots, "a|1|"), counted(1, 0));
        assert_eq!(note(&mut slots, "b|2|2"), counted(3, 2));
        assert_eq!(note(&mut slots, "a|4|1"), counted(6, 3));
        assert_eq!(note(&mut slots, ""), None);
        assert_eq!(note(&mut slots, "error: lost"), None);
    }
}
