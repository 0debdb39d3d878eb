//! The commands, as their users meet them.

use std::{fs::Permissions, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use libtest_mimic::Trial;
use mesh::{ClientStack, auth::Contract};
use proto::retrieval::v1::{ListDocumentsRequest, document_service_client::DocumentServiceClient};
use rehearsal::{recordings::PROMPTS_FOLDER, twilio};
use serde_json::Value;
use tokio::process::Command;
use tonic::{Code, Request, metadata::MetadataValue};

use crate::{
    binary::{Up, output, stderr, stdout},
    sandbox::AUTH_TOKEN,
    trial,
};

/// Has no rehearsal of this process, so that the node starts its own.
const OWN_REHEARSALS: [(&str, &str); 5] = [
    ("DEEPGRAM_BASE_URL", ""),
    ("ANTHROPIC_BASE_URL", ""),
    ("CARTESIA_BASE_URL", ""),
    ("SARVAM_BASE_URL", ""),
    ("VOYAGE_BASE_URL", ""),
];
const DOCUMENTS_TIMEOUT: Duration = Duration::from_secs(30);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("commands::wrong_settings_are_all_told_and_nothing_is_bound", wrong_settings),
        trial("commands::serve_asks_for_what_its_roles_need", serve_is_incomplete),
        trial("commands::a_secret_that_is_a_placeholder_is_refused", placeholder),
        trial("commands::keycloak_starts_only_with_every_secret", keycloak_import),
        trial("commands::an_unknown_variable_is_warned_of", unknown_variable),
        trial("commands::check_and_migrate", check_and_migrate),
        trial("commands::up_says_where_it_is_and_answers_there", up_answers),
        trial("commands::up_keeps_exotel_closed_without_a_secret_of_its_own", exotel_is_closed),
        trial("commands::token_opens_the_running_node", token_opens),
        trial("commands::call_saves_what_was_said_and_heard", call_saves),
    ]
}

async fn wrong_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    // An address that is taken: a node that tried to bind it would end with 69.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free address");
    let taken = taken.local_addr().expect("its address").to_string();
    std::fs::write(folder.path().join("trunkline.toml"), "calls_max = 0\nno_such_key = 1\n").expect("a file");
    let arguments = ["up", "--grpc-addr", &taken, "--set", "vad.engine=ears", "--set", "nothing=1"];
    let env = [("TRUNKLINE_ADMIN_ADDR", "somewhere"), ("ANTHROPIC_BASE_URL", "ftp://x")];
    let run = output(folder.path(), &arguments, &env).await;
    let text = stderr(&run);
    assert_eq!(run.status.code(), Some(64), "{text}");
    assert_eq!(stdout(&run), "");
    for (key, source) in [
        ("calls_max", "trunkline.toml"),
        ("no_such_key", "trunkline.toml"),
        ("vad.engine", "flag"),
        ("nothing", "flag"),
        ("admin_addr", "TRUNKLINE_ADMIN_ADDR"),
        ("anthropic.base_url", "ANTHROPIC_BASE_URL"),
    ] {
        let told = text.lines().any(|line| line.contains(key) && line.contains(source));
        assert!(told, "{key} from {source} is not told: {text}");
    }
    assert!(!folder.path().join("data").exists(), "nothing was started");
}

async fn serve_is_incomplete() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = output(folder.path(), &["serve", "tenancy"], &[]).await;
    assert_eq!(run.status.code(), Some(64), "{}", stderr(&run));
    for needed in [
        "DEEPGRAM_API_KEY",
        "ANTHROPIC_API_KEY",
        "CARTESIA_API_KEY",
        "VOYAGE_API_KEY",
        "TRUNKLINE_OIDC_ISSUER",
    ] {
        assert!(stderr(&run).contains(needed), "{needed} is not told: {}", stderr(&run));
    }
    let run = output(folder.path(), &["serve", "telephony-gw"], &[]).await;
    assert_eq!(run.status.code(), Some(64), "{}", stderr(&run));
    for needed in ["TRUNKLINE_MEDIA_URL", "TRUNKLINE_TENANCY_URL", "TRUNKLINE_OIDC_ISSUER"] {
        assert!(stderr(&run).contains(needed), "{needed} is not told: {}", stderr(&run));
    }
    assert!(!stderr(&run).contains("TRUNKLINE_DIALOGUE_URL"), "telephony-gw does not call dialogue");
}

/// A realm file's secret as it stands where the import could not fill it.
const PLACEHOLDER: &str = "${TRUNKLINE_SVC_TENANCY_SECRET}";

async fn placeholder() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = ["DEEPGRAM_API_KEY", "ANTHROPIC_API_KEY", "CARTESIA_API_KEY", "VOYAGE_API_KEY"];
    let mut env = keys.map(|key| (key, "x")).to_vec();
    env.push(("TRUNKLINE_OIDC_ISSUER", "http://127.0.0.1:9/realms/trunkline"));
    env.push(("TRUNKLINE_OIDC_CLIENT_SECRET", PLACEHOLDER));
    let run = output(folder.path(), &["serve", "tenancy"], &env).await;
    let text = stderr(&run);
    assert_eq!(run.status.code(), Some(64), "{text}");
    assert!(text.contains("oidc.client_secret (from environment TRUNKLINE_OIDC_CLIENT_SECRET)"), "{text}");
    assert!(text.contains("no ${...} that is still to be filled in"), "{text}");
    assert!(!folder.path().join("data").exists(), "nothing was started");
}

async fn keycloak_import() {
    let home = tempfile::tempdir().expect("a folder");
    let server = home.path().join("bin/kc.sh");
    std::fs::create_dir_all(home.path().join("bin")).expect("a folder");
    std::fs::write(&server, "#!/bin/sh\necho started \"$@\"\n").expect("a file");
    std::fs::set_permissions(&server, Permissions::from_mode(0o755)).expect("a program");
    let realm = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/keycloak/trunkline-realm.json");
    let realm: Value = serde_json::from_str(&std::fs::read_to_string(realm).expect("a file")).expect("JSON");
    let secrets = realm["clients"].as_array().expect("clients").iter().filter_map(|c| c["secret"].as_str());
    let names: Vec<_> = secrets.map(|secret| secret.trim_matches(['$', '{', '}']).to_owned()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    let start = async |env: &[(&str, &str)]| {
        let mut command = Command::new("deploy/scripts/keycloak-import");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.arg(home.path()).args(["start", "--hostname=https://id.example"]);
        command.envs(env.iter().copied()).output().await.expect("the script runs")
    };
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), "a-secret")).collect();
    for (at, name) in names.iter().enumerate() {
        for wrong in ["", PLACEHOLDER] {
            let mut env = all.clone();
            env[at].1 = wrong;
            let run = start(&env).await;
            assert_eq!(run.status.code(), Some(64), "{name}={wrong:?}: {}", stderr(&run));
            assert!(stderr(&run).contains(name), "{name} is not told: {}", stderr(&run));
        }
    }
    assert!(!home.path().join("data").exists(), "nothing was imported");
    let run = start(&all).await;
    assert_eq!(stdout(&run), "started start --import-realm --hostname=https://id.example\n");
    assert!(home.path().join("data/import/trunkline-realm.json").exists());
}

async fn unknown_variable() {
    let folder = tempfile::tempdir().expect("a folder");
    let env = [("TRUNKLINE_PORT_8080_TCP", "tcp://10.0.0.1:8080")];
    let run = output(folder.path(), &["migrate"], &env).await;
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(stderr(&run).contains("warning") && stderr(&run).contains("TRUNKLINE_PORT_8080_TCP"));
}

async fn check_and_migrate() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = output(folder.path(), &["migrate"], &[]).await;
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(std::fs::read_dir(&data).expect("the stores").next().is_some());
    let again = output(folder.path(), &["migrate"], &[]).await;
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));

    let addresses =
        ["--http-addr=127.0.0.1:0", "--grpc-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0", "check", "--json"];
    let run = output(folder.path(), &addresses, &[]).await;
    assert_eq!(run.status.code(), Some(0), "{}", stdout(&run));
    let findings: Value = serde_json::from_str(&stdout(&run)).expect("one JSON object");
    let verdict = |findings: &Value, what: &str| {
        let found = findings["findings"].as_array()?.iter().find(|finding| finding["what"] == what)?.clone();
        found["verdict"].as_str().map(str::to_owned)
    };
    assert_eq!(verdict(&findings, "data_dir").as_deref(), Some("ok"));
    assert_eq!(verdict(&findings, "deepgram").as_deref(), Some("note"));

    let taken = TcpListener::bind("127.0.0.1:0").expect("a free address");
    let taken = format!("--http-addr={}", taken.local_addr().expect("its address"));
    let closed = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free address");
        format!("http://{}", free.local_addr().expect("its address"))
    };
    let arguments = [&taken, addresses[1], addresses[2], "check", "--json"];
    let run = output(folder.path(), &arguments, &[("CARTESIA_BASE_URL", &closed)]).await;
    assert_eq!(run.status.code(), Some(69), "{}", stdout(&run));
    let findings: Value = serde_json::from_str(&stdout(&run)).expect("one JSON object");
    assert_eq!(verdict(&findings, "cartesia").as_deref(), Some("fail"));
}

async fn up_answers() {
    let up = Up::start(&OWN_REHEARSALS).await;
    let fields: Vec<_> = up.ready.split(' ').collect();
    assert_eq!(fields[0], "ready");
    let names: Vec<_> = fields[1..].iter().filter_map(|field| field.split('=').next()).collect();
    assert_eq!(names, ["http", "grpc", "admin", "rehearsal"]);
    assert_eq!(fields[4], "rehearsal=deepgram,anthropic,cartesia,sarvam,voyage");
    for name in ["http", "grpc", "admin"] {
        assert_ne!(up.address(name).port(), 0, "{}", up.ready);
    }
    assert_eq!(up.admin("/livez").await.0, 200);
    assert_eq!(up.admin("/readyz").await.0, 200);
    let (status, metrics) = up.admin("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("trunkline_"), "{metrics}");
    let (status, _) = up.admin("/realms/trunkline/protocol/openid-connect/certs").await;
    assert_eq!(status, 200, "the development issuer is there");
}

async fn exotel_is_closed() {
    let up = Up::start(&[("TRUNKLINE_PUBLIC_URL", "https://voice.example")]).await;
    let url = up.url("http").join("exotel/demo/voice?CallSid=c1&CallTo=08047100100").expect("a path");
    let answer = reqwest::get(url).await.expect("it answers");
    assert_eq!(answer.status(), 403);
    up.logged(0, &["WARN", "EXOTEL_WEBHOOK_SECRET", "every Exotel webhook is refused"]).await;
}

async fn token_opens() {
    let up = Up::start(&[]).await;
    let data = up.data.path().join("data");
    let data = data.to_str().expect("a path of the test");
    let arguments = ["token", "--tenant", "demo", "--role", "tenant-viewer", "--data-dir", data];
    let run = output(up.data.path(), &arguments, &[]).await;
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let token = stdout(&run).trim().to_owned();

    let stack = ClientStack::new(Contract::load().expect("the contracts").into(), None);
    let hop = mesh::hop::remote(&up.url("grpc"), None, &stack).expect("a hop");
    let mut documents = DocumentServiceClient::new(hop);
    let list = || ListDocumentsRequest { parent: "tenants/demo".into(), ..Default::default() };
    let refused = documents.list_documents(list()).await.expect_err("without a token");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let authorised = |list: ListDocumentsRequest| {
        let mut request = Request::new(list);
        let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        request
    };
    let foreign = ListDocumentsRequest { parent: "tenants/other".into(), ..Default::default() };
    let refused = documents.list_documents(authorised(foreign)).await.expect_err("another tenant's");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let all_there = async {
        loop {
            let found = documents.list_documents(authorised(list())).await.expect("the token opens it");
            if found.into_inner().documents.len() == retrieval::demo_documents().len() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(DOCUMENTS_TIMEOUT, all_there).await.expect("the demo's documents are there");

    let unknown = ["token", "--tenant", "demo", "--role", "king", "--data-dir", data];
    assert_eq!(output(up.data.path(), &unknown, &[]).await.status.code(), Some(64));
}

async fn call_saves() {
    let up = Up::start(&OWN_REHEARSALS).await;
    let url = up.url("http");
    let goodbye = format!("{PROMPTS_FOLDER}/vm-goodbye.wav");
    let arguments = ["call", "--url", url.as_str(), "--play", &goodbye, "--save", "call.wav"];
    let run = output(up.data.path(), &arguments, &[("TWILIO_AUTH_TOKEN", AUTH_TOKEN)]).await;
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(stdout(&run).contains("ended: ServerHungUp"), "{}", stdout(&run));
    let wav = hound::WavReader::open(up.data.path().join("call.wav")).expect("a WAV file");
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 8_000));
    let samples: Vec<i16> = wav.into_samples().collect::<Result<_, _>>().expect("samples");
    let loudest = |side: usize| samples.iter().skip(side).step_by(2).map(|s| s.unsigned_abs()).max();
    assert!(loudest(0) > Some(1_000) && loudest(1) > Some(1_000), "both sides are heard");
    let said = twilio::read_wav(goodbye.as_ref()).expect("the prompt");
    assert!(samples.len() / 2 > said.len());

    let wrong = ["call", "--url", url.as_str(), "--auth-token", "another"];
    assert_eq!(output(up.data.path(), &wrong, &[]).await.status.code(), Some(69), "not answered");
}
