//! Reading the one fact that we need from a `go.mod`.

/// The version at which a `go.mod` requires this module, without the `v`.
pub fn required<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("require ");
        let version = line.strip_prefix(module)?.strip_prefix(" v")?;
        version.split_whitespace().next()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GO_MOD: &str = "module x\n\nrequire k8s.io/kubernetes v1.37.2\n\nrequire (\n\tk8s.io/api v0.0.0 // indirect\n)\n\n\
                          replace (\n\tk8s.io/api => k8s.io/api v0.37.2\n)\n";

    #[test]
    fn the_required_version_is_read_and_not_a_replacement() {
        assert_eq!(required(GO_MOD, "k8s.io/kubernetes"), Some("1.37.2"));
        assert_eq!(required(GO_MOD, "k8s.io/api"), Some("0.0.0"));
        assert_eq!(required(GO_MOD, "k8s.io/kube"), None);
    }
}
