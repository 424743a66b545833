//! Key records as files in a folder: see FORMAT.md, "File key store".

use std::{fs, io, path::PathBuf};

use futures_core::future::BoxFuture;

use super::{KeyRecord, KeySlot, KeyState, KeyStore, ListedKey};
use crate::{
    durable_file::{self, Access, publish, replace},
    error::{Error, ErrorKind, Result},
    wire::{KeyId, Purpose},
};

/// Far more than any record needs: eight copies of at most 64 KiB, in base64.
const MAX_RECORD_BYTES: usize = 1024 * 1024;

/// A key store in a folder: one small file per data key. The copies in it are wrapped, so the
/// folder is no secret; losing it loses every value sealed under its keys. Back it up with the
/// database. It is for the processes of one host.
///
/// ```no_run
/// # use pii_core as pii;
/// use pii::{Cryptor, FileKeyStore, LocalKeyring};
///
/// let cryptor = Cryptor::envelope()
///     .keyring(LocalKeyring::open("pii.key")?)
///     .key_store(FileKeyStore::open("data-keys")?)
///     .build()?;
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Debug)]
pub struct FileKeyStore {
    folder: PathBuf,
}

impl FileKeyStore {
    /// Uses this folder; makes it if it does not exist.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if it is no folder, [`ErrorKind::KeyUnavailable`] if it can't be
    /// made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let store = Self { folder: folder.into() };
        match durable_file::make_folder(&store.folder) {
            Ok(()) => Ok(store),
            Err(error) => Err(match durable_file::no_folder(&store.folder) {
                Some(file) => Error::new(ErrorKind::Configuration)
                    .message(format!(
                        "the key store `{}` cannot be used: `{}` is not a folder",
                        store.folder.display(),
                        file.display()
                    ))
                    .help("give the path of a folder")
                    .source(error),
                None => store.unavailable(error),
            }),
        }
    }

    fn unavailable(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::KeyUnavailable)
            .message(format!("the key store `{}` cannot be used", self.folder.display()))
            .help("check that the folder exists, may be read and written, and has room")
            .source(error)
    }

    fn read(&self, key_id: KeyId) -> Result<Option<KeyRecord>> {
        let file = fs::File::open(self.record(key_id));
        let bytes = match file.and_then(|mut file| durable_file::read(&mut file, MAX_RECORD_BYTES)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| self.unavailable(error))?,
        };
        match KeyRecord::from_json(&bytes) {
            Ok(record) if record.key_id == key_id => Ok(Some(record)),
            _ => Err(Error::new(ErrorKind::Malformed)
                .message(format!("the key record in `{}` is damaged", self.folder.display()))
                .key(key_id)
                .help("restore the file from a backup")),
        }
    }

    /// The winner of the highest epoch. Epochs begin at 0 and have no gaps.
    fn winner(&self, slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let highest = match slot.purpose {
            Purpose::Index => self.highest_listed(&slot.digest()),
            _ => self.highest_in_a_row(&slot.digest()),
        };
        let highest = highest.map_err(|error| self.unavailable(error))?;
        highest.map(|epoch| self.winner_of(slot, epoch)).transpose()
    }

    fn highest_in_a_row(&self, digest: &str) -> io::Result<Option<u32>> {
        let mut highest = None;
        for epoch in 0..=u32::MAX {
            match fs::symlink_metadata(self.election(digest, epoch)) {
                Ok(_) => highest = Some(epoch),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            }
        }
        Ok(highest)
    }

    /// Index keys are made for the versions that models declare, so their epochs have gaps.
    fn highest_listed(&self, digest: &str) -> io::Result<Option<u32>> {
        let prefix = format!("slot-{digest}-");
        let mut highest = None;
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let epoch = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            let epoch = epoch.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            highest = highest.max(epoch);
        }
        Ok(highest)
    }

    fn election(&self, digest: &str, epoch: u32) -> PathBuf {
        self.folder.join(format!("slot-{digest}-{epoch:08x}"))
    }

    /// The record that won this election; it must be for the slot and the epoch.
    fn winner_of(&self, slot: &KeySlot, epoch: u32) -> Result<KeyRecord> {
        let election = self.election(&slot.digest(), epoch);
        let wrong = |kind, message: &str| {
            Error::new(kind)
                .message(format!("the election `{}` {message}", election.display()))
                .help("restore the key store from a backup")
        };
        let file = fs::File::open(&election);
        let text = file.and_then(|mut file| durable_file::read(&mut file, MAX_RECORD_BYTES));
        let text = text.map_err(|error| self.unavailable(error))?;
        let key_id = std::str::from_utf8(&text).ok().and_then(KeyId::parse);
        // ours appear whole; another implementation's may be met half-written: worth another try
        let key_id = key_id.ok_or_else(|| wrong(ErrorKind::KeyUnavailable, "does not name a key"))?;
        let record = self.read(key_id)?;
        let record = record
            .ok_or_else(|| wrong(ErrorKind::KeyMissing, "names a key whose record is missing").key(key_id))?;
        if record.slot != *slot || record.epoch != epoch {
            return Err(wrong(ErrorKind::ContextMismatch, "names a key of another slot or epoch").key(key_id));
        }
        Ok(record)
    }

    fn record(&self, key_id: KeyId) -> PathBuf {
        self.folder.join(format!("{key_id}.json"))
    }

    /// Keeps a record, unless there is one of this key. Says whether it was kept.
    fn keep(&self, record: &KeyRecord) -> Result<bool> {
        let json = record.to_json()?;
        match publish(&self.record(record.key_id), json.as_bytes(), Access::Default) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Makes the record the winner of its slot and epoch, unless there is one.
    fn run(&self, candidate: &KeyRecord) -> Result<()> {
        let election = self.election(&candidate.slot.digest(), candidate.epoch);
        match publish(&election, candidate.key_id.to_string().as_bytes(), Access::Default) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(self.unavailable(error)),
            _ => Ok(()),
        }
    }

    fn propose(&self, proposal: &KeyRecord) -> Result<KeyRecord> {
        let is_new = self.keep(proposal)?;
        self.run(proposal)?;
        let winner = self.winner_of(&proposal.slot, proposal.epoch)?;
        if is_new && winner.key_id != proposal.key_id {
            // nothing was sealed under the loser
            let _ = fs::remove_file(self.record(proposal.key_id));
        }
        Ok(winner)
    }

    fn put(&self, record: &KeyRecord) -> Result<KeyRecord> {
        self.keep(record)?;
        let stored = self.read(record.key_id)?.ok_or_else(|| {
            Error::new(ErrorKind::KeyUnavailable)
                .key(record.key_id)
                .message("the key store did not keep the record of a data key")
        })?;
        if stored.slot.purpose.is_elected() {
            self.run(&stored)?;
        }
        Ok(stored)
    }

    fn exchange(&self, current: &KeyRecord, new: &KeyRecord) -> Result<bool> {
        current.check_replacement(new)?;
        let json = new.to_json()?;
        // others who exchange wait here; who reads meets the old file or the new one
        let lock = fs::OpenOptions::new().create(true).append(true).open(self.folder.join("lock"));
        let lock =
            lock.and_then(|lock| lock.lock().map(|()| lock)).map_err(|error| self.unavailable(error))?;
        if self.read(current.key_id)?.as_ref() != Some(current) {
            return Ok(false);
        }
        if new.state == KeyState::Destroyed {
            self.sweep(current.key_id).map_err(|error| self.unavailable(error))?;
        }
        replace(&self.record(current.key_id), json.as_bytes(), Access::Default)
            .map_err(|error| self.unavailable(error))?;
        drop(lock);
        Ok(true)
    }

    /// Removes what writers that were killed left of this key: copies of a destroyed key must not stay.
    /// Who writes a record of a key that is there already does so in vain, and can be disturbed.
    fn sweep(&self, key_id: KeyId) -> io::Result<()> {
        let record = self.record(key_id);
        let record = record.file_name().unwrap_or_default();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !durable_file::is_draft_of(&entry.file_name(), record) {
                continue;
            }
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<ListedKey>> {
        let entries = fs::read_dir(&self.folder).map_err(|error| self.unavailable(error))?;
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| self.unavailable(error))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(KeyId::parse);
            ids.extend(id.filter(|id| after.is_none_or(|after| *id > after)));
        }
        ids.sort_unstable();
        // one that vanished meanwhile is no longer listed, and not the end of the list
        Ok(ids.into_iter().filter_map(|id| Some((id, self.read(id).transpose()?))).take(limit).collect())
    }
}

impl KeyStore for FileKeyStore {
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move { self.read(key_id) })
    }

    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move { self.winner(slot) })
    }

    fn elected<'a>(&'a self, slot: &'a KeySlot, epoch: u32) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move {
            let is_there = self.election(&slot.digest(), epoch).try_exists();
            match is_there.map_err(|error| self.unavailable(error))? {
                true => self.winner_of(slot, epoch).map(Some),
                false => Ok(None),
            }
        })
    }

    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(async move { self.propose(proposal) })
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(async move { self.put(record) })
    }

    fn replace<'a>(&'a self, current: &'a KeyRecord, new: &'a KeyRecord) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.exchange(current, new) })
    }

    fn list<'a>(&'a self, after: Option<KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<ListedKey>>> {
        Box::pin(async move { self.page(after, limit) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        context::EncryptionContext,
        wire::{Provider, Purpose, WrappedKey},
    };

    fn record(number: u8) -> KeyRecord {
        KeyRecord {
            key_id: KeyId::from_bytes([number; 16]),
            slot: KeySlot {
                keyring: "default".into(),
                context: Arc::new(EncryptionContext::new([("tenant", "acme")]).unwrap()),
                purpose: Purpose::Seal,
            },
            epoch: 0,
            state: KeyState::Active,
            created: "2026-01-01T00:00:00Z".to_owned(),
            copies: vec![WrappedKey {
                provider: Provider::LOCAL,
                key_name: "kek".to_owned(),
                blob: vec![number; 72],
            }],
        }
    }

    fn destroyed(record: &KeyRecord) -> KeyRecord {
        KeyRecord { state: KeyState::Destroyed, copies: Vec::new(), ..record.clone() }
    }

    /// The path of a draft that a writer of this file left.
    fn draft(file: &std::path::Path, number: u8) -> PathBuf {
        let mut draft = file.as_os_str().to_owned();
        draft.push(format!(".draft-{number:032x}"));
        draft.into()
    }

    fn names(store: &FileKeyStore) -> Vec<String> {
        let entries = fs::read_dir(&store.folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn folders_above_are_made_too() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileKeyStore::open(folder.path().join("a/b/c")).unwrap();
        store.propose(&record(1)).unwrap();
        let file = folder.path().join("a/file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            let error = FileKeyStore::open(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains("is not a folder"), "{error}");
        }
    }

    /// A writer that is killed after each of its steps.
    #[test]
    fn whatever_a_killed_writer_leaves_the_next_one_elects() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileKeyStore::open(folder.path()).unwrap();
        // half a draft
        let half = draft(&store.record(record(1).key_id), 0);
        fs::write(half, &record(1).to_json().unwrap()[..100]).unwrap();
        assert_eq!(store.winner(&record(1).slot).unwrap(), None);
        // a record without election
        store.keep(&record(1)).unwrap();
        assert_eq!(store.winner(&record(1).slot).unwrap(), None);
        assert_eq!(store.propose(&record(2)).unwrap(), record(2));
        assert_eq!(store.winner(&record(2).slot).unwrap(), Some(record(2)));
        // its writer comes back, and may have sealed something: the record stays beside the winner
        assert_eq!(store.propose(&record(1)).unwrap(), record(2));
        assert_eq!(store.read(record(1).key_id).unwrap(), Some(record(1)));
        assert_eq!(store.page(None, 10).unwrap().len(), 2);
    }

    #[test]
    fn an_election_whose_record_is_lost_waits_for_the_record() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileKeyStore::open(folder.path()).unwrap();
        store.propose(&record(1)).unwrap();
        fs::remove_file(store.record(record(1).key_id)).unwrap();
        for error in [store.winner(&record(1).slot).unwrap_err(), store.propose(&record(2)).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::KeyMissing);
            assert!(error.to_string().contains("restore"), "{error}");
        }
        assert_eq!(store.put(&record(1)).unwrap(), record(1));
        assert_eq!(store.winner(&record(1).slot).unwrap(), Some(record(1)));
    }

    #[test]
    fn no_copy_of_a_destroyed_key_stays_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileKeyStore::open(folder.path()).unwrap();
        store.propose(&record(1)).unwrap();
        store.keep(&record(2)).unwrap();
        let json = |number| record(number).to_json().unwrap();
        let (first, second) = (store.record(record(1).key_id), store.record(record(2).key_id));
        let election = store.election(&record(1).slot.digest(), 0);
        fs::write(draft(&first, 1), json(1)).unwrap();
        fs::write(draft(&first, 2), &json(1)[..json(1).len() - 30]).unwrap();
        fs::write(draft(&second, 3), json(2)).unwrap();
        fs::write(draft(&election, 4), record(1).key_id.to_string()).unwrap();
        assert!(store.exchange(&record(1), &destroyed(&record(1))).unwrap());
        let left = names(&store);
        assert!(!draft(&first, 1).exists() && !draft(&first, 2).exists());
        assert!(draft(&second, 3).exists(), "another key's: {left:?}");
        assert!(draft(&election, 4).exists(), "an election's: {left:?}");
        assert_eq!(store.page(None, 10).unwrap().len(), 2, "drafts are no records");
        let blob = json(1).split("\"blob\":\"").nth(1).unwrap()[..40].to_owned();
        for name in left {
            let text = fs::read_to_string(store.folder.join(&name)).unwrap();
            assert!(!text.contains(&blob), "{name} holds a copy");
        }
        assert_eq!(store.put(&record(1)).unwrap(), destroyed(&record(1)), "it does not come back");
        let error = store.exchange(&destroyed(&record(1)), &record(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }

    #[test]
    fn a_page_is_full_although_records_vanish() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileKeyStore::open(folder.path()).unwrap();
        (1..=5).for_each(|number| assert!(store.keep(&record(number)).unwrap()));
        // a name that is listed and cannot be read as a file that is there: as if it vanished in between
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", store.record(KeyId::from_bytes([0; 16]))).unwrap();
        let page = store.page(None, 3).unwrap();
        let ids: Vec<KeyId> = page.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 2, 3].map(|number| KeyId::from_bytes([number; 16])));
        assert_eq!(store.page(ids.last().copied(), 3).unwrap().len(), 2);
    }

    #[test]
    fn records_that_are_out_of_range_are_refused() {
        let json = record(1).to_json().unwrap();
        assert_eq!(KeyRecord::from_json(json.as_bytes()).unwrap(), record(1));
        let altered = [
            json.replace("2026-01-01T00:00:00Z", "yesterday"),
            json.replace("2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z"),
            json.replace("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"),
            json.replace("\"active\"", "\"destroyed\""),
            json.replace("\"epoch\":0", "\"epoch\":-1"),
            json.replace("\"epoch\":0", "\"epoch\":4294967296"),
            json.replace("\"provider\":2", "\"provider\":0"),
            json.replace("\"seal\"", "\"Seal\""),
        ];
        for altered in altered {
            assert_ne!(altered, json);
            assert_eq!(KeyRecord::from_json(altered.as_bytes()).unwrap_err().kind(), ErrorKind::Malformed);
        }
    }
}
