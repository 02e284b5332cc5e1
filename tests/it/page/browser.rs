//! Somebody at a browser, as far as it can be told over a socket: cookies, forms and their tokens.

use url::form_urlencoded;

use crate::support::api::{Answer, Api};

/// Somebody at a browser.
pub(crate) struct Browser {
    pub(crate) api: Api,
    pub(crate) cookie: String,
}

impl Browser {
    pub(crate) fn new(api: Api) -> Browser {
        Browser {
            api,
            cookie: String::new(),
        }
    }

    /// One that has signed in.
    pub(crate) fn signed_in(api: Api) -> Browser {
        let mut browser = Browser::new(api);
        let token = browser.api.token.clone();
        let answer = browser.post("/signin", &[("api-token", &token)]).status(303);
        assert_eq!(answer.header("Location"), Some("/"));
        browser.cookie = answer
            .header("Set-Cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        browser
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let host = format!("Host: {}", self.api.address);
        self.api
            .raw("GET", path, &[&host, &format!("Cookie: {}", self.cookie)], "")
    }

    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let host = format!("Host: {}", self.api.address);
        self.api
            .raw("POST", path, &[&host, &format!("Cookie: {}", self.cookie)], &body)
    }

    /// The token of the forms on the page `path`.
    pub(crate) fn form_token(&self, path: &str) -> String {
        let page = self.get(path).status(200).body;
        let token = page.split("name=\"token\" value=\"").nth(1).unwrap();
        token.split('"').next().unwrap().to_owned()
    }

    /// Fills in the form on the page `path`, with its token.
    pub(crate) fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.form_token(path);
        let mut all = vec![("token", token.as_str())];
        all.extend_from_slice(fields);
        self.post(path, &all)
    }
}
