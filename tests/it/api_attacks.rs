//! What a hostile client of the local API can do, one by one, to the running agent: it lives, takes less than 96 MiB, goes
//! on delivering meanwhile, and answers again when it is over.

mod crowds;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::support::api::Api;
use crate::support::process::Agent;
use crate::support::{PATIENCE, Site, eventually};

/// Connections that the agent serves at the same time.
const PLACES: usize = 64;

/// What it may take of memory at any time.
const MOST_KIB: u64 = 96 * 1024;

/// A running agent that has learnt an empty drive.
struct Target {
    site: Site,
    agent: Agent,
    api: Api,
    delivered: u64,
}

impl Target {
    fn new() -> Target {
        Target::of(Target::site())
    }

    fn site() -> Site {
        let site = Site::configured(
            Account::business(),
            "[delivery]\nretry = [\"1s\", \"1s\", \"1s\", \"1s\"]\n",
        );
        site.create_instance("Docs", json!({}));
        site.once().code(0);
        site
    }

    fn of(site: Site) -> Target {
        let agent = site.spawn_run();
        let api = Api::of(&site, agent.address());
        Target {
            site,
            agent,
            api,
            delivered: 0,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.api.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One more change comes to the receiver.
    #[track_caller]
    fn still_delivers(&mut self) {
        let drive = self.site.drive();
        drive.create_file(&drive.root_id(), &format!("{}.txt", self.delivered), 1);
        self.site.poll("Docs", &[]).code(0);
        self.delivered += 1;
        self.site.receiver.wait_for(self.delivered, PATIENCE).unwrap();
    }

    /// The attack is over: everything is as before.
    #[track_caller]
    fn has_survived(mut self) {
        eventually("the API answers again", || {
            let mut stream = self.connect();
            let asked =
                stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let mut answer = String::new();
            asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
        });
        self.still_delivers();
        assert!(self.agent.runs(), "{}", self.agent.log());
        assert!(!self.agent.log().contains("panicked"), "{}", self.agent.log());
        let highest = self.peak_kib();
        assert!(highest < MOST_KIB, "{highest} KiB");
        assert_eq!(self.agent.stop(), Some(0));
    }

    /// The most memory that the agent has had resident so far.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.agent.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Keeps `count` sockets open until `over`, each of which sends `request` and connects anew as soon as it is closed.
fn besiege(api: &Api, count: usize, request: &str, over: &AtomicBool) {
    let mut sockets: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    while !over.load(Ordering::Relaxed) {
        for place in &mut sockets {
            let open = place
                .as_mut()
                .is_some_and(|stream| match stream.read(&mut [0; 4096]) {
                    Ok(bytes) => bytes > 0 && stream.write_all(request.as_bytes()).is_ok(),
                    Err(error) => error.kind() == ErrorKind::WouldBlock,
                });
            if !open && let Ok(mut stream) = TcpStream::connect(api.address) {
                let sent = stream.write_all(request.as_bytes()).is_ok();
                *place = Some(stream).filter(|stream| sent && stream.set_nonblocking(true).is_ok());
            }
        }
        SystemClock.sleep(Duration::from_millis(1));
    }
}

/// The status that comes on `stream`, if the connection is not just cut.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    str::from_utf8(&line[9..]).ok()?.parse().ok()
}

/// The `Cookie` of somebody who has signed in to the page.
fn signed_in(target: &Target) -> String {
    let form = format!("api-token={}", target.api.token);
    let answer = target
        .api
        .raw("POST", "/signin", &["Host: localhost"], &form)
        .status(303);
    let cookie = answer.header("Set-Cookie").unwrap().split(';').next().unwrap();
    format!("Cookie: {cookie}")
}

/// How many sockets this process may open for an attack of `wanted`.
fn sockets(wanted: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let soft: usize = line
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap_or(usize::MAX);
    wanted.min(soft.saturating_sub(300))
}

#[test]
fn the_owner_is_served_while_others_take_every_place_again_and_again() {
    let guess = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n";
    let trickle = "GET / HTTP/1.1\r\nHost: local";
    let mut target = Target::new();
    for (count, request) in [(64, ""), (200, ""), (70, guess), (200, guess), (200, trickle)] {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| besiege(&target.api, count, request, &over));
            let threads = format!("/proc/{}/task", target.agent.pid());
            eventually("every place is taken", || {
                std::fs::read_dir(&threads).unwrap().count() > PLACES
            });
            let mut served = Vec::new();
            for path in ["/healthz", "/signin"].repeat(3) {
                let mut stream = target.connect();
                stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                served.push((
                    path,
                    stream
                        .write_all(request.as_bytes())
                        .is_ok()
                        .then(|| status(&mut stream)),
                ));
            }
            over.store(true, Ordering::Relaxed);
            let all = served.iter().all(|(_, status)| *status == Some(Some(200)));
            assert!(all, "{count} times {request:?}: {served:?}");
        });
        target.still_delivers();
    }
    let told = target.agent.log().matches("refused a wrong token").count();
    assert!((1..=2).contains(&told), "{told} lines of wrong tokens");
    target.has_survived();
}

#[test]
fn a_large_event_costs_its_memory_a_few_times_however_many_read_it() {
    let site = Target::site();
    let drive = site.drive();
    let id = drive.create_file(&drive.root_id(), "large.bin", 1);
    let filler = "x".repeat(15_000_000);
    drive.set_raw(&id, &format!("{{\"id\":\"{id}\",\"note\":\"{filler}\"}}"));
    // What polling and delivering it takes is not what is measured here.
    site.once().code(0);
    let mut target = Target::of(site);
    target.delivered = 1;
    let authorization = format!("Authorization: Bearer {}", target.api.token);
    let cookie = signed_in(&target);
    let base = "/elements/api-v2";
    let event = target.api.get("/instances/events?pageSize=1").status(200);
    let event_id = event.json()[0]["id"].as_str().unwrap().to_owned();
    for (clients, path) in [
        (8, format!("{base}/instances/events/{event_id}")),
        (8, format!("{base}/instances/events")),
        (8, format!("{base}/notifications/subscriptions/deliveries")),
        (50, "/page/outbox/1".to_owned()),
    ] {
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let headers = ["Host: localhost", &authorization, &cookie];
                    target.api.raw("GET", &path, &headers, "")
                });
            }
        });
        let highest = target.peak_kib();
        assert!(highest < MOST_KIB, "{highest} KiB after {path}");
    }
    target.has_survived();
}

#[test]
fn a_name_of_nothing_but_markup_is_refused_at_once() {
    let target = Target::new();
    let mut document = target.site.document("Other", json!({}));
    document["name"] = json!("<a>".repeat(38_000) + &"<".repeat(114_000));
    let (body, token) = (document.to_string(), &target.api.token);
    let mut stream = target.connect();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let head = format!(
        "POST /elements/api-v2/instances HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    assert_eq!(status(&mut stream), Some(400));
    target.has_survived();
}

#[test]
fn a_length_that_nobody_could_keep_is_refused_at_once() {
    let mut target = Target::new();
    for length in [
        "1000000000000",
        "18446744073709551615",
        "99999999999999999999999",
        "262145",
    ] {
        for _ in 0..PLACES {
            let mut stream = target.connect();
            let head = format!(
                "POST /elements/api-v2/instances HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            assert!(matches!(status(&mut stream), Some(400 | 413)), "{length}");
        }
    }
    target.still_delivers();
    target.has_survived();
}

#[test]
fn thousands_of_idle_connections_keep_nobody_from_delivery() {
    let mut target = Target::new();
    let mut idle: Vec<TcpStream> = (0..sockets(2_000)).map(|_| target.connect()).collect();
    target.still_delivers();
    // The first of them have given their places to the last.
    assert_eq!(idle.first_mut().unwrap().read(&mut [0]).unwrap(), 0);
    target.still_delivers();
    drop(idle);
    target.has_survived();
}

#[test]
fn requests_that_arrive_byte_by_byte_lose_their_place() {
    let mut target = Target::new();
    let mut slow: Vec<Option<TcpStream>> = (0..PLACES).map(|_| Some(target.connect())).collect();
    for stream in slow.iter().flatten() {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    }
    target.still_delivers();
    let mut last = SystemClock.now();
    let mut refused = 0;
    eventually("every slow request is refused", || {
        let now = SystemClock.now();
        let tick = now.duration_since(last).as_secs() >= 1;
        last = if tick { now } else { last };
        for place in &mut slow {
            let Some(stream) = place else { continue };
            // The agent may have closed already; then the answer says so.
            let sent = !tick || stream.write_all(b"X").is_ok();
            match status(stream) {
                Some(status) => {
                    assert_eq!(status, 408);
                    refused += 1;
                    *place = None;
                }
                None if !sent => *place = None,
                None => {}
            }
        }
        slow.iter().all(Option::is_none)
    });
    assert!(refused > PLACES / 2, "{refused} were told");
    target.has_survived();
}

#[test]
fn a_head_without_end_is_refused_and_not_kept() {
    let mut target = Target::new();
    for _ in 0..4 {
        let mut stream = target.connect();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
            .unwrap();
        let line = format!("X-Filler: {}\r\n", "x".repeat(1_000)).repeat(64);
        let mut sent = 0;
        while sent < 300_000_000 {
            match stream.write(line.as_bytes()) {
                Ok(bytes) => sent += bytes,
                Err(error) => {
                    let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                    assert!(kinds.contains(&error.kind()), "{error}");
                    break;
                }
            }
        }
        assert!(sent < 300_000_000, "all of it was taken");
        target.still_delivers();
    }
    target.has_survived();
}

#[test]
fn requests_without_a_reader_for_their_answers_are_cut_off() {
    let mut target = Target::new();
    let request = format!(
        "GET /elements/api-v2/elements HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        target.api.token
    );
    let request = request.repeat(100);
    let mut clients: Vec<Option<TcpStream>> = (0..PLACES / 2).map(|_| Some(target.connect())).collect();
    for stream in clients.iter().flatten() {
        stream.set_nonblocking(true).unwrap();
    }
    target.still_delivers();
    eventually("every such client is cut off", || {
        for place in &mut clients {
            let Some(stream) = place else { continue };
            match stream.write(request.as_bytes()) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => *place = None,
                _ => {}
            }
        }
        clients.iter().all(Option::is_none)
    });
    target.still_delivers();
    target.has_survived();
}

#[test]
fn running_out_of_file_descriptors_is_got_over() {
    let mut target = Target::new();
    target.still_delivers();
    let pid = target.agent.pid();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = |files: usize| {
        let limit = format!("--nofile={files}:20000");
        let set = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        set.is_ok_and(|set| set.success())
    };
    if !limit(open + 8) {
        eprintln!("skipped: there is no prlimit");
        return;
    }
    let greedy: Vec<TcpStream> = (0..40).map(|_| target.connect()).collect();
    eventually("accepting fails", || {
        target.agent.log().contains("could not accept a connection")
    });
    // What is connected already, to the provider and to the receiver, needs no new one.
    target.still_delivers();
    drop(greedy);
    target.has_survived();
}

#[test]
fn wrong_tokens_take_no_place_from_delivery() {
    let mut target = Target::new();
    let mut guessing: Vec<TcpStream> = (0..PLACES).map(|_| target.connect()).collect();
    for stream in &mut guessing {
        let guess =
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer guess\r\n\r\n".repeat(4);
        stream.write_all(guess.as_bytes()).unwrap();
    }
    target.still_delivers();
    for stream in &mut guessing {
        assert_eq!(status(stream), Some(401));
    }
    drop(guessing);
    target.has_survived();
}

#[test]
fn pages_of_large_events_that_nobody_reads_stay_small() {
    let mut target = Target::new();
    let drive = target.site.drive();
    let quotes = "\\\"".repeat(2_000);
    for n in 0..400 {
        let id = drive.create_file(&drive.root_id(), &format!("{n}.bin"), 1);
        drive.set_raw(&id, &format!("{{\"id\":\"{id}\",\"note\":\"{quotes}\"}}"));
    }
    target.site.poll("Docs", &[]).code(0);
    target.site.receiver.wait_for(400, PATIENCE).unwrap();
    target.delivered = 400;
    let request = format!(
        "GET /elements/api-v2/instances/events?pageSize=1000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        target.api.token
    );
    let mut clients: Vec<TcpStream> = (0..PLACES - 4).map(|_| target.connect()).collect();
    for stream in &mut clients {
        stream.write_all(request.repeat(3).as_bytes()).unwrap();
    }
    target.still_delivers();
    let statuses: Vec<_> = clients.iter_mut().map(status).collect();
    assert!(statuses.contains(&Some(200)), "{statuses:?}");
    let fair = |status: &Option<u16>| matches!(status, Some(200 | 503));
    assert!(statuses.iter().all(fair), "{statuses:?}");
    drop(clients);
    target.has_survived();
}
