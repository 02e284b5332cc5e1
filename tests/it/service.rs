//! What a service manager sees of the agent: readiness, reload, watchdog, status and stop through its socket, and the log.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use deltapost::sim::onedrive::Account;
use serde_json::json;

use crate::support::{PATIENCE, Site, eventually};

/// The manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn listening(address: &SocketAddr) -> Manager {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager(socket)
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("nothing was told in time");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// What is told up to the first message that begins with `begin`, without the watchdog's.
    fn until(&self, begin: &str) -> Vec<String> {
        let mut told = Vec::new();
        while !told
            .last()
            .is_some_and(|message: &String| message.starts_with(begin))
        {
            let message = self.next();
            if begin == "WATCHDOG" || message != "WATCHDOG=1" {
                told.push(message);
            }
        }
        told
    }
}

#[test]
fn the_service_manager_is_told_of_start_status_reload_and_stop() {
    let site = Site::new(Account::business());
    site.create_instance("Docs", json!({}));
    let path = site.file("unused", "").with_file_name("notify");
    let manager = Manager::listening(&SocketAddr::from_pathname(&path).unwrap());
    let agent = site.spawn_agent(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);

    assert_eq!(manager.until("READY"), ["READY=1"]);
    manager.until("WATCHDOG");
    manager.until("WATCHDOG");
    agent.signal("HUP");
    let told = manager.until("RELOADING");
    let reloading = told.last().unwrap().strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    let since_boot: u64 = reloading.unwrap().parse().unwrap();
    assert!(since_boot > 1_000_000, "{since_boot}");
    manager.until("READY");
    site.write_sql("UPDATE instance SET grant_state = 'login_required'");
    let told = manager.until("STATUS=1 instance; 1 sign-in required");
    assert!(told.len() <= 2, "a status is told when it is another: {told:?}");
    assert_eq!(agent.stop(), Some(0));
    assert!(manager.until("STOPPING")[0].starts_with("STOPPING=1\nSTATUS="));
}

#[test]
fn a_socket_of_the_abstract_namespace_will_do() {
    let site = Site::new(Account::business());
    let name = format!("deltapost-test-{}", std::process::id());
    let manager = Manager::listening(&SocketAddr::from_abstract_name(&name).unwrap());
    let agent = site.spawn_agent(&[("NOTIFY_SOCKET", &format!("@{name}"))]);
    assert_eq!(manager.next(), "READY=1");
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn a_socket_that_is_gone_stops_nothing() {
    let site = Site::new(Account::business());
    let agent = site.spawn_agent(&[("NOTIFY_SOCKET", "/nonexistent/notify")]);
    eventually("it is told once", || {
        agent.log().contains("could not notify systemd error=")
    });
    agent.signal("HUP");
    eventually("it goes on", || {
        agent.log().contains("reading the configuration again")
    });
    assert_eq!(agent.log().matches("could not notify systemd").count(), 1);
    assert_eq!(agent.stop(), Some(0));
}

#[test]
fn each_request_is_logged_with_v_and_nothing_that_found_nothing_without() {
    for verbose in [true, false] {
        let site = Site::new(Account::business());
        site.create_instance(
            "Docs",
            json!({"event.notification.callback.url": format!("{}?key=s3cret", site.receiver.url())}),
        );
        let flags: &[&str] = if verbose { &["-v", "run"] } else { &["run"] };
        let agent = site.spawn(flags, &[]);
        eventually("the baseline", || {
            site.cell("SELECT phase || (since IS NULL) FROM resource") == "following1"
        });
        let drive = site.drive();
        drive.create_file(&drive.root_id(), "new.txt", 7);
        for _ in 0..2 {
            site.poll("Docs", &[]).code(0);
        }
        eventually("the delivery", || {
            site.cell("SELECT count(*) FROM outbox WHERE state = 'delivered'") == "1"
        });
        let log = agent.log();
        assert_eq!(agent.stop(), Some(0));
        let lines = |parts: &[&str]| {
            log.lines()
                .filter(|line| parts.iter().all(|part| line.contains(part)))
                .count()
        };
        assert_eq!(lines(&["poll done", "events=1"]), 1, "{log}");
        assert_eq!(lines(&["poll done", "items=0"]), usize::from(verbose), "{log}");
        assert_eq!(
            lines(&["request method=GET url=\"http://", "/root/delta\" status=200 ms="]) >= 3,
            verbose,
            "{log}"
        );
        assert_eq!(
            lines(&["request method=POST url=\"http://", "/callback\" status=200 ms="]),
            usize::from(verbose),
            "{log}"
        );
        assert!(!log.contains("s3cret"), "{log}");
    }
}

#[test]
fn many_failing_instances_do_not_fill_the_log() {
    let site = Site::configured(Account::business(), "[delivery]\nretry = [\"1h\"]\n");
    for number in 0..30 {
        site.create_instance(&format!("Docs {number}"), json!({}));
    }
    site.cloud.revoke_access_tokens();
    site.cloud.revoke_grants();
    let ran = site.once().code(1);
    let lines = |part: &str| ran.stderr.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines(" poll failed "), 20, "{ran:#?}");
    assert_eq!(
        lines("repeated, and only counted event=\"poll failed\" times=10 "),
        1,
        "{ran:#?}"
    );
}

#[test]
fn a_failing_endpoint_is_logged_without_what_is_secret_in_its_url() {
    let site = Site::configured(Account::business(), "[delivery]\nretry = [\"1s\"]\n");
    let url = format!("{}?key=s3cret", site.receiver.url());
    site.create_instance("Docs", json!({"event.notification.callback.url": url}));
    site.once().code(0);
    site.receiver
        .answer_always(deltapost::sim::receiver::Answer::Status(503));
    let drive = site.drive();
    drive.create_file(&drive.root_id(), "new.txt", 7);
    let agent = site.spawn(&["-v", "run"], &[]);
    site.poll("Docs", &[]).code(0);
    eventually("it is disabled and told of", || {
        let log = agent.log();
        log.contains("endpoint disabled url=") && log.contains("alert raised alert=endpoint_disabled")
    });
    let log = agent.log();
    assert_eq!(agent.stop(), Some(0));
    assert!(!log.contains("s3cret"), "{log}");
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("endpoint disabled"))
        .collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        lines[0].contains(" WARN  endpoint disabled url=\"http://127.0.0.1:"),
        "{}",
        lines[0]
    );
}

#[test]
fn no_memory_with_secrets_in_it_is_dumped_to_the_disk() {
    let site = Site::new(Account::business());
    let agent = site.spawn_run();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(),
        ["0", "0"]
    );
    assert_eq!(agent.stop(), Some(0));
    for (unit, line) in [
        ("deltapost.service", "LimitCORE=0"),
        ("deltapost-once.service", "LimitCORE=0"),
        ("deltapost.openrc", "rc_ulimit=\"-c 0\""),
    ] {
        let path = format!("{}/packaging/{unit}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.lines().any(|known| known == line), "{unit} lacks {line}");
    }
}
