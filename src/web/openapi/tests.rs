//! Tests of `openapi`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::TABLES;
use super::super::route::{Answer, Route};
use super::*;

fn described() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Each route with its whole path.
fn routes() -> impl Iterator<Item = (String, &'static Route)> {
    let of = |table: &'static Table| {
        let whole = |route: &'static Route| (format!("{}{}", table.base, route.path), route);
        table.routes.iter().map(whole)
    };
    TABLES.iter().flat_map(of)
}

/// Each operation with its path and method.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().clone();
        let path = path.clone();
        methods
            .into_iter()
            .map(move |(method, operation)| (path.clone(), method.to_uppercase(), operation))
    };
    paths.iter().flat_map(of).collect()
}

/// What a `$ref` within the document leads to.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(place) => document
            .pointer(place.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{place}")),
        None => value,
    }
}

#[test]
fn the_document_has_each_route_and_no_other() {
    let document = described();
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(path, method, _)| format!("{method} {path}"))
        .collect();
    let served: BTreeSet<_> = routes()
        .map(|(path, route)| format!("{} {path}", route.method))
        .collect();
    assert_eq!(
        served.difference(&described).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not described"
    );
    assert_eq!(
        described.difference(&served).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "not served"
    );
}

#[test]
fn each_operation_says_who_may_enter_and_names_its_parameters() {
    let document = described();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
            "{place}"
        );
        let (_, route) = routes()
            .find(|(whole, route)| *whole == path && route.method == method)
            .unwrap();
        let security = operation.get("security").cloned();
        let who = match security
            .as_ref()
            .map(|security| security.as_array().unwrap().len())
        {
            None => Who::Client,
            Some(0) => Who::Anyone,
            Some(_) => Who::Instance,
        };
        assert!(
            matches!(route.answer, Answer::Plain(entering, _) if entering == who),
            "{place}"
        );
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(responses.contains_key("401"), who != Who::Anyone, "{place}");
        let can_be_one_too_many = route.method == "GET" || responses.contains_key("503");
        assert!(can_be_one_too_many, "{place}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named: Vec<&str> = parameters
            .iter()
            .map(|parameter| resolved(&document, parameter))
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let words = path
            .split('/')
            .filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(named, words.collect::<Vec<_>>(), "{place}");
    }
}

#[test]
fn the_document_is_written_plainly_and_no_key_is_there_twice() {
    let plain = serde_json::to_string_pretty(&described()).unwrap() + "\n";
    assert!(plain == DOCUMENT, "write it anew with two spaces an indent");
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    let document = described();
    let places: BTreeSet<&str> = DOCUMENT
        .split("\"$ref\": \"#")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    for place in &places {
        assert!(document.pointer(place).is_some(), "{place}");
    }
    for kind in ["parameters", "responses", "schemas"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(
                places.contains(format!("/components/{kind}/{name}").as_str()),
                "{kind} {name}"
            );
        }
    }
}
