//! Asks the server's webhooks, as the carriers do.

use std::time::{Duration, Instant};

use url::Url;

use super::plan::{Carrier, Origin, Plan};
use crate::twilio::signature;
use crate::twilio::twiml::{self, Method};
use crate::{clock, exotel};

/// The vendor gives up on a webhook after about this long.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The webhooks of one call.
pub struct Webhook {
    http: reqwest::Client,
    base_url: Url,
    public_url: Url,
    call_params: Vec<(String, String)>,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    /// What was asked.
    pub url: String,
    pub status: u16,
    pub content_type: String,
    pub text: String,
    /// When the whole answer was read.
    pub read: Instant,
}

impl Answer {
    /// What the server said when it asked for the call.
    pub(crate) fn said_before(text: &str) -> Self {
        Self {
            url: String::new(),
            status: 200,
            content_type: "text/xml".to_owned(),
            text: text.to_owned(),
            read: clock::now(),
        }
    }

    /// Whether the vendor would read it as a document.
    pub fn is_xml(&self) -> bool {
        let media_type = self.content_type.split(';').next().unwrap_or_default().trim();
        matches!(media_type, "text/xml" | "application/xml")
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("\"{0}\" is not an absolute http or https URL")]
    BadUrl(String),
    #[error("no answer: {0}")]
    Http(String),
    #[error("the answer is over {} bytes", twiml::MAX_BYTES)]
    TooLong,
}

impl From<reqwest::Error> for AskError {
    fn from(error: reqwest::Error) -> Self {
        // The URL may hold a token.
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self::Http(format!("{error}{cause}"))
    }
}

impl Webhook {
    /// The webhooks of the call `call_sid`.
    pub fn new(plan: &Plan, call_sid: &str) -> Result<Self, AskError> {
        let builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(if plan.carrier == Carrier::Twilio { "TwilioProxy/1.1" } else { "Exotel" });
        // Reading the system's certificates is most of the price of a client.
        let builder = if plan.base_url.scheme() == "http" { builder.tls_certs_only([]) } else { builder };
        Ok(Self {
            http: builder.build()?,
            base_url: plan.base_url.clone(),
            public_url: plan.public_url.clone().unwrap_or_else(|| plan.base_url.clone()),
            call_params: match plan.carrier {
                Carrier::Twilio => call_params(plan, call_sid),
                Carrier::Exotel(_) => exotel::flow::call_params(plan, call_sid),
            },
        })
    }

    /// The voice webhook's URL, as the server knows it.
    pub fn voice_url(&self) -> String {
        self.url("twilio/voice")
    }

    /// A URL of the server, as it knows it.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Asks `url`, signed over that text with `auth_token`, or unsigned. `more_params` stand over those of the call.
    pub async fn ask(
        &self,
        url: &str,
        method: Method,
        more_params: &[(&str, &str)],
        auth_token: Option<&str>,
    ) -> Result<Answer, AskError> {
        let mut target = Url::parse(url).map_err(|_| AskError::BadUrl(url.to_owned()))?;
        if !matches!(target.scheme(), "http" | "https") {
            return Err(AskError::BadUrl(url.to_owned()));
        }
        let mut params = self.call_params.clone();
        for (name, value) in more_params {
            params.retain(|(known, _)| known != name);
            params.push(((*name).to_owned(), (*value).to_owned()));
        }
        let (request, signature) = match method {
            Method::Post => {
                let signature = auth_token.map(|token| signature::sign(token, url, &params));
                (self.http.post(self.dialled(&target)).form(&params), signature)
            }
            Method::Get => {
                target.query_pairs_mut().extend_pairs(&params);
                let signature = auth_token.map(|token| signature::sign(token, target.as_str(), &[]));
                (self.http.get(self.dialled(&target)), signature)
            }
        };
        let mut request = request.header("I-Twilio-Idempotency-Token", uuid::Uuid::new_v4().to_string());
        if let Some(signature) = signature {
            request = request.header("X-Twilio-Signature", signature);
        }
        read(url, request.send().await?).await
    }

    /// Asks `url` with what the carrier tells of the call and `more_params` in its query, unsigned.
    pub async fn get(&self, url: &str, more_params: &[(&str, &str)]) -> Result<Answer, AskError> {
        let mut target = Url::parse(url).map_err(|_| AskError::BadUrl(url.to_owned()))?;
        target.query_pairs_mut().extend_pairs(&self.call_params).extend_pairs(more_params);
        read(url, self.http.get(self.dialled(&target)).send().await?).await
    }

    /// Where a URL of the server is reached: the public base stands for the base under test, and what is under test
    /// speaks TLS or not, whatever the URL says.
    pub fn dialled(&self, url: &Url) -> Url {
        let mut dialled = url.clone();
        if !same_place(url, &self.public_url) && !same_place(url, &self.base_url) {
            return dialled;
        }
        let secure = self.base_url.scheme() == "https";
        let scheme = match (url.scheme().starts_with("ws"), secure) {
            (true, true) => "wss",
            (true, false) => "ws",
            (false, true) => "https",
            (false, false) => "http",
        };
        // Each of these fails only for URLs that are not http(s) or ws(s), which have been refused.
        let port = self.base_url.port_or_known_default();
        if dialled.set_scheme(scheme).is_err()
            || dialled.set_host(self.base_url.host_str()).is_err()
            || dialled.set_port(port).is_err()
        {
            return url.clone();
        }
        dialled
    }
}

async fn read(url: &str, mut response: reqwest::Response) -> Result<Answer, AskError> {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > twiml::MAX_BYTES {
            return Err(AskError::TooLong);
        }
    }
    let url = url.to_owned();
    Ok(Answer {
        url,
        status,
        content_type,
        text: String::from_utf8_lossy(&body).into_owned(),
        read: clock::now(),
    })
}

/// Host and port, with the port that the URL or its scheme, plain or secure, stands for.
fn same_place(a: &Url, b: &Url) -> bool {
    let port = |url: &Url| match (url.port(), url.scheme()) {
        (Some(port), _) => port,
        (None, "http" | "ws") => 80,
        (None, _) => 443,
    };
    let one_without_port = a.port().is_none() && b.port().is_none();
    a.host() == b.host() && (one_without_port || port(a) == port(b))
}

/// What the vendor tells of an incoming call. `ParentCallSid` belongs to dialled legs only.
fn call_params(plan: &Plan, call_sid: &str) -> Vec<(String, String)> {
    let token = uuid::Uuid::new_v4().to_string();
    let direction = if plan.origin == Origin::Dialled { "inbound" } else { "outbound-api" };
    [
        ("CallSid", call_sid),
        ("AccountSid", &plan.account_sid),
        ("From", &plan.from),
        ("To", &plan.to),
        ("Caller", &plan.from),
        ("Called", &plan.to),
        ("CallStatus", "ringing"),
        ("ApiVersion", "2010-04-01"),
        ("Direction", direction),
        ("ForwardedFrom", ""),
        ("CallerName", "WIRELESS CALLER"),
        ("CallToken", &token),
        ("StirVerstat", "TN-Validation-Passed-A"),
        ("FromCity", "SAN JOSÉ"),
        ("FromState", "CA"),
        ("FromZip", "95101"),
        ("FromCountry", "US"),
        ("ToCity", ""),
        ("ToState", "DC"),
        ("ToZip", ""),
        ("ToCountry", "US"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled(base: &str, public: Option<&str>, url: &str) -> String {
        let mut plan = Plan::new(Url::parse(base).unwrap(), "+12025550100", "+12025550199", "t");
        plan.public_url = public.map(|public| Url::parse(public).unwrap());
        // A client cannot be built without the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Webhook::new(&plan, "CA1").unwrap().dialled(&Url::parse(url).unwrap()).to_string()
    }

    #[test]
    fn the_public_base_stands_for_the_server_under_test() {
        let public = Some("https://voice.example.com");
        let base = "http://127.0.0.1:8080";
        assert_eq!(dialled(base, public, "wss://voice.example.com/m/1/t"), "ws://127.0.0.1:8080/m/1/t");
        assert_eq!(
            dialled(base, public, "https://voice.example.com/after?x=1"),
            "http://127.0.0.1:8080/after?x=1"
        );
        assert_eq!(dialled(base, public, "https://other.example.com/a"), "https://other.example.com/a");
        assert_eq!(dialled(base, None, "wss://127.0.0.1:8080/m"), "ws://127.0.0.1:8080/m");
        assert_eq!(dialled(base, None, "wss://127.0.0.1:9999/m"), "wss://127.0.0.1:9999/m");
        assert_eq!(
            dialled("https://voice.example.com", None, "wss://voice.example.com/m"),
            "wss://voice.example.com/m"
        );
    }
}
