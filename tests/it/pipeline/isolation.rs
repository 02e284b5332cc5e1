//! A hundred callbacks that accept and never answer, known to be bad or not: nobody else waits for them.

use std::time::Duration;

use deltapost::clock::{self, Clock, SystemClock};
use deltapost::sim::onedrive::Account;
use deltapost::sim::receiver::{Answer, Receiver};
use serde_json::json;

use crate::support::hanging::{Hanging, add_instances};
use crate::support::{KEY, Site, eventually};

/// Far below what one time-out of thirty seconds costs, and generous for a busy machine; two seconds are promised.
const SOON: Duration = Duration::from_secs(8);

/// A box with the instance Docs, whose callback is well and has never been used, and an instance for each of `urls`.
/// All have something waiting, due when the agent starts, that of Docs last.
fn site(urls: &[String], waiting: usize) -> Site {
    let site = Site::configured(Account::business(), "");
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    create_file(&site);
    site.poll("Docs", &[]).code(0);
    add_instances(&site, urls, waiting);
    site
}

fn create_file(site: &Site) {
    let drive = site.drive();
    let number = drive.tree().len();
    drive.create_file(&drive.root_id(), &format!("{number}.txt"), 1);
}

/// The first event of Docs waits beside them when the agent starts, the second comes when all of them hang.
#[track_caller]
fn check(site: &Site) {
    let agent = site.spawn_run();
    site.receiver.wait_for(1, SOON).unwrap();
    // No more requests are made: all that hang do, as far as there is room for them.
    let threads = || {
        std::fs::read_dir(format!("/proc/{}/task", agent.pid()))
            .unwrap()
            .count()
    };
    let (mut last, mut since) = (0, SystemClock.uptime());
    eventually("no more threads are hired", || {
        if threads() != last {
            (last, since) = (threads(), SystemClock.uptime());
        }
        clock::since(since, &SystemClock) > Duration::from_millis(700)
    });
    create_file(site);
    site.poll("Docs", &[]).code(0);
    site.receiver.wait_for(2, SOON).unwrap();
    agent.kill();
}

#[test]
fn a_hundred_callbacks_of_one_host_that_nobody_knows_to_hang_delay_no_other() {
    let hanging = Hanging::one_host(100);
    check(&site(&hanging.urls, 1));
}

#[test]
fn a_hundred_callbacks_each_on_its_own_that_nobody_knows_to_hang_delay_no_other() {
    let hanging = Hanging::hosts(100);
    check(&site(&hanging.urls, 1));
}

#[test]
fn a_hundred_callbacks_that_were_well_and_hang_all_at_once_delay_no_other() {
    let hanging = Hanging::one_host(100);
    let site = site(&hanging.urls, 70);
    site.write_sql("UPDATE endpoint SET last_accepted_at = state_since WHERE url NOT LIKE '%/callback'");
    check(&site);
}

#[test]
fn a_hundred_callbacks_of_two_instances_each_that_were_well_and_hang_delay_no_other() {
    let hanging = Hanging::hosts(100);
    let site = site(&[&hanging.urls[..], &hanging.urls[..]].concat(), 3);
    site.write_sql("UPDATE endpoint SET last_accepted_at = state_since WHERE url LIKE 'http://127.0.1.%'");
    check(&site);
}

#[test]
fn four_slow_callbacks_with_twenty_waiting_each_delay_no_other() {
    let slow = Receiver::start(Some(KEY.to_owned())).unwrap();
    slow.answer_always(Answer::Status(200));
    slow.on_delivery(|_| SystemClock.sleep(Duration::from_secs(3)));
    let urls: Vec<String> = (0..4).map(|path| format!("{}/{path}", slow.url())).collect();
    check(&site(&urls, 20));
}

#[test]
fn once_tries_nothing_again_while_a_receiver_hangs() {
    let hanging = Hanging::one_host(1);
    let sections = format!("[delivery]\ntimeout = \"3s\"\nretry = {:?}", ["1s"; 32]);
    let site = Site::configured(Account::business(), &sections);
    site.create_instance("Docs", json!({}));
    site.once().code(0);
    create_file(&site);
    site.poll("Docs", &[]).code(0);
    add_instances(&site, &hanging.urls, 1);
    site.receiver.answer_always(Answer::Status(503));
    site.once().code(1);
    let attempts = "SELECT o.attempts FROM outbox o JOIN instance i ON i.id = o.instance_id ORDER BY i.id";
    assert_eq!(site.sql(attempts), [["1"], ["1"]]);
}
