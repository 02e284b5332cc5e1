//! Why an expression is refused: which field, what was found, what is allowed, and what to write instead.

use super::field::Field;

/// Why an expression is no schedule. What was found is bounded and escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// One field says what it cannot say.
    #[error("{field}: expected {allowed}, got `{found}`")]
    Field {
        field: Field,
        allowed: String,
        found: String,
        hint: Option<String>,
    },
    /// There are not five or six fields.
    #[error(
        "expected five fields (minute, hour, day of month, month, day of week), six with seconds first, \
         or a macro such as `@daily`, got {count} in `{found}`"
    )]
    Fields {
        count: usize,
        found: String,
        hint: Option<String>,
    },
    /// It begins with `@` and is no macro.
    #[error("expected {allowed}, got `{found}`")]
    Macro {
        allowed: String,
        found: String,
        hint: Option<String>,
    },
    /// No date fits: none of the months has any of the days.
    #[error(
        "day of month: expected 1 to {longest} with month `{months}`, got `{days}`, which would never fire"
    )]
    Never {
        days: String,
        months: String,
        longest: u32,
    },
}

impl ScheduleError {
    /// What to write instead, when the mistake tells what was meant.
    pub fn hint(&self) -> Option<String> {
        match self {
            ScheduleError::Field { hint, .. }
            | ScheduleError::Fields { hint, .. }
            | ScheduleError::Macro { hint, .. } => hint.clone(),
            ScheduleError::Never { .. } => Some("`28` is a day that every month has".to_owned()),
        }
    }
}
