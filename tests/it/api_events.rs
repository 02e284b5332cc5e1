//! Events, deliveries, health and metrics of the local API, from outside: what they say against what is in the database and
//! what has come to the receiver.

mod deliveries;
mod events;
mod health;
mod metrics;

use deltapost::sim::onedrive::Account;
use serde_json::{Value, json};

use crate::support::api::{Answer, Api};
use crate::support::process::Agent;
use crate::support::{Site, eventually};

/// A running agent with the instance `Docs`, which has learnt an empty drive. One change makes one notification.
struct Box {
    site: Site,
    agent: Agent,
    api: Api,
}

impl Box {
    fn new() -> Box {
        let site = Site::configured(Account::business(), "[delivery]\nbatch = 1\nretry = [\"1h\"]\n");
        site.create_instance("Docs", json!({}));
        site.once().code(0);
        let agent = site.spawn_run();
        let api = Api::of(&site, agent.address());
        Box { site, agent, api }
    }

    /// Makes a file with each of these names, and polls. Each is a notification.
    fn make(&self, names: &[&str]) {
        let drive = self.site.drive();
        for name in names {
            drive.create_file(&drive.root_id(), name, 1);
        }
        self.site.poll("Docs", &[]).code(0);
    }

    /// The same, and waits until all are delivered.
    fn deliver(&self, names: &[&str]) {
        self.make(names);
        self.eventually_none("state <> 'delivered'");
    }

    fn eventually_none(&self, condition: &str) {
        let query = format!("SELECT count(*) FROM outbox WHERE {condition}");
        eventually(condition, || self.site.cell(&query) == "0");
    }

    /// The page at a path, and the path of the next one.
    fn page(&self, path: &str) -> (Vec<Value>, Option<String>) {
        let answer = self.api.get(path).status(200);
        let entries = answer.json().as_array().unwrap().clone();
        assert_eq!(
            answer.header("Elements-Returned-Count"),
            Some(entries.len().to_string().as_str())
        );
        let next = answer.header("Elements-Next-Page-Token");
        assert_eq!(
            answer.header("Elements-Has-More"),
            Some(if next.is_some() { "true" } else { "false" })
        );
        let joint = if path.contains('?') { '&' } else { '?' };
        let first = path.split("&nextPage").next().unwrap();
        (entries, next.map(|next| format!("{first}{joint}nextPage={next}")))
    }

    /// What a request without a token is answered.
    fn anybody(&self, target: &str) -> Answer {
        self.api.raw("GET", target, &["Host: localhost"], "")
    }
}

/// One member of each of `entries`, as text.
fn each(entries: &[Value], pointer: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    entries
        .iter()
        .map(|entry| text(entry.pointer(pointer).unwrap()))
        .collect()
}

/// `text` as it stands in a query.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
