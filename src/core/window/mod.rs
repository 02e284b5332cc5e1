//! Stand-in until the real module is merged.
use crate::core::model::EventType;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

#[derive(Clone, Debug, PartialEq)]
pub struct Template(String);
impl Template {
    pub fn parse(text: &str) -> Result<Template, String> {
        Ok(Template(text.to_owned()))
    }
    pub fn has_date(&self) -> bool {
        self.0.contains("${")
    }
    pub fn zones(&self) -> Vec<String> {
        Vec::new()
    }
    pub fn expand(
        &self,
        at: Timestamp,
        _zone: &TimeZone,
        _zones: &dyn Fn(&str) -> Option<TimeZone>,
    ) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = self.0.as_str();
        while let Some(i) = rest.find("${") {
            out.push_str(&rest[..i]);
            let j = rest[i..].find('}').unwrap() + i;
            out.push_str(&format!("{at:.3}"));
            rest = &rest[j + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}
#[derive(Clone, Debug, PartialEq)]
pub struct DateFormat(String);
impl DateFormat {
    pub fn new(p: &str) -> Result<DateFormat, String> {
        Ok(DateFormat(p.to_owned()))
    }
}
#[derive(Clone, Debug, PartialEq)]
pub struct DateField {
    pub path: String,
    pub format: Option<DateFormat>,
    pub zone: TimeZone,
}
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub id_field: String,
    pub updated: Option<DateField>,
    pub created: Option<DateField>,
    pub filter_by_updated: bool,
    pub filter_by_current: bool,
    pub tolerance: SignedDuration,
}
pub struct Judged {
    pub id: String,
    pub updated: Option<Timestamp>,
    pub event_type: EventType,
}
pub enum Verdict {
    Ignored,
    Taken(Judged),
}
/// Err: what is wrong with the record.
pub fn judge(raw: &str, rules: &Rules, from: Timestamp, now: Timestamp) -> Result<Verdict, String> {
    let v: serde_json::Value = serde_json::from_str(raw).map_err(|e| e.to_string())?;
    let get = |p: &str| p.split('.').try_fold(&v, |v, k| v.get(k));
    let id = match get(&rules.id_field) {
        Some(serde_json::Value::String(s)) => s.clone(),
        Some(serde_json::Value::Number(n)) => n.to_string(),
        _ => return Err(format!("no id at `{}`", rules.id_field)),
    };
    let date = |f: &DateField| -> Result<Timestamp, String> {
        get(&f.path)
            .and_then(|v| v.as_str())
            .and_then(|s| s.parse().ok())
            .ok_or(format!("record `{id}`: `{}` is no date", f.path))
    };
    let updated = rules.updated.as_ref().map(date).transpose()?;
    let created = rules.created.as_ref().map(date).transpose()?;
    if rules.filter_by_updated && updated.is_some_and(|u| u < from) {
        return Ok(Verdict::Ignored);
    }
    if rules.filter_by_current && updated.is_some_and(|u| u > now) {
        return Ok(Verdict::Ignored);
    }
    let event_type = match (created, updated) {
        (Some(c), Some(u)) if u.duration_since(c) <= rules.tolerance => EventType::Created,
        _ => EventType::Updated,
    };
    Ok(Verdict::Taken(Judged {
        id,
        updated,
        event_type,
    }))
}
