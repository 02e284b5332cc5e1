//! The command line's way in: it prints what a command returns, and exits with its code.

use std::process::ExitCode;

use deltapost::cli;

fn main() -> ExitCode {
    let reply = cli::run(&cli::parse());
    reply.print()
}
