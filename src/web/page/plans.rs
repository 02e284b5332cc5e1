//! When resources are polled, by whose word, and when next on the clocks of their schedule's zone: by the settings that hold
//! now.

use std::collections::BTreeMap;

use super::super::call::Call;
use super::html::Html;
use super::layout::time;
use crate::core::model::time_from_text;
use crate::core::plan::{Cadence, Plan};
use crate::store::{Rows, StoreError};

/// The plans of resources, by their instance's id and their name.
pub(super) struct Plans<'c> {
    call: &'c Call<'c>,
    all: BTreeMap<(i64, String), Plan>,
}

impl<'c> Plans<'c> {
    /// The plans of all resources.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) fn of_all(call: &'c Call<'c>) -> Result<Plans<'c>, StoreError> {
        let settings = call.web.premises.live.current();
        let mut all = BTreeMap::new();
        call.house.store.planned(Rows::All, |row| {
            let plan = settings.polling.plan(&row.subject);
            all.insert((row.subject.instance_id, row.subject.resource), plan);
        })?;
        Ok(Plans { call, all })
    }

    fn plan(&self, instance_id: i64, resource: &str) -> Option<&Plan> {
        self.all.get(&(instance_id, resource.to_owned()))
    }

    /// When it is polled, and who says so.
    pub(super) fn words(&self, instance_id: i64, resource: &str) -> Html {
        let Some(plan) = self.plan(instance_id, resource) else {
            return Html::new();
        };
        match &plan.disabled_by {
            Some(source) => Html::new().text(&format!("disabled by {source}")),
            None => Html::new().text(&format!("{} ({})", plan.cadence, plan.source)),
        }
    }

    /// The time of the next poll, for the viewer and on the clocks of its schedule.
    pub(super) fn next(&self, instance_id: i64, resource: &str, next: Option<&str>) -> Html {
        let clocks = match self.plan(instance_id, resource).map(|plan| &plan.cadence) {
            Some(Cadence::Cron { timezone, .. }) => next
                .and_then(time_from_text)
                .and_then(|at| Some((self.call.house.on_clocks_of(at, timezone)?, timezone))),
            _ => None,
        };
        time(next).some(clocks, |(local, zone)| {
            Html::new()
                .raw("<small>")
                .text(&format!("{local} {zone}"))
                .raw("</small>")
        })
    }
}
