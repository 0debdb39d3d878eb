//! The gateway from outside: its router, its media socket, and a media role that the test plays.

mod calls;
mod exotel;
mod leases;
mod refusals;
mod webhooks;

use std::{
    convert::Infallible,
    io::Write,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, Stream, StreamExt};
use hmac::{Hmac, Mac};
use mesh::{Drain, Hop, HopError, Pii, ServiceError};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use proto::{
    media::v1::{
        StreamCallRequest, StreamCallResponse, StreamStarted,
        media_service_client::MediaServiceClient,
        media_service_server::{MediaService, MediaServiceServer},
        stream_call_request::Event as ToMedia,
        stream_call_response::Event as FromMedia,
    },
    tenancy::v1::{
        GetProviderKeysRequest, GetProviderKeysResponse, ListInactiveTenantsRequest,
        ListInactiveTenantsResponse, ResolveNumberRequest, ResolveNumberResponse,
        agent_service_client::AgentServiceClient,
        routing_service_client::RoutingServiceClient,
        routing_service_server::{RoutingService, RoutingServiceServer},
    },
};
use sha1::Sha1;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite};
use tonic::{Response, Status, Streaming};
use tower::ServiceExt;

use crate::{Config, TelephonyGw, TwilioAccount};

const AUTH_TOKEN: &str = "12345";
const NUMBER: &str = "+12025550100";
/// Long enough for a busy machine, short enough for a test that fails.
const PATIENCE: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A gateway that serves on loopback.
struct Gateway {
    gw: TelephonyGw,
    drain: Drain,
    address: std::net::SocketAddr,
    streams: mpsc::Receiver<MediaStream>,
}

/// One stream as the media role sees it.
struct MediaStream {
    requests: Streaming<StreamCallRequest>,
    responses: mpsc::Sender<Result<StreamCallResponse, Status>>,
}

impl MediaStream {
    async fn request(&mut self) -> Option<ToMedia> {
        let request =
            tokio::time::timeout(PATIENCE, self.requests.message()).await.expect("no request in time");
        request.ok().flatten().and_then(|request| request.event)
    }

    async fn say(&self, epoch: i64, event: FromMedia) {
        let response = StreamCallResponse { call_id: String::new(), epoch, event: Some(event) };
        self.responses.send(Ok(response)).await.unwrap();
    }

    async fn started(&mut self) -> proto::media::v1::StreamStart {
        let Some(ToMedia::Start(start)) = self.request().await else { panic!("start must come first") };
        self.say(0, FromMedia::Started(StreamStarted::default())).await;
        start
    }
}

impl Gateway {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(hop(RoutingServiceServer::new(FakeRouting)), change).await
    }

    /// The same, with tenancy's answers about agents.
    async fn start_with(agents: Hop, change: impl FnOnce(&mut Config)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        logs();
        metrics();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let account = TwilioAccount {
            auth_token: Pii::new(AUTH_TOKEN.into()),
            account_sid: None,
            api_url: "http://127.0.0.1:9".parse().unwrap(),
        };
        let mut config = Config::new(format!("http://{address}").parse().unwrap(), "gw-1", Some(account));
        change(&mut config);
        let (opened, streams) = mpsc::channel(16);
        let drain = Drain::new();
        let media = MediaServiceClient::new(hop(MediaServiceServer::new(FakeMedia { opened })));
        let routing = RoutingServiceClient::new(hop(RoutingServiceServer::new(FakeRouting)));
        let agents = AgentServiceClient::new(agents);
        let gw = TelephonyGw::new(config, media, routing, agents, drain.clone()).unwrap();
        let router = gw.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { gw, drain, address, streams }
    }

    /// Posts a webhook with the right signature.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
        let signature = sign(&format!("http://{}{path}", self.address), form);
        self.post_signed(path, form, Some(&signature)).await
    }

    async fn post_signed(
        &self,
        path: &str,
        form: &[(&str, &str)],
        signature: Option<&str>,
    ) -> (StatusCode, String) {
        let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if let Some(signature) = signature {
            request = request.header("X-Twilio-Signature", signature);
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let response = self.gw.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// A call announces itself; the path of its media socket.
    async fn admit(&self, call_sid: &str) -> String {
        let (status, twiml) = self.post("/twilio/voice", &voice_form(call_sid)).await;
        assert_eq!(status, StatusCode::OK);
        media_path(&twiml).unwrap_or_else(|| panic!("not admitted: {twiml}"))
    }

    async fn dial(&self, path: &str) -> Result<Socket, tungstenite::Error> {
        let url = format!("ws://{}{path}", self.address);
        tokio::time::timeout(PATIENCE, tokio_tungstenite::connect_async(url))
            .await
            .unwrap()
            .map(|(socket, _)| socket)
    }

    /// A call whose streams are open on both sides.
    async fn call(&mut self, call_sid: &str) -> (Socket, MediaStream, String) {
        let path = self.admit(call_sid).await;
        let mut socket = self.dial(&path).await.unwrap();
        say(&mut socket, &start_message("MZ1", call_sid)).await;
        let mut media = self.media().await;
        media.started().await;
        (socket, media, path)
    }

    async fn media(&mut self) -> MediaStream {
        tokio::time::timeout(PATIENCE, self.streams.recv()).await.expect("no stream in time").unwrap()
    }

    /// Waits until no call is in progress.
    async fn settled(&self) {
        let settle = async {
            while self.gw.shared.table().in_progress() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settle).await.expect("a call is left");
    }
}

fn voice_form(call_sid: &str) -> Vec<(&str, &str)> {
    vec![
        ("CallSid", call_sid),
        ("AccountSid", "AC1"),
        ("From", "+12025550199"),
        ("To", NUMBER),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("SomethingNew", "1"),
    ]
}

fn start_message(stream_sid: &str, call_sid: &str) -> String {
    format!(
        r#"{{"event":"start","sequenceNumber":"1","streamSid":"{stream_sid}","start":{{"accountSid":"AC1","streamSid":"{stream_sid}","callSid":"{call_sid}","tracks":["inbound"],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}}}}"#
    )
}

fn media_path(twiml: &str) -> Option<String> {
    let url = twiml.split_once("<Stream url=\"")?.1.split('"').next()?;
    Some(url[url.find("/twilio/media/")?..].to_owned())
}

fn token_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn after_path(path: &str) -> String {
    format!("/twilio/after/{}", token_of(path))
}

fn sign(url: &str, form: &[(&str, &str)]) -> String {
    let mut form = form.to_vec();
    form.sort_unstable();
    let message: String = std::iter::once(url).chain(form.iter().flat_map(|(k, v)| [*k, *v])).collect();
    let mut mac = <Hmac<Sha1> as Mac>::new_from_slice(AUTH_TOKEN.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

async fn say(socket: &mut Socket, text: &str) {
    socket.send(tungstenite::Message::text(text)).await.unwrap();
}

/// The next text of the gateway, or how it closed.
async fn hear(socket: &mut Socket) -> Result<serde_json::Value, Option<(u16, String)>> {
    loop {
        match tokio::time::timeout(PATIENCE, socket.next()).await.expect("nothing heard in time") {
            Some(Ok(tungstenite::Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(tungstenite::Message::Close(frame))) => {
                return Err(frame.map(|frame| (frame.code.into(), frame.reason.to_string())));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

fn hop<S, F>(server: S) -> Hop
where
    S: tower::Service<
            Request<tonic::body::Body>,
            Response = axum::http::Response<tonic::body::Body>,
            Error = Infallible,
            Future = F,
        > + Clone
        + Send
        + Sync
        + 'static,
    F: Future<Output = Result<axum::http::Response<tonic::body::Body>, Infallible>> + Send + 'static,
{
    Hop::new(server.map_err(|never: Infallible| -> HopError { match never {} }))
}

struct FakeMedia {
    opened: mpsc::Sender<MediaStream>,
}

#[tonic::async_trait]
impl MediaService for FakeMedia {
    type StreamCallStream = Pin<Box<dyn Stream<Item = Result<StreamCallResponse, Status>> + Send>>;

    async fn stream_call(
        &self,
        request: tonic::Request<Streaming<StreamCallRequest>>,
    ) -> Result<Response<Self::StreamCallStream>, Status> {
        let (responses, answer) = mpsc::channel(64);
        let stream = MediaStream { requests: request.into_inner(), responses };
        self.opened.try_send(stream).map_err(|_| Status::resource_exhausted("the test takes no stream"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(answer))))
    }
}

struct FakeRouting;

#[tonic::async_trait]
impl RoutingService for FakeRouting {
    async fn list_inactive_tenants(
        &self,
        _: tonic::Request<ListInactiveTenantsRequest>,
    ) -> Result<Response<ListInactiveTenantsResponse>, Status> {
        Ok(Response::new(ListInactiveTenantsResponse::default()))
    }

    async fn resolve_number(
        &self,
        request: tonic::Request<ResolveNumberRequest>,
    ) -> Result<Response<ResolveNumberResponse>, Status> {
        match request.into_inner().number.as_str() {
            NUMBER | "+918047100100" => Ok(Response::new(ResolveNumberResponse {
                tenant: "tenants/demo".into(),
                agent: "tenants/demo/agents/front-desk".into(),
                agent_version: 3,
            })),
            "+12025550000" => std::future::pending().await,
            number => Err(ServiceError::not_found(number).into()),
        }
    }

    async fn get_provider_keys(
        &self,
        _: tonic::Request<GetProviderKeysRequest>,
    ) -> Result<Response<GetProviderKeysResponse>, Status> {
        Err(Status::unimplemented("not the gateway's to ask"))
    }
}

/// Everything that was logged so far.
fn logs() -> String {
    static LOGS: OnceLock<Logs> = OnceLock::new();
    let logs = LOGS.get_or_init(|| {
        let logs = Logs::default();
        let writer = logs.clone();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .init();
        logs
    });
    String::from_utf8_lossy(&logs.0.lock().unwrap()).into_owned()
}

#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that was counted so far.
fn metrics() -> String {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap()).render()
}
