//! What `schedule` tells, in words and as JSON.

use deltapost::sim::onedrive::Account;
use serde_json::{Value, json};

use crate::support::Site;

fn preview(site: &Site, cron: &str, zone: &str, from: &str, count: &str) -> Vec<[String; 3]> {
    let args = [
        "schedule",
        "--json",
        "--cron",
        cron,
        "--timezone",
        zone,
        "--from",
        from,
        "--count",
        count,
    ];
    let told = site.cli(&args).code(0).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let runs = told["schedules"][0]["runs"].as_array().unwrap().iter();
    runs.map(|run| [text(&run["utc"]), text(&run["local"]), text(&run["note"])])
        .collect()
}

#[test]
fn shifts_of_daylight_saving_are_marked() {
    let site = Site::new(Account::business());
    let runs = preview(&site, "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2");
    assert_eq!(
        runs[0],
        [
            "2026-03-29T01:00:00.000Z",
            "2026-03-29T03:00:00+02:00",
            "instead of 2026-03-29 02:30:00, which the clocks skip"
        ]
    );
    assert_eq!(runs[1][0], "2026-03-30T00:30:00.000Z");
    let runs = preview(&site, "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "2");
    assert_eq!(
        [&runs[0][0], &runs[0][2]],
        [
            "2026-10-25T00:30:00.000Z",
            "the first of two, as the clocks go back"
        ]
    );
    assert_eq!(runs[1][0], "2026-10-26T01:30:00.000Z");
    let words = [
        "schedule",
        "--cron",
        "@daily",
        "--count",
        "1",
        "--from",
        "2026-03-01T00:00Z",
    ];
    assert_eq!(
        site.cli(&words).code(0).stdout,
        "0 0 * * * in UTC\n\
         local                           utc                       note\n\
         Mon 2026-03-02 00:00:00 +00:00  2026-03-02T00:00:00.000Z\n"
    );
}

#[test]
fn what_cannot_be_previewed_says_why() {
    let site = Site::new(Account::business());
    for (args, told) in [
        (
            &["--cron", "* * * * FRI-MON"][..],
            "error: `--cron`: day of week: ",
        ),
        (
            &["--cron", "@daily", "--timezone", "Berlin"],
            "error: `--timezone`: expected an IANA time zone such as `Europe/Berlin`, got `Berlin`\n\
             hint: did you mean `Europe/Berlin`?",
        ),
        (
            &["--from", "tomorrow"],
            "error: expected a time for `--from`, got `tomorrow`",
        ),
        (&["--timezone", "UTC"], "--cron"),
        (&["--count", "0"], "1 to 1000"),
    ] {
        let ran = site.cli(&[&["schedule"], args].concat()).code(2);
        ran.says(&[told]);
    }
}

#[test]
fn each_resource_is_told_with_who_says_when() {
    let sections = "[schedule]\njitter = \"0s\"\n\n[[poll]]\ninstance = \"tag:Docs\"\nresource = \"finance\"\n\
                    timezone = \"Asia/Kathmandu\"\n\n[[poll]]\nresource = \"off\"\nenabled = false\n\n\
                    [[poll]]\ninstance = \"Nobody\"\ncron = \"@daily\"\n";
    let site = Site::configured(Account::business(), sections);
    let path = "/me/drive/root/delta";
    let resources = json!({
        "finance": {"url": path, "schedule": "0 12 * * 1-5", "timezone": "Europe/Berlin"},
        "off": {"url": path},
        "plain": {"url": path},
    });
    site.create_instance("Docs", json!({"event.poller.configuration": resources}));
    site.create_instance("Default", json!({"event.poller.refresh_interval": null}));
    let line = |text: &str| {
        let config = std::fs::read_to_string(site.config_file()).unwrap();
        let entries = config.lines().enumerate().filter(|(_, line)| *line == "[[poll]]");
        let before = config[..config.find(text).unwrap()].lines().count();
        entries
            .map(|(at, _)| at + 1)
            .filter(|at| *at <= before)
            .max()
            .unwrap()
    };
    let ran = site
        .cli(&[
            "schedule",
            "--json",
            "--from",
            "2026-03-01T00:00Z",
            "--count",
            "2",
        ])
        .code(0);
    let told = ran.json();
    let of = |name: &str, at: usize| {
        let all = told["schedules"].as_array().unwrap();
        let found = all.iter().filter(|one| one["resource"] == name).nth(at).unwrap();
        found.clone()
    };
    let finance = of("finance", 0);
    assert_eq!(finance["cron"], "0 12 * * Mon-Fri");
    assert_eq!(finance["timezone"], "Asia/Kathmandu");
    assert_eq!(finance["source"], "resource");
    assert_eq!(
        finance["timezoneSource"],
        format!("[[poll]] line {}", line("finance"))
    );
    assert_eq!(finance["runs"][0]["utc"], "2026-03-02T06:15:00.000Z");
    assert_eq!(finance["runs"].as_array().unwrap().len(), 2);
    assert_eq!(
        of("off", 0)["notPolled"],
        format!("disabled by [[poll]] line {}", line("\"off\""))
    );
    assert_eq!(of("off", 0)["runs"], json!([]));
    assert_eq!(
        (&of("plain", 0)["source"], &of("plain", 0)["intervalMinutes"]),
        (&json!("instance"), &json!(15))
    );
    let default = of("events", 0);
    assert_eq!(
        (&default["source"], &default["cron"]),
        (&json!("default"), &json!("*/15 * * * *"))
    );
    ran.says(&["note: the `[[poll]]` at line", "fits no resource"]);
    site.cli(&["once", "--json"]).code(0);
    let polled = site.sql("SELECT r.name FROM poll p JOIN resource r ON r.id = p.resource_id ORDER BY 1");
    assert_eq!(polled, [["events"], ["finance"], ["plain"]]);
}

#[test]
fn a_schedule_of_an_instance_is_checked_with_everything_else() {
    let site = Site::new(Account::business());
    let keys = json!({
        "event.poller.schedule": "0 24 * * *", "event.poller.timezone": "Europe/Berln",
        "event.poller.configuration": {"a": {"url": "/me/drive/root/delta", "timezone": "Mars/Olympus"}},
    });
    site.try_create(&site.document("Docs", keys))
        .code(2)
        .says(&["`event.poller.schedule`: hour: expected 0 to 23, got `24`; midnight is hour `0`"]);
    let keys = json!({
        "event.poller.schedule": "0 12 * * *", "event.poller.timezone": "Europe/Berln",
        "event.poller.configuration": {"a": {"url": "/me/drive/root/delta", "timezone": "Mars/Olympus"}},
    });
    site.try_create(&site.document("Docs", keys)).code(2).says(&[
        "`event.poller.timezone`: expected an IANA time zone such as `Europe/Berlin`, got `Europe/Berln`; did you mean \
         `Europe/Berlin`?",
        "`event.poller.configuration.a.timezone`: expected an IANA time zone",
    ]);
    let keys = json!({"event.poller.schedule": "0 12 * * *", "event.poller.timezone": "Europe/Berlin"});
    let ran = site
        .try_create(&site.document("Docs", keys))
        .code(0)
        .says(&["note: `event.poller.refresh_interval` is not used while `event.poller.schedule` is set"]);
    assert!(
        ran.stdout
            .contains("`deltapost run` polls it by 0 12 * * * in Europe/Berlin"),
        "{ran:#?}"
    );
}
