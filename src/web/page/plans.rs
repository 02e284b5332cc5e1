//! When resources are polled, by whose word, and when next on the clocks of their schedule's zone: by the settings that hold
//! now.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::call::Call;
use super::layout::{text, time};
use crate::core::model::time_from_text;
use crate::core::plan::{Cadence, Plan};
use crate::store::{ResourceRow, Rows, StoreError};

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

    fn plan(&self, instance_id: i64, resource: &ResourceRow) -> Option<&Plan> {
        self.all.get(&(instance_id, resource.resource.clone()))
    }

    /// When it is polled, and who says so.
    pub(super) fn words(&self, instance_id: i64, resource: &ResourceRow) -> Markup {
        let words = |plan: &Plan| match &plan.disabled_by {
            Some(source) => format!("disabled by {source}"),
            None => format!("{} ({})", plan.cadence, plan.source),
        };
        text(self.plan(instance_id, resource).map(words).unwrap_or_default())
    }

    /// The time of the next poll, for the viewer and on the clocks of its schedule.
    pub(super) fn next(&self, instance_id: i64, resource: &ResourceRow) -> Markup {
        let next = resource.next_poll_at.as_deref();
        let zone = match self.plan(instance_id, resource).map(|plan| &plan.cadence) {
            Some(Cadence::Cron { timezone, .. }) => Some(timezone),
            _ => None,
        };
        let at = next.and_then(time_from_text).zip(zone);
        let local = at.and_then(|(at, zone)| Some((self.call.house.on_clocks_of(at, zone)?, zone)));
        html! {
            (time(next))
            @if let Some((local, zone)) = local { small { (local) " " (zone) } }
        }
    }
}
