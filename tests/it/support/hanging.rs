//! Callbacks that accept and never answer, and instances that have something waiting for them.

use std::net::TcpListener;

use deltapost::clock::{Clock, SystemClock};
use deltapost::core::elements;
use deltapost::store::{Grant, Key, Look, NewInstance, Sharing, Starts, Store};
use serde_json::json;

use super::Site;

/// Where nobody answers: the system accepts connections, and nothing more comes.
pub(crate) struct Hanging {
    _listeners: Vec<TcpListener>,
    pub(crate) urls: Vec<String>,
}

impl Hanging {
    /// `count` paths of one host.
    pub(crate) fn one_host(count: usize) -> Hanging {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Hanging {
            _listeners: vec![listener],
            urls: (0..count)
                .map(|path| format!("http://{address}/{path}"))
                .collect(),
        }
    }

    /// `count` hosts, 250 at most.
    pub(crate) fn hosts(count: usize) -> Hanging {
        let listeners: Vec<TcpListener> = (1..=count)
            .map(|host| TcpListener::bind((format!("127.0.1.{host}"), 0)).unwrap())
            .collect();
        let urls = listeners.iter().map(|listener| listener.local_addr().unwrap());
        let urls = urls.map(|address| format!("http://{address}/callback")).collect();
        Hanging {
            _listeners: listeners,
            urls,
        }
    }
}

/// Adds an instance for each of `urls`. It is not polled, and has `waiting` copies of the first notification, all of
/// which have been due for longer.
pub(crate) fn add_instances(site: &Site, urls: &[String], waiting: usize) {
    let key = Key::load(&site.data_dir(), None).unwrap();
    let base = site.cloud.graph_base();
    let store = Store::open(&site.data_dir(), Sharing::Owner, key, Look::Brief, &base).unwrap();
    for (number, url) in urls.iter().enumerate() {
        let callback = json!({"event.notification.callback.url": url});
        let text = site.document(&format!("Other {number}"), callback);
        let document = elements::parse(&text.to_string()).unwrap();
        let new = elements::check_new(&document, &base).unwrap();
        let instance = NewInstance {
            starts: &Starts {
                since: SystemClock.now(),
                anchors: Default::default(),
            },
            name: &new.name,
            element: new.element,
            tags: &[],
            configuration: &document.configuration,
            settings: &new.settings,
            grant: &Grant {
                refresh_token: None,
                access_token: None,
                expires_at: None,
            },
        };
        store.create_instance(&instance, SystemClock.now()).unwrap();
    }
    site.write_sql(&format!(
        "UPDATE instance SET enabled = 0 WHERE name LIKE 'Other %';
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {waiting})
         INSERT INTO outbox (event_id, instance_id, resource, created_at, event_count, next_attempt_at, body)
         SELECT 'copy-' || i.id || '-' || n.i, i.id, o.resource, o.created_at, 1, '2020-01-01T00:00:00.000Z', o.body
           FROM n, instance i, outbox o WHERE i.name LIKE 'Other %' AND o.id = (SELECT min(id) FROM outbox)"
    ));
}
