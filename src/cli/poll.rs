//! `poll` and `once`: polls on request, by the running agent when there is one, else in this process.

use std::sync::atomic::{AtomicBool, Ordering};

use super::args::{Args, PollArgs};
use super::ask::Agent;
use super::failure::Failure;
use super::house;
use super::polled::reply;
use super::progress::Progress;
use super::reply::Reply;
use super::signals;
use crate::agent;
use crate::commands::House;
use crate::core::model::OutboxState;
use crate::core::poll::Poll;
use crate::deliver::Tally;
use crate::store::{Depth, Look, StoreError};

/// `poll`: one instance, all its resources or one.
pub(super) fn poll(args: &Args, wanted: &PollArgs) -> Result<Reply, Failure> {
    let opened = house::open(args, Look::Brief)?;
    let stop = signals::stop_flag()?;
    let instance = opened.store.find_instance(&wanted.instance)?;
    let resources = opened.resources_to_poll(&instance, wanted.resource.as_deref())?;
    let depth = match (wanted.resync, wanted.accept, wanted.rebaseline) {
        (true, true, _) => Depth::AcceptedResync,
        (true, false, _) => Depth::Resync,
        (_, _, true) => Depth::Rebaseline,
        _ => Depth::Changes,
    };
    if wanted.force {
        // A running agent looks at the pause before each request.
        opened.store.lift_pause(instance.id, opened.clock.now())?;
    }
    let polls = match opened.take_lock() {
        Ok(_lock) => resources
            .iter()
            .take_while(|_| !stop.load(Ordering::Relaxed))
            .map(|(id, _)| poll_here(&opened, &stop, *id, depth))
            .collect(),
        Err(StoreError::Locked { .. }) => {
            let ids: Vec<i64> = resources.iter().map(|(id, _)| *id).collect();
            let agent = Agent {
                opened: &opened,
                stop: &stop,
            };
            agent.poll(&ids, depth)?
        }
        Err(error) => return Err(error.into()),
    };
    let polls = polls
        .into_iter()
        .zip(resources)
        .map(|(poll, (_, resource))| Poll {
            instance: instance.name.clone(),
            resource,
            ..poll
        });
    Ok(reply(args, polls.collect(), None))
}

/// Polls in this process. What it had come to when it failed is shown, too.
fn poll_here(opened: &House, stop: &AtomicBool, resource_id: i64, depth: Depth) -> Poll {
    let progress = Progress::new(&*opened.clock);
    let mut so_far = Poll::default();
    let polled = agent::poll(opened, stop, resource_id, depth, &mut |poll| {
        so_far = poll.clone();
        progress.show(poll);
    });
    polled.unwrap_or_else(|error| Poll {
        error: Some(error.to_string()),
        hint: error.hint(),
        ..so_far
    })
}

/// `once`: every enabled resource, and then what is due for delivery.
pub(super) fn once(args: &Args) -> Result<Reply, Failure> {
    let opened = house::open(args, Look::Brief)?;
    let stop = signals::stop_flag()?;
    match opened.take_lock() {
        Ok(_lock) => {
            let progress = Progress::new(&*opened.clock);
            let report = agent::once(&opened, &stop, &|poll| progress.show(poll))?;
            Ok(reply(args, report.polls, Some(report.delivery)))
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
    let store = &agent.opened.store;
    let delivered_before = counted(agent.opened, OutboxState::Delivered)?;
    let resources = agent.opened.polled_resources()?;
    let answers = agent.poll(&resources, Depth::Changes)?;
    let mut polls = Vec::new();
    for (id, answer) in resources.into_iter().zip(answers) {
        let (instance, resource) = store.resource_names(id)?;
        polls.push(Poll {
            instance,
            resource,
            ..answer
        });
    }
    agent.wait_for_deliveries()?;
    let delivered = counted(agent.opened, OutboxState::Delivered)?;
    let delivery = Tally {
        delivered: delivered.saturating_sub(delivered_before),
        failed: counted(agent.opened, OutboxState::Pending)?,
    };
    Ok(reply(args, polls, Some(delivery)))
}

fn counted(opened: &House, state: OutboxState) -> Result<u64, StoreError> {
    let counts = opened.store.outbox_counts()?;
    let counts = counts.iter().filter(|count| count.state == state);
    Ok(counts.map(|count| count.tally.notifications).sum())
}
