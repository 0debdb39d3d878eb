use super::*;

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

fn server() -> Server {
    Server::start(Settings { latency: Latency::default(), ..Settings::default() }).expect("a port is free")
}

async fn post(server: &Server, key: &str, body: &Value) -> (u16, Value) {
    let request = client().post(format!("{}/v1/embeddings", server.base_url())).json(body);
    let request = if key.is_empty() { request } else { request.bearer_auth(key) };
    let answer = request.send().await.expect("the server answers");
    (answer.status().as_u16(), answer.json().await.expect("the answer is JSON"))
}

fn body(input: Value) -> Value {
    json!({"input": input, "model": "voyage-4", "input_type": "document"})
}

#[tokio::test]
async fn keys_belong_to_their_host() {
    let server = server();
    let input = body(json!(["hello"]));
    assert_eq!(post(&server, "", &input).await.0, 401);
    assert_eq!(post(&server, "sk-1", &input).await.0, 401);
    assert_eq!(post(&server, "al-1", &input).await.0, 403);
    assert_eq!(post(&server, "pa-1", &input).await.0, 200);
    let atlas = Server::start(Settings { host: Host::Atlas, ..Settings::default() }).expect("a port is free");
    assert_eq!(post(&atlas, "pa-1", &input).await.0, 403);
}

#[tokio::test]
async fn limits_are_the_vendors() {
    let server = server();
    let with = |field: &str, value: Value| {
        let mut body = body(json!(["hello"]));
        body[field] = value;
        body
    };
    let long = "word ".repeat(40_000);
    let mut over_long = body(json!([long]));
    over_long["truncation"] = json!(false);
    for (wrong, says) in [
        (with("input", json!([])), "batch size"),
        (with("input", json!(vec!["a"; 1001])), "batch size"),
        (with("input", json!(["a", ""])), "empty"),
        (with("input", json!([1])), "list of strings"),
        (with("input", json!(vec![long.as_str(); 11])), "tokens"),
        (over_long, "tokens"),
        (with("model", json!("voyage-9")), "not supported"),
        (with("output_dimension", json!(1000)), "output_dimension"),
        (with("input_type", json!("passage")), "input_type"),
        (with("encoding_format", json!("float")), "encoding_format"),
        (with("colour", json!("red")), "colour"),
    ] {
        let (status, answer) = post(&server, "pa-1", &wrong).await;
        assert_eq!(status, 400);
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{says}: {answer}");
    }
    assert_eq!(post(&server, "pa-1", &body(json!(vec!["a"; 1000]))).await.0, 200);
}

#[tokio::test]
async fn numbers_and_base64_are_the_same_vector() {
    let server = server();
    let mut wanted = body(json!("opening hours"));
    wanted["output_dimension"] = json!(256);
    let numbers = post(&server, "pa-1", &wanted).await.1;
    wanted["encoding_format"] = json!("base64");
    wanted["model"] = json!("voyage-4-lite");
    let packed = post(&server, "pa-1", &wanted).await.1;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(packed["data"][0]["embedding"].as_str().expect("base64 is text"))
        .expect("it decodes");
    let floats: Vec<f64> =
        bytes.chunks_exact(4).map(|four| f64::from(f32::from_le_bytes(four.try_into().unwrap()))).collect();
    let listed: Vec<f64> =
        numbers["data"][0]["embedding"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    assert_eq!(floats.len(), 256);
    assert!(floats.iter().zip(&listed).all(|(a, b)| (a - b).abs() < 1e-6));
    assert_eq!(numbers["usage"]["total_tokens"], 10);
}

#[tokio::test]
async fn order_is_sometimes_not_the_order_of_the_input() {
    let server = server();
    let mut seen = [false; 2];
    for _ in 0..40 {
        let answer = post(&server, "pa-1", &body(json!(["a", "b"]))).await.1;
        seen[usize::from(answer["data"][0]["index"] == 1)] = true;
    }
    assert_eq!(seen, [true, true]);
}

#[tokio::test]
async fn faults_come_in_their_turn() {
    let server = server();
    let next = [Some(Fault::RateLimited), None, Some(Fault::Error(503))].into();
    server.set_faults(Faults { next, always: Some(Fault::BadGateway) });
    let input = body(json!(["a"]));
    for status in [429, 200, 503] {
        assert_eq!(post(&server, "pa-1", &input).await.0, status);
    }
    let send = || {
        client().post(format!("{}/v1/embeddings", server.base_url())).bearer_auth("pa-1").json(&input).send()
    };
    let plain = send().await.expect("an answer");
    assert_eq!(plain.status().as_u16(), 502);
    assert!(plain.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    server.set_faults(Faults::once(Fault::Reset));
    assert!(send().await.is_err());
    assert!(send().await.is_ok());
    let refused = server.log().matching(|event| event.name == "refused");
    assert_eq!(refused.len(), 3);
}
