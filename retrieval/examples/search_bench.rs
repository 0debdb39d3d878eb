//! How long a search takes without the embedding call: `cargo run --release -p retrieval --example search_bench`.
//! Arguments: passages (10000), searches (1000).

use std::{env, error::Error, fs, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use retrieval::{
    DocumentId, Passage, Space, TenantId,
    index::{Document, DocumentInfo, PassageStore, Source, embedded::Store},
};

const DIMENSION: usize = 1024;
const PASSAGES_IN_A_DOCUMENT: usize = 20;

/// What one request of four passages fetches.
const CANDIDATES: usize = 12;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = env::args().skip(1).map(|argument| argument.parse::<usize>());
    let passages = numbers.next().transpose()?.unwrap_or(10_000);
    let searches = numbers.next().transpose()?.unwrap_or(1_000).max(1);
    let dir = tempfile::tempdir()?;
    let space = Space { family: "voyage-4".into(), dimension: DIMENSION };
    let tenant = TenantId::parse("bench").ok_or("not a tenant")?;
    let mut dice = StdRng::seed_from_u64(1);

    let store = Store::open(dir.path().to_owned(), space.clone()).await?;
    for number in 0..passages.div_ceil(PASSAGES_IN_A_DOCUMENT) {
        store.put(&tenant, document(number, &mut dice)?).await?;
    }
    drop(store);
    let opening = mesh::clock::now();
    let store = Store::open(dir.path().to_owned(), space).await?;
    let opened_in = mesh::clock::now() - opening;

    let mut walls: Vec<Duration> = Vec::with_capacity(searches);
    let cpu_before = cpu_time()?;
    for _ in 0..searches {
        let vector = unit_vector(&mut dice);
        let started = mesh::clock::now();
        store.search(&tenant, vector, CANDIDATES).await?;
        walls.push(mesh::clock::now() - started);
    }
    let cpu = (cpu_time()? - cpu_before) / u32::try_from(searches)?;
    walls.sort();
    let at = |share: usize| walls[(searches - 1) * share / 100];
    println!("passages={passages} dimension={DIMENSION} searches={searches} opened_in={opened_in:?}");
    println!("wall p50={:?} p99={:?} max={:?}; cpu a search={cpu:?}", at(50), at(99), at(100));
    Ok(())
}

fn document(number: usize, dice: &mut StdRng) -> Result<Document, Box<dyn Error>> {
    let passage =
        |at| Passage { headings: vec![], text: format!("Passage {at} of document {number}.").repeat(20) };
    Ok(Document {
        info: DocumentInfo {
            id: DocumentId::parse(&format!("document-{number}")).ok_or("not a document")?,
            title: format!("Document {number}"),
            source: Source::Api,
            content_hash: String::new(),
            updated_at: Duration::ZERO,
            passage_count: PASSAGES_IN_A_DOCUMENT,
        },
        passages: (0..PASSAGES_IN_A_DOCUMENT).map(passage).collect(),
        vectors: (0..PASSAGES_IN_A_DOCUMENT).map(|_| unit_vector(dice)).collect(),
    })
}

fn unit_vector(dice: &mut StdRng) -> Vec<f32> {
    let mut vector: Vec<f32> = (0..DIMENSION).map(|_| dice.random_range(-1.0..1.0)).collect();
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    vector
}

/// Time on a processor of all threads that still live.
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir("/proc/self/task")? {
        let line = fs::read_to_string(thread?.path().join("schedstat"))?;
        total += Duration::from_nanos(line.split_whitespace().next().ok_or("no schedstat")?.parse()?);
    }
    Ok(total)
}
