//! The resources that other elements of Cloud Elements are documented to poll: their keys, urls, fields and formats are
//! understood, so that a configuration that was written for one of them needs nothing but a Graph path.
//!
//! The facts are those of the developer portal's pages on the elements' events.

use serde_json::{Value, json};

use super::BASE;
use crate::core::elements::{parse, settings};
use crate::core::feed::{Feed, Window};
use crate::core::model::ElementKey;

/// Element, resource, its settings.
fn documented() -> Vec<(&'static str, &'static str, Value)> {
    let dates = |updated: [&str; 3], created: [&str; 3]| {
        let mut dates = json!({});
        for (which, [field, format, zone]) in [("updated", updated), ("created", created)] {
            for (what, text) in [("Field", field), ("Format", format), ("Timezone", zone)] {
                if !text.is_empty() {
                    dates[format!("{which}Date{what}")] = text.into();
                }
            }
        }
        dates
    };
    const PLAIN: &str = "yyyy-MM-dd HH:mm:ss";
    const ISO: &str = "yyyy-MM-dd'T'HH:mm:ss'Z'";
    const OFFSET: &str = "yyyy-MM-dd'T'HH:mm:ssXXX";
    const MAIL: &str = "EEE, dd MMM yyyy HH:mm:ss Z";
    const MICROS: &str = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX";
    const MILLIS: &str = "milliseconds";
    vec![
        (
            "onedrivev2",
            "events",
            json!({"url": "/hubs/documents/events", "idField": "id"}),
        ),
        (
            "servicenow",
            "accounts",
            json!({
            "url": "/hubs/helpdesk/accounts?where=sys_updated_on>'${gmtDate:yyyy-MM-dd'T'HH:mm:ss}'", "idField": "sys_id",
            "datesConfiguration": dates(["sys_updated_on", PLAIN, ""], ["sys_created_on", PLAIN, ""])}),
        ),
        (
            "sagecrm",
            "contacts",
            json!({
            "url": "/hubs/crm/contacts?where=Pers_UpdatedDate>'${gmtDate:yyyy-MM-dd'T'HH:mm:ss'Z'}'", "idField": "key",
            "datesConfiguration": dates(["Pers_UpdatedDate", ISO, "GMT"], ["Pers_CreatedDate", ISO, "GMT"])}),
        ),
        (
            "netsuitefinancev2",
            "invoices",
            json!({
            "url": "/hubs/finance/invoice?where=lastModifiedDate>${epoch}", "idField": "internalId",
            "filterByUpdatedDate": true,
            "datesConfiguration": dates(["lastModifiedDate", MILLIS, ""], ["createdDate", MILLIS, ""])}),
        ),
        (
            "netsuitecrmv2",
            "accounts",
            json!({
            "url": "/hubs/crm/accounts?where=lastModifiedDate >= '${epoch:ms}'", "idField": "internalId",
            "filterByUpdatedDate": true, "createdCheckTolerance": 2, "pageSize": 200,
            "datesConfiguration": dates(["lastModifiedDate", MILLIS, ""], ["dateCreated", MILLIS, ""])}),
        ),
        (
            "dynamicscrm",
            "accounts",
            json!({
            "url": "/hubs/crm/accounts?where=fetchChanges='true'", "idField": "id",
            "datesConfiguration": dates(["attributes.modifiedon", MILLIS, ""], ["attributes.createdon", MILLIS, ""])}),
        ),
        (
            "bigcommerce",
            "orders",
            json!({
            "url": "/hubs/ecommerce/orders?where=min_date_modified='${date:EEE, dd MMM yyyy HH:mm:ss Z}'", "idField": "id",
            "datesConfiguration": dates(["date_modified", MAIL, ""], ["date_created", MAIL, ""])}),
        ),
        (
            "hubspot",
            "accounts",
            json!({
            "url": "/hubs/crm/accounts?where=lastmodifieddate='${date}'", "idField": "companyId",
            "filterByUpdatedDate": true, "createdCheckTolerance": 10,
            "datesConfiguration": dates(["properties.hs_lastmodifieddate", MILLIS, ""], ["properties.createdate", MILLIS, ""])}),
        ),
        (
            "insightly",
            "contacts",
            json!({
            "url": "/hubs/crm/contacts?where=updated_after_utc='${gmtDate:yyyy-MM-dd HH:mm:ss}'", "idField": "CONTACT_ID",
            "datesConfiguration": dates(["DATE_UPDATED_UTC", PLAIN, "GMT"], ["DATE_CREATED_UTC", PLAIN, "GMT"])}),
        ),
        (
            "zendesk",
            "agents",
            json!({
            "url": "/hubs/helpdesk/agents", "idField": "id", "pageSize": 100,
            "datesConfiguration": dates(["updated_at", ISO, ""], ["created_at", ISO, ""])}),
        ),
        (
            "actessentials",
            "lists",
            json!({
            "url": "/hubs/crm/lists?where=created>'${gmtDate:yyyy-MM-dd'T'HH:mm:ss'Z'}'", "idField": "id",
            "datesConfiguration": dates(["lastUpdated", "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "GMT"], ["created", ISO, "GMT"])}),
        ),
        (
            "closeio",
            "contacts",
            json!({
            "url": "/hubs/crm/contacts?where=date_updated>'${gmtDate:yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX}'", "idField": "id",
            "datesConfiguration": dates(["date_updated", MICROS, ""], ["date_created", MICROS, ""])}),
        ),
        (
            "twitter",
            "direct-messages/sent-messages",
            json!({
            "url": "/hubs/social/direct-messages/sent-messages?where=created_at='${date:MM/dd/yyy'T'HH:mm:ssXXX}'",
            "idField": "id_str",
            "datesConfiguration": dates(["created_at", MAIL, "GMT"], ["created_at", MAIL, "GMT"])}),
        ),
        (
            "activecampaign2",
            "deals",
            json!({
            "url": "/hubs/marketing/deals?where=mdate>=2017-02-28T16:11:29-06:00", "idField": "id",
            "filterByUpdatedDate": true, "createdCheckTolerance": 60, "pageSize": 20, "pollDelay": 60,
            "datesConfiguration": dates(["mdate", OFFSET, "GMT"], ["cdate", OFFSET, ""])}),
        ),
        (
            "woocommerce",
            "orders",
            json!({
            "url": "/hubs/ecommerce/orders", "idField": "id", "datesConfiguration": {}}),
        ),
        (
            "zohocrm",
            "accounts",
            json!({
            "url": "/hubs/crm/accounts?where='Modified Time'>'${dateTimeZone:PST:yyyy-MM-dd HH:mm:ss}'",
            "idField": "ACCOUNTID",
            "datesConfiguration": dates(["['Modified Time']", PLAIN, "PST"], ["['Created Time']", PLAIN, "PST"])}),
        ),
    ]
}

fn read(resource: &str, given: &Value) -> Result<Feed, Vec<String>> {
    let document = json!({"configuration": {"event.poller.configuration": {resource: given}}}).to_string();
    let told = |problems: Vec<crate::core::elements::Problem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let document = parse(&document).map_err(told)?;
    let settings = settings(ElementKey::OneDriveV2, &document.configuration, BASE);
    Ok(settings.map_err(told)?.resources.remove(0).feed)
}

/// The settings of one of them behind a Graph path, as polled by dates.
fn window(resource: &str, mut given: Value) -> Window {
    let url = given["url"].as_str().unwrap().to_owned();
    let query = url
        .split_once('?')
        .map_or(String::new(), |(_, query)| format!("?{query}"));
    given["url"] = format!("/me/things{query}").into();
    match read(resource, &given) {
        Ok(Feed::Window(window)) => *window,
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn each_is_understood_but_for_its_path() {
    let documented = documented();
    assert!(documented.len() > 8);
    for (element, resource, given) in documented.into_iter().skip(1) {
        let problems = read(resource, &given).unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].contains("Cloud Elements' own path"),
            "{element}: {problems:?}"
        );
        let read = window(resource, given.clone());
        let field = given["datesConfiguration"]["updatedDateField"].as_str();
        assert_eq!(
            read.updated.as_ref().map(|date| date.field.as_str()),
            field,
            "{element}"
        );
        assert_eq!(read.id_field, given["idField"], "{element}");
        assert_eq!(
            read.template.has_date(),
            given["url"].as_str().unwrap().contains("${"),
            "{element}"
        );
    }
    let (_, resource, own) = &documented_own();
    assert_eq!(read(resource, own), Ok(Feed::Drive));
}

fn documented_own() -> (&'static str, &'static str, Value) {
    documented().remove(0)
}

#[test]
fn numbers_count_wherever_they_are_documented_to_stand() {
    let of = |name: &str| {
        let (_, resource, given) = documented()
            .into_iter()
            .find(|(element, ..)| *element == name)
            .unwrap();
        window(resource, given)
    };
    let deals = of("activecampaign2");
    assert_eq!((deals.tolerance.as_secs(), deals.poll_delay.as_secs()), (60, 60));
    assert_eq!(of("netsuitecrmv2").tolerance.as_secs(), 2);
    let within = json!({"url": "/me/things", "datesConfiguration": {"createdCheckTolerance": 7}, "filterByUpdateDate": "false",
                        "updatedDateTimezone": "PST"});
    let window = window("a", within);
    assert_eq!(window.tolerance.as_secs(), 7);
    assert!(!window.filter_by_updated);
}
