//! The provider at its worst: tokens, the drives' feeds, and what goes wrong with them. It notes who asked for what and
//! when, and who asked although the app had been told to wait.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::dice::{Dice, now};
use super::drive::Drive;
use super::http::{Reach, Reply, Request, serve};

/// What goes wrong with the requests for one drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 429 with `Retry-After` in seconds; it means the whole app in its tenant.
    Throttle(u64),
    /// 503 with `Retry-After`.
    Unavailable(u64),
    /// 503 without.
    Overload,
    /// 410, with a `Location` or without.
    Gone(bool),
    Slow,
    Truncated,
    Closed,
    NeverAnswered,
    LoginPage,
    /// 401 until the token is renewed.
    Unauthorised,
    /// 500 that quotes the request, its token included.
    Echo,
}

/// A signed-in app: whose tokens these are.
#[derive(Clone, Debug)]
struct Grant {
    instance: String,
    app: String,
    drives: Vec<usize>,
}

/// A request for a page.
pub(crate) struct Asked {
    pub(crate) at: f64,
    pub(crate) instance: String,
    pub(crate) drive: usize,
}

/// A cursor at now that an instance was given.
struct Anchor {
    instance: String,
    drive: usize,
    at: f64,
    /// Its token, and those of the pages behind it.
    tokens: HashSet<String>,
    /// One of them was turned away with 410.
    stale: bool,
}

#[derive(Default)]
struct Desk {
    codes: HashMap<String, Grant>,
    refresh: HashMap<String, Grant>,
    access: HashMap<String, Grant>,
    /// For each drive: the fault, until when, and that it strikes one request in so many.
    faults: HashMap<usize, (Fault, f64, usize)>,
    /// Apps that were told to wait: since when and until when.
    told_to_wait: HashMap<String, (f64, f64)>,
    impatience: Vec<String>,
    asked: Vec<Asked>,
    anchors: Vec<Anchor>,
    secrets: Vec<String>,
}

pub(crate) struct Provider {
    drives: Vec<Arc<Mutex<Drive>>>,
    desk: Mutex<Desk>,
    dice: Mutex<Dice>,
    origin: Mutex<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    pub(crate) fn start(drives: Vec<Drive>, seed: u64) -> Arc<Provider> {
        let provider = Arc::new(Provider {
            drives: drives
                .into_iter()
                .map(|drive| Arc::new(Mutex::new(drive)))
                .collect(),
            desk: Mutex::new(Desk::default()),
            dice: Mutex::new(Dice::new(seed ^ 0xB0B)),
            origin: Mutex::default(),
        });
        let service = provider.clone();
        let address = serve(move |request| service.answer(request));
        *lock(&provider.origin) = format!("http://{address}");
        provider
    }

    pub(crate) fn origin(&self) -> String {
        lock(&self.origin).clone()
    }

    pub(crate) fn drive(&self, number: usize) -> MutexGuard<'_, Drive> {
        lock(&self.drives[number])
    }

    pub(crate) fn drive_count(&self) -> usize {
        self.drives.len()
    }

    /// A code for an instance of that app, good for these drives; the first is `/me/drive`.
    pub(crate) fn issue_code(&self, instance: &str, app: &str, drives: &[usize]) -> String {
        let code = lock(&self.dice).canary("code");
        let grant = Grant {
            instance: instance.to_owned(),
            app: app.to_owned(),
            drives: drives.to_vec(),
        };
        let mut desk = lock(&self.desk);
        desk.secrets.push(code.clone());
        desk.codes.insert(code.clone(), grant);
        code
    }

    pub(crate) fn spoil(&self, drive: usize, fault: Fault, seconds: f64, one_in: usize) {
        lock(&self.desk)
            .faults
            .insert(drive, (fault, now() + seconds, one_in));
    }

    pub(crate) fn heal(&self) {
        lock(&self.desk).faults.clear();
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets = lock(&self.desk).secrets.clone();
        secrets.extend(self.drives.iter().map(|drive| lock(drive).secret().to_owned()));
        secrets
    }

    pub(crate) fn impatience(&self) -> Vec<String> {
        lock(&self.desk).impatience.clone()
    }

    /// When the instance last asked for a page of the drive.
    pub(crate) fn last_asked(&self, instance: &str, drive: usize) -> Option<f64> {
        let desk = lock(&self.desk);
        let mut asked = desk.asked.iter().rev();
        asked
            .find(|asked| asked.instance == instance && asked.drive == drive)
            .map(|asked| asked.at)
    }

    /// The history of waits is void: the agent was killed, or its clock moved.
    pub(crate) fn forgive(&self) {
        lock(&self.desk).told_to_wait.clear();
    }

    fn answer(&self, request: &Request) -> Reply {
        let path = request.path();
        if path.ends_with("/oauth2/v2.0/token") {
            return self.token(request);
        }
        let bearer = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let token = bearer.unwrap_or_default();
        let grant = lock(&self.desk).access.get(token).cloned();
        let Some(grant) = grant else {
            return refusal(401, "InvalidAuthenticationToken");
        };
        let Some((drive, rest)) = self.resolve(path, &grant) else {
            return refusal(404, "itemNotFound");
        };
        let reply = self
            .fault(drive, &grant, request, token)
            .unwrap_or_else(|| self.content(drive, rest, request));
        self.note_anchor(&grant.instance, drive, request.query("token"), &reply);
        reply
    }

    fn note_anchor(&self, instance: &str, drive: usize, asked: Option<&str>, reply: &Reply) {
        let mut desk = lock(&self.desk);
        let page: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let token = |link: &str| {
            let link = page[link].as_str()?;
            link.split_once("token=").map(|(_, token)| token.to_owned())
        };
        if asked == Some("latest") && reply.status == 200 && reply.reach == Reach::Whole {
            desk.anchors.push(Anchor {
                instance: instance.to_owned(),
                drive,
                at: now(),
                tokens: token("@odata.deltaLink").into_iter().collect(),
                stale: false,
            });
        }
        let of_it = |anchor: &&mut Anchor| {
            anchor.instance == instance
                && anchor.drive == drive
                && asked.is_some_and(|asked| anchor.tokens.contains(asked))
        };
        for anchor in desk.anchors.iter_mut().filter(of_it) {
            anchor.stale |= reply.status == 410;
            anchor.tokens.extend(token("@odata.nextLink"));
        }
    }

    /// Whether the instance was given a cursor at now before its creation answered, and could follow it.
    pub(crate) fn anchored(&self, instance: &str, drive: usize, answered: f64) -> bool {
        let desk = lock(&self.desk);
        let mut anchors = desk.anchors.iter();
        anchors.any(|anchor| {
            anchor.instance == instance && anchor.drive == drive && anchor.at <= answered && !anchor.stale
        })
    }

    fn resolve<'p>(&self, path: &'p str, grant: &Grant) -> Option<(usize, &'p str)> {
        let path = path.strip_prefix("/v1.0/")?;
        if let Some(rest) = path.strip_prefix("me/drive") {
            return Some((grant.drives[0], rest));
        }
        let (id, rest) = path
            .strip_prefix("drives/")?
            .split_once('/')
            .unwrap_or((path, ""));
        let id = id.replace("%21", "!");
        let mine = |drive: &&usize| lock(&self.drives[**drive]).id == id;
        grant
            .drives
            .iter()
            .find(mine)
            .map(|drive| (*drive, &path[path.len() - rest.len()..]))
    }

    fn content(&self, drive: usize, rest: &str, request: &Request) -> Reply {
        let excludes = request.header("deltaExcludeParent") == Some("true");
        let base = format!("{}{}", self.origin(), request.path());
        let drive = lock(&self.drives[drive]);
        match rest.trim_matches('/') {
            "" => {
                let kind = if drive.habits.business {
                    "business"
                } else {
                    "personal"
                };
                Reply::new(200, json!({"id": drive.id, "driveType": kind}).to_string())
            }
            "root" => Reply::new(
                200,
                json!({"id": drive.items[0].id, "root": {}, "folder": {}}).to_string(),
            ),
            "root/delta" => match drive.page(request.query("token"), excludes, &base) {
                Some(page) => Reply::new(200, page.to_string()),
                None => gone(Some(base)),
            },
            _ => refusal(404, "itemNotFound"),
        }
    }

    /// Notes the request, and what is to go wrong with it.
    fn fault(&self, drive: usize, grant: &Grant, request: &Request, token: &str) -> Option<Reply> {
        let mut desk = lock(&self.desk);
        let at = now();
        desk.asked.push(Asked {
            at,
            instance: grant.instance.clone(),
            drive,
        });
        // A creation takes its cursor whatever the app was told before. What was under way goes out once more within a second.
        if let Some((told, until)) = desk.told_to_wait.get(&grant.app).copied()
            && request.query("token") != Some("latest")
            && (told + 1.3..until - 0.3).contains(&at)
        {
            let said = format!(
                "{}: {} asked {:.1} s after app {} was told to wait {:.0} s (at {at:.3})",
                grant.instance,
                request.path(),
                at - told,
                grant.app,
                until - told
            );
            desk.impatience.push(said);
        }
        let (fault, until, one_in) = desk.faults.get(&drive).copied()?;
        if at > until || !lock(&self.dice).one_in(one_in) {
            return None;
        }
        let wait =
            |status, seconds: u64| refusal(status, "activityLimitReached").with("Retry-After", seconds);
        Some(match fault {
            Fault::Throttle(seconds) => {
                let end = at + seconds as f64;
                let wish = desk.told_to_wait.entry(grant.app.clone()).or_insert((at, end));
                if wish.1 < at {
                    wish.0 = at;
                }
                wish.1 = wish.1.max(end);
                wait(429, seconds)
            }
            Fault::Unavailable(seconds) => wait(503, seconds),
            Fault::Overload => refusal(503, "serviceNotAvailable"),
            Fault::Gone(location) => gone(location.then(|| format!("{}{}", self.origin(), request.path()))),
            Fault::Slow => {
                drop(desk);
                let rest = self.resolve(request.path(), grant)?.1;
                self.content(drive, rest, request).after(1.5)
            }
            Fault::Truncated => {
                drop(desk);
                let rest = self.resolve(request.path(), grant)?.1;
                self.content(drive, rest, request).reaching(Reach::Half)
            }
            Fault::Closed => refusal(503, "").reaching(Reach::Nothing),
            Fault::NeverAnswered => refusal(503, "").after(4.0).reaching(Reach::Nothing),
            Fault::LoginPage => {
                Reply::new(200, "<!doctype html><title>Sign in</title>").with("Content-Type", "text/html")
            }
            Fault::Unauthorised => {
                desk.access.remove(token);
                refusal(401, "InvalidAuthenticationToken")
            }
            Fault::Echo => {
                let headers: Vec<String> = request
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {value}"))
                    .collect();
                let message = format!("no such thing: {} with {}", request.target, headers.join("; "));
                Reply::new(
                    500,
                    json!({"error": {"code": "generalException", "message": message}}).to_string(),
                )
            }
        })
    }

    fn token(&self, request: &Request) -> Reply {
        let form: HashMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let mut desk = lock(&self.desk);
        let grant = match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => form.get("code").and_then(|code| desk.codes.remove(code)),
            Some("refresh_token") => form
                .get("refresh_token")
                .and_then(|token| desk.refresh.get(token).cloned()),
            _ => None,
        };
        let Some(grant) = grant else {
            return Reply::new(
                400,
                json!({"error": "invalid_grant", "error_description": "AADSTS70000"}).to_string(),
            );
        };
        let mut dice = lock(&self.dice);
        let (refresh, access) = (dice.canary("refresh"), dice.canary("access"));
        desk.secrets.extend([refresh.clone(), access.clone()]);
        desk.refresh.insert(refresh.clone(), grant.clone());
        desk.access.insert(access.clone(), grant);
        let answer = json!({
            "token_type": "Bearer", "scope": "Files.Read", "expires_in": 3600,
            "access_token": access, "refresh_token": refresh,
        });
        Reply::new(200, answer.to_string())
    }
}

fn refusal(status: u16, code: &str) -> Reply {
    Reply::new(
        status,
        json!({"error": {"code": code, "message": "as the storm has it"}}).to_string(),
    )
}

fn gone(location: Option<String>) -> Reply {
    let inner = json!({"code": "resyncChangesApplyDifferences"});
    let body =
        json!({"error": {"code": "resyncRequired", "message": "Resync required.", "innerError": inner}});
    let reply = Reply::new(410, body.to_string());
    match location {
        Some(location) => reply.with("Location", location),
        None => reply,
    }
}
