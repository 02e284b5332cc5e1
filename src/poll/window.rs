//! How a collection without a feed is polled: what was updated since the last window, page by page, each committed before
//! the next is asked for. The lower bound moves when a window has been read whole. What the records' dates mean is decided
//! in `core::window`.

use jiff::{SignedDuration, Timestamp};

use super::reading::Run;
use super::{PollError, RESTARTS};
use crate::core::cycle::{Cycle, Quiet};
use crate::core::detect;
use crate::core::elements;
use crate::core::feed::Window;
use crate::core::fingerprint;
use crate::core::model::{BaselineMode, Change, EventType, Phase, Secret, time_text};
use crate::core::phase::{Depth, Event, Restart};
use crate::core::shown::shown;
use crate::core::window::{self, Judged, Rules, Verdict};
use crate::graph::error::GraphError;
use crate::graph::link;
use crate::graph::page::{self, PageError, RecordsPiece};
use crate::killpoint;
use crate::store::{Resource, SeenRecord, WindowStep};

/// Faults of one poll that its note tells of, each in its own words.
const TOLD_FAULTS: u64 = 3;

/// How exactly an answer tells the provider's time: to a second, and the time that it took.
const MARGIN: SignedDuration = SignedDuration::from_secs(2);

/// The least that a request's date can be before a window.
const MOMENT: SignedDuration = SignedDuration::from_millis(1);

/// What one page of records means.
#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    seen: Vec<SeenRecord>,
    unchanged: u64,
    filtered: u64,
    faults: Vec<String>,
}

/// A window: what was updated from `from` on is asked for, and the next one begins at `to`.
#[derive(Clone, Copy)]
struct Bounds {
    from: Timestamp,
    to: Timestamp,
}

impl Run<'_> {
    /// Reads one window to its end. One that an earlier poll left behind is read to its end first: it says nothing of what
    /// came after it began.
    pub(super) fn read_window(
        &mut self,
        mut resource: Resource,
        depth: Depth,
        window: &Window,
    ) -> Result<(), PollError> {
        self.begin_window(&resource, depth)?;
        let rules = self.rules_of(window)?;
        let mut left_behind = self.poller.store.resource(resource.id)?.window_to.is_some();
        loop {
            resource = self.poller.store.resource(resource.id)?;
            if self.ends_early()? {
                return Ok(());
            }
            if self.read_records(&resource, window, &rules)? && !std::mem::take(&mut left_behind) {
                return Ok(());
            }
        }
    }

    fn begin_window(&mut self, resource: &Resource, depth: Depth) -> Result<(), PollError> {
        self.keep_quiet()?;
        match depth {
            Depth::Changes => return Ok(()),
            Depth::Rebaseline => {
                self.token(None)?;
                self.poller.store.start_over(resource, Restart::Rebaseline)?;
            }
            Depth::Resync | Depth::AcceptedResync => {
                self.poller.store.happened(resource, Event::WindowAgain)?;
                let since = resource
                    .window_from
                    .map_or_else(|| "the start".to_owned(), time_text);
                self.record.note = Some(format!(
                    "by dates there is nothing to compare with: what was updated since {since} is read again"
                ));
            }
        }
        Ok(())
    }

    /// The window to be read, when it is `now` to this box. It ends at the provider's present, since its dates are the
    /// provider's; what answers do not tell exactly errs to the earlier side, and the next window shows that part again.
    fn bounds(&self, resource: &Resource, window: &Window, rules: &Rules, now: Timestamp) -> Bounds {
        let to = resource
            .window_to
            .unwrap_or_else(|| self.poller.client.to_provider(now));
        let to = to.max(resource.window_from.unwrap_or(to));
        let since = match resource.window_from {
            Some(at) => at,
            None if resource.baseline == BaselineMode::Emit => Timestamp::UNIX_EPOCH,
            None => resource.since.unwrap_or(to).min(to),
        };
        Bounds {
            from: rules.floor(behind(since, window)),
            to,
        }
    }

    /// Reads and commits one page of records. Returns whether it was the window's last.
    fn read_records(
        &mut self,
        resource: &Resource,
        window: &Window,
        rules: &Rules,
    ) -> Result<bool, PollError> {
        let base = self.poller.client.base();
        let now = self.poller.clock.now();
        let mut bounds = self.bounds(resource, window, rules, now);
        // What is learnt silently must reach back behind where the next window begins, whatever the answer tells of time.
        let learns = resource.window_from.is_none() && resource.baseline != BaselineMode::Emit;
        let margin = if learns { MARGIN } else { SignedDuration::ZERO };
        let link = match resource.cursor.clone() {
            Some(link) => link,
            None => {
                // Begun again, a window goes by the same links.
                self.cycle = Cycle::default();
                let from = bounds.from.saturating_sub(margin).unwrap_or(bounds.from);
                let url = self.expanded(window, from)?;
                link::first_link(base, &url, &self.feed, resource.baseline, resource.page_size)?
            }
        };
        let fetched = match self.fetch(resource, &link) {
            Ok(fetched) => fetched,
            Err(error) => return self.begin_again(resource, error),
        };
        killpoint::reached("fetched");
        let working = self.poller.pages.take();
        let page = match page::records(&fetched.body, base) {
            Ok(page) => page,
            Err(error) => return self.begin_again(resource, error.into()),
        };
        if let Some(next) = &page.next
            && self.cycle.closes_with(next.expose())
        {
            self.poller.store.happened(resource, Event::WindowAgain)?;
            return Err(PollError::Cycle);
        }
        if resource.window_to.is_none() {
            // The answer tells the provider's time, of which the request knew nothing, or what had held before a clock was
            // set.
            let told = self.bounds(resource, window, rules, now);
            if learns && bounds.to.duration_since(told.to) > margin {
                self.restarts += 1;
                if self.restarts > RESTARTS {
                    return Err(PollError::ClockGoesBack);
                }
                return Ok(false);
            }
            bounds.to = bounds.to.min(told.to);
            bounds.from = bounds.from.min(told.from);
        }
        let mut resource = resource.clone();
        let (mut items, mut has_news) = (0, false);
        for piece in page.pieces() {
            has_news |= self.commit_records(&resource, &piece, page.next.as_ref(), rules, bounds)?;
            items += piece.raw.len();
            killpoint::reached("committed");
            // What is left of the page comes when it is read again.
            if !piece.last && self.stops()? {
                return Ok(true);
            }
            resource.cursor_seq += 1;
        }
        drop(working);
        if page.next.is_some() {
            return match self.quiet.goes_too_far(items, has_news) {
                true => Err(PollError::Endless),
                false => Ok(false),
            };
        }
        self.quiet = Quiet::default();
        let next = rules.floor(behind(bounds.to, window));
        self.poller
            .store
            .forget_records(resource.id, next, resource.generation)?;
        Ok(true)
    }

    /// Begins the window again where the provider does not know its next page any more. What was announced of it is
    /// remembered, so nothing comes twice.
    fn begin_again(&mut self, resource: &Resource, error: PollError) -> Result<bool, PollError> {
        let lost = matches!(
            error,
            PollError::Page(PageError::Stale { .. })
                | PollError::Graph(
                    GraphError::Gone { .. }
                        | GraphError::Refused {
                            status: 400 | 404,
                            ..
                        }
                )
        );
        if !lost || resource.cursor.is_none() {
            return Err(error);
        }
        self.restarts += 1;
        if self.restarts > RESTARTS {
            return Err(PollError::Restarted);
        }
        log::warn!(
            "the next page is not known any more, the window begins again instance={:?} resource={:?} error={:?}",
            self.instance.name,
            resource.name,
            error.to_string()
        );
        self.poller.store.happened(resource, Event::WindowAgain)?;
        Ok(false)
    }

    /// Returns whether there was anything new on the page.
    fn commit_records(
        &mut self,
        resource: &Resource,
        piece: &RecordsPiece<'_>,
        next: Option<&Secret>,
        rules: &Rules,
        bounds: Bounds,
    ) -> Result<bool, PollError> {
        let now = self.poller.clock.now();
        let mut found = self.judge(resource, piece, rules, bounds)?;
        let notifications = self.announce(resource, &found.changes, now);
        let events = std::mem::take(&mut found.changes).len();
        self.poller.store.commit_records(
            resource,
            &WindowStep {
                to: bounds.to,
                next,
                last: piece.last,
                seen: &found.seen,
                notifications: &notifications,
                faults: found.faults.len() as u64,
                last_fault: found.faults.last().map(String::as_str),
                now,
            },
        )?;
        self.record.pages += u64::from(piece.last);
        self.record.items += piece.raw.len() as u64;
        self.record.unchanged += found.unchanged;
        self.record.filtered += found.filtered;
        self.record.events += events as u64;
        self.note_faults(&found.faults);
        (self.progress)(self.record);
        Ok(found.unchanged + (found.faults.len() as u64) < piece.raw.len() as u64)
    }

    /// What records mean, each held against what is remembered of it.
    fn judge(
        &self,
        resource: &Resource,
        piece: &RecordsPiece<'_>,
        rules: &Rules,
        bounds: Bounds,
    ) -> Result<Found, PollError> {
        let mut found = Found::default();
        let now = self.poller.client.to_provider(self.poller.clock.now());
        let mut taken: Vec<(Judged, &str)> = Vec::new();
        for raw in &piece.raw {
            match window::judge(raw, rules, bounds.from, now) {
                Ok(Verdict::Taken(judged)) => taken.push((judged, raw)),
                Ok(Verdict::Ignored) => found.unchanged += 1,
                Err(fault) => found.faults.push(shown(&fault)),
            }
        }
        let ids = taken.iter().map(|(judged, _)| judged.id.as_str());
        let ordered = rules.keeps_order();
        let mut known = self.poller.store.seen_records(resource.id, ids)?;
        for (judged, raw) in taken {
            let seen = SeenRecord {
                fingerprint: fingerprint::of_texts(&[raw]),
                id: judged.id.clone(),
                // Unfiltered, an old record may be shown by every window, so it is remembered for as long as it is.
                updated: judged.updated.filter(|_| rules.filter_by_updated),
            };
            let before = known.get(&judged.id);
            // Where a later date means a later update, an earlier one comes from a replica that lags.
            if before.is_some_and(|before| *before == seen || (ordered && before.updated > seen.updated)) {
                found.unchanged += 1;
                if seen.updated.is_none() {
                    found.seen.push(seen);
                }
                continue;
            }
            // Of what is learnt silently, what was updated since the creation is not.
            let since = resource.since.map(|since| rules.floor(since));
            let learnt = resource.silent && (since.is_none() || judged.updated < since);
            let change = self.change(resource, &judged, raw, before.is_some());
            known.insert(judged.id, seen.clone());
            found.seen.push(seen);
            match change {
                _ if learnt => {}
                change if detect::wanted(&change, &self.settings.filter) => found.changes.push(change),
                _ => found.filtered += 1,
            }
        }
        Ok(found)
    }

    /// The event of one record. One that exists when all is announced is new to whoever listens; one that was announced
    /// is not.
    fn change(&self, resource: &Resource, judged: &Judged, raw: &str, announced: bool) -> Change {
        let event_type = match resource.phase {
            _ if announced => EventType::Updated,
            Phase::Baseline if !resource.silent => EventType::Created,
            _ => judged.event_type,
        };
        Change {
            event_type,
            object_id: judged.id.clone(),
            object_type: resource.name.clone(),
            date: judged.updated.unwrap_or_else(|| self.poller.clock.now()),
            path: None,
            aspects: Vec::new(),
            previous: None,
            raw: Some(raw.to_owned()),
        }
    }

    /// Tells the first few faults of the poll one by one, and counts the rest.
    fn note_faults(&mut self, faults: &[String]) {
        for fault in faults {
            self.record.faults += 1;
            let note = self.record.note.get_or_insert_default();
            match self.record.faults {
                1..=TOLD_FAULTS if note.is_empty() => *note = fault.clone(),
                1..=TOLD_FAULTS => *note = format!("{note}; {fault}"),
                _ => {}
            }
        }
    }

    /// The url with its dates filled in. They are a moment before the window, since urls ask for what is later (`gt`, `>`) as
    /// often as for what is not earlier: a record of the bound's own second may have come after the last answer.
    fn expanded(&self, window: &Window, from: Timestamp) -> Result<String, PollError> {
        let invalid = |problem| self.not_valid(problem);
        let zones = |name: &str| self.zones.find(name).ok();
        let zone = self.zone(window.zone.as_deref().unwrap_or("UTC"))?;
        let before = from.saturating_sub(MOMENT).unwrap_or(from);
        let before = before.max(Timestamp::UNIX_EPOCH);
        let url = window.template.expand(before, &zone, &zones).map_err(invalid)?;
        elements::refuse_detour(&url).map_err(invalid)?;
        Ok(url)
    }

    fn rules_of(&self, window: &Window) -> Result<Rules, PollError> {
        window
            .rules(&|name| self.zones.find(name).ok())
            .map_err(|problem| self.not_valid(problem))
    }

    fn zone(&self, name: &str) -> Result<jiff::tz::TimeZone, PollError> {
        self.zones
            .find(name)
            .map_err(|error| self.not_valid(error.to_string()))
    }

    fn not_valid(&self, problem: String) -> PollError {
        PollError::Configuration {
            instance: self.instance.name.clone(),
            problem,
        }
    }
}

/// `since`, less what is asked for again.
fn behind(since: Timestamp, window: &Window) -> Timestamp {
    let from = since.saturating_sub(window.poll_delay);
    from.unwrap_or(Timestamp::UNIX_EPOCH).max(Timestamp::UNIX_EPOCH)
}
