//! What the room promises as a whole; what one file promises stands beside it.

mod catalogue;
mod documents;
mod properties;
mod rules;

use serde_json::Value;

use crate::core::model::{ElementKey, Settings};

use super::Document;

const BASE: &str = "https://graph.microsoft.com/v1.0";

/// The documentation's example for `onedrivev2`, verbatim.
const SEED: &str = r#"{"element": {"key": "onedrivev2"},
 "providerData": {"code": "Code on Return the URL"},
 "configuration": {
   "oauth.api.key": "<INSERT_ONEDRIVE_CLIENT_ID>", "oauth.api.secret": "<INSERT_ONEDRIVE_CLIENT_SECRET>",
   "oauth.callback.url": "https://www.yourcallbackurl.com/oauth2callback",
   "event.notification.enabled": "true", "event.vendor.type": "polling",
   "event.notification.callback.url": "https://mycoolapp.com/events", "event.notification.signature.key": "123456",
   "event.poller.refresh_interval": "15",
   "event.poller.configuration": {"events": {"url": "/hubs/documents/events", "idField": "id",
      "datesConfiguration": {"updatedDateField": "lastModifiedDateTime", "updatedDateFormat": "yyyy-MM-dd'T'HH:mm:ss'Z'", "createdDateField": "createdDateTime", "createdDateFormat": "yyyy-MM-dd'T'HH:mm:ss'Z'"}}}},
 "tags": ["Docs"], "name": "OneDriveForDocs"
}"#;

#[track_caller]
fn parsed(text: &str) -> Document {
    super::parse(text).unwrap()
}

/// The problems of a document with this configuration, as they are shown.
#[track_caller]
fn problems(configuration: Value) -> Vec<String> {
    let text = serde_json::json!({"configuration": configuration}).to_string();
    super::parse(&text)
        .expect_err(&text)
        .iter()
        .map(|problem| problem.to_string())
        .collect()
}

/// The settings, or the problems as they are shown, of a document with this configuration.
#[track_caller]
fn read(configuration: Value) -> Result<Settings, Vec<String>> {
    let document = parsed(&serde_json::json!({"configuration": configuration}).to_string());
    super::settings(ElementKey::OneDriveV2, &document.configuration, BASE)
        .map_err(|problems| problems.iter().map(|problem| problem.to_string()).collect())
}
