//! `check`: looks at configuration, data directory and database, changes nothing, and tells every problem it finds.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::args::Args;
use super::failure::Failure;
use super::house;
use super::reply::Reply;
use super::table::counted;
use crate::commands::House;
use crate::config::Config;
use crate::core::elements;
use crate::core::model::{GrantState, Instance};
use crate::core::shown::shown;
use crate::store::{DATABASE, Key, Look, Store, StoreError, TOKEN_FILE};
use crate::zones::{InUse, Zones};

/// Looks at everything.
pub(super) fn check(args: &Args) -> Result<Reply, Failure> {
    let (failure, words) = match house::read_config(args) {
        // Without a configuration it is not known where the rest is.
        Err(failure) => (Some(failure), String::new()),
        Ok(config) => {
            let mut found = Vec::new();
            let words = look_at(config, &mut found);
            (Failure::all(found), words)
        }
    };
    let reply = if args.json {
        let problems = failure.iter().flat_map(|failure| &failure.problems);
        let problems = problems.map(|problem| json!({"problem": problem.message, "hint": problem.hint}));
        let in_use = Zones::of_system().in_use();
        let timezones = json!({
            "directory": in_use.directory, "version": in_use.version, "builtIn": in_use.built_in,
            "outdated": in_use.is_outdated(),
        });
        Reply::json(&json!({"problems": problems.collect::<Vec<_>>(), "timezones": timezones}))
    } else if failure.is_none() {
        Reply::text(words)
    } else {
        Reply::default()
    };
    Ok(reply.failing(failure))
}

/// Collects what is wrong under `config`. Returns what to say when nothing is.
fn look_at(config: Config, found: &mut Vec<Failure>) -> String {
    found.extend(house::group_id(&config).err());
    let ways = house::ways_out(&config);
    let credential = match house::enter(&config) {
        Ok(credential) => credential,
        Err(failure) => {
            found.extend(ways.err());
            found.push(failure);
            return String::new();
        }
    };
    let data_dir = config.data_dir.clone();
    let before = found.len();
    look_at_files(&config, credential.clone(), found);
    // What is too widely readable would hinder the opening, and has been told.
    if found.len() > before || !data_dir.join(DATABASE).exists() {
        return String::new();
    }
    match Store::pending_steps(&data_dir) {
        Ok(0) => {}
        Ok(_) => {
            return "the database is of an earlier version; the next start brings it up to date\n".to_owned();
        }
        Err(error) => {
            found.push(error.into());
            return String::new();
        }
    }
    let opened = ways.and_then(|ways| house::open_inside(config, ways, credential, Look::Whole));
    opened
        .and_then(|opened| look_inside(&opened, found))
        .unwrap_or_else(|failure| {
            found.push(failure);
            String::new()
        })
}

/// What must be there, each with the widest mode that it may have.
fn look_at_files(config: &Config, credential: Option<Key>, found: &mut Vec<Failure>) {
    let sharing = house::sharing(config);
    let data_dir = &config.data_dir;
    let database = data_dir.join(DATABASE);
    found.extend(look_at_file(data_dir, sharing.directory_mode()));
    found.extend(look_at_file(&database, sharing.file_mode()));
    found.extend(look_at_file(&data_dir.join(TOKEN_FILE), 0o600));
    match Key::load(data_dir, credential) {
        Ok(Some(_)) => {}
        Ok(None) if database.exists() => found.push(StoreError::NoKey.into()),
        Ok(None) => {}
        Err(error) => found.push(error.into()),
    }
}

fn look_at_file(path: &Path, widest: u32) -> Option<Failure> {
    match fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            let path = path.to_owned();
            (mode & !widest & 0o077 != 0).then(|| StoreError::Exposed { path, mode, widest }.into())
        }
        Err(error) if error.kind() == ErrorKind::NotFound && path.ends_with(DATABASE) => {
            Some(StoreError::Missing(path.to_owned()).into())
        }
        Err(error) => {
            let hint = match error.kind() {
                ErrorKind::NotFound => "run `deltapost init` to create it",
                _ => "run as the user who owns the data directory",
            };
            let message = format!("could not look at `{}`: {error}", path.display());
            Some(Failure::failed(message, Some(hint.to_owned())))
        }
    }
}

fn look_inside(opened: &House, found: &mut Vec<Failure>) -> Result<String, Failure> {
    let store = &opened.store;
    found.extend(store.key().err().map(Failure::from));
    let instances = store.instances()?;
    for instance in &instances {
        look_at_instance(opened, instance, found);
        let held = store.health(&instance.name)?.into_iter();
        found.extend(held.filter(|row| row.health == "held").map(|row| {
            let (resource, name) = (shown(&row.resource), shown(&instance.name));
            let why = shown(&row.last_error.unwrap_or_default());
            let hint = format!("`deltapost poll {}` says what to do", instance.id);
            Failure::failed(
                format!("resource `{resource}` of `{name}` waits for a person: {why}"),
                Some(hint),
            )
        }));
    }
    if let Some((error, at)) = store.settings_error()? {
        let hint =
            "the file is as it should be by now: the agent reads it again within seconds, or on SIGHUP";
        let message = format!("the agent has gone on with its old settings since {at}: {error}");
        found.push(Failure::failed(message, Some(hint.to_owned())));
    }
    Ok(format!(
        "all is well: {} in `{}`\n{}{}",
        counted(instances.len() as u64, "instance"),
        store.path().display(),
        exposure(&opened.config),
        zones(&Zones::of_system().in_use())
    ))
}

/// What it means that others than this box reach the API.
fn exposure(config: &Config) -> String {
    match config.listen.exposed() {
        None => String::new(),
        Some(address) => format!(
            "warning: the API and the page listen on {address}, beyond this box, in plain HTTP: whoever reads the API token on \
             the way can read and change everything; let a proxy with TLS stand before them, or a firewall\n"
        ),
    }
}

/// Which time zone database is in use, and whether another would be better.
fn zones(in_use: &InUse) -> String {
    let version = in_use.version.as_deref();
    let version = version.map_or_else(
        || "of unknown version".to_owned(),
        |version| format!("version {version}"),
    );
    let built_in = in_use.built_in;
    let place = match &in_use.directory {
        None => "built in, since this system has none".to_owned(),
        Some(directory) => format!("of this system, in `{}`", directory.display()),
    };
    let warning = match in_use.is_outdated() {
        true => {
            format!("warning: version {built_in}, which is built in, is newer: update the system's tzdata\n")
        }
        false => String::new(),
    };
    format!("time zones: {place}, {version}\n{warning}")
}

fn look_at_instance(opened: &House, instance: &Instance, found: &mut Vec<Failure>) {
    let name = shown(&instance.name);
    let update = || {
        Some(format!(
            "correct it with `deltapost instance update {}`",
            instance.id
        ))
    };
    if let Err(problems) = &instance.settings {
        let told = problems
            .iter()
            .map(|problem| Failure::failed(format!("instance `{name}`: {problem}"), update()));
        found.extend(told);
    }
    // Without the key every secret is withheld, and that has been told once.
    if opened.store.key().is_ok() {
        for key in elements::withheld(&instance.configuration) {
            let message = format!("instance `{name}`: `{key}` cannot be opened with this key");
            found.push(Failure::failed(message, update()));
        }
    }
    if instance.grant_state == GrantState::LoginRequired {
        let hint = format!(
            "sign in again: `deltapost login {id}`, or pass a new code: `deltapost instance update {id} --set \
             providerData.code=@FILE`; where the app was refused, pass its new secret: `--set oauth.api.secret=@FILE`",
            id = instance.id
        );
        found.push(Failure::failed(
            format!("instance `{name}` must sign in again"),
            Some(hint),
        ));
    }
}
