//! The four ways to name a KMS key, and the one that lasts: its ARN.

use std::fmt;

use pii_core::{Error, ErrorKind, Result};

/// What KMS takes as a key id, and no more (API reference, `KeyId`).
const MAX_REFERENCE_BYTES: usize = 2048;

/// A key as configuration names it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum KeyReference {
    /// The key for good.
    Arn(KeyArn),
    /// An alias in a region and account that it names.
    AliasArn { text: String, region: String },
    /// A key id, of the region and account of the client.
    Id(String),
    /// `alias/...`, of the region and account of the client.
    Alias(String),
}

impl KeyReference {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            // what was configured by mistake may be a secret: it is not repeated
            Error::new(ErrorKind::Configuration).message(format!("the name of a KMS key {why}")).help(
                "write a key id, `alias/name`, or the ARN of a key or an alias, such as \
                     arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            )
        };
        if text.is_empty() {
            return Err(refused("is empty"));
        }
        if text.len() > MAX_REFERENCE_BYTES {
            return Err(refused("is longer than 2,048 bytes"));
        }
        if text.starts_with("arn:") {
            if let Some(arn) = KeyArn::parse(text) {
                return Ok(Self::Arn(arn));
            }
            return match ArnParts::parse(text) {
                Some(parts) if is_alias(parts.resource) => {
                    Ok(Self::AliasArn { text: text.to_owned(), region: parts.region.to_owned() })
                }
                _ => Err(refused("begins with `arn:` and is no ARN of a KMS key or alias")),
            };
        }
        if is_alias(text) {
            return Ok(Self::Alias(text.to_owned()));
        }
        if is_key_id(text) {
            return Ok(Self::Id(text.to_owned()));
        }
        Err(refused("is neither a key id, nor an alias, nor an ARN"))
    }

    /// The text that KMS takes.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Arn(arn) => arn.as_str(),
            Self::AliasArn { text, .. } | Self::Id(text) | Self::Alias(text) => text,
        }
    }

    /// The region that the name itself says.
    pub(crate) fn region(&self) -> Option<&str> {
        match self {
            Self::Arn(arn) => Some(arn.region()),
            Self::AliasArn { region, .. } => Some(region),
            Self::Id(_) | Self::Alias(_) => None,
        }
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The ARN of a KMS key: what copies of data keys are named by.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyArn {
    text: String,
    region: String,
}

impl KeyArn {
    /// The ARN of a key, checked; `None` for anything else, aliases included.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts = ArnParts::parse(text).filter(|_| text.len() <= MAX_REFERENCE_BYTES)?;
        let id = parts.resource.strip_prefix("key/")?;
        is_key_id(id).then(|| Self { text: text.to_owned(), region: parts.region.to_owned() })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Whether this key opens what `other` wrapped: the same key, or another regional replica of
    /// the same multi-Region key.
    pub(crate) fn opens_copies_of(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        match (ArnParts::parse(&self.text), ArnParts::parse(&other.text)) {
            (Some(own), Some(other)) => {
                own.resource.starts_with("key/mrk-") && ArnParts { region: own.region, ..other } == own
            }
            _ => false,
        }
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(PartialEq, Eq)]
struct ArnParts<'a> {
    partition: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> ArnParts<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let ("arn", partition, "kms", region, account, resource) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?)
        else {
            return None;
        };
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_id_byte);
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (is_name(partition) && is_name(region) && is_account).then_some(Self {
            partition,
            region,
            account,
            resource,
        })
    }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_key_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_id_byte)
}

fn is_alias(text: &str) -> bool {
    text.strip_prefix("alias/").is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| is_id_byte(byte) || matches!(byte, b'/' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn arn(region: &str, account: &str, id: &str) -> KeyArn {
        KeyArn::parse(&format!("arn:aws:kms:{region}:{account}:key/{id}")).unwrap()
    }

    #[test]
    fn the_four_kinds_of_names_are_told_apart() {
        let key = format!("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/{ID}");
        let alias = "arn:aws:kms:eu-central-1:111122223333:alias/pii/main_2";
        assert!(matches!(KeyReference::parse(&key), Ok(KeyReference::Arn(_))));
        assert!(matches!(KeyReference::parse(alias), Ok(KeyReference::AliasArn { .. })));
        assert!(matches!(KeyReference::parse(ID), Ok(KeyReference::Id(_))));
        assert!(matches!(KeyReference::parse("mrk-1234abcd12ab"), Ok(KeyReference::Id(_))));
        assert!(matches!(KeyReference::parse("alias/pii"), Ok(KeyReference::Alias(_))));
        assert_eq!(KeyReference::parse(&key).unwrap().region(), Some("us-gov-west-1"));
        assert_eq!(KeyReference::parse(alias).unwrap().region(), Some("eu-central-1"));
        assert_eq!(KeyReference::parse(ID).unwrap().region(), None);
        for text in [&key, alias, ID, "alias/pii"] {
            assert_eq!(KeyReference::parse(text).unwrap().text(), text);
        }
    }

    #[test]
    fn what_is_no_name_of_a_key_is_refused_and_not_repeated() {
        let long = "a".repeat(MAX_REFERENCE_BYTES + 1);
        for text in [
            "",
            "alias/",
            "alias/a b",
            "my key",
            "wJalrXUtnFEMI/K7MDENG",
            "arn:aws:s3:eu-central-1:111122223333:key/1",
            "arn:aws:kms:eu-central-1:1111:key/1",
            "arn:aws:kms::111122223333:key/1",
            "arn:aws:kms:eu-north-1:111122223333:key/",
            "arn:aws:kms:eu-central-1:111122223333:key/a:b",
            "arn:aws:kms:eu-central-1:111122223333:grant/1",
            "arn:aws:kms:eu-north-1",
            "arn:aws:kms:eu-central-1:111122223333:key/\u{e9}",
            &long,
        ] {
            let error = KeyReference::parse(text).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{text}");
            assert!(text.len() < 8 || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn replicas_of_a_multi_region_key_open_each_others_copies() {
        let here = arn("eu-central-1", "111122223333", "mrk-0123");
        assert!(here.opens_copies_of(&here));
        assert!(here.opens_copies_of(&arn("us-east-1", "111122223333", "mrk-0123")));
        assert!(!here.opens_copies_of(&arn("us-east-1", "444455556666", "mrk-0123")));
        assert!(!here.opens_copies_of(&arn("us-east-1", "111122223333", "mrk-0124")));
        let other_partition = KeyArn::parse("arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-0123").unwrap();
        assert!(!here.opens_copies_of(&other_partition));
        let single = arn("eu-central-1", "111122223333", ID);
        assert!(single.opens_copies_of(&single));
        assert!(!single.opens_copies_of(&arn("us-east-1", "111122223333", ID)));
    }
}
