use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::BASE;
use crate::core::elements::keys::{KEYS, SECRET_KEYS};
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

/// A document whose fields and keys are known, with anything behind them.
fn any_document() -> impl Strategy<Value = Value> {
    let names: Vec<&str> = KEYS
        .iter()
        .map(|(name, _)| *name)
        .chain(["bulk.x", "unknown"])
        .collect();
    let configuration = prop::collection::vec((prop::sample::select(names), any_json()), 0..6);
    let configuration = configuration.prop_map(|entries| {
        Value::Object(
            entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    });
    (configuration, any_json(), any_json(), any_json(), any_json()).prop_map(|(configuration, name, tags, element, data)| {
        json!({"configuration": configuration, "name": name, "tags": tags, "element": element, "providerData": data})
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
    fn reading_never_panics(text in any::<String>(), value in any_json(), pairs in any::<Vec<(String, String)>>()) {
        // Only that they return matters here: whatever they return is an answer.
        drop((parse(&text), parse(&value.to_string()), set(&pairs)));
    }

    #[test]
    fn what_is_read_is_canonical(document in any_document()) {
        let Ok(read) = parse(&document.to_string()) else { return Ok(()) };
        drop(check_new(&read, BASE));
        let again = parse(&json!({"configuration": read.configuration}).to_string());
        prop_assert_eq!(again.unwrap().configuration, read.configuration);
    }

    #[test]
    fn settings_take_any_configuration(values in prop::collection::vec(any_json(), KEYS.len())) {
        let given: Configuration = KEYS.iter().map(|(name, _)| name.to_string()).zip(values).collect();
        drop(settings(ElementKey::OneDriveV2, &given, BASE));
    }

    #[test]
    fn a_split_configuration_joins_again(configuration in sound_configuration()) {
        let (shown, secrets) = split(&configuration);
        prop_assert_eq!(&mask(&configuration), &shown);
        prop_assert_eq!(join(&shown, &secrets), configuration);
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
