//! `instance …`: documents and assignments in, what became of the instance out.

use serde::Serialize;
use serde_json::{Value, json};

use super::args::{Args, InstanceCommand};
use super::failure::Failure;
use super::house;
use super::input::{Input, assignment};
use super::reply::Reply;
use super::table::{counted, or_dash, pairs, table};
use crate::commands::{CommandError, Deletion, Done, House, Pending, Written};
use crate::core::feed::Mode;
use crate::core::model::{GrantState, Instance};
use crate::core::plan::Cadence;
use crate::core::shown::{shown, shown_url};
use crate::store::{Look, ResourceRow, Rows, StoreError};

/// Runs one command of the group.
pub(super) fn run(args: &Args, command: &InstanceCommand) -> Result<Reply, Failure> {
    // What the user gives is read first: what is wrong with it needs no database.
    let mut input = Input::default();
    match command {
        InstanceCommand::Create { file } => write(args, &input.read(file)?, |house, text| {
            house.create_instance(text)
        }),
        InstanceCommand::Apply { file } => {
            write(args, &input.read(file)?, |house, text| house.apply_instance(text))
        }
        InstanceCommand::List => list(args),
        InstanceCommand::Show(named) => show(args, &named.instance),
        InstanceCommand::Update {
            instance,
            assignments,
        } => {
            let assignments: Vec<_> = assignments
                .iter()
                .map(|text| assignment(text, &mut input))
                .collect::<Result<_, _>>()?;
            write(args, "", |house, _| house.update_instance(instance, &assignments))
        }
        InstanceCommand::Enable(named) => enable(args, &named.instance, true),
        InstanceCommand::Disable(named) => enable(args, &named.instance, false),
        InstanceCommand::Delete { instance, discard } => delete(args, instance, *discard),
        InstanceCommand::Ping(named) => ping(args, &named.instance),
    }
}

/// Does what changes an instance, and tells what became of it.
fn write(
    args: &Args,
    document: &str,
    change: impl FnOnce(&House, &str) -> Result<Written, CommandError>,
) -> Result<Reply, Failure> {
    let house = house::open(args, Look::Brief)?;
    let outcome = change(&house, document)?;
    if args.json {
        return Ok(Reply::json(&house.shown(&outcome.instance)).noting(outcome.notes));
    }
    let done = match outcome.done {
        Done::Created => "created",
        Done::Changed => "changed",
        Done::Unchanged => "unchanged:",
    };
    let words = format!("{done} {}\n", words(&outcome.instance));
    let next = next(&house, &outcome.instance)
        .filter(|_| outcome.done != Done::Unchanged)
        .unwrap_or_default();
    Ok(Reply::text(words + &next).noting(outcome.notes))
}

fn words(instance: &Instance) -> String {
    format!(
        "instance {} `{}` ({})",
        instance.id,
        shown(&instance.name),
        instance.element
    )
}

/// What to do next with a changed instance, when there is something.
fn next(house: &House, instance: &Instance) -> Option<String> {
    let settings = instance.settings.as_ref().ok()?;
    let id = instance.id;
    if instance.grant_state == GrantState::LoginRequired {
        return Some(format!("next: sign in: `deltapost login {id}`\n"));
    }
    Some(if !settings.events_enabled {
        format!(
            "next: turn events on: `deltapost instance update {id} --set event.notification.enabled=true`\n"
        )
    } else {
        polled(house, id).ok()?
    })
}

/// What is said of when the instance with that id is polled.
fn polled(house: &House, id: i64) -> Result<String, StoreError> {
    let mut plans = Vec::new();
    if let Some((resource, _)) = house.store.resources_of(id)?.first() {
        house.store.planned(Rows::Beside(*resource), |row| {
            plans.push(house.config.polling.plan(&row.subject).cadence);
        })?;
    }
    plans.dedup();
    let when = match &plans[..] {
        [Cadence::Every(every)] => format!("polls it every {} minutes", every.as_secs() / 60),
        [cron @ Cadence::Cron { .. }] => format!("polls it by {cron}"),
        [Cadence::Never] => {
            return Ok(format!(
                "next: it is polled on request only: `deltapost poll {id}`\n"
            ));
        }
        _ => "polls it as `deltapost schedule` shows".to_owned(),
    };
    Ok(format!(
        "next: `deltapost run` {when}; `deltapost poll {id}` does so now\n"
    ))
}

/// An instance in the list.
#[derive(Serialize)]
struct Listed {
    id: i64,
    name: String,
    element: &'static str,
    enabled: bool,
    health: String,
    resources: Vec<String>,
    pending: i64,
    dead: i64,
}

fn list(args: &Args) -> Result<Reply, Failure> {
    let opened = house::open(args, Look::Brief)?;
    let mut listed = Vec::new();
    for instance in opened.store.instances()? {
        let resources = opened.store.health(&instance.name)?;
        let (pending, dead) = resources.first().map_or((0, 0), |row| (row.pending, row.dead));
        listed.push(Listed {
            id: instance.id,
            element: instance.element.as_str(),
            enabled: instance.enabled,
            health: health(&resources).to_owned(),
            resources: resources.into_iter().map(|row| row.resource).collect(),
            pending,
            dead,
            name: instance.name,
        });
    }
    if args.json {
        return Ok(Reply::json(&json!({"instances": listed})));
    }
    if listed.is_empty() {
        return Ok(Reply::text(
            "no instances yet; `deltapost instance create FILE` makes one\n",
        ));
    }
    let table = table(
        &listed,
        [
            ("id", &|row| row.id.to_string()),
            ("name", &|row| shown(&row.name)),
            ("element", &|row| row.element.to_owned()),
            ("enabled", &|row| {
                if row.enabled { "yes" } else { "no" }.to_owned()
            }),
            ("health", &|row| row.health.clone()),
            ("resources", &|row| shown(&row.resources.join(", "))),
            ("pending", &|row| row.pending.to_string()),
            ("dead", &|row| row.dead.to_string()),
        ],
    );
    Ok(Reply::text(table))
}

/// The health of the resource that is worst off; all but one resource's are the instance's anyway.
fn health(resources: &[ResourceRow]) -> &str {
    let mut healths = resources.iter().map(|row| row.health.as_str());
    healths.find(|health| *health != "ok").unwrap_or("ok")
}

fn show(args: &Args, id_or_name: &str) -> Result<Reply, Failure> {
    let opened = house::open(args, Look::Brief)?;
    let instance = opened.store.find_instance(id_or_name)?;
    let json = opened.shown(&instance);
    if args.json {
        return Ok(Reply::json(&json));
    }
    let resources = opened.store.health(&instance.name)?;
    let fields = json
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "configuration");
    let configuration = json["configuration"].as_object().into_iter().flatten();
    let readable = |(name, value): (&'_ String, &Value)| (shown(name), readable(value));
    let (fields, keys): (Vec<_>, Vec<_>) = (
        fields.map(readable).collect(),
        configuration.map(readable).collect(),
    );
    let pending = resources.first().map_or(0, |row| row.pending);
    let dead = resources.first().map_or(0, |row| row.dead);
    Ok(Reply::text(format!(
        "{}\nconfiguration\n{}\n{}\n{}outbox: {pending} pending, {dead} dead\n",
        named(&fields),
        named(&keys),
        resource_table(&resources),
        remarks(&resources)
    )))
}

fn resource_table(resources: &[ResourceRow]) -> String {
    table(
        resources,
        [
            ("resource", &|row| shown(&row.resource)),
            ("health", &|row| row.health.clone()),
            ("phase", &|row| row.phase.clone()),
            ("last success", &|row| or_dash(row.last_success_at.as_ref())),
            ("next poll", &|row| or_dash(row.next_poll_at.as_ref())),
            ("last error", &|row| or_dash(row.last_error.as_deref().map(shown))),
        ],
    )
}

/// What should be known of resources that are polled by dates.
fn remarks(resources: &[ResourceRow]) -> String {
    let by_dates = resources.iter().filter(|row| row.mode == Mode::Window.as_str());
    let remark = |row: &ResourceRow| {
        let name = shown(&row.resource);
        let blind = format!("`{name}` is polled by dates: deletions cannot be seen there\n");
        let fault = row.last_fault.as_deref().map(|fault| {
            let faults = counted(row.faults.unsigned_abs(), "record");
            format!(
                "`{name}`: {faults} could not be judged and were not announced; the last: {}\n",
                shown(fault)
            )
        });
        blind + &fault.unwrap_or_default()
    };
    by_dates.map(remark).collect()
}

fn named(fields: &[(String, String)]) -> String {
    pairs(fields.iter().map(|(name, value)| (name.as_str(), value.clone())))
}

/// A value of the instance's JSON without its quotes, and an object or a list on one line.
fn readable(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        Value::Object(fields) if fields.contains_key("key") => readable(&fields["key"]),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(readable).collect::<Vec<_>>().join(", ")
        }
        other => shown(&other.to_string()),
    }
}

fn enable(args: &Args, id_or_name: &str, enabled: bool) -> Result<Reply, Failure> {
    let house = house::open(args, Look::Brief)?;
    let before = house.store.find_instance(id_or_name)?;
    house
        .store
        .enable_instance(before.id, enabled, house.clock.now())?;
    let instance = house.store.instance(before.id)?;
    let done = match (before.enabled == enabled, enabled) {
        (true, true) => "enabled already:",
        (true, false) => "disabled already:",
        (false, true) => "enabled",
        (false, false) => "disabled",
    };
    let json = house.shown(&instance);
    Ok(Reply::either(args, &json, || {
        format!("{done} {}\n", words(&instance))
    }))
}

fn delete(args: &Args, id_or_name: &str, discard: bool) -> Result<Reply, Failure> {
    let house = house::open(args, Look::Brief)?;
    let instance = house.store.find_instance(id_or_name)?;
    let pending = house
        .store
        .health(&instance.name)?
        .first()
        .map_or(0, |row| row.pending);
    let with_pending = if discard {
        Pending::Discard
    } else {
        Pending::Deliver
    };
    let deletion = house.delete_instance(id_or_name, with_pending)?;
    let state = match deletion {
        Deletion::Removed => "removed",
        Deletion::Draining => "draining",
    };
    let json = json!({"id": instance.id, "name": instance.name, "state": state, "pending": pending});
    Ok(Reply::either(args, &json, || match deletion {
        Deletion::Removed => format!("removed {}\n", words(&instance)),
        Deletion::Draining => format!(
            "{} is polled no more, and removed when what is pending is delivered: {}\n",
            words(&instance),
            counted(pending.unsigned_abs(), "notification")
        ),
    }))
}

fn ping(args: &Args, id_or_name: &str) -> Result<Reply, Failure> {
    let opened = house::open(args, Look::Brief)?;
    let (instance, answer) = opened.ping(id_or_name)?;
    let url = instance
        .configuration
        .get("event.notification.callback.url")
        .and_then(Value::as_str);
    let endpoint = shown(&shown_url(url.unwrap_or_default()));
    let (accepted, millis) = (
        answer.status().is_some_and(|status| (200..300).contains(&status)),
        answer.elapsed.as_millis(),
    );
    let failure = (!accepted).then(|| {
        let hint = "the receiver's log may say why".to_owned();
        Failure::failed(
            format!("`{endpoint}` did not accept the notification: {answer}"),
            Some(hint),
        )
    });
    let reply = match (args.json, accepted) {
        (true, _) => Reply::json(&json!({
            "instance": instance.name, "endpoint": endpoint, "status": answer.status(),
            "durationMs": u64::try_from(millis).unwrap_or(u64::MAX), "answer": answer.to_string(),
        })),
        (false, true) => Reply::text(format!("`{endpoint}` {answer} in {millis} ms\n")),
        (false, false) => Reply::default(),
    };
    Ok(reply.failing(failure))
}
