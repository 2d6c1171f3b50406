//! Which variant of a model the replicas of a pool serve.

use millrace_crds::{AcceleratorPool, ExecutionProvider, Model, ModelVariant, Precision, Runtime};

/// Products of before NVIDIA's Ampere generation, which don't compute in bfloat16.
const BEFORE_AMPERE: [&str; 5] = ["P4", "P40", "P100", "V100", "T4"];

/// Of the variants that keep `minQuality` and that the pool computes in, the narrowest: it costs least there. Of equally
/// wide ones the best, then the first. `None`: the model itself.
#[must_use]
pub fn choose<'m>(model: &'m Model, runtime: &Runtime, pool: &AcceleratorPool) -> Option<&'m ModelVariant> {
    let least = model.min_quality?;
    // The first provider is the one that must be had.
    let provider = runtime.execution_providers.first().copied().unwrap_or_default();
    let accelerator = pool.spec.accelerator.as_str();
    let suits =
        |variant: &&ModelVariant| variant.quality >= least && computes(provider, accelerator, variant.precision);
    model
        .variants
        .iter()
        .filter(suits)
        .min_by(|a, b| bits(a.precision).cmp(&bits(b.precision)).then_with(|| b.quality.total_cmp(&a.quality)))
}

/// Whether a precision is computed in as it is. Where it isn't, the engine converts to and fro, and is slower than without.
fn computes(provider: ExecutionProvider, accelerator: &str, precision: Precision) -> bool {
    match precision {
        Precision::FP32 => true,
        // ONNX Runtime has its 8-bit kernels on the CPU; of NVIDIA's providers TensorRT alone computes in it.
        Precision::INT8 => provider != ExecutionProvider::CUDA,
        Precision::FP16 => provider != ExecutionProvider::CPU,
        Precision::BF16 => provider != ExecutionProvider::CPU && !BEFORE_AMPERE.contains(&accelerator),
    }
}

fn bits(precision: Precision) -> u8 {
    match precision {
        Precision::INT8 => 8,
        Precision::FP16 | Precision::BF16 => 16,
        Precision::FP32 => 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pool, service};
    use serde_json::json;

    /// What is served of int8 (0.95), two of half precision (0.99, 0.995) and fp32 (1.0).
    fn chosen(least: Option<f64>, provider: &str, accelerator: &str) -> Option<String> {
        let variant = |name: &str, precision: &str, quality: f64| json!({"name": name, "precision": precision, "quality": quality, "uri": format!("s3://models/{name}.onnx"), "sha256": "1".repeat(64)});
        let variants = [
            variant("pruned", "FP32", 1.0),
            variant("half", "FP16", 0.99),
            variant("brain", "BF16", 0.995),
            variant("int8", "INT8", 0.95),
        ];
        let patch = json!({"model": {"variants": variants, "minQuality": least}, "runtime": {"executionProviders": [provider]}});
        let spec = service(patch).spec;
        let pool = pool("p", accelerator, "OnPremises", "1.00");
        choose(&spec.model.unwrap(), &spec.runtime, &pool).map(|variant| variant.name.to_string())
    }

    #[test]
    fn the_narrowest_that_keeps_the_quality_and_suits_the_pool() {
        for (least, provider, accelerator, expected) in [
            (None, "CPU", "CPU", None),
            (Some(0.9), "CPU", "CPU", Some("int8")),
            (Some(0.95), "CPU", "L40S", Some("int8")),
            (Some(0.96), "CPU", "CPU", Some("pruned")),
            (Some(0.9), "TensorRT", "H100", Some("int8")),
            (Some(0.9), "CUDA", "H100", Some("brain")),
            (Some(0.9), "CUDA", "T4", Some("half")),
            (Some(0.995), "CUDA", "T4", Some("pruned")),
            (Some(0.992), "CUDA", "L40S", Some("brain")),
        ] {
            assert_eq!(chosen(least, provider, accelerator).as_deref(), expected, "{least:?} {provider} {accelerator}");
        }
    }
}
