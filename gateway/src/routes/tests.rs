use super::*;
use crate::inputs::{Early, PodInput};
use millrace_crds::{Access, ApiKey, Condition, ConditionStatus, Traffic};

fn service(traffic: &[(&str, u32)]) -> ServiceInput {
    let traffic = traffic.iter().zip(1..).map(|((revision, weight), version)| Traffic {
        revision: (*revision).into(),
        version,
        weight: *weight,
    });
    ServiceInput { access: Access::default(), traffic: traffic.collect(), conditions: Vec::new() }
}

fn tenant(created: i64, labels: &[(&str, &str)]) -> TenantInput {
    TenantInput {
        created,
        namespaces: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        keys: Vec::new(),
        rate_limit: None,
        allow_anonymous: false,
    }
}

fn pod(service: &str, revision: &str, ready: bool) -> PodInput {
    PodInput {
        uid: format!("{service}-{revision}"),
        service: service.into(),
        revision: revision.into(),
        pool: "cpu".into(),
        ip: Some([10, 0, 0, 1].into()),
        port: 8443,
        ready,
        early: Early::No,
    }
}

fn inputs() -> Inputs {
    let mut inputs = Inputs::default();
    inputs.namespaces.insert("team-a".into(), [("tenant".into(), "a".into())].into());
    inputs.tenants.insert("a".into(), tenant(5, &[("tenant", "a")]));
    inputs.services.entry("team-a".into()).or_default().insert("magika".into(), service(&[("r1", 100)]));
    inputs
}

fn magika(inputs: &Inputs) -> Route {
    Table::build(inputs).services[&ServiceId::new("team-a", "magika")].clone()
}

#[test]
fn only_ready_pods_of_weighted_revisions_of_the_service_are_endpoints() {
    let mut inputs = inputs();
    let pods = inputs.pods.entry("team-a".into()).or_default();
    pods.insert("good".into(), pod("magika", "r1", true));
    pods.insert("not-ready".into(), pod("magika", "r1", false));
    pods.insert("other-revision".into(), pod("magika", "r0", true));
    pods.insert("other-service".into(), pod("other", "r1", true));
    pods.insert("no-address".into(), PodInput { ip: None, ..pod("magika", "r1", true) });
    inputs.pods.entry("team-b".into()).or_default().insert("other-namespace".into(), pod("magika", "r1", true));
    let route = magika(&inputs);
    assert_eq!(route.endpoints.iter().map(|endpoint| endpoint.uid.as_str()).collect::<Vec<_>>(), ["magika-r1"]);
    assert_eq!(route.endpoints[0].address, ([10, 0, 0, 1], 8443).into());
}

#[test]
fn a_pod_that_starts_is_an_endpoint_once_its_server_has_said_so() {
    let mut inputs = inputs();
    for (early, vouched, expect) in
        [(Early::Ask, true, 1), (Early::Keep, true, 1), (Early::Ask, false, 0), (Early::No, true, 0)]
    {
        let one = PodInput { early, ..pod("magika", "r1", false) };
        inputs.vouched = vouched.then(|| one.uid.clone()).into_iter().collect();
        inputs.pods.entry("team-a".into()).or_default().insert("p".into(), one);
        assert_eq!(magika(&inputs).endpoints.len(), expect, "{early:?} {vouched}");
    }
}

#[test]
fn the_older_tenant_keeps_a_namespace() {
    let mut inputs = inputs();
    inputs.tenants.insert("b".into(), tenant(4, &[("tenant", "a")]));
    assert_eq!(magika(&inputs).tenant.as_deref(), Some("b"), "the older");
    inputs.tenants.get_mut("b").unwrap().created = 5;
    assert_eq!(magika(&inputs).tenant.as_deref(), Some("a"), "of equal age: the first by name");
    inputs.tenants.get_mut("b").unwrap().created = 6;
    assert_eq!(magika(&inputs).tenant.as_deref(), Some("a"));
}

#[test]
fn an_unclaimed_namespace_has_no_tenant_but_the_default_one() {
    let mut inputs = inputs();
    inputs.namespaces.get_mut("team-a").unwrap().clear();
    assert_eq!(magika(&inputs).tenant, None);
    // An empty selector claims nothing.
    inputs.tenants.insert("all".into(), tenant(0, &[]));
    assert_eq!(magika(&inputs).tenant, None);
    inputs.default_tenant = "a".into();
    assert_eq!(magika(&inputs).tenant.as_deref(), Some("a"));
    inputs.namespaces.clear();
    assert_eq!(magika(&inputs).tenant, None, "a namespace that isn't known has no owner");
}

#[test]
fn callers_without_a_key_need_both_words() {
    for (service_says, tenant_says) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut inputs = inputs();
        inputs.tenants.get_mut("a").unwrap().allow_anonymous = tenant_says;
        if service_says {
            let service = inputs.services.get_mut("team-a").unwrap().get_mut("magika").unwrap();
            service.access.authentication = Authentication::None;
        }
        assert_eq!(magika(&inputs).anonymous, service_says && tenant_says);
        assert_eq!(Table::build(&inputs).any_anonymous, service_says && tenant_says);
    }
}

#[test]
fn blocked_by_a_refused_spec_or_a_stalled_start() {
    let condition = |type_: &str, status, reason: &str| Condition {
        type_: type_.into(),
        status,
        reason: reason.into(),
        message: "mend it".into(),
        observed_generation: None,
        last_transition_time: String::new(),
    };
    let ready = |reason| condition("Ready", ConditionStatus::False, reason);
    let routes = |status| condition("RoutesReady", status, "x");
    for (conditions, expect) in [
        (vec![], None),
        (vec![ready("Starting")], None),
        (vec![ready("Starting"), condition("Stalled", ConditionStatus::False, "Progressing")], None),
        (
            vec![ready("ImagePullFailed"), condition("Stalled", ConditionStatus::True, "X")],
            Some("ImagePullFailed: mend it"),
        ),
        (vec![condition("Stalled", ConditionStatus::True, "FetchFailed")], Some("FetchFailed: mend it")),
        (vec![ready("Invalid"), condition("Accepted", ConditionStatus::False, "Invalid")], Some("Invalid: mend it")),
        (
            vec![
                ready("Invalid"),
                condition("Stalled", ConditionStatus::True, "Invalid"),
                routes(ConditionStatus::False),
            ],
            Some("Invalid: mend it"),
        ),
        // An earlier revision has the requests and can be started.
        (
            vec![
                ready("Invalid"),
                condition("Accepted", ConditionStatus::False, "Invalid"),
                routes(ConditionStatus::True),
            ],
            None,
        ),
    ] {
        let mut inputs = inputs();
        inputs.services.get_mut("team-a").unwrap().get_mut("magika").unwrap().conditions = conditions;
        assert_eq!(magika(&inputs).blocked.as_deref(), expect);
    }
}

#[test]
fn keys_and_what_makes_them_expire() {
    let mut inputs = inputs();
    let hash = format!("hmac-sha256:{}", "ab".repeat(32));
    let key = |hash: &str, expires: Option<&str>| ApiKey {
        name: "k".into(),
        hash: hash.into(),
        expires: expires.map(Into::into),
    };
    inputs.tenants.get_mut("a").unwrap().keys =
        vec![key(&hash, Some("1970-01-01T00:01:40Z")), key(&hash, Some("soon")), key(&hash, None), key("junk", None)];
    let table = Table::build(&inputs);
    assert_eq!(table.keys.len(), 1);
    let expiries: Vec<_> = table.keys[&HashedKey::parse(&hash).unwrap()].iter().map(|grant| grant.expires).collect();
    assert_eq!(expiries, [Some(100), Some(i64::MIN), None]);
}

#[test]
fn a_timeout_that_cant_be_read_is_the_default() {
    let mut inputs = inputs();
    let timeout = |inputs: &mut Inputs, text: &str| {
        inputs.services.get_mut("team-a").unwrap().get_mut("magika").unwrap().access.timeout = text.into();
        magika(inputs).timeout
    };
    assert_eq!(timeout(&mut inputs, "1m"), Duration::from_secs(60));
    assert_eq!(timeout(&mut inputs, "0s"), DEFAULT_TIMEOUT);
    assert_eq!(timeout(&mut inputs, "soon"), DEFAULT_TIMEOUT);
}
