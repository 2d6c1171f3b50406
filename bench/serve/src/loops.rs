//! What the limits' loops came to beside the server, turn by turn.

use crate::{limit::sizes::Sizes, report::Measured};
use millrace_bench::median::{median, spread};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Rates by limit and batch sizes, one of each turn. They have their turns as the servers do: what slows the machine for a while
/// slows both.
#[derive(Default)]
pub struct Loops(BTreeMap<&'static str, BTreeMap<Sizes, Vec<f64>>>);

impl Loops {
    /// What a limit's loop came to in this turn.
    pub fn add(&mut self, limit: &'static str, sizes: Sizes, rate: f64) {
        self.0.entry(limit).or_default().entry(sizes).or_default().push(rate);
    }

    /// Each limit with all its loops, and how fast the server is beside it: beside the loop of the sizes that it reached in the
    /// same turn (the median of the turns' ratios), and beside the fastest of the others.
    pub fn tell(self, ours: &[f64], measured: &mut Measured) {
        for (limit, loops) in self.0 {
            let one = |(sizes, rates): (&Sizes, &Vec<f64>)| json!({"batch": sizes.to_string(), "per_second": median(rates.clone()), "spread": spread(rates), "runs": rates});
            let all: Vec<Value> = loops.iter().map(one).collect();
            let fastest = loops.values().map(|rates| median(rates.clone())).fold(0.0, f64::max);
            if let Some(rates) = loops.get(&Sizes::Reached) {
                let ratios = ours.iter().zip(rates).map(|(ours, limit)| ours / limit).collect();
                measured.more(&format!("millrace_over_{limit}"), json!(median(ratios)));
            }
            measured.more(&format!("millrace_over_fastest_{limit}"), json!(median(ours.to_vec()) / fastest));
            measured.more(limit, json!(all));
        }
    }
}
