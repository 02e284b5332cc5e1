//! What all pages share: the frame around them, the headers that bind the browser, and the pieces that recur.

use maud::{DOCTYPE, Markup, Render, html};

use super::super::reply::Refusal;
use super::html::visible;
use super::visitor::Visitor;
use crate::httpd::Reply;

/// Nothing but this server's own files runs, loads, frames or takes a form.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// `reply` with the headers that every answer of the page has.
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
pub(super) fn page(visitor: &Visitor, status: u16, title: &str, content: &Markup) -> Reply {
    let links = html! {
        a href="/" { "Instances" }
        a href="/page/outbox" { "Outbox" }
        (form(visitor, "/signout", html! { button { "Sign out" } }))
    };
    framed(status, title, &links, content)
}

/// A form to `action`, with the token that says it is one of ours.
pub(super) fn form(visitor: &Visitor, action: &str, fields: impl Render) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="token" value=(visitor.form_token);
            (fields)
        }
    }
}

fn framed(status: u16, title: &str, links: &Markup, content: &Markup) -> Reply {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · deltapost" }
                meta name="viewport" content="width=device-width,initial-scale=1";
                link rel="stylesheet" href="/page/style.css";
                script src="/page/page.js" defer {}
            }
            body {
                a.skip href="#main" { "To the content" }
                header { b { "deltapost" } (links) }
                main #main { h1 { (title) } (content) }
            }
        }
    };
    guarded(Reply::new(status, "text/html; charset=utf-8", visible(&page)))
}

/// The page that asks for the API token.
pub(super) fn sign_in(status: u16, refused: Option<&str>) -> Reply {
    let content = html! {
        @if let Some(why) = refused { (note(why, true)) }
        p {
            "The API token is in the file " code { "api.token" } " of the data directory: "
            code { "sudo cat /var/lib/deltapost/api.token" }
        }
        form method="post" action="/signin" {
            label {
                span { "API token" }
                input type="password" name="api-token" autocomplete="current-password" required autofocus;
            }
            button.main { "Sign in" }
        }
    };
    framed(status, "Sign in", &Markup::default(), &content)
}

/// What became of a sign-in at the provider. The browser sends no session's cookie when it comes from there; the links lead to
/// where it does.
pub(in crate::web) fn came_back(status: u16, said: &str, instance_id: Option<i64>) -> Reply {
    let content = html! {
        (note(said, status >= 400))
        p {
            @match instance_id {
                Some(id) => (link(&format!("/page/instances/{id}"), "To the instance")),
                None => (link("/", "To the instances")),
            }
        }
    };
    framed(status, "Sign-in at Microsoft", &Markup::default(), &content)
}

/// Why something was not done.
pub(super) fn refused(visitor: &Visitor, refusal: &Refusal) -> Reply {
    let content = html! {
        (note(&refusal.message, true))
        p { "Nothing was changed. The browser’s way back leads to what you had filled in." }
        p { (link("/", "To the instances")) }
    };
    page(visitor, refusal.status, "That did not work", &content)
}

/// A remark of several lines.
pub(super) fn note(text: &str, is_bad: bool) -> Markup {
    html! {
        div.note.bad[is_bad] role=(if is_bad { "alert" } else { "status" }) {
            @for line in text.lines() { div { (line) } }
        }
    }
}

/// A time of the database, which the browser shows in the viewer's zone; a dash where there is none.
pub(super) fn time(text: Option<&str>) -> Markup {
    html! {
        @match text {
            Some(text) => time datetime=(text) { (text.get(..19).unwrap_or(text).replace('T', " ")) " UTC" },
            None => span.dim { "–" },
        }
    }
}

/// A state in a word, with a sign before it: colour only repeats it.
pub(super) fn state(word: &str) -> Markup {
    let (class, sign) = match word {
        "ok" | "active" | "delivered" | "done" => ("good", "● "),
        "dead" | "failing" | "failed" | "login required" | "disabled" | "held" | "overdue" => ("bad", "▲ "),
        "throttled" | "backing_off" | "paused" | "faulty records" => ("warn", "◆ "),
        _ => ("dim", "○ "),
    };
    html! { span class=(class) { (sign) (word.replace('_', " ")) } }
}

/// A column: its heading, and its cell in a row. Where the heading begins with `#`, the cells are numbers.
pub(super) type Column<'c, T> = (&'static str, &'c dyn Fn(&T) -> Markup);

/// A table of what `label` says. In a narrow window each row becomes a list, in which each cell has its heading; the roles keep
/// it a table for whoever does not see it.
pub(super) fn table<T>(label: &str, rows: &[T], columns: &[Column<'_, T>]) -> Markup {
    let named = |column: &Column<'_, T>| match column.0.strip_prefix('#') {
        Some(heading) => (heading, Some("n")),
        None => (column.0, None),
    };
    html! {
        div.wide tabindex="0" role="region" aria-label=(label) {
            table role="table" aria-label=(label) {
                thead {
                    tr role="row" {
                        @for (heading, class) in columns.iter().map(named) {
                            th class=[class] scope="col" role="columnheader" { (heading) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr role="row" {
                            @for column in columns {
                                @let (heading, class) = named(column);
                                td class=[class] role="cell" data-of=(heading) { ((column.1)(row)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A piece that is text or a number only.
pub(super) fn text(text: impl Render) -> Markup {
    text.render()
}

/// A link to one of our own pages.
pub(super) fn link(path: &str, words: &str) -> Markup {
    html! { a href=(path) { (words) } }
}

/// Where the page of the instance with that id is.
pub(super) fn path(id: i64) -> String {
    format!("/page/instances/{id}")
}

/// A link to it.
pub(super) fn to_instance(id: i64, name: &str) -> Markup {
    link(&path(id), name)
}

/// A button that asks for `action`.
pub(super) fn button(action: &str, words: &str) -> Markup {
    html! { button name="do" value=(action) { (words) } }
}

/// A box to be ticked, or one of several.
pub(super) fn tick(kind: &str, name: &str, value: &str, is_ticked: bool, words: &str) -> Markup {
    html! {
        label.in {
            input type=(kind) name=(name) value=(value) checked[is_ticked];
            span { (words) }
        }
    }
}
