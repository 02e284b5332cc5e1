//! What is promised of each request at a receiver: signed, the same bytes again, in order, and soon after the change was
//! found.

use std::collections::{HashMap, HashSet};

use super::judge::{Broken, Record, plain};
use super::receivers::Arrival;
use super::world::World;

/// Same id, same bytes; signed; in order; two seconds from detection.
pub(crate) fn deliveries(world: &World, record: &Record) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut bodies: HashMap<&str, u64> = HashMap::new();
    for arrival in &record.arrivals {
        if let Err(problem) = &arrival.verdict {
            broken.push(plain(
                "signature",
                format!("{} at {}: {problem}", arrival.id, arrival.receiver),
            ));
        }
        if *bodies.entry(&arrival.id).or_insert(arrival.bytes) != arrival.bytes {
            broken.push(plain(
                "same bytes",
                format!("{} came with another body", arrival.id),
            ));
        }
    }
    order(world, record, &mut broken);
    broken
}

/// First acceptances of each instance come in the order of the outbox, but for what had been dead or refused.
fn order(world: &World, record: &Record, broken: &mut Vec<Broken>) {
    let outbox = world.outbox.lock().unwrap();
    let revived = world.revived.lock().unwrap();
    let mut last: HashMap<i64, (i64, &Arrival)> = HashMap::new();
    for arrival in &record.accepted {
        let instance = arrival.body["message"]["instanceId"].as_i64().unwrap_or(0);
        let Some(row) = outbox
            .get(&arrival.id)
            .filter(|row| !row.replay && !revived.contains(&arrival.id))
        else {
            continue;
        };
        if let Some((before, previous)) = last.get(&instance)
            && *before > row.id
        {
            let what = format!(
                "instance {instance}: notification {} ({}) was accepted at {:.3}, after {before} ({}) at {:.3}",
                row.id, arrival.id, arrival.at, previous.id, previous.at
            );
            broken.push(plain("order", what));
        }
        last.insert(instance, (row.id, arrival));
    }
}

/// From detection to the first attempt it takes two seconds at most, for whom nothing is wrong.
pub(crate) fn promptness(world: &World, record: &Record) -> Vec<Broken> {
    let excuses = world.excuses.lock().unwrap().clone();
    let healthy: Vec<i64> = {
        let observers = world.observers.lock().unwrap();
        let healthy = observers.iter().filter(|observer| observer.plan.healthy);
        healthy.map(|observer| observer.instance).collect()
    };
    let mut seen = HashSet::new();
    let mut broken = Vec::new();
    for arrival in record.arrivals.iter().filter(|arrival| seen.insert(&arrival.id)) {
        let message = &arrival.body["message"];
        if !healthy.iter().any(|id| message["instanceId"] == *id) || !message["replayOf"].is_null() {
            continue;
        }
        let date = arrival.body["date"]
            .as_str()
            .and_then(|date| date.parse::<jiff::Timestamp>().ok());
        let Some(found) = date.map(|date| date.as_millisecond() as f64 / 1e3) else {
            broken.push(plain("body", format!("{} has no `date`", arrival.id)));
            continue;
        };
        let excused = excuses
            .iter()
            .any(|(from, until)| *from <= arrival.at && arrival.at - 60.0 <= *until && found < until + 1.0);
        // One second more than is promised, for a machine that has other things to do.
        if arrival.at - found > 3.0 && !excused {
            let what = format!(
                "{} ({}) was found at {found:.3} and came at {:.3}",
                arrival.id, message["instanceName"], arrival.at
            );
            broken.push(plain("late", what));
        }
    }
    broken
}
