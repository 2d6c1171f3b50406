//! Names, each of its own type, so that a pool is never taken for a revision; shared text, so that a copy costs no memory.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Declares a string newtype.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

name!(
    /// A revision of a service.
    Revision
);
name!(
    /// An accelerator pool.
    PoolName
);
name!(
    /// A tenant.
    TenantName
);
name!(
    /// An accelerator product, such as `L40S`.
    Accelerator
);
name!(
    /// Who reports: a gateway's or a server's pod.
    Reporter
);

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ServiceId {
    /// The service `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What has a number of replicas: one revision on one pool (a Deployment).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The revision.
    pub revision: Revision,
    /// The pool.
    pub pool: PoolName,
}

impl Slot {
    /// `revision` on `pool`.
    #[must_use]
    pub fn new(revision: &Revision, pool: &PoolName) -> Self {
        Self { revision: revision.clone(), pool: pool.clone() }
    }
}
