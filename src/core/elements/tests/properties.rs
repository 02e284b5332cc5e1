//! What holds for every document, however odd.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::BASE;
use crate::core::elements::keys::{KEYS, SECRET_KEYS, URLS};
use crate::core::elements::{check_new, join, mask, merge, parse, replace, set, settings, split};
use crate::core::model::{Configuration, ElementKey};

/// Any JSON, with the texts that mean something here among its texts and keys.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~é<>]{0,12}",
        Just("********".to_owned()),
        Just("https://x.example/?a=b".to_owned()),
        Just("{\"events\": {\"url\": \"/hubs/documents/events\"}}".to_owned()),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key = prop_oneof![
            Just("url".to_owned()),
            Just("key".to_owned()),
            Just("pageSize".to_owned()),
            "[ -~]{0,8}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Values that make sense for one key or another.
fn likely() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "true",
        "15",
        "44641",
        "polling",
        "elements",
        "client_credentials",
        "created,DELETED",
        "[\"File\", \"events\"]",
        "/a/**, **/b",
        "https://x.example/?a=b",
        "{\"X-A\": \"1\", \"X-B\": \"\"}",
        "{\"a\": {\"url\": \"/hubs/documents/changes?x\", \"pageSize\": \"5\", \"idField\": null}}",
        "<SEE_BELOW>",
        "********",
    ]);
    let objects = prop::sample::select(vec![
        json!({"X-A": "********"}),
        json!({"a": {"url": "/drives/1/root/delta", "filterByUpdatedDate": "FALSE", "pollDelay": "3"}}),
        json!({"a": "{\"url\": \"https://graph.microsoft.com/v1.0/me/drive/root/delta\"}"}),
    ]);
    prop_oneof![4 => texts.prop_map(Value::from), 1 => objects, 1 => any_json()]
}

/// The keys with values, out of many tried, that make a document each on its own.
fn any_configuration() -> impl Strategy<Value = Map<String, Value>> {
    // The legacy key becomes another one.
    let kept = KEYS.iter().map(|(name, ..)| *name).filter(|name| *name != URLS);
    let names: Vec<&str> = kept.collect();
    let entries = prop::collection::vec((prop::sample::select(names), likely()), 1..40);
    entries.prop_map(|entries| {
        let sound =
            |key: &str, value: &Value| parse(&json!({"configuration": {key: value}}).to_string()).is_ok();
        let entries = entries.into_iter().filter(|(key, value)| sound(key, value));
        entries.map(|(key, value)| (key.to_owned(), value)).collect()
    })
}

/// A configuration whose keys all have sound values, in the form in which it is stored.
fn sound_configuration() -> impl Strategy<Value = Configuration> {
    let secret = "[!-~]{1,12}";
    let url = prop_oneof![
        Just("https://x.example/events".to_owned()),
        "[a-z]{0,5}".prop_map(|query| format!("https://x.example/?{query}")),
    ];
    let headers = prop::collection::btree_map("[XY]-[a-z]{1,3}", "[!-~]{1,8}", 1..4);
    let text = |strategy: &'static str| prop::option::of(strategy);
    (
        (
            text(secret),
            text(secret),
            text(secret),
            text(secret),
            text("[a-z]{1,5}"),
        ),
        (
            prop::option::of(url),
            prop::option::of(headers),
            any::<bool>(),
            1..50_000u64,
        ),
    )
        .prop_map(
            |((key, api_secret, token, signature, tenant), (url, headers, enabled, minutes))| {
                let given = json!({"configuration": {
                    "oauth.api.key": key, "oauth.api.secret": api_secret, "oauth.user.refresh_token": token,
                    "event.notification.signature.key": signature, "oauth.tenant": tenant,
                    "event.notification.callback.url": url, "event.notification.headers": headers,
                    "event.notification.enabled": enabled, "event.poller.refresh_interval": minutes,
                    "event.poller.configuration": {"a": {"url": "/hubs/documents/events", "pageSize": 5}},
                }});
                parse(&given.to_string()).unwrap().configuration
            },
        )
}

proptest! {
    #[test]
    fn reading_never_panics(
        text in any::<String>(),
        fields in prop::collection::vec((prop::sample::select(vec!["name", "tags", "element", "providerData"]), any_json()), 0..4),
        pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..4),
    ) {
        let fields: Map<String, Value> = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        // Only that they return matters here: whatever they return is an answer.
        drop((parse(&text), parse(&Value::Object(fields).to_string()), set(&pairs)));
    }

    #[test]
    fn what_is_read_is_canonical(given in any_configuration()) {
        let read = parse(&json!({"configuration": given}).to_string()).unwrap();
        prop_assert_eq!(read.configuration.len() + read.removed.len(), given.len());
        let again = parse(&json!({"configuration": read.configuration}).to_string()).unwrap();
        prop_assert_eq!(&again.configuration, &read.configuration);
        drop(check_new(&read, BASE));
    }

    #[test]
    fn settings_take_any_configuration(values in prop::collection::vec(any_json(), KEYS.len())) {
        let given: Configuration = KEYS.iter().map(|(name, ..)| name.to_string()).zip(values).collect();
        drop(settings(ElementKey::OneDriveV2, &given, BASE));
    }

    #[test]
    fn a_split_configuration_joins_again(configuration in sound_configuration()) {
        let (shown, secrets) = split(&configuration);
        prop_assert_eq!(&mask(&configuration), &shown);
        prop_assert_eq!(join(shown, &secrets), configuration);
    }

    #[test]
    fn what_is_shown_holds_no_secret(configuration in sound_configuration()) {
        let shown = mask(&configuration);
        for key in SECRET_KEYS.iter().filter(|key| configuration.contains_key(**key)) {
            prop_assert!(shown[*key] != configuration[*key]);
        }
        prop_assert_eq!(mask(&shown), shown);
    }

    #[test]
    fn what_is_shown_and_given_back_changes_nothing(configuration in sound_configuration()) {
        let document = parse(&json!({"configuration": mask(&configuration)}).to_string()).unwrap();
        prop_assert_eq!(merge(&configuration, &document), Ok(configuration.clone()));
        prop_assert_eq!(replace(&configuration, &document), Ok(configuration));
    }
}
