//! Form and JSON made of each other: what each edit keeps, which of two edits holds, and where secrets stand.

use super::*;

/// A form of `fields`, with the JSON that is shown beside it.
fn form(fields: &[(&str, &str)], shown: &Value) -> Form {
    let mut form = Form::default();
    for (name, value) in fields {
        form.set(name, value);
    }
    with_json(form, shown)
}

fn left(form: &Form, document: &Value) -> Form {
    let mut form = form.clone();
    form.set(DOCUMENT, &document.to_string());
    form
}

#[test]
fn an_edited_field_keeps_what_only_the_json_says() {
    let shown = json!({
        "element": {"key": "onedrivev2"},
        "configuration": {
            "event.notification.enabled": true, "event.filter.types": ["CREATED"], "event.poller.refresh_interval": 5,
            "event.poller.configuration": {"a": {"url": "/x/delta", "schedule": "@daily"}, "b": {"url": "/y/delta"}}},
        "tags": [], "name": "Old"});
    let before = filled_by(&shown, &form(&[], &shown));
    assert_eq!(settled(&with_json(before.clone(), &shown)).unwrap().1, shown);
    let mut edited = with_json(before, &shown);
    edited.set("name", "New");
    edited.set("resource.0", "c");
    edited.set("baseline.1", "emit");
    let mut expected = shown.clone();
    expected["name"] = "New".into();
    expected["configuration"][RESOURCES] = json!({
        "c": {"url": "/x/delta", "schedule": "@daily"}, "b": {"url": "/y/delta", "baseline": "emit"}});
    assert_eq!(settled(&edited).unwrap().1, expected);
    edited.set("resource.1", "c");
    assert!(
        settled(&edited)
            .unwrap_err()
            .contains("two resources are named `c`")
    );
}

#[test]
fn whichever_was_edited_holds_and_two_words_are_not_one() {
    let shown = json!({"name": "A", "element": {"key": "onedrivev2"}, "tags": [], "configuration": {}});
    let form = filled_by(&shown, &form(&[], &shown));
    let mut document = shown.clone();
    document["name"] = "B".into();
    document["configuration"]["event.notification.format"] = "cloudevents".into();
    let (filled, taken) = settled(&left(&form, &document)).unwrap();
    assert_eq!((filled.get("name"), &taken), ("B", &document));
    // The script has brought the form after the JSON.
    assert_eq!(settled(&left(&filled, &document)).unwrap().1, document);
    let mut both = left(&form, &document);
    both.set("name", "C");
    assert!(settled(&both).unwrap_err().contains("both"));
    assert!(
        settled(&left(&form, &json!([])))
            .unwrap_err()
            .contains("no object")
    );
}

#[test]
fn secrets_stand_in_their_fields_and_not_in_the_json() {
    let fields = [
        (API_SECRET, "s3cret"),
        (SIGNATURE_KEY, "signs"),
        ("connect", "code"),
        ("code", "c0de"),
    ];
    let (form, document) = by_form(&form(&fields, &json!({}))).unwrap();
    for secret in ["s3cret", "signs", "c0de"] {
        assert!(document.to_string().contains(secret));
        assert!(!form.get(DOCUMENT).contains(secret), "{}", form.get(DOCUMENT));
    }
    let edited = form.get(DOCUMENT).replace("\"name\": \"\"", "\"name\": \"Mine\"");
    let mut form = form;
    form.set(DOCUMENT, &edited);
    let (filled, taken) = settled(&form).unwrap();
    assert_eq!(taken["configuration"][API_SECRET], "s3cret");
    assert_eq!(
        (filled.get("code"), filled.get("name"), filled.get(API_SECRET)),
        ("c0de", "Mine", "s3cret")
    );
}
