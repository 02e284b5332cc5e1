//! Collections polled by dates: what is announced, once each, whatever the clocks, the pages and the records are like.

use deltapost::clock::{Clock, SystemClock};
use deltapost::sim::onedrive::{Account, Collection, Endpoint, Fault, Shape};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::resources::news::{news, told};
use crate::support::Site;
use crate::support::eventually;

const DATES: &str = "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'";

/// The settings of `/me/messages`, polled by dates.
fn messages(extra: Value) -> Value {
    let mut settings = json!({
        "url": "/me/messages?$filter=lastModifiedDateTime ge ${gmtDate:yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}",
        "datesConfiguration": {
            "updatedDateField": "lastModifiedDateTime", "updatedDateFormat": DATES, "updatedDateTimezone": "GMT",
            "createdDateField": "createdDateTime", "createdDateFormat": DATES, "createdDateTimezone": "GMT"},
    });
    for (key, value) in extra.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings
}

fn site(extra: Value) -> (Site, Collection) {
    let site = Site::new(Account::business());
    let resources = json!({"mail": messages(extra)});
    site.create_instance("Mail", json!({"event.poller.configuration": resources}));
    let mail = site.cloud.add_collection("/me/messages", Shape::Messages);
    (site, mail)
}

fn at(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// A record that was created so many seconds before its update, which is now.
fn message(seconds: i64) -> Value {
    let now = SystemClock.now();
    let created = now - SignedDuration::from_secs(seconds);
    json!({"subject": "…", "createdDateTime": at(created), "lastModifiedDateTime": at(now)})
}

/// A record that was there before the instance.
fn old_message() -> Value {
    let then = at(SystemClock.now() - SignedDuration::from_secs(60));
    json!({"subject": "…", "createdDateTime": then, "lastModifiedDateTime": then})
}

#[test]
fn a_window_begins_at_the_creation() {
    let (site, mail) = site(json!({"pageSize": 2}));
    mail.put("old", old_message());
    mail.put("A", message(0));
    mail.put("B", message(3600));
    let mut seen = 0;
    assert_eq!(
        told(&news(&site, &mut seen)),
        ["CREATED mail A", "UPDATED mail B"]
    );
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
}

#[test]
fn a_window_of_messages_is_announced_once_and_by_its_dates() {
    let (site, mail) = site(json!({"pageSize": 2, "createdCheckTolerance": 10}));
    mail.put("old", old_message());
    let mut seen = 0;
    assert_eq!(told(&news(&site, &mut seen)), [""; 0], "a snapshot is silent");
    for id in ["A", "B", "C"] {
        mail.put(id, message(0));
    }
    mail.put("D", message(3600));
    let events = news(&site, &mut seen);
    assert_eq!(
        told(&events),
        [
            "CREATED mail A",
            "CREATED mail B",
            "CREATED mail C",
            "UPDATED mail D"
        ]
    );
    let last = site.cloud.requests().pop().unwrap();
    assert!(
        last.target.contains("$top=2") && last.target.contains("$skiptoken="),
        "{}",
        last.target
    );
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    mail.put("A", message(3600));
    assert_eq!(told(&news(&site, &mut seen)), ["UPDATED mail A"]);
    mail.remove("B", "deleted");
    assert_eq!(told(&news(&site, &mut seen)), [""; 0], "deletions cannot be seen");
    let shown = site.cli(&["instance", "show", "Mail"]).code(0).stdout;
    assert!(
        shown.contains("`mail` is polled by dates: deletions cannot be seen there"),
        "{shown}"
    );
}

#[test]
fn emit_announces_what_exists_as_created() {
    let (site, mail) = site(json!({"baseline": "emit", "pageSize": 3}));
    for n in 0..7 {
        let time = format!("20{:02}-03-01T09:00:00.000Z", 10 + n);
        mail.put(
            &format!("M{n}"),
            json!({"createdDateTime": "2009-03-01T09:00:00.000Z", "lastModifiedDateTime": time}),
        );
    }
    let mut seen = 0;
    let expect: Vec<String> = (0..7).map(|n| format!("CREATED mail M{n}")).collect();
    assert_eq!(told(&news(&site, &mut seen)), expect);
    mail.put("M3", message(3600));
    assert_eq!(told(&news(&site, &mut seen)), ["UPDATED mail M3"]);
    assert_eq!(
        site.cell("SELECT count(*) FROM seen_record"),
        "1",
        "the memory is bounded"
    );
}

#[test]
fn a_record_that_is_dated_after_now_is_announced_when_its_time_has_come() {
    let (site, mail) = site(json!({"filterByCurrentDate": true, "pollDelay": 600}));
    let mut seen = 0;
    news(&site, &mut seen);
    let now = SystemClock.now();
    let dated = |seconds| json!({"lastModifiedDateTime": at(now + SignedDuration::from_secs(seconds)), "createdDateTime": at(now)});
    mail.put("soon", dated(3));
    mail.put("far", dated(3600));
    mail.put("now", dated(-5));
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED mail now"]);
    let mut come = Vec::new();
    eventually("its time has come", || {
        come.extend(told(&news(&site, &mut seen)));
        !come.is_empty()
    });
    assert_eq!(come, ["CREATED mail soon"]);
}

#[test]
fn a_provider_whose_clock_goes_back_with_each_answer_does_not_hold_a_poll_for_ever() {
    let (site, _mail) = site(json!({}));
    site.cloud.lose_time(SignedDuration::from_secs(10));
    site.poll("Mail", &[])
        .code(1)
        .says(&["the provider's clock went back 3 times in one poll"]);
    site.cloud.lose_time(SignedDuration::ZERO);
    site.poll("Mail", &[]).code(0);
}

#[test]
fn a_record_that_is_found_late_is_announced_once_within_the_delay() {
    let (site, mail) = site(json!({"pollDelay": 600}));
    let mut seen = 0;
    news(&site, &mut seen);
    mail.put("A", message(0));
    mail.put("late", message(0));
    mail.hide("late", true);
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED mail A"]);
    mail.hide("late", false);
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED mail late"]);
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
}

#[test]
fn what_was_updated_at_the_bound_is_seen_however_coarse_its_date_and_strict_the_url() {
    for (pattern, written) in [
        ("yyyy-MM-dd'T'HH:mm:ss'Z'", "%Y-%m-%dT%H:%M:%SZ"),
        ("yyyy-MM-dd'T00:00:00Z'", "%Y-%m-%dT00:00:00Z"),
    ] {
        let url = format!("/me/messages?$filter=changed gt ${{gmtDate:{pattern}}}");
        let dates = json!({"updatedDateField": "changed", "updatedDateFormat": pattern});
        let (site, mail) = site(json!({"url": url, "datesConfiguration": dates}));
        let mut seen = 0;
        news(&site, &mut seen);
        for id in ["A", "B", "C"] {
            let today = SystemClock.now().strftime(written).to_string();
            mail.put(id, json!({"changed": today}));
            assert_eq!(told(&news(&site, &mut seen)), [format!("UPDATED mail {id}")]);
        }
    }
}

#[test]
fn without_the_filter_a_record_that_is_always_shown_is_announced_once() {
    let (site, mail) = site(json!({"url": "/me/messages", "filterByUpdatedDate": false}));
    let mut seen = 0;
    mail.put("old", message(0));
    news(&site, &mut seen);
    let time = "2010-03-01T09:00:00.000Z";
    mail.put(
        "A",
        json!({"createdDateTime": time, "lastModifiedDateTime": time}),
    );
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED mail A"]);
    for _ in 0..3 {
        assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
    }
    mail.put(
        "A",
        json!({"createdDateTime": time, "lastModifiedDateTime": "2011-03-01T09:00:00.000Z"}),
    );
    assert_eq!(told(&news(&site, &mut seen)), ["UPDATED mail A"]);
}

#[test]
fn a_failure_in_the_middle_of_a_window_neither_loses_nor_repeats() {
    for fault in [
        Fault::status(500),
        Fault::status(400),
        Fault::status(410),
        Fault::SamePageAgain,
    ] {
        let (site, mail) = site(json!({"pageSize": 2}));
        let mut seen = 0;
        news(&site, &mut seen);
        let ids: Vec<String> = (0..7).map(|n| format!("M{n}")).collect();
        ids.iter().for_each(|id| mail.put(id, message(0)));
        site.cloud.fail_after(Endpoint::Other, 2, fault.clone());
        site.once();
        let from = site.cell("SELECT window_from FROM resource");
        site.once().code(0);
        assert!(site.cell("SELECT window_from FROM resource") >= from);
        let mut events: Vec<String> = site
            .receiver
            .events()
            .into_iter()
            .map(|event| event.object_id)
            .collect();
        events.sort();
        assert_eq!(events, ids, "{fault:?}");
    }
}

#[test]
fn a_crash_in_the_middle_of_a_window_neither_loses_nor_repeats() {
    for point in ["fetched:2", "committed:1", "committed:2", "committed:4"] {
        let (site, mail) = site(json!({"pageSize": 2}));
        let mut seen = 0;
        news(&site, &mut seen);
        let ids: Vec<String> = (0..7).map(|n| format!("M{n}")).collect();
        ids.iter().for_each(|id| mail.put(id, message(0)));
        let ended = site.spawn(&["once"], &[("DELTAPOST_KILL_AT", point)]).wait();
        assert_eq!(ended, None, "{point}: it was killed");
        let told: Vec<String> = news(&site, &mut seen)
            .into_iter()
            .map(|event| event.object_id)
            .collect();
        assert_eq!(told, ids, "{point}");
        assert_eq!(news(&site, &mut seen), []);
    }
}

/// A collection whose dates stand in Los Angeles' time, asked for in Tokyo's, by a box that lives on a third clock.
#[test]
fn the_zones_of_fields_urls_and_of_the_box_are_each_their_own() {
    let local = |time: Timestamp, zone: &str| {
        time.in_tz(zone)
            .unwrap()
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string()
    };
    let plain = "yyyy-MM-dd HH:mm:ss";
    let site = Site::new(Account::business());
    let resources = json!({"jobs": {
        "url": "/me/jobs?$filter=changed ge ${dateTimeZone:Asia/Tokyo:yyyy-MM-dd HH:mm:ss}", "idField": "ref.number",
        "datesConfiguration": {"updatedDateField": "changed", "updatedDateFormat": plain, "updatedDateTimezone": "PST",
                               "createdDateField": "made", "createdDateFormat": "seconds"}}});
    site.create_instance("Jobs", json!({"event.poller.configuration": resources}));
    let jobs = site.cloud.add_collection("/me/jobs", Shape::Messages);
    let put = |number: u32, made: Timestamp, changed: Timestamp| {
        let changed = local(changed, "America/Los_Angeles");
        let made = made.as_second();
        jobs.put(
            &format!("J{number}"),
            json!({"ref": {"number": number}, "made": made, "changed": changed}),
        );
    };
    let now = SystemClock.now();
    put(1, now, now - SignedDuration::from_secs(90));
    let poll = || drop(site.cli_in(&[("TZ", "Pacific/Kiritimati")], &["once"]).code(0));
    poll();
    put(2, SystemClock.now(), SystemClock.now());
    put(3, now - SignedDuration::from_hours(1), SystemClock.now());
    poll();
    poll();
    let told: Vec<String> = told(&site.receiver.events());
    assert_eq!(told, ["CREATED jobs 2", "UPDATED jobs 3"]);
    let targets: Vec<String> = site
        .cloud
        .requests()
        .into_iter()
        .map(|request| request.target)
        .collect();
    let day = local(SystemClock.now(), "Asia/Tokyo")[..10].to_owned();
    let asked = targets
        .iter()
        .rfind(|target| target.contains("/me/jobs"))
        .unwrap();
    assert!(asked.contains(&day), "{asked}");
}

#[test]
fn what_is_no_format_and_what_is_no_zone_is_told_at_creation() {
    let site = Site::new(Account::business());
    for (extra, expect) in [
        (
            json!({"datesConfiguration": {"updatedDateField": "u", "updatedDateFormat": "yyyy-MM-dd'T"}}),
            "updatedDateFormat",
        ),
        (
            json!({"datesConfiguration": {"updatedDateField": "u", "updatedDateFormat": "HH:mm:ss"}}),
            "`HH:mm:ss` tells no day",
        ),
        (
            json!({"url": "/me/messages?x=${date:yyyy-MM-dd hh:mm}"}),
            "no `a` tells which half of the day",
        ),
        (
            json!({"datesConfiguration": {"updatedDateField": "u", "updatedDateTimezone": "Europe/Berlinn"}}),
            "Europe/Berlin",
        ),
        (
            json!({"url": "/me/messages?x=${dateTimeZone:Mars/Base:yyyy}"}),
            "Mars/Base",
        ),
        (json!({"url": "/me/messages?x=${datum:yyyy}"}), "datum"),
        (json!({"pollDelay": -1}), "pollDelay"),
    ] {
        let resources = json!({"mail": messages(extra)});
        let ran = site.try_create(&site.document("Mail", json!({"event.poller.configuration": resources})));
        let ran = ran.code(2);
        assert!(ran.stderr.contains(expect), "{expect}: {}", ran.stderr);
        assert_eq!(site.cell("SELECT count(*) FROM instance"), "0");
    }
}

#[test]
fn a_note_tells_what_the_scope_does_not_reach() {
    let site = Site::new(Account::business());
    let resources = json!({"mail": messages(json!({})), "docs": {"url": "/hubs/documents/events"}});
    let document = site.document("Mail", json!({"event.poller.configuration": resources}));
    let ran = site.try_create(&document).code(0);
    assert!(
        ran.stderr.contains("only files may be read; `mail` needs more"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_record_that_cannot_be_judged_is_told_of_and_the_rest_goes_on() {
    let (site, mail) = site(json!({"pageSize": 3}));
    let mut seen = 0;
    news(&site, &mut seen);
    mail.put("missing", json!({"subject": "…"}));
    mail.put(
        "null",
        json!({"lastModifiedDateTime": null, "createdDateTime": null}),
    );
    mail.put(
        "type",
        json!({"lastModifiedDateTime": {"at": 7}, "createdDateTime": "2026-03-01T09:00:00.000Z"}),
    );
    mail.put(
        "format",
        json!({"lastModifiedDateTime": "yesterday\u{1b}[31m", "createdDateTime": "2026-03-01T09:00:00.000Z"}),
    );
    mail.put("good", message(0));
    assert_eq!(told(&news(&site, &mut seen)), ["CREATED mail good"]);
    assert_eq!(site.cell("SELECT faults FROM poll ORDER BY id DESC LIMIT 1"), "4");
    let note = site.cell("SELECT note FROM poll ORDER BY id DESC LIMIT 1");
    assert!(
        note.contains("missing") && note.contains("lastModifiedDateTime"),
        "{note}"
    );
    let health = site.sql("SELECT health, faults, last_fault FROM instance_health");
    assert_eq!(health[0][..2], ["faulty records", "4"]);
    assert!(
        health[0][2].contains("format") && !health[0][2].contains('\u{1b}'),
        "{health:?}"
    );
    let shown = site.cli(&["instance", "show", "Mail"]).code(0).stdout;
    assert!(shown.contains("4 records could not be judged"), "{shown}");
    assert_eq!(told(&news(&site, &mut seen)), [""; 0]);
}

#[test]
fn another_url_or_mode_learns_anew_and_says_so() {
    let (site, mail) = site(json!({}));
    let mut seen = 0;
    news(&site, &mut seen);
    for (settings, reason) in [
        (json!({"url": "/me/messages/delta"}), "mode"),
        (
            messages(json!({"url": "/me/messages?$filter=lastModifiedDateTime gt ${date}"})),
            "mode",
        ),
        (
            messages(json!({"url": "/me/messages?$filter=lastModifiedDateTime ge ${date}"})),
            "url",
        ),
    ] {
        mail.put("known", old_message());
        let resources = json!({"mail": settings}).to_string();
        let setting = format!("event.poller.configuration={resources}");
        let ran = site
            .cli(&["instance", "update", "Mail", "--set", &setting])
            .code(0);
        assert!(
            ran.stderr
                .contains(&format!("resource `mail` has another {reason} and learns")),
            "{}",
            ran.stderr
        );
        // The last `new` was made within the second in which the bound lies, to which the provider's time is known.
        let mut told = told(&news(&site, &mut seen));
        told.retain(|line| !line.contains("new"));
        assert_eq!(told, [""; 0]);
        mail.put("new", message(0));
        assert_eq!(news(&site, &mut seen).len(), 1);
    }
}
