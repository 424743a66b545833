//! What this tool has started, in `target/services/state.json`.
//!
//! One record of plain texts per service; each service knows its own keys. The file holds the
//! passwords of the servers, so only its owner may read it.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::error::{Context, Result};

/// What is known about one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Left running by `services up`, so that a test run does not stop it.
    pub(crate) kept: bool,
    /// Whatever the service needs to find itself again.
    pub(crate) fields: BTreeMap<String, String>,
}

impl Record {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.fields.insert(key.to_owned(), value.into());
    }
}

#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    records: BTreeMap<String, Record>,
}

impl State {
    /// Reads the state of the services in `folder`. A file that can't be understood, or that was
    /// copied along with a checkout and speaks of another folder's servers, counts as empty.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("state.json");
        let records = match fs::read(&path) {
            Ok(bytes) => parse(&bytes, folder).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).context(format_args!("reading {}", path.display())),
        };
        Ok(Self { folder: folder.to_path_buf(), records })
    }

    pub(crate) fn record(&self, service: &str) -> Record {
        self.records.get(service).cloned().unwrap_or_default()
    }

    /// Replaces a record and writes the file.
    pub(crate) fn save(&mut self, service: &str, record: Record) -> Result<()> {
        self.records.insert(service.to_owned(), record);
        self.write().context("writing the state of the services")
    }

    fn write(&self) -> Result<(), std::io::Error> {
        let path = self.folder.join("state.json");
        let new = self.folder.join("state.json.new");
        // removed first: the mode of an existing file would stay as it is
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(render(&self.folder, &self.records).as_bytes())?;
        fs::rename(&new, &path)
    }
}

fn render(folder: &Path, records: &BTreeMap<String, Record>) -> String {
    let services: Map<String, Value> = records
        .iter()
        .map(|(name, record)| {
            let value = json!({ "kept": record.kept, "fields": record.fields });
            (name.clone(), value)
        })
        .collect();
    let state = json!({ "folder": folder.to_string_lossy(), "services": services });
    format!("{state:#}\n")
}

fn parse(bytes: &[u8], folder: &Path) -> Option<BTreeMap<String, Record>> {
    let state: Value = serde_json::from_slice(bytes).ok()?;
    if state.get("folder")?.as_str()? != folder.to_string_lossy() {
        return None;
    }
    let mut records = BTreeMap::new();
    for (name, value) in state.get("services")?.as_object()? {
        let mut record = Record { kept: value.get("kept")?.as_bool()?, ..Record::default() };
        for (key, text) in value.get("fields")?.as_object()? {
            record.set(key, text.as_str()?);
        }
        records.insert(name.clone(), record);
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn sample() -> Record {
        let mut record = Record { kept: true, ..Record::default() };
        record.set("port", "5433");
        record.set("password", "a \"quoted\" one");
        record
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = Path::new("/somewhere/target/services");
        let records = BTreeMap::from([("postgres".to_owned(), sample())]);
        let text = render(folder, &records);
        assert_eq!(parse(text.as_bytes(), folder), Some(records));
    }

    #[test]
    fn a_copied_state_is_not_ours() {
        let records = BTreeMap::from([("postgres".to_owned(), sample())]);
        let text = render(Path::new("/original"), &records);
        assert_eq!(parse(text.as_bytes(), Path::new("/copy")), None);
    }

    #[test]
    fn a_damaged_file_counts_as_empty() {
        let folder = Path::new("/f");
        for text in [
            "",
            "{",
            "[]",
            r#"{"folder": "/f"}"#,
            r#"{"folder": "/f", "services": {"a": {"kept": 1, "fields": {}}}}"#,
            r#"{"folder": "/f", "services": {"a": {"kept": true, "fields": {"port": 1}}}}"#,
        ] {
            assert_eq!(parse(text.as_bytes(), folder), None, "{text}");
        }
    }

    #[test]
    fn only_the_owner_can_read_the_file() {
        let folder = std::env::temp_dir().join(format!("xtask-state-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let mut state = State::load(&folder).unwrap();
        assert_eq!(state.record("postgres"), Record::default());
        state.save("postgres", sample()).unwrap();
        state.save("postgres", sample()).unwrap();
        let mode = fs::metadata(folder.join("state.json")).unwrap().permissions().mode();
        let again = State::load(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(again.record("postgres"), sample());
    }
}
