//! The words of the command line: commands, flags and their help. What they mean is done by the other files.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::outbox_args::OutboxArgs;

/// Where the configuration is when nothing else is said.
pub(super) const DEFAULT_CONFIG: &str = "/etc/deltapost/deltapost.toml";

/// Everything that was said on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "deltapost",
    version,
    about = "Polls OneDrive for changes and delivers them to HTTP callbacks, durably.",
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Examples:
  deltapost demo                          # see it work: no account, no root, no configuration
  deltapost init                          # data directory, database, key, configuration file
  deltapost instance create onedrive.json # an instance as Cloud Elements documents it
  deltapost poll 'Finance OneDrive'       # now, with what came of it
  deltapost run                           # the agent, in the foreground
  deltapost outbox list --state pending   # what waits for delivery

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub struct Args {
    /// The configuration file [default: /etc/deltapost/deltapost.toml].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "DELTAPOST_CONFIG",
        hide_env_values = true
    )]
    pub(super) config: Option<PathBuf>,

    /// Print one JSON document on standard output, for programs.
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Log more on standard error: each request, delivery and renewed grant, and polls that found nothing.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,

    /// Log errors only.
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// Reads the process's arguments. Prints help, or what is wrong with them, and exits, where there is no command to run.
pub fn parse() -> Args {
    Args::parse()
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// See the whole agent work on loopback: no account, no root, no configuration, nothing left behind.
    ///
    /// A simulated OneDrive where things happen, the agent in a temporary directory, and a receiver that verifies
    /// signatures. Events are printed as they arrive, and counts at the end. Exits with 1 when anything was lost.
    #[command(after_help = "Examples:
  deltapost demo
  deltapost demo --seconds 60 --callback http://127.0.0.1:8000/events")]
    Demo(DemoArgs),

    /// Create the data directory, database, key, API token, and a commented configuration file.
    ///
    /// What exists already is kept, so it is safe to repeat. Run by root, it gives the owner of the data directory
    /// what root has put there, and works as this user.
    #[command(after_help = "Examples:
  deltapost init
  deltapost --config ./deltapost.toml init   # without root: set data_dir in that file, then init again")]
    Init,

    /// Run the agent in the foreground, until SIGTERM or SIGINT.
    ///
    /// Polls what is due and delivers what waits. At a signal it stops polling, gives requests under way ten seconds, and
    /// exits with 0; a second signal ends it at once.
    #[command(after_help = "Examples:
  deltapost run
  deltapost -v run        # logs each request, too")]
    Run,

    /// Poll every enabled resource once, deliver what is due, and exit: for timers and scripts.
    ///
    /// While an agent runs, it is asked to do so. Exits with 1 when a poll or a delivery failed.
    #[command(after_help = "Examples:
  deltapost once
  deltapost once --json | jq '.polls[] | select(.error)'")]
    Once,

    /// Validate configuration, database and permissions, and print every problem. Changes nothing.
    #[command(after_help = "Examples:
  deltapost check
  deltapost --config ./deltapost.toml check")]
    Check,

    /// Show when each resource is polled next, and where its schedule comes from.
    ///
    /// Times are those of the schedule's zone and UTC; what daylight saving shifts is marked. With `--cron` it shows a
    /// schedule that is not configured yet.
    #[command(after_help = "Examples:
  deltapost schedule --count 3
  deltapost schedule --cron '30 2 * * *' --timezone Europe/Berlin --from 2026-03-28
  deltapost schedule --json | jq -r '.schedules[] | .instance + \" \" + .runs[0].utc'")]
    Schedule(ScheduleArgs),

    /// Create, change, show and remove instances.
    #[command(subcommand)]
    Instance(InstanceCommand),

    /// Poll an instance now, and print pages, items and events.
    ///
    /// While an agent runs, it is asked to do so. Exits with 1 when a poll failed.
    #[command(after_help = "Examples:
  deltapost poll 'Finance OneDrive'
  deltapost poll 1 --resource events --resync")]
    Poll(PollArgs),

    /// Sign in to an instance's account from a box without a browser, or again after its grant was revoked.
    ///
    /// Shows a page and a code for whoever has a browser, and waits. Polling then goes on from where it stood. The agent
    /// may run meanwhile.
    #[command(after_help = "Examples:
  deltapost login 'Finance OneDrive'")]
    Login(Named),

    /// Copy the database, consistently, also while the agent runs.
    ///
    /// The copy is one SQLite file with mode 0600, and checked before it bears its name. Its secrets are sealed; it is of
    /// use only with the key, which `--with-key` copies beside it as FILE.key.
    #[command(after_help = "Examples:
  deltapost backup /mnt/usb/deltapost-$(date +%F).db --with-key
  deltapost backup before-the-move.db")]
    Backup(BackupArgs),

    /// Put a copy in place of the database.
    ///
    /// Refuses while an agent runs. Everything in the copy is looked at before it replaces anything, and what it replaces is
    /// kept in the data directory. The key is the one in use, or FILE.key. On a new box it makes the data directory.
    #[command(after_help = "Examples:
  deltapost restore /mnt/usb/deltapost-2026-03-01.db")]
    Restore {
        /// The copy, as `backup` made it.
        file: PathBuf,
    },

    /// Show what was written to the outbox and what became of it; retry, discard and replay it.
    Outbox(OutboxArgs),

    /// The token of the local API and page.
    #[command(subcommand)]
    Token(TokenCommand),

    /// Print completions for a shell.
    #[command(after_help = "Examples:
  deltapost completions bash > /etc/bash_completion.d/deltapost
  deltapost completions fish > ~/.config/fish/completions/deltapost.fish")]
    Completions {
        /// The shell.
        shell: Shell,
    },

    /// Print a manual page, for man(1).
    #[command(after_help = "Examples:
  deltapost man | man -l -
  deltapost man deltapost-schema | man -l -")]
    Man {
        /// The page: the commands, the configuration file, or the database.
        #[arg(default_value = "deltapost")]
        page: Manual,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Replace the API token by a new one. The old one is refused from then on, also by a running agent.
    #[command(after_help = "Examples:
  deltapost token rotate
  cat /var/lib/deltapost/api.token")]
    Rotate,
}

#[derive(Debug, Subcommand)]
pub(super) enum InstanceCommand {
    /// Create an instance from its JSON, as Cloud Elements documents it.
    ///
    /// The authorization code in it is exchanged first; when that fails, nothing is left behind.
    #[command(after_help = "Examples:
  deltapost instance create onedrive.json
  deltapost instance create - < onedrive.json
  deltapost instance create --json onedrive.json | jq .id")]
    Create {
        /// The file with the instance's JSON; `-` is standard input. 256 KiB at most.
        file: PathBuf,
    },

    /// Create an instance, or bring the one of that name to what the JSON says.
    ///
    /// Running it twice changes nothing; a code that was exchanged already is ignored.
    #[command(after_help = "Examples:
  deltapost instance apply onedrive.json")]
    Apply {
        /// The file with the instance's JSON; `-` is standard input. 256 KiB at most.
        file: PathBuf,
    },

    /// List all instances with their health.
    #[command(after_help = "Examples:
  deltapost instance list
  deltapost instance list --json | jq -r '.instances[] | select(.health != \"ok\") | .name'")]
    List,

    /// Show an instance, its secrets masked, and its resources' health.
    #[command(after_help = "Examples:
  deltapost instance show 'Finance OneDrive'
  deltapost instance show 1 --json")]
    Show(Named),

    /// Change single keys of an instance; an empty value takes a key away.
    ///
    /// Secrets never stand on the command line: their keys take KEY=@FILE or, from standard input, KEY=-.
    #[command(after_help = "Examples:
  deltapost instance update 1 --set event.poller.refresh_interval=5
  deltapost instance update 1 --set event.notification.signature.key=@/run/keys/signature
  deltapost instance update 1 --set name='Finance OneDrive' --set tags=finance,emea
  printf %s \"$CODE\" | deltapost instance update 1 --set providerData.code=-")]
    Update {
        /// The instance's id or name.
        #[arg(value_name = "ID|NAME")]
        instance: String,

        /// `name`, `tags`, `providerData.code` or a key of the configuration, and its value.
        #[arg(long = "set", value_name = "KEY=VALUE", required = true, num_args = 1..)]
        assignments: Vec<String>,
    },

    /// Resume polling of an instance.
    Enable(Named),

    /// Pause polling of an instance. What is in its outbox is still delivered.
    Disable(Named),

    /// Remove an instance when what is pending of it is delivered.
    #[command(after_help = "Examples:
  deltapost instance delete 'Finance OneDrive'
  deltapost instance delete 1 --discard   # at once, without delivering")]
    Delete {
        /// The instance's id or name.
        #[arg(value_name = "ID|NAME")]
        instance: String,

        /// Do not wait: what is pending is never delivered.
        #[arg(long)]
        discard: bool,
    },

    /// Send a signed test notification without events to the instance's callback, and show the answer.
    ///
    /// Exits with 1 unless the answer is 2xx.
    Ping(Named),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Named {
    /// The instance's id or name.
    #[arg(value_name = "ID|NAME")]
    pub(super) instance: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct DemoArgs {
    /// How long things happen.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) seconds: u64,

    /// Deliver to this URL instead of the demonstration's own receiver.
    #[arg(long, value_name = "URL")]
    pub(super) callback: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct BackupArgs {
    /// The file to make; there must be none of that name.
    pub(super) file: PathBuf,

    /// Copy the key, too, as FILE.key: both together are as secret as the box.
    #[arg(long)]
    pub(super) with_key: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct ScheduleArgs {
    /// How many runs of each.
    #[arg(long, value_name = "N", default_value = "5", value_parser = count)]
    pub(super) count: usize,

    /// Show the runs after this time instead of now. Without an offset it is one of the schedule's zone.
    #[arg(long, value_name = "TIME")]
    pub(super) from: Option<String>,

    /// Show this schedule instead of those that are configured.
    #[arg(long, value_name = "EXPR")]
    pub(super) cron: Option<String>,

    /// The zone that it is read in [default: UTC].
    #[arg(long, value_name = "ZONE", requires = "cron")]
    pub(super) timezone: Option<String>,
}

/// The manual pages.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Manual {
    Deltapost,
    #[value(name = "deltapost.toml")]
    Configuration,
    #[value(name = "deltapost-schema")]
    Schema,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=1_000).contains(count));
    count.ok_or_else(|| "expected a number from 1 to 1000".to_owned())
}

#[derive(Debug, ClapArgs)]
pub(super) struct PollArgs {
    /// The instance's id or name.
    #[arg(value_name = "ID|NAME")]
    pub(super) instance: String,

    /// Poll this resource only [default: all of the instance].
    #[arg(long, value_name = "NAME")]
    pub(super) resource: Option<String>,

    /// Enumerate in full and emit the differences from what is known.
    #[arg(long, conflicts_with = "rebaseline")]
    pub(super) resync: bool,

    /// Announce the differences even where most of what is known would be deleted.
    #[arg(long, requires = "resync")]
    pub(super) accept: bool,

    /// Forget what is known and learn what exists anew, silently, also when the account shows another drive.
    #[arg(long)]
    pub(super) rebaseline: bool,

    /// Do not wait although the provider asked to.
    #[arg(long)]
    pub(super) force: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_words_of_the_command_line_fit_together() {
        Args::command().debug_assert();
    }
}
