//! What all pages share: the frame around them, the headers that bind the browser, and the pieces that recur.

use super::super::reply::Refusal;
use super::html::Html;
use super::visitor::Visitor;
use crate::httpd::Reply;

/// Nothing but this server's own files runs, loads, frames or takes a form.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// `reply` with the headers that every answer of the page bears.
pub(super) fn guarded(reply: Reply) -> Reply {
    reply
        .with("Content-Security-Policy", POLICY)
        // With `no-referrer` a browser sends its own forms with `Origin: null`.
        .with("Referrer-Policy", "same-origin")
        .with("Cross-Origin-Opener-Policy", "same-origin")
        .with("Cache-Control", "no-store")
}

/// Sends the browser to `path`, one of our own.
pub(in crate::web) fn go(path: &str) -> Reply {
    guarded(Reply::empty(303).with("Location", path))
}

/// A whole page.
pub(super) fn page(visitor: &Visitor, status: u16, title: &str, content: &Html) -> Reply {
    let out = form(visitor, "/signout").raw("<button>Sign out</button></form>");
    let bar = Html::new()
        .raw("<header><b>deltapost</b><a href=\"/\">Instances</a><a href=\"/page/outbox\">Outbox</a>")
        .add(&out)
        .raw("</header>");
    framed(status, title, &bar, content)
}

/// A form's beginning, with the token that says it is one of ours.
pub(super) fn form(visitor: &Visitor, action: &str) -> Html {
    Html::new()
        .raw("<form method=\"post\"")
        .attr("action", action)
        .raw("><input type=\"hidden\" name=\"token\"")
        .attr("value", &visitor.form_token)
        .raw(">")
}

fn framed(status: u16, title: &str, bar: &Html, content: &Html) -> Reply {
    let html = Html::new()
        .raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>")
        .text(title)
        .raw(
            " · deltapost</title><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <link rel=\"stylesheet\" href=\"/page/style.css\"><script src=\"/page/page.js\" defer></script></head>\
             <body><a class=\"skip\" href=\"#main\">To the content</a>",
        )
        .add(bar)
        .raw("<main id=\"main\"><h1>")
        .text(title)
        .raw("</h1>")
        .add(content)
        .raw("</main></body></html>");
    guarded(Reply::new(status, "text/html; charset=utf-8", html.into_string()))
}

/// The page that asks for the API token.
pub(super) fn sign_in(status: u16, refused: Option<&str>) -> Reply {
    let content = Html::new()
        .some(refused, |why| note(why, true))
        .raw(
            "<p>The API token is in the file <code>api.token</code> of the data directory: \
             <code>sudo cat /var/lib/deltapost/api.token</code></p>\
             <form method=\"post\" action=\"/signin\"><label><span>API token</span>\
             <input type=\"password\" name=\"api-token\" autocomplete=\"current-password\" required autofocus></label>\
             <button class=\"main\">Sign in</button></form>",
        );
    let bar = Html::new().raw("<header><b>deltapost</b></header>");
    framed(status, "Sign in", &bar, &content)
}

/// What became of a sign-in at the provider. Whoever comes from there bears no session's cookie yet; the links lead to where
/// it counts again.
pub(in crate::web) fn came_back(status: u16, said: &str, instance_id: Option<i64>) -> Reply {
    let on = match instance_id {
        Some(id) => link(&format!("/page/instances/{id}"), "To the instance"),
        None => link("/", "To the instances"),
    };
    let content = note(said, status >= 400).raw("<p>").add(&on).raw("</p>");
    let bar = Html::new().raw("<header><b>deltapost</b></header>");
    framed(status, "Sign-in at Microsoft", &bar, &content)
}

/// Why something was not done.
pub(super) fn refused(visitor: &Visitor, refusal: &Refusal) -> Reply {
    let content = note(&refusal.message, true)
        .raw("<p>Nothing was changed. The browser’s way back leads to what you had filled in.</p><p><a href=\"/\">To the instances</a></p>");
    page(visitor, refusal.status, "That did not work", &content)
}

/// A remark of several lines.
pub(super) fn note(text: &str, is_bad: bool) -> Html {
    let role = match is_bad {
        true => "<div class=\"note bad\" role=\"alert\">",
        false => "<div class=\"note\" role=\"status\">",
    };
    Html::new()
        .raw(role)
        .each(text.lines(), |line| {
            Html::new().raw("<div>").text(line).raw("</div>")
        })
        .raw("</div>")
}

/// A time of the database, which the browser shows in the viewer's zone; a dash where there is none.
pub(super) fn time(text: Option<&str>) -> Html {
    match text {
        None => Html::new().raw("<span class=\"dim\">–</span>"),
        Some(text) => {
            let seconds = text.get(..19).unwrap_or(text).replace('T', " ");
            Html::new()
                .raw("<time")
                .attr("datetime", text)
                .raw(">")
                .text(&seconds)
                .raw(" UTC</time>")
        }
    }
}

/// A state in a word, with a sign before it: colour only repeats it.
pub(super) fn state(word: &str) -> Html {
    let (class, sign) = match word {
        "ok" | "active" | "delivered" | "done" => ("good", "● "),
        "dead" | "failing" | "failed" | "login required" | "disabled" | "held" | "overdue" => ("bad", "▲ "),
        "throttled" | "backing_off" | "paused" | "faulty records" => ("warn", "◆ "),
        _ => ("dim", "○ "),
    };
    Html::new()
        .raw("<span")
        .attr("class", class)
        .raw(">")
        .text(sign)
        .text(&word.replace('_', " "))
        .raw("</span>")
}

/// A table of what `label` says, below headings; those that begin with `#` are of numbers. In a narrow window each row becomes a
/// list, in which each cell bears its heading; the roles keep it a table for whoever does not see it.
pub(super) fn table(label: &'static str, headings: &[&'static str], rows: Vec<Vec<Html>>) -> Html {
    let is_number = |at: usize| headings.get(at).is_some_and(|heading| heading.starts_with('#'));
    let head = Html::new().each(headings, |heading| match heading.strip_prefix('#') {
        Some(heading) => Html::new()
            .raw("<th class=\"n\" scope=\"col\" role=\"columnheader\">")
            .text(heading)
            .raw("</th>"),
        None => Html::new()
            .raw("<th scope=\"col\" role=\"columnheader\">")
            .text(heading)
            .raw("</th>"),
    });
    let body = Html::new().each(rows, |row| {
        let cells = row.into_iter().enumerate();
        Html::new()
            .raw("<tr role=\"row\">")
            .each(cells, |(at, cell)| {
                let open = if is_number(at) {
                    "<td role=\"cell\" class=\"n\""
                } else {
                    "<td role=\"cell\""
                };
                let heading = headings
                    .get(at)
                    .map_or("", |heading| heading.trim_start_matches('#'));
                Html::new()
                    .raw(open)
                    .attr("data-of", heading)
                    .raw(">")
                    .add(&cell)
                    .raw("</td>")
            })
            .raw("</tr>")
    });
    Html::new()
        .raw("<div class=\"wide\" tabindex=\"0\" role=\"region\"")
        .attr("aria-label", label)
        .raw("><table role=\"table\"")
        .attr("aria-label", label)
        .raw("><thead><tr role=\"row\">")
        .add(&head)
        .raw("</tr></thead><tbody>")
        .add(&body)
        .raw("</tbody></table></div>")
}

/// A piece that is text only.
pub(super) fn text(text: &str) -> Html {
    Html::new().text(text)
}

/// A number.
pub(super) fn number(number: i64) -> Html {
    Html::new().number(number)
}

/// A link to a page of several beside each other; `is_here` where it is the one that is shown.
pub(super) fn tab(path: &str, words: &str, is_here: bool) -> Html {
    Html::new()
        .raw("<a")
        .attr("href", path)
        .raw(if is_here { " aria-current=\"page\">" } else { ">" })
        .text(words)
        .raw("</a>")
}

/// A link to one of our own pages.
pub(super) fn link(path: &str, words: &str) -> Html {
    Html::new()
        .raw("<a")
        .attr("href", path)
        .raw(">")
        .text(words)
        .raw("</a>")
}
