//! Signing in by device code from the page: a thread waits for the person, and the page shows the code until it is done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use maud::html;

use super::super::call::Call;
use super::super::reply::Refusal;
use super::id;
use super::layout::{go, note, page, to_instance};
use super::visitor::Visitor;
use crate::core::model::Instance;
use crate::httpd::Reply;

/// Sign-ins that are waited for at the same time, at most.
const MOST: usize = 8;

/// How long the browser waits before it looks again, in seconds.
const LOOK: &str = "3";

/// The last sign-in of each instance, by the instance's id. It outlives its request, and a restart forgets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Devices(Arc<Mutex<BTreeMap<i64, Progress>>>);

/// How a sign-in stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// The provider is asked for a code.
    Asking,
    /// The person is to open `page` and enter `code`.
    Shown {
        page: String,
        code: String,
    },
    Done,
    Failed(String),
}

impl Progress {
    fn is_under_way(&self) -> bool {
        matches!(self, Progress::Asking | Progress::Shown { .. })
    }
}

impl Devices {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, instance_id: i64, progress: Progress) {
        self.lock().insert(instance_id, progress);
    }

    /// Takes a place for the instance's sign-in; false where one is under way already.
    ///
    /// # Errors
    /// 503 when too many are.
    fn take_place(&self, instance_id: i64) -> Result<bool, Refusal> {
        let mut all = self.lock();
        if all.get(&instance_id).is_some_and(Progress::is_under_way) {
            return Ok(false);
        }
        if all.values().filter(|one| one.is_under_way()).count() >= MOST {
            return Err(Refusal::new(
                503,
                "too many people are signing in by device code: wait for them",
            ));
        }
        all.insert(instance_id, Progress::Asking);
        Ok(true)
    }
}

/// Begins a sign-in of `instance`, or goes on with the one under way, and leads to the page that shows it.
pub(super) fn begin(call: &Call<'_>, instance: &Instance) -> Result<Reply, Refusal> {
    let (id, devices) = (instance.id, call.web.devices.clone());
    if devices.take_place(id)? {
        let (house, stop) = (call.house.clone(), Arc::clone(&call.web.stop));
        let told = devices.clone();
        let waiting = move || {
            let signed_in = house.login(&id.to_string(), &stop, &mut |_, code| {
                let (page, code) = (code.page.clone(), code.user_code.clone());
                told.set(id, Progress::Shown { page, code });
            });
            told.set(
                id,
                match signed_in {
                    Ok(_) => Progress::Done,
                    Err(error) => Progress::Failed(Refusal::from(error).message),
                },
            );
        };
        // It ends within a moment of the agent's stop; what a crash cuts off is asked for anew.
        if let Err(error) = thread::Builder::new().name("device-code".into()).spawn(waiting) {
            devices.set(id, Progress::Failed(format!("could not start a thread: {error}")));
        }
    }
    Ok(go(&format!("/page/instances/{id}/device")))
}

/// How the sign-in stands.
pub(super) fn show(call: &Call<'_>, visitor: &Visitor) -> Result<Reply, Refusal> {
    let instance = call.instance(id(call)?)?;
    let progress = call.web.devices.lock().get(&instance.id).cloned();
    let content = html! {
        @match &progress {
            None => (note("no sign-in by device code has begun since the agent started", true)),
            Some(Progress::Asking) => (note("asking Microsoft for a code …", false)),
            Some(Progress::Shown { page, code }) => {
                p { "On any device, open " code { (page) } " and enter" }
                p { strong.code { (code) } }
                p role="status" { "This page waits for it." }
            }
            Some(Progress::Done) => (note("signed in; polling goes on from where it stood", false)),
            Some(Progress::Failed(why)) => (note(why, true)),
        }
        p { (to_instance(instance.id, &instance.name)) }
    };
    let shown = page(visitor, 200, "Sign in by device code", &content);
    Ok(match progress.is_some_and(|progress| progress.is_under_way()) {
        true => shown.with("Refresh", LOOK),
        false => shown,
    })
}
