//! Routes as data: method, path, who may enter, and what answers. It finds the route of a request and does nothing else.

use crate::httpd::{Method, Reply};

use super::call::{Call, Params};
use super::page::form::Form;
use super::page::visitor::Visitor;
use super::reply::Refusal;

/// An answer to whom its row lets in.
pub(super) type Plain = fn(&Call<'_>) -> Result<Reply, Refusal>;
/// A page, for whoever has signed in.
pub(super) type Page = fn(&Call<'_>, &Visitor) -> Result<Reply, Refusal>;
/// What a form does, for whoever has signed in.
pub(super) type Action = fn(&Call<'_>, &Visitor, &Form) -> Result<Reply, Refusal>;

/// What answers a request. Pages and forms get what their visitor has to show, so that none can do without it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Plain(Who, Plain),
    Page(Page),
    Form(Action),
}

/// Who may enter without a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Whoever reaches the address.
    Anyone,
    /// Who has the API token.
    Client,
    /// Who has the API token and an instance's own, which says which instance is meant.
    Instance,
}

/// One row.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// Below its table's base; `{name}` stands for one segment.
    pub(super) path: &'static str,
    pub(super) answer: Answer,
}

pub(super) const fn route(method: &'static str, path: &'static str, who: Who, answer: Plain) -> Route {
    Route {
        method,
        path,
        answer: Answer::Plain(who, answer),
    }
}

/// The row of a page.
pub(super) const fn page(path: &'static str, show: Page) -> Route {
    Route {
        method: "GET",
        path,
        answer: Answer::Page(show),
    }
}

/// The row of a page's forms.
pub(super) const fn form(path: &'static str, act: Action) -> Route {
    Route {
        method: "POST",
        path,
        answer: Answer::Form(act),
    }
}

/// Rows with one base path.
#[derive(Debug)]
pub(super) struct Table {
    /// What their paths have in front; empty or with a slash at its beginning only.
    pub(super) base: &'static str,
    pub(super) routes: &'static [Route],
}

/// What there is for a request.
#[derive(Debug)]
pub(super) enum Found {
    Route(&'static Route, Params),
    /// The path exists, with these methods.
    OtherMethods(String),
    Nothing,
}

/// The route for `method` and the undecoded `path`. HEAD is answered as GET; a slash at the end is of no matter.
pub(super) fn find(tables: &'static [Table], method: &Method, path: &str) -> Found {
    let method = match method.as_str() {
        "HEAD" => "GET",
        other => other,
    };
    let fitting = tables.iter().flat_map(|table| {
        let below = path.strip_prefix(table.base);
        let fits = move |route| Some((route, params(route, below?)?));
        table.routes.iter().filter_map(fits)
    });
    let mut fitting: Vec<_> = fitting.collect();
    let Some(fewest) = fitting.iter().map(|(_, params)| params.len()).min() else {
        return Found::Nothing;
    };
    fitting.retain(|(_, params)| params.len() == fewest);
    let allowed: Vec<_> = fitting.iter().map(|(route, _)| route.method).collect();
    match fitting.into_iter().find(|(route, _)| route.method == method) {
        Some((route, params)) => Found::Route(route, params),
        None => Found::OtherMethods(allowed.join(", ")),
    }
}

/// The parameters of `path` when it is that of `route`.
fn params(route: &Route, path: &str) -> Option<Params> {
    let trimmed = |path| match path {
        "/" => "/",
        path => path.strip_suffix('/').unwrap_or(path),
    };
    let (mut words, mut given) = (route.path.split('/'), trimmed(path).split('/'));
    let mut params = Params::new();
    loop {
        match (words.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(word), Some(segment)) => match name(word) {
                Some(name) if !segment.is_empty() => params.push((name, decoded(segment)?)),
                None if word == segment => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

fn name(word: &'static str) -> Option<&'static str> {
    word.strip_prefix('{')?.strip_suffix('}')
}

/// `segment` without its percent escapes; `None` when it is not UTF-8 then.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = after;
            }
            (b'%', _) => return None,
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &Call<'_>) -> Result<Reply, Refusal> {
        Err(Refusal::not_found(""))
    }

    const TABLES: &[Table] = &[
        Table {
            base: "/api",
            routes: &[
                route("GET", "/things", Who::Client, nothing),
                route("GET", "/things/{id}", Who::Client, nothing),
                route("DELETE", "/things/{id}", Who::Client, nothing),
                route("PUT", "/things/all", Who::Client, nothing),
                route("GET", "/things/{id}/parts/{part}", Who::Client, nothing),
            ],
        },
        Table {
            base: "",
            routes: &[route("GET", "/", Who::Anyone, nothing)],
        },
    ];

    #[track_caller]
    fn check(method: Method, path: &str, expect: &str) {
        let found = match find(TABLES, &method, path) {
            Found::Route(route, params) => {
                let params: Vec<_> = params
                    .iter()
                    .map(|(name, value)| format!(" {name}={value}"))
                    .collect();
                route.path.to_owned() + &params.concat()
            }
            Found::OtherMethods(methods) => methods,
            Found::Nothing => "-".to_owned(),
        };
        assert_eq!(found, expect, "{method} {path}");
    }

    #[test]
    fn a_request_finds_its_route_or_the_methods_that_there_are() {
        check(Method::Get, "/", "/");
        check(Method::Get, "", "-");
        check(Method::Get, "/api/things", "/things");
        check(Method::Get, "/api/things/", "/things");
        check(Method::Head, "/api/things/7", "/things/{id} id=7");
        check(Method::Get, "/api/things/a%2Fb%20c", "/things/{id} id=a/b c");
        check(
            Method::Get,
            "/api/things/7/parts/x",
            "/things/{id}/parts/{part} id=7 part=x",
        );
        check(Method::Put, "/api/things/all", "/things/all");
        check(Method::Post, "/api/things/7", "GET, DELETE");
        check(Method::Get, "/api/things/all", "PUT");
        for path in [
            "/things",
            "/api",
            "/api/things//parts/x",
            "/api/things/%zz",
            "/api/things/%ff",
            "/api/things/7/x",
        ] {
            check(Method::Get, path, "-");
        }
    }
}
