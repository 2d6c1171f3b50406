//! `millrace-autoscale`: the scaling law in simulation.

mod cli;

use anyhow::Result;
use clap::Parser;
use cli::arguments::{Arguments, What};
use millrace_autoscale::tables::Tables;
use std::time::Instant;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(file) = &arguments.replay {
        return cli::replay::run(file);
    }
    if !arguments.join.is_empty() {
        return cli::table::join(&arguments);
    }
    match arguments.what {
        What::Fleet => return cli::fleet::run(&arguments),
        What::Schedule => return cli::cluster::schedule(&arguments),
        What::Cluster => return cli::cluster::run(&arguments),
        _ => {}
    }
    let models = cli::cases::models(&arguments.service)?;
    let began = Instant::now();
    let tables = Tables::measure(&models, arguments.what == What::Mixed);
    eprintln!("steady states measured in {:.1} s", began.elapsed().as_secs_f64());
    let made = |arguments: &Arguments| cli::cases::cases(arguments, &models, &tables);
    let cases = || made(&arguments);
    let longer = || match arguments.longer {
        Some(hours) => made(&Arguments { hours, ..arguments.clone() }),
        None => Ok(Vec::new()),
    };
    match arguments.what {
        What::Table if !arguments.known.is_empty() => cli::table::again(&arguments, &cases()?, &longer()?),
        What::Table => cli::table::run(&arguments, &cases()?, &longer()?),
        What::Law => cli::law::run(&arguments, &cases()?),
        What::Check => cli::check::run(&arguments, &cases()?),
        What::Mixed => cli::scenarios::mixed(&arguments, &cases()?, &tables),
        What::Faults => cli::scenarios::faults(&arguments, &cases()?),
        What::Rare => cli::scenarios::rare(&arguments),
        What::Fleet | What::Schedule | What::Cluster => Ok(()),
    }
}
