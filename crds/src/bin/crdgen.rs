//! Writes the CRDs to `crds/yaml/`. Run it through `cargo xtask generate`.

fn main() -> Result<(), String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    for (name, text) in millrace_crds::schema::rendered()? {
        std::fs::write(folder.join(&name), text).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}
