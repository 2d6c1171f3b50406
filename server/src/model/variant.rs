//! A variant in the model's place: its ONNX file, with the model's other files.

use super::{Fetched, Wanted, checked, gather, invalid};
use crate::{config::ModelOptions, error::StartError};
use millrace_crds::{Model, ModelVariant};

/// The variant of a manifest by its name.
///
/// # Errors
/// `Invalid`: there is none of this name.
pub fn find<'m>(model: &'m Model, name: &str) -> Result<&'m ModelVariant, StartError> {
    model.variants.iter().find(|variant| variant.name.as_str() == name).ok_or_else(|| {
        let known: Vec<&str> = model.variants.iter().map(|variant| variant.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        invalid(format!("the manifest has no variant {name:?}: model.variants has {known}"))
    })
}

/// Refuses a variant that is below the manifest's `minQuality`.
///
/// # Errors
/// `Invalid`, with both figures.
pub fn keeps_quality(model: &Model, name: &str) -> Result<(), StartError> {
    let quality = find(model, name)?.quality;
    match model.min_quality {
        Some(least) if quality < least => {
            Err(invalid(format!("variant {name} has quality {quality}, below model.minQuality {least}")))
        }
        _ => Ok(()),
    }
}

/// Gets a variant, and those files of the model that steps of the pipeline read.
///
/// # Errors
/// Why it can't be had, with the reason for the service's conditions.
pub async fn obtain(model: &Model, variant: &ModelVariant, options: &ModelOptions) -> Result<Fetched, StartError> {
    let wanted = Wanted {
        uri: &variant.uri,
        sha256: Some(&variant.sha256),
        files: &[],
        credentials: model.credentials.as_ref(),
    };
    let named = options.variant_file.iter().find(|(name, _)| name == variant.name.as_str());
    let own = checked(gather(wanted, named.map(|(_, path)| path.as_path()), options).await?)?;
    let mounted = options.model_file.as_deref();
    let whole = Wanted::from(model);
    // A model that is fetched is fetched without the file whose place the variant takes.
    let rest = if mounted.is_some() { whole.files } else { whole.files.get(1..).unwrap_or_default() };
    if rest.is_empty() {
        return Ok(own);
    }
    let others = gather(Wanted { files: rest, ..whole }, mounted, options).await?;
    let scratch = own.scratch.into_iter().chain(others.scratch).collect();
    let held = own.held.into_iter().chain(others.held).collect();
    Ok(Fetched { path: own.path, digest: own.digest, files: others.files, scratch, held })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_and_qualities() {
        let variant = |name: &str, quality: f64| json!({"name": name, "uri": format!("s3://models/{name}.onnx"), "sha256": "1".repeat(64), "precision": "INT8", "quality": quality});
        let model = json!({"uri": "s3://models/m.onnx", "variants": [variant("good", 0.99), variant("bad", 0.9)], "minQuality": 0.98});
        let mut model: Model = serde_json::from_value(model).unwrap();
        assert_eq!(find(&model, "bad").unwrap().quality, 0.9);
        assert!(find(&model, "best").unwrap_err().message.contains("model.variants has good, bad"));
        assert!(keeps_quality(&model, "good").is_ok());
        assert!(keeps_quality(&model, "bad").unwrap_err().message.contains("0.9, below model.minQuality 0.98"));
        model.min_quality = None;
        assert!(keeps_quality(&model, "bad").is_ok(), "nothing is asked of it");
    }
}
