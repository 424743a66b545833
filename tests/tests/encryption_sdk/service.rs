//! A key service in memory, which knows what it wrapped by the blob.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use pii::{
    BoxFuture, EncryptionSdk, Error, ErrorKind, KeyService, Result, SecretBytes, ServiceBlob, ServiceContext,
    ServiceDataKey,
};

pub const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub const OTHER: &str = "arn:aws:kms:eu-west-1:111122223333:key/9999abcd-12ab-34cd-56ef-1234567890ab";
pub const THIRD: &str = "arn:aws:kms:eu-west-1:999922223333:key/7777abcd-12ab-34cd-56ef-1234567890ab";

/// Clones share keys and counters.
#[derive(Clone, Default)]
pub struct Service {
    known: Arc<Mutex<HashMap<Vec<u8>, Wrapped>>>,
    generated: Arc<AtomicUsize>,
    encrypted: Arc<AtomicUsize>,
    decrypted: Arc<AtomicUsize>,
    /// what calls for a key answer
    faults: Arc<Mutex<HashMap<String, ErrorKind>>>,
    pub answers_as: Option<&'static str>,
}

#[derive(Clone)]
struct Wrapped {
    arn: String,
    context: ServiceContext,
    plaintext: Vec<u8>,
}

impl Service {
    pub fn messages(&self) -> EncryptionSdk {
        EncryptionSdk::builder(self.clone()).key(KEY).build().unwrap()
    }

    pub fn put(&self, arn: &str, blob: &[u8], context: ServiceContext, plaintext: &[u8]) {
        let wrapped = Wrapped { arn: arn.to_owned(), context, plaintext: plaintext.to_vec() };
        self.known.lock().unwrap().insert(blob.to_vec(), wrapped);
    }

    pub fn fail(&self, arn: &str, kind: Option<ErrorKind>) {
        let mut faults = self.faults.lock().unwrap();
        match kind {
            Some(kind) => faults.insert(arn.to_owned(), kind),
            None => faults.remove(arn),
        };
    }

    /// Calls to generate, encrypt and decrypt.
    pub fn calls(&self) -> [usize; 3] {
        [&self.generated, &self.encrypted, &self.decrypted].map(|count| count.load(Ordering::SeqCst))
    }

    fn wrap(&self, arn: &str, plaintext: &[u8], context: &ServiceContext) -> ServiceBlob {
        let mut blob = vec![0; 100];
        getrandom::fill(&mut blob).unwrap();
        self.put(arn, &blob, context.clone(), plaintext);
        ServiceBlob { blob, key_arn: self.answers_as.unwrap_or(arn).to_owned() }
    }

    fn open(&self, key_id: Option<&str>, blob: &[u8], context: &ServiceContext) -> Result<SecretBytes> {
        let known = self.known.lock().unwrap().get(blob).cloned();
        let wrapped = known.ok_or_else(|| Error::new(ErrorKind::ContextMismatch))?;
        if key_id != Some(&wrapped.arn) {
            return Err(Error::new(ErrorKind::KeyMissing));
        }
        if *context != wrapped.context {
            return Err(Error::new(ErrorKind::ContextMismatch));
        }
        Ok(SecretBytes::copy_from(&wrapped.plaintext))
    }

    async fn call(&self, counter: &AtomicUsize, arn: &str) -> Result<()> {
        counter.fetch_add(1, Ordering::SeqCst);
        // others come by meanwhile
        tokio::task::yield_now().await;
        match self.faults.lock().unwrap().get(arn) {
            Some(kind) => Err(Error::new(*kind)),
            None => Ok(()),
        }
    }
}

impl KeyService for Service {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>> {
        Box::pin(async move {
            self.call(&self.generated, key_id).await?;
            let mut plaintext = [0; 32];
            getrandom::fill(&mut plaintext).unwrap();
            let ServiceBlob { blob, key_arn, .. } = self.wrap(key_id, &plaintext, context);
            Ok(ServiceDataKey { plaintext: SecretBytes::copy_from(&plaintext), blob, key_arn })
        })
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>> {
        Box::pin(async move {
            self.call(&self.decrypted, key_id.unwrap_or_default()).await?;
            self.open(key_id, blob, context)
        })
    }

    fn encrypt<'a>(
        &'a self,
        key_id: &'a str,
        plaintext: &'a SecretBytes,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceBlob>> {
        Box::pin(async move {
            self.call(&self.encrypted, key_id).await?;
            Ok(self.wrap(key_id, plaintext.expose(), context))
        })
    }
}

/// One that implements no more than it has to.
pub struct WithoutEncrypt(pub Service);

impl KeyService for WithoutEncrypt {
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>> {
        self.0.generate_data_key(key_id, context)
    }

    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>> {
        self.0.decrypt(key_id, blob, context)
    }
}

pub fn context(pairs: &[(&str, &str)]) -> ServiceContext {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
