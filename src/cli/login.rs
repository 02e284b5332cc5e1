//! `login`: shows what the person has to do, waits, and tells that it is done.

use serde_json::json;

use super::args::Args;
use super::failure::Failure;
use super::house;
use super::reply::{Reply, printable};
use super::signals;
use crate::core::shown::shown;
use crate::store::Look;

/// Signs an instance in by device code.
pub(super) fn login(args: &Args, id_or_name: &str) -> Result<Reply, Failure> {
    let opened = house::open(args, Look::Brief)?;
    let stop = signals::stop_flag()?;
    let instance = opened.login(id_or_name, &stop, &mut |instance, code| {
        // Now, and on standard error: the answer comes when the person has signed in.
        let minutes = code.expires_in.as_secs() / 60;
        let words = format!(
            "to sign in to `{}`, open {} within {minutes} minutes and enter the code {}",
            shown(&instance.name),
            code.page,
            code.user_code
        );
        eprintln!("{}", printable(&words));
    })?;
    let json = json!({"id": instance.id, "name": instance.name, "grantState": instance.grant_state.as_str()});
    Ok(Reply::either(args, &json, || {
        format!(
            "signed in: instance {} `{}`; polling goes on from where it stood\n",
            instance.id,
            shown(&instance.name)
        )
    }))
}
