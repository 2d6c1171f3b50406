//! The variables by which a shell uses a cluster.

use crate::ClusterState;

/// Lines for `eval "$(cargo xtask cluster env)"`.
#[must_use]
pub fn exports(state: &ClusterState) -> String {
    let mut text = String::new();
    for (key, value) in variables(state) {
        text.push_str(&format!("export {key}={}\n", quoted(&value)));
    }
    text.push_str(&format!("export PATH={}:\"$PATH\"\n", quoted(&state.tools.display().to_string())));
    text
}

/// The variables, PATH apart.
#[must_use]
pub fn variables(state: &ClusterState) -> Vec<(&'static str, String)> {
    vec![
        ("KUBECONFIG", state.kubeconfig.display().to_string()),
        // Two clusters may have had the same address, and kubectl keeps what it discovered by address.
        ("KUBECACHEDIR", state.folder.join("kubectl-cache").display().to_string()),
        ("MILLRACE_TESTBED", state.file().display().to_string()),
        ("MILLRACE_ORT_LIBRARY", state.ort_library.display().to_string()),
        ("AWS_ENDPOINT_URL", state.s3.host_endpoint.clone()),
        ("AWS_REGION", state.s3.region.clone()),
        ("AWS_ACCESS_KEY_ID", state.s3.access_key.clone()),
        ("AWS_SECRET_ACCESS_KEY", state.s3.secret_key.clone()),
    ]
}

/// A word that a POSIX shell reads back unchanged.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_words_back_unchanged() {
        for word in ["/root/.cache", "a b", "it's", "$HOME `x` \\", ""] {
            let script = format!("printf %s {}", quoted(word));
            let output = crate::exec::output(std::process::Command::new("sh").args(["-c", &script])).unwrap();
            assert_eq!(output, word);
        }
    }
}
