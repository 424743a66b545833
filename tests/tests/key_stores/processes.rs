//! Real processes: this test program, started again, seals values into one store.

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use pii::KeyStore;
use tokio::runtime::Runtime;

use crate::{
    stores::TestStore,
    support::{open, process, seal},
};

/// Set in the processes that are started: where the store is, and the key file.
const PLACE: &str = "PII_TEST_KEY_STORE";
const KEY_FILE: &str = "PII_TEST_KEY_FILE";

const PROCESSES: usize = 4;
const TASKS: i64 = 50;

/// The tests of one store. Each is also what the processes run that it starts.
macro_rules! with_processes {
    ($store:ident, $module:ident) => {
        mod $module {
            use super::*;
            use crate::stores::$store;

            #[test]
            fn two_hundred_tasks_in_four_processes_elect_one_key() {
                let test = "two_hundred_tasks_in_four_processes_elect_one_key";
                match given() {
                    Some((place, key_file)) => seal_at_once::<$store>(&place, &key_file),
                    None => elect_one_key::<$store>(&format!("processes::{}::{test}", stringify!($module))),
                }
            }

            #[test]
            fn no_value_of_a_killed_process_is_lost() {
                let test = "no_value_of_a_killed_process_is_lost";
                match given() {
                    Some((place, key_file)) => seal_until_killed::<$store>(&place, &key_file),
                    None => kill::<$store>(&format!("processes::{}::{test}", stringify!($module))),
                }
            }
        }
    };
}
with_processes!(Files, files);
with_processes!(SqliteTable, sqlite);
with_processes!(PostgresTable, postgres);
with_processes!(MysqlTable, mysql);
with_processes!(DynamoTable, dynamodb);

fn given() -> Option<(String, PathBuf)> {
    Some((env::var(PLACE).ok()?, env::var(KEY_FILE).ok()?.into()))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A process that waits for a line before it begins.
struct Sealing {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Sealing {
    fn start(test: &str, place: &str, key_file: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(PLACE, place)
            .env(KEY_FILE, key_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut sealing = Self { child, input, output };
        assert_eq!(sealing.next("ready").as_deref(), Some(""), "the process of `{test}` did not start");
        sealing
    }

    fn go(&mut self) {
        self.input.write_all(b"go\n").unwrap();
    }

    /// The rest of the next line that begins so.
    fn next(&mut self, begin: &str) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // a line that is cut off was not said
            if let Some(rest) = line.strip_prefix(begin).and_then(|rest| rest.strip_suffix('\n')) {
                return Some(rest.trim().to_owned());
            }
            line.clear();
        }
        None
    }
}

impl Drop for Sealing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a started process: waits for the line.
fn ready() {
    // the test harness leaves a line begun
    print!("\nready\n");
    std::io::stdout().flush().unwrap();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

/// A value that was sealed, as one line.
fn say(id: i64, tenant: &str, text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\nvalue {id} {tenant} {text}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn seal_at_once<S: TestStore>(place: &str, key_file: &Path) {
    runtime().block_on(async {
        let store = S::open_at(place).await;
        let cryptors: Vec<_> = (0..TASKS).map(|id| (id, process(key_file, Arc::clone(&store)))).collect();
        ready();
        let tasks: Vec<_> = cryptors
            .into_iter()
            .map(|(id, cryptor)| {
                tokio::spawn(async move {
                    let (text, _) = seal(&cryptor, id, "acme").await.unwrap();
                    say(id, "acme", &text);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

fn elect_one_key<S: TestStore>(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let runtime = runtime();
    let at = runtime.block_on(S::new());
    let mut processes: Vec<Sealing> =
        (0..PROCESSES).map(|_| Sealing::start(test, &at.place(), &key_file)).collect();
    processes.iter_mut().for_each(Sealing::go);
    let mut values = Vec::new();
    for process in &mut processes {
        while let Some(value) = process.next("value ") {
            values.push(value);
        }
        assert!(process.child.wait().unwrap().success());
    }
    assert_eq!(values.len(), PROCESSES * usize::try_from(TASKS).unwrap());
    runtime.block_on(async {
        let store = at.open().await;
        assert_all_open(&values, &key_file, &store).await;
        let used: BTreeSet<_> =
            values.iter().map(|value| value.split(' ').nth(2).unwrap()[..28].to_owned()).collect();
        assert_eq!(used.len(), 1, "values under one key begin with the same 28 characters");
        let listed = store.list(None, 10).await.unwrap();
        assert_eq!(listed.len(), 1, "losers leave nothing");
        let record = listed[0].1.as_ref().unwrap();
        assert_eq!(store.active(&record.slot).await.unwrap().as_ref(), Some(record));
    });
}

/// Opens them with a cryptor that knows nothing but key file and store.
async fn assert_all_open(values: &[String], key_file: &Path, store: &Arc<dyn KeyStore>) {
    let fresh = process(key_file, Arc::clone(store));
    for value in values {
        let [id, tenant, text] = value.split(' ').collect::<Vec<_>>()[..] else { panic!("{value}") };
        open(&fresh, id.parse().unwrap(), tenant, text).await.unwrap();
    }
}

fn seal_until_killed<S: TestStore>(place: &str, key_file: &Path) {
    runtime().block_on(async {
        let store = S::open_at(place).await;
        ready();
        for id in 0.. {
            // a new key each time, which the other processes want too
            let cryptor = process(key_file, Arc::clone(&store));
            let tenant = format!("tenant-{id}");
            let (text, _) = seal(&cryptor, id, &tenant).await.unwrap();
            say(id, &tenant, &text);
        }
    });
}

fn kill<S: TestStore>(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let runtime = runtime();
    let at = runtime.block_on(S::new());
    let mut values = Vec::new();
    for round in 0..3 {
        let mut processes: Vec<Sealing> =
            (0..PROCESSES).map(|_| Sealing::start(test, &at.place(), &key_file)).collect();
        processes.iter_mut().for_each(Sealing::go);
        for (index, process) in processes.iter_mut().enumerate() {
            // each at another time, somewhere in its work
            for _ in 0..=(round * PROCESSES + index) {
                values.push(process.next("value ").expect("the process seals until it is killed"));
            }
            process.child.kill().unwrap();
            while let Some(value) = process.next("value ") {
                values.push(value);
            }
        }
    }
    assert!(values.len() > 3 * PROCESSES);
    runtime.block_on(async {
        let store = at.open().await;
        assert_all_open(&values, &key_file, &store).await;
        // who comes next finds a store that works
        let cryptor = process(&key_file, Arc::clone(&store));
        seal(&cryptor, 1, "after").await.unwrap();
    });
}
