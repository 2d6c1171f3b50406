//! Servers that build a better engine while another serves: TensorRT's, while CUDA does.

use millrace_crds::report::EngineBuild;
use millrace_scaler::{Replica, Reporter, ServiceId};
use std::collections::{BTreeMap, BTreeSet};

/// What each server said last.
#[derive(Debug, Default)]
pub struct Builds(BTreeMap<Reporter, (ServiceId, EngineBuild)>);

/// Replicas of a service by what their builds have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Engines {
    /// They build.
    pub building: usize,
    /// They can't, and go on with what served meanwhile.
    pub failed: usize,
}

impl Builds {
    /// Takes in what a server says.
    pub fn hear(&mut self, replica: &Replica, build: Option<EngineBuild>) {
        match build {
            Some(build) => self.0.insert(replica.pod.clone(), (replica.service.clone(), build)),
            None => self.0.remove(&replica.pod),
        };
    }

    /// Forgets servers that are gone.
    pub fn retain(&mut self, servers: &BTreeSet<Reporter>) {
        self.0.retain(|pod, _| servers.contains(pod));
    }

    /// How many of a service build, and how many can't.
    #[must_use]
    pub fn of(&self, service: &ServiceId) -> Engines {
        let count = |wanted| self.0.values().filter(|(own, build)| own == service && *build == wanted).count();
        Engines { building: count(EngineBuild::Building), failed: count(EngineBuild::Failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace_scaler::{Accelerator, Revision};

    fn replica(pod: &str) -> Replica {
        Replica {
            pod: Reporter::from(pod),
            service: ServiceId::new("a", "b"),
            revision: Revision::from("r"),
            accelerator: Accelerator::from("H100"),
        }
    }

    #[test]
    fn a_service_has_the_builds_of_its_servers_as_they_were_last_told() {
        let (mut builds, id) = (Builds::default(), ServiceId::new("a", "b"));
        builds.hear(&replica("1"), Some(EngineBuild::Building));
        builds.hear(&replica("2"), Some(EngineBuild::Failed));
        builds.hear(&replica("3"), None);
        assert_eq!(builds.of(&id), Engines { building: 1, failed: 1 });
        assert_eq!(builds.of(&ServiceId::new("a", "c")), Engines::default());
        builds.hear(&replica("1"), Some(EngineBuild::Built));
        builds.retain(&BTreeSet::from([Reporter::from("1")]));
        assert_eq!(builds.of(&id), Engines::default());
    }
}
