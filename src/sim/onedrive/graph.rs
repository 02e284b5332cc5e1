//! Graph's routes: which drive a path means, who may see it, and how its answers and refusals are worded.

use std::sync::PoisonError;

use serde_json::json;

use super::account::Kind;
use super::collection::Collection;
use super::drive::Drive;
use super::fault::{Fault, excludes_parents};
use super::feed::{Answer, Query};
use super::identity::Access;
use super::state::{ROOT, State};
use super::{Service, decoded};
use crate::clock::{Clock, SystemClock};
use crate::httpd::{Method, Reply, Request};

impl Service {
    pub(super) fn graph(
        &self,
        path: &[&str],
        request: &Request<'_>,
        fault: Option<&Fault>,
    ) -> Result<Reply, Reply> {
        let access = self.access(request)?;
        let route = self
            .routes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(request.path())
            .cloned();
        if let Some(route) = route {
            return Ok(route(request));
        }
        if *request.method != Method::Get {
            return Err(error(405, "notAllowed", "only GET is simulated"));
        }
        let whole = format!("/{}", path.join("/"));
        let origin = self.called();
        let collections = self
            .collections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let answered = |collection: &Collection| collection.answer(&whole, &origin, request, fault);
        if let Some(reply) = collections.iter().find_map(answered) {
            return Ok(reply);
        }
        let (drive, rest) = self.drive_of(path, access)?;
        if drive.lock().removed {
            return Err(not_found());
        }
        match rest {
            [] => Ok(Reply::json(200, drive.lock().describe())),
            ["root"] => drive
                .lock()
                .item_json(None)
                .map(|json| Reply::json(200, json))
                .ok_or_else(not_found),
            ["items", id] => drive
                .lock()
                .item_json(Some(id))
                .map(|json| Reply::json(200, json))
                .ok_or_else(not_found),
            ["root", "delta"] => Ok(self.delta(&drive, None, request, fault)),
            ["items", id, "delta"] => self.folder_delta(&drive, |state| state.find(id), request, fault),
            ["root:", names @ .., "delta"] => {
                let path = names.join("/");
                let path = path.strip_suffix(':').ok_or_else(not_found)?;
                self.folder_delta(&drive, |state| state.at_path(path), request, fault)
            }
            _ => Err(not_found()),
        }
    }

    /// The drive that `path` leads to, as far as whoever asks may see it, and what of the path is left.
    fn drive_of<'p>(&self, path: &'p [&'p str], access: Access) -> Result<(Drive, &'p [&'p str]), Reply> {
        match path {
            ["me", "drive", rest @ ..] => match access {
                Access::User(account) => Ok((self.drives()[account].clone(), rest)),
                Access::App => Err(error(
                    400,
                    "BadRequest",
                    "/me request is only valid with delegated authentication flow.",
                )),
            },
            ["drives", id, rest @ ..] | ["users" | "groups" | "sites", id, "drive", rest @ ..] => {
                let account = self.account_of(id).ok_or_else(not_found)?;
                let drive = self.drives()[account].clone();
                let own = access == Access::App || access == Access::User(account);
                if !own && !drive.lock().shared {
                    return Err(error(403, "accessDenied", "Access denied"));
                }
                Ok((drive, rest))
            }
            _ => Err(not_found()),
        }
    }

    /// The feed of one folder. Work accounts have none: theirs is documented for a drive's root only. What was moved out of
    /// the folder is not told.
    fn folder_delta(
        &self,
        drive: &Drive,
        folder: impl Fn(&State) -> Option<usize>,
        request: &Request<'_>,
        fault: Option<&Fault>,
    ) -> Result<Reply, Reply> {
        let folder = folder(&drive.lock()).ok_or_else(not_found)?;
        if folder != ROOT && drive.lock().kind == Kind::Business {
            let message = "Delta is supported for the root of a drive only";
            return Err(error(400, "invalidRequest", message));
        }
        Ok(self.delta(drive, Some(folder).filter(|at| *at != ROOT), request, fault))
    }

    fn delta(
        &self,
        drive: &Drive,
        folder: Option<usize>,
        request: &Request<'_>,
        fault: Option<&Fault>,
    ) -> Reply {
        let option = |name: &str| {
            let pairs = request.query().split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .filter(|(key, _)| decoded(key) == name)
                .map(|(_, value)| value)
                .next()
        };
        let query = Query {
            url: &format!("{}{}", self.called(), request.path()),
            token: option("token"),
            top: option("$top").and_then(|top| top.parse().ok()),
            exclude_parents: excludes_parents(request),
            folder,
        };
        // Another account's token is no error of the client's: to this drive it is as stale as can be.
        let anothers = query.token.is_some_and(|token| self.is_anothers(drive, token));
        if query.token == Some("latest") {
            // What changes from now on bears dates of now, as the answer does.
            drive.advance_to(SystemClock.now());
        }
        let mut state = drive.lock();
        let answer = match fault {
            Some(Fault::Gone(gone)) => state.gone_as(&query, gone),
            _ => state.page(&query, fault),
        };
        let answer = match answer {
            Answer::BadToken if anothers => state.gone(&query),
            answer => answer,
        };
        match answer {
            Answer::Page(body) => Reply::json(200, body),
            Answer::BadToken => error(400, "invalidRequest", "The token is not one of this feed's"),
            Answer::Gone { code, location } => gone_reply(code, location),
        }
    }

    /// Whether a token is one of another drive's feed than this.
    fn is_anothers(&self, drive: &Drive, token: &str) -> bool {
        if drive.lock().knows_token(token) {
            return false;
        }
        let drives: Vec<Drive> = self.drives().clone();
        drives.iter().any(|other| other.lock().knows_token(token))
    }

    fn access(&self, request: &Request<'_>) -> Result<Access, Reply> {
        let token = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        token
            .and_then(|token| self.identity().access_of(token))
            .ok_or_else(|| {
                error(
                    401,
                    "InvalidAuthenticationToken",
                    "Access token is empty, expired or not valid.",
                )
                .with("WWW-Authenticate", "Bearer realm=\"\", error=\"invalid_token\"")
            })
    }

    /// The account whose drive, or whose owner, has this id.
    pub(super) fn account_of(&self, id: &str) -> Option<usize> {
        self.drives().iter().position(|drive| drive.lock().answers_to(id))
    }
}

/// A stale token's answer.
pub(super) fn gone_reply(code: &str, location: Option<String>) -> Reply {
    let message = "Resync required. Replace any local items with the server's version (including deletes)";
    let body = json!({"error": {"code": "resyncRequired", "message": message, "innerError": {"code": code}}});
    let reply = Reply::json(410, body.to_string());
    location.map_or(reply.clone(), |location| reply.with("Location", location))
}

fn not_found() -> Reply {
    error(404, "itemNotFound", "The resource could not be found.")
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, error_body(code, message))
}

/// An error as Graph words it.
pub(super) fn error_body(code: &str, message: &str) -> String {
    let inner = json!({"date": "2026-03-02T08:00:00", "request-id": "5b3f2a1c-0000-4000-8000-000000000000"});
    json!({"error": {"code": code, "message": message, "innerError": inner}}).to_string()
}
