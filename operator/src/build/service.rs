//! The headless Service: names for the pods. Tenants call the gateway, never this.

use super::{child, common};
use crate::build::template::DATA_PORT;
use crate::plan::Plan;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

/// The Service.
#[must_use]
pub fn service(plan: &Plan) -> Service {
    let name = plan.service.name_any();
    Service {
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            selector: Some(common(&name)),
            ports: Some(vec![ServicePort {
                name: Some("data".to_owned()),
                port: DATA_PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::Int(DATA_PORT)),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        metadata: child(&plan.service, name, &[]),
        ..Service::default()
    }
}
