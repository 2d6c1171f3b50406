//! The search of the rivals' settings in hindsight: a grid that is the same for every case, then from the best of each
//! rival step by step in finer steps, as long as it becomes better.
//!
//! A step is raced: a run ends as soon as it is dearer, or later, than what it would have to beat.

use crate::case::Case;
use crate::rival::{NAMES, Rival};
use crate::world::{Limits, Setup, race, run};

/// Settings on one case, by fluid: dollars and share in time.
pub type Searched = Vec<(Rival, f64, f64)>;

/// A rival that costs so many times the cheapest one isn't searched further.
const HOPELESS: f64 = 1.25;
/// Nor is one that is so many times as late as may be, unless it comes nearest.
const NEAR: f64 = 3.0;
/// Rounds over all settings of a rival.
const ROUNDS: usize = 2;

/// What was tried on one case.
pub struct Search<'a> {
    case: &'a Case,
    setup: Setup,
    all: Searched,
    common: usize,
}

impl<'a> Search<'a> {
    /// Tries the grid.
    #[must_use]
    pub fn new(case: &'a Case, grid: &[Rival]) -> Self {
        let setup = case.setup(99.0, false);
        let one = |rival: &Rival| {
            let outcome = run(&setup, rival.policy(case.unit, vec![0]).as_mut());
            (*rival, outcome.dollars, outcome.attainment)
        };
        let all: Searched = grid.iter().map(one).collect();
        Self { case, setup, common: all.len(), all }
    }

    /// All that has been tried to its end.
    #[must_use]
    pub fn all(&self) -> &Searched {
        &self.all
    }

    /// The grid.
    #[must_use]
    pub fn common(&self) -> Searched {
        self.all[..self.common].to_vec()
    }

    /// Goes on from the best settings of each rival that may still win.
    pub fn refine(&mut self, asked: f64) {
        let share = asked / 100.0;
        let best = |search: &Self, family| search.best(family, share);
        let each: Vec<(Rival, f64, f64)> = (0..NAMES.len()).filter_map(|family| best(self, family)).collect();
        let reached = each.iter().filter(|(.., attained)| *attained >= share);
        let cheapest = reached.map(|(_, dollars, _)| *dollars).fold(f64::INFINITY, f64::min);
        let nearest = each.iter().map(|(.., attained)| *attained).fold(0.0, f64::max);
        for (rival, dollars, attained) in each {
            // Who doesn't reach it may still do so for less than those that do.
            let hopeful = match attained >= share {
                true => dollars <= HOPELESS * cheapest,
                false => dollars < cheapest && (attained == nearest || 1.0 - attained < NEAR * (1.0 - share)),
            };
            if hopeful {
                self.climb((rival, dollars, attained), share);
            }
        }
    }

    /// The cheapest that reaches it, else that which comes nearest.
    fn best(&self, family: usize, share: f64) -> Option<(Rival, f64, f64)> {
        let of = self.all.iter().filter(|(rival, ..)| rival.family() == family);
        of.copied().reduce(|best, other| if better(&other, &best, share) { other } else { best })
    }

    fn climb(&mut self, start: (Rival, f64, f64), share: f64) {
        let mut here = start;
        for _ in 0..ROUNDS {
            let before = here.0;
            for dimension in 0..here.0.dimensions() {
                // To the cheap side first, where it is reached; else to the dear one.
                let dear_first = here.2 < share;
                for dearer in [dear_first, !dear_first] {
                    let from = here.0;
                    while let Some(next) = here.0.moved(dimension, dearer) {
                        let Some(found) = self.run(next, &here, share).filter(|f| better(f, &here, share)) else {
                            break;
                        };
                        here = found;
                    }
                    if here.0 != from {
                        break;
                    }
                }
            }
            if here.0 == before {
                return;
            }
        }
    }

    /// Runs `rival`, as long as it may be better than `known`.
    fn run(&mut self, rival: Rival, known: &(Rival, f64, f64), share: f64) -> Option<(Rival, f64, f64)> {
        if let Some(found) = self.all.iter().find(|(tried, ..)| *tried == rival) {
            return Some(*found);
        }
        let requests = self.case.measured();
        let limits = if known.2 >= share {
            Limits { dollars: known.1, late: requests * (1.0 - share) * (1.0 + 1e-9) }
        } else {
            Limits { dollars: f64::INFINITY, late: requests * (1.0 - known.2) }
        };
        let outcome = race(&self.setup, rival.policy(self.case.unit, vec![0]).as_mut(), limits).ok()?;
        let found = (rival, outcome.dollars, outcome.attainment);
        self.all.push(found);
        Some(found)
    }
}

/// Whether `one` is better than `other` where this share is asked for.
fn better(one: &(Rival, f64, f64), other: &(Rival, f64, f64), share: f64) -> bool {
    match (one.2 >= share, other.2 >= share) {
        (true, true) => one.1 < other.1,
        (false, false) => one.2 > other.2 || (one.2 == other.2 && one.1 < other.1),
        (reached, _) => reached,
    }
}
