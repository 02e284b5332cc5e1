//! `run`: the agent in the foreground.

use super::args::Args;
use super::failure::Failure;
use super::house::Opened;
use super::reply::Reply;
use super::signals;
use crate::agent;
use crate::store::Look;

/// Runs the agent until a signal ends it.
pub(super) fn run(args: &Args) -> Result<Reply, Failure> {
    let stop = signals::stop_flag()?;
    signals::survive_hangup()?;
    let opened = Opened::open(args, Look::Whole)?;
    let _lock = opened.take_lock()?;
    log::info!(
        "deltapost {} started data_dir={:?} instances={} pid={}",
        env!("CARGO_PKG_VERSION"),
        opened.config.data_dir,
        opened.store.instances()?.len(),
        std::process::id()
    );
    agent::run(&opened.house(), &stop)?;
    log::info!("stopped");
    Ok(Reply::default())
}
