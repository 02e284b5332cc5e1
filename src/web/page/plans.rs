//! When resources are polled, by whose word, and when next on the clocks of their schedule's zone: by the settings that hold
//! now.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::call::Call;
use super::layout::{text, time};
use crate::core::model::time_from_text;
use crate::core::plan::{Cadence, Plan};
use crate::store::{ResourceRow, Rows, StoreError};

/// The plans of an instance's resources, by name.
pub(super) struct Plans<'c> {
    call: &'c Call<'c>,
    all: BTreeMap<String, Plan>,
}

impl<'c> Plans<'c> {
    /// The plans of those resources of an instance that are `shown`.
    pub(super) fn of(
        call: &'c Call<'c>,
        instance_id: i64,
        shown: &[ResourceRow],
    ) -> Result<Plans<'c>, StoreError> {
        let settings = call.house.live.current();
        let mut all = BTreeMap::new();
        call.house.store.planned(Rows::Of(instance_id), |row| {
            if shown.iter().any(|one| one.resource == row.subject.resource) {
                let plan = settings.polling.plan(&row.subject);
                all.insert(row.subject.resource, plan);
            }
        })?;
        Ok(Plans { call, all })
    }

    /// When it is polled, and who says so.
    pub(super) fn words(&self, resource: &ResourceRow) -> Markup {
        let words = |plan: &Plan| match &plan.disabled_by {
            Some(source) => format!("disabled by {source}"),
            None => format!("{} ({})", plan.cadence, plan.source),
        };
        text(self.all.get(&resource.resource).map(words).unwrap_or_default())
    }

    /// The time of the next poll, for the viewer and on the clocks of its schedule.
    pub(super) fn next(&self, resource: &ResourceRow) -> Markup {
        let next = resource.next_poll_at.as_deref();
        let zone = match self.all.get(&resource.resource).map(|plan| &plan.cadence) {
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
