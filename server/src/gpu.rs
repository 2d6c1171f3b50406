//! The GPU that this process sees, through NVIDIA's management library: what it is, and how it fares.

use nvml_wrapper::{Device, Nvml};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use std::sync::{OnceLock, atomic::AtomicU64};

/// As the NVIDIA container toolkit brings it; the name without a number belongs to development packages.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// A GPU. A replica is given its own: the first one that it sees.
pub struct Gpu {
    device: Device<'static>,
}

/// What a GPU is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Bytes of its memory that are in use.
    pub memory_used: u64,
    /// Bytes of its memory.
    pub memory_total: u64,
    /// Part of the last sampling period in which a kernel ran, 0 to 1.
    pub utilization: f64,
    /// Watts; `None`: it doesn't say.
    pub power: Option<f64>,
}

impl Gpu {
    /// The first GPU; `None`: there is no driver, or no GPU.
    #[must_use]
    pub fn first() -> Option<Self> {
        static LIBRARY_LOADED: OnceLock<Option<Nvml>> = OnceLock::new();
        let nvml = LIBRARY_LOADED.get_or_init(|| Nvml::builder().lib_path(LIBRARY.as_ref()).init().ok()).as_ref()?;
        nvml.device_by_index(0).ok().map(|device| Self { device })
    }

    /// Its name and compute capability, such as `NVIDIA L40S 8.9`: what an engine is built for.
    #[must_use]
    pub fn kind(&self) -> String {
        let name = self.device.name().unwrap_or_default();
        let capability = self.device.cuda_compute_capability();
        capability.map_or(name.clone(), |capability| format!("{name} {}.{}", capability.major, capability.minor))
    }

    /// What it is doing; `None`: it doesn't say.
    #[must_use]
    pub fn load(&self) -> Option<Load> {
        let memory = self.device.memory_info().ok()?;
        let utilization = self.device.utilization_rates().map_or(0, |rates| rates.gpu);
        let power = self.device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3);
        let (memory_used, memory_total) = (memory.used, memory.total);
        Some(Load { memory_used, memory_total, utilization: f64::from(utilization) / 100.0, power })
    }
}

/// A GPU's gauges.
pub struct GpuMetrics {
    gpu: Gpu,
    used: Gauge<f64, AtomicU64>,
    total: Gauge<f64, AtomicU64>,
    utilization: Gauge<f64, AtomicU64>,
    power: Gauge<f64, AtomicU64>,
}

impl GpuMetrics {
    /// Adds them to a registry.
    #[must_use]
    pub fn new(gpu: Gpu, registry: &mut Registry) -> Self {
        let own = Self {
            gpu,
            used: Gauge::default(),
            total: Gauge::default(),
            utilization: Gauge::default(),
            power: Gauge::default(),
        };
        for (name, help, gauge) in [
            ("accelerator_memory_used_bytes", "Memory of the GPU that is in use", &own.used),
            ("accelerator_memory_total_bytes", "Memory of the GPU", &own.total),
            ("accelerator_utilization_ratio", "Part of the time in which a kernel ran", &own.utilization),
            ("accelerator_power_watts", "Power that the GPU draws", &own.power),
        ] {
            registry.register(name, help, gauge.clone());
        }
        own
    }

    /// Reads the GPU.
    pub fn refresh(&self) {
        let Some(load) = self.gpu.load() else { return };
        #[allow(clippy::cast_precision_loss)]
        for (gauge, value) in [
            (&self.used, load.memory_used as f64),
            (&self.total, load.memory_total as f64),
            (&self.utilization, load.utilization),
            (&self.power, load.power.unwrap_or(f64::NAN)),
        ] {
            gauge.set(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_driver_there_is_none_and_with_one_it_says_what_it_is() {
        match Gpu::first() {
            None => assert!(Nvml::builder().lib_path(LIBRARY.as_ref()).init().is_err(), "there is a driver"),
            Some(gpu) => {
                assert!(!gpu.kind().is_empty());
                let load = gpu.load().unwrap();
                assert!(load.memory_used <= load.memory_total && load.utilization <= 1.0, "{load:?}");
            }
        }
    }
}
