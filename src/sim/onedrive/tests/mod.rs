//! The simulator over HTTP, as an agent sees it: what it promises is what the agent's own tests stand on.

use serde_json::Value;

use super::*;

mod feed;
mod service;

const LONG: Duration = Duration::from_secs(30);

/// What came back for one request.
struct Got {
    status: u16,
    location: Option<String>,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn link(&self, name: &str) -> Option<String> {
        self.json()[format!("@odata.{name}")].as_str().map(str::to_owned)
    }

    fn items(&self) -> Vec<Value> {
        self.json()["value"].as_array().unwrap().clone()
    }

    fn ids(&self) -> Vec<String> {
        self.items()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into()
}

struct Client {
    agent: ureq::Agent,
    cloud: OneDrive,
    token: String,
}

impl Client {
    fn of(account: Account) -> Client {
        let cloud = OneDrive::start(account).unwrap();
        let token = cloud.issue_access_token();
        Client {
            agent: agent(),
            cloud,
            token,
        }
    }

    fn feed(&self) -> String {
        format!("{}/me/drive/root/delta", self.cloud.graph_base())
    }

    fn try_get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Got, ureq::Error> {
        let request = self
            .agent
            .get(url)
            .header("Authorization", format!("Bearer {}", self.token));
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        let mut response = request.call()?;
        Ok(Got {
            status: response.status().as_u16(),
            location: response
                .headers()
                .get("location")
                .map(|value| value.to_str().unwrap().to_owned()),
            text: response
                .body_mut()
                .with_config()
                .limit(64 << 20)
                .read_to_string()?,
        })
    }

    fn get(&self, url: &str) -> Got {
        self.try_get(url, &[]).unwrap()
    }

    /// The pages of one set, from `url` to its deltaLink.
    fn set(&self, url: &str, headers: &[(&str, &str)]) -> (Vec<Got>, String) {
        let mut pages = vec![self.try_get(url, headers).unwrap()];
        loop {
            let page = pages.last().unwrap();
            assert_eq!(page.status, 200, "{}", page.text);
            match (page.link("nextLink"), page.link("deltaLink")) {
                (Some(next), None) => pages.push(self.try_get(&next, headers).unwrap()),
                (None, Some(delta)) => return (pages, delta),
                both => panic!("exactly one link: {both:?}"),
            }
        }
    }

    fn token_request(&self, fields: &[(&str, &str)]) -> Got {
        let url = format!("{}/oauth2/v2.0/token", self.cloud.authority());
        let mut response = self.agent.post(url).send_form(fields.iter().copied()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        Got {
            status: response.status().as_u16(),
            location: None,
            text,
        }
    }
}
