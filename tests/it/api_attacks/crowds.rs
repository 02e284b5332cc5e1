//! Many at once who ask for what is large or takes long: memory stays bounded, and connections are left to others.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use deltapost::sim::onedrive::Endpoint;

use super::{MOST_KIB, PLACES, Target, signed_in, status};

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

#[test]
fn thousands_of_instances_and_large_ones_are_read_page_by_page() {
    let site = Target::site();
    // 10,000 usual instances, and then 10 whose documents are as large as the API accepts.
    let copies = |count: u32, padding: &str| {
        format!(
            "INSERT INTO instance (name, element_key, tags, events_enabled, configuration, created_at, updated_at)
             WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
             SELECT name || ' {count} ' || n, element_key, '[\"Copy\"]', 1,
                    json_set(configuration, '$.unknown', {padding}), created_at, updated_at
               FROM instance, n WHERE instance.id = 1"
        )
    };
    site.write_sql(&copies(10_000, "'usual'"));
    let many =
        "json((SELECT json_group_array(json_object('a', 1)) FROM (SELECT 1 FROM instance LIMIT 9999)))";
    site.write_sql(&copies(
        10,
        &format!("json_array({many}, {many}, hex(zeroblob(10000)))"),
    ));
    let target = Target::of(site);
    let cookie = signed_in(&target);
    let authorization = format!("Authorization: Bearer {}", target.api.token);
    let large = target.site.cell("SELECT max(id) FROM instance");
    let base = "/elements/api-v2";
    for path in [
        format!("{base}/instances"),
        format!("{base}/instances/{large}"),
        "/".to_owned(),
        "/?after=10001".to_owned(),
        format!("/page/instances/{large}"),
    ] {
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let headers = ["Host: localhost", &authorization, &cookie];
                    let status = target.api.raw("GET", &path, &headers, "").status;
                    assert!(matches!(status, 200 | 503), "{status}");
                });
            }
        });
        let highest = target.peak_kib();
        assert!(highest < MOST_KIB, "{highest} KiB after {path}");
    }
    // The last of the usual ones, and page by page the large ones.
    let (mut after, mut found) = ("AAAAAAAAJw0".to_owned(), 0);
    loop {
        let path = format!("/instances?tags[]=Copy&pageSize=1000&nextPage={after}");
        let page = target.api.get(&path).status(200);
        found += page.json().as_array().unwrap().len();
        assert!(page.body.len() < 600_000, "{}", page.body.len());
        match page.header("Elements-Next-Page-Token") {
            Some(token) => token.clone_into(&mut after),
            None => break,
        }
    }
    assert_eq!(found, 14);
    target.has_survived();
}

#[test]
fn documents_that_grow_when_they_are_parsed_are_parsed_one_by_one() {
    let target = Target::new();
    let authorization = format!("Authorization: Bearer {}", target.api.token);
    let own = target.api.get("/instances/1").status(200);
    let own = own.json()["token"].as_str().unwrap().to_owned();
    let as_instance = format!("Authorization: User {}, Element {own}", target.api.token);
    let unknown = |objects: usize| format!("[{}]", vec!["{\"a\":1}"; objects].join(","));
    target.site.write_sql(&format!(
        "UPDATE instance SET configuration = json_set(configuration, '$.unknown', json('{}'))",
        unknown(25_000)
    ));
    let instances = "/elements/api-v2/instances";
    let document = |objects| format!("{{\"configuration\":{{\"unknown\":{}}}}}", unknown(objects));
    for (method, path, authorization, body) in [
        ("GET", format!("{instances}/1"), &authorization, String::new()),
        ("GET", instances.to_owned(), &as_instance, String::new()),
        (
            "GET",
            format!("{instances}/configuration"),
            &as_instance,
            String::new(),
        ),
        ("POST", instances.to_owned(), &authorization, document(25_000)),
        (
            "PATCH",
            format!("{instances}/1"),
            &authorization,
            document(25_000),
        ),
        ("PUT", format!("{instances}/1"), &authorization, document(1_000)),
        (
            "PATCH",
            format!("{instances}/1/configuration"),
            &authorization,
            unknown(1_000),
        ),
    ] {
        thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| {
                    let headers = ["Host: localhost", authorization];
                    let status = target.api.raw(method, &path, &headers, &body).status;
                    assert!(status != 500, "{method} {path}");
                });
            }
        });
        let highest = target.peak_kib();
        assert!(highest < MOST_KIB, "{highest} KiB after {method} {path}");
    }
    target.has_survived();
}
