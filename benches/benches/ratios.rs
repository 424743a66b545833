//! How many times as long as with the bare crates sealing and opening takes: both sides in turns, the
//! shortest of many rounds, so that a machine that does other things as well disturbs little.
//!
//! An argument chooses the lines that contain it. To count instructions of one side instead, run the
//! program under `valgrind --tool=callgrind --collect-atstart=no '--toggle-collect=*measured*'` with an
//! argument such as `pii/seal/32`.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use pii::{Cryptor, EncryptedStr, FieldSelection, FileKeyStore, PiiModel, TestKeyring};
use pii_benches::{Bare, BareRow};
use tokio::runtime::Runtime;

#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct One {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

#[derive(PiiModel, Clone)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct Three {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

/// A row of either model, and back.
trait Row: PiiModel + Clone {
    const FIELDS: &'static [&'static str];
    fn new(row: &BareRow, value: impl Fn(&str) -> EncryptedStr) -> Self;
}

impl Row for One {
    const FIELDS: &'static [&'static str] = &["email"];

    fn new(row: &BareRow, value: impl Fn(&str) -> EncryptedStr) -> Self {
        Self { id: row.id, tenant: row.tenant.clone(), email: value(&row.values[0]) }
    }
}

impl Row for Three {
    const FIELDS: &'static [&'static str] = &["email", "phone", "ssn"];

    fn new(row: &BareRow, value: impl Fn(&str) -> EncryptedStr) -> Self {
        let [email, phone, ssn] = [0, 1, 2].map(|at: usize| value(&row.values[at]));
        Self { id: row.id, tenant: row.tenant.clone(), email, phone, ssn: Some(ssn) }
    }
}

const ROWS: i64 = 1000;

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path()).unwrap();
    let bench = Bench {
        cryptor: Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap(),
        runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        only: only.unwrap_or_default(),
    };
    for length in [11, 32, 256, 4096] {
        bench.compare::<One>(&length.to_string(), &[length]);
    }
    bench.compare::<Three>("three", &[32, 15, 11]);
}

struct Bench {
    cryptor: Cryptor,
    runtime: Runtime,
    only: String,
}

impl Bench {
    fn compare<M: Row>(&self, name: &str, lengths: &[usize]) {
        let bare = Bare::new(M::FIELDS);
        let rows: Vec<BareRow> = (0..ROWS).map(|id| row(id, lengths)).collect();
        let models: Vec<M> = rows.iter().map(|row| M::new(row, |text| EncryptedStr::new(text))).collect();
        self.turns(
            &format!("seal/{name}"),
            rows.len() * lengths.len(),
            || measured(|| drop(black_box(bare.seal(&rows)))),
            || measured(|| drop(black_box(self.runtime.block_on(self.cryptor.seal_texts(&models)).unwrap()))),
        );

        let texts = bare.seal(&rows);
        let stored: Vec<BareRow> = rows
            .iter()
            .zip(texts.chunks_exact(lengths.len()))
            .map(|(row, texts)| BareRow { values: texts.to_vec(), ..row.clone() })
            .collect();
        let texts = self.runtime.block_on(self.cryptor.seal_texts(&models)).unwrap();
        let loaded: Vec<M> = rows
            .iter()
            .zip(texts)
            .map(|(row, texts)| BareRow { values: texts.map(String::from).collect(), ..row.clone() })
            .map(|row| M::new(&row, |text| EncryptedStr::from_stored(text.to_owned())))
            .collect();
        // both sides get their texts freshly allocated, as from a database
        self.turns(
            &format!("open/{name}"),
            rows.len() * lengths.len(),
            || {
                let rows = stored.clone();
                let mut opened = Vec::new();
                let time = measured(|| opened = bare.open(&rows));
                assert_eq!(opened.len(), rows.len() * lengths.len());
                time
            },
            || {
                let mut rows = loaded.clone();
                let fields = FieldSelection::All;
                let mut opening = Vec::new();
                let time = measured(|| {
                    opening = self.runtime.block_on(self.cryptor.open_each(&mut rows, &fields)).unwrap();
                });
                assert!(opening.iter().all(Result::is_ok));
                time
            },
        );
    }

    /// Runs both sides in turns and prints the time per value.
    fn turns(
        &self,
        what: &str,
        values: usize,
        mut bare: impl FnMut() -> Duration,
        mut pii: impl FnMut() -> Duration,
    ) {
        let is_wanted = |side: &str| format!("{side}/{what}").contains(&self.only);
        let (with_bare, with_pii) = (is_wanted("bare"), is_wanted("pii"));
        let (mut shortest_bare, mut shortest_pii) = (Duration::MAX, Duration::MAX);
        let rounds = if with_bare && with_pii { 300 } else { 10 };
        for _ in 0..rounds {
            if with_bare {
                shortest_bare = shortest_bare.min(bare());
            }
            if with_pii {
                shortest_pii = shortest_pii.min(pii());
            }
        }
        if with_bare && with_pii {
            let per_value = |time: Duration| time.as_secs_f64() * 1e9 / values as f64;
            println!(
                "{what:10}  bare {:6.0} ns  pii {:6.0} ns  ratio {:.2}",
                per_value(shortest_bare),
                per_value(shortest_pii),
                shortest_pii.as_secs_f64() / shortest_bare.as_secs_f64(),
            );
        }
    }
}

#[inline(never)]
fn measured(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn row(id: i64, lengths: &[usize]) -> BareRow {
    let text =
        |length: &usize| (0..*length).map(|at| char::from(b'a' + ((at as i64 + id) % 26) as u8)).collect();
    BareRow { id, tenant: "acme".into(), values: lengths.iter().map(text).collect() }
}
