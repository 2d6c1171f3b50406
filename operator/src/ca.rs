//! The release's certificate authority: made, kept, rotated.
//!
//! A new CA is trusted a day before it signs, and the old one is trusted until it runs out: whoever is slow to read the
//! new bundle is never shut out.

mod issue;

use crate::scale::Identity;
use anyhow::{Context, Result};
use arc_swap::ArcSwapOption;
use issue::{Authority, Leaf};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use millrace_crds::labels;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where the authority's Secrets are, and who is told of what they hold.
pub struct Keeper {
    /// Client.
    pub client: Client,
    /// Namespace of the release.
    pub namespace: String,
    /// Name of the release.
    pub release: String,
    /// The public bundle, for ConfigMaps.
    pub bundle: Arc<ArcSwapOption<String>>,
    /// The operator's own certificate.
    pub identity: Arc<ArcSwapOption<Identity>>,
}

impl Keeper {
    /// Makes or renews what is due, and publishes it; `true`: the bundle is another one.
    ///
    /// # Errors
    /// A Secret can't be read or written.
    pub async fn renew(&self, now: k8s_openapi::jiff::Timestamp) -> Result<bool> {
        let name = format!("{}-ca", self.release);
        let kept = self.read(&name).await?.and_then(|data| Authority::from_data(&data));
        let authority = Authority::renew(kept.clone(), now)?;
        if kept.as_ref() != Some(&authority) {
            self.write(&name, "Opaque", authority.data()).await?;
        }
        for (suffix, host) in
            [("gateway-tls", "gateway.millrace.internal"), ("operator-tls", "operator.millrace.internal")]
        {
            let name = format!("{}-{suffix}", self.release);
            let kept = self.read(&name).await?.and_then(|data| Leaf::from_data(&data));
            let leaf = Leaf::renew(kept.clone(), &authority, host, now)?;
            if kept.as_ref() != Some(&leaf) {
                self.write(&name, "kubernetes.io/tls", leaf.data()).await?;
            }
            if suffix == "operator-tls" {
                let identity =
                    Identity::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes(), leaf.bundle.as_bytes())?;
                self.identity.store(Some(Arc::new(identity)));
            }
        }
        let bundle = authority.bundle();
        let changed = self.bundle.load().as_deref() != Some(&bundle);
        self.bundle.store(Some(Arc::new(bundle)));
        Ok(changed)
    }

    async fn read(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets.get_opt(name).await.with_context(|| format!("Secret {name} can't be read"))?;
        let text = |bytes: ByteString| String::from_utf8(bytes.0).unwrap_or_default();
        Ok(secret
            .map(|secret| secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, text(value))).collect()))
    }

    async fn write(&self, name: &str, kind: &str, data: BTreeMap<String, String>) -> Result<()> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some(kind.to_owned()),
            data: Some(data.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect()),
            ..Secret::default()
        };
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let params = PatchParams::apply(labels::FIELD_MANAGER).force();
        secrets
            .patch(name, &params, &Patch::Apply(&secret))
            .await
            .with_context(|| format!("Secret {name} can't be written"))?;
        tracing::info!(name, "certificates renewed");
        Ok(())
    }
}
