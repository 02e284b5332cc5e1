//! Who is signed in, and whether a form is one of theirs.

use super::super::call::Call;
use super::super::reply::Refusal;
use super::form::Form;
use super::session::COOKIE;

/// Somebody who is signed in.
#[derive(Debug)]
pub(in crate::web) struct Visitor {
    /// The token that their forms hold.
    pub(super) form_token: String,
}

impl Visitor {
    /// Who sent the request; `None` without a session.
    ///
    /// # Errors
    /// 500 when the API token cannot be read.
    pub(super) fn of(call: &Call<'_>) -> Result<Option<Visitor>, Refusal> {
        let token = call.web.gate.token()?;
        let now = &*call.house.clock;
        let form_token = call.web.sessions.form_token(call.cookies(COOKIE), &token, now);
        Ok(form_token.map(|form_token| Visitor { form_token }))
    }

    /// The form that they sent.
    ///
    /// # Errors
    /// 400 where the body is no form; 403 where it does not hold the session's token.
    pub(super) fn form(&self, call: &Call<'_>) -> Result<Form, Refusal> {
        let form = Form::of(call)?;
        match call
            .web
            .sessions
            .is_form_token(&self.form_token, form.get("token"))
        {
            true => Ok(form),
            false => Err(Refusal::new(
                403,
                "this form is not one of this session: load the page again",
            )),
        }
    }
}
