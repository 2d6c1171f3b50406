//! Arrivals made up: each generator is a rate over time, from which requests are drawn (Poisson).

use crate::random::Random;
use crate::trace::{Kind, Trace};
use clap::ValueEnum;

/// The generators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generator {
    /// Day and night, with a second hump, slow drift and noise
    Diurnal,
    /// Doubles over the span, with a mild day
    Growth,
    /// Rates that wander within minutes
    Bursty,
    /// Three states of 0.4, 1 and 3.5 times, exponential stays
    Mmpp,
    /// Now and then ten times as much within seconds, fading over minutes
    Flash,
    /// Stretches of load and of nothing
    OnOff,
}

/// All that make one service's load.
pub const ALL: [Generator; 6] =
    [Generator::Diurnal, Generator::Growth, Generator::Bursty, Generator::Mmpp, Generator::Flash, Generator::OnOff];

const DAY: f64 = 86_400.0;

impl Generator {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Diurnal => "diurnal",
            Self::Growth => "growth",
            Self::Bursty => "bursty",
            Self::Mmpp => "mmpp",
            Self::Flash => "flash",
            Self::OnOff => "on-off",
        }
    }

    /// Draws a trace of `seconds` with this mean rate.
    #[must_use]
    pub fn trace(self, seconds: usize, mean: f64, seed: u64) -> Trace {
        let mut random = Random::new(seed, 0x6e6e + self as u64);
        let shape = self.shape(seconds, &mut random);
        let scale = mean / (shape.iter().sum::<f64>() / seconds.max(1) as f64).max(1e-12);
        let counts = shape.iter().map(|rate| random.poisson(rate * scale)).collect();
        let kind = if matches!(self, Self::Diurnal | Self::Growth) { Kind::Diurnal } else { Kind::Bursty };
        let note = format!("generated, seed {seed}, mean {mean:.1}/s");
        Trace { kind, ..Trace::new(self.name(), counts, &note) }
    }

    fn shape(self, seconds: usize, random: &mut Random) -> Vec<f64> {
        match self {
            Self::Diurnal => diurnal(seconds, random),
            Self::Growth => growth(seconds, random),
            Self::Bursty => wandering(seconds, random),
            Self::Mmpp => modulated(seconds, random, &[(0.4, 900.0), (1.0, 600.0), (3.5, 90.0)]),
            Self::Flash => flash(seconds, random),
            Self::OnOff => modulated(seconds, random, &[(0.02, 1_500.0), (2.0, 1_800.0)]),
        }
    }
}

fn hour(second: usize) -> f64 {
    std::f64::consts::TAU * second as f64 / DAY
}

fn diurnal(seconds: usize, random: &mut Random) -> Vec<f64> {
    let mut drift = 0.0;
    let rate = |second: usize| {
        drift = drift * 0.999_5 + 0.002 * random.normal();
        let day = 1.0 - 0.6 * hour(second).cos() - 0.2 * (2.0 * hour(second) + 0.7).cos();
        let weekend = if (second as f64 / DAY) as u64 % 7 >= 5 { 0.6 } else { 1.0 };
        (day * weekend * (1.0 + drift)).max(0.02)
    };
    (0..seconds).map(rate).collect()
}

fn growth(seconds: usize, random: &mut Random) -> Vec<f64> {
    let mut drift = 0.0;
    let rate = |second: usize| {
        drift = drift * 0.999_5 + 0.002 * random.normal();
        let grown = 1.0 + second as f64 / seconds.max(1) as f64;
        (grown * (1.0 - 0.15 * hour(second).cos()) * (1.0 + drift)).max(0.02)
    };
    (0..seconds).map(rate).collect()
}

/// The logarithm of the rate wanders with a memory of two minutes.
fn wandering(seconds: usize, random: &mut Random) -> Vec<f64> {
    let memory = (-1.0_f64 / 120.0).exp();
    let step = 0.45 * (1.0 - memory * memory).sqrt();
    let mut level = 0.0;
    let rate = |second: usize| {
        level = level * memory + step * random.normal();
        (1.0 - 0.3 * hour(second).cos()) * f64::exp(level)
    };
    (0..seconds).map(rate).collect()
}

/// States of a rate and a mean stay; the next one is any other.
fn modulated(seconds: usize, random: &mut Random, states: &[(f64, f64)]) -> Vec<f64> {
    let (mut state, mut rates) = (0, Vec::with_capacity(seconds));
    while rates.len() < seconds {
        let stay = random.exponential(states[state].1).max(5.0) as usize;
        rates.extend(std::iter::repeat_n(states[state].0, stay.min(seconds - rates.len())));
        state = (state + 1 + random.below(states.len() - 1)) % states.len();
    }
    rates
}

/// About ten crowds a day: up to ten times within 5 to 30 s, then fading with a constant of 1 to 5 minutes.
fn flash(seconds: usize, random: &mut Random) -> Vec<f64> {
    let mut rates: Vec<f64> = (0..seconds).map(|second| 1.0 - 0.3 * hour(second).cos()).collect();
    let mut at = random.exponential(DAY / 10.0);
    while at < seconds as f64 {
        let (height, rise) = (3.0 + 6.0 * random.unit(), 5.0 + 25.0 * random.unit());
        let fade = 60.0 + 240.0 * random.unit();
        let first = at as usize;
        for (index, rate) in rates.iter_mut().skip(first).take((8.0 * fade) as usize).enumerate() {
            let since = index as f64;
            *rate += height * if since < rise { since / rise } else { (-(since - rise) / fade).exp() };
        }
        at += random.exponential(DAY / 10.0);
    }
    rates
}

/// Rarely used models: sessions of a few requests with long silence between; each model has its own pace.
#[must_use]
pub fn rarely_used(models: usize, seconds: usize, seed: u64) -> Vec<Trace> {
    let one = |model: usize| {
        let mut random = Random::new(seed, 0x4a4e + model as u64);
        // From several sessions an hour to one in two days.
        let between = 900.0 * 200f64.powf(model as f64 / models.max(2) as f64);
        let mut counts = vec![0; seconds];
        let mut at = random.exponential(between);
        while (at as usize) < seconds {
            let requests = 1 + random.poisson(8.0);
            let mut moment = at;
            for _ in 0..requests {
                if (moment as usize) < seconds {
                    counts[moment as usize] += 1;
                }
                moment += random.exponential(12.0);
            }
            at = moment + random.exponential(between);
        }
        Trace { kind: Kind::Bursty, ..Trace::new(&format!("model-{model}"), counts, "sessions") }
    };
    (0..models).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keeps_its_mean_and_its_seed() {
        for generator in ALL {
            let trace = generator.trace(20_000, 30.0, 5);
            assert!((trace.mean() - 30.0).abs() < 1.0, "{generator:?} {}", trace.mean());
            assert_eq!(trace, generator.trace(20_000, 30.0, 5));
            assert_ne!(trace.counts, generator.trace(20_000, 30.0, 6).counts);
        }
    }

    #[test]
    fn kinds_are_as_named() {
        use crate::trace::classify;
        for (generator, kind) in [
            (Generator::Diurnal, Kind::Diurnal),
            (Generator::Growth, Kind::Diurnal),
            (Generator::Flash, Kind::Bursty),
            (Generator::Mmpp, Kind::Bursty),
            (Generator::OnOff, Kind::Bursty),
            (Generator::Bursty, Kind::Bursty),
        ] {
            assert_eq!(classify(&generator.trace(172_800, 50.0, 1).counts), kind, "{generator:?}");
        }
    }

    #[test]
    fn rarely_used_ones_sleep_most_of_the_time() {
        let traces = rarely_used(30, 86_400, 1);
        let awake = |trace: &Trace| trace.counts.chunks(60).filter(|minute| minute.iter().any(|c| *c > 0)).count();
        let share = traces.iter().map(awake).sum::<usize>() as f64 / (30.0 * 1_440.0);
        assert!(share > 0.005 && share < 0.2, "{share}");
    }
}
