//! Times of starts by pool, service and phase. Services come and go by the thousand: only those that started lately have
//! series.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Services on pools that have series at the same time.
const MOST: usize = 256;
/// Bounds in seconds.
const BOUNDS: [f64; 14] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    namespace: String,
    service: String,
    pool: String,
    phase: &'static str,
}

type Key = (String, String, String);

/// The series.
#[derive(Debug)]
pub struct StartSeries {
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    /// Who has series, and the phases of each; the one whose last start was longest ago first.
    order: Mutex<VecDeque<(Key, Vec<&'static str>)>>,
}

impl StartSeries {
    /// None yet.
    pub fn new(registry: &mut Registry) -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> Histogram);
        registry.register("start_seconds", "Time of a replica's start, by phase", seconds.clone());
        Self { seconds, order: Mutex::default() }
    }

    /// Adds one start of a service (namespace, name) on a pool.
    pub fn add(&self, service: (&str, &str), pool: &str, phases: &[(&'static str, f64)]) {
        let key = (service.0.to_owned(), service.1.to_owned(), pool.to_owned());
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let known = order.iter().position(|(known, _)| *known == key);
        let mut has = known.and_then(|index| order.remove(index)).map(|(_, has)| has).unwrap_or_default();
        for (phase, seconds) in phases {
            self.seconds.get_or_create(&labels(&key, phase)).observe(*seconds);
            if !has.contains(phase) {
                has.push(phase);
            }
        }
        order.push_back((key, has));
        if order.len() > MOST
            && let Some((key, has)) = order.pop_front()
        {
            has.into_iter().for_each(|phase| _ = self.seconds.remove(&labels(&key, phase)));
        }
    }
}

fn labels((namespace, service, pool): &Key, phase: &'static str) -> Labels {
    Labels { namespace: namespace.clone(), service: service.clone(), pool: pool.clone(), phase }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn the_ones_that_started_last_have_series() {
        let mut registry = Registry::default();
        let series = StartSeries::new(&mut registry);
        for number in 0..=MOST {
            series.add(("n", &format!("s{number}")), "p", &[("fetch", 0.3), ("whole", 1.5)]);
            series.add(("n", "s0"), "p", &[("whole", 1.5)]);
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let has = |name: &str| text.contains(&format!("service=\"{name}\""));
        assert!(has("s0") && has("s2") && has("s256") && !has("s1"));
        assert_eq!(text.matches("start_seconds_count").count(), MOST * 2);
        let counted = r#"start_seconds_count{namespace="n",service="s0",pool="p",phase="whole"} 258"#;
        assert!(text.contains(counted), "{text}");
    }
}
