//! `event.notification.headers`: extra headers of each callback request. Their values are secrets.

use serde_json::{Map, Value};

use super::keys::HEADERS;
use super::values;
use crate::core::problem::{Report, quoted};

/// Headers that the request itself decides, in lower case.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Beginnings of names that the signatures use, in lower case.
const RESERVED_FAMILIES: &[&str] = &["elements-webhook-", "webhook-"];

/// The most headers, and the longest value in bytes.
const MOST: usize = 32;
const LONGEST: usize = 4096;

/// The canonical form: an object of names and texts; `Value::Null` when it is empty. `None` after a problem.
pub(super) fn canonical(value: &Value, report: &mut Report) -> Option<Value> {
    let given = values::object(value)
        .map_err(|message| report.problem(HEADERS, message))
        .ok()?;
    let before = report.problems.len();
    if given.len() > MOST {
        report.problem(HEADERS, format!("more than {MOST} headers"));
        return None;
    }
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in given.iter().filter(|(_, value)| !values::is_absent(value)) {
        let twice = headers.keys().any(|other| other.eq_ignore_ascii_case(name));
        let checked = if twice {
            Err("given twice".to_owned())
        } else {
            check(name, value)
        };
        match checked {
            Ok(()) => {
                headers.insert(name.clone(), value.clone());
            }
            Err(message) => report.problem(HEADERS, format!("header {}: {message}", quoted(name))),
        }
    }
    report.sound(before, Value::Object(headers))
}

/// Checks name and value by RFC 9110, 5.1 and 5.5, ASCII only. The message never repeats the value.
fn check(name: &str, value: &Value) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Err("not a header's name".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.contains(&lower.as_str());
    if reserved || RESERVED_FAMILIES.iter().any(|family| lower.starts_with(family)) {
        return Err("the agent sets it itself".to_owned());
    }
    let text = value.as_str().ok_or("expected its value as text")?;
    if text.len() > LONGEST {
        return Err(format!("its value is longer than {LONGEST} bytes"));
    }
    let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t';
    if !text.bytes().all(visible) || text.trim() != text {
        return Err("its value must be visible ASCII without spaces around it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_headers(given: Value, expect: Result<Value, &[&str]>) {
        let mut report = Report::default();
        let read = canonical(&given, &mut report);
        let problems: Vec<String> = report
            .problems
            .iter()
            .map(|problem| problem.message.clone())
            .collect();
        match expect {
            Ok(value) => assert_eq!((read, problems), (Some(value), vec![])),
            Err(messages) => assert_eq!(
                (read, problems),
                (None, messages.iter().map(|m| m.to_string()).collect())
            ),
        }
    }

    #[test]
    fn an_object_and_text_that_holds_one_are_the_same() {
        let headers = json!({"Authorization": "Bearer x", "X-Env": "test"});
        check_headers(headers.clone(), Ok(headers.clone()));
        check_headers(Value::from(headers.to_string()), Ok(headers));
    }

    #[test]
    fn empty_values_are_absent() {
        check_headers(
            json!({"X-A": "", "X-B": null, "X-C": "c"}),
            Ok(json!({"X-C": "c"})),
        );
        check_headers(json!({"X-A": ""}), Ok(Value::Null));
    }

    #[test]
    fn what_the_agent_sets_itself_is_refused() {
        for name in [
            "Host",
            "content-length",
            "Content-Type",
            "webhook-id",
            "Elements-Webhook-Signature",
            "TE",
        ] {
            let message = format!("header `{name}`: the agent sets it itself");
            check_headers(json!({name: "x"}), Err(&[&message]));
        }
    }

    #[test]
    fn no_header_can_break_out_of_its_line_and_no_value_is_repeated() {
        check_headers(
            json!({"X-A": "hunter2\r\nHost: evil", "X B": "hunter2", "X-C": 7, "X-É": "x", "x-d": "1", "X-D": "2"}),
            Err(&[
                "header `X-A`: its value must be visible ASCII without spaces around it",
                "header `X B`: not a header's name",
                "header `X-C`: expected its value as text",
                "header `X-É`: not a header's name",
                "header `X-D`: given twice",
            ]),
        );
    }
}
