//! The command line: one file for each group of commands, output for people and as JSON. What the commands do stands in
//! `commands` and `agent`; here they are asked, and their answers are put into words.

mod args;
mod ask;
mod backup;
mod check;
mod demo;
mod failure;
mod house;
mod init;
mod input;
mod instance;
mod logging;
mod login;
mod man;
mod outbox;
mod outbox_args;
mod outbox_redeliver;
mod owner;
mod poll;
mod polled;
mod progress;
mod repeats;
mod reply;
mod run;
mod schedule;
mod signals;
mod table;
mod token;

use nix::sys::resource::{Resource, setrlimit};

pub use args::{Args, parse};
use args::{Command, TokenCommand};
pub use reply::Reply;

/// Runs the command that `args` name, to its end.
pub fn run(args: &Args) -> Reply {
    logging::start(args);
    // Its memory holds secrets, which are not to lie on a disk.
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        log::warn!("core dumps are not switched off error={error}");
    }
    let done = match &args.command {
        Command::Demo(wanted) => demo::demo(args, wanted),
        Command::Init => init::init(args),
        Command::Run => run::run(args),
        Command::Once => poll::once(args),
        Command::Check => check::check(args),
        Command::Schedule(wanted) => schedule::schedule(args, wanted),
        Command::Instance(command) => instance::run(args, command),
        Command::Poll(wanted) => poll::poll(args, wanted),
        Command::Login(named) => login::login(args, &named.instance),
        Command::Backup(wanted) => backup::backup(args, wanted),
        Command::Restore { file } => backup::restore(args, file),
        Command::Outbox(outbox) => outbox::run(args, outbox),
        Command::Token(TokenCommand::Rotate) => token::rotate(args),
        Command::Completions { shell } => Ok(man::completions(*shell)),
        Command::Man { page } => Ok(man::page(*page)),
    };
    logging::end();
    done.unwrap_or_else(Reply::from)
}
