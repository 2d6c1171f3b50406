//! The calls that change a standby server: claim, assign, say that it serves, open the gate, end.

use super::objects::ASSIGN_PORT;
use super::view::{Role, Standby};
use crate::apply::is_status;
use crate::scale::Identity;
use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use millrace_crds::assignment::{Assigned, Assignment, LARGEST, NotAssigned, PATH};
use millrace_crds::labels;
use millrace_scaler::{ServiceId, Slot};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Longest call to the API server.
const CALL: Duration = Duration::from_secs(10);
/// A pod that is there accepts at once.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest load of a model: its own replicas are there before that, or never.
const LOAD: Duration = Duration::from_secs(1_800);

/// How pods of standby servers are reached.
#[derive(Clone)]
pub struct Reach {
    /// Pods of the release's own namespace.
    pub pods: Api<Pod>,
    /// The operator's certificate.
    pub identity: Arc<ArcSwapOption<Identity>>,
    /// Where standbys are assigned.
    pub port: u16,
}

/// A standby that is given to a slot of a service.
#[derive(Clone, Debug)]
pub struct Loan {
    /// To whom.
    pub service: ServiceId,
    /// To which of its slots.
    pub slot: Slot,
    /// What it is told.
    pub assignment: Assignment,
    /// Labels by which it reaches the stores of the revision.
    pub stores: Vec<String>,
    /// Whose the pod is from then on: the pool's.
    pub owner: Option<OwnerReference>,
}

/// Why a standby doesn't serve.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was changed meanwhile, or is gone: somebody else has it.
    #[error("somebody else has it")]
    Lost,
    /// It can't be claimed. Should the claim have been written all the same, its labels tell.
    #[error("it can't be claimed: {0:#}")]
    Unclaimed(anyhow::Error),
    /// It can't serve this, or can't be reached.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

impl Reach {
    /// Has the pods of a namespace.
    pub fn new(client: kube::Client, namespace: &str, identity: Arc<ArcSwapOption<Identity>>) -> Self {
        let port = u16::try_from(ASSIGN_PORT).unwrap_or_default();
        Self { pods: Api::namespaced(client, namespace), identity, port }
    }

    /// Claims a free standby for a loan, or goes on with one that was claimed for it, until it serves.
    ///
    /// # Errors
    /// It is lost to another, or fails.
    pub async fn bridge(&self, standby: &Standby, loan: &Loan) -> Result<(), Failure> {
        if standby.role == Role::Free {
            self.claim(standby, loan).await?;
        }
        let address = standby.address.context("its pod has no address").map_err(Failure::Failed)?;
        let assigned = self.assign(SocketAddr::new(address, self.port), &loan.assignment).await;
        let startup = assigned.map_err(Failure::Failed)?.startup;
        tracing::info!(service = %loan.service, pod = standby.name, ?startup, "a standby serves");
        let serves = json!({"metadata": {"uid": standby.uid, "labels": {labels::STANDBY: labels::SERVING}}});
        self.patch(&standby.name, &Patch::Merge(serves)).await.map_err(Failure::Failed)
    }

    /// Takes it, if it is as it was seen: of two that want it, one gets it.
    async fn claim(&self, standby: &Standby, loan: &Loan) -> Result<(), Failure> {
        let mut own: Map<String, Value> = loan.stores.iter().map(|label| (label.clone(), json!("true"))).collect();
        own.extend([
            (labels::STANDBY.to_owned(), json!(labels::ASSIGNED)),
            (labels::NAMESPACE.to_owned(), json!(&*loan.service.namespace)),
            (labels::SERVICE.to_owned(), json!(&*loan.service.name)),
            (labels::REVISION.to_owned(), json!(loan.slot.revision.as_str())),
        ]);
        // It belongs to the pool from now on, so that it goes with it, and a node's drain finds its controller.
        let left = standby.owners.iter().map(|uid| json!({"$patch": "delete", "uid": uid}));
        let owners: Vec<Value> = left.chain(loan.owner.iter().map(|owner| json!(owner))).collect();
        let claim = json!({"metadata": {"uid": standby.uid, "resourceVersion": standby.version, "labels": own, "ownerReferences": owners}});
        match self.patch(&standby.name, &Patch::Strategic(claim)).await {
            Ok(()) => Ok(()),
            Err(error) if lost(&error) => Err(Failure::Lost),
            Err(error) => Err(Failure::Unclaimed(error)),
        }
    }

    async fn assign(&self, address: SocketAddr, assignment: &Assignment) -> Result<Assigned> {
        let identity = self.identity.load_full().context("there is no client certificate yet")?;
        let stream = timeout(CONNECT, identity.to_server(address)).await.context("it can't be reached")??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let body = Full::new(Bytes::from(serde_json::to_vec(assignment)?));
        let request = http::Request::post(PATH).header(http::header::HOST, address.to_string()).body(body)?;
        let call = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| anyhow!("its answer can't be read: {error}"))?.to_bytes();
            if status == StatusCode::OK {
                return serde_json::from_slice(&body).context("its answer is malformed");
            }
            let NotAssigned { reason, message } = serde_json::from_slice(&body).unwrap_or_default();
            Err(anyhow!("{reason}: {message} ({status})"))
        };
        tokio::select! {
            answered = timeout(LOAD, call) => answered.context("it took too long")?,
            ended = connection => Err(anyhow!("it broke off: {ended:?}")),
        }
    }

    /// Lets a new one be scheduled.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn open(&self, standby: &Standby) -> Result<()> {
        let open = json!({"metadata": {"uid": standby.uid, "resourceVersion": standby.version}, "spec": {"schedulingGates": null}});
        self.patch(&standby.name, &Patch::Merge(open)).await
    }

    /// Ends one: it drains, and is gone.
    ///
    /// # Errors
    /// The API server refuses; that it is gone already is none.
    pub async fn end(&self, standby: &Standby) -> Result<()> {
        let exactly = Preconditions { uid: Some(standby.uid.clone()), resource_version: None };
        let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::default() };
        match timeout(CALL, self.pods.delete(&standby.name, &params)).await.context("the API server took too long")? {
            Err(error) if !is_status(&error, 404) && !is_status(&error, 409) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn patch(&self, name: &str, patch: &Patch<Value>) -> Result<()> {
        let params = PatchParams { field_manager: Some(labels::STANDBY_MANAGER.to_owned()), ..PatchParams::default() };
        timeout(CALL, self.pods.patch(name, &params, patch)).await.context("the API server took too long")??;
        Ok(())
    }
}

fn lost(error: &anyhow::Error) -> bool {
    error.downcast_ref::<kube::Error>().is_some_and(|error| is_status(error, 409) || is_status(error, 404))
}
