//! The order in which a cluster starts, and what each step waits for.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::tools::Tools;
use crate::{Cache, ClusterName, ClusterState, Steps, exec, repository, wait_until};

use super::component::{self, Site};
use super::pki::Pki;
use super::process::{Program, Record, log_file};
use super::state::{Files, Node, Registry, S3};
use super::subnets::Index;
use super::{cgroup, environment, hairpin, images, netns, nodes, objects, process};

/// How many steps [`prepare`] and [`start`] announce.
pub const STEPS: usize = 5;
/// How many components run.
pub const COMPONENTS: usize = 10 + 2 * nodes::REAL.len();
/// The file that marks a cluster as complete.
pub const READY: &str = "ready";

const LIMIT: Duration = Duration::from_secs(120);

/// Chooses the addresses and makes the network and the keys.
pub fn prepare(cache: &Cache, name: &ClusterName, tools: &Tools, steps: &mut Steps) -> Result<ClusterState> {
    let state = describe(cache, name, tools)?;
    state.write()?;
    steps.run("network namespace", || {
        netns::create(name, state.index)?;
        hairpin::masquerade(&state.netns, state.index)
    })?;
    steps.run("certificates", || {
        let pki = Pki::of(&state.folder);
        pki.create(state.index)?;
        let site = Site { state: &state, pki: &pki, tools };
        let identities = ["admin", "kcm", "scheduler", "proxy"].into_iter().chain(nodes::REAL.map(|node| node.name));
        for identity in identities {
            pki.kubeconfig(identity, &site.api_url(), &name.to_string(), &site.kubeconfig(identity))?;
        }
        link_tools(&state, tools)
    })?;
    Ok(state)
}

/// Starts the components.
pub fn start(cache: &Cache, state: &ClusterState, tools: &Tools, steps: &mut Steps) -> Result<()> {
    let pki = Pki::of(&state.folder);
    let site = Site { state, pki: &pki, tools };
    let run = |program: Program| program.start(&state.folder, &state.netns).map(|_| ());
    steps.run("control plane", || {
        run(component::etcd(site))?;
        run(component::api_server(site)?)?;
        run(component::registry(site)?)?;
        run(component::s3(site)?)?;
        run(component::files(site)?)?;
        for node in nodes::REAL {
            run(component::containerd(site, node)?)?;
        }
        import_images(cache, site)?;
        ready(state, "kube-apiserver", || Ok(kubectl(state, &["get", "--raw", "/readyz"])? == "ok"))
    })?;
    steps.run("nodes", || {
        run(component::controller_manager(site))?;
        run(component::scheduler(site))?;
        for node in nodes::REAL {
            run(component::kubelet(site, node)?)?;
        }
        run(component::kube_proxy(site)?)?;
        let list = objects::all(state).to_string();
        exec::output_with_input(kubectl_command(state).args(["create", "-f", "-"]), &list)?;
        run(component::kwok(site))?;
        run(component::coredns(site)?)?;
        for node in nodes::REAL {
            offer_gpus(state, node)?;
        }
        Ok(())
    })?;
    steps.run("readiness", || {
        all_nodes_ready(state)?;
        for (name, port) in [
            ("coredns", 53),
            ("s3", component::S3_PORT),
            ("files", component::FILES_PORT),
            ("registry", component::REGISTRY_PORT),
        ] {
            ready(state, name, || Ok(answers(state.control_plane, port)))?;
        }
        ready(state, "kube-controller-manager", || {
            Ok(!kubectl(state, &["get", "serviceaccount", "default", "-o", "name", "--ignore-not-found"])?.is_empty())
        })
    })?;
    fs::write(state.folder.join(READY), "")?;
    Ok(())
}

/// Gives a node its GPUs, once the kubelet has registered it.
pub fn offer_gpus(state: &ClusterState, node: nodes::NodeSpec) -> Result<()> {
    let patch = nodes::gpu_patch(node.gpus).to_string();
    ready(state, &format!("kubelet-{}", node.name), || {
        kubectl(state, &["patch", "node", node.name, "--subresource=status", "--type=merge", "-p", &patch])?;
        Ok(true)
    })
}

/// Ends the processes of a node's pods.
pub fn end_pods(state: &ClusterState, node: &str) -> Result<()> {
    wait_until("the end of the pods", LIMIT, || {
        let left = cgroup::processes_of_node(&state.name, node);
        for pid in &left {
            process::end(*pid, Signal::SIGKILL);
        }
        Ok(left.is_empty())
    })
}

/// Waits until a node says that it is ready.
pub fn node_ready(state: &ClusterState, node: &str) -> Result<()> {
    ready(state, &format!("kubelet-{node}"), || {
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        Ok(kubectl(state, &["get", "node", node, "-o", path])? == "True")
    })
}

fn all_nodes_ready(state: &ClusterState) -> Result<()> {
    for node in nodes::REAL {
        node_ready(state, node.name)?;
    }
    for number in 0..nodes::SIMULATED {
        let node = format!("sim-{number}");
        let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        ready(state, "kwok", || Ok(kubectl(state, &["get", "node", &node, "-o", path])? == "True"))?;
    }
    Ok(())
}

/// Waits for a component. When its process has ended there is no use in waiting: its log is shown.
fn ready(state: &ClusterState, component: &str, mut question: impl FnMut() -> Result<bool>) -> Result<()> {
    let log = log_file(&state.folder, component);
    let mut ended = None;
    wait_until(&format!("{component} (its log is {})", log.display()), LIMIT, || {
        if Record::of(&state.folder, component).is_some_and(|record| record.running().is_none()) {
            ended = Some(last_lines(&log));
            return Ok(true);
        }
        question()
    })?;
    match ended {
        Some(lines) => bail!("{component} has ended; the end of {}:\n{lines}", log.display()),
        None => Ok(()),
    }
}

fn last_lines(log: &std::path::Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

fn import_images(cache: &Cache, site: Site<'_>) -> Result<()> {
    let archives = images::archives(cache)?;
    for node in &site.state.nodes {
        ready(site.state, &format!("containerd-{}", node.name), || Ok(node.containerd_socket.exists()))?;
        for archive in &archives {
            let mut import = Command::new(site.tools.containerd.join("ctr"));
            import.arg("--address").arg(&node.containerd_socket).args(["--namespace", "k8s.io", "images", "import"]);
            exec::output(import.arg(archive)).with_context(|| node.name.clone())?;
        }
    }
    Ok(())
}

fn answers(address: Ipv4Addr, port: u16) -> bool {
    TcpStream::connect_timeout(&(address, port).into(), Duration::from_secs(1)).is_ok()
}

fn kubectl(state: &ClusterState, arguments: &[&str]) -> Result<String> {
    exec::output(kubectl_command(state).args(arguments))
}

fn kubectl_command(state: &ClusterState) -> Command {
    let mut command = Command::new(state.tools.join("kubectl"));
    command.envs(environment::variables(state));
    command
}

fn link_tools(state: &ClusterState, tools: &Tools) -> Result<()> {
    fs::create_dir_all(&state.tools)?;
    for (folder, program) in [(&tools.kubernetes, "kubectl"), (&tools.helm, "helm"), (&tools.containerd, "ctr")] {
        std::os::unix::fs::symlink(folder.join(program), state.tools.join(program))?;
    }
    Ok(())
}

fn describe(cache: &Cache, name: &ClusterName, tools: &Tools) -> Result<ClusterState> {
    let known = ClusterState::names(cache)?;
    let known = known.iter().filter_map(|other| ClusterState::of(cache, other).ok().flatten());
    // Clusters of other caches are known by their networks alone.
    let taken: Vec<Index> = known.map(|other| other.index).chain(netns::in_use()?).collect();
    let index = Index::lowest_free(&taken)?;
    let folder = ClusterState::folder_of(cache, name);
    let control_plane = index.control_plane();
    let nodes = nodes::REAL.map(|node| Node {
        name: node.name.to_owned(),
        ip: index.node(node.number),
        pod_cidr: index.pods_of_node(node.number).to_string(),
        containerd_socket: name.sockets().join(format!("{}.sock", node.name)),
    });
    Ok(ClusterState {
        name: name.clone(),
        index,
        kubeconfig: folder.join("admin.kubeconfig"),
        netns: name.netns(),
        control_plane,
        nodes: nodes.into(),
        registry: Registry { host: format!("{control_plane}:{}", component::REGISTRY_PORT) },
        s3: S3 {
            endpoint: format!("http://s3.{}.svc.cluster.local:{}", objects::STORAGE, component::S3_PORT),
            host_endpoint: format!("http://{control_plane}:{}", component::S3_PORT),
            region: component::REGION.to_owned(),
            access_key: component::ACCESS_KEY.to_owned(),
            secret_key: component::SECRET_KEY.to_owned(),
            folder: folder.join("s3"),
        },
        files: Files {
            endpoint: format!("https://{control_plane}:{}", component::FILES_PORT),
            token: component::TOKEN.to_owned(),
            ca: Pki::of(&folder).file("ca.crt").into(),
        },
        tools: folder.join("tools"),
        python: tools.python.clone(),
        ort_library: tools.ort_library.clone(),
        image: None,
        chart: repository().join("charts/millrace"),
        audit_log: folder.join("log/audit.jsonl"),
        folder,
    })
}
