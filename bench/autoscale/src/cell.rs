//! The figures of one case: bounds, the law, and each rival at its best in hindsight.

use crate::case::Case;
use crate::policy::faults::Faults;
use crate::policy::law::Law;
use crate::policy::schedule::Foresight;
use crate::rival::{NAMES, Rival};
use crate::trace::Kind;
use crate::world::{Outcome, run};
use serde::Serialize;
use std::sync::Arc;

/// Shares in time that are asked for, in percent.
pub const ASKED: [f64; 2] = [99.0, 99.9];

/// What a policy cost, and what it gave for it.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Dollars.
    pub dollars: f64,
    /// Share in time.
    pub attainment: f64,
    /// Replicas started.
    pub starts: u64,
    /// Accelerator-hours.
    pub hours: f64,
    /// Dollars for a thousand requests.
    pub dollars_per_1000: f64,
    /// 99th percentile of the latency, in seconds.
    pub p99: f64,
}

impl From<&Outcome> for Figure {
    fn from(outcome: &Outcome) -> Self {
        Self {
            dollars: outcome.dollars,
            attainment: outcome.attainment,
            starts: outcome.starts,
            hours: outcome.hours.iter().sum(),
            dollars_per_1000: outcome.dollars_per_1000,
            p99: outcome.latency[1],
        }
    }
}

/// A rival at its best.
#[derive(Clone, Debug, Serialize)]
pub struct Tuned {
    /// Settings found in hindsight.
    pub settings: Rival,
    /// What they cost and gave.
    pub figure: Figure,
    /// Whether the objective was kept; if not, these are the settings that came nearest.
    pub reached: bool,
}

/// Everything about one case and one objective.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Trace.
    pub trace: String,
    /// Its kind.
    pub kind: Kind,
    /// Kind of service.
    pub service: &'static str,
    /// Seconds of a start.
    pub start: f64,
    /// Percent asked.
    pub asked: f64,
    /// Hours that were measured.
    pub span_hours: f64,
    /// Requests that were measured.
    pub requests: f64,
    /// Whether requests were simulated one by one (the law and the tuned rivals; searches are by fluid).
    pub events: bool,
    /// Dollars below which no schedule keeps the objective.
    pub lower: f64,
    /// The cheapest schedule found that keeps it.
    pub clairvoyant: Figure,
    /// The cheapest that sees ahead 0, 1 and 2 start times, and for what else expects a tuned part of the recent peak.
    pub foresight: Vec<Option<Figure>>,
    /// The production law.
    pub law: Figure,
    /// The rivals, in the order of their names.
    pub rivals: Vec<Tuned>,
}

impl Cell {
    /// Whether the law kept the objective.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.law.attainment >= self.asked / 100.0
    }

    /// The cheapest rival that reached it; if none did, the dearest of all.
    #[must_use]
    pub fn best(&self) -> (&'static str, &Tuned) {
        let reached = self.rivals.iter().enumerate().filter(|(_, tuned)| tuned.reached);
        let cheapest = reached.min_by(|a, b| a.1.figure.dollars.total_cmp(&b.1.figure.dollars));
        let dearest =
            || self.rivals.iter().enumerate().max_by(|a, b| a.1.figure.dollars.total_cmp(&b.1.figure.dollars));
        cheapest.or_else(dearest).map_or((NAMES[0], &self.rivals[0]), |(index, tuned)| (NAMES[index], tuned))
    }
}

/// All settings on one case, by fluid: dollars and share in time.
pub type Searched = Vec<(Rival, f64, f64)>;

/// The cells of one case, and what the search saw.
#[must_use]
pub fn cells(case: &Case, grid: &[Rival], events: bool) -> (Vec<Cell>, Searched) {
    let fluid = case.setup(99.0, false);
    let searched: Searched = grid
        .iter()
        .map(|rival| {
            let outcome = run(&fluid, rival.policy(case.unit, vec![0]).as_mut());
            (*rival, outcome.dollars, outcome.attainment)
        })
        .collect();
    let lateness = case.lateness();
    let cells = ASKED.map(|asked| cell(case, asked, &searched, &lateness, events));
    (cells.into(), searched)
}

fn cell(case: &Case, asked: f64, searched: &Searched, lateness: &crate::bound::Lateness, events: bool) -> Cell {
    let setup = case.setup(asked, events);
    let tolerated = 1.0 - asked / 100.0;
    let bound = case.bound(lateness, tolerated);
    let price = setup.pools[0].hourly / 3_600.0;
    let law = run(&setup, &mut Law::new(&setup, Faults::default()));
    let hours = bound.plan.cost / 3_600.0;
    let clairvoyant = Figure {
        dollars: bound.plan.cost * price,
        attainment: bound.attainment,
        starts: bound.plan.starts,
        hours,
        dollars_per_1000: bound.plan.cost * price / law.requests.max(1.0) * 1e3,
        p99: 0.0,
    };
    let rivals = (0..NAMES.len()).map(|family| tuned(case, family, asked, searched, events));
    Cell {
        trace: case.trace.name.clone(),
        kind: case.trace.kind,
        service: case.model.name,
        start: case.start.mean,
        asked,
        span_hours: (case.trace.seconds() - case.warm_up()) as f64 / 3_600.0,
        requests: law.requests,
        events,
        lower: bound.lower * price,
        clairvoyant,
        foresight: [0.0, 1.0, 2.0].iter().map(|starts| foresight(case, starts * case.start.mean, asked)).collect(),
        law: Figure::from(&law),
        rivals: rivals.collect(),
    }
}

/// The cheapest settings of a family that keep the objective; those that look good as a fluid are run by events.
fn tuned(case: &Case, family: usize, asked: f64, searched: &Searched, events: bool) -> Tuned {
    const TRIED: usize = 8;
    let share = asked / 100.0;
    let mut of: Vec<&(Rival, f64, f64)> = searched.iter().filter(|(rival, ..)| rival.family() == family).collect();
    of.sort_by(|a, b| a.1.total_cmp(&b.1));
    let setup = case.setup(asked, events);
    let try_one = |rival: &Rival| Figure::from(&run(&setup, rival.policy(case.unit, vec![0]).as_mut()));
    // The fluid errs by a little: settings just below the objective are tried as well.
    let slack = if events { 0.3 * (1.0 - share) } else { 0.0 };
    let mut nearest: Option<(Rival, Figure)> = None;
    for (rival, ..) in of.iter().filter(|(_, _, attained)| *attained >= share - slack).take(TRIED) {
        let figure = try_one(rival);
        if figure.attainment >= share {
            return Tuned { settings: *rival, figure, reached: true };
        }
        if nearest.as_ref().is_none_or(|(_, known)| figure.attainment > known.attainment) {
            nearest = Some((*rival, figure));
        }
    }
    let most = of.iter().max_by(|a, b| a.2.total_cmp(&b.2).then(b.1.total_cmp(&a.1)));
    let (settings, _, _) = most.expect("each family has settings");
    let figure = try_one(settings);
    let reached = figure.attainment >= share;
    match nearest {
        Some((settings, known)) if !reached && known.attainment > figure.attainment => {
            Tuned { settings, figure: known, reached }
        }
        _ => Tuned { settings: *settings, figure, reached },
    }
}

/// The cheapest that sees so far ahead and keeps the objective; it too is tuned in hindsight.
fn foresight(case: &Case, ahead: f64, asked: f64) -> Option<Figure> {
    let setup = case.setup(asked, false);
    let start = case.start.mean;
    let tolerated = 1.0 - asked / 100.0;
    let mut best: Option<Figure> = None;
    let blind = ahead < start + 1.0;
    let windows: &[f64] = if blind { &[1.0, 4.0, 15.0] } else { &[0.0] };
    let factors: &[f64] = if blind { &[1.0, 1.15, 1.35, 1.7] } else { &[0.0] };
    for share in [0.3, 1.0, 3.0, 10.0] {
        let need = Arc::new(crate::bound::need(&case.trace, &case.table, (share * tolerated).min(0.3)));
        for window in windows {
            for factor in factors {
                let window = window * start.max(15.0);
                let mut policy = Foresight::new(need.clone(), ahead, start, window, *factor);
                let figure = Figure::from(&run(&setup, &mut policy));
                let cheaper = best.as_ref().is_none_or(|known| figure.dollars < known.dollars);
                if figure.attainment >= asked / 100.0 && cheaper {
                    best = Some(figure);
                }
            }
        }
    }
    best
}
