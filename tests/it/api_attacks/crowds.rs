//! Many at once who ask for what is large or takes long: memory stays bounded, and connections are left to others.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use deltapost::sim::onedrive::Endpoint;

use super::{PLACES, Target, status};

/// `count` connections that have all sent `request`.
fn sent(target: &Target, count: usize, request: &str) -> Vec<TcpStream> {
    let mut streams: Vec<TcpStream> = (0..count).map(|_| target.connect()).collect();
    for stream in &mut streams {
        stream.write_all(request.as_bytes()).unwrap();
    }
    streams
}

/// The page's own way in and the health are answered within two seconds, more than once.
#[track_caller]
fn is_open(target: &Target, while_: &str) {
    for path in ["/healthz", "/signin"].repeat(2) {
        let mut stream = target.connect();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(status(&mut stream), Some(200), "{path} while {while_}");
    }
}

#[test]
fn whoever_reads_large_answers_slowly_or_waits_for_polls_leaves_places_to_others() {
    let site = Target::site();
    let drive = site.drive();
    let id = drive.create_file(&drive.root_id(), "large.bin", 1);
    let filler = "x".repeat(15_000_000);
    drive.set_raw(&id, &format!("{{\"id\":\"{id}\",\"note\":\"{filler}\"}}"));
    site.once().code(0);
    let mut target = Target::of(site);
    target.delivered = 1;
    let event = target.api.get("/instances/events?pageSize=1").status(200);
    let event_id = event.json()[0]["id"].as_str().unwrap().to_owned();
    let head = format!(
        "HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\n\r\n",
        target.api.token
    );

    let large = format!("GET /elements/api-v2/instances/events/{event_id} {head}");
    let mut slow = sent(&target, PLACES + 6, &large);
    is_open(&target, "large answers are read slowly");
    let refused = slow.iter_mut().rev().any(|stream| status(stream) == Some(503));
    assert!(refused, "the last are told to ask again");
    drop(slow);

    // The provider does not answer, so that no poll ends.
    let gate = target.site.cloud.hold(Endpoint::Delta);
    let poll = format!("POST /elements/api-v2/instances/1/poll {head}");
    let waiting = sent(&target, PLACES + 6, &poll);
    is_open(&target, "polls are waited for");
    drop((waiting, gate));
    target.has_survived();
}
