//! The typed reading of a configuration, and the rules between its keys. What one value may be stands in `values`.

use std::time::Duration;

use serde_json::Value;

use crate::core::feed::{self, Feed};
use crate::core::model::{
    Configuration, ElementKey, EventType, Filter, Format, GrantKind, Interval, MASK, Secret, Settings,
};

use super::document::Document;
use super::keys::{
    API_KEY, API_SECRET, CALLBACK_URL, CODE, EVENTS_ENABLED, FILTER_OBJECTS, FILTER_PATHS, FILTER_TYPES,
    FORMAT, GRANT, HEADERS, REDIRECT_URL, REFRESH_INTERVAL, REFRESH_TOKEN, RESOURCES, SCHEDULE, SCOPE,
    SIGNATURE_KEY, SIGNATURE_KEY_PREVIOUS, TENANT, TIMEZONE,
};
use super::kinds::LONGEST_INTERVAL_MINUTES;
use super::secrets::{is_masked, withheld};
use super::values::FACETS;
use super::{keys, kinds, resources};
use crate::core::problem::{Problem, Report, listed, quoted};

/// Authorities that are no tenant: an application without a user cannot sign in there.
const NO_TENANTS: &[&str] = &["common", "organizations", "consumers"];

/// The keys without which a notification must not be sent when they are configured.
const NOTIFICATION_SECRETS: &[&str] = &[CALLBACK_URL, SIGNATURE_KEY, SIGNATURE_KEY_PREVIOUS, HEADERS];

/// What creation needs to know of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct NewInstance {
    pub name: String,
    pub element: ElementKey,
    pub settings: Settings,
}

/// Reads `configuration`, with `graph_base` to judge absolute URLs by.
///
/// A masked value stands for a secret that could not be unsealed: it counts as configured, and reads as `None`. While one
/// of the notification's own is masked (URL, signature keys, headers), `callback_url` is `None`, so that nothing is sent
/// unsigned that should be signed; `withheld` names them.
///
/// # Errors
/// Every value that is not valid and every rule between keys that is broken.
pub fn settings(
    element: ElementKey,
    configuration: &Configuration,
    graph_base: &str,
) -> Result<Settings, Vec<Problem>> {
    let mut report = Report::default();
    let values = Values::read(configuration, &mut report);
    let grant = values.text(GRANT).and_then(|text| GrantKind::from_text(&text));
    let grant = grant.unwrap_or(GrantKind::AuthorizationCode);
    let resources = resources::read(element, grant, values.0.get(RESOURCES), graph_base, &mut report);
    let settings = Settings {
        api_key: values.secret(API_KEY),
        api_secret: values.secret(API_SECRET),
        redirect_url: values.text(REDIRECT_URL),
        scope: values.text(SCOPE),
        tenant: values.text(TENANT),
        grant,
        refresh_token: values.secret(REFRESH_TOKEN),
        events_enabled: values
            .0
            .get(EVENTS_ENABLED)
            .and_then(Value::as_bool)
            .unwrap_or(false),
        callback_url: values.endpoint(),
        signature_key: values.secret(SIGNATURE_KEY),
        signature_key_previous: values.secret(SIGNATURE_KEY_PREVIOUS),
        headers: values.headers(),
        format: values
            .text(FORMAT)
            .and_then(|text| Format::from_text(&text))
            .unwrap_or(Format::Elements),
        filter: values.filter(),
        schedule: values.text(SCHEDULE),
        timezone: values.text(TIMEZONE),
        interval: values.interval(),
        resources,
    };
    check_grant(&values, &settings, &mut report);
    check_notifications(&values, &settings, &mut report);
    report.result(settings)
}

/// The names of zones in `configuration`, each with the key that has it. Whether there are such zones is for who has a
/// database of them.
pub fn zones(configuration: &Configuration) -> Vec<(String, String)> {
    let named = |key: String, value: Option<&Value>| Some((key, value?.as_str()?.to_owned()));
    let of_instance = named(TIMEZONE.to_owned(), configuration.get(TIMEZONE));
    let resources = configuration.get(RESOURCES).and_then(Value::as_object);
    let of_resources = resources.into_iter().flatten().flat_map(|(name, settings)| {
        let own = named(format!("{RESOURCES}.{name}.timezone"), settings.get("timezone"));
        own.into_iter().chain(resources::zones(name, settings))
    });
    of_instance.into_iter().chain(of_resources).collect()
}

/// What the author should know about keys of `settings` that are valid and do not work together.
pub fn notes(settings: &Settings) -> Vec<String> {
    let both = settings.schedule.is_some() && settings.interval.is_some();
    let both = both.then(|| format!("`{REFRESH_INTERVAL}` is not used while `{SCHEDULE}` is set"));
    both.into_iter()
        .chain(narrow_scope(settings))
        .chain(filtered_without_paths(settings))
        .collect()
}

/// Where no path is known, a filter of paths keeps everything back.
fn filtered_without_paths(settings: &Settings) -> Option<String> {
    let mut resources = settings.resources.iter();
    let pathless = resources.find(|resource| !feed::has_paths(&resource.feed, &resource.url));
    let pathless = pathless.filter(|_| !settings.filter.paths.is_empty())?;
    Some(format!("resource `{}`: {}", pathless.name, feed::NO_PATHS))
}

/// Without a scope only drives are asked for, and the other resources would be refused, one poll after the other.
fn narrow_scope(settings: &Settings) -> Option<String> {
    if settings.scope.is_some() || settings.grant == GrantKind::ClientCredentials {
        return None;
    }
    let others = settings
        .resources
        .iter()
        .filter(|resource| resource.feed != Feed::Drive);
    let others: Vec<&str> = others.map(|resource| resource.name.as_str()).collect();
    (!others.is_empty()).then(|| {
        format!(
            "`{SCOPE}` is not set, so that only files may be read; {} needs more, such as `Files.Read Mail.Read \
             offline_access`",
            listed(others)
        )
    })
}

/// Checks a document that was read with `problems` for the creation of an instance.
///
/// # Errors
/// The problems, with everything else that is wrong or missing and the `unknown_zones`: what is missing is told beside what
/// cannot be read, unless that may be it.
pub fn check_read(
    document: &Document,
    mut problems: Vec<Problem>,
    unknown_zones: Vec<Problem>,
    graph_base: &str,
) -> Result<NewInstance, Vec<Problem>> {
    let missing = match check_new(document, graph_base) {
        Ok(new) if problems.is_empty() && unknown_zones.is_empty() => return Ok(new),
        Ok(_) => Vec::new(),
        Err(missing) => missing,
    };
    let is_new = |found: &Problem| {
        let ways_in = [
            "configuration",
            "providerData",
            CODE,
            REFRESH_TOKEN,
            GRANT,
            API_KEY,
        ];
        !problems.iter().any(|told| {
            told.key == found.key
                || (told.key == "element" && found.key == "element.key")
                || (found.key == CODE && ways_in.contains(&told.key.as_str()))
        })
    };
    let missing: Vec<Problem> = missing.into_iter().chain(unknown_zones).filter(is_new).collect();
    problems.extend(missing);
    Err(problems)
}

/// Checks a document for the creation of an instance: it has a name, an element, a way to get tokens, which may be
/// a sign-in later, and sound settings.
///
/// # Errors
/// Everything that is missing or wrong, together.
pub fn check_new(document: &Document, graph_base: &str) -> Result<NewInstance, Vec<Problem>> {
    let mut report = Report::default();
    check_complete(document, &mut report);
    // Only the default resource's name depends on the element, so the other problems are told without one too.
    let element = document.element.unwrap_or(ElementKey::OneDriveV2);
    let settings = match settings(element, &document.configuration, graph_base) {
        Ok(settings) => settings,
        Err(problems) => {
            report.problems.extend(problems);
            return Err(report.problems);
        }
    };
    report.problems.extend(check_code(document, &settings));
    let name = document.name.clone().unwrap_or_default();
    report.result(NewInstance {
        name,
        element,
        settings,
    })
}

/// Checks that nothing is missing in a document that nothing stored completes.
fn check_complete(document: &Document, report: &mut Report) {
    if document.name.is_none() {
        report.problem("name", "needed: a name for the instance");
    }
    if document.element.is_none() {
        let known = listed(ElementKey::ALL.iter().map(|key| key.as_str()));
        report.problem("element.key", format!("needed: one of {known}"));
    }
    for (key, value) in &document.configuration {
        if is_masked(key, value) {
            report.problem(
                key,
                format!("`{MASK}` means unchanged, but the instance is new; give the value"),
            );
        }
    }
    let client = GrantKind::ClientCredentials.as_str();
    let client_grant = document
        .configuration
        .get(GRANT)
        .is_some_and(|grant| grant == client);
    // An app is enough to begin with: `login` gets tokens for it from whoever has a browser.
    let has = |key: &str| document.configuration.contains_key(key);
    if document.code.is_none() && !client_grant && !has(REFRESH_TOKEN) && !has(API_KEY) {
        let ways = format!(
            "an authorization code, or `{REFRESH_TOKEN}`, or `{GRANT}` = `{client}`, or `{API_KEY}` for `deltapost login`"
        );
        report.problem(CODE, format!("needed to get tokens: {ways}"));
    }
}

/// What hinders the exchange of the document's code, if it has one, with these settings: RFC 6749, 4.1.3 wants the
/// client and the redirect URI that the code was issued for. The secret is optional, since public clients have none.
pub fn check_code(document: &Document, settings: &Settings) -> Vec<Problem> {
    let mut report = Report::default();
    if document.code.is_none() {
        return report.problems;
    }
    if settings.grant == GrantKind::ClientCredentials {
        report.problem(
            CODE,
            format!("contradicts `{GRANT}` = `client_credentials`; leave one out"),
        );
        return report.problems;
    }
    if settings.api_key.is_none() {
        report.problem(API_KEY, format!("needed to exchange `{CODE}` for tokens"));
    }
    if settings.redirect_url.is_none() {
        report.problem(REDIRECT_URL, format!("needed to exchange `{CODE}` for tokens"));
    }
    report.problems
}

fn check_grant(values: &Values, settings: &Settings, report: &mut Report) {
    if settings.grant == GrantKind::AuthorizationCode {
        if values.has(REFRESH_TOKEN) && !values.has(API_KEY) {
            report.problem(API_KEY, format!("needed to use `{REFRESH_TOKEN}`"));
        }
        return;
    }
    for key in [API_KEY, API_SECRET, TENANT] {
        if !values.has(key) {
            report.problem(key, format!("needed for `{GRANT}` = `client_credentials`"));
        }
    }
    if settings
        .tenant
        .as_deref()
        .is_some_and(|tenant| NO_TENANTS.contains(&tenant))
    {
        report.problem(
            TENANT,
            "`client_credentials` needs one tenant: its id or its domain",
        );
    }
    if values.has(REFRESH_TOKEN) {
        report.problem(
            REFRESH_TOKEN,
            format!("contradicts `{GRANT}` = `client_credentials`; leave one out"),
        );
    }
}

fn check_notifications(values: &Values, settings: &Settings, report: &mut Report) {
    if settings.events_enabled && !values.has(CALLBACK_URL) {
        report.problem(CALLBACK_URL, format!("needed while `{EVENTS_ENABLED}` is true"));
    }
    if values.has(SIGNATURE_KEY_PREVIOUS) && !values.has(SIGNATURE_KEY) {
        report.problem(SIGNATURE_KEY, format!("needed beside `{SIGNATURE_KEY_PREVIOUS}`"));
    }
    let resources = settings.resources.iter().map(|resource| resource.name.as_str());
    let known: Vec<&str> = FACETS.iter().copied().chain(resources).collect();
    for object in settings
        .filter
        .objects
        .iter()
        .filter(|object| !known.contains(&object.as_str()))
    {
        let message = keys::unknown("object type", object, known.iter().copied());
        report.problem(FILTER_OBJECTS, format!("{}: {message}", quoted(object)));
    }
}

/// A configuration in canonical form. Keys that are unknown here mean nothing and are passed over.
struct Values(Configuration);

impl Values {
    fn read(configuration: &Configuration, report: &mut Report) -> Values {
        let mut canonical = Configuration::new();
        for (key, value) in configuration {
            let Some(kind) = keys::kind(key) else { continue };
            match kinds::canonical(key, kind, value, report) {
                None | Some(Value::Null) => {}
                Some(value) => {
                    canonical.insert(key.clone(), value);
                }
            }
        }
        Values(canonical)
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn text(&self, key: &str) -> Option<String> {
        self.0
            .get(key)
            .filter(|value| !is_masked(key, value))
            .and_then(Value::as_str)
            .map(str::to_owned)
    }

    fn secret(&self, key: &str) -> Option<Secret> {
        self.text(key).map(Secret::new)
    }

    fn endpoint(&self) -> Option<Secret> {
        let incomplete = withheld(&self.0)
            .iter()
            .any(|key| NOTIFICATION_SECRETS.contains(key));
        if incomplete {
            None
        } else {
            self.secret(CALLBACK_URL)
        }
    }

    fn headers(&self) -> Vec<(String, Secret)> {
        let headers = self
            .0
            .get(HEADERS)
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let readable = headers.filter(|(_, value)| *value != MASK);
        readable
            .filter_map(|(name, value)| Some((name.clone(), Secret::new(value.as_str()?))))
            .collect()
    }

    fn filter(&self) -> Filter {
        let texts = |key: &str| {
            let items = self.0.get(key).and_then(Value::as_array).into_iter().flatten();
            items
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect::<Vec<String>>()
        };
        let types = texts(FILTER_TYPES);
        Filter {
            types: types
                .iter()
                .filter_map(|text| EventType::from_text(text))
                .collect(),
            objects: texts(FILTER_OBJECTS),
            paths: texts(FILTER_PATHS),
        }
    }

    fn interval(&self) -> Option<Interval> {
        let minutes = self.0.get(REFRESH_INTERVAL)?.as_u64()?;
        Some(match minutes > LONGEST_INTERVAL_MINUTES {
            true => Interval::Never,
            false => Interval::Every(Duration::from_secs(60 * minutes)),
        })
    }
}
