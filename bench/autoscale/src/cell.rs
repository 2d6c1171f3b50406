//! The figures of one case: bounds, the law, and each rival at its best in hindsight.

use crate::case::Case;
use crate::policy::faults::Faults;
use crate::policy::law::Law;
use crate::rival::{NAMES, Rival};
use crate::search::{Search, Searched};
use crate::trace::Kind;
use crate::world::{Outcome, run};
use crate::{bound, foresee};
use serde::{Deserialize, Serialize};

/// Shares in time that are asked for, in percent.
pub const ASKED: [f64; 2] = [99.0, 99.9];

/// What a policy cost, and what it gave for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tuned {
    /// Settings found in hindsight.
    pub settings: Rival,
    /// What they cost and gave.
    pub figure: Figure,
    /// Whether the objective was kept; if not, these are the settings that came nearest.
    pub reached: bool,
}

/// The law over more hours of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Longer {
    /// Hours that were measured.
    pub hours: f64,
    /// Share in time.
    pub attainment: f64,
    /// Dollars.
    pub dollars: f64,
}

/// Everything about one case and one objective.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Trace.
    pub trace: String,
    /// Its kind.
    pub kind: Kind,
    /// Kind of service.
    pub service: String,
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
    /// About the share of them that is late at first sight, see [`crate::sight`]; absent in older tables.
    #[serde(default)]
    pub unseen: Option<f64>,
    /// Dollars below which no schedule keeps the objective.
    pub lower: f64,
    /// The cheapest schedule found that keeps it.
    pub clairvoyant: Figure,
    /// The cheapest that sees ahead 0, 1 and 2 start times, and for what else expects a tuned part of the recent peak.
    pub foresight: Vec<Option<Figure>>,
    /// The production law.
    pub law: Figure,
    /// The same over more hours, where it misses and the trace has more.
    #[serde(default)]
    pub longer: Option<Longer>,
    /// The rivals, in the order of their names.
    pub rivals: Vec<Tuned>,
}

impl Cell {
    /// Whether the law kept the objective.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.law.attainment >= self.asked / 100.0
    }

    /// Whether it kept it over more hours.
    #[must_use]
    pub fn reached_later(&self) -> bool {
        self.longer.is_some_and(|longer| longer.attainment >= self.asked / 100.0)
    }

    /// A cost in units of the clairvoyant's.
    #[must_use]
    pub fn in_units(&self, figure: &Figure) -> f64 {
        figure.dollars / self.clairvoyant.dollars
    }

    /// The same of who sees so many starts ahead; nothing if none keeps the objective.
    #[must_use]
    pub fn ahead(&self, starts: usize) -> Option<f64> {
        Some(self.in_units(self.foresight.get(starts)?.as_ref()?))
    }

    /// Whether what is late at first sight is more than may be late at all.
    #[must_use]
    pub fn is_unseen(&self) -> bool {
        self.unseen.is_some_and(|late| late > 1.0 - self.asked / 100.0)
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

/// The cells of one case, and what the search saw of the settings that every case is tried with.
#[must_use]
pub fn cells(case: &Case, grid: &[Rival], events: bool) -> (Vec<Cell>, Searched) {
    let mut search = Search::new(case, grid);
    let common = search.common();
    let lateness = case.lateness();
    let cells = ASKED.map(|asked| cell(case, asked, &mut search, &lateness, events));
    (cells.into(), common)
}

/// A family of rivals alone: at its best for each objective, and what the search saw of its part of the grid.
#[must_use]
pub fn rival(case: &Case, family: usize, grid: &[Rival], events: bool) -> ([Tuned; ASKED.len()], Searched) {
    let of: Vec<Rival> = grid.iter().copied().filter(|rival| rival.family() == family).collect();
    let mut search = Search::new(case, &of);
    let common = search.common();
    let best = ASKED.map(|asked| {
        search.refine(asked);
        tuned(case, family, asked, search.all(), events)
    });
    (best, common)
}

/// What the law gives, and how many requests were measured.
#[must_use]
pub fn law(case: &Case, asked: f64, events: bool) -> (Figure, f64) {
    let setup = case.setup(asked, events);
    let outcome = run(&setup, &mut Law::new(&setup, Faults::default()));
    (Figure::from(&outcome), outcome.requests)
}

fn cell(case: &Case, asked: f64, search: &mut Search<'_>, lateness: &bound::Lateness, events: bool) -> Cell {
    let setup = case.setup(asked, events);
    let tolerated = 1.0 - asked / 100.0;
    let bound = case.bound(lateness, tolerated);
    let price = setup.pools[0].hourly / 3_600.0;
    let (law, requests) = law(case, asked, events);
    let hours = bound.plan.cost / 3_600.0;
    let clairvoyant = Figure {
        dollars: bound.plan.cost * price,
        attainment: bound.attainment,
        starts: bound.plan.starts,
        hours,
        dollars_per_1000: bound.plan.cost * price / requests.max(1.0) * 1e3,
        p99: 0.0,
    };
    search.refine(asked);
    let rivals = (0..NAMES.len()).map(|family| tuned(case, family, asked, search.all(), events));
    Cell {
        trace: case.trace.name.clone(),
        kind: case.trace.kind,
        service: case.model.name.to_owned(),
        start: case.start.mean,
        asked,
        span_hours: case.hours(),
        requests,
        events,
        unseen: Some(case.unseen()),
        lower: bound.lower * price,
        clairvoyant,
        foresight: [0.0, 1.0, 2.0].iter().map(|starts| foresee::cheapest(case, *starts, asked)).collect(),
        law,
        longer: None,
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
