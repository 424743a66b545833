//! The message format a second time, written from its public description and sharing no code with the
//! library: messages of any shape, right or wrong, and a reader that trusts them.

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hkdf::Hkdf;
use p384::ecdsa::{DerSignature, SigningKey, signature::Signer as _};
use pii::ServiceContext;
use sha2::Sha512;

use super::service::{KEY, Service};

pub const SINGLE_BLOCK: &str = "AWSKMSEncryptionClient Single Block";
pub const FRAME: &str = "AWSKMSEncryptionClient Frame";
pub const FINAL_FRAME: &str = "AWSKMSEncryptionClient Final Frame";
pub const PUBLIC_KEY: &str = "aws-crypto-public-key";

#[derive(Clone)]
pub struct Draft {
    pub version: u8,
    pub suite: [u8; 2],
    pub message_id: [u8; 32],
    pub context: Vec<(Vec<u8>, Vec<u8>)>,
    /// in place of length, count and pairs
    pub raw_context: Option<Vec<u8>>,
    /// provider, key, blob
    pub data_keys: Vec<[Vec<u8>; 3]>,
    pub content_type: u8,
    pub frame_bytes: u32,
    pub data_key: [u8; 32],
    /// in place of the right one
    pub commitment: Option<[u8; 32]>,
    pub signing_key: Option<SigningKey>,
}

pub fn lp16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

pub fn expand(data_key: &[u8; 32], message_id: &[u8; 32], info: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    Hkdf::<Sha512>::new(Some(message_id), data_key).expand(info, &mut out).unwrap();
    out
}

fn nonce(number: u32) -> [u8; 12] {
    [&[0; 8], &number.to_be_bytes()[..]].concat().try_into().unwrap()
}

impl Draft {
    /// Algorithm 0478 with frames of 8 bytes, under one data key that the service knows.
    pub fn new(service: &Service, context: &ServiceContext) -> Self {
        let draft = Self {
            version: 2,
            suite: [0x04, 0x78],
            message_id: [7; 32],
            context: context
                .iter()
                .map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()))
                .collect(),
            raw_context: None,
            data_keys: vec![[b"aws-kms".to_vec(), KEY.as_bytes().to_vec(), b"the blob".to_vec()]],
            content_type: 2,
            frame_bytes: 8,
            data_key: [42; 32],
            commitment: None,
            signing_key: None,
        };
        service.put(KEY, b"the blob", context.clone(), &draft.data_key);
        draft
    }

    /// The same of algorithm 0578.
    pub fn signed(service: &Service, context: &ServiceContext) -> Self {
        let signing_key = SigningKey::from_slice(&[9; 48]).unwrap();
        let point = signing_key.verifying_key().to_sec1_point(true);
        let mut context = context.clone();
        context.insert(PUBLIC_KEY.to_owned(), STANDARD.encode(point.as_bytes()));
        Self { suite: [0x05, 0x78], signing_key: Some(signing_key), ..Self::new(service, &context) }
    }

    fn cipher(&self) -> Aes256Gcm {
        let info = [&self.suite, &b"DERIVEKEY"[..]].concat();
        Aes256Gcm::new(&expand(&self.data_key, &self.message_id, &info).into())
    }

    pub fn header(&self) -> Vec<u8> {
        let mut pairs = u16::try_from(self.context.len()).unwrap().to_be_bytes().to_vec();
        self.context.iter().for_each(|(name, value)| pairs.extend([lp16(name), lp16(value)].concat()));
        let pairs = if self.context.is_empty() { Vec::new() } else { pairs };
        let data_keys = self.data_keys.iter().flatten().flat_map(|part| lp16(part));
        [
            &[self.version][..],
            &self.suite,
            &self.message_id,
            &self.raw_context.clone().unwrap_or_else(|| lp16(&pairs)),
            &u16::try_from(self.data_keys.len()).unwrap().to_be_bytes(),
            &data_keys.collect::<Vec<u8>>(),
            &[self.content_type],
            &self.frame_bytes.to_be_bytes(),
            &self.commitment.unwrap_or_else(|| expand(&self.data_key, &self.message_id, b"COMMITKEY")),
        ]
        .concat()
    }

    fn sealed(&self, kind: &str, number: u32, plaintext: &[u8]) -> Vec<u8> {
        let length = u64::try_from(plaintext.len()).unwrap().to_be_bytes();
        let aad = [&self.message_id, kind.as_bytes(), &number.to_be_bytes(), &length].concat();
        self.cipher().encrypt(&nonce(number).into(), Payload { msg: plaintext, aad: &aad }).unwrap()
    }

    pub fn frame(&self, number: u32, plaintext: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes(), &nonce(number)[..], &self.sealed(FRAME, number, plaintext)].concat()
    }

    pub fn last(&self, number: u32, plaintext: &[u8]) -> Vec<u8> {
        let length = u32::try_from(plaintext.len()).unwrap().to_be_bytes();
        let sealed = self.sealed(FINAL_FRAME, number, plaintext);
        [&[0xff; 4], &number.to_be_bytes(), &nonce(number)[..], &length, &sealed].concat()
    }

    pub fn block(&self, plaintext: &[u8]) -> Vec<u8> {
        let length = u64::try_from(plaintext.len()).unwrap().to_be_bytes();
        [&nonce(1)[..], &length, &self.sealed(SINGLE_BLOCK, 1, plaintext)].concat()
    }

    /// The whole message, whatever the body is; signed if it is to be.
    pub fn message(&self, body: &[u8]) -> Vec<u8> {
        let header = self.header();
        let tag = self.cipher().encrypt(&[0; 12].into(), Payload { msg: b"", aad: &header }).unwrap();
        let mut message = [&header, &tag, body].concat();
        if let Some(signing_key) = &self.signing_key {
            let signature: DerSignature = signing_key.sign(&message);
            message.extend(lp16(signature.as_bytes()));
        }
        message
    }
}

/// What a header says.
pub struct Header {
    pub suite: [u8; 2],
    pub message_id: [u8; 32],
    pub context: ServiceContext,
    /// provider, key, blob
    pub data_keys: Vec<[Vec<u8>; 3]>,
    pub content_type: u8,
    pub frame_bytes: u32,
    /// without the tag
    pub length: usize,
}

/// Reads the header of a message that is right.
pub fn header(message: &[u8]) -> Header {
    let mut at = 35;
    let mut take = |length: usize| {
        at += length;
        message[at - length..at].to_vec()
    };
    let number = |bytes: Vec<u8>| bytes.into_iter().fold(0, |number, byte| number << 8 | usize::from(byte));
    let mut context = ServiceContext::new();
    if number(take(2)) > 0 {
        for _ in 0..number(take(2)) {
            let [name, value] = [(); 2].map(|()| {
                let length = number(take(2));
                String::from_utf8(take(length)).unwrap()
            });
            context.insert(name, value);
        }
    }
    let mut data_keys = Vec::new();
    for _ in 0..number(take(2)) {
        data_keys.push([(); 3].map(|()| {
            let length = number(take(2));
            take(length)
        }));
    }
    let content_type = take(1)[0];
    let frame_bytes = u32::from_be_bytes(take(4).try_into().unwrap());
    take(32);
    Header {
        suite: message[1..3].try_into().unwrap(),
        message_id: message[3..35].try_into().unwrap(),
        context,
        data_keys,
        content_type,
        frame_bytes,
        length: at,
    }
}

/// Opens a framed message without signature, frame by frame.
pub fn open(message: &[u8], data_key: &[u8; 32]) -> Vec<u8> {
    let header = header(message);
    let info = [&header.suite, &b"DERIVEKEY"[..]].concat();
    let cipher = Aes256Gcm::new(&expand(data_key, &header.message_id, &info).into());
    let commitment = expand(data_key, &header.message_id, b"COMMITKEY");
    assert_eq!(message[header.length - 32..header.length], commitment);
    let (tag, mut rest) = message[header.length..].split_at(16);
    let aad = &message[..header.length];
    cipher.decrypt(&[0; 12].into(), Payload { msg: tag, aad }).unwrap();
    let mut plaintext = Vec::new();
    for number in 1_u32.. {
        let is_last = rest[..4] == [0xff; 4];
        let (kind, length) = match is_last {
            true => (FINAL_FRAME, u32::from_be_bytes(rest[20..24].try_into().unwrap())),
            false => (FRAME, header.frame_bytes),
        };
        let content = usize::try_from(length).unwrap();
        let start = if is_last { 24 } else { 16 };
        let numbers = &rest[start - if is_last { 20 } else { 16 }..];
        assert_eq!(numbers[..4], number.to_be_bytes());
        assert_eq!(numbers[4..16], nonce(number));
        let aad =
            [&header.message_id, kind.as_bytes(), &number.to_be_bytes(), &u64::from(length).to_be_bytes()]
                .concat();
        let sealed = Payload { msg: &rest[start..start + content + 16], aad: &aad };
        plaintext.extend(cipher.decrypt(&nonce(number).into(), sealed).unwrap());
        rest = &rest[start + content + 16..];
        if is_last {
            break;
        }
    }
    assert!(rest.is_empty());
    plaintext
}
