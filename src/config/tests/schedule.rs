//! `[schedule]` and `[[poll]]`, and the file read again.

use super::check;
use crate::config::{Config, ConfigError};

#[test]
fn every_problem_of_a_schedule_is_told_with_its_place_and_what_was_meant() {
    check(
        "[schedule]\ncron = \"0 24 * * *\"\ntimezone = \"europe/berlin\"\njitter = \"2h\"\n\
         [[poll]]\ncron = \"* * * * FRI-MON\"\n[[poll]]\ninstance = \"\"\nresorce = \"x\"\n\
         [[poll]]\nresource = 3\nenabled = \"yes\"\n",
        &[
            "2:8: schedule.cron: hour: expected 0 to 23, got `24`; midnight is hour `0`",
            "3:12: schedule.timezone: expected an IANA time zone such as `Europe/Berlin`, got `europe/berlin`; \
             did you mean `Europe/Berlin`?",
            "4:10: schedule.jitter: expected a duration from \"0s\" to \"1h\", got `\"2h\"`",
            "6:8: poll.cron: day of week: expected a range that rises, within 0 to 7 (0 and 7 are Sunday) or Sun to Sat, \
             got `FRI-MON`; write `Fri-Sun,Mon`",
            "7:1: poll: says nothing; expected one of cron, timezone, enabled",
            "8:12: poll.instance: expected the name or id of an instance, \"tag:NAME\" or \"*\", got `\"\"`",
            "9:1: poll.resorce: unknown key, did you mean `poll.resource`?",
            "11:12: poll.resource: expected the name of a resource, or \"*\", got `3`",
            "12:11: poll.enabled: expected true or false, got `\"yes\"`",
        ],
    );
}

#[test]
fn what_stands_any_number_of_times_is_written_so() {
    for (text, got) in [
        ("[poll]\ncron = \"x\"", "a table"),
        ("poll = 3", "`3`"),
        ("poll = [3]", "`[3]`"),
    ] {
        let problems = Config::parse(text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let told = format!("poll: expected tables, each under [[poll]], got {got}");
        assert!(problems[0].to_string().ends_with(&told), "{problems:?}");
    }
    check("poll = [{ enabled = false }]", &[]);
}

#[test]
fn a_file_that_was_lost_is_not_taken_for_the_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deltapost.toml");
    let other = Config::parse("schedule.workers = 9").unwrap();
    assert!(matches!(
        other.load_again(&path),
        Err(ConfigError::Lost { missing: true, .. })
    ));
    assert_eq!(Config::default().load_again(&path).unwrap(), Config::default());
    std::fs::write(&path, " \n").unwrap();
    let error = other.load_again(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the configuration file `{}` is empty", path.display())
    );
    std::fs::write(&path, "# all by default\n").unwrap();
    assert_eq!(other.load_again(&path).unwrap(), Config::default());
}
