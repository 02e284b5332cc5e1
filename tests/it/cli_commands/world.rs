//! A simulated OneDrive and a receiver around one `Home`, and the instance that connects them.

use std::path::PathBuf;

use deltapost::sim::onedrive::{Account, OneDrive};
use deltapost::sim::receiver::Receiver;
use serde_json::{Value, json};

use crate::cli_commands::run::{Home, Run, Said};

pub(crate) const KEY: &str = "signing-key-0123";

pub(crate) struct World {
    pub(crate) home: Home,
    pub(crate) cloud: OneDrive,
    pub(crate) receiver: Receiver,
}

impl World {
    /// An initialised home without an instance, one folder with one file in the drive, and `[delivery]` settings that
    /// try again soon.
    #[track_caller]
    pub(crate) fn new() -> World {
        let cloud = OneDrive::start(Account::business()).unwrap();
        let receiver = Receiver::start(Some(KEY.to_owned())).unwrap();
        let home = Home::initialised(&format!(
            "[delivery]\nretry = [\"1h\"]\n[microsoft]\ngraph = {:?}\nauthority = {:?}\n",
            cloud.graph_base(),
            cloud.authority()
        ));
        let drive = cloud.drive();
        let finance = drive.create_folder(&drive.root_id(), "Finance");
        drive.create_file(&finance, "report.xlsx", 1200);
        World {
            home,
            cloud,
            receiver,
        }
    }

    /// The same with the instance `Docs`, which announces what exists.
    #[track_caller]
    pub(crate) fn with_instance() -> World {
        let world = World::new();
        let document = world.write(&world.document());
        world
            .run(["instance", "create", document.to_str().unwrap()])
            .code(0);
        world
    }

    pub(crate) fn document(&self) -> Value {
        json!({
            "element": {"key": "onedrivev2"},
            "providerData": {"code": self.cloud.issue_code()},
            "configuration": {
                "oauth.api.key": "app-0123", "oauth.api.secret": "app-secret-0123",
                "oauth.callback.url": "https://example.com/back",
                "event.notification.enabled": "true",
                "event.notification.callback.url": self.receiver.url(),
                "event.notification.signature.key": KEY,
                "event.poller.refresh_interval": "15",
                "event.poller.configuration": {
                    "events": {"url": "/hubs/documents/events", "idField": "id", "baseline": "emit"},
                },
            },
            "tags": ["Docs"], "name": "Docs",
        })
    }

    pub(crate) fn write(&self, document: &Value) -> PathBuf {
        self.home.write("instance.json", &document.to_string())
    }

    pub(crate) fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        self.home.run(args)
    }

    /// What is shown of an instance or a poll, with what differs from run to run replaced.
    pub(crate) fn settled(&self, said: &Said) -> String {
        let port = |url: String| url.trim_end_matches("/callback").to_owned();
        let mut text = said.stdout.replace(&port(self.receiver.url()), "http://RECEIVER");
        for (at, _) in text
            .clone()
            .match_indices("in ")
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            let rest = &text[at + 3..];
            let digits = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            if digits > 0 {
                text.replace_range(at + 3..at + 3 + digits, "N");
            }
        }
        text
    }
}
