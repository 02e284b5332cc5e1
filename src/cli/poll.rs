//! `poll` and `once`: polls on request, by the running agent when there is one, else in this process.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::json;

use super::args::{Args, PollArgs};
use super::ask::{Agent, Answer};
use super::failure::Failure;
use super::house::Opened;
use super::progress::Progress;
use super::reply::Reply;
use super::signals;
use crate::agent;
use crate::commands::CommandError;
use crate::core::elements;
use crate::core::model::Instance;
use crate::core::shown::shown;
use crate::deliver::Tally;
use crate::store::{Depth, Look, PollRecord, StoreError};

/// One poll, as it is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Polled {
    instance: String,
    resource: String,
    #[serde(flatten)]
    record: Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    hint: Option<String>,
}

/// The numbers of a poll.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    pages: u64,
    items: u64,
    events: u64,
    unchanged: u64,
    filtered: u64,
    duration_ms: i64,
    /// It was asked to stop between two pages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
}

impl From<PollRecord> for Record {
    fn from(record: PollRecord) -> Record {
        let PollRecord {
            duration_ms,
            pages,
            items,
            events,
            unchanged,
            filtered,
            stopped,
            ..
        } = record;
        Record {
            pages,
            items,
            events,
            unchanged,
            filtered,
            duration_ms,
            stopped,
        }
    }
}

impl Polled {
    fn of(instance: &str, resource: &str, answer: Answer) -> Polled {
        let record = answer.record.unwrap_or_default();
        Polled {
            instance: instance.to_owned(),
            resource: resource.to_owned(),
            error: answer.error.or_else(|| record.error.clone()),
            hint: answer.hint,
            record: record.into(),
        }
    }

    fn words(&self) -> String {
        let Record {
            pages,
            items,
            events,
            unchanged,
            filtered,
            duration_ms,
            stopped,
        } = self.record;
        let end = if stopped {
            ", stopped between two pages"
        } else {
            ""
        };
        format!(
            "{} / {}: {pages} pages, {items} items, {events} events ({unchanged} unchanged, {filtered} filtered) \
             in {:.1} s{end}\n",
            shown(&self.instance),
            shown(&self.resource),
            duration_ms as f64 / 1000.0
        )
    }

    fn failure(&self) -> Option<Failure> {
        let (instance, resource) = (shown(&self.instance), shown(&self.resource));
        match &self.error {
            Some(error) => {
                let message = format!("could not poll `{resource}` of `{instance}`: {error}");
                Some(Failure::failed(message, self.hint.clone()))
            }
            None if self.record.stopped => {
                let hint = "the next poll goes on from there".to_owned();
                Some(Failure::failed(
                    format!("the poll of `{resource}` of `{instance}` was stopped"),
                    Some(hint),
                ))
            }
            None => None,
        }
    }
}

/// `poll`: one instance, all its resources or one.
pub(super) fn poll(args: &Args, wanted: &PollArgs) -> Result<Reply, Failure> {
    let stop = signals::stop_flag()?;
    let opened = Opened::open(args, Look::Brief)?;
    let instance = opened.store.find_instance(&wanted.instance)?;
    let resources = resources(&opened, &instance, wanted.resource.as_deref())?;
    let depth = match (wanted.resync, wanted.rebaseline) {
        (true, _) => Depth::Resync,
        (_, true) => Depth::Rebaseline,
        _ => Depth::Changes,
    };
    let polls: Vec<Polled> = match opened.take_lock() {
        Ok(_lock) => resources
            .iter()
            .filter(|_| !stop.load(Ordering::Relaxed))
            .map(|(id, name)| Polled::of(&instance.name, name, poll_here(&opened, &stop, *id, name, depth)))
            .collect(),
        Err(StoreError::Locked { .. }) => {
            let ids: Vec<i64> = resources.iter().map(|(id, _)| *id).collect();
            let answers = Agent {
                opened: &opened,
                stop: &stop,
            }
            .poll(&ids, depth)?;
            let answers = answers.into_iter().zip(&resources);
            answers
                .map(|(answer, (_, name))| Polled::of(&instance.name, name, answer))
                .collect()
        }
        Err(error) => return Err(error.into()),
    };
    Ok(told(args, &polls, None))
}

/// The instance's resources, or the one that is named; all by id and name.
fn resources(
    opened: &Opened,
    instance: &Instance,
    named: Option<&str>,
) -> Result<Vec<(i64, String)>, Failure> {
    let base = opened.house().client.base().to_owned();
    let settings = elements::settings(instance.element, &instance.configuration, &base);
    // A configuration that is not valid is told by the poll.
    if settings.is_ok_and(|settings| !settings.events_enabled) {
        return Err(CommandError::EventsOff(instance.name.clone()).into());
    }
    let mut resources = opened.store.resources_of(instance.id)?;
    let Some(named) = named else { return Ok(resources) };
    let known: Vec<String> = resources
        .iter()
        .map(|(_, name)| format!("`{}`", shown(name)))
        .collect();
    resources.retain(|(_, name)| name == named);
    if resources.is_empty() {
        return Err(CommandError::NoSuchResource {
            instance: instance.name.clone(),
            resource: shown(named),
            known: known.join(", "),
        }
        .into());
    }
    Ok(resources)
}

/// Polls in this process. What it had come to when it failed is told, too.
fn poll_here(opened: &Opened, stop: &AtomicBool, resource_id: i64, name: &str, depth: Depth) -> Answer {
    let house = opened.house();
    let progress = Progress::new(house.clock);
    let mut so_far = PollRecord::default();
    let polled = agent::poll(&house, stop, resource_id, depth, &mut |record| {
        so_far = record.clone();
        progress.show(name, record);
    });
    match polled {
        Ok(record) => Answer {
            record: Some(record),
            error: None,
            hint: None,
        },
        Err(error) => Answer {
            record: Some(so_far),
            error: Some(error.to_string()),
            hint: error.hint(),
        },
    }
}

/// `once`: every enabled resource, and then what is due for delivery.
pub(super) fn once(args: &Args) -> Result<Reply, Failure> {
    let stop = signals::stop_flag()?;
    let opened = Opened::open(args, Look::Brief)?;
    match opened.take_lock() {
        Ok(_lock) => {
            let house = opened.house();
            let progress = Progress::new(house.clock);
            let report = agent::once(&house, &stop, &|name, record| progress.show(name, record))?;
            let polls: Vec<Polled> = report
                .polls
                .into_iter()
                .map(|(instance, resource, outcome)| {
                    let (record, error) = match outcome {
                        Ok(record) => (Some(record), None),
                        Err(error) => (None, Some(error)),
                    };
                    Polled::of(
                        &instance,
                        &resource,
                        Answer {
                            record,
                            error,
                            hint: None,
                        },
                    )
                })
                .collect();
            Ok(told(args, &polls, Some(report.delivery)))
        }
        Err(StoreError::Locked { .. }) => once_by_agent(
            args,
            &Agent {
                opened: &opened,
                stop: &stop,
            },
        ),
        Err(error) => Err(error.into()),
    }
}

/// The same by the agent. What is pending afterwards counts as not delivered.
fn once_by_agent(args: &Args, agent: &Agent<'_>) -> Result<Reply, Failure> {
    let (store, clock) = (&agent.opened.store, agent.opened.house().clock);
    let mut polls = Vec::new();
    let mut asked = Vec::new();
    for id in store.polled_resources()? {
        let resource = store.resource(id)?;
        let instance = store.instance(resource.instance_id)?;
        match store
            .throttled_until(instance.id)?
            .filter(|until| *until > clock.now())
        {
            Some(until) => {
                let error = Some(format!("the provider asked to wait until {until:.3}"));
                polls.push(Polled::of(
                    &instance.name,
                    &resource.name,
                    Answer {
                        record: None,
                        error,
                        hint: None,
                    },
                ));
            }
            None => asked.push((id, instance.name, resource.name)),
        }
    }
    let before = counted(agent.opened, "delivered")?;
    let ids: Vec<i64> = asked.iter().map(|(id, ..)| *id).collect();
    let answers = agent.poll(&ids, Depth::Changes)?;
    let answers = answers.into_iter().zip(&asked);
    polls.extend(answers.map(|(answer, (_, instance, resource))| Polled::of(instance, resource, answer)));
    agent.wait_for_deliveries()?;
    let delivery = Tally {
        delivered: counted(agent.opened, "delivered")?.saturating_sub(before),
        failed: counted(agent.opened, "pending")?,
    };
    Ok(told(args, &polls, Some(delivery)))
}

fn counted(opened: &Opened, state: &str) -> Result<u64, StoreError> {
    let counts = opened.store.outbox_counts()?;
    let counts = counts.iter().filter(|count| count.state == state);
    Ok(counts.map(|count| count.notifications.unsigned_abs()).sum())
}

fn told(args: &Args, polls: &[Polled], delivery: Option<Tally>) -> Reply {
    let undelivered = delivery.filter(|delivery| delivery.failed > 0).map(|delivery| {
        let hint = "`deltapost outbox list --state pending` shows why; they are tried again".to_owned();
        let notifications = counted_words(delivery.failed, "notification");
        Failure::failed(format!("{notifications} could not be delivered"), Some(hint))
    });
    let failure = Failure::all(polls.iter().filter_map(Polled::failure).chain(undelivered));
    let reply = match (args.json, delivery) {
        (true, None) => Reply::json(&json!({"polls": polls})),
        (true, Some(Tally { delivered, failed })) => {
            Reply::json(&json!({"polls": polls, "delivery": {"delivered": delivered, "failed": failed}}))
        }
        (false, _) => Reply::text(words(polls, delivery)),
    };
    reply.failing(failure)
}

fn words(polls: &[Polled], delivery: Option<Tally>) -> String {
    let mut words: String = polls
        .iter()
        .filter(|poll| poll.error.is_none())
        .map(Polled::words)
        .collect();
    if let Some(delivery) = delivery {
        if polls.is_empty() {
            words.push_str("nothing to poll: no enabled instance wants events\n");
        }
        words.push_str(&format!(
            "{} delivered\n",
            counted_words(delivery.delivered, "notification")
        ));
    }
    words
}

fn counted_words(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
